//! What the use cases say, in Russian.
//!
//! They say what is wrong in English, as the API tells it. Here each such sentence has a Russian one (a test looks
//! that none is missing), so that the panel, the pages inside the portal and the doctor's findings speak the reader's
//! language. What stands in the gaps of a sentence is looked up too; Meta's own words stay as Meta sent them.

use std::collections::HashMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("said.toml");
const GAP: &str = "{}";

static RUSSIAN: LazyLock<Sentences> = LazyLock::new(|| Sentences::read(TEXT));

/// The Russian sentence for an English one, if there is one.
pub fn in_russian(sentence: &str) -> Option<String> {
    RUSSIAN.find(sentence)
}

#[derive(Debug)]
struct Sentences {
    whole: HashMap<String, String>,
    /// Those with gaps; the longest first.
    with_gaps: Vec<(String, String)>,
}

impl Sentences {
    fn read(text: &str) -> Self {
        let table: toml::Table = text.parse().unwrap_or_default();
        let all = table.into_iter().filter_map(|(en, ru)| Some((en, ru.as_str()?.to_owned())));
        let (mut with_gaps, whole): (Vec<_>, Vec<_>) = all.partition(|(en, _)| en.contains(GAP));
        with_gaps.sort_by_key(|(en, _)| std::cmp::Reverse(en.len()));
        Self { whole: whole.into_iter().collect(), with_gaps }
    }

    fn find(&self, sentence: &str) -> Option<String> {
        if let Some(russian) = self.whole.get(sentence) {
            return Some(russian.clone());
        }
        self.with_gaps.iter().find_map(|(en, ru)| {
            let gaps = in_gaps(en, sentence)?;
            Some(gaps.into_iter().fold(ru.clone(), |filled, gap| {
                let inner = self.find(gap).unwrap_or_else(|| gap.to_owned());
                filled.replacen(GAP, inner.strip_suffix('.').unwrap_or(&inner), 1)
            }))
        })
    }
}

/// What stands in the gaps of a sentence; `None`: it is another one. A gap is never empty, so that what is looked up
/// next is shorter.
fn in_gaps<'a>(pattern: &str, sentence: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split(GAP);
    let mut rest = sentence.strip_prefix(parts.next()?)?;
    let parts: Vec<&str> = parts.collect();
    let (last, between) = parts.split_last()?;
    let mut gaps = Vec::with_capacity(parts.len());
    for part in between {
        let (gap, after) = rest.split_once(part)?;
        gaps.push(gap);
        rest = after;
    }
    gaps.push(rest.strip_suffix(last)?);
    gaps.iter().all(|gap| !gap.is_empty() && gap.len() < sentence.len()).then_some(gaps)
}

#[cfg(test)]
mod tests;
