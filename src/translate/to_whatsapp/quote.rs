//! Takes the quote out of an operator's text.

use super::QuotedText;
use crate::domain::ImMessageId;
use crate::translate::markup::{QUOTE_FRAME, to_whatsapp};

/// BBCode with the first quote taken out. Further quotes stay in the body as `[quote]`.
pub struct Found {
    /// Without the first quote.
    pub body: String,
    /// With it.
    pub body_with_quote: String,
    /// What is quoted.
    pub quote: Option<QuotedText>,
}

/// A stretch of the text.
enum Part {
    Text(String),
    Quote { header: Option<String>, text: String },
}

/// Finds the quote in the portal's three forms: a block framed by lines of 54 hyphens whose first line
/// names the author, `>>` lines, and `[quote]`.
pub fn take(text: &str) -> Found {
    let mut quote = None;
    let mut body: Vec<String> = Vec::new();
    let mut with_quote: Vec<String> = Vec::new();
    for part in parts(text) {
        match part {
            Part::Text(text) => {
                body.push(text.clone());
                with_quote.push(text);
            }
            Part::Quote { header, text } => {
                let (author, message) = header.as_deref().map(read_header).unwrap_or_default();
                let shown = format!("[quote]{}[/quote]", in_quote(author.as_deref(), &text));
                if quote.is_none() && !text.trim().is_empty() {
                    let author = author.map(|author| to_whatsapp(&author).trim().to_owned());
                    quote = Some(QuotedText { author, text: to_whatsapp(&text).trim().to_owned(), message });
                } else {
                    body.push(shown.clone());
                }
                with_quote.push(shown);
            }
        }
    }
    Found { body: body.join("\n"), body_with_quote: with_quote.join("\n"), quote }
}

fn in_quote(author: Option<&str>, text: &str) -> String {
    match author {
        Some(author) if !author.trim().is_empty() => format!("{}:\n{}", author.trim(), text.trim()),
        _ => text.trim().to_owned(),
    }
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain: Vec<&str> = Vec::new();
    let unfold = text.replace("\r\n", "\n").replace("#BR#", "\n").replace("[br]", "\n").replace("[BR]", "\n");
    let lines: Vec<&str> = unfold.split('\n').collect();
    let is_frame = |line: &&str| line.trim() == QUOTE_FRAME;
    let mut at = 0;
    // The last frame opens nothing.
    let last_frame = lines.iter().rposition(is_frame).unwrap_or(0);
    while let Some(line) = lines.get(at) {
        if is_frame(line) && at < last_frame {
            let inner = lines.iter().skip(at + 1).take_while(|line| !is_frame(line)).count();
            let block = lines.get(at + 1..at + 1 + inner).unwrap_or_default();
            flush(&mut plain, &mut parts);
            parts.push(framed(block));
            at += inner + 2;
            continue;
        }
        let quoted: Vec<&str> = lines.iter().skip(at).map_while(|line| line.strip_prefix(">>")).collect();
        if quoted.is_empty() {
            plain.push(line);
            at += 1;
        } else {
            flush(&mut plain, &mut parts);
            let text = quoted
                .iter()
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect::<Vec<_>>()
                .join("\n");
            parts.push(Part::Quote { header: None, text });
            at += quoted.len();
        }
    }
    flush(&mut plain, &mut parts);
    parts
}

/// A framed block; its first line is a header if it looks like one.
fn framed(block: &[&str]) -> Part {
    match block.split_first() {
        Some((header, text)) if !text.is_empty() && is_header(header) => {
            Part::Quote { header: Some((*header).to_owned()), text: text.join("\n") }
        }
        _ => Part::Quote { header: None, text: block.join("\n") },
    }
}

/// `Name [date] #context`
fn is_header(line: &str) -> bool {
    let line = line.trim_end();
    let without_context = match line.rsplit_once(" #") {
        Some((head, context)) if context.contains('/') => head.trim_end(),
        _ => line,
    };
    without_context.ends_with(']') && without_context.contains(" [")
}

/// Author and message id of `Name [date] #chat12/345`.
fn read_header(header: &str) -> (Option<String>, Option<ImMessageId>) {
    let (head, context) =
        header.rsplit_once(" #").map_or((header, None), |(head, context)| (head, Some(context)));
    let author = head.rsplit_once(" [").map_or(head, |(author, _)| author).trim();
    let message = context.and_then(|context| context.trim().rsplit_once('/')).map(|(_, id)| id);
    let is_id = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    ((!author.is_empty()).then(|| author.to_owned()), message.filter(is_id).map(ImMessageId::from))
}

/// Plain lines, in which `[quote]…[/quote]` may stand.
fn flush(plain: &mut Vec<&str>, parts: &mut Vec<Part>) {
    if plain.is_empty() {
        return;
    }
    let text = plain.join("\n");
    plain.clear();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    let mut at = 0;
    while let Some(open) = find(&lower, "[quote", at) {
        let begin = lower.get(open..).and_then(|rest| rest.find(']')).map(|end| open + end + 1);
        let Some((begin, end)) = begin.and_then(|begin| Some((begin, find(&lower, "[/quote]", begin)?)))
        else {
            break;
        };
        let tag = lower.get(open..begin).unwrap_or_default();
        if !matches!(tag.as_bytes().get(6), Some(b']' | b'=')) {
            at = begin;
            continue;
        }
        push_text(text.get(from..open), parts);
        let inner = text.get(begin..end).unwrap_or_default();
        parts.push(Part::Quote { header: None, text: inner.to_owned() });
        from = end + "[/quote]".len();
        at = from;
    }
    push_text(text.get(from..), parts);
}

fn find(text: &str, what: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find(what).map(|at| from + at)
}

fn push_text(text: Option<&str>, parts: &mut Vec<Part>) {
    let text = text.unwrap_or_default();
    // Parts are joined by line ends.
    let follows_quote = matches!(parts.last(), Some(Part::Quote { .. }));
    let text = text.strip_prefix('\n').filter(|_| follows_quote).unwrap_or(text);
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}
