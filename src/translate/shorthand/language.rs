//! Language codes, and the language that is meant where none is typed.

use super::Refusal;
use crate::domain::template::{Template, TemplateStatus};

/// The code with `_` that a segment is: `xx`, `xx_XX` or `xx-XX`. Meta also has `fil` and codes as `prs_AF`.
pub fn code(segment: &str) -> Option<String> {
    let segment = segment.trim();
    if segment == "fil" || (segment.len() == 2 && segment.bytes().all(|b| b.is_ascii_lowercase())) {
        return Some(segment.to_owned());
    }
    let (language, region) = segment.split_once(['_', '-'])?;
    let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphabetic());
    let fits = (2..=3).contains(&language.len()) && region.len() == 2 && letters(language) && letters(region);
    fits.then(|| format!("{}_{}", language.to_ascii_lowercase(), region.to_ascii_uppercase()))
}

/// The template in the language that was typed; else in the app's own, the only approved one, the first
/// approved English one. `same_name` is not empty.
pub fn choose<'a>(
    same_name: &[&'a Template],
    typed: Option<&str>,
    default: Option<&str>,
) -> Result<&'a Template, Refusal> {
    let name = same_name.first().map(|template| template.name.clone()).unwrap_or_default();
    let in_language =
        |wanted: &str| same_name.iter().find(|template| same(&template.language, wanted)).copied();
    if let Some(typed) = typed {
        let there = exist(same_name);
        return in_language(typed).ok_or(Refusal::NoLanguage { name, language: typed.to_owned(), there });
    }
    let approved: Vec<&'a Template> =
        same_name.iter().filter(|template| template.status == TemplateStatus::Approved).copied().collect();
    let by_default =
        default.and_then(in_language).filter(|template| template.status == TemplateStatus::Approved);
    let only = match approved.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let english = || {
        let english = approved.iter().filter(|template| is_english(&template.language)).copied();
        english.min_by(|a, b| a.language.cmp(&b.language))
    };
    if let Some(found) = by_default.or(only).or_else(english) {
        return Ok(found);
    }
    match same_name {
        // Its status is the reason.
        [only] => Ok(only),
        _ => Err(Refusal::LanguageMissing { name, there: exist(same_name) }),
    }
}

fn same(one: &str, other: &str) -> bool {
    one.replace('-', "_").eq_ignore_ascii_case(&other.replace('-', "_"))
}

fn is_english(language: &str) -> bool {
    language == "en" || language.starts_with("en_")
}

/// `de, en_US (PENDING)`
fn exist(same_name: &[&Template]) -> Vec<String> {
    let mut there: Vec<String> = same_name
        .iter()
        .map(|template| match &template.status {
            TemplateStatus::Approved => template.language.clone(),
            status => format!("{} ({})", template.language, status.as_str()),
        })
        .collect();
    there.sort();
    there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_codes_are_told_from_values() {
        for (segment, expected) in [
            ("en", Some("en")),
            ("en_US", Some("en_US")),
            ("en-US", Some("en_US")),
            ("pt-br", Some("pt_BR")),
            ("EN_us", Some("en_US")),
            (" ru ", Some("ru")),
            ("fil", Some("fil")),
            ("prs_AF", Some("prs_AF")),
            ("OK", None),
            ("abc", None),
            ("en_", None),
            ("en_USA", None),
            ("e1_US", None),
            ("ен_US", None),
            ("", None),
            ("10-20", None),
        ] {
            assert_eq!(code(segment).as_deref(), expected, "{segment}");
        }
    }
}
