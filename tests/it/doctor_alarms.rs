//! Alarms: told once when something turns bad, and once when it is well again; to a user of the portal, and to an
//! outgoing webhook.

use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse, web};
use hmac::Mac as _;
use serde_json::{Value, json};
use wabridge::config::Config;
use wabridge::domain::Secret;

use crate::doctor::look;
use crate::support::{Options, PHONE_ID, TestApp, listener};

type Change = Box<dyn FnOnce(&mut Config) + Send>;

const SECRET: &str = "alarm_secret";

/// What the webhook got: signature and body, and how often it refuses first.
#[derive(Clone, Default)]
struct Heard {
    posts: Arc<Mutex<Vec<(String, String)>>>,
    refusals: Arc<Mutex<u32>>,
}

impl Heard {
    fn all(&self) -> Vec<(String, String)> {
        self.posts.lock().unwrap().clone()
    }
}

async fn hear(heard: web::Data<Heard>, request: HttpRequest, body: String) -> HttpResponse {
    let signature = request.headers().get("x-wabridge-signature").unwrap().to_str().unwrap().to_owned();
    heard.posts.lock().unwrap().push((signature, body));
    let mut refusals = heard.refusals.lock().unwrap();
    match *refusals {
        0 => HttpResponse::NoContent().finish(),
        _ => {
            *refusals -= 1;
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}

async fn alarmed(app: &TestApp) {
    let change = json!({"alarm_user_id": "1"});
    let path = format!("/portals/{}", app.portal_id());
    assert_eq!(app.api.call("PATCH", &path, Some(change)).await.0, 200);
}

fn set_quality(app: &TestApp, quality: &str) {
    app.cloud.set_phone(PHONE_ID, json!({"quality_rating": quality}));
}

async fn open_alarms(app: &TestApp) -> Vec<Value> {
    app.api.get("/alarms?open=true").await["items"].as_array().unwrap().clone()
}

/// Waits until the portal's user has this many notices.
async fn notices(app: &TestApp, count: usize) -> Vec<(u64, String)> {
    app.wait_for("a notice", async |app| (app.portal.notifications().len() >= count).then_some(())).await;
    let told = app.portal.notifications();
    assert_eq!(told.len(), count, "{told:?}");
    told
}

#[actix_web::test]
async fn a_finding_that_turns_bad_is_told_once_and_its_recovery_once() {
    let app = TestApp::start().await;
    alarmed(&app).await;
    look(&app).await;
    let before: Vec<Value> =
        open_alarms(&app).await.into_iter().filter(|one| one["check"] == "meta.phone.quality").collect();
    assert_eq!(before, Vec::<Value>::new());

    set_quality(&app, "YELLOW");
    for _ in 0..3 {
        look(&app).await;
    }
    let told = notices(&app, 1).await;
    assert_eq!(told[0].0, 1);
    assert!(
        told[0].1.contains("+15550783881") && told[0].1.contains("quality has become medium"),
        "{told:?}"
    );
    let open = open_alarms(&app).await;
    let alarm = open.iter().find(|one| one["check"] == "meta.phone.quality").unwrap();
    assert_eq!((&alarm["result"], &alarm["closed_at"]), (&json!("warn"), &Value::Null));

    // Worse, and nobody knows: still the same alarm.
    for quality in ["RED", "UNKNOWN"] {
        set_quality(&app, quality);
        look(&app).await;
    }
    set_quality(&app, "GREEN");
    for _ in 0..3 {
        look(&app).await;
    }
    let told = notices(&app, 2).await;
    assert!(told[1].1.contains("well again"), "{told:?}");
    assert!(open_alarms(&app).await.iter().all(|one| one["check"] != "meta.phone.quality"));
    let all = app.api.get("/alarms?lang=ru").await;
    let closed = all["items"].as_array().unwrap().iter().find(|one| one["id"] == alarm["id"]).unwrap();
    assert!(closed["closed_at"].is_string() && closed["reason"].as_str().unwrap().contains("средним"));
    app.stop().await;
}

#[actix_web::test]
async fn a_notice_that_the_portal_does_not_take_is_told_again() {
    let app = TestApp::start().await;
    alarmed(&app).await;
    look(&app).await;
    app.portal.plan_fault(wabridge::sandbox::portal::FaultKind::Status502, Some("im.notify.system.add"), 2);
    set_quality(&app, "RED");
    look(&app).await;
    notices(&app, 1).await;
    assert_eq!(app.portal.notifications().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn the_webhook_is_signed_and_tried_again_also_after_a_restart() {
    let heard = Heard::default();
    *heard.refusals.lock().unwrap() = 1;
    let port = listener();
    let address = format!("http://{}/alarms", port.local_addr().unwrap());
    let data = web::Data::new(heard.clone());
    let server = actix_web::HttpServer::new(move || {
        actix_web::App::new().app_data(data.clone()).route("/alarms", web::post().to(hear))
    });
    let server = server.workers(1).disable_signals().listen(port).unwrap().run();
    let handle = server.handle();
    let task = tokio::spawn(server);
    let config: Change = Box::new(move |config| {
        config.alarms.webhook_url = Some(address.parse().unwrap());
        config.alarms.webhook_secret = Some(Secret::from(SECRET));
    });
    let mut app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    set_quality(&app, "RED");
    look(&app).await;
    app.wait_for("the first try", async |_| (!heard.all().is_empty()).then_some(())).await;
    app.restart().await;
    app.wait_for("the second try", async |_| (heard.all().len() == 2).then_some(())).await;
    let problems = app.api.get("/health").await["problems"].to_string();
    assert!(problems.contains("meta.phone.quality"), "who watches by API hears of it too: {problems}");
    set_quality(&app, "GREEN");
    look(&app).await;
    app.wait_for("the end", async |_| (heard.all().len() == 3).then_some(())).await;

    let posts = heard.all();
    for (signature, body) in &posts {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        assert_eq!(*signature, format!("sha256={}", hex::encode(mac.finalize().into_bytes())));
    }
    assert_eq!(posts[0].1, posts[1].1, "a repeat is the same notice");
    let read = |index: usize| serde_json::from_str::<Value>(&posts[index].1).unwrap();
    assert_eq!((&read(0)["event"], &read(2)["event"]), (&json!("alarm.opened"), &json!("alarm.closed")));
    assert_eq!(read(0)["alarm"]["check"], "meta.phone.quality");
    assert_eq!(read(0)["alarm"]["id"], read(2)["alarm"]["id"]);
    handle.stop(true).await;
    task.await.unwrap().unwrap();
    app.stop().await;
}

#[actix_web::test]
async fn what_is_told_of_is_what_the_issue_lists() {
    let app = TestApp::start().await;
    alarmed(&app).await;
    look(&app).await;
    let soon = (app.clock.now() + chrono::TimeDelta::days(6)).timestamp();
    app.cloud.set_token(crate::support::CLIENT_ID, json!({"expires_at": soon}));
    app.cloud.set_phone(PHONE_ID, json!({"status": "RESTRICTED"}));
    app.portal.change_faults(|faults| faults.events_lost = true);
    app.portal.delete_line(&app.line);
    look(&app).await;
    let checks: Vec<String> =
        open_alarms(&app).await.iter().map(|one| one["check"].as_str().unwrap().to_owned()).collect();
    for id in ["meta.token.expiry", "meta.phone.status", "line.exists"] {
        assert!(checks.contains(&id.to_owned()), "{id}: {checks:?}");
    }
    // All of one look in one notice.
    let told = notices(&app, 1).await;
    for words in ["less than 7 days", "RESTRICTED", "open line is gone"] {
        assert!(told[0].1.contains(words), "{told:?}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn an_alarm_about_what_is_gone_ends_without_a_word() {
    let app = TestApp::start().await;
    alarmed(&app).await;
    app.portal.change_faults(|faults| faults.events_lost = true);
    app.portal.delete_line(&app.line);
    look(&app).await;
    notices(&app, 1).await;
    assert!(open_alarms(&app).await.iter().any(|one| one["check"] == "line.exists"));
    // The portal refuses to switch off what it has no more, so the link goes as its event would take it.
    app.portal.change_faults(|faults| faults.events_lost = false);
    let phone = app.phone_id().to_string();
    app.relay.db.write(move |tx| wabridge::store::lines::unbind_phone(tx.conn, &phone)).await.unwrap();
    app.relay.directory.reload().await.unwrap();
    look(&app).await;
    assert!(open_alarms(&app).await.iter().all(|one| one["subject"]["kind"] != "line"));
    assert_eq!(app.portal.notifications().len(), 1);
    app.stop().await;
}

/// A turn of a check: told once to the portal's user when it turns bad, once when it is well again.
struct Turn<'a> {
    app: &'a TestApp,
    check: &'a str,
    told: usize,
}

impl<'a> Turn<'a> {
    async fn of(app: &'a TestApp, check: &'a str) -> Self {
        alarmed(app).await;
        look(app).await;
        let told = app.portal.notifications().len();
        Self { app, check, told }
    }

    async fn is_open(&self) -> bool {
        open_alarms(self.app).await.iter().any(|one| one["check"] == self.check)
    }

    /// After it was broken: looked at three times, told once.
    async fn broken(&mut self, words: &str) {
        self.app
            .wait_for(self.check, async |app| {
                look(app).await;
                self.is_open().await.then_some(())
            })
            .await;
        for _ in 0..2 {
            look(self.app).await;
        }
        self.says(words).await;
    }

    /// After it was mended.
    async fn mended(&mut self) {
        for _ in 0..3 {
            look(self.app).await;
        }
        assert!(!self.is_open().await, "the alarm of {} stays open", self.check);
        self.says("well again").await;
    }

    /// One more notice has come, with these words.
    async fn says(&mut self, words: &str) {
        let find = |app: &TestApp, from: usize| {
            app.portal.notifications().into_iter().skip(from).filter(|(_, text)| text.contains(words)).count()
        };
        let from = self.told;
        self.app.wait_for(words, async |app| (find(app, from) > 0).then_some(())).await;
        assert_eq!(find(self.app, from), 1, "{:?}", self.app.portal.notifications());
        self.told = self.app.portal.notifications().len();
    }
}

#[actix_web::test]
async fn a_token_that_is_revoked_is_told() {
    let app = TestApp::start().await;
    let mut turn = Turn::of(&app, "meta.token.valid").await;
    app.cloud.rotate_token(crate::support::CLIENT_ID, "EAAG-new");
    turn.broken("does not take the access token").await;
    app.cloud.rotate_token(crate::support::CLIENT_ID, crate::support::ACCESS_TOKEN);
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn a_token_that_ends_soon_is_told() {
    let app = TestApp::start().await;
    let mut turn = Turn::of(&app, "meta.token.expiry").await;
    let soon = (app.clock.now() + chrono::TimeDelta::days(6)).timestamp();
    app.cloud.set_token(crate::support::CLIENT_ID, json!({"expires_at": soon}));
    turn.broken("less than 7 days").await;
    app.cloud.set_token(crate::support::CLIENT_ID, json!({"expires_at": 0}));
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn a_template_that_is_paused_or_moved_to_another_price_is_told() {
    let app = TestApp::start().await;
    let template = json!({"id": "95", "name": "plain", "language": "en", "status": "APPROVED", "category": "UTILITY",
        "parameter_format": "POSITIONAL", "components": [{"type": "BODY", "text": "News!"}]});
    app.cloud.add_template(crate::support::WABA_ID, template);
    app.api.post("/templates/sync", json!({})).await;
    let post = async |field: &str, mut value: Value| {
        for (key, known) in [("id", json!(95)), ("name", json!("plain")), ("language", json!("en"))] {
            value[format!("message_template_{key}")] = known;
        }
        app.cloud.post_change(crate::support::WABA_ID, field, value);
        app.webhooks_taken().await;
    };
    let mut turn = Turn::of(&app, "meta.templates.state").await;
    post("message_template_status_update", json!({"event": "PAUSED", "reason": "NONE"})).await;
    turn.broken("paused or disabled templates: plain (en)").await;
    post("message_template_status_update", json!({"event": "APPROVED", "reason": "NONE"})).await;
    turn.mended().await;
    let mut turn = Turn::of(&app, "meta.templates.category").await;
    let notice = json!({"new_category": "UTILITY", "correct_category": "MARKETING"});
    post("template_category_update", notice).await;
    turn.broken("another price class: plain (en)").await;
    let moves = |from: &str, to: &str| json!({"previous_category": from, "new_category": to});
    post("template_category_update", moves("UTILITY", "MARKETING")).await;
    turn.mended().await;
    // Without any notice.
    let mut turn = Turn::of(&app, "meta.templates.category").await;
    post("template_category_update", moves("MARKETING", "UTILITY")).await;
    turn.broken("has put templates into another price class: plain (en)").await;
    post("template_category_update", moves("UTILITY", "MARKETING")).await;
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn an_account_that_is_restricted_or_disconnected_is_told() {
    let app = TestApp::start().await;
    let post = async |value: Value| {
        app.cloud.post_change(crate::support::WABA_ID, "account_update", value);
        app.webhooks_taken().await;
    };
    for event in ["ACCOUNT_RESTRICTION", "PARTNER_REMOVED"] {
        let mut turn = Turn::of(&app, "meta.waba.status").await;
        post(json!({"event": event, "restriction_info": [{"restriction_type": "X"}]})).await;
        turn.broken(event).await;
        post(json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}})).await;
        turn.mended().await;
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_number_that_is_disconnected_is_told() {
    let app = TestApp::start().await;
    let mut turn = Turn::of(&app, "meta.phone.status").await;
    app.cloud.set_phone(PHONE_ID, json!({"status": "DISCONNECTED"}));
    turn.broken("DISCONNECTED").await;
    app.cloud.set_phone(PHONE_ID, json!({"status": "CONNECTED"}));
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn a_line_that_is_deleted_is_told_at_once() {
    let app = TestApp::start().await;
    let mut turn = Turn::of(&app, "phone.line").await;
    app.portal.delete_line(&app.line);
    turn.says("was deleted or switched off").await;
    assert!(turn.is_open().await);
    for _ in 0..2 {
        look(&app).await;
    }
    assert!(turn.is_open().await, "it is not linked yet");
    let path = format!("/phones/{}/line", app.phone_id());
    app.api.put(&path, json!({"portal_id": app.portal_id().to_string()})).await;
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn a_dead_letter_is_told() {
    let app = TestApp::with(Options { leaves_jobs: true, ..Options::default() }).await;
    let mut turn = Turn::of(&app, "bridge.queue.dead").await;
    let id = crate::doctor_broken::give_up_a_job(&app).await;
    turn.broken("1 jobs were given up").await;
    assert_eq!(app.api.call("POST", &format!("/jobs/{id}/drop"), None).await.0, 200);
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn a_queue_that_stands_for_five_minutes_is_told() {
    let clock = wabridge::clock::ManualClock::starting_at(chrono::Utc::now());
    let app = TestApp::with(Options { clock: Some(clock), ..Options::default() }).await;
    app.opened(&crate::support::anna()).await;
    let mut turn = Turn::of(&app, "bridge.queue.age").await;
    app.portal.plan_fault(
        wabridge::sandbox::portal::FaultKind::Status502,
        Some("imconnector.send.messages"),
        1000,
    );
    app.customer_writes(&crate::support::anna(), "Are you there?");
    app.webhooks_taken().await;
    app.advance(chrono::TimeDelta::minutes(6));
    turn.broken("waits for").await;
    app.portal.change_faults(|faults| faults.planned.clear());
    app.advance(chrono::TimeDelta::minutes(2));
    app.settled().await;
    turn.mended().await;
    app.stop().await;
}

#[actix_web::test]
async fn a_portal_that_removed_the_application_is_told_to_the_webhook() {
    let heard = Heard::default();
    let port = listener();
    let address = format!("http://{}/alarms", port.local_addr().unwrap());
    let data = web::Data::new(heard.clone());
    let server = actix_web::HttpServer::new(move || {
        actix_web::App::new().app_data(data.clone()).route("/alarms", web::post().to(hear))
    });
    let server = server.workers(1).disable_signals().listen(port).unwrap().run();
    let handle = server.handle();
    let task = tokio::spawn(server);
    let config: Change = Box::new(move |config| {
        config.alarms.webhook_url = Some(address.parse().unwrap());
        config.alarms.webhook_secret = Some(Secret::from(SECRET));
    });
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    look(&app).await;
    let told = |event: &str| {
        let posts = heard.all();
        let read = posts.iter().map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
        read.filter(|one| one["event"] == event && one["alarm"]["check"] == "portal.status").count()
    };
    app.portal.uninstall(app.client_id(), false).await;
    for _ in 0..3 {
        look(&app).await;
    }
    app.wait_for("the removal", async |_| (told("alarm.opened") == 1).then_some(())).await;
    assert_eq!(app.portal.install(app.client_id()).await.status, Some(200));
    app.portal.finish_install(app.client_id());
    for _ in 0..3 {
        look(&app).await;
    }
    app.wait_for("the installation", async |_| (told("alarm.closed") == 1).then_some(())).await;
    assert_eq!((told("alarm.opened"), told("alarm.closed")), (1, 1));
    handle.stop(true).await;
    task.await.unwrap().unwrap();
    app.stop().await;
}
