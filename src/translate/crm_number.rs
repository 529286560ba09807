//! Numbers as a CRM holds them: with or without country code, with an extension, in any punctuation.
//!
//! A number that states its country (`+…`, `00…`) is believed if its country code exists and its length is
//! right: Meta's own spelling of some numbers (Mexico's `+52 1 …`, say) is valid nowhere else. One without is
//! read as people of the country write it, and must be a valid number there.

use std::str::FromStr;

use phonenumber::country;
use thiserror::Error;

use crate::domain::PhoneNumber;

/// Words that begin an extension.
const EXTENSIONS: [&str; 11] =
    [";ext=", "extension", "ext", "доб", "вн", "добавочный", "durchwahl", "anexo", "#", "x", "х"];

/// Why a text is no number to send to.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NumberFault {
    /// There are no digits, or things that are in no number.
    #[error("it is not a phone number")]
    NoNumber,
    /// Too few or too many digits.
    #[error("it is too short or too long for a phone number")]
    Length,
    /// There is no such country code.
    #[error("there is no such country code")]
    CountryCode,
    /// It bears no country code, and is no number of the country by which it was read.
    #[error("it has no country code and is not a number of {0}")]
    NotOf(String),
    /// It bears no country code, and nothing tells the country.
    #[error("it has no country code, and the portal's country is not known")]
    NoCountry,
}

/// Reads a number; `country` (ISO-2) is where one without country code belongs.
pub fn parse(text: &str, country: Option<&str>) -> Result<PhoneNumber, NumberFault> {
    let (plus, digits) = digits_of(text)?;
    if plus {
        return international(&digits);
    }
    if let Some(rest) = digits.strip_prefix("00").filter(|rest| !rest.starts_with('0')) {
        return international(rest);
    }
    let id = country.and_then(|code| country::Id::from_str(&code.to_ascii_uppercase()).ok());
    let Some(id) = id else {
        // Nobody says where it belongs; a long one may have its country code all the same.
        return if digits.len() > 10 { international(&digits) } else { Err(NumberFault::NoCountry) };
    };
    let national = phonenumber::parse(Some(id), &digits).ok().filter(phonenumber::is_valid);
    // `7 913 …`, `49 89 …`: the code without its plus.
    let coded = || phonenumber::parse(None, format!("+{digits}")).ok().filter(phonenumber::is_valid);
    match national.or_else(coded) {
        Some(number) => e164(&number),
        None if !(5..=17).contains(&digits.len()) => Err(NumberFault::Length),
        None => Err(NumberFault::NotOf(id.as_ref().to_owned())),
    }
}

/// Other spellings under which WhatsApp may know a number; keys to look people up by, never to send to
/// (whatsapp-messaging facts §8.2).
pub fn spellings(digits: &str) -> Vec<String> {
    let (country, rest) = (digits.get(..2).unwrap_or_default(), digits.get(2..).unwrap_or_default());
    let of =
        |text: &str, at: usize| (text.get(..at).map(str::to_owned)).zip(text.get(at..).map(str::to_owned));
    let mobile = |local: &str| local.starts_with(['6', '7', '8', '9']);
    let other = match (country, rest.len()) {
        // Brazil: the ninth digit after the area code.
        ("55", 11) => of(rest, 2).and_then(|(area, local)| {
            local.strip_prefix('9').filter(|local| mobile(local)).map(|local| format!("55{area}{local}"))
        }),
        ("55", 10) => {
            of(rest, 2).filter(|(_, local)| mobile(local)).map(|(area, local)| format!("55{area}9{local}"))
        }
        // Mexico and Argentina: a mark of mobile numbers after the country code.
        ("52", 11) => rest.strip_prefix('1').map(|local| format!("52{local}")),
        ("52", 10) => Some(format!("521{rest}")),
        ("54", 11) => rest.strip_prefix('9').map(|local| format!("54{local}")),
        ("54", 10) => Some(format!("549{rest}")),
        _ => None,
    };
    other.into_iter().collect()
}

/// The country of a number in international form, ISO-2.
pub fn country_of(digits: &str) -> Option<String> {
    let number = phonenumber::parse(None, format!("+{digits}")).ok()?;
    Some(number.country().id()?.as_ref().to_owned())
}

/// The region that a Bitrix24 account's address tells, ISO-2; `None` for `bitrix24.com` and addresses of their
/// own.
pub fn region_of(domain: &str) -> Option<&'static str> {
    let host = domain.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let (_, ending) = host.split_once("bitrix24.")?;
    Some(match ending {
        "ru" => "RU",
        "by" => "BY",
        "kz" => "KZ",
        "uz" => "UZ",
        "ua" => "UA",
        "de" => "DE",
        "fr" => "FR",
        "it" => "IT",
        "es" => "ES",
        "pl" => "PL",
        "com.br" => "BR",
        "com.tr" => "TR",
        "in" => "IN",
        "cn" => "CN",
        "jp" => "JP",
        "mx" => "MX",
        "co" => "CO",
        "vn" => "VN",
        "id" => "ID",
        "co.uk" | "uk" => "GB",
        _ => return None,
    })
}

/// The digits before an extension, and whether a plus stands before them.
fn digits_of(text: &str) -> Result<(bool, String), NumberFault> {
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix("tel:").unwrap_or(&text);
    let end = EXTENSIONS.iter().filter_map(|word| text.find(word)).filter(|at| *at > 0).min();
    let main = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    // A second number behind a separator is another number.
    let main = main.split([',', ';']).next().unwrap_or_default();
    let (mut plus, mut digits) = (false, String::new());
    for c in main.chars() {
        match c {
            '+' | '＋' if digits.is_empty() && !plus => plus = true,
            '(' | ')' | '-' | '.' | '_' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
            c if c.is_whitespace() => {}
            c => match digit(c) {
                Some(digit) => digits.push(digit),
                None => return Err(NumberFault::NoNumber),
            },
        }
    }
    if digits.is_empty() { Err(NumberFault::NoNumber) } else { Ok((plus, digits)) }
}

/// Digits of other scripts are digits.
fn digit(c: char) -> Option<char> {
    let zero = [0x30_u32, 0x660, 0x6f0, 0x966, 0xff10]
        .into_iter()
        .find(|zero| (*zero..*zero + 10).contains(&u32::from(c)))?;
    char::from_digit(u32::from(c) - zero, 10)
}

fn international(digits: &str) -> Result<PhoneNumber, NumberFault> {
    let digits = digits.trim_start_matches('0');
    let known = phonenumber::parse(None, format!("+{digits}"));
    match known {
        // `+7 8 913 …`: the trunk prefix behind the country code belongs to neither.
        Ok(number) if phonenumber::is_valid(&number) => e164(&number),
        Ok(number) if number.country().code() > 0 => {
            PhoneNumber::parse(digits).map_err(|_| NumberFault::Length)
        }
        Ok(_) | Err(phonenumber::ParseError::InvalidCountryCode) => Err(NumberFault::CountryCode),
        Err(_) => Err(NumberFault::Length),
    }
}

fn e164(number: &phonenumber::PhoneNumber) -> Result<PhoneNumber, NumberFault> {
    let text = number.format().mode(phonenumber::Mode::E164).to_string();
    // An extension has no place in it.
    let text = text.split(|c: char| !(c.is_ascii_digit() || c == '+')).next().unwrap_or_default();
    PhoneNumber::parse(text).map_err(|_| NumberFault::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_of_the_country_write_them() {
        for (text, country, expected) in [
            ("8 (913) 123-45-67", Some("RU"), "79131234567"),
            ("+7 (913) 123-45-67", None, "79131234567"),
            ("7 913 123 45 67", Some("RU"), "79131234567"),
            ("913 123-45-67", Some("ru"), "79131234567"),
            ("8 (913) 123-45-67 доб. 12", Some("RU"), "79131234567"),
            ("+7 913 123-45-67 ext. 5", Some("DE"), "79131234567"),
            ("+7 913 123-45-67 x5", None, "79131234567"),
            ("8 (495) 123-45-67,,12#", Some("RU"), "74951234567"),
            ("00 49 89 1234567", Some("RU"), "49891234567"),
            ("0049891234567", None, "49891234567"),
            ("089 / 12345678", Some("DE"), "498912345678"),
            ("0171 1234567", Some("DE"), "491711234567"),
            ("(650) 555-1234", Some("US"), "16505551234"),
            ("1-650-555-1234", Some("US"), "16505551234"),
            ("tel:+1-650-555-1234", Some("RU"), "16505551234"),
            ("+1 555 078 3881", None, "15550783881"),
            ("+52 1 55 1234 5678", None, "5215512345678"),
            ("+55 11 98765-4321", None, "5511987654321"),
            ("\u{202a}+7\u{a0}913\u{2011}123‑45‑67\u{202c}", None, "79131234567"),
            ("٨٩١٣١٢٣٤٥٦٧", Some("RU"), "79131234567"),
            ("79131234567", None, "79131234567"),
            ("+7 8 913 123 45 67", Some("RU"), "79131234567"),
        ] {
            let found = parse(text, country).map(|number| number.digits().to_owned());
            assert_eq!(found.as_deref(), Ok(expected), "{text} in {country:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_reason() {
        use NumberFault::*;
        for (text, country, expected) in [
            ("", Some("RU"), NoNumber),
            ("call me", Some("RU"), NoNumber),
            ("ext 5", Some("RU"), NoNumber),
            ("+", None, NoNumber),
            ("8 913 1234", Some("RU"), NotOf("RU".into())),
            ("112", Some("DE"), Length),
            ("123-45-67", None, NoCountry),
            ("+999 123 456 789", None, CountryCode),
            ("+7 913", None, Length),
            ("+7 913 123 45 67 89 10 11 12", None, Length),
        ] {
            assert_eq!(parse(text, country), Err(expected), "{text} in {country:?}");
        }
    }

    #[test]
    fn whatsapp_may_spell_numbers_of_three_countries_otherwise() {
        for (one, other) in [
            ("5511987654321", "551187654321"),
            ("525512345678", "5215512345678"),
            ("541112345678", "5491112345678"),
        ] {
            assert_eq!(spellings(one), [other]);
            assert_eq!(spellings(other), [one]);
        }
        assert!(spellings("551132345678").is_empty());
        assert!(spellings("79131234567").is_empty());
        assert!(spellings("5").is_empty());
    }

    #[test]
    fn country_and_region_are_told_by_number_and_address() {
        assert_eq!(country_of("79131234567").as_deref(), Some("RU"));
        assert_eq!(country_of("491711234567").as_deref(), Some("DE"));
        assert_eq!(region_of("firm.bitrix24.ru"), Some("RU"));
        assert_eq!(region_of("firm.bitrix24.com.br:443"), Some("BR"));
        assert_eq!(region_of("firm.bitrix24.com"), None);
        assert_eq!(region_of("crm.firm.example"), None);
    }
}
