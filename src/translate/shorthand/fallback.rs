//! The template that carries a free text when only templates are allowed.

use super::clean::clean;
use super::fill::{Typed, called, check, media_kind};
use super::{FillOptions, Filled, Opening, Refusal, dash, opening, trimmed};
use crate::domain::template::{Template, TemplateValues};

/// Fills the fallback template of a phone with a text. `setting` is its name, with `+en_US` if it is to be
/// that one language.
pub fn fill_fallback(
    setting: &str,
    text: &str,
    templates: &[Template],
    options: &FillOptions<'_>,
) -> Result<Filled, Refusal> {
    let template = check_fallback(setting, templates, options)?;
    // The text is one value, whatever is in it: it is no list of items.
    let value = clean(text);
    if trimmed(&value).is_empty() {
        let variable = template.body_variables().pop().unwrap_or_default();
        return Err(Refusal::ValueEmpty { template: called(template), variable });
    }
    let values = TemplateValues { body: vec![value], ..TemplateValues::default() };
    Typed::new(template).lengths(&values)?;
    let template = template.clone();
    Ok(Filled { template, values, header_media: None, header_filename: None, fallback: None })
}

/// The template that a setting names: approved, with exactly one variable, in its body, and with nothing else
/// to fill in.
pub fn check_fallback<'a>(
    setting: &str,
    templates: &'a [Template],
    options: &FillOptions<'_>,
) -> Result<&'a Template, Refusal> {
    // Somebody may copy a template's whole line.
    let named = match opening(setting) {
        Some(Opening::Dash(rest)) => rest,
        _ => setting,
    };
    let parsed = dash::read(named)?;
    let template = parsed.find(templates, options)?;
    check(template)?;
    let takes_more = template.header_variable().is_some()
        || media_kind(template).is_some()
        || !template.dynamic_urls().is_empty()
        || template.code_button().is_some();
    if template.body_variables().len() != 1 || takes_more || !parsed.items.is_empty() {
        return Err(Refusal::NotAFallback { template: called(template) });
    }
    Ok(template)
}
