//! An operator's short line: the customer gets the template, the line shows what the customer saw.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::ReceivedMessage;
use wabridge::sandbox::portal::Author;

use crate::support::files::Site;
use crate::support::{PHONE_ID, TestApp, WABA_ID, anna, file, jpeg, key_of};

const PDF: &[u8] = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n";

/// Hands in approved templates and reads them.
pub async fn with_templates(app: &TestApp) {
    let body = |text: &str| json!({"type": "BODY", "text": text});
    let reply = |text: &str| json!({"type": "QUICK_REPLY", "text": text});
    let templates = [
        ("hello_world", vec![body("Welcome!")]),
        ("one", vec![body("About: {{1}}")]),
        ("two", vec![body("Dear {{1}}, your order {{2}} is ready.")]),
        (
            "order_confirmed",
            vec![
                json!({"type": "HEADER", "format": "IMAGE"}),
                body("Your order {{1}} for a total of {{2}} is confirmed. The expected delivery is {{3}}."),
                json!({"type": "FOOTER", "text": "Thank you for shopping with us!"}),
                json!({"type": "BUTTONS", "buttons": [reply("Track my order"), reply("Change it")]}),
            ],
        ),
        ("invoice", vec![json!({"type": "HEADER", "format": "DOCUMENT"}), body("Invoice {{1}}")]),
        (
            "track",
            vec![
                body("It is on its way."),
                json!({"type": "BUTTONS", "buttons": [
                {"type": "URL", "text": "Track", "url": "https://x.example/t/{{1}}", "example": ["https://x.example/t/1"]}]}),
            ],
        ),
        (
            "headline",
            vec![json!({"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"}), body("Dear {{1}}")],
        ),
    ];
    for (at, (name, components)) in templates.into_iter().enumerate() {
        app.cloud.add_template(WABA_ID, json!({"id": format!("90000000{at}"), "name": name, "language": "en_US",
            "status": "APPROVED", "category": "UTILITY", "parameter_format": "POSITIONAL", "components": components}));
    }
    app.cloud.add_template(WABA_ID, json!({"id": "900000100", "name": "waiting", "language": "en_US", "status": "PENDING",
        "category": "UTILITY", "parameter_format": "POSITIONAL", "components": [{"type": "BODY", "text": "Hi"}]}));
    app.cloud.add_template(WABA_ID, json!({"id": "900000101", "name": "code", "language": "en_US", "status": "APPROVED",
        "category": "AUTHENTICATION", "parameter_format": "POSITIONAL", "components": [
            {"type": "BODY", "text": "*{{1}}* is your verification code."},
            {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]}]}));
    app.api.post("/templates/sync", json!({})).await;
}

fn sent(message: &ReceivedMessage) -> &Value {
    &message.body["template"]
}

fn values(message: &ReceivedMessage) -> Vec<&str> {
    let components = sent(message)["components"].as_array().into_iter().flatten();
    let body = components.filter(|component| component["type"] == "body");
    body.flat_map(|body| body["parameters"].as_array().unwrap())
        .map(|parameter| parameter["text"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_line_sends_the_template_and_the_line_shows_what_the_customer_saw() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    // The portal puts the operator's name before it, as it does before every text.
    let id = app.operator(&chat, "template-two+en_US+Anna|A-17", vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received[0].body["type"], "template");
    assert_eq!(sent(&received[0])["name"], "two");
    assert_eq!(sent(&received[0])["language"], json!({"code": "en_US"}));
    assert_eq!(values(&received[0]), ["Anna", "A-17"]);
    let shown = app.note(&chat, "is ready").await;
    assert_eq!(shown, "Dear Anna, your order A-17 is ready.");
    app.settled().await;
    assert_eq!(app.acknowledged(&id), [vec![received[0].wamid.clone()]]);
    let ledger = app.ledger_of(&chat).await;
    assert_eq!(ledger.len(), 1, "what is shown is not sent again: {ledger:#?}");
    assert_eq!((ledger[0].kind.as_str(), ledger[0].body.as_str()), ("template", shown.as_str()));
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worked_example_shows_picture_text_footer_and_both_buttons() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let site = Site::start(vec![("/a.jpg", 200, jpeg(3000))]).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let line = format!("template-order_confirmed+en_US+file_link:{}/a.jpg|A-17|30.00 EUR|Friday", site.url);
    app.operator(&chat, &line, vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(sent(&received[0])["components"][0]["parameters"][0]["type"], "image");
    assert_eq!(values(&received[0]), ["A-17", "30.00 EUR", "Friday"]);
    let shown = app.note(&chat, "is confirmed").await;
    assert_eq!(
        shown,
        "Your order A-17 for a total of 30.00 EUR is confirmed. The expected delivery is Friday.\n\n\
         Thank you for shopping with us!\n🔘 Track my order\n🔘 Change it"
    );
    let entry = app.conversation(&chat).into_iter().find(|entry| entry.text == shown).unwrap();
    assert_eq!(entry.author, Author::System);
    assert_eq!(entry.files.len(), 1);
    assert_eq!(entry.files[0].size, 3000);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_on_a_button_comes_back_with_label_payload_and_template() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let site = Site::start(vec![("/a.jpg", 200, jpeg(300))]).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let line =
        format!("template-order_confirmed+en_US+file_link:{}/a.jpg|1|2|3|payload2:CHANGE_17", site.url);
    app.operator(&chat, &line, vec![]);
    let received = app.customer_has(&anna, 1).await;
    app.settled().await;
    app.cloud.customer_sends(
        PHONE_ID,
        &anna,
        json!({"type": "button",
        "button": {"payload": "CHANGE_17", "text": "Change it"},
        "context": {"from": "15550783881", "id": received[0].wamid}}),
    );
    let shown = app.line_has(&chat, 4).await;
    let tap = &shown[3].text;
    for part in ["Button: Change it", "(CHANGE_17)", "Template: order_confirmed"] {
        assert!(tap.contains(part), "{tap}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_never_goes_and_the_operator_gets_the_reason() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let site = Site::start(vec![("/a.jpg", 200, jpeg(300)), ("/x.pdf", 200, PDF.to_vec())]).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let wrong = [
        ("template-two+en_US+Anna".to_owned(), "two (en_US) needs 2 values, you gave 1; missing {{2}}"),
        ("template-helo_world".to_owned(), "There is no template “helo_world”; did you mean hello_world?"),
        ("template-waiting".to_owned(), "waiting (en_US) cannot be sent: its status is PENDING"),
        ("template-hello_world+de".to_owned(), "does not exist in the language de; it exists in: en_US"),
        ("&((template=[[one]]".to_owned(), "The end “))&” is missing"),
        ("&[x](ns, one)".to_owned(), "one (en_US) needs 1 value, you gave 0"),
        (
            format!("template-order_confirmed+file_link:{}/x.pdf|1|2|3", site.url),
            "needs a file of the kind IMAGE",
        ),
        (format!("template-invoice+file_link:{}/a.jpg|1", site.url), "needs a file of the kind DOCUMENT"),
        (format!("template-invoice+file_link:{}/none.pdf|1", site.url), "The file cannot be fetched"),
        ("template-invoice+file_link:4711|1".to_owned(), "The file cannot be fetched"),
    ];
    let mut ids = Vec::new();
    for (typed, _) in &wrong {
        ids.push(app.operator(&chat, typed, vec![]));
    }
    ids.push(app.operator(&chat, "template-hello_world", vec![file("a.jpg", "image/jpeg", jpeg(100))]));
    // A part of a long text would begin so.
    ids.push(app.operator(&chat, &format!("{}\n\ntemplate-one+en_US+x", "word ".repeat(815)), vec![]));
    app.settled().await;
    let notes: Vec<String> = app.notes(&chat).iter().map(|note| note.replace('\u{200b}', "")).collect();
    for words in
        wrong.iter().map(|(_, words)| *words).chain(["hello_world (en_US) takes no file", "one of its parts"])
    {
        let found = notes.iter().filter(|note| note.contains(words)).count();
        assert!(found >= 1, "{words}: {notes:#?}");
    }
    assert_eq!(notes.len(), ids.len());
    assert!(notes.iter().all(|note| note.starts_with("[color=#ff0000]The template was not sent:")));
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    assert!(ids.iter().all(|id| app.acknowledged(id).is_empty()));
    assert_eq!(app.ledger_of(&chat).await.len(), 0);
    // The lane goes on.
    app.operator(&chat, "template-hello_world", vec![]);
    app.customer_has(&anna, 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_attached_to_the_line_is_the_header_of_its_template() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let picture = || file("parcel.jpg", "image/jpeg", jpeg(3000));
    let offer = || file("offer 7.pdf", "application/pdf", PDF.to_vec());
    app.operator(&chat, "template-order_confirmed+en_US+A-17|30|Friday", vec![picture()]);
    app.operator(&chat, "template-invoice+17", vec![offer()]);
    let received = app.customer_has(&anna, 2).await;
    let header = |message: &ReceivedMessage| sent(message)["components"][0]["parameters"][0].clone();
    assert_eq!(header(&received[0])["type"], "image");
    assert_eq!(values(&received[0]), ["A-17", "30", "Friday"]);
    assert_eq!(header(&received[1])["document"]["filename"], "offer 7.pdf");
    app.settled().await;
    let wrong = [
        ("template-invoice+17", vec![picture()], "needs a file of the kind DOCUMENT"),
        ("template-order_confirmed+1|2|3", vec![offer()], "needs a file of the kind IMAGE"),
        ("template-order_confirmed+1|2|3", vec![picture(), picture()], "Only one file can be given"),
        (
            "template-invoice+file_link:https://x.example/a.pdf|17",
            vec![offer()],
            "Only one file can be given",
        ),
        ("template-hello_world", vec![picture()], "takes no file"),
        ("template-order_confirmed+1|2|3", vec![], "add file_link:https://… or attach it"),
    ];
    for (typed, files, _) in &wrong {
        app.operator(&chat, typed, files.clone());
    }
    app.settled().await;
    let notes = app.notes(&chat);
    for (_, _, words) in &wrong {
        assert!(notes.iter().any(|note| note.contains(words)), "{words}: {notes:#?}");
    }
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_is_uploaded_once_while_it_lives() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let site = Site::start(vec![("/a.pdf", 200, PDF.to_vec()), ("/b.pdf", 200, PDF.to_vec())]).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let media =
        |message: &ReceivedMessage| sent(message)["components"][0]["parameters"][0]["document"].clone();
    for name in ["a", "b"] {
        app.operator(&chat, &format!("template-invoice+file_link:{}/{name}.pdf|1", site.url), vec![]);
    }
    let received = app.customer_has(&anna, 2).await;
    assert_eq!(media(&received[0])["filename"], "a.pdf");
    assert_eq!(media(&received[1])["filename"], "b.pdf");
    assert_eq!(media(&received[0])["id"], media(&received[1])["id"]);
    assert_eq!(app.cloud.media_count(), 1);
    // Meta forgot it: it is uploaded anew.
    app.cloud.advance_time(chrono::TimeDelta::days(31));
    app.cloud.open_window(PHONE_ID, &key_of(&anna));
    app.operator(&chat, &format!("template-invoice+file_link:{}/a.pdf|3", site.url), vec![]);
    let received = app.customer_has(&anna, 3).await;
    assert_ne!(media(&received[2])["id"], media(&received[0])["id"]);
    assert_eq!(values(&received[2]), ["3"]);
    app.settled().await;
    assert_eq!(app.notes(&chat).len(), 3, "{:#?}", app.notes(&chat));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_portals_disk_works_by_number_and_by_its_page() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let id = app.portal.put_on_disk(file("offer 7.pdf", "application/pdf", PDF.to_vec()));
    let domain = app.portal_row().await.domain;
    app.operator(&chat, &format!("template-invoice+en_US+file_link:{id}|1"), vec![]);
    app.operator(
        &chat,
        &format!("template-invoice+file_link:https://{domain}/disk/showFile/{id}/?x=1+2|2"),
        vec![],
    );
    let received = app.customer_has(&anna, 2).await;
    for message in &received {
        let document = &sent(message)["components"][0]["parameters"][0]["document"];
        assert_eq!(document["filename"], "offer 7.pdf");
    }
    assert_eq!((values(&received[0]), values(&received[1])), (vec!["1"], vec!["2"]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_comes_later_is_waited_for() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let site = Site::start(vec![("/a.pdf", 503, vec![]), ("/a.pdf", 200, PDF.to_vec())]).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, &format!("template-invoice+file_link:{}/a.pdf|1", site.url), vec![]);
    app.operator(&chat, "after it", vec![]);
    let received = app.customer_has(&anna, 2).await;
    assert_eq!(received[0].body["type"], "template");
    assert_eq!(received[1].body["text"]["body"], "after it");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_never_comes_is_looked_for_three_times_and_what_waits_behind_it_goes_on() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let site = Site::start(vec![("/a.pdf", 503, vec![])]).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, &format!("template-invoice+file_link:{}/a.pdf|1", site.url), vec![]);
    app.operator(&chat, "after it", vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received[0].body["text"]["body"], "after it");
    assert_eq!(site.served("/a.pdf"), 3);
    let note = app.note(&chat, "The file cannot be fetched").await;
    assert!(note.starts_with("[color=#ff0000]The template was not sent:"), "{note}");
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 1);
    assert_eq!(app.notes(&chat).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_says_of_a_template_counts_at_once() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, "template-one+en_US+first", vec![]);
    app.customer_has(&anna, 1).await;
    for (status, reason) in
        [("PAUSED", Some("FIRST_PAUSE")), ("REJECTED", Some("ABUSIVE_CONTENT")), ("DISABLED", None)]
    {
        app.cloud.decide_template("900000001", status, reason);
        app.webhooks_taken().await;
        app.operator(&chat, "template-one+en_US+second", vec![]);
        let note = app.note(&chat, &format!("its status is {status}")).await;
        assert!(note.contains(reason.unwrap_or_default()), "{note}");
    }
    app.cloud.decide_template("900000001", "APPROVED", None);
    app.webhooks_taken().await;
    app.operator(&chat, "template-one+en_US+third", vec![]);
    let received = app.customer_has(&anna, 2).await;
    assert_eq!(values(&received[1]), ["third"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_shown_and_kept_masked() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, "template-code+en_US+835201", vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(values(&received[0]), ["835201"]);
    assert_eq!(sent(&received[0])["components"][1]["parameters"][0]["text"], "835201");
    let shown = app.note(&chat, "verification code").await;
    assert_eq!(shown, "[b]••••••[/b] is your verification code.\n\n📋 Copy code");
    app.settled().await;
    let row = &app.ledger_of(&chat).await[0];
    assert!(!row.body.contains("835201") && !row.payload.contains("835201"), "{row:#?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_goes_outside_the_window_too() {
    let app = TestApp::start().await;
    with_templates(&app).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.close_window(PHONE_ID, &key_of(&anna));
    app.sql(format!("UPDATE chats SET window_closed = TRUE WHERE id = '{chat}'")).await;
    let lines = [
        "template+one+en_US+by name",
        "template+900000001+by id",
        "&((template=[[headline]] language=[[en_US]] header_text=[[17]] body_text=[[Anna]]))&",
        "&[never sent](namespace, one, old form)",
        "template-track+en_US+button_param:A-17",
    ];
    for line in lines {
        app.operator(&chat, line, vec![]);
    }
    let received = app.customer_has(&anna, lines.len()).await;
    let names: Vec<&str> = received.iter().map(|message| sent(message)["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "one", "headline", "one", "track"]);
    assert_eq!(values(&received[3]), ["old form"]);
    app.note(&chat, "https://x.example/t/A-17").await;
    app.note(&chat, "[b]Order 17[/b]").await;
    app.settled().await;
    app.stop().await;
}
