//! Messages of the CRM: taken in by the handler, sent in order, states back.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::sandbox::portal::PortalOptions;

use crate::support::{DEADLINE, Options, PHONE_ID, PHONE_NUMBER, TestApp, anna, http_client, key_of};

/// An operator of the portal, who writes from the CRM.
const SOMEBODY: Option<u64> = Some(27);

impl TestApp {
    /// The CRM sends; the portal's id.
    pub fn sms(&self, to: &str, body: &str, author: Option<u64>) -> String {
        self.portal.send_sms(&format!("wa_{PHONE_NUMBER}"), to, body, author).unwrap()
    }

    /// Waits until the portal has this state of an SMS.
    pub async fn sms_is(&self, id: &str, state: &str) {
        let is =
            |portal: &wabridge::sandbox::portal::SimPortal| portal.sms_status(id).as_deref() == Some(state);
        let came = self.portal.wait_until(DEADLINE, is).await;
        assert!(came, "{id} is {:?}, not {state}", self.portal.sms_statuses(id));
    }

    /// The request as the API shows it.
    pub async fn request(&self, message_id: &str) -> Value {
        let all = self.api.get("/sms?limit=500").await;
        let found =
            all["items"].as_array().unwrap().iter().find(|sms| sms["message_id"] == message_id).cloned();
        found.unwrap_or_else(|| panic!("no SMS {message_id}"))
    }

    /// The address that the portal posts to.
    pub fn handler(&self) -> String {
        self.portal.sms_senders()[0]["handler"].as_str().unwrap().to_owned()
    }

    /// Posts a form to it.
    pub async fn post_sms(&self, handler: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = "application/x-www-form-urlencoded";
        let request = http_client().post(handler).header("content-type", kind).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn bodies(&self, customer: &SimCustomer) -> Vec<String> {
        let received = self.cloud.received(PHONE_ID, &key_of(customer)).into_iter();
        received.map(|message| message.body["text"]["body"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_the_crm_goes_out_and_its_states_go_back() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let id = app.sms("+1 (650) 555-1234", "Your parcel is here: *today*", SOMEBODY);
    app.customer_has(&anna, 1).await;
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    assert_eq!(app.bodies(&anna), ["Your parcel is here: *today*"]);
    let told = app.portal.sms_statuses(&id);
    assert!(told == ["sent", "sent", "delivered"] || told == ["sent", "delivered"], "{told:?}");
    let request = app.request(&id).await;
    assert_eq!((&request["status"], &request["reported"]), (&json!("delivered"), &json!("delivered")));
    assert_eq!((&request["number"], &request["author"]), (&json!("+16505551234"), &json!("27")));
    assert_eq!(request["chat_id"], chat, "it goes in the contact's chat");
    let ledger = app.api.get("/messages?status=delivered").await;
    let shown = &ledger["items"][0];
    assert_eq!((&shown["direction"], &shown["kind"]), (&json!("outbound"), &json!("text")));
    assert_eq!(shown["sms"]["message_id"], id);
    assert_eq!(shown["sms"]["sender"], format!("wa_{PHONE_NUMBER}"));
    // The line shows it only by setting.
    assert_eq!(app.conversation(&chat).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_without_author_and_token_sends_as_well() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    app.opened(&anna).await;
    let id = app.sms("16505551234", "from a robot", None);
    app.customer_has(&anna, 1).await;
    app.sms_is(&id, "delivered").await;
    assert_eq!(app.request(&id).await["author"], Value::Null);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_request_is_refused_and_leaves_nothing() {
    let app = TestApp::start().await;
    let code = app.sms_on().await;
    let fields = [
        ("code", code.as_str()),
        ("message_id", "m1"),
        ("message_to", "+16505551234"),
        ("message_body", "x"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&fields[..], more].concat();
    let handler = app.handler();
    for path in ["wrong", "", "%00", "0"] {
        let (status, _) = app.post_sms(&format!("{}/api/bitrix/sms/{path}/", app.base_url), &fields).await;
        assert!(matches!(status, 403 | 404), "{path}: {status}");
    }
    assert_eq!(app.post_sms(&format!("{}/api/bitrix/sms/wrong/", app.base_url), &fields).await.0, 403);
    assert_eq!(app.post_sms(&handler, &with(&[("auth[application_token]", "forged")])).await.0, 403);
    assert_eq!(app.post_sms(&handler, &with(&[("auth[member_id]", "another")])).await.0, 403);
    assert_eq!(app.post_sms(&handler, &fields[..1]).await.0, 400);
    let huge = "x".repeat(1024 * 1024);
    assert_eq!(app.post_sms(&handler, &[("code", &huge)]).await.0, 413);
    assert_eq!(app.api.get("/sms").await["items"], json!([]));
    // What a robot posts is taken, with the slash at the end or without.
    assert_eq!(app.post_sms(handler.trim_end_matches('/'), &fields).await.0, 200);
    assert_eq!(app.request("m1").await["recipient"], "+16505551234");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_fails_with_its_reason() {
    // The portal never heard of the messages that the test makes up, so they stay untold.
    let app = TestApp::with(Options { leaves_jobs: true, ..Options::default() }).await;
    let code = app.sms_on().await;
    let handler = app.handler();
    let long = "я".repeat(4097);
    for (index, (code, to, body, reason)) in [
        ("wa_49301", "+16505551234", "x", "No WhatsApp number belongs to this sender"),
        (code.as_str(), "call me", "x", "it is not a phone number"),
        (code.as_str(), "+7 913", "x", "too short or too long"),
        (code.as_str(), "+999 123 456 789", "x", "no such country code"),
        (code.as_str(), "+16505551234", " \n", "The text is empty"),
        (code.as_str(), "+16505551234", long.as_str(), "has 4097 characters"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("m{index}");
        let fields =
            [("code", code), ("message_id", id.as_str()), ("message_to", to), ("message_body", body)];
        let (status, answer) = app.post_sms(&handler, &fields).await;
        assert_eq!(status, 422, "{answer}");
        assert!(answer.contains(reason), "{answer}");
        let request = app.request(&id).await;
        assert_eq!(request["status"], "failed");
        assert!(request["reason"].as_str().unwrap().contains(reason), "{request}");
    }
    // As the portal sends it, it learns of the failure.
    let id = app.sms("12", "x", SOMEBODY);
    app.sms_is(&id, "failed").await;
    app.eventually("the timeline says why", async || {
        let comments = app.portal.timeline();
        let said =
            |comment: &&Value| comment["comment"].as_str().unwrap().contains("Not sent in WhatsApp (12)");
        comments.iter().find(said).map(|comment| assert_eq!(comment["entity_type"], "contact"))
    })
    .await;
    assert_eq!(app.cloud.accepted(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_is_switched_off_or_unlinked_sends_nothing() {
    let app = TestApp::with(Options { leaves_jobs: true, ..Options::default() }).await;
    let code = app.sms_on().await;
    let handler = app.handler();
    let fields = |id: &'static str| {
        [
            ("code", code.clone()),
            ("message_id", id.to_owned()),
            ("message_to", "+16505551234".to_owned()),
            ("message_body", "x".to_owned()),
        ]
    };
    let post = async |id: &'static str| {
        let owned = fields(id);
        let fields: Vec<(&str, &str)> = owned.iter().map(|(key, value)| (*key, value.as_str())).collect();
        app.post_sms(&handler, &fields).await
    };
    app.patch_phone(json!({"sms_service": false})).await;
    let (status, answer) = post("off").await;
    assert!(status == 422 && answer.contains("is switched off"), "{answer}");
    app.api.call("DELETE", &format!("/phones/{}/line", app.phone_id()), None).await;
    let (status, answer) = post("unlinked").await;
    assert!(status == 422 && answer.contains("is not linked"), "{answer}");
    assert_eq!(app.cloud.accepted(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_sent_once_however_often_it_is_posted() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    app.opened(&anna).await;
    app.portal.change_faults(|faults| faults.duplicate_events = true);
    let ids: Vec<String> = (0..5).map(|n| app.sms("+16505551234", &format!("no {n}"), SOMEBODY)).collect();
    for id in &ids {
        app.sms_is(id, "delivered").await;
    }
    app.settled().await;
    assert_eq!(app.bodies(&anna), ["no 0", "no 1", "no 2", "no 3", "no 4"], "each once, in order");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_without_country_code_are_of_the_portals_country() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let ivan = SimCustomer::with_number("79131234567", "Ivan Sample");
    app.opened(&ivan).await;
    let change = json!({"default_country": "RU"});
    app.api.call("PATCH", &format!("/portals/{}", app.portal_id()), Some(change)).await;
    for to in ["8 (913) 123-45-67", "913 123-45-67 доб. 5", "7 913 1234567", "+7 913 123-45-67"] {
        let id = app.sms(to, to, SOMEBODY);
        app.sms_is(&id, "delivered").await;
    }
    app.settled().await;
    assert_eq!(app.bodies(&ivan).len(), 4);
    let contacts = app.api.get("/contacts").await;
    assert_eq!(contacts["items"].as_array().unwrap().len(), 1, "it is one person");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_setting_the_portals_country_is_that_of_its_licence() {
    let portal = PortalOptions { license_region: "ru".to_owned(), ..PortalOptions::default() };
    let app = TestApp::with(Options { portal: Some(portal), ..Options::default() }).await;
    app.sms_on().await;
    assert_eq!(app.portal_row().await.region.as_deref(), Some("RU"));
    let ivan = SimCustomer::with_number("79131234567", "Ivan Sample");
    app.opened(&ivan).await;
    let id = app.sms("8 (913) 123-45-67", "hello", SOMEBODY);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    assert_eq!(app.bodies(&ivan), ["hello"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_whom_whatsapp_spells_otherwise_is_found() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let rosa = SimCustomer::with_number("551187654321", "Rosa Sample");
    app.cloud.alias_number("5511987654321", "551187654321");
    let chat = app.opened(&rosa).await;
    let id = app.sms("+55 11 98765-4321", "Olá", SOMEBODY);
    app.sms_is(&id, "delivered").await;
    assert_eq!(app.request(&id).await["chat_id"], chat);
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_text_outside_the_window_fails_and_the_timeline_says_why() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let id = app.sms("+16505551234", "hello stranger", SOMEBODY);
    app.sms_is(&id, "failed").await;
    app.settled().await;
    let request = app.request(&id).await;
    assert!(request["reason"].as_str().unwrap().contains("within the last 24 hours"), "{request}");
    let comment = app.portal.timeline()[0]["comment"].as_str().unwrap().to_owned();
    assert!(comment.contains("fallback template"), "{comment}");
    assert_eq!(app.portal.message_count(), 0, "no chat is opened for it");
    assert_eq!(app.cloud.accepted(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_takes_and_cannot_deliver_is_undelivered() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (1, 131_026));
    let id = app.sms("+16505551234", "never seen", SOMEBODY);
    app.sms_is(&id, "undelivered").await;
    app.settled().await;
    assert!(app.request(&id).await["reason"].as_str().unwrap().contains("131026"));
    assert!(app.portal.timeline()[0]["comment"].as_str().unwrap().contains("131026"));
    assert_eq!(app.conversation(&chat).len(), 1, "the line is not told by default");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portal_that_is_away_is_told_later_and_nothing_is_lost() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    app.opened(&anna).await;
    let ids: Vec<String> = (0..10).map(|n| app.sms("+16505551234", &format!("no {n}"), None)).collect();
    app.portal.change_faults(|faults| faults.down = true);
    app.customer_has(&anna, 10).await;
    app.eventually("the portal could not be told", async || {
        app.jobs_of("sms_status").await.iter().find(|job| job.last_error.is_some()).map(drop)
    })
    .await;
    app.portal.change_faults(|faults| faults.down = false);
    for id in &ids {
        app.sms_is(id, "delivered").await;
        let told = app.portal.sms_statuses(id);
        assert!(
            told.iter().skip_while(|state| *state == "sent").all(|state| state == "delivered"),
            "{told:?}"
        );
    }
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_portal_does_not_know_yet_is_told_again() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    app.opened(&anna).await;
    app.portal.change_faults(|faults| faults.sms_written_late = 2);
    let id = app.sms("+16505551234", "early", SOMEBODY);
    app.sms_is(&id, "delivered").await;
    let refused = app.jobs_of("sms_status").await.iter().map(|job| job.attempts).max();
    assert!(refused > Some(0), "it was too early at first");
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_setting_the_line_shows_what_the_crm_sent_and_nothing_comes_back() {
    let app = TestApp::with(Options {
        phone: Some(Box::new(|phone| phone.sms_to_chat = true)),
        ..Options::default()
    })
    .await;
    app.sms_on().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let id = app.sms("+16505551234", "see [b]you[/b] *soon*", SOMEBODY);
    let note = app.note(&chat, "Sent from the CRM").await;
    assert!(note.contains("[b]soon[/b]") && !note.contains("[b]you"), "{note}");
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    assert_eq!(app.bodies(&anna).len(), 1, "no echo");
    assert_eq!(app.conversation(&chat).len(), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_in_a_persons_export_and_go_with_the_person() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let anna = anna();
    app.opened(&anna).await;
    let id = app.sms("+16505551234", "remember me", SOMEBODY);
    app.sms_is(&id, "delivered").await;
    app.settled().await;
    let contact = app.api.get("/contacts").await["items"][0]["id"].as_str().unwrap().to_owned();
    let export = app.api.get(&format!("/contacts/{contact}/export")).await;
    assert_eq!(export["chats"][0]["sms"][0]["text"], "remember me");
    assert_eq!(app.api.call("DELETE", &format!("/contacts/{contact}"), None).await.0, 204);
    assert_eq!(app.api.get("/sms").await["items"], json!([]));
    app.stop().await;
}
