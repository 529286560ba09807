//! What the customer gets of an operator's text (bitrix24 facts §4.1).

mod inside;
mod quote;

use super::markup;
use crate::domain::ImMessageId;

/// How the text is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperatorOptions<'a> {
    /// Leave the operator's name out (the phone's setting), else it stands in bold above the text.
    pub strip_signature: bool,
    /// Host of the portal, as in `company.bitrix24.com`; links to its inside are held back.
    pub portal_host: &'a str,
    /// Files come with the text, so that it may be nothing but a signature or a quote.
    pub has_files: bool,
}

/// An operator's text, translated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OperatorText {
    /// WhatsApp markup without the quote; to be sent as a reply if the quoted message is known. Not
    /// split yet. Empty if there is nothing to say.
    pub body: String,
    /// The same with the quote as `> ` lines, for a quoted message that is not known. Equal to `body`
    /// without a quote.
    pub body_with_quote: String,
    /// What was typed after signature and quote, without any markup: in this form a shorthand is read.
    pub typed: String,
    /// The message that the operator answers.
    pub quote: Option<QuotedText>,
    /// The operator's name, if the portal signed the text.
    pub signed_by: Option<String>,
    /// Why the text must not be sent.
    pub held_back: Option<HeldBack>,
}

/// A quote, as far as the portal tells what is quoted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotedText {
    /// Its author as the portal names them.
    pub author: Option<String>,
    /// The quoted text in WhatsApp markup; compare it by [`markup::plain_key`].
    pub text: String,
    /// The portal's id of the quoted message, where the quote bears one (`#chat12/345`).
    pub message: Option<ImMessageId>,
}

impl QuotedText {
    /// What a message must say to be the quoted one (see [`markup::plain_key`]), the surest first: the text as
    /// it is, then without the lines in italics, by which the bridge marks an edited or forwarded message.
    pub fn keys(&self) -> Vec<String> {
        let is_mark = |line: &&str| line.len() > 2 && line.starts_with('_') && line.ends_with('_');
        let unmarked: Vec<&str> = self.text.lines().filter(|line| !is_mark(&line.trim())).collect();
        let mut keys = vec![markup::plain_key(&self.text), markup::plain_key(&unmarked.join("\n"))];
        keys.dedup();
        keys.retain(|key| !key.is_empty());
        keys
    }
}

/// Why a text must not be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeldBack {
    /// It holds a link to the portal's inside, which the customer cannot open.
    PortalLink {
        /// The link as typed.
        link: String,
    },
}

/// Translates an operator's text: signature, quote, BBCode; finds what must be held back.
pub fn operator_text(text: &str, options: &OperatorOptions<'_>) -> OperatorText {
    let (signed_by, text) = match signature(text, options.has_files) {
        Some((name, rest)) => (Some(markup::to_whatsapp(name).trim().to_owned()), rest),
        None => (None, text),
    };
    let found = quote::take(text);
    let body = markup::to_whatsapp(&found.body).trim().to_owned();
    let with_quote = markup::to_whatsapp(&found.body_with_quote).trim().to_owned();
    let signed = |body: String| match &signed_by {
        Some(name) if !options.strip_signature && (options.has_files || !body.is_empty()) => {
            format!("*{name}:*\n{body}").trim_end().to_owned()
        }
        _ => body,
    };
    // A quote with nothing to say is forwarded as a text of its own.
    let is_only_quote = body.is_empty() && !options.has_files;
    let sent = if is_only_quote { &found.body_with_quote } else { &found.body };
    let held_back = inside::first_link(sent, options.portal_host).map(|link| HeldBack::PortalLink { link });
    OperatorText {
        body: signed(if is_only_quote { with_quote.clone() } else { body }),
        body_with_quote: signed(with_quote),
        typed: if is_only_quote { String::new() } else { markup::bare(&found.body).trim().to_owned() },
        quote: found.quote.filter(|_| !is_only_quote),
        held_back,
        signed_by,
    }
}

/// The signature that the portal puts before a text, and the text: `[b]Name:[/b] [br]text` in a new
/// message, `[b]Name:[/b][br] text` in an update, `[b]Name:[/b] ` with files only. A line end typed by an
/// operator reaches us as a real one, so `[br]` tells the signature from a bold word of the text.
fn signature(text: &str, has_files: bool) -> Option<(&str, &str)> {
    let (open, rest) = text.split_at_checked(3)?;
    let at = rest.to_ascii_lowercase().find(":[/b]").filter(|_| open.eq_ignore_ascii_case("[b]"))?;
    let (name, rest) = rest.split_at_checked(at)?;
    let rest = rest.get(":[/b]".len()..)?;
    if name.trim().is_empty() || name.contains('\n') || name.chars().count() > 200 {
        return None;
    }
    let after = rest.strip_prefix(' ').unwrap_or(rest);
    let line_end = after.get(..4).is_some_and(|tag| tag.eq_ignore_ascii_case("[br]"));
    if line_end {
        let text = after.get(4..)?;
        return Some((name, text.strip_prefix(' ').unwrap_or(text)));
    }
    (has_files && rest.trim().is_empty()).then_some((name, ""))
}

#[cfg(test)]
#[path = "to_whatsapp/tests.rs"]
mod tests;
