//! Operators' texts as the portal posts them.

use super::*;

const STRIP: OperatorOptions<'_> =
    OperatorOptions { strip_signature: true, portal_host: "acme.bitrix24.com", has_files: false };
const KEEP: OperatorOptions<'_> = OperatorOptions { strip_signature: false, ..STRIP };
const FILES: OperatorOptions<'_> = OperatorOptions { has_files: true, ..STRIP };

fn frame() -> String {
    "-".repeat(54)
}

#[test]
fn the_signature_is_stripped_or_kept_by_the_setting() {
    for text in ["[b]Anna Lee:[/b] [br]Hello", "[b]Anna Lee:[/b][br] Hello", "[B]Anna Lee:[/B] [BR]Hello"] {
        assert_eq!(operator_text(text, &STRIP).body, "Hello", "{text}");
        let kept = operator_text(text, &KEEP);
        assert_eq!(kept.body, "*Anna Lee:*\nHello", "{text}");
        assert_eq!(kept.signed_by.as_deref(), Some("Anna Lee"));
    }
    let file_only = operator_text("[b]Anna Lee:[/b] ", &FILES);
    assert_eq!((file_only.body.as_str(), file_only.signed_by.as_deref()), ("", Some("Anna Lee")));
    let kept = operator_text("[b]Anna Lee:[/b]", &OperatorOptions { has_files: true, ..KEEP });
    assert_eq!(kept.body, "*Anna Lee:*");
}

#[test]
fn a_bold_word_of_the_operator_is_no_signature() {
    for (text, body) in [
        ("[b]Total:[/b] 100", "*Total:* 100"),
        ("[b]Total:[/b]\n100", "*Total:*\n100"),
        ("[b]Total:[/b]", "*Total:*"),
        ("[b]one\ntwo:[/b] [br]x", "*one*\n*two:*\nx"),
        ("see [b]this:[/b] [br]x", "see *this:*\nx"),
    ] {
        let text = operator_text(text, &STRIP);
        assert_eq!(text.body.replace(" \n", "\n"), body);
        assert_eq!(text.signed_by, None);
    }
}

#[test]
fn bbcode_becomes_whatsapp_markup() {
    let text = operator_text(
        "[b]A:[/b] [br]Dear [i]Bob[/i],[br][url=https://example.com]see[/url] :f09f9880:",
        &STRIP,
    );
    assert_eq!(text.body, "Dear _Bob_,\nsee (https://example.com) 😀");
    assert_eq!(text.body_with_quote, text.body);
    assert_eq!(operator_text("", &STRIP), OperatorText::default());
    assert_eq!(operator_text(" \n ", &STRIP).body, "");
}

#[test]
fn a_framed_quote_is_taken_out() {
    let text = format!(
        "[b]Op:[/b] [br]{0}\nBob Lee [01.03.2026 10:00] #chat12/345\nIs it [b]red[/b]?\nOr blue?\n{0}\nBlue",
        frame()
    );
    let text = operator_text(&text, &STRIP);
    assert_eq!(text.body, "Blue");
    assert_eq!(text.body_with_quote, "> Bob Lee:\n> Is it *red*?\n> Or blue?\nBlue");
    assert_eq!(
        text.quote,
        Some(QuotedText {
            author: Some("Bob Lee".into()),
            text: "Is it *red*?\nOr blue?".into(),
            message: Some(ImMessageId::from("345")),
        })
    );
}

#[test]
fn a_quote_without_header_or_context_is_taken_out_too() {
    let text = operator_text(&format!("{0}\nBob [today]\nred\n{0}\nyes", frame()), &KEEP);
    let quote = text.quote.unwrap();
    assert_eq!((quote.author.as_deref(), quote.text.as_str(), quote.message), (Some("Bob"), "red", None));
    let text = operator_text(&format!("{0}\nred\nblue\n{0}\nyes", frame()), &STRIP);
    let quote = text.quote.unwrap();
    assert_eq!((quote.author, quote.text.as_str()), (None, "red\nblue"));
    assert_eq!((text.body.as_str(), text.body_with_quote.as_str()), ("yes", "> red\n> blue\nyes"));
}

#[test]
fn the_quote_of_a_text_that_we_made_is_recognised() {
    let typed = "*Is it* [b] :f09f9880: ok?";
    let shown = markup::to_bbcode(typed);
    let text = operator_text(&format!("{0}\nBob [today]\n{shown}\n{0}\nyes", frame()), &STRIP);
    assert_eq!(markup::plain_key(&text.quote.unwrap().text), markup::plain_key(typed));
}

#[test]
fn marks_of_the_bridge_do_not_hide_the_quoted_message() {
    for (shown, says) in [
        ("at five[br][i](edited)[/i]", "at five"),
        ("at five\n[i](изменено)[/i]", "at five"),
        ("[i]Forwarded[/i]\nred\nblue", "red\nblue"),
        ("[i]never[/i]", "_never_"),
        ("[i]all[/i]\nfine", "_all_\nfine"),
    ] {
        let text = operator_text(&format!("{0}\nBob [today]\n{shown}\n{0}\nyes", frame()), &STRIP);
        let keys = text.quote.unwrap().keys();
        assert!(keys.contains(&markup::plain_key(says)), "{shown}: {keys:?}");
    }
    let none = QuotedText { author: None, text: "👋".into(), message: None };
    assert_eq!(none.keys(), Vec::<String>::new());
}

#[test]
fn short_quotes_are_taken_out() {
    for text in [">>red\n>> blue\nyes", "[quote]red\nblue[/quote]yes", "[QUOTE=Bob]red\nblue[/QUOTE]\nyes"] {
        let text = operator_text(text, &STRIP);
        assert_eq!(text.quote.unwrap().text, "red\nblue");
        assert_eq!(text.body, "yes");
        assert_eq!(text.body_with_quote, "> red\n> blue\nyes");
    }
}

#[test]
fn further_quotes_stay_as_quote_lines() {
    let text = operator_text("before\n>>one\nmiddle\n>>two\nafter", &STRIP);
    assert_eq!(text.quote.unwrap().text, "one");
    assert_eq!(text.body, "before\nmiddle\n> two\nafter");
    assert_eq!(text.body_with_quote, "before\n> one\nmiddle\n> two\nafter");
}

#[test]
fn a_quote_with_nothing_else_is_sent_as_a_text_unless_files_come_with_it() {
    let text = format!("{0}\nBob [today]\nred\n{0}\n", frame());
    let alone = operator_text(&text, &STRIP);
    assert_eq!((alone.body.as_str(), alone.quote), ("> Bob:\n> red", None));
    let with_files = operator_text(&text, &FILES);
    assert_eq!(with_files.body, "");
    assert_eq!(with_files.quote.unwrap().text, "red");
}

#[test]
fn a_frame_that_does_not_close_is_text() {
    let text = format!("{}\nhello", frame());
    assert_eq!(operator_text(&text, &STRIP).body, text);
    assert_eq!(operator_text("[quote]hello", &STRIP).body, "[quote]hello");
}

#[test]
fn a_link_to_the_portals_inside_is_held_back() {
    let text =
        operator_text("[b]Op:[/b] [br]look https://acme.bitrix24.com/crm/deal/details/7/ please", &STRIP);
    let link = "https://acme.bitrix24.com/crm/deal/details/7/".to_owned();
    assert_eq!(text.held_back, Some(HeldBack::PortalLink { link }));
    assert_eq!(operator_text("https://acme.bitrix24.com/~AbC", &STRIP).held_back, None);
}
