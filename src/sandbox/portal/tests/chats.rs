//! Messages both ways, files, history, changes.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::super::{Author, Faults, OperatorMessage, PortalOptions, SimError, SimFile, pull, quote};
use super::rig::{DEADLINE, PNG, Rig, free, message, messages, register, same_shape, sample};

const CHAT: &str = "15550001111";

fn png(name: &str) -> SimFile {
    SimFile { name: name.to_owned(), mime: "image/png".to_owned(), bytes: PNG.to_vec() }
}

#[tokio::test]
async fn the_same_message_sent_twice_stands_twice_in_one_chat() {
    let (rig, line) = Rig::with_line(free()).await;
    let first = rig.client_writes(&line, "wamid.1", "Hello").await;
    let second = rig.client_writes(&line, "wamid.1", "Hello").await;
    assert_eq!(first["session"], second["session"]);
    assert_eq!(first["chat"]["description"], "Link to the original post: https://wa.me/15550001111");
    let entries = rig.portal.conversation(&line, CHAT);
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|e| e.author == Author::Client && e.connector_mids == ["wamid.1"]));
    let chats = rig.portal.chats(&line);
    assert_eq!(chats[0].code, format!("wa_bridge|{line}|{CHAT}|{}", first["user"].as_str().unwrap()));
    assert_eq!(chats[0].client, ("Ivan".to_owned(), "Petrov".to_owned()));
    rig.portal.stop().await;
}

#[tokio::test]
async fn items_are_taken_in_order_with_a_verdict_each() {
    let (rig, line) = Rig::with_line(free()).await;
    let items = vec![message("1", "a"), message("2", ""), message("3", "c")];
    let (_, answer) = rig.call("imconnector.send.messages", messages(&line, items)).await;
    let results = &answer["result"]["DATA"]["RESULT"];
    assert_eq!((&answer["result"]["SUCCESS"], &results[1]["SUCCESS"]), (&json!(true), &json!(false)));
    let refused = json!({"SUCCESS": true, "DATA": {"RESULT": [results[1]]}});
    same_shape("refused", &sample("answers", "imconnector.send.messages refused"), &refused);
    let texts: Vec<_> = rig.portal.conversation(&line, CHAT).into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["a", "c"]);
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_changed_user_object_is_a_rewrite_of_the_profile() {
    let (rig, line) = Rig::with_line(free()).await;
    rig.client_writes(&line, "1", "a").await;
    rig.client_writes(&line, "2", "b").await;
    assert_eq!(rig.portal.profile_rewrites(&line, CHAT), 0);
    let mut changed = message("3", "c");
    changed["user"]["name"] = json!("Other");
    rig.ok("imconnector.send.messages", messages(&line, vec![changed])).await;
    assert_eq!(rig.portal.profile_rewrites(&line, CHAT), 1);
    rig.portal.stop().await;
}

#[tokio::test]
async fn files_are_pulled_inside_the_call_and_failed_ones_dropped_silently() {
    let (rig, line) = Rig::with_line(free()).await;
    let mut item = message("1", "caption");
    let url = |path: &str| format!("{}{path}", rig.bridge.url);
    item["message"]["files"] = json!([
        {"url": url("/moved")}, {"url": url("/missing")}, {"url": url("/picture"), "name": format!("{}.png", "n".repeat(80))},
    ]);
    let (_, answer) = rig.call("imconnector.send.messages", messages(&line, vec![item.clone()])).await;
    let result = &answer["result"]["DATA"]["RESULT"][0];
    assert_eq!(result["message"]["files"].as_array().unwrap().len(), 2);
    let entry = &rig.portal.conversation(&line, CHAT)[0];
    assert_eq!((entry.files[0].name.as_str(), entry.files[0].bytes.as_ref()), ("picture.png", PNG));
    assert_eq!(entry.files[1].name.chars().count(), 50);
    assert_eq!(*rig.bridge.agents.lock().unwrap(), ["Bitrix Connector Client"; 2]);

    item["message"] = json!({"id": "2", "files": [{"url": url("/missing")}]});
    let (_, answer) = rig.call("imconnector.send.messages", messages(&line, vec![item])).await;
    assert_eq!(answer["result"]["DATA"]["RESULT"][0]["SUCCESS"], false);
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_note_of_user_zero_stays_and_an_operators_message_echoes() {
    let (mut rig, line) = Rig::with_line(free()).await;
    for (id, user) in [("1", 0), ("2", 27)] {
        let mut item = message(id, id);
        item["message"]["user_id"] = json!(user);
        rig.ok("imconnector.send.messages", messages(&line, vec![item])).await;
    }
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.body;
    assert_eq!(event["data"]["MESSAGES"][0]["message"]["text"], "[b]Anna Lee:[/b] [br]2");
    let authors: Vec<_> = rig.portal.conversation(&line, CHAT).iter().map(|entry| entry.author).collect();
    assert_eq!(authors, [Author::System, Author::Operator]);
    rig.portal.stop().await;
}

#[tokio::test]
async fn an_operators_message_goes_out_as_documented_and_the_first_delivery_counts() {
    let (mut rig, line) = Rig::with_line(free()).await;
    rig.client_writes(&line, "1", "Hello").await;
    let id = rig.portal.operator_writes(&line, CHAT, "Hi [i]you[/i]", vec![]).unwrap();
    let posted = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await;
    let body = &posted.body;
    same_shape(
        "data",
        &sample("events", "ONIMCONNECTORMESSAGEADD")["MESSAGES"][0]["im"],
        &body["data"]["MESSAGES"][0]["im"],
    );
    same_shape("data", &sample("events", "ONIMCONNECTORMESSAGEADD"), &body["data"]);
    same_shape("auth", &sample("events", "auth"), &body["auth"]);
    assert_eq!(body["auth"]["application_token"], json!(rig.portal.application_token(&rig.app.client_id)));
    let im = body["data"]["MESSAGES"][0]["im"].clone();
    assert_eq!(im["message_id"], json!(id));
    let sending = |rig: &Rig| rig.portal.conversation(&line, CHAT)[1].sending;
    assert!(sending(&rig));
    let deliver = |mid: &str| {
        json!({"CONNECTOR": "wa_bridge", "LINE": line, "MESSAGES": [
            {"im": im, "message": {"id": [mid], "date": 1}, "chat": {"id": CHAT}}]})
    };
    rig.ok("imconnector.send.status.delivery", deliver("wamid.A")).await;
    rig.ok("imconnector.send.status.delivery", deliver("wamid.B")).await;
    rig.ok("imconnector.send.status.reading", deliver("wamid.B")).await;
    assert!(!sending(&rig));
    assert_eq!(rig.portal.conversation(&line, CHAT)[1].connector_mids, ["wamid.A"]);

    rig.portal.edit_message(&id, "better").unwrap();
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEUPDATE").await.body;
    same_shape("update", &sample("events", "ONIMCONNECTORMESSAGEUPDATE"), &event["data"]);
    assert_eq!(event["data"]["MESSAGES"][0]["message"]["text"], "[b]Anna Lee:[/b][br] better");
    rig.portal.delete_message(&id).unwrap();
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEDELETE").await.body;
    same_shape("delete", &sample("events", "ONIMCONNECTORMESSAGEDELETE"), &event["data"]);
    rig.portal.stop().await;
}

#[tokio::test]
async fn operators_files_are_served_without_login_by_signed_links() {
    let (mut rig, line) = Rig::with_line(free()).await;
    rig.client_writes(&line, "1", "Hello").await;
    let pdf = SimFile { name: "offer.pdf".into(), mime: "application/pdf".into(), bytes: vec![7; 35_341] };
    rig.portal.operator_writes(&line, CHAT, "", vec![pdf, png("a.png")]).unwrap();
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.body;
    let message = &event["data"]["MESSAGES"][0]["message"];
    assert_eq!(message["text"], "[b]Anna Lee:[/b] ");
    same_shape("file", &sample("events", "ONIMCONNECTORMESSAGEADD file"), &message["files"][0]);
    same_shape("image", &sample("events", "ONIMCONNECTORMESSAGEADD image"), &message["files"][1]);
    assert_eq!(message["files"][0]["sizef"], "34.51 KB");
    let link = message["files"][1]["link"].as_str().unwrap();
    assert!(link.ends_with("#img.png"));
    let follow = pull::client(Policy::limited(5)).unwrap();
    let get = |url: &str, agent: &'static str| follow.get(url).header("User-Agent", agent).send();
    assert_eq!(get(link, "bridge/1").await.unwrap().bytes().await.unwrap(), PNG);
    let direct = message["files"][1]["downloadLink"].as_str().unwrap();
    assert_eq!(get(direct, "bridge/1").await.unwrap().bytes().await.unwrap(), PNG);
    assert_eq!(get(direct, "").await.unwrap().status(), 404);
    let forged = direct.replace("SIGN=", "SIGN=0");
    assert_eq!(get(&forged, "bridge/1").await.unwrap().status(), 404);
    rig.portal.stop().await;
}

#[tokio::test]
async fn settings_of_the_connector_decide_what_is_sent() {
    let (mut rig, line) = Rig::with_line(free()).await;
    let mut plain = register();
    for flag in ["NEED_SIGNATURE", "NEED_SYSTEM_MESSAGES", "EDIT_INTERNAL_MESSAGES"] {
        plain[flag] = json!(false);
    }
    rig.client_writes(&line, "1", "Hello").await;
    rig.portal.automatic_message(&line, CHAT, "welcome").unwrap();
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.body;
    assert_eq!(event["data"]["MESSAGES"][0]["message"]["user_id"], "0");
    same_shape("auth", &sample("events", "auth without user"), &event["auth"]);

    rig.ok("imconnector.register", plain).await;
    rig.portal.automatic_message(&line, CHAT, "not sent").unwrap();
    rig.portal.operator_whispers(&line, CHAT, "hidden").unwrap();
    let text = quote("Ivan Petrov", "02.01.2026 12:00", None, "Hello", "answer");
    let two = ["x", &text].map(|text| OperatorMessage {
        external_chat_id: CHAT.to_owned(),
        text: text.to_owned(),
        files: vec![],
    });
    let ids = rig.portal.operator_writes_many(&line, two.to_vec()).unwrap();
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.body;
    let items = event["data"]["MESSAGES"].as_array().unwrap();
    assert_eq!((items.len(), &items[1]["message"]["text"]), (2, &json!(text)));
    assert_eq!(rig.portal.edit_message(&ids[0], "y"), Err(SimError::NotOffered));
    rig.portal.disconnect("wa_bridge", &line);
    assert_eq!(rig.portal.operator_writes(&line, CHAT, "x", vec![]), Err(SimError::LineDown(line.clone())));
    rig.portal.stop().await;
}

#[tokio::test]
async fn the_history_names_the_connectors_message_ids() {
    let (rig, line) = Rig::with_line(free()).await;
    let item = rig.client_writes(&line, "wamid.1", "Hello").await;
    let chat_id = &item["session"]["CHAT_ID"];
    let dialog = rig.ok("imopenlines.dialog.get", json!({"CHAT_ID": chat_id})).await;
    assert_eq!(dialog["entity_data_1"].as_str().unwrap().split('|').nth(5), item["session"]["ID"].as_str());
    for body in [json!({"CHAT_ID": chat_id}), json!({"SESSION_ID": item["session"]["ID"]})] {
        let (_, answer) = rig.call("imopenlines.session.history.get", body).await;
        let messages = answer["result"]["message"].as_object().unwrap();
        let only = messages.values().next().unwrap();
        same_shape("history", &sample("answers", "history message"), only);
        assert_eq!(only["params"]["connectorMid"], json!(["wamid.1"]));
    }
    let unknown = rig.refused("imopenlines.dialog.get", json!({"CHAT_ID": 1})).await;
    assert_eq!(unknown, (400, "ACCESS_ERROR".to_owned()));
    rig.portal.stop().await;
}

#[tokio::test]
async fn notes_stay_inside_and_other_messages_of_the_api_go_out() {
    let (mut rig, line) = Rig::with_line(free()).await;
    let item = rig.client_writes(&line, "1", "Hello").await;
    let dialog = format!("chat{}", item["session"]["CHAT_ID"].as_str().unwrap());
    rig.ok("im.message.add", json!({"DIALOG_ID": dialog, "MESSAGE": "note", "SYSTEM": "Y"})).await;
    rig.ok("im.message.add", json!({"DIALOG_ID": dialog, "MESSAGE": "out"})).await;
    let event = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.body;
    assert_eq!(event["data"]["MESSAGES"][0]["message"]["text"], "[b]Alex Admin:[/b] [br]out");
    rig.ok("im.notify.system.add", json!({"USER_ID": 1, "MESSAGE": "alarm"})).await;
    assert_eq!(rig.portal.notifications(), [(1, "alarm".to_owned())]);
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_client_changes_and_removes_a_message() {
    let (rig, line) = Rig::with_line(free()).await;
    rig.client_writes(&line, "m1", "old").await;
    let item = |message: Value| {
        messages(&line, vec![json!({"user": {"id": CHAT}, "message": message, "chat": {"id": CHAT}})])
    };
    rig.ok("imconnector.update.messages", item(json!({"id": "m1", "text": "new"}))).await;
    rig.ok("imconnector.update.messages", item(json!({"id": "unknown", "text": "x"}))).await;
    rig.ok("imconnector.delete.messages", item(json!({"id": "m1"}))).await;
    let entry = &rig.portal.conversation(&line, CHAT)[0];
    assert_eq!((entry.text.as_str(), entry.edited, entry.deleted), ("new", true, true));
    let rename =
        json!({"CONNECTOR": "wa_bridge", "LINE": line, "CHAT_ID": CHAT, "NAME": "Shop", "USER_ID": CHAT});
    rig.ok("imconnector.chat.name.set", rename).await;
    assert_eq!(rig.portal.chats(&line)[0].name, "Shop");
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_finished_dialog_opens_again_with_the_next_message() {
    let (mut rig, line) = Rig::with_line(free()).await;
    for event in ["OnImConnectorDialogStart", "OnImConnectorDialogFinish"] {
        let body = json!({"event": event, "handler": format!("{}/h", rig.bridge.url)});
        rig.ok("event.bind", body).await;
    }
    let first = rig.client_writes(&line, "1", "a").await;
    let start = rig.bridge.event("ONIMCONNECTORDIALOGSTART").await.body;
    same_shape("start", &sample("events", "ONIMCONNECTORDIALOGSTART"), &start["data"]);
    rig.portal.finish_dialog(&line, CHAT).unwrap();
    let finish = rig.bridge.event("ONIMCONNECTORDIALOGFINISH").await.body;
    assert_eq!(finish["data"]["DATA"][0]["session"]["closed"], "Y");
    let second = rig.client_writes(&line, "2", "b").await;
    assert_eq!(first["session"]["CHAT_ID"], second["session"]["CHAT_ID"]);
    assert_ne!(first["session"]["ID"], second["session"]["ID"]);
    rig.portal.stop().await;
}

#[tokio::test]
async fn an_event_is_sent_once_even_when_refused() {
    let (mut rig, line) = Rig::with_line(free()).await;
    rig.client_writes(&line, "1", "a").await;
    *rig.bridge.status.lock().unwrap() = 500;
    rig.portal.operator_writes(&line, CHAT, "lost", vec![]).unwrap();
    assert!(rig.portal.wait_until(DEADLINE, |portal| portal.events_waiting() == 0).await);
    *rig.bridge.status.lock().unwrap() = 200;
    rig.portal.operator_writes(&line, CHAT, "next", vec![]).unwrap();
    for text in ["lost", "next"] {
        let event = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.body;
        assert!(event["data"]["MESSAGES"][0]["message"]["text"].as_str().unwrap().ends_with(text));
    }
    assert!(
        rig.portal.wait_until(DEADLINE, |portal| portal.conversation(&line, CHAT)[2].event_answered).await
    );
    assert!(!rig.portal.conversation(&line, CHAT)[1].event_answered);
    assert!(!rig.portal.wait_until(Duration::ZERO, |_| false).await);
    rig.portal.stop().await;
}

#[tokio::test]
async fn the_test_aid_repeats_an_event_until_it_is_answered_200() {
    let (mut rig, line) =
        Rig::with_line(PortalOptions { events_wait_for_200: true, event_lanes: 4, ..free() }).await;
    rig.client_writes(&line, "1", "a").await;
    *rig.bridge.status.lock().unwrap() = 503;
    for text in ["x", "y"] {
        rig.portal.operator_writes(&line, CHAT, text, vec![]).unwrap();
    }
    rig.bridge.event("ONIMCONNECTORMESSAGEADD").await;
    rig.bridge.event("ONIMCONNECTORMESSAGEADD").await;
    assert_eq!(rig.portal.events_waiting(), 2);
    *rig.bridge.status.lock().unwrap() = 200;
    assert!(rig.portal.wait_until(DEADLINE, |portal| portal.events_waiting() == 0).await);
    assert!(rig.portal.conversation(&line, CHAT)[1..].iter().all(|entry| entry.event_answered));
    rig.portal.stop().await;
}

#[tokio::test]
async fn faults_of_events_are_seen_by_the_handler() {
    let (mut rig, line) = Rig::with_line(free()).await;
    rig.client_writes(&line, "1", "a").await;
    let faults = Faults {
        duplicate_events: true,
        wrong_application_token: true,
        events_without_tokens: true,
        ..Faults::default()
    };
    rig.portal.set_faults(faults);
    rig.portal.operator_writes(&line, CHAT, "x", vec![]).unwrap();
    let first = rig.bridge.event("ONIMCONNECTORMESSAGEADD").await;
    assert_eq!(first.raw, rig.bridge.event("ONIMCONNECTORMESSAGEADD").await.raw);
    same_shape("auth", &sample("events", "auth without user"), &first.body["auth"]);
    let right = rig.portal.application_token(&rig.app.client_id);
    assert_ne!(first.body["auth"]["application_token"], json!(right));
    rig.portal.stop().await;
}
