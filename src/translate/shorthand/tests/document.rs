//! Writes `docs/shorthand.md` from the table. `WABRIDGE_WRITE_DOCS=1 cargo test --lib shorthand` writes the
//! file anew; without it the test compares.

use std::fmt::Write as _;
use std::path::Path;

use super::super::refusal::Part;
use super::*;

const INTRODUCTION: &str = "\
# Sending a template by a short line

An operator in an open line, a CRM user or a robot types a short line; the customer gets the approved
template, and the line shows what the customer saw.

| typed | means |
| --- | --- |
| `template-hello_world+en_US` | template by name and language |
| `template-hello_world+en_US+value1\\|value2` | the variables 1 and 2 of the text |
| `template-hello_world+file_link:https://…` | a file for the header, language left out |
| `template-hello_world+en_US+file_link:https://…\\|value1\\|value2` | a file for the header and variables |
| `template-hello_world+button_param:abc`, also among the values | the end of the address of a button; `button_param2:` for the second |
| `template+NAME+LANGUAGE+…`, `template+ID+name:value\\|…` | the same in the later spelling; by id; named variables |
| `hello_world+en_US`, `hello_world+en_US+v1\\|v2` | in an SMS only, if there is such a template |
| `&((template=[[…]] language=[[…]] header_text=[[…]] body_text=[[…]] …))&` | the bracket form, which says everything |
| `&[fallback text](namespace, name, v1, v2)` | the old bracket form |

What looks like a short line and is wrong is never sent to the customer: the sender gets the reason. Each
template's own line, with example values, stands in the list of templates.

**This file is written by a test from the table that the tests use; change `src/translate/shorthand/tests/cases/`.**
";

#[test]
fn the_documentation_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shorthand.md");
    let document = document();
    if std::env::var_os("WABRIDGE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == document,
        "docs/shorthand.md is not what the table says; run with WABRIDGE_WRITE_DOCS=1"
    );
}

#[test]
fn every_refusal_has_a_sentence_of_its_own_in_both_languages() {
    let refusals = refusals();
    let source = include_str!("../refusal.rs");
    let codes = source.lines().filter_map(|line| {
        let (_, code) = line.trim().strip_prefix("Self::")?.split_once(" => \"")?;
        code.strip_suffix("\",")
    });
    let mut counted = 0;
    for code in codes.filter(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
        counted += 1;
        assert!(refusals.iter().any(|refusal| refusal.code() == code), "no sample of {code}");
    }
    assert!(counted > 30, "{counted}");
    for language in [Language::En, Language::Ru] {
        let mut texts: Vec<String> = refusals.iter().map(|refusal| refusal.text(language)).collect();
        texts.sort();
        let before = texts.len();
        texts.dedup();
        assert_eq!(texts.len(), before);
    }
}

fn document() -> String {
    let mut out = INTRODUCTION.to_owned();
    out += "\n## Rules and examples\n\nThe templates of the examples stand at the end. A long run is written \
            `⟨x×1000⟩`, a line end `⏎`, a tab `⇥`, a mark that nobody sees `<U+200B>`. Under what is typed stands what \
            WhatsApp is sent (its object `template`; `FILE` is the uploaded file), or `text` for a text that goes \
            to the customer as it is, or the code of the refusal and its sentence.\n";
    for section in sections() {
        let (title, rule, reason) = (section.title, section.rule, section.reason);
        write!(out, "\n### {title}\n\n{rule}\n\n*Why:* {reason}\n\n~~~text\n").unwrap();
        for (typed, outcome) in section.cases {
            write!(out, "{}\n    → {}\n", visible(typed), visible(outcome)).unwrap();
        }
        out += "~~~\n";
    }
    out += "\n## Every refusal\n\nNothing is sent to the customer.\n\n| code | English | Russian |\n| --- | --- | --- |\n";
    for refusal in refusals() {
        let (code, en, ru) = (refusal.code(), refusal.text(Language::En), refusal.text(Language::Ru));
        writeln!(out, "| `{code}` | {en} | {ru} |").unwrap();
    }
    out += "\n## The templates of the examples\n\n| id | name | language | text | what it has | its short line |\n| --- | --- | --- | --- | --- | --- |\n";
    for example in account::examples() {
        let template = &example.template;
        let line = ready(template).map_or("–".to_owned(), |line| format!("`{}`", line.replace('|', "\\|")));
        let (id, name, language) = (&template.id, &template.name, &template.language);
        let body = template.body.as_deref().unwrap_or_default();
        writeln!(out, "| {id} | `{name}` | {language} | {body} | {} | {line} |", example.about).unwrap();
    }
    out
}

fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push('⏎'),
            '\r' => out.push('␍'),
            '\t' => out.push('⇥'),
            c if c != '\u{200d}' && (is_invisible(c) || c == '\u{2028}') => {
                write!(out, "<U+{:04X}>", u32::from(c)).unwrap();
            }
            c => out.push(c),
        }
    }
    out
}

/// One of each.
#[rustfmt::skip]
fn refusals() -> Vec<Refusal> {
    let template = || "two (en_US)".to_owned();
    let text = |text: &str| text.to_owned();
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    vec![
        Refusal::NameMissing,
        Refusal::NoTemplates,
        Refusal::UnknownName { name: text("helo_world"), nearest: list(&["hello_world"]) },
        Refusal::UnknownName { name: text("xyz"), nearest: vec![] },
        Refusal::NoLanguage { name: text("two"), language: text("de"), there: list(&["en_US", "ru (PENDING)"]) },
        Refusal::LanguageMissing { name: text("two"), there: list(&["de", "fr"]) },
        Refusal::Status { template: template(), status: text("PENDING"), reason: None },
        Refusal::Status { template: template(), status: text("REJECTED"), reason: Some(text("INVALID_FORMAT")) },
        Refusal::Unsupported { template: template(), part: text("CAROUSEL") },
        Refusal::Count { template: template(), needs: 2, given: 1, missing: list(&["2"]) },
        Refusal::Count { template: template(), needs: 2, given: 3, missing: vec![] },
        Refusal::Count { template: template(), needs: 0, given: 3, missing: vec![] },
        Refusal::ValueEmpty { template: template(), variable: text("1") },
        Refusal::ValueTwice { template: template(), variable: text("name") },
        Refusal::UnknownVariable { template: template(), name: text("nane"), there: list(&["name"]) },
        Refusal::TooLong { template: template(), part: Part::Body, limit: 1024, length: 1030 },
        Refusal::TooLong { template: template(), part: Part::Header, limit: 60, length: 61 },
        Refusal::TooLong { template: template(), part: Part::Url, limit: 2000, length: 2001 },
        Refusal::TooLong { template: template(), part: Part::Code, limit: 15, length: 16 },
        Refusal::FileMissing { template: template(), kind: "IMAGE" },
        Refusal::FileNotTaken { template: template() },
        Refusal::FileKind { template: template(), wanted: "IMAGE", given: text("application/pdf") },
        Refusal::TwoFiles,
        Refusal::BadLink { link: text("") },
        Refusal::BadLink { link: text("x") },
        Refusal::FileUnavailable { reason: text("the server answered 404") },
        Refusal::FileTooLarge { template: template(), megabytes: 5 },
        Refusal::OptedOut { template: template() },
        Refusal::FilesAttached { template: template() },
        Refusal::UnknownOrder { order: text("hold-cancel+now") },
        Refusal::OnlyInLine,
        Refusal::HeaderTextMissing { template: template() },
        Refusal::HeaderTextNotTaken { template: template() },
        Refusal::ButtonParamMissing { template: template(), number: 2, label: text("Track") },
        Refusal::CodeMissing { template: template(), label: text("Copy code") },
        Refusal::NoButton { template: template(), part: text("button_param2:") },
        Refusal::ButtonGiven { template: template(), part: text("code:"), twice: true },
        Refusal::ButtonGiven { template: template(), part: text("code:"), twice: false },
        Refusal::CodesDiffer { template: template() },
        Refusal::NotClosed { end: "))&" },
        Refusal::BracketBroken { at: text("body_text=Ann))&") },
        Refusal::UnknownKey { key: text("body") },
        Refusal::KeyTwice { key: text("template") },
        Refusal::BadIndex { index: text("x") },
        Refusal::TextBehind { text: text("and more") },
        Refusal::PartLooksLike,
        Refusal::NotAFallback { template: template() },
    ]
}
