//! Thousands of odd texts through every conversion: nothing panics, nothing of a customer becomes BBCode,
//! nothing gets lost.

use serde_json::{Value, json};

use super::markup::{BREAKER, QUOTE_FRAME, neutralise, plain_key, to_bbcode, to_whatsapp};
use super::to_line::{EchoOf, Known, Quoted, echo, message, summary};
use super::to_whatsapp::{OperatorOptions, operator_text};
use super::{notes, person, split};
use crate::domain::Language;
use crate::whatsapp::message::{WireError, WireMessage};

/// Pieces that odd texts are put together from.
const PIECES: [&str; 66] = [
    "[",
    "]",
    "[[",
    "[b]",
    "[/b]",
    "[B]",
    "[i]",
    "[/i]",
    "[s]",
    "[code]",
    "[/code]",
    "[quote]",
    "[/quote]",
    "[url]",
    "[url=",
    "[/url]",
    "[user=1]",
    "[/USER]",
    "[img size=x]",
    "[/img]",
    "[br]",
    "#BR#",
    "[timestamp=1 format=F]",
    "[icon=x title=y]",
    "[disk=1]",
    "[send=x]",
    "[like]",
    ":f09f9880:",
    ":f09f",
    ":ffffffff:",
    "*",
    "_",
    "~",
    "`",
    "```",
    "**",
    "*_",
    ">>",
    "> ",
    "- ",
    "\n",
    "\r\n",
    "\n\n",
    " ",
    "\t",
    "\u{0}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "שלום",
    "مرحبا",
    "привет",
    "word",
    "a_b_c",
    "2*3*4",
    "https://a.example/x_[y]_z",
    "me_you@example.com",
    "👩‍👩‍👧",
    "🇩🇪",
    "e\u{301}",
    "😀",
    "1",
    "0",
    "https://acme.bitrix24.com/crm/",
    ":[/b] [br]",
    "------------------------------------------------------",
];

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn text(&mut self, pieces: usize) -> String {
        (0..self.below(pieces) + 1).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}

fn odd_texts() -> Vec<String> {
    let mut numbers = Numbers(2);
    let mut texts: Vec<String> = PIECES.iter().map(|piece| piece.to_string()).collect();
    texts.extend((0..1_000).map(|_| numbers.text(30)));
    texts.extend((0..4).map(|_| numbers.text(4_000)));
    texts.extend(
        ["[", "*", "`", "[b]", "[b", "> ", ">>\n", "😀", "-"].map(|piece| piece.repeat(20_000 / piece.len())),
    );
    texts
}

/// Our own tags, which a customer's text may hold only because we put them there.
const OURS: [&str; 8] = ["[b]", "[/b]", "[i]", "[/i]", "[s]", "[/s]", "[code]", "[/code]"];

/// Fails if a bracket in `shown` is neither broken nor one of our tags, or if our tags are not paired.
fn assert_only_our_tags(shown: &str, typed: &str) {
    let mut open = Vec::new();
    for (at, _) in shown.match_indices('[') {
        let rest = &shown[at..];
        if rest[1..].starts_with(BREAKER) {
            continue;
        }
        let tag = OURS.iter().find(|tag| rest.starts_with(**tag));
        let tag = tag.unwrap_or_else(|| panic!("a raw bracket in {shown:?} of {typed:?}"));
        match tag.strip_prefix("[/") {
            Some(name) => assert_eq!(open.pop(), Some(name), "{shown:?}"),
            None => open.push(&tag[1..]),
        }
    }
    assert!(open.is_empty(), "{shown:?}");
}

#[test]
fn nothing_that_a_customer_types_becomes_bbcode() {
    for typed in odd_texts() {
        let shown = to_bbcode(&typed);
        assert_only_our_tags(&shown, &typed);
        let neutral = neutralise(&typed);
        assert!(neutral.split('[').skip(1).all(|rest| rest.starts_with(BREAKER)), "{typed:?}");
        for shown in [&shown, &neutral] {
            let upper = shown.to_uppercase();
            assert!(
                !upper.contains(":F09F9880:") && !upper.contains(":FFFFFFFF:") && !upper.contains("#BR#")
            );
            assert!(
                !shown.contains(QUOTE_FRAME) && !shown.lines().any(|line| line.starts_with(">>")),
                "{shown:?}"
            );
        }
        let visible =
            |text: &str| text.chars().filter(|c| *c != BREAKER && !c.is_control()).collect::<String>();
        assert_eq!(visible(&neutral), visible(&typed), "what is shown is what was typed");
    }
}

#[test]
fn no_word_of_a_customer_gets_lost_in_bbcode() {
    let words = |text: &str| {
        let text = OURS.iter().fold(text.to_owned(), |text, tag| text.replace(tag, ""));
        text.replace("%5B", "[")
            .replace("%5D", "]")
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
    };
    for typed in odd_texts() {
        let typed_words: String = typed.chars().filter(|c| c.is_alphanumeric()).collect();
        // Brackets that a customer typed as our tags are words too: count them on the neutral side.
        assert_eq!(words(&to_bbcode(&typed)), typed_words, "{typed:?}");
    }
}

#[test]
fn no_content_of_a_message_becomes_bbcode() {
    let mut texts = odd_texts();
    texts.truncate(160);
    let known = |text: &str| Known {
        quoted: Quoted::Known { author: text.to_owned(), text: text.to_owned(), when: None },
        template: Some(text.to_owned()),
        utc_offset: None,
    };
    for text in &texts {
        for value in messages_of(text) {
            let wire = WireMessage::from_value(&value).unwrap();
            for language in [Language::En, Language::Ru] {
                for item in [
                    message(&wire, &known(text), language),
                    echo(&wire, &Known::default(), EchoOf::PhoneApp, language),
                ] {
                    for part in item.more.iter().chain([&item.text]) {
                        assert_only_our_tags(part, text);
                        assert!(split::length(part) <= split::LINE_LIMIT, "{value}");
                    }
                    assert!(!item.text.trim().is_empty() || item.media.is_some(), "{value}");
                }
                summary(&wire.content, language);
            }
        }
    }
}

/// A message of each kind with `text` wherever a customer or Meta may write.
fn messages_of(text: &str) -> Vec<Value> {
    let all = json!({"id": text, "title": text, "description": text, "name": text, "body": text, "address": text,
        "caption": text, "filename": text, "mime_type": text, "payload": text, "text": text, "url": text,
        "message_id": text, "original_message_id": text, "emoji": text, "catalog_id": text, "type": text,
        "response": text, "response_json": json!({text: {"a": [text]}, "values": {text: text}}).to_string(),
        "latitude": 1, "longitude": 2, "wa_id": text, "message": {"type": "text", "text": {"body": text}},
        "product_items": [{"product_retailer_id": text, "currency": text, "quantity": 1, "item_price": 2}]});
    let card = json!([{"name": {"formatted_name": text}, "phones": [{"phone": text, "type": text}],
        "emails": [{"email": text}], "org": {"company": text}, "urls": [{"url": text}], "birthday": text}]);
    let kinds = "text image video audio document sticker location button reaction order system edit revoke unsupported";
    let mut messages: Vec<Value> = kinds.split(' ').map(|kind| json!({"type": kind, kind: all})).collect();
    messages.push(json!({"type": "contacts", "contacts": card}));
    messages.push(json!({"type": text}));
    for kind in ["button_reply", "list_reply", "nfm_reply", "call_permission_reply"] {
        messages.push(json!({"type": "interactive", "interactive": {"type": kind, kind: all}}));
    }
    for message in &mut messages {
        message["id"] = json!("wamid.1");
        message["errors"] = json!([{"code": 1, "title": text, "error_data": {"details": text}}]);
        message["referral"] = json!({"headline": text, "body": text, "source_url": text, "source_id": text,
            "welcome_message": {"text": text}});
        message["context"] = json!({"id": text, "forwarded": true,
            "referred_product": {"catalog_id": text, "product_retailer_id": text}});
    }
    messages
}

#[test]
fn no_operators_text_is_too_odd() {
    for typed in odd_texts() {
        to_whatsapp(&typed);
        plain_key(&typed);
        for (strip_signature, has_files) in [(true, false), (false, true)] {
            let options = OperatorOptions { strip_signature, portal_host: "acme.bitrix24.com", has_files };
            let text = operator_text(&typed, &options);
            for part in split::text(&text.body).iter().chain(&split::text(&text.body_with_quote)) {
                assert!(split::length(part) <= split::TEXT_LIMIT);
            }
            let (caption, _) = split::caption(&text.body);
            assert!(caption.is_none_or(|caption| split::length(&caption) <= split::CAPTION_LIMIT));
        }
    }
}

#[test]
fn a_customers_text_that_an_operator_copies_comes_back_as_typed() {
    for typed in odd_texts().iter().filter(|typed| !typed.contains(BREAKER)) {
        let lines = typed.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = lines.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
        assert_eq!(to_whatsapp(&neutralise(typed)), clean, "{typed:?}");
    }
}

#[test]
fn notes_and_names_take_any_text() {
    for typed in odd_texts() {
        let words = || Some(typed.clone());
        let error = WireError { code: Some(-1), title: words(), message: words(), details: words() };
        let note = notes::failure(&error, Language::Ru);
        let inner =
            note.strip_prefix("[color=#ff0000]").and_then(|note| note.strip_suffix("[/color]")).unwrap();
        assert_only_our_tags(inner, &typed);
        let name = person::person_name(Some(&typed), Some(&typed));
        assert_eq!(name, person::person_name(Some(&typed), Some(&typed)));
        assert!(!name.name.is_empty() && !name.name.contains('['));
    }
}
