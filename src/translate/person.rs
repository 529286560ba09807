//! The name under which the portal keeps a contact.

use unicode_segmentation::UnicodeSegmentation;

/// Longest name and longest last name (bitrix24 facts §3.8).
const LIMIT: usize = 25;

/// `user.name` and `user.last_name` of the portal: letters, spaces, hyphens and apostrophes, at most 25
/// characters each.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PersonName {
    /// First word.
    pub name: String,
    /// The other words; may be empty.
    pub last_name: String,
}

/// The portal's form of a WhatsApp name, else of the username, else `WhatsApp Guest`.
///
/// The same input gives the same bytes at any time and in any language, because every change of the user
/// object makes the portal rewrite the user. A name of one word has no last name: the portal would split
/// a name of two words itself, so that is done here.
pub fn person_name(profile_name: Option<&str>, username: Option<&str>) -> PersonName {
    split(profile_name.unwrap_or_default())
        .or_else(|| split(username.unwrap_or_default()))
        .unwrap_or_else(|| PersonName { name: "WhatsApp".to_owned(), last_name: "Guest".to_owned() })
}

fn split(text: &str) -> Option<PersonName> {
    let allowed: String = text.chars().map(allowed).collect();
    let words: Vec<&str> = allowed
        .split(' ')
        .map(|word| word.trim_matches(['-', '\'']))
        .filter(|word| word.chars().any(char::is_alphabetic))
        .collect();
    let (first, others) = words.split_first()?;
    Some(PersonName { name: fit(&[first]), last_name: fit(others) })
}

/// A character as the portal takes it; what it does not take separates words.
fn allowed(c: char) -> char {
    match c {
        '\'' | '’' | '‘' | 'ʼ' | '`' => '\'',
        '-' | '‐' | '‑' | '–' => '-',
        // Letters of the "mathematical" fonts that people decorate their names with.
        '\u{1d400}'..='\u{1d6a3}' => {
            let letter = (c as u32 - 0x1d400) % 52;
            let (base, offset) = if letter < 26 { ('A', letter) } else { ('a', letter - 26) };
            char::from_u32(base as u32 + offset).unwrap_or(' ')
        }
        // Letters in boxes and flags count as letters in Unicode, but they are emoji.
        '\u{24b6}'..='\u{24e9}' | '\u{1f000}'..='\u{1faff}' => ' ',
        c if c.is_alphabetic() || is_mark(c) => c,
        _ => ' ',
    }
}

/// Marks that belong to the letter before them (accents, vowels of Indic and Arabic scripts).
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}'
        | '\u{900}'..='\u{903}' | '\u{93c}' | '\u{94d}' | '\u{9cd}' | '\u{bcd}' | '\u{c4d}' | '\u{ccd}'
        | '\u{d4d}' | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}')
}

/// As many whole words as fit; if not even the first fits, its beginning.
fn fit(words: &[&str]) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in words {
        let length = word.chars().count() + usize::from(used > 0);
        if used + length > LIMIT {
            break;
        }
        out.push_str(if used > 0 { " " } else { "" });
        out.push_str(word);
        used += length;
    }
    if let (true, Some(first)) = (out.is_empty(), words.first()) {
        let whole = first.graphemes(true).scan(0, |used, grapheme| {
            *used += grapheme.chars().count();
            (*used <= LIMIT).then_some(grapheme)
        });
        out = whole.collect::<String>().trim_end_matches(['-', '\'']).to_owned();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(profile_name: &str, username: &str) -> (String, String) {
        let found = person_name(Some(profile_name), Some(username));
        (found.name, found.last_name)
    }

    #[test]
    fn a_name_is_made_fit_for_the_portal() {
        for (typed, name, last_name) in [
            ("Sheena Nelson", "Sheena", "Nelson"),
            ("  Иван   Петров ", "Иван", "Петров"),
            ("Cher", "Cher", ""),
            ("Anna-Maria O’Neil", "Anna-Maria", "O'Neil"),
            ("🔥 Ivan 🚀 2024!", "Ivan", ""),
            ("Ivan🔥Petrov", "Ivan", "Petrov"),
            ("Jean Paul de la Fontaine", "Jean", "Paul de la Fontaine"),
            ("A Bcdefghijkl Mnopqrstuvw Xyzabcdef", "A", "Bcdefghijkl Mnopqrstuvw"),
            ("Donaudampfschifffahrtsgesellschaft", "Donaudampfschifffahrtsges", ""),
            ("[b]Bob[/b]", "b", "Bob b"),
            ("𝓘𝓿𝓪𝓷 𝐏𝐞𝐭𝐫𝐨𝐯", "Ivan", "Petrov"),
            ("محمد علي", "محمد", "علي"),
            ("प्रिया शर्मा", "प्रिया", "शर्मा"),
            ("李小龙", "李小龙", ""),
            ("Acme Ltd. (sales)", "Acme", "Ltd sales"),
            ("- Bob -", "Bob", ""),
        ] {
            assert_eq!(name_of(typed, ""), (name.to_owned(), last_name.to_owned()), "{typed}");
        }
    }

    #[test]
    fn a_blank_name_falls_back_to_the_username_and_then_to_a_guest() {
        assert_eq!(name_of("~", "@sheena.nelson_1"), ("sheena".into(), "nelson".into()));
        assert_eq!(name_of("🔥123", "@007"), ("WhatsApp".into(), "Guest".into()));
        assert_eq!(person_name(None, None), person_name(Some(""), Some("🅰️")));
    }

    #[test]
    fn no_name_breaks_the_rules_of_the_portal() {
        let odd = "a\u{0}b🇩🇪c👩‍👩‍👧d\u{200f}e’f—g_h1i\u{301}jא ب ﷽ ǆ 𝔘 ①Ⓐ".repeat(40);
        for start in odd.char_indices().map(|(at, _)| at) {
            let PersonName { name, last_name } = person_name(odd.get(start..), None);
            for part in [&name, &last_name] {
                assert!(part.chars().count() <= LIMIT, "{part}");
                assert!(part.chars().all(|c| c.is_alphabetic() || is_mark(c) || " -'".contains(c)), "{part}");
                assert_eq!(part.trim(), part);
            }
            assert!(!name.is_empty());
        }
    }
}
