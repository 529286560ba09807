//! Installation, tokens, bindings, connectors, pages.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::super::{FaultKind, Faults, PortalOptions, SimFile, SimPortal, pull};
use super::rig::{Rig, SCOPES, bridge, free, messages, portal, register, same_shape, sample};

#[tokio::test]
async fn an_application_without_ui_gets_its_tokens_with_onappinstall() {
    let portal = portal(free()).await;
    let mut bridge = bridge().await;
    let handler = format!("{}/h", bridge.url);
    let app = portal.create_local_app(&handler, &handler, false, &SCOPES);
    portal.install(&app.client_id).await;
    let posted = bridge.event("ONAPPINSTALL").await;
    same_shape("data", &sample("events", "ONAPPINSTALL"), &posted.body["data"]);
    same_shape("auth", &sample("events", "auth with refresh"), &posted.body["auth"]);
    assert!(posted.raw.starts_with("event=ONAPPINSTALL&data%5B"), "brackets are percent-encoded");
    assert!(portal.is_live(&app.client_id));
    portal.stop().await;
}

#[tokio::test]
async fn an_application_with_ui_gets_events_only_after_install_finish() {
    let portal = portal(free()).await;
    let mut bridge = bridge().await;
    let handler = format!("{}/h", bridge.url);
    let app = portal.create_local_app(&handler, &handler, true, &SCOPES);
    let outcome = portal.install(&app.client_id).await;
    assert_eq!((outcome.status, outcome.html.as_str()), (Some(200), "<p>page</p>"));
    let page = bridge.next().await;
    same_shape("query", &sample("events", "page query"), &page.query);
    same_shape("body", &sample("events", "page body"), &page.body);
    assert!(!portal.is_live(&app.client_id));

    let token = page.body["AUTH_ID"].as_str().unwrap();
    let http = pull::client(Policy::none()).unwrap();
    let bind = format!("{}event.bind", portal.client_endpoint());
    let form = [("auth", token), ("event", "OnImConnectorLineDelete"), ("handler", &handler)];
    assert!(http.post(&bind).form(&form).send().await.unwrap().status().is_success());
    let (early, late) = (portal.add_line("a"), portal.add_line("b"));
    portal.delete_line(&early);
    portal.finish_install(&app.client_id);
    portal.delete_line(&late);
    let event = bridge.event("ONIMCONNECTORLINEDELETE").await.body;
    assert_eq!(event["data"], json!(late), "the scalar id of the second line");
    assert!(event["event_handler_id"].is_string());
    portal.stop().await;
}

#[tokio::test]
async fn refusals_of_authorization_are_those_of_the_fact_sheet() {
    let mut rig = Rig::new(free()).await;
    rig.ok("profile", json!({})).await;
    rig.ok("scope", json!({})).await;
    rig.ok("app.info", json!({})).await;
    rig.ok("user.get", json!({})).await;
    assert_eq!(rig.refused("no.such.method", json!({})).await, (404, "ERROR_METHOD_NOT_FOUND".to_owned()));
    rig.portal.change_faults(|faults| faults.expire_tokens = true);
    assert_eq!(rig.refused("profile", json!({})).await, (401, "expired_token".to_owned()));
    rig.token = "unknown".to_owned();
    assert_eq!(rig.refused("profile", json!({})).await, (401, "invalid_token".to_owned()));
    rig.token = String::new();
    assert_eq!(rig.refused("profile", json!({})).await, (401, "NO_AUTH_FOUND".to_owned()));
    let webhook = rig.refused("1/secret/imconnector.list", json!({})).await;
    assert_eq!(webhook, (403, "WRONG_AUTH_TYPE".to_owned()));
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_missing_scope_is_refused() {
    let portal = portal(free()).await;
    let mut bridge = bridge().await;
    let handler = format!("{}/h", bridge.url);
    let app = portal.create_local_app(&handler, &handler, false, &["im"]);
    portal.install(&app.client_id).await;
    let token = bridge.next().await.body["auth"]["access_token"].as_str().unwrap().to_owned();
    let url = format!("{}imconnector.list.json?auth={token}", portal.client_endpoint());
    let answer = reqwest_get(&url).await;
    assert_eq!((answer.0, &answer.1["error"]), (401, &json!("insufficient_scope")));
    portal.stop().await;
}

async fn reqwest_get(url: &str) -> (u16, Value) {
    let answer = pull::client(Policy::none()).unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn refresh(rig: &Rig, token: &str, secret: &str, post: bool) -> (u16, Value) {
    let url = format!("{}/oauth/token/", rig.portal.oauth_url());
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", &rig.app.client_id),
        ("client_secret", secret),
        ("refresh_token", token),
    ];
    let request = if post { rig.http.post(url).form(&form) } else { rig.http.get(url).query(&form) };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_and_the_old_token_dies() {
    let mut rig = Rig::new(free()).await;
    let secret = rig.app.client_secret.clone();
    let first = refresh(&rig, &rig.refresh, &secret, true).await;
    assert_eq!(first.0, 200);
    same_shape("token", &sample("oauth", "token"), &first.1);
    let again = refresh(&rig, &rig.refresh, &secret, true).await;
    same_shape("error", &sample("oauth", "error"), &again.1);
    assert_eq!(again, (400, json!({"error": "invalid_grant"})));
    let second = first.1["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&rig, second, "wrong", false).await, (401, json!({"error": "invalid_client"})));
    let second = refresh(&rig, second, &secret, false).await;
    assert_eq!(second.0, 200);
    rig.token = second.1["access_token"].as_str().unwrap().to_owned();
    rig.ok("profile", json!({})).await;

    rig.portal.set_faults(Faults { wrong_client: true, ..Faults::default() });
    let token = second.1["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&rig, token, &secret, true).await, (200, json!({"error": "wrong_client"})));
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_grace_keeps_the_replaced_refresh_token_good() {
    let options = PortalOptions { refresh_grace: Duration::from_secs(60), ..free() };
    let rig = Rig::new(options).await;
    for _ in 0..2 {
        assert_eq!(refresh(&rig, &rig.refresh, &rig.app.client_secret, true).await.0, 200);
    }
    rig.portal.stop().await;
}

#[tokio::test]
async fn the_oauth_server_tells_whose_token_it_is() {
    let rig = Rig::new(free()).await;
    let url = format!("{}/rest/app.info?auth={}", rig.portal.oauth_url(), rig.token);
    let (status, answer) = reqwest_get(&url).await;
    assert_eq!(status, 200);
    same_shape("app.info", &sample("oauth", "app.info"), &answer);
    assert_eq!(answer["result"]["client_id"], json!(rig.app.client_id));
    let (status, answer) = reqwest_get(&format!("{}/rest/app.info?auth=x", rig.portal.oauth_url())).await;
    assert_eq!((status, answer), (401, json!({"error": "invalid_token"})));
    rig.portal.stop().await;
}

#[tokio::test]
async fn bindings_are_checked_listed_and_removed() {
    let rig = Rig::new(free()).await;
    let bind = |event: &str, handler: &str| json!({"event": event, "handler": handler});
    let good = bind("OnImConnectorMessageAdd", "https://bridge.example/h");
    rig.ok("event.bind", good.clone()).await;
    for (body, code) in [
        (good, "ERROR_CORE"),
        (bind("OnNothing", "https://bridge.example/h"), "ERROR_EVENT_NOT_FOUND"),
        (bind("OnExternalCallStart", "https://bridge.example/h"), "ERROR_EVENT_NOT_FOUND"),
        (bind("OnAppUpdate", "https://localhost/h"), "ERROR_WRONG_HANDLER_URL"),
        (bind("OnAppUpdate", "ftp://bridge.example/h"), "ERROR_UNSUPPORTED_PROTOCOL"),
    ] {
        assert_eq!(rig.refused("event.bind", body).await, (400, code.to_owned()));
    }
    rig.ok("event.get", json!({})).await;
    let count = rig.ok("event.unbind", json!({"event": "ONIMCONNECTORMESSAGEADD"})).await;
    assert_eq!(count["count"], 1);
    assert!(rig.portal.event_bindings().is_empty());
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_connector_is_registered_in_lower_case_and_refused_with_http_200() {
    let rig = Rig::new(free()).await;
    rig.ok("imconnector.register", register()).await;
    assert_eq!(rig.portal.connectors()[0]["code"], "wa_bridge");
    rig.ok("imconnector.list", json!({})).await;
    let mut dotted = register();
    dotted["ID"] = json!("wa.bridge");
    let (status, answer) = rig.call("imconnector.register", dotted).await;
    assert_eq!(status, 200);
    same_shape("refused", &sample("answers", "imconnector.register refused"), &answer["result"]);
    assert_eq!(answer["result"]["error"], "APPLICATION_REGISTRATION_ERROR_POINT");
    rig.ok("imconnector.unregister", json!({"ID": "wa_bridge"})).await;
    assert!(rig.portal.connectors().is_empty());
    rig.portal.stop().await;
}

#[tokio::test]
async fn active_n_enables_and_zero_disables_with_an_event() {
    let (mut rig, line) = Rig::with_line(free()).await;
    let activate = |active: Value| json!({"CONNECTOR": "wa_bridge", "LINE": line, "ACTIVE": active});
    let status = json!({"CONNECTOR": "wa_bridge", "LINE": line});
    rig.ok("imconnector.activate", activate(json!("N"))).await;
    assert_eq!(rig.ok("imconnector.status", status.clone()).await["STATUS"], true);
    let data = json!({"CONNECTOR": "wa_bridge", "LINE": line, "DATA": {"ID": "1", "NAME": ""}});
    rig.ok("imconnector.connector.data.set", data).await;
    assert_eq!(rig.portal.connectors()[0]["lines"][0]["data"], json!({"ID": "1"}));
    rig.ok("imconnector.set.error", status.clone()).await;
    let answer = rig.ok("imconnector.status", status.clone()).await;
    assert_eq!((&answer["CONFIGURED"], &answer["STATUS"]), (&json!(true), &json!(false)));
    rig.ok("imconnector.activate", activate(json!(0))).await;
    assert_eq!(rig.ok("imconnector.status", status).await["CONFIGURED"], false);
    let event = rig.bridge.event("ONIMCONNECTORSTATUSDELETE").await.body;
    same_shape("event", &sample("events", "ONIMCONNECTORSTATUSDELETE"), &event["data"]);
    let (status, code) =
        rig.refused("imconnector.activate", json!({"CONNECTOR": "wa_bridge", "LINE": 1})).await;
    assert_eq!((status, code.as_str()), (400, "ERROR_ARGUMENT"));
    rig.portal.stop().await;
}

#[tokio::test]
async fn the_settings_page_is_posted_with_the_state_of_the_line() {
    let (mut rig, line) = Rig::with_line(free()).await;
    let mut again = register();
    again["PLACEMENT_HANDLER"] = json!(format!("{}/h", rig.bridge.url));
    rig.ok("imconnector.register", again).await;
    let page = rig.portal.open_page(&rig.app.client_id, "SETTING_CONNECTOR", Some(&line), true).await;
    assert_eq!((page.status, page.html.as_str()), (200, "<p>page</p>"));
    let posted = rig.bridge.next().await.body;
    let options: Value = serde_json::from_str(posted["PLACEMENT_OPTIONS"].as_str().unwrap()).unwrap();
    same_shape("options", &sample("events", "SETTING_CONNECTOR options"), &options);
    assert_eq!(options["LINE"], json!(line));
    rig.portal.stop().await;
}

#[tokio::test]
async fn lines_are_added_found_changed_and_deleted() {
    let rig = Rig::new(free()).await;
    let id = rig.ok("imopenlines.config.add", json!({"PARAMS": {"LINE_NAME": "separator_1"}})).await;
    let find =
        json!({"PARAMS": {"filter": {"=LINE_NAME": "separator_1"}, "select": ["ID", "LINE_NAME", "ACTIVE"]}});
    let found = rig.ok("imopenlines.config.list.get", find.clone()).await;
    assert_eq!(found[0]["ID"], json!(id.to_string()));
    let change = json!({"CONFIG_ID": id, "PARAMS": {"LINE_NAME": "other"}});
    rig.ok("imopenlines.config.update", change).await;
    assert_eq!(rig.ok("imopenlines.config.list.get", find).await, json!([]));
    let (status, code) = rig.refused("imopenlines.config.list.get", json!({"PARAMS": {"x": 1}})).await;
    assert_eq!((status, code.as_str()), (400, "INVALID_FORMAT"));
    rig.ok("imopenlines.config.path.get", json!({})).await;
    rig.ok("imopenlines.config.delete", json!({"CONFIG_ID": id})).await;
    assert!(rig.portal.lines().is_empty());
    rig.portal.stop().await;
}

#[tokio::test]
async fn the_old_host_of_a_renamed_portal_answers_302() {
    let rig = Rig::new(free()).await;
    let old = rig.portal.client_endpoint();
    let new = rig.portal.rename();
    let answer = rig.http.post(format!("{old}profile")).bearer_auth(&rig.token).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(location, format!("http://{new}/rest/profile"));
    rig.ok("profile", json!({})).await;
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_removed_application_hears_it_without_tokens_and_is_locked_out() {
    let mut rig = Rig::new(free()).await;
    let bind = json!({"event": "OnAppUninstall", "handler": format!("{}/h", rig.bridge.url)});
    rig.ok("event.bind", bind).await;
    rig.ok("imconnector.register", register()).await;
    rig.portal.uninstall(&rig.app.client_id, true).await;
    let event = rig.bridge.event("ONAPPUNINSTALL").await.body;
    same_shape("data", &sample("events", "ONAPPUNINSTALL"), &event["data"]);
    same_shape("auth", &sample("events", "auth without user"), &event["auth"]);
    assert_eq!(rig.refused("profile", json!({})).await, (401, "APPLICATION_NOT_FOUND".to_owned()));
    assert!(rig.portal.connectors().is_empty() && rig.portal.event_bindings().is_empty());
    rig.portal.stop().await;
}

#[tokio::test]
async fn an_updated_application_gets_a_new_token_and_loses_its_handlers() {
    let mut rig = Rig::new(free()).await;
    let bind = json!({"event": "OnAppUpdate", "handler": format!("{}/h", rig.bridge.url)});
    rig.ok("event.bind", bind).await;
    let before = rig.portal.application_token(&rig.app.client_id);
    rig.portal.update_app(&rig.app.client_id);
    let event = rig.bridge.event("ONAPPUPDATE").await.body;
    same_shape("data", &sample("events", "ONAPPUPDATE"), &event["data"]);
    same_shape("auth", &sample("events", "auth with refresh"), &event["auth"]);
    assert_ne!(event["auth"]["application_token"], json!(before));
    assert!(rig.portal.event_bindings().is_empty());
    rig.portal.stop().await;
}

#[tokio::test]
async fn an_sms_is_posted_to_its_sender_and_takes_a_status() {
    let mut rig = Rig::new(free()).await;
    let handler = format!("{}/h", rig.bridge.url);
    let sender = json!({"CODE": "wa_1", "TYPE": "SMS", "HANDLER": handler, "NAME": "WhatsApp"});
    rig.ok("messageservice.sender.add", sender.clone()).await;
    assert_eq!(rig.refused("messageservice.sender.add", sender).await.1, "ERROR_SENDER_ALREADY_INSTALLED");
    rig.ok("messageservice.sender.update", json!({"CODE": "wa_1", "NAME": "Other"})).await;
    rig.ok("messageservice.sender.list", json!({})).await;
    let id = rig.portal.send_sms("wa_1", "+15550001111", "Hello", Some(27)).unwrap();
    let posted = rig.bridge.next().await.body;
    same_shape("sms", &sample("events", "SMS"), &posted);
    assert!(posted["auth"].get("refresh_token").is_none());
    rig.portal.send_sms("wa_1", "+15550001111", "Hello", None);
    assert!(rig.bridge.next().await.body.get("auth").is_none(), "a robot's SMS has no auth");
    let update = |status: &str| json!({"CODE": "wa_1", "MESSAGE_ID": id, "STATUS": status});
    rig.ok("messageservice.message.status.update", update("delivered")).await;
    assert_eq!(rig.portal.sms_status(&id).as_deref(), Some("delivered"));
    let (_, code) = rig.refused("messageservice.message.status.update", update("read")).await;
    assert_eq!(code, "ERROR_MESSAGE_STATUS_INCORRECT");
    rig.ok("messageservice.sender.delete", json!({"CODE": "wa_1"})).await;
    rig.portal.stop().await;
}

#[tokio::test]
async fn the_switches_answer_only_this_machine() {
    let rig = Rig::new(free()).await;
    let url = format!("{}/_sim/faults", rig.portal.url());
    let set = |origin: &'static str| {
        let body = json!({"planned": [{"kind": "item_fails", "times": 2}], "duplicate_events": true});
        rig.http.post(&url).header("Origin", origin).json(&body).send()
    };
    assert_eq!(set("https://evil.example").await.unwrap().status(), 403);
    assert_eq!(rig.portal.faults(), Faults::default());
    assert_eq!(set("http://127.0.0.1:1").await.unwrap().status(), 200);
    assert!(rig.portal.faults().duplicate_events);
    assert_eq!(rig.portal.faults().planned[0].kind, FaultKind::ItemFails);
    let foreign = rig.http.get(&url).header("Host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let state = rig.http.get(format!("{}/_sim/state", rig.portal.url())).send().await.unwrap();
    assert_eq!(state.json::<Value>().await.unwrap()["member_id"], rig.portal.member_id());
    rig.portal.stop().await;
}

#[tokio::test]
async fn two_portals_live_side_by_side() {
    let (a, b): (SimPortal, SimPortal) = (portal(free()).await, portal(free()).await);
    assert_ne!((a.member_id(), a.url()), (b.member_id(), b.url()));
    a.stop().await;
    let answer = reqwest_get(&format!("{}profile", b.client_endpoint())).await;
    assert_eq!(answer.0, 401);
    b.stop().await;
}

#[tokio::test]
async fn a_line_that_does_not_work_refuses_messages() {
    let (rig, line) = Rig::with_line(free()).await;
    let call =
        async |line: &str| rig.refused("imconnector.send.messages", messages(line, vec![json!({})])).await;
    assert_eq!(call("999").await, (400, "NOT_ACTIVE_LINE".to_owned()));
    rig.portal.set_line(&line, "ACTIVE", "N");
    assert_eq!(call(&line).await, (400, "NOT_ACTIVE_LINE".to_owned()));
    let unknown = json!({"CONNECTOR": "WA_BRIDGE", "LINE": line, "MESSAGES": [{}]});
    let (status, code) = rig.refused("imconnector.send.messages", unknown).await;
    assert_eq!((status, code.as_str()), (400, "IMCONNECTOR_NO_CORRECT_PROVIDER"));
    let empty = json!({"CONNECTOR": "wa_bridge", "LINE": line, "MESSAGES": []});
    assert_eq!(rig.refused("imconnector.send.messages", empty).await.1, "ERROR_ARGUMENT");
    rig.portal.stop().await;
}

#[tokio::test]
async fn comments_of_the_timeline_and_files_of_the_disk_have_the_form_of_the_facts() {
    let rig = Rig::new(free()).await;
    rig.portal.set_scopes(&rig.app.client_id, &["crm", "disk"]);
    let fields = json!({"ENTITY_ID": 123, "ENTITY_TYPE": "contact", "COMMENT": "Sent by WhatsApp"});
    rig.ok("crm.timeline.comment.add", json!({"fields": fields})).await;
    assert_eq!(rig.portal.timeline().len(), 1);
    let file = SimFile { name: "a.pdf".into(), mime: "application/pdf".into(), bytes: b"pdf".to_vec() };
    let id = rig.portal.put_on_disk(file);
    let answer = rig.ok("disk.file.get", json!({"id": id})).await;
    assert_eq!(answer["NAME"], "a.pdf");
    rig.portal.stop().await;
}
