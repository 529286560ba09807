//! Templates by the CRM's SMS provider: by shorthand, by the fallback, and what the CRM shows of them.

use serde_json::{Value, json};

use crate::support::{Options, PHONE_ID, TestApp, WABA_ID, anna};

/// Somebody who never wrote.
const STRANGER: &str = "16505559876";

impl TestApp {
    /// The account has these templates, and the bridge knows them.
    pub async fn templates(&self, templates: &[Value]) {
        for template in templates {
            self.cloud.add_template(WABA_ID, template.clone());
        }
        self.api.post("/templates/sync", json!({})).await;
    }

    fn templates_of_stranger(&self) -> Vec<Value> {
        let received = self.cloud.received(PHONE_ID, STRANGER).into_iter();
        received.map(|message| message.body["template"].clone()).collect()
    }
}

pub fn template(id: usize, name: &str, category: &str, body: &str) -> Value {
    json!({"id": format!("{}", 1_000_000_000_000_000_u64 + id as u64), "name": name, "language": "en_US",
        "status": "APPROVED", "category": category, "parameter_format": "POSITIONAL",
        "components": [{"type": "BODY", "text": body}, {"type": "FOOTER", "text": "Lucky Shrub"}]})
}

async fn with_templates(options: Options) -> TestApp {
    let app = TestApp::with(options).await;
    app.sms_on().await;
    app.templates(&[
        template(1, "order_ready", "UTILITY", "Order {{1}} is ready on {{2}}."),
        template(2, "news", "MARKETING", "News: {{1}}"),
        template(3, "carry", "UTILITY", "A message for you: {{1}}"),
    ])
    .await;
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_line_sends_a_template_to_somebody_who_never_wrote() {
    let app = with_templates(Options::default()).await;
    let lines = [
        "template-order_ready+en_US+4711|Monday",
        "order_ready+en_US+4711|Monday",
        "template-order_ready+4711|Monday",
    ];
    for line in lines {
        let id = app.sms(STRANGER, line, None);
        app.sms_is(&id, "delivered").await;
        let request = app.request(&id).await;
        assert_eq!(request["text"], line);
    }
    app.settled().await;
    let sent = app.templates_of_stranger();
    assert_eq!(sent.len(), 3);
    for template in &sent {
        assert_eq!(
            (&template["name"], &template["language"]["code"]),
            (&json!("order_ready"), &json!("en_US"))
        );
        let values = template["components"][0]["parameters"].as_array().unwrap();
        let texts: Vec<&str> = values.iter().map(|value| value["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["4711", "Monday"]);
    }
    // The CRM sees what the customer saw, in the timeline and in the ledger.
    let shown = "Order 4711 is ready on Monday.\n\nLucky Shrub";
    let comments = app.portal.timeline();
    assert_eq!(comments.len(), 3);
    assert!(
        comments.iter().all(|comment| comment["comment"].as_str().unwrap().ends_with(shown)),
        "{comments:?}"
    );
    assert!(app.ledger().await.iter().all(|row| row.kind == "template" && row.body == shown));
    assert_eq!(app.portal.message_count(), 0, "no chat is opened without the setting");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_line_that_is_wrong_fails_with_its_reason_and_reaches_nobody() {
    let app = with_templates(Options::default()).await;
    for (line, reason) in [
        ("template-order_ready+en_US+4711", "missing {{2}}"),
        ("template-order_redy+en_US+1|2", "order_ready"),
        ("template-order_ready+de_DE+1|2", "en_US"),
        ("&((template=[[nothing]]))&", "nothing"),
    ] {
        let id = app.sms(STRANGER, line, None);
        app.sms_is(&id, "failed").await;
        let request = app.request(&id).await;
        assert!(request["reason"].as_str().unwrap().contains(reason), "{line}: {request}");
    }
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 0);
    assert_eq!(app.portal.timeline().len(), 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_text_outside_the_window_goes_in_the_fallback_template() {
    let app = with_templates(Options::default()).await;
    let (status, phone) = app.patch_phone(json!({"fallback_template": "carry"})).await;
    assert_eq!(status, 200, "{phone}");
    let id = app.sms(STRANGER, "We are open\nagain", None);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    let sent = app.templates_of_stranger();
    assert_eq!(sent[0]["name"], "carry");
    assert_eq!(sent[0]["components"][0]["parameters"][0]["text"], "We are open again");
    // A template that cannot carry the text is a reason of its own.
    app.sql("UPDATE phones SET fallback_template = 'order_ready'".to_owned()).await;
    app.relay.directory.reload().await.unwrap();
    let id = app.sms(STRANGER, "once more", None);
    app.sms_is(&id, "failed").await;
    assert!(
        app.request(&id).await["reason"].as_str().unwrap().contains("the fallback template of this number")
    );
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_setting_a_chat_is_opened_with_what_the_customer_saw() {
    let app = with_templates(Options {
        phone: Some(Box::new(|phone| phone.sms_to_chat = true)),
        ..Options::default()
    })
    .await;
    let id = app.sms(STRANGER, "order_ready+en_US+4711|Monday", None);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    let chats = app.portal.chats(&app.line);
    assert_eq!(chats.len(), 1);
    let shown = app.texts(&chats[0].external_id);
    assert!(shown[0].contains("Order 4711 is ready on Monday."), "{shown:?}");
    assert_eq!(app.templates_of_stranger().len(), 1, "no echo");
    // Nobody knows the name until the customer answers; then it is taken once, and stays.
    let name = || app.portal.chats(&app.line)[0].client.clone();
    assert_eq!(name(), ("WhatsApp".to_owned(), "Guest".to_owned()));
    let mut stranger = wabridge::sandbox::cloud::SimCustomer::with_number(STRANGER, "Bertha Miller");
    app.customer_writes(&stranger, "thank you");
    app.line_has(&chats[0].external_id, 2).await;
    assert_eq!(name(), ("Bertha".to_owned(), "Miller".to_owned()));
    stranger.name = "Bertie M".to_owned();
    app.customer_writes(&stranger, "bye");
    app.line_has(&chats[0].external_id, 3).await;
    app.settled().await;
    assert_eq!(name(), ("Bertha".to_owned(), "Miller".to_owned()));
    assert_eq!(app.portal.profile_rewrites(&app.line, &chats[0].external_id), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_no_advertising_gets_none_and_the_crm_is_told() {
    let app = with_templates(Options::default()).await;
    let anna = anna();
    app.opened(&anna).await;
    app.sql("UPDATE chats SET marketing_stopped = TRUE".to_owned()).await;
    let id = app.sms("+16505551234", "news+en_US+sale", None);
    app.sms_is(&id, "failed").await;
    let id = app.sms("+16505551234", "order_ready+en_US+1|today", None);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, "16505551234"), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_meta_takes_and_refuses_afterwards_goes_by_the_fallback_template() {
    let app = with_templates(Options::default()).await;
    let path = format!("/phones/{}", app.phone_id());
    let (status, _) = app.api.call("PATCH", &path, Some(json!({"fallback_template": "carry"}))).await;
    assert_eq!(status, 200);
    let anna = anna();
    app.opened(&anna).await;
    let fail = || app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, 131_047));
    fail();
    let id = app.sms("+16505551234", "your parts are here", None);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received[0].body["template"]["components"][0]["parameters"][0]["text"], "your parts are here");
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    let told = app.portal.sms_statuses(&id);
    assert!(told.iter().all(|state| state == "sent" || state == "delivered"), "{told:?}");
    // Without one it is undelivered, with the reason.
    let (status, _) = app.api.call("PATCH", &path, Some(json!({"fallback_template": null}))).await;
    assert_eq!(status, 200);
    app.customer_writes(&anna, "hi");
    app.webhooks_taken().await;
    fail();
    let id = app.sms("+16505551234", "and more", None);
    app.sms_is(&id, "undelivered").await;
    assert!(app.request(&id).await["reason"].as_str().unwrap().contains("131047"));
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_of_a_header_is_seen_in_the_line_and_in_the_timeline() {
    let app = TestApp::with(Options {
        phone: Some(Box::new(|phone| phone.sms_to_chat = true)),
        ..Options::default()
    })
    .await;
    app.sms_on().await;
    crate::shorthand::with_templates(&app).await;
    let picture = crate::support::file("parcel.jpg", "image/jpeg", crate::support::jpeg(3000));
    let disk = app.portal.put_on_disk(picture);
    let line = format!("order_confirmed+en_US+file_link:{disk}|A-17|30.00 EUR|Friday");
    let id = app.sms(STRANGER, &line, None);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    let chat = app.portal.chats(&app.line)[0].external_id.clone();
    let entry = app.conversation(&chat).remove(0);
    assert!(entry.text.starts_with("[b]Sent from the CRM:[/b]\nYour order A-17"), "{}", entry.text);
    assert!(entry.text.ends_with("Track my order\n🔘 Change it"), "{}", entry.text);
    assert_eq!((entry.files.len(), entry.files[0].size), (1, 3000));
    let comment = &app.portal.timeline()[0];
    assert_eq!(comment["files"], json!([{"name": "parcel.jpg", "size": 3000}]));
    assert!(comment["comment"].as_str().unwrap().contains("Your order A-17"));
    app.stop().await;
}
