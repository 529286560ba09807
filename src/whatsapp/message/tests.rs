//! Every incoming kind of the fact sheet, and what is left of it when parts are missing.

use serde_json::json;

use super::super::*;

fn content_of(message: Value) -> Content {
    message_of(message).content
}

fn message_of(mut message: Value) -> WireMessage {
    message["id"] = json!("wamid.1");
    WireMessage::parse(&message.to_string()).unwrap()
}

#[test]
fn the_common_keys_of_a_text_are_read() {
    let message = WireMessage::parse(
        r#"{"from":"16505551234","from_user_id":"US.134","id":"wamid.A","timestamp":"1749416383","type":"text",
            "text":{"body":"Hi"},"context":{"from":"15550783881","id":"wamid.Q"},"group_id":"G"}"#,
    )
    .unwrap();
    assert_eq!(message.id, Wamid::from("wamid.A"));
    assert_eq!(message.from, Some(WaId::from("16505551234")));
    assert_eq!(message.from_user_id, Some(UserId::from("US.134")));
    assert_eq!(message.timestamp.unwrap().timestamp(), 1749416383);
    assert_eq!(message.content, Content::Text { body: "Hi".into() });
    assert_eq!(message.refers_to(), Some(&Wamid::from("wamid.Q")));
    assert_eq!(message.group_id.as_deref(), Some("G"));
}

#[test]
fn a_message_without_any_phone_number_is_read() {
    let message =
        message_of(json!({"from": "", "from_user_id": "US.1", "type": "text", "text": {"body": "x"}}));
    assert_eq!((message.from, message.from_user_id), (None, Some(UserId::from("US.1"))));
}

#[test]
fn an_echo_names_its_receiver() {
    let echo = message_of(json!({"from": "15550783881", "to": "16505551234", "to_user_id": "US.1",
        "timestamp": 1739321024, "type": "text", "text": {"body": "x"}}));
    assert_eq!(echo.to, Some(WaId::from("16505551234")));
    assert_eq!(echo.to_user_id, Some(UserId::from("US.1")));
    assert_eq!(echo.timestamp.unwrap().timestamp(), 1739321024);
}

#[test]
fn only_text_that_is_no_message_at_all_is_an_error() {
    assert!(matches!(WireMessage::parse("{"), Err(MessageError::Json(_))));
    assert!(matches!(WireMessage::parse("[]"), Err(MessageError::NotAnObject)));
    assert!(matches!(WireMessage::parse(r#"{"type":"text"}"#), Err(MessageError::NoId)));
}

#[test]
fn every_media_kind_is_read() {
    let file = json!({"id": 1003383421387256_i64, "mime_type": "audio/ogg; codecs=opus", "sha256": "SfI=",
        "caption": "c", "filename": "a.pdf", "url": "https://lookaside.example/1", "voice": true, "animated": true});
    let media = Media {
        id: Some(MediaId::from("1003383421387256")),
        mime_type: Some("audio/ogg; codecs=opus".into()),
        sha256: Some("SfI=".into()),
        caption: Some("c".into()),
        filename: Some("a.pdf".into()),
        url: Some("https://lookaside.example/1".into()),
        voice: true,
        animated: true,
    };
    type Wrap = fn(Media) -> Content;
    let wrap: [(&str, Wrap); 5] = [
        ("image", Content::Image),
        ("video", Content::Video),
        ("audio", Content::Audio),
        ("document", Content::Document),
        ("sticker", Content::Sticker),
    ];
    for (kind, wrap) in wrap {
        assert_eq!(content_of(json!({"type": kind, kind: file})), wrap(media.clone()));
    }
}

#[test]
fn location_and_contacts_are_read_with_any_part_missing() {
    let location =
        content_of(json!({"type": "location", "location": {"latitude": "37.5", "longitude": -122.25}}));
    assert_eq!(location, Content::Location(Location { point: Some((37.5, -122.25)), ..Location::default() }));
    let Content::Contacts(cards) = content_of(json!({"type": "contacts", "contacts": [
        {"name": {"formatted_name": "Barbara J. Johnson", "first_name": "Barbara"},
         "phones": [{"phone": "+16505559999", "wa_id": "16505559999", "type": "HOME"}, {"wa_id": "1650"}, {}],
         "emails": [{"email": "b@example.com"}], "addresses": [{"street": "1 Hacker Way", "city": "Menlo Park"}],
         "org": {"company": "Acme", "title": "Boss"}, "urls": [{"url": "https://example.com"}],
         "birthday": "1999-01-23", "origin": "contact_request"},
        {"name": {"first_name": "Ann", "last_name": "Lee"}}, {}]}))
    else {
        panic!("not contacts")
    };
    assert_eq!(cards.len(), 3);
    assert_eq!(cards[0].phones.len(), 2);
    assert_eq!(cards[0].phones[1].phone, "+1650");
    assert_eq!(cards[0].organisation.as_deref(), Some("Acme, Boss"));
    assert_eq!(cards[0].addresses, ["1 Hacker Way, Menlo Park"]);
    assert!(cards[0].is_own);
    assert_eq!(cards[1].name.as_deref(), Some("Ann Lee"));
    assert_eq!(cards[2], ContactCard::default());
}

#[test]
fn every_interactive_reply_is_read() {
    let reply = |inner: Value| content_of(json!({"type": "interactive", "interactive": inner}));
    assert_eq!(
        reply(json!({"type": "button_reply", "button_reply": {"id": "change", "title": "Change"}})),
        Content::ButtonReply { id: Some("change".into()), title: Some("Change".into()) }
    );
    assert_eq!(
        reply(
            json!({"type": "list_reply", "list_reply": {"id": "p", "title": "Mail", "description": "Next day"}})
        ),
        Content::ListReply {
            id: Some("p".into()),
            title: Some("Mail".into()),
            description: Some("Next day".into())
        }
    );
    assert_eq!(
        reply(json!({"type": "nfm_reply",
            "nfm_reply": {"name": "flow", "body": "Sent", "response_json": "{\"k\":\"v\"}"}})),
        Content::FlowReply {
            name: Some("flow".into()),
            body: Some("Sent".into()),
            response: json!({"k": "v"})
        }
    );
    assert_eq!(
        reply(json!({"type": "nfm_reply", "nfm_reply": {"response_json": "{broken"}})),
        Content::FlowReply { name: None, body: None, response: json!("{broken") }
    );
    assert_eq!(
        reply(json!({"type": "call_permission_reply", "call_permission_reply":
            {"response": "accept", "is_permanent": false, "expiration_timestamp": 1745343479}})),
        Content::CallPermission {
            response: "accept".into(),
            permanent: false,
            expires: DateTime::from_timestamp(1745343479, 0)
        }
    );
    assert_eq!(reply(json!({"type": "product", "product": {}})), Content::Unknown { kind: "product".into() });
}

#[test]
fn buttons_reactions_and_orders_are_read() {
    assert_eq!(
        content_of(json!({"type": "button", "button": {"payload": "STOP", "text": "Unsubscribe"}})),
        Content::Button { text: Some("Unsubscribe".into()), payload: Some("STOP".into()) }
    );
    let message_id = Wamid::from("wamid.O");
    for (emoji, expected) in [(json!("😮"), Some("😮")), (json!(""), None), (json!(null), None)] {
        assert_eq!(
            content_of(json!({"type": "reaction", "reaction": {"message_id": "wamid.O", "emoji": emoji}})),
            Content::Reaction { message_id: message_id.clone(), emoji: expected.map(str::to_owned) }
        );
    }
    let Content::Order(order) = content_of(
        json!({"type": "order", "order": {"catalog_id": "1949", "text": "Love!",
        "product_items": [{"product_retailer_id": "di9", "quantity": "2", "item_price": 30.5, "currency": "USD"}, 7]}}),
    ) else {
        panic!("not an order")
    };
    assert_eq!(order.items.len(), 1);
    assert_eq!((order.items[0].quantity, order.items[0].price), (Some(2.0), Some(30.5)));
}

#[test]
fn system_messages_are_read_under_their_old_names_too() {
    let system = |part: Value| match content_of(json!({"type": "system", "from": "1650", "system": part})) {
        Content::System(system) => system,
        other => panic!("{other:?}"),
    };
    let changed = system(json!({"type": "user_changed_number", "body": "b", "wa_id": "1219",
        "user_id": "US.NEW", "previous_user_id": "US.OLD"}));
    assert_eq!(changed.wa_id, Some(WaId::from("1219")));
    assert_eq!(changed.user_id, Some(UserId::from("US.NEW")));
    assert_eq!(changed.previous_user_id, Some(UserId::from("US.OLD")));
    let old = system(json!({"type": "customer_changed_number", "new_wa_id": "1219"}));
    assert_eq!(old.wa_id, Some(WaId::from("1219")));
}

#[test]
fn edits_and_revokes_name_their_original() {
    let edit = message_of(json!({"type": "edit", "edit": {"original_message_id": "wamid.O", "message":
        {"context": {"id": "M0"}, "type": "image", "image": {"caption": "new", "id": "5"}}}}));
    let image = Media { id: Some(MediaId::from("5")), caption: Some("new".into()), ..Media::default() };
    assert_eq!(edit.refers_to(), Some(&Wamid::from("M0")));
    assert_eq!(
        edit.content,
        Content::Edit {
            original: Wamid::from("wamid.O"),
            content: Box::new(Content::Image(image)),
            context: Some(Context { id: Some(Wamid::from("M0")), ..Context::default() }),
        }
    );
    assert_eq!(
        content_of(json!({"type": "revoke", "revoke": {"original_message_id": "wamid.O"}})),
        Content::Revoke { original: Wamid::from("wamid.O") }
    );
}

#[test]
fn unsupported_messages_keep_their_kind_and_code() {
    let errors = json!([{"code": 131051, "title": "Message type unknown", "error_data": {"details": "no"}}]);
    let message = message_of(
        json!({"type": "unsupported", "errors": errors, "unsupported": {"type": "poll_creation"}}),
    );
    assert_eq!(
        message.content,
        Content::Unsupported { kind: Some("poll_creation".into()), code: Some(131051) }
    );
    assert_eq!(message.errors[0].details.as_deref(), Some("no"));
    assert_eq!(
        content_of(json!({"type": "unsupported", "errors": [{"code": "131060", "error_data": "text"}]})),
        Content::Unsupported { kind: None, code: Some(131060) }
    );
}

#[test]
fn referral_product_and_forwarding_are_read() {
    let message = message_of(json!({"type": "text", "text": {"body": "x"},
        "context": {"frequently_forwarded": true,
            "referred_product": {"catalog_id": "C", "product_retailer_id": "P"}},
        "referral": {"source_url": "https://fb.me/x", "source_type": "ad", "headline": "H",
            "welcome_message": {"text": "Hi there!"}}}));
    let context = message.context.unwrap();
    assert!(context.frequently_forwarded && !context.forwarded && context.id.is_none());
    assert_eq!(context.referred_product.unwrap().product_id.as_deref(), Some("P"));
    assert_eq!(message.referral.unwrap().welcome_text.as_deref(), Some("Hi there!"));
}

#[test]
fn a_part_that_is_missing_or_misshapen_makes_the_content_unknown_and_no_error() {
    let kinds = "text image video audio document sticker location contacts interactive button reaction order \
                 system edit revoke request_welcome unknown ephemeral something_new";
    for kind in kinds.split_whitespace() {
        for part in
            [json!(null), json!(7), json!("x"), json!([]), json!({}), json!([[], 3]), json!({"id": []})]
        {
            let content = content_of(json!({"type": kind, kind: part, "context": part, "referral": part,
                "errors": part, "timestamp": part}));
            let Content::Unknown { kind: shown } = content else { panic!("{kind} {part}: {content:?}") };
            assert_eq!(shown, kind);
        }
        assert_eq!(content_of(json!({"type": kind})), Content::Unknown { kind: kind.to_owned() });
    }
    assert_eq!(content_of(json!({"type": 5})), Content::Unknown { kind: "5".into() });
    assert_eq!(content_of(json!({})), Content::Unknown { kind: String::new() });
}

#[test]
fn an_edit_inside_an_edit_is_not_followed() {
    let mut message = json!({"type": "text", "text": {"body": "x"}});
    for _ in 0..50 {
        message = json!({"type": "edit", "edit": {"original_message_id": "o", "message": message}});
    }
    let Content::Edit { content, .. } = content_of(message) else { panic!("not an edit") };
    assert_eq!(*content, Content::Unknown { kind: "edit".into() });
}
