//! Who writes in the CRM with bad luck or bad intent: nobody gets what is not meant for them, and nothing goes twice.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::ReceivedMessage;

use crate::sms_templates::template;
use crate::support::{Options, PHONE_ID, TestApp, anna, key_of};

/// The number of Anna, whose window is open.
const ANNA: &str = "+16505551234";
/// Somebody whom a text names.
const OTHER: &str = "16505559999";

async fn with_templates() -> TestApp {
    // Of a message that a test makes up the portal takes no states, so they stay untold.
    let app = TestApp::with(Options { leaves_jobs: true, ..Options::default() }).await;
    app.sms_on().await;
    app.templates(&[
        template(1, "order_ready", "UTILITY", "Order {{1}} is ready on {{2}}."),
        template(2, "carry", "UTILITY", "A message for you: {{1}}"),
    ])
    .await;
    app
}

fn text_of(message: &ReceivedMessage) -> &str {
    message.body["text"]["body"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_looks_like_a_short_line_never_reaches_a_customer_whose_window_is_open() {
    let app = with_templates().await;
    let anna = anna();
    app.opened(&anna).await;
    let (status, phone) = app.patch_phone(json!({"fallback_template": "carry"})).await;
    assert_eq!(status, 200, "{phone}");
    let wrong = [
        "template-order_ready",
        "Template-order_ready+en_US+1",
        "template–order_redy+en_US+1|2",
        "TEMPLATE+order_ready+en_US+1|2|3",
        "temp\u{200b}late-nothing",
        "\u{feff} \u{202e}template-nothing",
        "template—which we spoke of",
        "order_redy+en_US+1|2",
        "Order_Ready+en_US+1",
        "order_ready+en_US|1|2",
        "no_such_thing+de",
        "&((template=[[order_ready]]",
        "&((template=[[order_ready]] body_text=[[1]] body_text=[[2]]))& and more",
        "&[Hello](ns, nothing)",
        "hold-cancel",
    ];
    for text in wrong {
        let id = app.sms(ANNA, text, None);
        app.sms_is(&id, "failed").await;
        let request = app.request(&id).await;
        assert!(request["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{text}: {request}");
    }
    app.settled().await;
    assert_eq!(app.cloud.accepted(), 0, "neither as a text nor in the fallback template");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipient_is_the_portals_whatever_the_text_and_the_other_fields_say() {
    let app = with_templates().await;
    let code = app.sms_on().await;
    let anna = anna();
    app.opened(&anna).await;
    for text in [
        format!("+{OTHER} hello"),
        format!("to:+{OTHER} hello"),
        format!("message_to=+{OTHER}&message_body=hello"),
        format!("template-order_ready+en_US+to:+{OTHER}|+{OTHER}"),
        format!("&((template=[[order_ready]] body_text=[[phone:{OTHER}]] body_text=[[{OTHER}]]))&"),
    ] {
        let id = app.sms(ANNA, &text, None);
        app.sms_is(&id, "delivered").await;
    }
    // A key for a recipient there is not.
    let id = app.sms(ANNA, &format!("&((template=[[order_ready]] to=[[{OTHER}]] body_text=[[1]]))&"), None);
    app.sms_is(&id, "failed").await;
    // Of the form itself only the field for it counts.
    let other = format!("+{OTHER}");
    let fields = [
        ("code", code.as_str()),
        ("message_id", "m1"),
        ("message_to", ANNA),
        ("message_body", "hello"),
        ("to", other.as_str()),
        ("recipient", other.as_str()),
        ("phone_number", other.as_str()),
    ];
    assert_eq!(app.post_sms(&app.handler(), &fields).await.0, 200);
    app.customer_has(&anna, 6).await;
    assert_eq!(app.request("m1").await["number"], ANNA);
    assert_eq!(app.cloud.received_count(PHONE_ID, OTHER), 0);
    assert_eq!(app.cloud.accepted(), 6);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_posted_again_while_it_is_under_way_goes_once() {
    let app = with_templates().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    // Meta takes its time, so that all of them come while the first is on its way.
    app.cloud.change_faults(|faults| faults.latency_ms = 700);
    let id = app.sms(ANNA, "only once", None);
    app.eventually("it is taken", async || {
        let all = app.api.get("/sms").await;
        all["items"].as_array().unwrap().iter().any(|sms| sms["message_id"] == id).then_some(())
    })
    .await;
    let (code, handler) = (app.sms_on().await, app.handler());
    let again = |body: &'static str, to: &'static str| {
        let fields = [
            ("code".to_owned(), code.clone()),
            ("message_id".to_owned(), id.clone()),
            ("message_to".to_owned(), to.to_owned()),
            ("message_body".to_owned(), body.to_owned()),
        ];
        let handler = handler.clone();
        let app = &app;
        async move {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            app.post_sms(&handler, &fields).await.0
        }
    };
    // Also with another text or for somebody else: the id says which message it is.
    let answers = tokio::join!(
        again("only once", ANNA),
        again("only once", ANNA),
        again("another text", ANNA),
        again("only once", "+16505559999")
    );
    assert_eq!(answers, (200, 200, 200, 200));
    app.cloud.change_faults(|faults| faults.latency_ms = 0);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received.iter().map(text_of).collect::<Vec<_>>(), ["only once"]);
    assert_eq!(app.cloud.accepted(), 1);
    assert_eq!(app.ledger_of(&chat).await.len(), 1);
    assert_eq!(app.api.get("/sms").await["items"].as_array().unwrap().len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_and_texts_of_any_script_and_length_arrive_as_they_are_and_the_timeline_holds_no_markup_of_theirs()
 {
    let app = with_templates().await;
    let anna = anna();
    app.opened(&anna).await;
    let values = [
        ("*bold* _x_ ~y~", "`code`"),
        ("[b]A[/b] [url=https://evil.example]x[/url]", "<script>alert(1)</script>"),
        ("שלום עולם", "\u{202b}مرحبا\u{202c}"),
        ("👩‍👩‍👧 e\u{301}", "{{2}} {{1}}"),
        ("A+B", "10:30"),
    ];
    for (one, two) in values {
        let id = app.sms(ANNA, &format!("template-order_ready+en_US+{one}|{two}"), None);
        app.sms_is(&id, "delivered").await;
    }
    let received = app.customer_has(&anna, values.len()).await;
    for (message, (one, two)) in received.iter().zip(values) {
        let parameters = message.body["template"]["components"][0]["parameters"].as_array().unwrap();
        let sent: Vec<&Value> = parameters.iter().map(|parameter| &parameter["text"]).collect();
        assert_eq!(sent, [&json!(one), &json!(two)]);
    }
    app.eventually("the timeline shows them", async || {
        (app.portal.timeline().len() == values.len()).then_some(())
    })
    .await;
    for comment in app.portal.timeline() {
        let text = comment["comment"].as_str().unwrap();
        assert!(!text.contains("[url=https://evil") && !text.contains("[b]A[/b]"), "{text}");
    }
    // A free text of the whole length is one message; a value of that length is refused with the count.
    let longest = format!("{}я", "ab ".repeat(1365));
    assert_eq!(longest.chars().count(), 4096);
    let id = app.sms(ANNA, &longest, None);
    app.sms_is(&id, "delivered").await;
    let received = app.customer_has(&anna, values.len() + 1).await;
    assert_eq!(text_of(&received[values.len()]), longest);
    let id = app.sms(ANNA, &format!("order_ready+en_US+{}|x", "y".repeat(4070)), None);
    app.sms_is(&id, "failed").await;
    let reason = app.request(&id).await["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("characters, WhatsApp takes at most 1024"), "{reason}");
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), values.len() + 1);
    app.stop().await;
}
