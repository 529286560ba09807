//! Alarms: told once when something turns bad, and once when it is well again; to a user of the portal, to an
//! outgoing webhook, and in the panel.

use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse, web};
use hmac::Mac as _;
use serde_json::{Value, json};
use wabridge::config::Config;
use wabridge::domain::Secret;

use crate::doctor::look;
use crate::support::{Options, PHONE_ID, TestApp, listener};

pub type Change = Box<dyn FnOnce(&mut Config) + Send>;

const SECRET: &str = "alarm_secret";

/// What the webhook got: signature and body, and how often it refuses first.
#[derive(Clone, Default)]
pub struct Heard {
    posts: Arc<Mutex<Vec<(String, String)>>>,
    refusals: Arc<Mutex<u32>>,
}

impl Heard {
    fn all(&self) -> Vec<(String, String)> {
        self.posts.lock().unwrap().clone()
    }

    /// What was told, each signed as it must be.
    pub fn told(&self) -> Vec<Value> {
        let read = |(signature, body): (String, String)| {
            let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            assert_eq!(signature, format!("sha256={}", hex::encode(mac.finalize().into_bytes())));
            serde_json::from_str(&body).unwrap()
        };
        self.all().into_iter().map(read).collect()
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

/// Somebody who takes the webhook.
pub struct Ear {
    pub heard: Heard,
    address: String,
    handle: actix_web::dev::ServerHandle,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Ear {
    pub fn open() -> Self {
        let (heard, port) = (Heard::default(), listener());
        let address = format!("http://{}/alarms", port.local_addr().unwrap());
        let data = web::Data::new(heard.clone());
        let server = actix_web::HttpServer::new(move || {
            actix_web::App::new().app_data(data.clone()).route("/alarms", web::post().to(hear))
        });
        let server = server.workers(1).disable_signals().listen(port).unwrap().run();
        let handle = server.handle();
        Self { heard, address, handle, task: tokio::spawn(server) }
    }

    /// A configuration that posts alarms here, and whatever else is wanted.
    pub fn config(&self, more: Option<Change>) -> Change {
        let address = self.address.parse().unwrap();
        Box::new(move |config| {
            config.alarms.webhook_url = Some(address);
            config.alarms.webhook_secret = Some(Secret::from(SECRET));
            if let Some(more) = more {
                more(config);
            }
        })
    }

    pub async fn close(self) {
        self.handle.stop(true).await;
        self.task.await.unwrap().unwrap();
    }
}

pub async fn alarmed(app: &TestApp) {
    let change = json!({"alarm_user_id": "1"});
    let path = format!("/portals/{}", app.portal_id());
    assert_eq!(app.api.call("PATCH", &path, Some(change)).await.0, 200);
}

fn set_quality(app: &TestApp, quality: &str) {
    app.cloud.set_phone(PHONE_ID, json!({"quality_rating": quality}));
}

pub async fn open_alarms(app: &TestApp) -> Vec<Value> {
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
    let ear = Ear::open();
    let heard = ear.heard.clone();
    *heard.refusals.lock().unwrap() = 1;
    let config = ear.config(None);
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

    let (posts, told) = (heard.all(), heard.told());
    assert_eq!(posts[0].1, posts[1].1, "a repeat is the same notice");
    assert_eq!((&told[0]["event"], &told[2]["event"]), (&json!("alarm.opened"), &json!("alarm.closed")));
    assert_eq!(told[0]["alarm"]["check"], "meta.phone.quality");
    assert_eq!(told[0]["alarm"]["id"], told[2]["alarm"]["id"]);
    ear.close().await;
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
