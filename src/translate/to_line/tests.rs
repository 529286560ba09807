//! Every kind of message as the operator sees it.

use serde_json::{Value, json};

use super::*;

fn wire(mut value: Value) -> WireMessage {
    value["id"] = json!("wamid.1");
    WireMessage::from_value(&value).unwrap()
}

fn quoted(text: &str) -> Known {
    let when = "2026-03-01T10:00:00Z".parse().ok();
    let quoted = Quoted::Known { author: "Anna [sales]".into(), text: text.into(), when };
    Known { quoted, template: None, utc_offset: FixedOffset::east_opt(3 * 3600) }
}

fn unknown() -> Known {
    Known { quoted: Quoted::Unknown, ..Known::default() }
}

fn shown(value: Value) -> String {
    message(&wire(value), &Known::default(), Language::En).text
}

fn interactive(kind: &str, part: Value) -> Value {
    json!({"type": "interactive", "interactive": {"type": kind, kind: part}})
}

#[test]
fn every_kind_has_its_readable_form() {
    for (value, text) in [
        (json!({"type": "text", "text": {"body": "*Hi* [b]"}}), "[b]Hi[/b] [\u{200b}b]"),
        (json!({"type": "text", "text": {"body": " "}}), "[i]Empty message[/i]"),
        (json!({"type": "image", "image": {"id": "1", "caption": "_a_"}}), "[i]a[/i]"),
        (json!({"type": "image", "image": {"id": "1"}}), ""),
        (json!({"type": "image", "image": {"caption": "a"}}), "[i]🖼 Picture: no file[/i]\na"),
        (json!({"type": "audio", "audio": {"id": "1", "voice": true}}), "🎤 Voice message"),
        (json!({"type": "audio", "audio": {"id": "1"}}), ""),
        (
            json!({"type": "location", "location": {"latitude": 37.4611978, "longitude": -122.2164385,
                "name": "HQ", "address": "1 Hacker Way", "url": "https://example.com/[x]"}}),
            "📍 HQ\n1 Hacker Way\nhttps://www.google.com/maps?q=37.4611978,-122.2164385\nhttps://example.com/%5Bx%5D",
        ),
        (
            json!({"type": "location", "location": {"latitude": 1.5, "longitude": 2}}),
            "📍 Location\nhttps://www.google.com/maps?q=1.5,2",
        ),
        (
            json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "Bob [b]"},
                "phones": [{"phone": "+1650", "wa_id": "1650", "type": "WORK"}],
                "emails": [{"email": "b@example.com"}], "org": {"company": "Acme"},
                "addresses": [{"city": "Bonn"}], "urls": [{"url": "https://example.com"}],
                "birthday": "1999-01-23", "origin": "contact_request"}, {}]}),
            "👤 Bob [\u{200b}b] (the customer's own)\nAcme\n☎ +1650, work, WhatsApp\n✉ b@example.com\n🏠 Bonn\n\
             https://example.com\n🎂 1999-01-23\n\n👤 Contact",
        ),
        (
            interactive("button_reply", json!({"id": "change-button", "title": "Change"})),
            "🔘 Button: Change\n[i](change-button)[/i]",
        ),
        (
            interactive("list_reply", json!({"id": "exp", "title": "Express", "description": "Next day"})),
            "☑ Choice: Express\nNext day\n[i](exp)[/i]",
        ),
        (json!({"type": "button", "button": {"payload": "Stop", "text": "Stop"}}), "🔘 Button: Stop"),
        (
            interactive(
                "nfm_reply",
                json!({"name": "flow", "body": "Sent", "response_json":
                "{\"flow_token\":\"t\",\"screen_0_Your_name_1\":\"Bob\",\"agree\":true,\"tags\":[\"a\",2],\"n\":null}"}),
            ),
            "📝 Form\n• agree: yes\n• n: —\n• Your name: Bob\n• tags: a, 2",
        ),
        (
            interactive(
                "nfm_reply",
                json!({"name": "address_message", "body": "Bob",
                "response_json": "{\"values\":{\"city\":\"Bonn\"},\"saved_address_id\":\"7\"}"}),
            ),
            "🏠 Address: Bob\n• saved address id: 7\n• city: Bonn",
        ),
        (interactive("nfm_reply", json!({"response_json": "no [json]"})), "📝 Form\nno [\u{200b}json]"),
        (
            interactive(
                "call_permission_reply",
                json!({"response": "accept", "expiration_timestamp": 1745343479}),
            ),
            "📞 Calls allowed until 22.04.2025 17:37 UTC",
        ),
        (interactive("call_permission_reply", json!({"response": "reject"})), "📞 Calls declined"),
        (
            json!({"type": "order", "order": {"catalog_id": "19", "text": "Love!", "product_items": [
                {"product_retailer_id": "di9", "quantity": 2, "item_price": 30, "currency": "USD"},
                {"product_retailer_id": "x1", "quantity": 1, "item_price": 0.5, "currency": "USD"}]}}),
            "🛒 Order (catalogue 19)\n• di9 × 2 — 30 USD\n• x1 × 1 — 0.50 USD\nTotal: 60.50 USD\nLove!",
        ),
        (
            json!({"type": "system", "system": {"type": "user_changed_number", "wa_id": "1219"}}),
            "ℹ The customer's number has changed; the new one is +1219. The chat goes on here.",
        ),
        (
            json!({"type": "system", "system": {"type": "user_changed_user_id", "user_id": "CO.NEW"}}),
            "ℹ The customer's id in WhatsApp has changed. The chat goes on here.",
        ),
        (json!({"type": "system", "system": {"type": "new_kind", "body": "[i]x"}}), "ℹ [\u{200b}i]x"),
        (
            json!({"type": "unsupported", "errors": [{"code": 131051}], "unsupported": {"type": "poll_creation"}}),
            "[i]⚠ A message of a kind that WhatsApp does not pass on (poll, 131051). Open it in WhatsApp on the \
             phone, or ask the customer to send it in another form.[/i]",
        ),
        (
            json!({"type": "unsupported", "errors": [{"code": 131060}]}),
            "[i]⚠ A message that WhatsApp does not make available here (131060). Open it in WhatsApp on the \
             phone, or ask the customer to send it in another form.[/i]",
        ),
        (
            json!({"type": "brand_new[b]"}),
            "[i]⚠ A message that cannot be shown here (brand_new[\u{200b}b]). Open it in WhatsApp on the phone.[/i]",
        ),
        (json!({"type": "request_welcome"}), "[i]The customer opened the chat[/i]"),
        (
            json!({"type": "interactive", "errors": [{"code": 131000, "title": "Bad", "error_data": {"details": "why"}}]}),
            "[i]⚠ A message that cannot be shown here (buttons). Open it in WhatsApp on the phone.[/i]\n\
             ⚠ WhatsApp says: 131000, Bad, why",
        ),
        (json!({"type": "text", "text": {"body": "x"}, "group_id": "G"}), "[i]In a WhatsApp group[/i]\nx"),
        (
            json!({"type": "text", "text": {"body": "x"}, "context": {"forwarded": true}}),
            "[i]Forwarded[/i]\nx",
        ),
        (
            json!({"type": "text", "text": {"body": "x"}, "context": {"frequently_forwarded": true}}),
            "[i]Forwarded many times[/i]\nx",
        ),
        (
            json!({"type": "text", "text": {"body": "x"}, "context": {"id": "w",
                "referred_product": {"catalog_id": "C", "product_retailer_id": "P"}}}),
            "🛍 About the product: P (catalogue C)\nx",
        ),
        (
            json!({"type": "text", "text": {"body": "x"}, "referral": {"source_url": "https://fb.me/a", "source_id": "12",
                "source_type": "ad", "headline": "Big [sale]", "body": "*now*", "welcome_message": {"text": "Hi!"}}}),
            "📣 From an ad: Big [\u{200b}sale] (id 12)\n[b]now[/b]\nGreeting: Hi!\nhttps://fb.me/a\nx",
        ),
    ] {
        assert_eq!(shown(value.clone()), text, "{value}");
    }
}

#[test]
fn a_reply_shows_the_quoted_message_in_the_portals_own_form() {
    let reply = wire(json!({"type": "text", "text": {"body": "yes"}, "context": {"id": "w"}}));
    let frame = "-".repeat(54);
    assert_eq!(
        message(&reply, &quoted("*Is it you?*\n[b]"), Language::En).text,
        format!(
            "{frame}\nAnna [\u{200b}sales] [01.03.2026 13:00]\n[b]Is it you?[/b]\n[\u{200b}b]\n{frame}\nyes"
        )
    );
    assert_eq!(
        message(&reply, &unknown(), Language::En).text,
        "[i]↩ In reply to a message that is older or not kept here[/i]\nyes"
    );
    assert!(message(&reply, &quoted(&"x".repeat(5_000)), Language::En).text.len() < 1_000);
    let forged = message(&reply, &quoted(&frame), Language::En).text;
    assert_eq!(forged.matches(&frame).count(), 2);
}

#[test]
fn a_reaction_shows_the_message_it_is_on() {
    let on = wire(json!({"type": "reaction", "reaction": {"message_id": "w", "emoji": "😮"}}));
    let off = wire(json!({"type": "reaction", "reaction": {"message_id": "w"}}));
    let text = message(&on, &quoted("offer"), Language::En).text;
    assert!(
        text.ends_with("offer\n------------------------------------------------------\nReaction: 😮"),
        "{text}"
    );
    assert!(message(&off, &quoted("offer"), Language::Ru).text.ends_with("\nРеакция убрана"));
    assert_eq!(
        message(&on, &unknown(), Language::En).text,
        "Reaction: 😮 (to a message that is older or not kept here)"
    );
}

#[test]
fn a_file_becomes_a_slot_to_be_filled() {
    let item = message(
        &wire(json!({"type": "document", "document": {"id": "5", "mime_type": "Application/PDF; x=y",
            "filename": "a.pdf", "sha256": "S", "caption": "c", "url": "https://lookaside.example/1"}})),
        &Known::default(),
        Language::En,
    );
    assert_eq!(
        item.media,
        Some(MediaSlot {
            media_id: MediaId::from("5"),
            kind: MediaKind::Document,
            mime: "application/pdf".into(),
            filename: Some("a.pdf".into()),
            caption: Some("c".into()),
            sha256: Some("S".into()),
            url: Some("https://lookaside.example/1".into()),
        })
    );
    let kinds = [
        (json!({"type": "image", "image": {"id": "1"}}), MediaKind::Image),
        (json!({"type": "video", "video": {"id": "1"}}), MediaKind::Video),
        (json!({"type": "audio", "audio": {"id": "1"}}), MediaKind::Audio),
        (json!({"type": "audio", "audio": {"id": "1", "voice": true}}), MediaKind::Voice),
        (json!({"type": "sticker", "sticker": {"id": "1"}}), MediaKind::Sticker),
    ];
    for (value, kind) in kinds {
        assert_eq!(message(&wire(value), &Known::default(), Language::En).media.unwrap().kind, kind);
    }
}

#[test]
fn an_edit_updates_the_text_and_a_revoke_deletes_the_message() {
    let edit = |inner: Value| {
        let edit = json!({"type": "edit", "edit": {"original_message_id": "wamid.O", "message": inner}});
        message(&wire(edit), &quoted("q"), Language::En)
    };
    let item = edit(json!({"type": "text", "text": {"body": "new"}, "context": {"id": "M0"}}));
    assert_eq!(item.action, Action::Update { original: Wamid::from("wamid.O") });
    assert!(item.text.ends_with("\nnew\n[i](edited)[/i]") && item.text.starts_with("-----"), "{}", item.text);
    let edit = json!({"type": "edit", "edit": {"original_message_id": "wamid.O", "message":
        {"type": "image", "image": {"id": "7"}}}});
    let item = message(&wire(edit), &Known::default(), Language::Ru);
    assert_eq!((item.text.as_str(), item.media), ("[i]изменено[/i]", None));
    let revoke = json!({"type": "revoke", "revoke": {"original_message_id": "wamid.O"}});
    let item = message(&wire(revoke), &Known::default(), Language::En);
    assert_eq!(item.action, Action::Delete { original: Wamid::from("wamid.O") });
}

#[test]
fn an_echo_says_where_it_was_written() {
    let sent = wire(json!({"type": "text", "text": {"body": "hello"}, "to": "1650"}));
    let item = echo(&sent, &Known::default(), EchoOf::PhoneApp, Language::En);
    assert_eq!((item.text.as_str(), item.is_note), ("[i]Sent from the phone:[/i]\nhello", true));
    let item = echo(&sent, &Known::default(), EchoOf::MetaAgent, Language::Ru);
    assert_eq!(item.text, "[i]Отправлено ИИ-агентом Meta:[/i]\nhello");
    let revoke = wire(json!({"type": "revoke", "revoke": {"original_message_id": "w"}}));
    let item = echo(&revoke, &Known::default(), EchoOf::PhoneApp, Language::En);
    assert_eq!(item.text, "[i]A message was deleted on the phone[/i]");
    assert!(matches!(item.action, Action::Delete { .. }));
}

#[test]
fn only_what_the_customer_did_not_say_is_a_note() {
    let system = wire(json!({"type": "system", "system": {"type": "user_changed_number", "wa_id": "1"}}));
    assert!(message(&system, &Known::default(), Language::En).is_note);
    let text = wire(json!({"type": "text", "text": {"body": "x"}}));
    assert!(!message(&text, &Known::default(), Language::En).is_note);
}

#[test]
fn a_text_longer_than_a_message_of_the_portal_goes_on_in_further_ones() {
    let long =
        wire(json!({"type": "text", "text": {"body": "слово ".repeat(10_000)}, "context": {"id": "w"}}));
    let item = message(&long, &quoted("q"), Language::En);
    assert!(item.more.len() >= 3);
    for part in item.more.iter().chain([&item.text]) {
        assert!(split::length(part) <= split::LINE_LIMIT);
    }
    let cards: Vec<Value> =
        (0..2_000).map(|n| json!({"name": {"formatted_name": format!("Name {n}")}})).collect();
    let cards =
        message(&wire(json!({"type": "contacts", "contacts": cards})), &Known::default(), Language::En);
    assert!(!cards.more.is_empty());
}

#[test]
fn a_summary_is_plain_text() {
    for (value, text) in [
        (json!({"type": "text", "text": {"body": "*a* [b]"}}), "*a* [b]"),
        (json!({"type": "image", "image": {"id": "1", "caption": "c"}}), "🖼 Picture: c"),
        (json!({"type": "document", "document": {"id": "1", "filename": "a.pdf"}}), "📎 File: a.pdf"),
        (json!({"type": "sticker", "sticker": {"id": "1"}}), "Sticker"),
        (json!({"type": "reaction", "reaction": {"message_id": "w", "emoji": "👍"}}), "Reaction: 👍"),
        (interactive("button_reply", json!({"id": "i", "title": "[b]T"})), "🔘 Button: [b]T\n(i)"),
    ] {
        assert_eq!(summary(&wire(value).content, Language::En), text);
    }
}

#[test]
fn every_text_of_ours_exists_in_russian() {
    let is_russian = |text: &str| text.chars().any(|c| ('а'..='я').contains(&c));
    for kind in [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Audio,
        MediaKind::Voice,
        MediaKind::Document,
        MediaKind::Sticker,
    ] {
        assert!(
            is_russian(&file_on_its_way(kind, Language::Ru))
                && !is_russian(&file_on_its_way(kind, Language::En))
        );
        assert!(
            is_russian(&file_failed(kind, Language::Ru)) && !is_russian(&file_failed(kind, Language::En))
        );
    }
    assert!(is_russian(&standby_note(Language::Ru)) && !is_russian(&standby_note(Language::En)));
    assert_eq!(
        file_as_link("a[b].pdf", "https://b.example/m/a[b].pdf", Language::Ru),
        "📎 Файл a[\u{200b}b].pdf: https://b.example/m/a%5Bb%5D.pdf"
    );
    for kind in "image location interactive unsupported anything request_welcome".split(' ') {
        let text = message(&wire(json!({"type": kind})), &unknown(), Language::Ru).text;
        assert!(is_russian(&text), "{text}");
    }
}
