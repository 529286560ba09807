//! The `user` object of a message. Every change of it makes the portal rewrite the client's profile, so it
//! must stay the same to the byte (bitrix24 facts §3.8).

use serde::{Deserialize, Serialize};

/// A contact as the portal is told; keep it stored and send the same one each time.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct UserObject {
    /// Our id of the contact; never changes, no `|`.
    pub id: String,
    /// See [`portal_name`]; if both names are missing the portal writes its word for "guest".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`portal_name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Link to the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// E.164 with `+`; the CRM is searched by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// `"Y"`: the CRM does not check the number. Nothing but `Y` has an effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_phone_validate: Option<String>,
}

impl UserObject {
    /// A contact by our id and what WhatsApp calls it: the first word is the name, the rest the last name.
    pub fn named(id: impl Into<String>, display_name: &str) -> Self {
        let fitting = fitting_words(display_name);
        let (first, rest) = fitting.split_first().map_or((None, Vec::new()), |(first, rest)| {
            (Some(first.as_str()), rest.iter().map(String::as_str).collect())
        });
        Self {
            id: id.into(),
            name: first.and_then(portal_name),
            last_name: portal_name(&rest.join(" ")),
            ..Self::default()
        }
    }

    /// With the contact's number, which the portal does not validate again.
    pub fn with_phone(self, e164: impl Into<String>) -> Self {
        Self { phone: Some(e164.into()), skip_phone_validate: Some("Y".to_owned()), ..self }
    }
}

/// Longest name or last name, in characters (facts §3.8).
const NAME_LENGTH: usize = 25;

/// What of a text fits the portal's rule for a name: letters, spaces, hyphens and apostrophes, at most 25
/// characters. `None` if nothing is left.
pub fn portal_name(text: &str) -> Option<String> {
    let name: String = fitting_words(text).join(" ").chars().take(NAME_LENGTH).collect();
    let name = name.trim_end_matches([' ', '-', '\'']);
    if name.is_empty() { None } else { Some(name.to_owned()) }
}

fn fitting_words(text: &str) -> Vec<String> {
    let kept: String = text
        .chars()
        .filter_map(|c| match c {
            '\'' | '’' | 'ʼ' => Some('\''),
            '-' | '‐' | '‑' => Some('-'),
            _ if c.is_alphabetic() || is_mark(c) => Some(c),
            // Emoji, digits, punctuation separate words, joiners do not.
            '\u{200b}'..='\u{200f}' | '\u{feff}' => None,
            _ => Some(' '),
        })
        .collect();
    kept.split(' ')
        .map(|word| word.trim_matches(['-', '\'']))
        .filter(|word| word.chars().any(char::is_alphabetic))
        .map(str::to_owned)
        .collect()
}

/// Combining marks that `char::is_alphabetic` leaves out (Latin accents, Indic viramas).
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}' | '\u{094d}' | '\u{09cd}' | '\u{0a4d}' | '\u{0acd}' | '\u{0bcd}' | '\u{0c4d}' | '\u{0ccd}' | '\u{0d4d}' | '\u{0e47}'..='\u{0e4e}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_only_what_the_portal_allows() {
        for (text, expected) in [
            ("Ivan", Some("Ivan")),
            ("  Anna-Maria  O’Neil ", Some("Anna-Maria O'Neil")),
            ("Zoë 🌸 99", Some("Zoë")),
            ("Иван", Some("Иван")),
            ("محمد", Some("محمد")),
            ("+1 631 555", None),
            ("🔥🔥", None),
            ("- ' -", None),
            ("", None),
            ("Abcdefghijklmnopqrstuvwxyz", Some("Abcdefghijklmnopqrstuvwxy")),
            ("Abcdefghijklmnopqrstuvwx yz", Some("Abcdefghijklmnopqrstuvwx")),
        ] {
            assert_eq!(portal_name(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_display_name_is_split_into_name_and_last_name() {
        let user = UserObject::named("c1", "Ivan 🚀 van der Petrov").with_phone("+79990000000");
        assert_eq!(user.name.as_deref(), Some("Ivan"));
        assert_eq!(user.last_name.as_deref(), Some("van der Petrov"));
        let text = serde_json::to_string(&user).unwrap();
        let again: UserObject = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert_eq!(
            text,
            "{\"id\":\"c1\",\"name\":\"Ivan\",\"last_name\":\"van der Petrov\",\
             \"phone\":\"+79990000000\",\"skip_phone_validate\":\"Y\"}"
        );
    }

    #[test]
    fn a_contact_without_a_name_is_left_to_the_portal() {
        let user = UserObject::named("c1", "🔥 123");
        assert_eq!(serde_json::to_string(&user).unwrap(), "{\"id\":\"c1\"}");
    }
}
