//! Writes `docs/errors.md` from the tables. `WABRIDGE_WRITE_DOCS=1 cargo test --lib notes` writes the file anew;
//! without it the test compares.

use std::fmt::Write as _;
use std::path::Path;

use super::super::failures;
use crate::domain::{Language, Verdict};
use crate::whatsapp::error::{CATALOGUE, CodeRule, RetryClass};

const INTRODUCTION: &str = "\
# Meta's error codes

What each code means, what can be done about it, and whether the bridge tries again. It is what operators read
in the line, in the portal's language, with Meta's own words where they say more (marked *), and what the API
and the doctor show.

A wait of the whole number counts against no message: its messages go out later, in their order. A code that
is none of these is tried again if Meta says that it will pass or answers 5xx, and ends the message otherwise.

**This file is written by a test from the tables that the bridge uses: `src/whatsapp/error/catalogue.rs` and
`src/translate/notes/failures.rs`.**

| code | cause | remedy | tried again |
| --- | --- | --- | --- |
";

#[test]
fn the_documentation_of_errors_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let document = document();
    if std::env::var_os("WABRIDGE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == document, "docs/errors.md is not what the tables say; run with WABRIDGE_WRITE_DOCS=1");
}

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for rule in CATALOGUE {
        // A rule may span codes that are told apart.
        let mut first = rule.first;
        for code in rule.first..=rule.last {
            let entry = entry(code);
            if code < rule.last && std::ptr::eq(entry, self::entry(code + 1)) {
                continue;
            }
            let codes = if first == code { code.to_string() } else { format!("{first}–{code}") };
            first = code + 1;
            let mark = if entry.in_metas_words { " *" } else { "" };
            let (cause, remedy) = (entry.reason(Language::En), entry.advice(Language::En));
            let _ = writeln!(text, "| {codes} | {}{mark} | {remedy} | {} |", capital(cause), again(rule));
        }
    }
    text
}

fn entry(code: i64) -> &'static failures::Entry {
    failures::find(code).unwrap_or_else(|| panic!("no cause and remedy for {code} in failures.rs"))
}

/// What the queue does, in words.
fn again(rule: &CodeRule) -> String {
    let pause = |seconds: u64| match seconds {
        0..=90 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    };
    match (rule.class, rule.verdict) {
        (RetryClass::FewTimes, _) => "a few times, then the message ends".to_owned(),
        (_, Verdict::Retry) => "yes, with growing pauses".to_owned(),
        (_, Verdict::RetryAfter(wait)) => format!("yes, after {} or when Meta says", pause(wait.as_secs())),
        (_, Verdict::Reauthorize) => "yes: the number waits until it is repaired".to_owned(),
        (RetryClass::Admin, Verdict::GiveUp) => "no; send again once it is repaired".to_owned(),
        (RetryClass::Wait, Verdict::GiveUp) => "no: that message ends; send it later".to_owned(),
        (_, Verdict::GiveUp) => "no".to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
