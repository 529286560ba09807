//! Calls and lines of the telephony.

use serde_json::json;

use super::super::{ADMIN, OPERATOR};
use super::rig::{Rig, free};

async fn rig() -> Rig {
    let rig = Rig::new(free()).await;
    let call = json!({"PHONE_NUMBER": "+16505551234"});
    let refused = rig.refused("telephony.externalCall.searchCrmEntities", call).await;
    assert_eq!(refused, (401, "insufficient_scope".to_owned()));
    rig.portal.grant(&rig.app.client_id, "telephony");
    rig
}

fn call(user: u64, external_id: &str) -> serde_json::Value {
    json!({"USER_ID": user, "PHONE_NUMBER": "+16505551234", "TYPE": 2, "LINE_NUMBER": "+15550783881",
           "CALL_START_DATE": "2026-01-02T12:00:00+00:00", "EXTERNAL_CALL_ID": external_id})
}

#[tokio::test]
async fn a_call_is_registered_shown_hidden_and_finished_once() {
    let rig = rig().await;
    let contact = rig.portal.add_crm_contact("Anna Lee", "+1 650 555-1234", OPERATOR);
    let found =
        rig.ok("telephony.externalCall.searchCrmEntities", json!({"PHONE_NUMBER": "+16505551234"})).await;
    assert_eq!(found[0]["ASSIGNED_BY_ID"], OPERATOR);
    let registered = rig.ok("telephony.externalCall.register", call(OPERATOR, "c1")).await;
    assert_eq!(registered["CRM_ENTITY_ID"], contact);
    let id = registered["CALL_ID"].as_str().unwrap();
    assert_eq!(rig.portal.cards()[0].shown_to, [OPERATOR], "SHOW is 1 unless said otherwise");
    let again = rig.ok("telephony.externalCall.register", call(OPERATOR, "c1")).await;
    assert_eq!(again["CALL_ID"], id, "the same within 30 minutes");
    assert_ne!(rig.ok("telephony.externalCall.register", call(OPERATOR, "c2")).await["CALL_ID"], id);
    rig.ok("telephony.externalCall.show", json!({"CALL_ID": id, "USER_ID": [ADMIN]})).await;
    rig.ok("telephony.externalCall.hide", json!({"CALL_ID": id, "USER_ID": OPERATOR})).await;
    assert_eq!(rig.portal.cards()[0].shown_to, [ADMIN]);
    let end = json!({"CALL_ID": id, "USER_ID": ADMIN, "DURATION": 30});
    rig.ok("telephony.externalCall.finish", end.clone()).await;
    assert_eq!(rig.portal.cards()[0].end.as_ref().unwrap().status_code, "200");
    let (status, answer) = rig.call("telephony.externalCall.finish", end).await;
    assert_eq!((status, &answer["error"]), (400, &json!("ERROR_CORE")));
    assert!(answer["error_description"].as_str().unwrap().starts_with("Call is not found"));
    let (_, answer) = rig.call("telephony.externalCall.show", json!({"CALL_ID": id, "USER_ID": 1})).await;
    assert_eq!(answer["result"], false, "a finished call is not found");
    let odd = json!({"CALL_ID": 5, "USER_ID": ADMIN});
    assert_eq!(rig.refused("telephony.externalCall.finish", odd).await, (400, "INVALID_ARGUMENT".into()));
    rig.portal.stop().await;
}

#[tokio::test]
async fn a_call_that_cannot_be_registered_is_refused_in_the_portals_words() {
    let rig = rig().await;
    for (change, words) in [
        (json!({"USER_ID": null}), "USER_ID or USER_PHONE_INNER should be set"),
        (json!({"TYPE": 9}), "Unknown TYPE"),
        (json!({"CALL_START_DATE": "yesterday"}), "CALL_START_DATE should be in the ISO-8601 format"),
        (json!({"PHONE_NUMBER": "anonymous"}), "Unsupported phone number format"),
        (json!({"USER_ID": 999}), "User is not found or is not active"),
    ] {
        let mut body = call(OPERATOR, "c1");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, answer) = rig.call("telephony.externalCall.register", body).await;
        assert_eq!((status, &answer["error"]), (400, &json!("ERROR_CORE")), "{words}");
        assert_eq!(answer["error_description"], words);
    }
    rig.portal.dismiss(OPERATOR);
    assert_eq!(rig.call("telephony.externalCall.register", call(OPERATOR, "c1")).await.0, 400);
    let mut lead = call(ADMIN, "c2");
    lead["CRM_CREATE"] = json!(1);
    lead["SHOW"] = json!(0);
    let (_, answer) = rig.call("telephony.externalCall.register", lead).await;
    assert_eq!(answer["result"]["CRM_ENTITY_TYPE"], "LEAD");
    assert!(rig.portal.cards()[0].shown_to.is_empty());
    rig.portal.stop().await;
}

#[tokio::test]
async fn lines_of_the_telephony_are_the_applications_own() {
    let rig = rig().await;
    let line = json!({"NUMBER": "+15550783881", "NAME": "WhatsApp"});
    rig.ok("telephony.externalLine.add", line.clone()).await;
    let (status, answer) = rig.call("telephony.externalLine.add", line).await;
    assert_eq!((status, &answer["error_description"]), (400, &json!("Line already exists")));
    let change = json!({"NUMBER": "+15550783881", "CRM_AUTO_CREATE": "N"});
    assert_eq!(rig.call("telephony.externalLine.update", change).await.0, 200);
    let lines = rig.ok("telephony.externalLine.get", json!({})).await;
    assert_eq!((&lines[0]["CRM_AUTO_CREATE"], &lines[0]["NAME"]), (&json!("N"), &json!("WhatsApp")));
    rig.ok("telephony.externalLine.delete", json!({"NUMBER": "+15550783881"})).await;
    assert!(rig.portal.phone_lines().is_empty());
    rig.portal.stop().await;
}
