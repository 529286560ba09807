//! Pure conversion between the two clouds.
//!
//! Everything here is a function of its input: no socket, no clock, no database. [`to_line`] makes what
//! the operator sees of a WhatsApp message, [`to_whatsapp`] makes what the customer gets of an operator's
//! text, [`notes`] says in the line what went wrong. For the CRM's SMS provider, [`crm_number`] reads numbers as
//! people write them, and [`sms_notes`] says what became of a message.

pub mod crm_number;
pub mod markup;
pub mod notes;
pub mod person;
pub mod reconstruction;
pub mod shorthand;
pub mod sms_notes;
pub mod split;
pub mod to_line;
pub mod to_whatsapp;

use crate::domain::Language;

#[cfg(test)]
mod odd_inputs;

/// The English or the Russian of two texts.
fn say(language: Language, en: &'static str, ru: &'static str) -> &'static str {
    match language {
        Language::En => en,
        Language::Ru => ru,
    }
}
