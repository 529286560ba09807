//! Events as the facts give them.

use serde_json::json;

use super::*;
use crate::bitrix::form::{FormLimits, parse_form};

fn decode(body: &str) -> PortalEvent {
    let value = parse_form(body.as_bytes(), FormLimits::default()).unwrap();
    PortalEvent::decode(&value).unwrap()
}

const MESSAGE_ADD: &str = "event=OnImConnectorMessageAdd&event_handler_id=555&data[CONNECTOR]=wa_bridge\
    &data[LINE]=107&data[MESSAGES][0][im][chat_id]=1807&data[MESSAGES][0][im][message_id]=86497\
    &data[MESSAGES][0][message][user_id]=27\
    &data[MESSAGES][0][message][text]=%5Bb%5DAnna%20Lee%3A%5B%2Fb%5D+%5Bbr%5DHello\
    &data[MESSAGES][0][message][files][0][name]=offer.png&data[MESSAGES][0][message][files][0][type]=image\
    &data[MESSAGES][0][message][files][0][mime]=image/png\
    &data[MESSAGES][0][message][files][0][link]=https://portal.example/~AbCdE%23img.png\
    &data[MESSAGES][0][message][files][0][downloadLink]=\
    &data[MESSAGES][0][message][files][0][size]=35341&data[MESSAGES][0][message][files][0][sizef]=34.51 KB\
    &data[MESSAGES][0][chat][id]=79990000000&ts=1773759161&auth[access_token]=secret-a\
    &auth[expires]=1773762761&auth[expires_in]=3600&auth[scope]=imopenlines,im&auth[domain]=portal.example\
    &auth[server_endpoint]=https://oauth.bitrix.info/rest/&auth[status]=L\
    &auth[client_endpoint]=https://portal.example/rest/&auth[member_id]=0123abc&auth[user_id]=27\
    &auth[application_token]=secret-b";

#[test]
fn an_operators_message_is_read_with_its_files() {
    let event = decode(MESSAGE_ADD);
    assert_eq!(event.name, "ONIMCONNECTORMESSAGEADD");
    assert_eq!(event.ts, Some(1_773_759_161));
    assert_eq!(event.auth.member_id, Some(MemberId::from("0123abc")));
    assert_eq!(event.auth.expires_in, Some(3600));
    assert_eq!(event.auth.application_token, Some(Secret::from("secret-b")));
    assert_eq!(event.auth.refresh_token, None);
    let EventBody::MessageAdd { connector, line, items, unreadable } = event.body else { panic!() };
    assert_eq!((connector.as_str(), line.as_str(), unreadable), ("wa_bridge", "107", 0));
    let [message] = items.as_slice() else { panic!() };
    assert_eq!(message.im_message_id.as_str(), "86497");
    assert_eq!(message.text, "[b]Anna Lee:[/b] [br]Hello");
    assert!(!message.is_automatic());
    let [file] = message.files.as_slice() else { panic!() };
    assert_eq!((file.kind, file.size), (FileKind::Image, Some(35_341)));
    assert_eq!(file.address(), Some("https://portal.example/~AbCdE"));
}

#[test]
fn a_decoded_event_never_shows_its_tokens() {
    let event = decode(MESSAGE_ADD);
    assert!(!format!("{event:?}").contains("secret-"));
}

#[test]
fn json_with_numbers_reads_like_the_form() {
    let event = json!({"event": "ONIMCONNECTORMESSAGEADD", "data": {"connector": "c", "line": 107,
        "messages": {"0": {"im": {"chat_id": 1, "message_id": 2}, "chat": {"id": 3}, "message": {"user_id": 0}}}}});
    let event = PortalEvent::decode(&event).unwrap();
    let EventBody::MessageAdd { line, items, .. } = event.body else { panic!() };
    assert_eq!(line.as_str(), "107");
    assert!(items[0].is_automatic() && items[0].text.is_empty() && items[0].files.is_empty());
    assert_eq!(event.auth, EventAuth::default());
}

#[test]
fn an_element_without_ids_is_counted_not_hidden() {
    let event = decode(
        "event=ONIMCONNECTORMESSAGEADD&data[CONNECTOR]=c&data[LINE]=1\
         &data[MESSAGES][0][im][message_id]=5&data[MESSAGES][1][im][message_id]=6&data[MESSAGES][1][chat][id]=x",
    );
    let EventBody::MessageAdd { items, unreadable, .. } = event.body else { panic!() };
    assert_eq!((items.len(), unreadable), (1, 1));
}

#[test]
fn the_ids_of_update_are_a_list_and_of_delete_a_text() {
    let common = "data[CONNECTOR]=c&data[LINE]=1&data[MESSAGES][0][im][chat_id]=9\
        &data[MESSAGES][0][im][message_id]=5&data[MESSAGES][0][chat][id]=x";
    let update = decode(&format!(
        "event=ONIMCONNECTORMESSAGEUPDATE&{common}&data[MESSAGES][0][message][id][0]=wamid.A%3D\
         &data[MESSAGES][0][message][id][1]=wamid.B&data[MESSAGES][0][message][text]=new"
    ));
    let EventBody::MessageUpdate { items, .. } = update.body else { panic!() };
    assert_eq!(items[0].wamids, vec![Wamid::from("wamid.A="), Wamid::from("wamid.B")]);
    let delete = decode(&format!(
        "event=ONIMCONNECTORMESSAGEDELETE&{common}&data[MESSAGES][0][message][id]=wamid.A%3D"
    ));
    let EventBody::MessageDelete { items, .. } = delete.body else { panic!() };
    assert_eq!(items[0].wamid, Some(Wamid::from("wamid.A=")));
}

#[test]
fn dialogs_name_session_and_chat() {
    let event = decode(
        "event=ONIMCONNECTORDIALOGFINISH&data[CONNECTOR]=c&data[LINE]=1\
         &data[DATA][0][connector][connector_id]=c&data[DATA][0][connector][chat_id]=x\
         &data[DATA][0][session][id]=323&data[DATA][0][session][closed]=Y&data[DATA][0][user][id]=585",
    );
    let EventBody::DialogFinish { items, .. } = event.body else { panic!() };
    assert_eq!(items, vec![Dialog { session_id: "323".into(), chat_id: "x".into(), closed: true }]);
}

#[test]
fn lines_and_connectors_that_go_are_read_in_either_case() {
    let gone = decode("event=ONIMCONNECTORSTATUSDELETE&data[connector]=c&data[line]=107").body;
    assert_eq!(gone, EventBody::StatusDelete { connector: "c".into(), line: "107".into() });
    for body in ["data=107", "data[]=107", "data[LINE]=107"] {
        let gone = decode(&format!("event=ONIMCONNECTORLINEDELETE&{body}")).body;
        assert_eq!(gone, EventBody::LineDelete { line: "107".into() }, "{body}");
    }
}

#[test]
fn the_life_of_the_app_is_read() {
    let install =
        decode("event=ONAPPINSTALL&data[VERSION]=1&data[ACTIVE]=Y&data[INSTALLED]=Y&data[LANGUAGE_ID]=ru");
    assert_eq!(
        install.body,
        EventBody::Install {
            version: Some("1".into()),
            active: true,
            installed: true,
            language: Some("ru".into())
        }
    );
    let gone = decode("event=ONAPPUNINSTALL&data[LANGUAGE_ID]=en&data[CLEAN]=1&auth[application_token]=t");
    assert_eq!(gone.body, EventBody::Uninstall { clean: true, language: Some("en".into()) });
    assert_eq!(gone.auth.access_token, None);
    assert_eq!(decode("event=OnCrmDealAdd&data[FIELDS][ID]=1").body, EventBody::Other);
}

#[test]
fn what_is_no_event_is_refused_with_its_reason() {
    assert_eq!(PortalEvent::decode(&json!({})), Err(EventError::NoName));
    assert_eq!(PortalEvent::decode(&json!([1])), Err(EventError::NoName));
    let error = PortalEvent::decode(&json!({"event": "ONIMCONNECTORSTATUSDELETE", "data": []}));
    assert_eq!(error.unwrap_err().to_string(), "the event ONIMCONNECTORSTATUSDELETE lacks the connector");
}
