//! Each alarm of the list: told once when it turns bad and once when it is well again, by the signed webhook, to a
//! user of the portal, and on the panel's first page.

use std::path::Path;

use chrono::{Datelike as _, TimeDelta};
use diesel::RunQueryDsl as _;
use serde_json::{Value, json};
use wabridge::access::Role;
use wabridge::clock::ManualClock;
use wabridge::config::TlsFiles;
use wabridge::sandbox::portal::FaultKind;

use crate::doctor::look;
use crate::doctor_alarms::{Change, Ear, alarmed, open_alarms};
use crate::support::panel::Panel;
use crate::support::{ACCESS_TOKEN, CLIENT_ID, Options, PHONE_ID, TestApp, WABA_ID, anna};

/// A bridge whose alarms somebody hears everywhere.
struct Stage {
    app: TestApp,
    ear: Ear,
    panel: Panel,
}

impl Stage {
    async fn open() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(mut options: Options) -> Self {
        let ear = Ear::open();
        options.config = Some(ear.config(options.config.take()));
        let app = TestApp::with(options).await;
        alarmed(&app).await;
        let panel = Panel::enter(&app, "Ann", Role::Admin).await;
        Self { app, ear, panel }
    }

    /// All is well, and nobody has anything to say of this check.
    async fn turn<'a>(&'a mut self, check: &'a str) -> Turn<'a> {
        look(&self.app).await;
        let mut turn =
            Turn { stage: self, check, notices: 0, posts: 0, in_portal: true, reason: String::new() };
        assert!(!turn.is_open().await, "{check} is bad from the beginning");
        turn.mark().await;
        turn
    }

    async fn close(self) {
        self.app.stop().await;
        self.ear.close().await;
    }
}

/// A check that turns.
struct Turn<'a> {
    stage: &'a mut Stage,
    check: &'a str,
    notices: usize,
    posts: usize,
    /// Whether the portal can be told.
    in_portal: bool,
    reason: String,
}

impl Turn<'_> {
    fn app(&self) -> &TestApp {
        &self.stage.app
    }

    async fn is_open(&self) -> bool {
        open_alarms(self.app()).await.iter().any(|one| one["check"] == self.check)
    }

    /// After it was broken: looked at until it is found, then twice more; told once.
    async fn broken(&mut self, words: &str) {
        self.app()
            .wait_for(self.check, async |app| {
                look(app).await;
                self.is_open().await.then_some(())
            })
            .await;
        self.looked().await;
        self.told("alarm.opened", words).await;
        assert!(self.at_home().await, "the panel does not show {}", self.check);
    }

    /// After it was mended.
    async fn mended(&mut self) {
        self.looked().await;
        assert!(!self.is_open().await, "the alarm of {} stays open", self.check);
        self.told("alarm.closed", "well again").await;
        assert!(!self.at_home().await, "the panel still shows {}", self.check);
    }

    async fn looked(&self) {
        for _ in 0..3 {
            look(self.app()).await;
        }
    }

    /// Once by the webhook, and once in the portal with these words.
    async fn told(&mut self, event: &str, words: &str) {
        let posted = |from: usize| {
            let told = self.stage.ear.heard.told().into_iter().skip(from);
            told.filter(|one| one["event"] == event && one["alarm"]["check"] == self.check)
                .collect::<Vec<_>>()
        };
        self.app().wait_for("the webhook", async |_| (!posted(self.posts).is_empty()).then_some(())).await;
        let told = posted(self.posts);
        assert_eq!(told.len(), 1, "{told:#?}");
        let reason = told[0]["alarm"]["reason"].as_str().unwrap().to_owned();
        if event == "alarm.opened" {
            assert!(reason.contains(words), "{reason}");
        }
        if self.in_portal {
            let noticed = |app: &TestApp| {
                let new = app.portal.notifications().into_iter().skip(self.notices);
                new.filter(|(user, text)| *user == 1 && text.contains(words) && text.contains(&reason))
                    .count()
            };
            self.app().wait_for("the notice", async |app| (noticed(app) > 0).then_some(())).await;
            assert_eq!(noticed(self.app()), 1, "{:?}", self.app().portal.notifications());
        }
        self.reason = reason;
        self.mark().await;
    }

    async fn mark(&mut self) {
        self.notices = self.stage.app.portal.notifications().len();
        self.posts = self.stage.ear.heard.told().len();
    }

    async fn at_home(&mut self) -> bool {
        let page = self.stage.panel.page("/admin/").await;
        let alarms = page.html.split("<h2>What is connected").next().unwrap().replace("&#39;", "'");
        // Backticks are shown as code there.
        let begins = self.reason.split('`').next().unwrap_or_default();
        alarms.contains(begins)
    }
}

async fn turns(
    stage: &mut Stage,
    check: &str,
    words: &str,
    breaks: impl Fn(&TestApp),
    mends: impl Fn(&TestApp),
) {
    let mut turn = stage.turn(check).await;
    breaks(turn.app());
    turn.broken(words).await;
    mends(turn.app());
    turn.mended().await;
}

#[actix_web::test]
async fn a_token_that_is_revoked_or_ends_soon_is_told() {
    let mut stage = Stage::open().await;
    turns(
        &mut stage,
        "meta.token.valid",
        "does not take the access token",
        |app| app.cloud.rotate_token(CLIENT_ID, "EAAG-new"),
        |app| app.cloud.rotate_token(CLIENT_ID, ACCESS_TOKEN),
    )
    .await;
    let ends = |app: &TestApp, days: i64| {
        let end = if days > 0 { (app.clock.now() + TimeDelta::days(days)).timestamp() } else { 0 };
        app.cloud.set_token(CLIENT_ID, json!({"expires_at": end}));
    };
    turns(&mut stage, "meta.token.expiry", "less than 7 days", |app| ends(app, 6), |app| ends(app, 0)).await;
    stage.close().await;
}

#[actix_web::test]
async fn a_number_that_loses_quality_or_is_restricted_or_disconnected_is_told() {
    let mut stage = Stage::open().await;
    for (field, good, bad, check, words) in [
        ("quality_rating", "GREEN", "YELLOW", "meta.phone.quality", "has become medium"),
        ("quality_rating", "GREEN", "RED", "meta.phone.quality", "low"),
        ("status", "CONNECTED", "RESTRICTED", "meta.phone.status", "RESTRICTED"),
        ("status", "CONNECTED", "DISCONNECTED", "meta.phone.status", "DISCONNECTED"),
    ] {
        let set = |app: &TestApp, value: &str| app.cloud.set_phone(PHONE_ID, json!({ field: value }));
        turns(&mut stage, check, words, |app| set(app, bad), |app| set(app, good)).await;
    }
    stage.close().await;
}

async fn meta_posts(app: &TestApp, field: &str, value: Value) {
    app.cloud.post_change(WABA_ID, field, value);
    app.webhooks_taken().await;
}

#[actix_web::test]
async fn a_template_that_is_paused_or_moved_to_another_price_is_told() {
    let mut stage = Stage::open().await;
    let template = json!({"id": "95", "name": "plain", "language": "en", "status": "APPROVED", "category": "UTILITY",
        "parameter_format": "POSITIONAL", "components": [{"type": "BODY", "text": "News!"}]});
    stage.app.cloud.add_template(WABA_ID, template);
    stage.app.api.post("/templates/sync", json!({})).await;
    let of_template = |mut value: Value| {
        for (key, known) in [("id", json!(95)), ("name", json!("plain")), ("language", json!("en"))] {
            value[format!("message_template_{key}")] = known;
        }
        value
    };
    let state = |event: &str| of_template(json!({"event": event, "reason": "NONE"}));
    let mut turn = stage.turn("meta.templates.state").await;
    meta_posts(turn.app(), "message_template_status_update", state("PAUSED")).await;
    turn.broken("paused or disabled templates: plain (en)").await;
    meta_posts(turn.app(), "message_template_status_update", state("APPROVED")).await;
    turn.mended().await;

    let category = "template_category_update";
    let moves = |from: &str, to: &str| of_template(json!({"previous_category": from, "new_category": to}));
    let notice = of_template(json!({"new_category": "UTILITY", "correct_category": "MARKETING"}));
    let mut turn = stage.turn("meta.templates.category").await;
    meta_posts(turn.app(), category, notice).await;
    turn.broken("another price class: plain (en)").await;
    meta_posts(turn.app(), category, moves("UTILITY", "MARKETING")).await;
    turn.mended().await;
    // Without any notice.
    let mut turn = stage.turn("meta.templates.category").await;
    meta_posts(turn.app(), category, moves("MARKETING", "UTILITY")).await;
    turn.broken("has put templates into another price class: plain (en)").await;
    meta_posts(turn.app(), category, moves("UTILITY", "MARKETING")).await;
    turn.mended().await;
    stage.close().await;
}

#[actix_web::test]
async fn an_account_that_is_restricted_or_disconnected_is_told() {
    let mut stage = Stage::open().await;
    for event in ["ACCOUNT_RESTRICTION", "PARTNER_REMOVED"] {
        let mut turn = stage.turn("meta.waba.status").await;
        let restricted = json!({"event": event, "restriction_info": [{"restriction_type": "X"}]});
        meta_posts(turn.app(), "account_update", restricted).await;
        turn.broken(event).await;
        let again = json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}});
        meta_posts(turn.app(), "account_update", again).await;
        turn.mended().await;
    }
    stage.close().await;
}

#[actix_web::test]
async fn a_line_that_is_deleted_is_told_at_once() {
    let mut stage = Stage::open().await;
    let mut turn = stage.turn("phone.line").await;
    turn.app().portal.delete_line(&turn.app().line);
    turn.told("alarm.opened", "was deleted or switched off").await;
    turn.looked().await;
    assert!(turn.is_open().await && turn.at_home().await, "it is not linked yet");
    let path = format!("/phones/{}/line", turn.app().phone_id());
    turn.app().api.put(&path, json!({"portal_id": turn.app().portal_id().to_string()})).await;
    turn.mended().await;
    stage.close().await;
}

#[actix_web::test]
async fn a_portal_that_removed_the_application_is_told_where_somebody_still_hears() {
    let mut stage = Stage::open().await;
    let mut turn = stage.turn("portal.status").await;
    turn.in_portal = false;
    turn.app().portal.uninstall(turn.app().client_id(), false).await;
    turn.broken("was removed from Bitrix24").await;
    assert_eq!(turn.app().portal.install(turn.app().client_id()).await.status, Some(200));
    turn.app().portal.finish_install(turn.app().client_id());
    turn.mended().await;
    stage.close().await;
}

#[actix_web::test]
async fn a_dead_letter_is_told() {
    let mut stage = Stage::with(Options { leaves_jobs: true, ..Options::default() }).await;
    let mut turn = stage.turn("bridge.queue.dead").await;
    let id = crate::doctor_broken::give_up_a_job(turn.app()).await;
    turn.broken("1 jobs were given up").await;
    assert_eq!(turn.app().api.call("POST", &format!("/jobs/{id}/drop"), None).await.0, 200);
    turn.mended().await;
    stage.close().await;
}

#[actix_web::test]
async fn a_queue_that_stands_for_five_minutes_is_told() {
    let clock = ManualClock::starting_at(chrono::Utc::now());
    let mut stage = Stage::with(Options { clock: Some(clock), ..Options::default() }).await;
    stage.app.opened(&anna()).await;
    let mut turn = stage.turn("bridge.queue.age").await;
    turn.app().portal.plan_fault(FaultKind::Status502, Some("imconnector.send.messages"), 1000);
    turn.app().customer_writes(&anna(), "Are you there?");
    turn.app().webhooks_taken().await;
    turn.app().advance(TimeDelta::minutes(6));
    turn.broken("waits for").await;
    turn.app().portal.change_faults(|faults| faults.planned.clear());
    turn.app().advance(TimeDelta::minutes(2));
    turn.app().settled().await;
    turn.mended().await;
    stage.close().await;
}

/// A certificate of this machine that holds for so many days.
fn certificate(folder: &Path, days: i64) -> TlsFiles {
    let files = TlsFiles { certificate: folder.join("c.pem"), private_key: folder.join("k.pem") };
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let end = chrono::Utc::now() + TimeDelta::days(days);
    let (month, day) = (end.month().try_into().unwrap(), end.day().try_into().unwrap());
    params.not_after = rcgen::date_time_ymd(end.year(), month, day);
    std::fs::write(&files.private_key, key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    files
}

#[actix_web::test]
async fn a_certificate_for_calls_that_ends_within_14_days_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path(), 90);
    let port = crate::support::process::free_port();
    let config: Change = Box::new(move |config| {
        crate::support::calls::with_trunk(config);
        config.sip.enabled = true;
        config.sip.hostname = Some("localhost".into());
        config.sip.listen = format!("127.0.0.1:{port}").parse().unwrap();
        config.sip.trunk_listen = "127.0.0.1:0".parse().unwrap();
        config.sip.tls = Some(files);
    });
    let mut stage = Stage::with(Options { config: Some(config), ..Options::default() }).await;
    let write = |days: i64| drop(certificate(folder.path(), days));
    turns(&mut stage, "sip.certificate", "expires in", |_| write(13), |_| write(60)).await;
    stage.close().await;
}

#[actix_web::test]
async fn a_certificate_of_our_own_https_that_ends_within_14_days_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path(), 90);
    let root = files.certificate.clone();
    let ear = Ear::open();
    let https: Change = Box::new(move |config| config.http.tls = Some(files));
    let config = Some(ear.config(Some(https)));
    let app = TestApp::with(Options { config, unlinked: true, ..Options::default() }).await;
    let url = format!("{}/api/v1/doctor?kind=bridge", app.base_url.replace("http://", "https://"));
    // A client of its own each time: it trusts the file, which the bridge reads again a little later.
    let look = async || {
        let tls = wabridge::tls::client_config(Some(&root)).ok()?;
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().ok()?;
        client.get(&url).bearer_auth(app.api.token()).send().await.ok().filter(|told| told.status() == 200)
    };
    let told = |event: &str| {
        let all = ear.heard.told().into_iter();
        all.filter(|one| one["event"] == event && one["alarm"]["check"] == "bridge.certificate").count()
    };
    for (days, event) in [(13, "alarm.opened"), (60, "alarm.closed")] {
        certificate(folder.path(), days);
        for _ in 0..3 {
            app.eventually("a look", async || look().await).await;
        }
        app.eventually("the webhook", async || (told(event) > 0).then_some(())).await;
        assert_eq!(told(event), 1);
    }
    app.stop().await;
    ear.close().await;
}

#[actix_web::test]
async fn a_disk_that_is_full_is_told() {
    let mut stage = Stage::open().await;
    let media = stage.app.config.data_dir.join("media");
    let away = stage.app.config.data_dir.join("media.away");
    let mut turn = stage.turn("bridge.disk").await;
    std::fs::rename(&media, &away).unwrap();
    // A file system on which nothing is free.
    std::os::unix::fs::symlink("/proc", &media).unwrap();
    turn.broken("0 MB are free").await;
    std::fs::remove_file(&media).unwrap();
    std::fs::rename(&away, &media).unwrap();
    turn.mended().await;
    stage.close().await;
}

async fn sql(app: &TestApp, text: &'static str) {
    let run = move |tx: &mut wabridge::store::Tx<'_>| {
        diesel::sql_query(text).execute(tx.conn)?;
        Ok(())
    };
    app.relay.db.write(run).await.unwrap();
}

#[actix_web::test]
async fn a_database_that_takes_no_write_or_is_of_another_version_is_told() {
    let mut stage = Stage::open().await;
    let mut turn = stage.turn("bridge.database").await;
    sql(turn.app(), "ALTER TABLE vault_checks RENAME TO vault_away").await;
    turn.broken("takes no write").await;
    sql(turn.app(), "ALTER TABLE vault_away RENAME TO vault_checks").await;
    turn.mended().await;
    // Not even an alarm can be written: told all the same.
    sql(turn.app(), "ALTER TABLE vault_checks RENAME TO vault_away").await;
    sql(turn.app(), "ALTER TABLE alarm_notices RENAME TO notices_away").await;
    sql(turn.app(), "ALTER TABLE alarms RENAME TO alarms_away").await;
    turn.looked().await;
    turn.told("alarm.opened", "takes no write").await;
    sql(turn.app(), "ALTER TABLE alarms_away RENAME TO alarms").await;
    sql(turn.app(), "ALTER TABLE notices_away RENAME TO alarm_notices").await;
    sql(turn.app(), "ALTER TABLE vault_away RENAME TO vault_checks").await;
    turn.mended().await;
    // A later version has been here.
    let mut turn = stage.turn("bridge.schema").await;
    sql(turn.app(), "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").await;
    turn.broken("of another version").await;
    sql(turn.app(), "DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'").await;
    turn.mended().await;
    stage.close().await;
}
