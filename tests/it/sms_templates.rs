//! Templates by the CRM's SMS provider: by shorthand, by the fallback, and what the CRM shows of them.

use serde_json::{Value, json};

use crate::support::{Options, PHONE_ID, TestApp, WABA_ID};

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
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_no_advertising_gets_none_and_the_crm_is_told() {
    let app = with_templates(Options::default()).await;
    let anna = crate::support::anna();
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
