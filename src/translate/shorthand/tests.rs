//! The table of examples, the document that is written from it, and thousands of odd texts.

mod account;
mod cases;
mod document;
mod odd;

use super::*;
use crate::domain::template::HeaderMedia;
use crate::domain::{Language, MediaId};
use crate::translate::to_whatsapp::{OperatorOptions, operator_text};
use crate::whatsapp::outgoing::{self, OutgoingContent};
use cases::sections;

/// What comes of a text, as the table says it.
fn outcome(typed: &str, channel: Channel) -> String {
    let templates = account::templates();
    let exists = |name: &str| templates.iter().any(|template| template.name.eq_ignore_ascii_case(name));
    let parsed = match recognise(typed, channel, &exists) {
        Recognised::Plain => return "text".to_owned(),
        Recognised::Wrong(refusal) => return told(&refusal),
        Recognised::CancelHeld { all: false } => return "cancels the text that was held last".to_owned(),
        Recognised::CancelHeld { all: true } => return "cancels every text that is held".to_owned(),
        Recognised::Shorthand(parsed) => parsed,
    };
    match parsed.fill(&templates, &FillOptions::default()) {
        Ok(filled) => sent(&filled),
        Err(refusal) => told(&refusal),
    }
}

fn told(refusal: &Refusal) -> String {
    assert!(!refusal.text(Language::Ru).is_empty());
    format!("{}: {}", refusal.code(), refusal.text(Language::En))
}

fn sent(filled: &Filled) -> String {
    let filename = filled.header_filename.clone();
    let media = HeaderMedia { media_id: MediaId::from("FILE"), filename };
    let media = filled.header_media.is_some().then_some(&media);
    let content = match outgoing::template(&filled.template, &filled.values, media) {
        OutgoingContent::Raw(content) => content["template"].to_string(),
        other => panic!("{other:?}"),
    };
    match &filled.header_media {
        None => content,
        Some(MediaSource::Url(link)) => format!("{content} FILE = {link}"),
        Some(MediaSource::DiskFile(id)) => format!("{content} FILE = {id} on the disk"),
        Some(MediaSource::Attached) => format!("{content} FILE = attached"),
    }
}

/// `⟨x×3⟩` as `xxx`.
fn unfolded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('⟨') {
        let (fold, after) = inside.split_once('⟩').unwrap();
        let (piece, times) = fold.split_once('×').unwrap();
        out.push_str(before);
        out.push_str(&piece.repeat(times.parse().unwrap()));
        rest = after;
    }
    out + rest
}

/// The same the other way round, so that the table stays readable.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let run = chars[at..].iter().take_while(|c| **c == chars[at]).count();
        if run >= 50 {
            out.push_str(&format!("⟨{}×{run}⟩", chars[at]));
        } else {
            out.extend(&chars[at..at + run]);
        }
        at += run;
    }
    out
}

/// What an operator typed, as it comes from the portal.
fn from_portal(typed: &str) -> String {
    let text = format!("[b]Anna Lee:[/b] [br]{typed}");
    let options =
        OperatorOptions { strip_signature: true, portal_host: "acme.bitrix24.com", has_files: false };
    operator_text(&text, &options).typed
}

#[test]
fn every_example_of_the_table_has_its_exact_outcome() {
    let mut faults = String::new();
    for section in sections() {
        for (typed, expected) in section.cases {
            let typed = unfolded(typed);
            let found = match section.channel {
                Channel::Line => outcome(&from_portal(&typed), Channel::Line),
                Channel::Sms => outcome(&typed, Channel::Sms),
            };
            if folded(&found) != *expected {
                faults +=
                    &format!("\n{}\n  expected {expected}\n  found    {}", folded(&typed), folded(&found));
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn the_table_is_large_and_every_form_is_in_it() {
    let count: usize = sections().map(|section| section.cases.len()).sum();
    assert!(count >= 80, "{count}");
}

#[test]
fn a_file_that_is_attached_is_the_headers_if_it_takes_one_and_none_is_named() {
    let templates = account::templates();
    let outcome = |typed: &str, attached: usize| {
        let options = FillOptions { attached, ..FillOptions::default() };
        match recognise(typed, Channel::Line, &|_| false) {
            Recognised::Shorthand(parsed) => match parsed.fill(&templates, &options) {
                Ok(filled) => Ok(filled.header_media),
                Err(refusal) => Err(refusal.code()),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(outcome("template-picture+en_US", 1), Ok(Some(MediaSource::Attached)));
    assert_eq!(outcome("template-invoice+en_US+17", 1), Ok(Some(MediaSource::Attached)));
    assert_eq!(outcome("template-picture+en_US", 0), Err("file_missing"));
    assert_eq!(outcome("template-picture+en_US", 2), Err("two_files"));
    assert_eq!(outcome("template-picture+file_link:https://x.example/a.jpg", 1), Err("two_files"));
    assert_eq!(outcome("template-hello_world+en_US", 1), Err("files_attached"));
    assert_eq!(
        outcome("template-hello_world+en_US+file_link:https://x.example/a.jpg", 1),
        Err("file_not_taken")
    );
}
