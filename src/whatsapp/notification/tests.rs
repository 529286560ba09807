//! Payloads as the fact sheet gives them, and what becomes of them.

use serde_json::{Value, json};

use super::*;

const PHONE: &str = "106540352242922";

fn envelope(field: &str, value: Value) -> Value {
    json!({"object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"field": field, "value": value}]}]})
}

fn metadata() -> Value {
    json!({"display_phone_number": "15550783881", "phone_number_id": PHONE})
}

fn parse(body: &Value) -> Vec<Update> {
    Notification::parse(body.to_string().as_bytes()).unwrap().updates
}

fn only(body: &Value) -> Update {
    let mut updates = parse(body);
    assert_eq!(updates.len(), 1, "{updates:?}");
    updates.remove(0)
}

fn text_message(id: &str, from: &str) -> Value {
    json!({"from": from, "id": id, "timestamp": "1749416383", "type": "text", "text": {"body": "Hi"}})
}

fn only_message(value: Value) -> IncomingMessage {
    match only(&envelope("messages", value)) {
        Update::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn only_status(value: Value) -> StatusUpdate {
    match only(&envelope("messages", value)) {
        Update::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn only_field(field: &str, value: Value) -> FieldUpdate {
    match only(&envelope(field, value)) {
        Update::Field(field) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_envelope_of_the_facts_gives_its_message() {
    let body = br#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","time":1739321024,"changes":[{"field":"messages","value":{
 "messaging_product":"whatsapp",
 "metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},
 "contacts":[{"profile":{"name":"Sheena Nelson","username":"@sheena"},"wa_id":"16505551234",
   "user_id":"US.13491208655302741918","parent_user_id":"US.ENT.11815799212886844830","identity_key_hash":"DF2lS5v2W6x="}],
 "messages":[{"from":"16505551234","from_user_id":"US.13491208655302741918","id":"wamid.HBg=","timestamp":"1749416383","type":"text",
   "context":{"from":"15550783881","id":"wamid.ORIG"},"text":{"body":"Hi \u00e4\/ok"}}],
 "statuses":[], "errors":[]}}]}]}"#;
    let notification = Notification::parse(body).unwrap();
    let [Update::Message(message)] = notification.updates.as_slice() else {
        panic!("{notification:?}");
    };
    assert_eq!(message.waba_id.as_str(), "102290129340398");
    assert_eq!(message.phone_number_id.as_str(), PHONE);
    assert_eq!(message.display_phone_number.as_deref(), Some("15550783881"));
    assert_eq!(message.wamid.as_str(), "wamid.HBg=");
    assert_eq!(message.kind, "text");
    assert_eq!(message.timestamp, Some("2025-06-08T20:59:43Z".parse().unwrap()));
    assert_eq!(message.context_id, Some(Wamid::new("wamid.ORIG")));
    assert!(!message.standby);
    assert_eq!(
        message.sender,
        Person {
            wa_id: Some(WaId::new("16505551234")),
            user_id: Some(UserId::new("US.13491208655302741918")),
            parent_user_id: Some(UserId::new("US.ENT.11815799212886844830")),
            name: Some("Sheena Nelson".into()),
            username: Some("sheena".into()),
        }
    );
    assert!(message.raw.starts_with(r#"{"from":"16505551234""#));
    assert!(message.raw.contains(r"Hi \u00e4\/ok"), "the element travels on byte for byte");
}

#[test]
fn every_element_of_every_entry_and_change_is_taken_in_order() {
    let value = |n: u32| {
        json!({"metadata": metadata(),
            "messages": [text_message(&format!("m{n}a"), "1650"), text_message(&format!("m{n}b"), "1650")],
            "statuses": [{"id": format!("s{n}"), "status": "read"}],
            "errors": [{"code": 130429, "title": "Rate limit hit"}]})
    };
    let change = |n| json!({"field": "messages", "value": value(n)});
    let body = json!({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "changes": [change(1), change(2)]}, {"id": "2", "changes": [change(3)]}]});
    let told: Vec<String> = parse(&body)
        .iter()
        .map(|update| match update {
            Update::Message(message) => format!("{}:{}", message.waba_id, message.wamid),
            Update::Status(status) => format!("{}:{}", status.waba_id, status.wamid),
            Update::Error(error) => format!("{}:{}", error.waba_id, error.errors[0].code),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = "1:m1a 1:m1b 1:s1 1:130429 1:m2a 1:m2b 1:s2 1:130429 2:m3a 2:m3b 2:s3 2:130429";
    assert_eq!(told.join(" "), expected);
}

#[test]
fn a_person_without_number_is_known_by_the_scoped_id() {
    let message = only_message(json!({"metadata": metadata(),
        "contacts": [{"profile": {"username": "sheena"}, "user_id": "US.134", "wa_id": ""}],
        "messages": [{"from": "", "from_user_id": "US.134", "from_parent_user_id": "US.ENT.1",
            "id": "m", "timestamp": 1749416383, "type": "text"}]}));
    assert_eq!(message.sender.wa_id, None);
    assert_eq!(message.sender.user_id, Some(UserId::new("US.134")));
    assert_eq!(message.sender.parent_user_id, Some(UserId::new("US.ENT.1")));
    assert_eq!(message.sender.username.as_deref(), Some("sheena"));
    assert!(!message.sender.is_anonymous());
    assert!(message.timestamp.is_some());
}

#[test]
fn contacts_are_found_by_id_and_not_by_position() {
    let body = envelope(
        "messages",
        json!({"metadata": metadata(),
            "contacts": [{"wa_id": "2", "profile": {"name": "Two"}}, {"wa_id": "1", "profile": {"name": "One"}}],
            "messages": [text_message("a", "1"), text_message("b", "2"), text_message("c", "3")]}),
    );
    let names: Vec<_> = parse(&body)
        .into_iter()
        .map(|update| match update {
            Update::Message(message) => message.sender.name,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [Some("One".into()), Some("Two".into()), None]);
}

#[test]
fn the_only_contact_serves_unless_it_is_somebody_else() {
    // Brazil: the contact's id may lack the ninth digit; beside one message it is still the sender's.
    let message = only_message(json!({"metadata": metadata(),
        "contacts": [{"wa_id": "551112345678", "profile": {"name": "Ana"}}],
        "messages": [text_message("a", "5511912345678")]}));
    assert_eq!(message.sender.name.as_deref(), Some("Ana"));
    assert_eq!(message.sender.wa_id, Some(WaId::new("5511912345678")));

    let body = envelope(
        "messages",
        json!({"metadata": metadata(), "contacts": [{"wa_id": "1", "profile": {"name": "One"}}],
            "messages": [text_message("a", "1"), text_message("b", "2")]}),
    );
    let [Update::Message(first), Update::Message(second)] = &parse(&body)[..] else { panic!() };
    assert_eq!(first.sender.name.as_deref(), Some("One"));
    assert_eq!(second.sender.name, None);
}

#[test]
fn names_that_say_nothing_count_as_missing() {
    for name in [json!("~"), json!(""), json!("  "), json!(null)] {
        let message = only_message(json!({"metadata": metadata(),
            "contacts": [{"wa_id": "1", "profile": {"name": name}}], "messages": [text_message("a", "1")]}));
        assert_eq!(message.sender.name, None, "{name}");
    }
}

#[test]
fn a_name_cut_inside_an_emoji_loses_no_message() {
    let body =
        br#"{"entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"5"},
        "contacts":[{"wa_id":"1","profile":{"name":"Ann \ud83d"}}],
        "messages":[{"from":"1","id":"m","type":"text","text":{"body":"x"}}]}}]}]}"#;
    let notification = Notification::parse(body).unwrap();
    let [Update::Message(message)] = notification.updates.as_slice() else { panic!("{notification:?}") };
    assert!(message.sender.name.as_deref().unwrap().starts_with("Ann"));
}

#[test]
fn a_malformed_element_does_not_lose_its_neighbours() {
    let body = json!({"entry": ["not an entry", {"id": "1", "changes": [
        17,
        {"field": "messages"},
        {"field": "messages", "value": "text"},
        {"field": "messages", "value": {"metadata": metadata(), "contacts": 5,
            "messages": [7, [], {"type": "text"}, text_message("good", "1")],
            "statuses": [null, {"status": "sent"}, {"id": "s", "status": "sent", "errors": "no list"}]}},
    ]}]});
    let updates = parse(&body);
    let reasons: Vec<&str> = updates
        .iter()
        .filter_map(|update| match update {
            Update::Unreadable(unreadable) => Some(unreadable.reason),
            _ => None,
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "an entry is not an object",
            "a change is not an object",
            "a change has no value",
            "a value is not an object",
            "a message is not an object",
            "a message is not an object",
            "a message has no id",
            "a status is not an object",
            "a status has no id",
        ]
    );
    assert!(updates.iter().any(|update| matches!(update, Update::Message(m) if m.wamid.as_str() == "good")));
    assert!(updates.iter().any(|update| matches!(update, Update::Status(s) if s.wamid.as_str() == "s")));
}

#[test]
fn a_message_without_its_phone_is_unreadable_and_kept() {
    let body = envelope("messages", json!({"messages": [text_message("a", "1")]}));
    let Update::Unreadable(unreadable) = only(&body) else { panic!() };
    assert_eq!(unreadable.reason, "a message has no phone_number_id");
    assert_eq!(unreadable.waba_id, Some(WabaId::new("102290129340398")));
    assert_eq!(unreadable.field.as_deref(), Some("messages"));
    assert!(unreadable.raw.contains(r#""body":"Hi""#));
}

#[test]
fn what_is_no_notification_is_an_error() {
    assert!(matches!(Notification::parse(b"{\"entry\":["), Err(NotificationError::Json(_))));
    assert!(matches!(Notification::parse(b"\xff\xfe"), Err(NotificationError::Json(_))));
    assert!(matches!(Notification::parse(b"[]"), Err(NotificationError::NoEntries)));
    assert!(matches!(Notification::parse(b"{}"), Err(NotificationError::NoEntries)));
    let empty = Notification::parse(br#"{"object":"whatsapp_business_account","entry":[]}"#).unwrap();
    assert!(empty.updates.is_empty());
}

#[test]
fn the_dashboard_test_button_is_an_ordinary_message() {
    let message = only_message(json!({"messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "16505551111", "phone_number_id": "123456123"},
        "contacts": [{"profile": {"name": "test user name"}, "wa_id": "16315551181"}],
        "messages": [{"from": "16315551181", "id": "ABGGFlA5Fpa", "timestamp": "1504902988", "type": "text",
            "text": {"body": "this is a text message"}}]}));
    assert_eq!(message.phone_number_id.as_str(), "123456123");
    assert_eq!(message.wamid.as_str(), "ABGGFlA5Fpa");
}

#[test]
fn a_message_without_type_is_of_unknown_kind() {
    let message = only_message(json!({"metadata": metadata(), "messages": [{"id": "m", "from": "1"}]}));
    assert_eq!(message.kind, "unknown");
    assert_eq!(message.timestamp, None);
}

#[test]
fn a_system_message_needs_no_contacts() {
    let message = only_message(json!({"metadata": metadata(), "messages": [{"type": "system", "id": "m",
        "from": "16505551234", "system": {"type": "user_changed_number", "wa_id": "12195555358"}}]}));
    assert_eq!(message.kind, "system");
    assert_eq!(message.sender.wa_id, Some(WaId::new("16505551234")));
}

#[test]
fn a_status_tells_state_mark_and_recipient() {
    let status = only_status(json!({"metadata": metadata(), "statuses": [{"id": "wamid.A", "status": "sent",
        "timestamp": "1750030073", "recipient_id": "16505551234", "recipient_user_id": "US.134",
        "parent_recipient_user_id": "US.ENT.1", "recipient_parent_user_id": "US.ENT.1",
        "biz_opaque_callback_data": "outbox:42",
        "conversation": {"id": "72b", "origin": {"type": "marketing"}},
        "pricing": {"billable": true, "pricing_model": "PMP"}}]}));
    assert_eq!(status.state, Some(DeliveryState::Sent));
    assert_eq!(status.opaque.as_deref(), Some("outbox:42"));
    assert_eq!(status.recipient.wa_id, Some(WaId::new("16505551234")));
    assert_eq!(status.recipient.parent_user_id, Some(UserId::new("US.ENT.1")));
    assert!(status.errors.is_empty());
}

#[test]
fn a_failure_tells_its_errors_in_every_shape() {
    let status =
        only_status(json!({"metadata": metadata(), "statuses": [{"id": "wamid.A", "status": "failed",
        "recipient_parent_user_id": "US.ENT.2",
        "errors": [
            {"code": 131050, "title": "Stopped", "message": "m", "error_data": {"details": "User stopped"}},
            {"code": "131053", "title": "Media", "error_data": "plain text"},
            {"title": "no code"}]}]}));
    assert_eq!(status.state, Some(DeliveryState::Failed));
    assert_eq!(status.recipient.parent_user_id, Some(UserId::new("US.ENT.2")));
    let told: Vec<_> = status.errors.iter().map(|error| (error.code, error.details.as_deref())).collect();
    assert_eq!(told, [(131050, Some("User stopped")), (131053, Some("plain text")), (0, None)]);
}

#[test]
fn words_that_are_no_state_change_nothing() {
    for word in ["deleted", "warning", "accepted", "pending", ""] {
        let status = only_status(json!({"metadata": metadata(), "statuses": [{"id": "a", "status": word}]}));
        assert_eq!((status.state, status.state_text.as_str()), (None, word));
    }
}

#[test]
fn an_account_error_stands_without_messages() {
    let body = envelope(
        "messages",
        json!({"metadata": metadata(), "errors": [{"code": 130429, "title": "Rate limit hit",
            "message": "Rate limit hit", "error_data": {"details": "slow down"}, "href": "https://example.com"}]}),
    );
    let Update::Error(error) = only(&body) else { panic!() };
    assert_eq!(error.phone_number_id, Some(PhoneNumberId::new(PHONE)));
    assert_eq!(error.errors[0].code, 130429);
    assert!(error.raw.starts_with('['));
}

#[test]
fn an_echo_of_the_phone_app_goes_to_its_recipient() {
    let body = envelope(
        "smb_message_echoes",
        json!({"metadata": metadata(), "contacts": [{"wa_id": "16505551234", "profile": {"name": "Ann"}}],
            "message_echoes": [{"from": "15550783881", "to": "16505551234", "to_user_id": "US.1",
                "id": "wamid.E", "timestamp": "1739321024", "type": "text", "text": {"body": "x"}}]}),
    );
    let Update::Echo(echo) = only(&body) else { panic!() };
    assert!(!echo.standby);
    assert_eq!(echo.recipient.wa_id, Some(WaId::new("16505551234")));
    assert_eq!(echo.recipient.user_id, Some(UserId::new("US.1")));
    assert_eq!(echo.recipient.name.as_deref(), Some("Ann"));
}

#[test]
fn standby_is_read_in_the_value_and_in_its_nested_object() {
    let contacts = json!([{"wa_id": "1", "profile": {"name": "Ann"}}]);
    let flat = json!({"metadata": metadata(), "contacts": contacts, "messages": [text_message("a", "1")]});
    let nested = json!({"metadata": metadata(), "contacts": contacts,
        "standby": {"messages": [text_message("a", "1")]}});
    let own_metadata = json!({"standby": {"metadata": metadata(), "contacts": contacts,
        "messages": [text_message("a", "1")]}});
    for value in [flat, nested, own_metadata] {
        let Update::Message(message) = only(&envelope("standby", value)) else { panic!() };
        assert!(message.standby);
        assert_eq!(message.phone_number_id.as_str(), PHONE);
        assert_eq!(message.sender.name.as_deref(), Some("Ann"));
    }
    let echoes = json!({"metadata": metadata(), "standby": {"message_echoes": [{"id": "e", "to": "1"}],
        "statuses": [{"id": "s", "status": "read"}]}});
    let updates = parse(&envelope("standby", echoes));
    assert!(matches!(&updates[..], [Update::Echo(echo), Update::Status(_)] if echo.standby), "{updates:?}");
}

#[test]
fn history_and_groups_are_kept_and_are_no_messages() {
    let history =
        only_field("history", json!({"metadata": metadata(), "messages": [text_message("a", "1")]}));
    assert_eq!((history.field.as_str(), &history.change), ("history", &FieldChange::Other));
    assert_eq!(history.phone_number_id, Some(PhoneNumberId::new(PHONE)));
    assert!(history.raw.contains("\"messages\""));

    let mut message = text_message("a", "1");
    message["group_id"] = json!("HBgL");
    let group = only_field("messages", json!({"metadata": metadata(), "messages": [message]}));
    assert_eq!(group.change, FieldChange::Other);
    assert!(group.raw.contains("HBgL"));

    let status = json!({"id": "s", "status": "sent", "recipient_type": "group", "recipient_id": "HBgL"});
    let group = only_field("messages", json!({"metadata": metadata(), "statuses": [status]}));
    assert!(group.raw.contains("HBgL"));
}

#[test]
fn a_value_of_messages_with_nothing_known_is_kept() {
    let kept = only_field("messages", json!({"metadata": metadata(), "news": [1]}));
    assert_eq!(kept.change, FieldChange::Other);
    assert!(kept.raw.contains("news"));
}

#[test]
fn account_updates_tell_what_they_mean_for_the_line() {
    let cases = [
        (json!({"event": "ACCOUNT_DELETED"}), None, true, false),
        (
            json!({"event": "DISABLED_UPDATE",
                "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "April 17, 2025"}}),
            Some("DISABLE, April 17, 2025"),
            true,
            false,
        ),
        (
            json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}),
            Some("REINSTATE"),
            false,
            true,
        ),
        (
            json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [
                {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1},
                {"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}]}),
            Some("RESTRICTED_BIZ_INITIATED_MESSAGING, RESTRICTED_ADD_PHONE_NUMBER_ACTION"),
            false,
            false,
        ),
        (
            json!({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}}),
            Some("ADULT"),
            false,
            false,
        ),
        (json!({"event": "ACCOUNT_OFFBOARDED"}), None, true, false),
        (json!({"event": "ACCOUNT_RECONNECTED"}), None, false, true),
    ];
    for (value, expected, disconnects, reconnects) in cases {
        let update = only_field("account_update", value);
        assert_eq!(update.change.disconnects(), disconnects, "{update:?}");
        assert_eq!(update.change.reconnects(), reconnects, "{update:?}");
        let FieldChange::AccountUpdate { detail, .. } = update.change else { panic!() };
        assert_eq!(detail.as_deref(), expected);
        assert_eq!(update.waba_id, Some(WabaId::new("102290129340398")));
    }
}

#[test]
fn a_partner_event_names_its_account_inside() {
    let update = only_field(
        "account_update",
        json!({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": "77", "owner_business_id": "9"},
            "disconnection_info": {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}}),
    );
    assert_eq!(update.waba_id, Some(WabaId::new("77")));
    assert!(update.change.disconnects());
}

#[test]
fn a_field_beside_its_place_is_still_found() {
    let body = json!({"entry": [{"id": "1", "field": "account_update",
        "changes": [{"value": {"event": "PARTNER_APP_INSTALLED"}}]}]});
    let Update::Field(update) = only(&body) else { panic!() };
    assert_eq!(update.field, "account_update");
    let body = json!({"entry": [{"id": "1", "changes": [{"value": {"event": "X"}}]}]});
    let Update::Field(update) = only(&body) else { panic!() };
    assert_eq!((update.field.as_str(), update.change), ("unknown", FieldChange::Other));
}

#[test]
fn the_fields_about_numbers_are_read() {
    let display_phone_number = "15550783881".to_owned();
    let quality = only_field(
        "phone_number_quality_update",
        json!({"display_phone_number": "15550783881", "event": "THROUGHPUT_UPGRADE",
            "current_limit": "TIER_UNLIMITED", "max_daily_conversations_per_business": -1}),
    );
    assert_eq!(
        quality.change,
        FieldChange::PhoneNumberQuality {
            display_phone_number: display_phone_number.clone(),
            event: "THROUGHPUT_UPGRADE".into(),
            old_limit: None,
            current_limit: Some("TIER_UNLIMITED".into()),
            max_daily_conversations: Some("-1".into()),
        }
    );
    let name = only_field(
        "phone_number_name_update",
        json!({"display_phone_number": "15550783881", "decision": "APPROVED",
            "requested_verified_name": "Lucky Shrub", "rejection_reason": null}),
    );
    assert_eq!(
        name.change,
        FieldChange::PhoneNumberName {
            display_phone_number: display_phone_number.clone(),
            decision: "APPROVED".into(),
            requested_verified_name: Some("Lucky Shrub".into()),
            rejection_reason: None,
        }
    );
    let security = only_field(
        "security",
        json!({"display_phone_number": "15550783881", "event": "PIN_RESET_REQUEST", "requester": "61555822107539"}),
    );
    assert_eq!(
        security.change,
        FieldChange::Security {
            display_phone_number,
            event: "PIN_RESET_REQUEST".into(),
            requester: Some("61555822107539".into()),
        }
    );
}

#[test]
fn user_preferences_name_the_person_and_the_wish() {
    let update = only_field(
        "user_preferences",
        json!({"messaging_product": "whatsapp", "metadata": metadata(),
            "contacts": [{"wa_id": "16505551234", "profile": {"name": "Ann"}}],
            "user_preferences": [{"wa_id": "16505551234", "user_id": "US.1", "detail": "User requested to stop",
                "category": "marketing_messages", "value": "stop", "timestamp": 1731705721}]}),
    );
    assert_eq!(update.phone_number_id, Some(PhoneNumberId::new(PHONE)));
    let FieldChange::UserPreference(preferences) = update.change else { panic!() };
    let [preference] = preferences.as_slice() else { panic!() };
    assert_eq!(preference.person.user_id, Some(UserId::new("US.1")));
    assert_eq!(preference.person.name.as_deref(), Some("Ann"));
    assert_eq!((preference.category.as_str(), preference.value.as_str()), ("marketing_messages", "stop"));
    assert!(preference.timestamp.is_some());
}

#[test]
fn all_other_fields_are_kept_whole() {
    for field in
        ["message_template_status_update", "smb_app_state_sync", "messaging_handovers", "calls", "brand_new"]
    {
        let update = only_field(field, json!({"event": "APPROVED", "n": 17, "messages": [1]}));
        assert_eq!((update.field.as_str(), &update.change), (field, &FieldChange::Other));
        assert!(update.raw.contains("17"));
    }
}

#[test]
fn a_thousand_updates_in_one_body_are_taken() {
    let messages: Vec<Value> = (0..1000).map(|n| text_message(&format!("m{n}"), "1")).collect();
    let updates = parse(&envelope("messages", json!({"metadata": metadata(), "messages": messages})));
    assert_eq!(updates.len(), 1000);
    assert!(matches!(&updates[999], Update::Message(message) if message.wamid.as_str() == "m999"));
}

#[test]
fn deep_nesting_is_no_crash() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"entry":[{{"id":"1","changes":[{{"field":"x","value":{deep}}}]}}]}}"#);
    let _ = Notification::parse(body.as_bytes());
}
