//! Every example of `docs/shorthand.md` with its exact outcome: the document is written from this table.
//!
//! `⟨x×1000⟩` stands for a thousand `x`. An outcome is Meta's object `template` (the file of a header as
//! `FILE`, and where it comes from), `text` for what goes to the customer as it is, or `code: sentence`.

mod around;
mod bracket;
mod written;

use super::super::Channel;

/// A rule, why it is so, and examples.
pub struct Section {
    pub title: &'static str,
    pub channel: Channel,
    pub rule: &'static str,
    pub reason: &'static str,
    /// What is typed, and what comes of it.
    pub cases: &'static [(&'static str, &'static str)],
}

/// Every section, in the order of the document.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    [written::SECTIONS, bracket::SECTIONS, around::SECTIONS].into_iter().flatten()
}
