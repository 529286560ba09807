//! Writes `docs/errors.md` from the tables. `WABRIDGE_WRITE_DOCS=1 cargo test --lib notes` writes the file anew;
//! without it the test compares.

use std::fmt::Write as _;
use std::path::Path;

use super::super::{failures, text as note_text};
use super::every_note;
use super::rules::broken_rules;
use crate::domain::{Language, Verdict};
use crate::translate::sms_notes::{self, SmsRefusal};
use crate::whatsapp::error::{CATALOGUE, CodeRule, RetryClass};

const INTRODUCTION: &str = "\
# Refusals and error codes

Why something is not sent or not taken: first what Meta refuses by its codes, then what the bridge refuses before Meta
is asked: [messages of the CRM](#messages-of-the-crm), [messages of operators](#messages-of-operators),
[templates that are handed in](#templates-that-are-handed-in). What is wrong with a short line is told by a sentence
of [shorthand.md](shorthand.md#every-refusal).

## Meta's error codes

What each code means, what can be done about it, and whether the bridge tries again. It is what operators read
in the line, in the portal's language, with Meta's own words where they say more (marked *), and what the API
and the doctor show.

A wait of the whole number counts against no message: its messages go out later, in their order. A code that
is none of these is tried again if Meta says that it will pass or answers 5xx, and ends the message otherwise.

**This file is written by a test from the tables and sentences that the bridge uses:
`src/whatsapp/error/catalogue.rs`, `src/translate/notes/failures.rs`, `src/translate/notes.rs`,
`src/translate/sms_notes.rs`, `src/whatsapp/template/rules.rs`.**

| code | cause | remedy | tried again |
| --- | --- | --- | --- |
";

const OF_THE_CRM: &str = "
## Messages of the CRM

The message gets the state `failed`, and with the permission `crm` the sentence stands in the timeline; so does the
sentence of a short line that is wrong. See [sms.md](sms.md).

| English | Russian |
| --- | --- |
";

const OF_OPERATORS: &str = "
## Messages of operators

A note in the line; nothing was sent, or nothing more, or it is not known.

| English | Russian |
| --- | --- |
";

const OF_TEMPLATES: &str = "
## Templates that are handed in

`POST` and `PATCH /api/v1/templates` answer 422 with these, each with its field (an example of its place is given);
what an account may do only so often is answered by 409, see [templates.md](templates.md).

| field | it … |
| --- | --- |
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
    text + &of_the_crm() + &of_operators() + &of_templates()
}

/// What a message of the CRM can fail by before Meta is asked.
fn of_the_crm() -> String {
    let mut text = OF_THE_CRM.to_owned();
    let all = sms_notes::tests::every_refusal();
    for one in all.iter().filter(|one| !matches!(one, SmsRefusal::Shorthand { .. })) {
        let say = |language| {
            let text = sms_notes::refusal(one, language).replace("12:", "…:").replace("REASON", "…");
            text.replace("5000", "…")
                .replace("wa_1", "…")
                .replace("of RU.", "of ….")
                .replace("страны RU", "страны …")
        };
        let _ = writeln!(text, "| {} | {} |", say(Language::En), say(Language::Ru));
    }
    text
}

/// What an operator reads of a message that was not sent.
fn of_operators() -> String {
    let mut text = OF_OPERATORS.to_owned();
    for (note, _) in every_note().into_iter().filter(|(_, is_failure)| *is_failure) {
        let say = |language| {
            let text = note_text(&note, language).replace("[color=#ff0000]", "").replace("[/color]", "");
            let text = text.replace('\u{200b}', "").replace("[b]a.pdf", "…").replace('\n', " ");
            text.replace("https://p.example/[crm]/", "https://…")
        };
        let _ = writeln!(text, "| {} | {} |", say(Language::En), say(Language::Ru));
    }
    text
}

/// What is wrong with a template that is handed in.
fn of_templates() -> String {
    let mut text = OF_TEMPLATES.to_owned();
    for (field, message) in broken_rules() {
        let _ = writeln!(text, "| `{field}` | {message} |");
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
