//! The configuration as a file: written without secrets, read back into a fresh database, taken over from a
//! separator installation whose chats and robots go on.

use serde_json::{Value, json};
use wabridge::config::DatabaseUrl;
use wabridge::sandbox::cloud::{CloudOptions, SimCloud};
use wabridge::sandbox::portal::{PortalOptions, SimPortal};
use wabridge::store::DbUrl;
use wabridge::store::audit::{self, AuditFilter};

use crate::support::process::{Finished, Installation};
use crate::support::{
    ACCESS_TOKEN, APP_SECRET, CLIENT_ID, DEADLINE, PHONE_ID, WABA_ID, anna, key_of, linking, listener,
};

const MEMBER: &str = "a223c6b3710f85df22e9377d6c4f7553";
const CODE: &str = "b24.example.com_15550783881";

/// An export of a separator installation, with the secrets that it can have.
fn separator() -> Value {
    json!({
        "separator": 1,
        "apps": [{"id": 1, "name": "Main", "site": "127.0.0.1", "client_id": CLIENT_ID, "client_secret": APP_SECRET,
                  "access_token": ACCESS_TOKEN, "verify_token": "kept-verify-token", "api_version": 20}],
        "wabas": [{"id": 2, "app": 1, "waba_id": WABA_ID}],
        "phones": [{"id": 3, "waba": 2, "phone": "+15550783881", "phone_id": PHONE_ID, "line": 4,
                    "sms_service": true, "chat_from_sms": true}],
        "portal_apps": [{"id": "5f0c2a30-0000-4000-8000-000000000001", "name": "WhatsApp",
                         "site": "b24.example.com", "client_id": "local.1", "client_secret": "kept_client_secret"}],
        "portals": [{"id": 6, "portal_app": "5f0c2a30-0000-4000-8000-000000000001", "member_id": MEMBER,
                     "domain": "example.bitrix24.com"}],
        "lines": [{"id": 4, "portal": 6, "line_id": "12", "name": "+15550783881", "connector": "gulin_1a"},
                  {"id": 5, "portal": 6, "line_id": "13", "name": "not used", "connector": "other"}],
    })
}

async fn import(home: &Installation, arguments: &[&str], file: &Value) -> Finished {
    let path = home.folder.path().join("import.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let mut all = vec!["import"];
    all.extend(arguments);
    all.push(path.to_str().unwrap());
    home.run(&all).await
}

async fn export(home: &Installation) -> Value {
    let told = home.run(&["export"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    serde_json::from_str(&told.stdout).unwrap()
}

/// Imports and gives what was printed.
async fn taken(home: &Installation, arguments: &[&str], file: &Value) -> String {
    let told = import(home, arguments, file).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    told.stdout
}

/// Asserts that an import is refused with these words, and that nothing of it is stored.
async fn refused(home: &Installation, arguments: &[&str], file: &Value, words: &[&str]) {
    let before = export(home).await;
    let told = import(home, arguments, file).await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{told:?}");
    for words in words {
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    }
    assert_eq!(export(home).await, before, "half an import is stored");
}

fn with_connector() -> &'static str {
    "bitrix.connector_code = \"gulin_1a\"\n"
}

#[tokio::test]
async fn an_export_brings_the_same_configuration_into_a_fresh_database_without_any_secret() {
    let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
    let portal = SimPortal::start(listener(), listener(), PortalOptions::default()).await.unwrap();
    let trunk = "sip.hostname = \"sip.bridge.example\"\nsip.trunks = [{ name = \"asterisk\", uris = [\"sip:127.0.0.1:5060\"] }]\n";
    let home = Installation::between(&cloud, &portal, trunk).await;
    let bridge = home.serve().await;
    linking::prepare_cloud(&cloud);
    cloud.set_phone(PHONE_ID, json!({"messaging_limit": 2000}));
    let api = home.api().await;
    let linked = linking::link(&api, &cloud, &portal).await;
    let phone = format!("/phones/{}", linked.phone_id);
    let change =
        json!({"closed_window": "hold", "read_receipts": true, "stop_words": ["en"], "sms_service": true});
    assert_eq!(api.call("PATCH", &phone, Some(change)).await.0, 200);
    let calling =
        json!({"status": "ENABLED", "sip": {"status": "ENABLED"}, "trunk": "asterisk", "extension": "100"});
    api.put(&format!("{phone}/calling"), calling).await;
    let alarm = json!({"alarm_user_id": "1", "default_country": "DE"});
    assert_eq!(api.call("PATCH", &format!("/portals/{}", linked.portal_id), Some(alarm)).await.0, 200);
    let written = home.run(&["export"]).await;
    bridge.stop().await;

    for secret in [APP_SECRET, ACCESS_TOKEN, "secret", "sealed", "verify_token", "v1:"] {
        assert!(!written.stdout.contains(secret), "an export holds {secret}: {}", written.stdout);
    }
    let written: Value = serde_json::from_str(&written.stdout).unwrap();
    assert_eq!(written["phones"][0]["settings"]["closed_window"], "hold");
    assert_eq!(written["phones"][0]["calling"]["extension"], "100");
    assert_eq!(written["lines"][0]["line_id"], json!(linked.line));

    let fresh = Installation::new(trunk).await;
    let told = taken(&fresh, &[], &written).await;
    for line in [
        "made   app 127.0.0.1",
        "made   phone +15550783881",
        "to do  app 127.0.0.1: enter again the app secret and the access token",
        "enter again the client secret",
        "6 made, 0 kept",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(export(&fresh).await, written);
    // Once more: nothing is made twice, nothing changes.
    let told = taken(&fresh, &[], &written).await;
    assert!(told.contains("0 made, 6 kept as they are here, 0 to do"), "{told}");
    assert_eq!(export(&fresh).await, written);
    cloud.stop().await;
    portal.stop().await;
}

#[tokio::test]
async fn what_is_here_already_stays_as_it_is() {
    let home = Installation::new("").await;
    let app = |name: &str| {
        json!({"format": "wabridge configuration", "version": 1, "connector_code": null, "wabas": [], "phones": [],
               "portal_apps": [], "portals": [], "lines": [],
               "apps": [{"name": name, "site": "wa.example", "client_id": "1", "api_key": null, "graph_version": null}]})
    };
    taken(&home, &[], &app("First")).await;
    let told = taken(&home, &[], &app("Second")).await;
    assert!(told.contains("kept   app wa.example"), "{told}");
    assert_eq!(export(&home).await["apps"][0]["name"], "First");
}

#[tokio::test]
async fn an_import_is_in_the_audit_log_and_masks_secrets() {
    let home = Installation::new(with_connector()).await;
    taken(&home, &["separator"], &separator()).await;
    let bridge = home.serve().await;
    let database = match home.database.url() {
        DatabaseUrl::Sqlite(path) => DbUrl::Sqlite(path),
        DatabaseUrl::Postgres(url) => DbUrl::Postgres(url.expose().to_owned()),
    };
    let page = wabridge::store::Page { limit: 100, cursor: None };
    let entries = audit::list(&mut database.open().unwrap(), &AuditFilter::default(), &page).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.actor.as_str(), entry.action.as_str())).collect();
    assert_eq!(told, [("command line", "import"); 6]);
    let text = format!("{entries:?}");
    assert!(!text.contains(APP_SECRET) && !text.contains("v1:"), "{text}");
    bridge.stop().await;
}

#[tokio::test]
async fn every_fault_is_told_with_its_place_and_nothing_is_stored() {
    let home = Installation::new(with_connector()).await;
    let mut file = separator();
    file["apps"][0]["site"] = json!("https://wa.example/");
    file["phones"][0]["phone"] = json!("+1");
    file["lines"][0]["line_id"] = json!("x");
    refused(
        &home,
        &["separator"],
        &file,
        &[
            "the file has",
            "apps[0] (id 1).site must be a host name",
            "phones[0] (id 3).phone_number",
            "lines[0] (id 4).line_id must be the number of an open line",
        ],
    )
    .await;
    for (place, value, words) in [
        ("/separator", json!(2), "separator must be 1"),
        ("/wabas/0/app", json!(9), "wabas[0] (id 2).app names no app of the file (9)"),
        ("/phones/0/waba", json!(9), "phones[0] (id 3).waba names no WABA of the file (9)"),
        ("/phones/0/line", json!(9), "phones[0] (id 3).line names no line of the file (9)"),
        ("/lines/0/portal", json!(9), "lines[0] (id 4).portal names no portal of the file (9)"),
        ("/portals/0/member_id", Value::Null, "portals[0] (id 6).member_id is missing"),
        ("/portals/0/portal_app", Value::Null, "portals[0] (id 6).portal_app names no application"),
        ("/lines/0/connector", json!("another"), "set bitrix.connector_code = \"another\""),
        ("/apps/0/client_secret", json!("gAAAAABm_x"), "apps[0] (id 1).client_secret is still encrypted"),
        ("/phones/0/sms_code", json!("A B"), "phones[0] (id 3).settings.sms_code must be lower case"),
        ("/phones/0/phone_id", json!(7), "phones[0].phone_id is not what it should be"),
    ] {
        let mut file = separator();
        *file.pointer_mut(place).unwrap_or(&mut Value::Null) = value.clone();
        if file.pointer(place).is_none() {
            file["phones"][0]["sms_code"] = value;
        }
        refused(&home, &["separator"], &file, &[words]).await;
    }
    refused(&home, &[], &json!({"format": "other"}), &["the file is not what it should be"]).await;
    refused(&home, &[], &separator(), &["is not what it should be"]).await;
}

#[tokio::test]
async fn an_own_file_with_faults_is_refused_as_a_whole() {
    let home = Installation::new(with_connector()).await;
    taken(&home, &["separator"], &separator()).await;
    let good = export(&home).await;
    let fresh = Installation::new(with_connector()).await;
    for (place, value, words) in [
        ("/version", json!(2), "format is not"),
        ("/connector_code", json!("x"), "connector_code is x"),
        (
            "/apps/0/client_secret",
            json!("s"),
            "apps[0].client_secret is not what it should be: unknown field",
        ),
        ("/wabas/0/app", json!("gone.example"), "wabas[0].app names no app (gone.example)"),
        (
            "/phones/0/settings/closed_window",
            json!("sometimes"),
            "phones[0].settings.closed_window must be one of",
        ),
        ("/phones/0/settings/stop_words", json!(["tlh"]), "phones[0].settings.stop_words"),
        (
            "/phones/0/calling",
            json!({"status": "ENABLED", "sip_status": "ENABLED", "port": 5061, "srtp_key_exchange_protocol": "SDES",
                   "webhook_delivery": "ENABLED", "trunk": "gone", "extension": "1"}),
            "phones[0].calling.trunk is not the name of a trunk",
        ),
        ("/lines/0/phone", json!("1"), "lines[0].phone names no phone (1)"),
    ] {
        let mut file = good.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() { &mut file } else { file.pointer_mut(parent).unwrap() };
        parent[key] = value;
        refused(&fresh, &[], &file, &[words]).await;
    }
    let mut twice = good.clone();
    let phone = twice["phones"][0].clone();
    twice["phones"].as_array_mut().unwrap().push(phone);
    refused(&fresh, &[], &twice, &["phones[1].phone_number_id is the same as phones[0].phone_number_id"])
        .await;
}

#[tokio::test]
async fn chats_and_robots_of_a_separator_installation_go_on() {
    let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
    let portal = SimPortal::start(listener(), listener(), PortalOptions::default()).await.unwrap();
    let home = Installation::between(&cloud, &portal, with_connector()).await;
    linking::prepare_cloud(&cloud);
    // The product before us heard this.
    cloud.customer_sends(PHONE_ID, &anna(), json!({"type": "text", "text": {"body": "Hello"}}));
    let line = portal.add_line("separator_15550783881");
    let local = portal.create_local_app(
        &format!("{}/api/bitrix/", home.base_url()),
        &format!("{}/app-install/", home.base_url()),
        true,
        &linking::SCOPES,
    );
    let mut file = separator();
    file["portal_apps"][0]["client_id"] = json!(local.client_id);
    file["portal_apps"][0]["client_secret"] = json!(local.client_secret);
    file["portals"][0]["member_id"] = json!(portal.member_id());
    file["lines"][0]["line_id"] = json!(line);
    let told = taken(&home, &["separator"], &file).await;
    assert!(
        told.contains("to do  portal example.bitrix24.com: in the settings of the local application"),
        "{told}"
    );
    assert!(!told.contains("enter again"), "every secret was in the file: {told}");
    assert!(
        told.contains("to do  phone +15550783881: if it takes calls, enter trunk and extension"),
        "{told}"
    );

    // The administrator opens the application; the doctor's repairs tell Meta where we are.
    let bridge = home.serve().await;
    let api = home.api().await;
    assert_eq!(portal.install(&local.client_id).await.status, Some(200));
    portal.finish_install(&local.client_id);
    let [app, waba] =
        [api.get("/apps").await, api.get("/wabas").await].map(|list| list["items"][0]["id"].clone());
    api.post("/doctor/repair", json!({"repair": "app.subscription", "subject_id": app})).await;
    api.post("/doctor/repair", json!({"repair": "waba.subscription", "subject_id": waba})).await;
    assert_eq!(portal.sms_senders().iter().map(|sender| sender["code"].clone()).collect::<Vec<_>>(), [CODE]);

    // An operator goes on in a chat of before, whose person has not written yet.
    let before = format!("+{}", key_of(&anna()));
    let message = json!({"user": {"id": before, "name": "Anna", "phone": before}, "chat": {"id": before},
                         "message": {"id": "wamid.before", "text": "Hello"}});
    let params = json!({"CONNECTOR": "gulin_1a", "LINE": line, "MESSAGES": [message]});
    assert!(portal.sent_by_another(&local.client_id, params).await);
    portal.operator_writes(&line, &before, "Are you still there?", vec![]).unwrap();
    assert!(cloud.wait_until(DEADLINE, |cloud| !cloud.received(PHONE_ID, &key_of(&anna())).is_empty()).await);
    // Her answer comes into the same chat.
    cloud.customer_sends(PHONE_ID, &anna(), json!({"type": "text", "text": {"body": "Yes"}}));
    let shown =
        |portal: &SimPortal| portal.conversation(&line, &before).iter().any(|entry| entry.text == "Yes");
    assert!(portal.wait_until(DEADLINE, shown).await, "{:#?}", portal.chats(&line));
    assert_eq!(portal.chats(&line).len(), 1);
    // A robot sends by the sender that it was set to.
    assert!(portal.send_sms(CODE, &before, "Your order is ready.", None).is_some());
    let two = |cloud: &SimCloud| cloud.received(PHONE_ID, &key_of(&anna())).len() == 2;
    assert!(cloud.wait_until(DEADLINE, two).await);
    bridge.stop().await;
    cloud.stop().await;
    portal.stop().await;
}
