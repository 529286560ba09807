//! Every note and every row of the table, in both languages.

use super::failures::ENTRIES;
use super::*;
use crate::translate::shorthand::Refusal;

#[path = "tests/document.rs"]
mod document;
#[path = "tests/rules.rs"]
mod rules;

const BOTH: [Language; 2] = [Language::En, Language::Ru];

fn error(code: i64) -> WireError {
    WireError { code: Some(code), title: Some("Title of Meta".into()), ..WireError::default() }
}

#[test]
fn every_code_that_can_fail_a_send_is_told_in_plain_words_with_its_code() {
    let codes = "0 1 2 3 4 10 17 33 100 104 190 200 299 368 613 803 80007 80008 130403 130429 130472 130497 131000 \
                 131005 131008 131009 131016 131020 131021 131026 131030 131031 131037 131041 131042 131044 131045 \
                 131047 131048 131049 131050 131051 131052 131053 131055 131056 131057 131059 131060 131062 131063 \
                 131064 131201 131215 132000 132001 132005 132007 132008 132012 132015 132016 132018 132068 132069 \
                 132099 133000 133004 133005 133006 133008 133009 133010 133015 133016 134011 134100 134101 134102 \
                 135000 137000 2494100";
    for code in codes.split_whitespace().map(|code| code.parse().unwrap()) {
        for language in BOTH {
            let note = failure(&error(code), language);
            assert!(failures::find(code).is_some(), "{code}");
            assert!(note.starts_with("[color=#ff0000]") && note.ends_with("[/color]"), "{note}");
            assert!(note.contains(&format!(" {code})")), "{note}");
        }
    }
}

#[test]
fn every_row_is_complete_and_in_its_language() {
    for entry in ENTRIES.iter().chain(super::failures::RARE) {
        let is_russian = |text: &str| text.chars().any(|c| ('а'..='я').contains(&c));
        for language in BOTH {
            for text in [entry.reason(language), entry.advice(language)] {
                assert!(text.ends_with('.') && text.len() > 10, "{text}");
                assert_eq!(is_russian(text), language == Language::Ru, "{text}");
                assert!(!text.contains("  "), "{text}");
            }
        }
    }
}

#[test]
fn the_reasons_of_the_most_frequent_failures_are_named() {
    for (code, en, ru) in [
        (131047, "24 hours", "24 часов"),
        (131026, "cannot be reached on WhatsApp", "недоступен в WhatsApp"),
        (131042, "payment", "оплатой"),
        (131049, "after 24 hours", "через 24 часа"),
        (131050, "does not want marketing", "отказался от"),
        (131053, "format, size", "формат, размер"),
        (132001, "not approved", "не одобрен"),
        (132999, "problem with the template", "проблема с шаблоном"),
        (190, "expired", "истёк"),
        (368, "restricted", "ограничила"),
    ] {
        assert!(failure(&error(code), Language::En).contains(en), "{code}");
        assert!(failure(&error(code), Language::Ru).contains(ru), "{code}");
    }
}

#[test]
fn an_unknown_code_is_told_in_metas_words_without_their_markup() {
    let mut unknown = error(999_999);
    unknown.details = Some("[b]Something[/b]".into());
    let note = failure(&unknown, Language::En);
    assert!(note.contains("Title of Meta: [\u{200b}b]Something") && note.contains("999999"), "{note}");
    assert!(failure(&WireError::default(), Language::En).contains("gave no reason"));
    unknown.details = Some("x".repeat(10_000));
    assert!(failure(&unknown, Language::Ru).len() < 1_000);
}

#[test]
fn details_are_added_where_they_say_more() {
    let mut failed = error(132000);
    failed.details = Some("body: expected 2, got 1".into());
    assert!(failure(&failed, Language::En).contains("Meta says: Title of Meta: body: expected 2, got 1."));
    failed.code = Some(131047);
    assert!(!failure(&failed, Language::En).contains("Meta says"));
}

/// One of each that stands for a message, and whether that was not sent.
pub fn every_note() -> Vec<(Note, bool)> {
    let name = "[b]a.pdf".to_owned();
    vec![
        (Note::WindowClosed { reason: None, lines: vec![], more: 0 }, true),
        (Note::Shorthand { refusal: Refusal::NameMissing }, true),
        (Note::Held { days: 7 }, false),
        (Note::NothingHeld, false),
        (Note::LimitReached { until: DateTime::UNIX_EPOCH }, false),
        (Note::HeldCancelled { text: name.clone() }, false),
        (Note::HeldExpired { text: name.clone(), days: 7 }, true),
        (Note::PortalLink { link: "https://p.example/[crm]/".into() }, true),
        (Note::FileAsLink { name: name.clone(), limit: Some(16 * 1_048_576) }, false),
        (Note::FileAsLink { name: name.clone(), limit: None }, false),
        (Note::FileAsDocument { name: name.clone() }, false),
        (Note::FileUnavailable { name }, true),
        (Note::Dead { attempts: 8 }, true),
        (Note::NotShown { attempts: 8 }, true),
        (Note::InDoubt { repeated: false }, true),
        (Note::InDoubt { repeated: true }, true),
        (Note::NothingToSend, true),
        (Note::Paused, false),
        (Note::EditNotPossible, false),
        (Note::DeleteNotPossible, false),
    ]
}

#[test]
fn every_note_exists_in_both_languages() {
    for (note, is_failure) in every_note() {
        for language in BOTH {
            let shown = text(&note, language);
            assert_eq!(shown.starts_with("[color=#ff0000]"), is_failure, "{shown}");
            assert_eq!(shown.chars().any(|c| ('а'..='я').contains(&c)), language == Language::Ru, "{shown}");
            assert!(!shown.contains("[b]") && !shown.contains("  "), "{shown}");
        }
    }
    let limit = Note::FileAsLink { name: "v.mp4".into(), limit: Some(16 * 1_048_576) };
    assert!(text(&limit, Language::En).ends_with("v.mp4 (WhatsApp takes up to 16 MB)"));
}
