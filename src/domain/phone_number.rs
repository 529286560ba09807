//! Telephone numbers in E.164 shape.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number in E.164 shape: 7 to 15 digits, kept without `+`.
///
/// Only the shape is checked: Meta's own test numbers are not valid numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct PhoneNumber(String);

/// Why a text is not a number.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PhoneNumberError {
    /// Something other than digits and the usual separators.
    #[error("a phone number holds only digits, spaces, dashes, dots and parentheses after the +")]
    Character,
    /// Too short or too long for E.164.
    #[error("a phone number in international form has 7 to 15 digits")]
    Length,
}

impl PhoneNumber {
    /// Reads `+1 (631) 555-5555`, `16315555555` and the like.
    pub fn parse(text: &str) -> Result<Self, PhoneNumberError> {
        let text = text.trim();
        let rest = text.strip_prefix('+').unwrap_or(text);
        let mut digits = String::with_capacity(rest.len());
        for c in rest.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '-' | '.' | '(' | ')' | '\u{a0}' => {}
                _ => return Err(PhoneNumberError::Character),
            }
        }
        if !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
            return Err(PhoneNumberError::Length);
        }
        Ok(Self(digits))
    }

    /// The digits without `+`.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// `+` and the digits.
    pub fn e164(&self) -> String {
        format!("+{}", self.0)
    }

    /// For logs: only the last two digits are shown.
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

/// Masks a number or other personal id for a log: only the last two characters are shown.
pub fn mask(text: &str) -> String {
    let tail: String = text.chars().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
    format!("…{tail}")
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_and_bare_numbers_are_the_same() {
        let formatted = PhoneNumber::parse("+1 (631) 555-5555").unwrap();
        assert_eq!(formatted, PhoneNumber::parse("16315555555").unwrap());
        assert_eq!(formatted.e164(), "+16315555555");
        assert_eq!(formatted.masked(), "…55");
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_reason() {
        assert_eq!(PhoneNumber::parse("hello"), Err(PhoneNumberError::Character));
        assert_eq!(PhoneNumber::parse("+12345"), Err(PhoneNumberError::Length));
        assert_eq!(PhoneNumber::parse("1234567890123456"), Err(PhoneNumberError::Length));
        assert_eq!(PhoneNumber::parse("0049891234567"), Err(PhoneNumberError::Length));
    }
}
