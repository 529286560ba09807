//! Nothing that people are told is missing in Russian, and nothing is there that nobody says.

use std::path::{Path, PathBuf};

use super::*;

/// Where sentences come from that people are shown.
const SPEAKERS: [&str; 17] = [
    "src/access/administrators.rs",
    "src/access/password.rs",
    "src/bitrix/error.rs",
    "src/directory/entries.rs",
    "src/domain/phone_number.rs",
    "src/gateway/tokens.rs",
    "src/setup/calling/wish.rs",
    "src/setup/templates/allowance.rs",
    "src/setup/templates/draft.rs",
    "src/setup/templates/sync.rs",
    "src/whatsapp/error.rs",
    "src/whatsapp/error/calling.rs",
    "src/whatsapp/template/rules.rs",
    "src/whatsapp/template/rules/buttons.rs",
    "src/http/settings.rs",
    "src/http/admin/login.rs",
    "src/http/admin/template_form.rs",
];

/// Files of `src/setup` that speak to the command line, to the log or in both languages already.
const OTHERS: [&str; 3] = ["alarms.rs", "trust.rs", "transfer.rs"];

/// What looks like a sentence and is none that a person is shown in another language.
const NO_SENTENCES: [&str; 27] = [
    ", ",
    "; ",
    ": ",
    " or ",
    " ({})",
    " ({})",
    "{}{}",
    "+{} {}",
    "{}: {}",
    "{} {}",
    "Meta ",
    "WhatsApp +{}",
    "error {}: {}{}",
    // In two halves in the catalogue.
    "the SMS senders are not registered: {}{}",
    "; grant the application the scope messageservice in Bitrix24 and install it again",
    " Meta says: {}",
    "the account has {} templates, and Meta allows {}{}: delete some",
    " ({} once the business is verified and one of its numbers has an approved display name)",
    // Names of things, in the gap of another sentence.
    "portal application",
    "line of this phone",
    "settings for calls of this phone",
    "profile of this phone",
    // Said to the log, or part of a name.
    "the templates of a WABA could not be read",
    "%Y-%m-%d %H:%M",
    "This page opens inside Bitrix24.",
    "Meta {}: {}",
    "a stored secret cannot be opened; enter it again",
];

/// What is put together from several strings.
const COMPOSED: [&str; 11] = [
    "the account has {} templates, and Meta allows {}: delete some",
    "{} ({} once the business is verified and one of its numbers has an approved display name)",
    "error {}: {}",
    "{} Meta says: {}",
    "components{}: {}",
    "could not be reached",
    "answered {} with something unreadable",
    "the portal refuses our tokens; an administrator has to open the application again ({})",
    "the application is not installed on this portal any more ({})",
    "the SMS senders are not registered: {}",
    "the SMS senders are not registered: {}; grant the application the scope messageservice in Bitrix24 and install it \
     again",
];

#[test]
fn a_sentence_is_found_with_what_stands_in_its_gaps() {
    for (english, russian) in [
        ("must not be empty", "Не должно быть пустым."),
        ("an app with the site a.example exists already", "Приложение с сайтом a.example уже есть."),
        ("Meta: error 100: Invalid parameter (x)", "Meta: ошибка 100: Invalid parameter (x)"),
        (
            "Meta took the settings, but has others: the port is 1, not 2.",
            "Meta приняла настройки, но у неё другие: порт 1, а не 2.",
        ),
        (
            "{{x y}} is no variable: a number, or letters and _",
            "{{x y}} — не переменная: нужно число или буквы и _.",
        ),
        ("Bitrix24: no answer from the other side", "Битрикс24: Другая сторона не отвечает"),
    ] {
        assert_eq!(in_russian(english).as_deref(), Some(russian), "{english}");
    }
    for unknown in ["", "Meta: ", "hello", "must not be"] {
        assert_eq!(in_russian(unknown), None, "{unknown}");
    }
}

#[test]
fn every_sentence_of_the_use_cases_has_a_russian_one_with_the_same_gaps() {
    let known = Sentences::read(TEXT);
    let missing: Vec<String> = spoken()
        .into_iter()
        .filter(|said| said.contains(' ') && said.chars().any(char::is_alphabetic))
        .filter(|said| !NO_SENTENCES.contains(&filled(said).as_str()))
        .filter(|said| {
            let is_known = |told: &String| {
                known.whole.contains_key(told) || known.with_gaps.iter().any(|(en, _)| en == told)
            };
            !is_known(said) && !is_known(&filled(said))
        })
        .collect();
    assert!(missing.is_empty(), "src/setup/said.toml lacks {missing:#?}");
    for (en, ru) in &known.with_gaps {
        assert_eq!(en.matches(GAP).count(), ru.matches(GAP).count(), "{en}");
    }
}

#[test]
fn no_sentence_is_kept_that_nobody_says() {
    let (mut files, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
                false => {}
            }
        }
    }
    let said: Vec<String> =
        files.iter().flat_map(|file| literals(&std::fs::read_to_string(file).unwrap())).collect();
    let said: std::collections::HashSet<String> =
        said.iter().map(|said| filled(said)).chain(said.iter().cloned()).collect();
    let known = Sentences::read(TEXT);
    let all = known.whole.keys().chain(known.with_gaps.iter().map(|(en, _)| en));
    let nobody: Vec<&String> =
        all.filter(|key| !said.contains(*key) && !COMPOSED.contains(&key.as_str())).collect();
    assert!(nobody.is_empty(), "nobody says {nobody:#?}");
}

/// The strings of the sources.
fn spoken() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = SPEAKERS.iter().map(|file| root.join(file)).collect();
    for entry in std::fs::read_dir(root.join("src/setup")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".rs") && !OTHERS.contains(&name.as_str()) {
            files.push(path);
        }
    }
    files.iter().flat_map(|file| literals(&std::fs::read_to_string(file).unwrap())).collect()
}

/// The strings of a source, without those of its log, its comments and its tests.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let source = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "");
    let source: String = without_log(&source);
    let pieces: Vec<&str> = source.split('"').collect();
    // Every second piece is inside of quotes: these sentences hold none.
    pieces.iter().skip(1).step_by(2).map(|piece| plain(piece)).collect()
}

fn without_log(source: &str) -> String {
    let mut pieces = source.split("tracing::");
    let first = pieces.next().unwrap().to_owned();
    // A call of the log ends with the first `);` at the end of a line.
    pieces.fold(first, |all, piece| all + piece.split_once(");\n").map_or(piece, |(_, after)| after))
}

/// In one line.
fn plain(literal: &str) -> String {
    let lines: Vec<&str> = literal.split("\\\n").collect();
    let first = lines.first().copied().unwrap_or_default().to_owned();
    lines.iter().skip(1).fold(first, |all, line| all + line.trim_start())
}

/// As people are told a sentence with gaps: `{}` for each.
fn filled(format: &str) -> String {
    let (mut told, mut rest) = (String::new(), format);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        told.push_str(before);
        rest = match (from.strip_prefix("{{"), from.strip_prefix("}}")) {
            (Some(after), _) => {
                told.push('{');
                after
            }
            (_, Some(after)) => {
                told.push('}');
                after
            }
            _ => {
                told.push_str(GAP);
                from.split_once('}').map_or("", |(_, after)| after)
            }
        };
    }
    told + rest
}
