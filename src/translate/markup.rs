//! Markup of the two clouds: WhatsApp's `*bold*` and the portal's BBCode (whatsapp-messaging facts §8.5,
//! bitrix24 facts §3.8 and §4.1).
//!
//! # How a customer's brackets are neutralised
//!
//! A zero-width space (U+200B) is put after every `[` that the customer typed. It shows nothing, so the
//! text looks exactly as typed (fullwidth look-alikes do not), and no BBCode tag can begin with it, since
//! every tag has its name or a slash directly after the bracket. The same is done inside the other tokens
//! that the portal interprets: `:f09f9880:` (emoji), `#BR#`, a `>>` that begins a line, and a run of 54
//! hyphens (quote frame). Inside web addresses brackets are percent-encoded instead, or the link would
//! end there. [`to_whatsapp`] takes the zero-width spaces out again when an operator copies such a text.

mod bare;
mod bbcode;
mod plain;
mod typed;

pub use bare::bare;
pub use bbcode::to_whatsapp;
pub use plain::{neutralise, plain_key};
pub use typed::to_bbcode;

/// What is put into a token of the portal to break it: zero-width space.
pub const BREAKER: char = '\u{200b}';

/// The line that frames a quote in the portal: 54 hyphens.
pub const QUOTE_FRAME: &str = "------------------------------------------------------";

/// Whether `c` belongs to a word, so that no marker opens after it or closes before it.
fn is_word(c: char) -> bool {
    c.is_alphanumeric()
}
