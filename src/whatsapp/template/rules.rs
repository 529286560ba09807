//! The documented rules of templates (whatsapp-messaging facts §4.2), checked before Meta is asked, so that
//! each fault names its field. What is not documented is left to Meta.

mod buttons;

use serde_json::Value;

use crate::domain::template::variables;

/// Longest name.
const NAME_LIMIT: usize = 512;
const HEADER_LIMIT: usize = 60;
const BODY_LIMIT: usize = 1024;
const FOOTER_LIMIT: usize = 60;
const MEDIA: [&str; 3] = ["IMAGE", "VIDEO", "DOCUMENT"];

/// Something that Meta would refuse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Path of the field, as `components[1].text`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Collects what is wrong.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into() });
    }
}

/// What of a template decides how its components may look.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// `AUTHENTICATION`, `MARKETING`, `UTILITY`.
    pub category: &'a str,
    /// Whether variables have names.
    pub named: bool,
}

/// What is wrong with the head of a new template.
pub fn check_head(name: &str, language: &str, category: &str, parameter_format: Option<&str>) -> Vec<Fault> {
    let mut faults = Faults::default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(plain) {
        faults.add("name", format!("must be 1 to {NAME_LIMIT} lower-case letters, digits and _"));
    }
    if !is_language(language) {
        faults.add("language", "must be a language code, as en or en_US");
    }
    if !["AUTHENTICATION", "MARKETING", "UTILITY"].contains(&category) {
        faults.add("category", "must be AUTHENTICATION, MARKETING or UTILITY");
    }
    if parameter_format.is_some_and(|format| !["POSITIONAL", "NAMED"].contains(&format)) {
        faults.add("parameter_format", "must be POSITIONAL or NAMED");
    }
    faults.0
}

/// What is wrong with components.
pub fn check_components(kind: Kind<'_>, components: &[Value]) -> Vec<Fault> {
    let mut faults = Faults::default();
    let mut seen: Vec<String> = Vec::new();
    for (index, component) in components.iter().enumerate() {
        let (field, word) = (format!("components[{index}]"), word(component, "type"));
        if word.is_empty() {
            faults.add(format!("{field}.type"), "is missing");
            continue;
        }
        if seen.contains(&word) {
            faults.add(field, format!("is a second {word}"));
            continue;
        }
        match word.as_str() {
            "HEADER" => header(kind, component, &field, &mut faults),
            "BODY" if kind.category == "AUTHENTICATION" => fixed_body(component, &field, &mut faults),
            "BODY" => body(kind, component, &field, &mut faults),
            "FOOTER" => footer(component, &field, &mut faults),
            "BUTTONS" => buttons::check(kind, component, &field, &mut faults),
            _ => {}
        }
        seen.push(word);
    }
    if !seen.iter().any(|word| word == "BODY") {
        faults.add("components", "a BODY is missing");
    }
    if kind.category == "AUTHENTICATION" && !seen.iter().any(|word| word == "BUTTONS") {
        faults.add("components", "an authentication template wants BUTTONS with one OTP button");
    }
    faults.0
}

/// Whether a media header has a sample; `header_url` is ours: an address from which the sample is fetched.
fn header(kind: Kind<'_>, component: &Value, field: &str, faults: &mut Faults) {
    let format = word(component, "format");
    if kind.category == "AUTHENTICATION" {
        faults.add(field, "an authentication template has no header");
    } else if MEDIA.contains(&format.as_str()) {
        let handle = component.pointer("/example/header_handle/0").and_then(Value::as_str);
        let url = component.pointer("/example/header_url").and_then(Value::as_str);
        if handle.or(url).is_none_or(str::is_empty) {
            let message = "a sample is missing: header_url, the address of a file, or header_handle";
            faults.add(format!("{field}.example"), message);
        }
    } else if format == "TEXT" {
        let Some(text) = own_text(component, field, HEADER_LIMIT, faults) else { return };
        if text.contains('\n') {
            faults.add(format!("{field}.text"), "must be one line");
        }
        if variables(text).len() > 1 {
            faults.add(format!("{field}.text"), "may have one variable at most");
        }
        check_variables(kind, component, text, (field, "header_text"), faults);
    } else if format != "LOCATION" {
        faults.add(format!("{field}.format"), "must be TEXT, IMAGE, VIDEO, DOCUMENT or LOCATION");
    }
}

fn body(kind: Kind<'_>, component: &Value, field: &str, faults: &mut Faults) {
    let Some(text) = own_text(component, field, BODY_LIMIT, faults) else { return };
    let trimmed = text.trim();
    if trimmed.starts_with("{{") || trimmed.ends_with("}}") {
        faults.add(format!("{field}.text"), "a variable must not be at the start or the end of the text");
    }
    check_variables(kind, component, text, (field, "body_text"), faults);
}

fn fixed_body(component: &Value, field: &str, faults: &mut Faults) {
    if component.get("text").is_some() {
        let message = "the text of an authentication template is Meta's own; leave it out";
        faults.add(format!("{field}.text"), message);
    }
}

fn footer(component: &Value, field: &str, faults: &mut Faults) {
    if let Some(minutes) = component.get("code_expiration_minutes") {
        if minutes.as_u64().is_none_or(|minutes| !(1..=90).contains(&minutes)) {
            faults.add(format!("{field}.code_expiration_minutes"), "must be 1 to 90");
        }
        return;
    }
    let Some(text) = own_text(component, field, FOOTER_LIMIT, faults) else { return };
    if text.contains("{{") {
        faults.add(format!("{field}.text"), "a footer has no variables");
    }
}

/// Numbers without gaps or names of letters, and an example of each.
fn check_variables(
    kind: Kind<'_>,
    component: &Value,
    text: &str,
    (field, key): (&str, &str),
    faults: &mut Faults,
) {
    let names = variables(text);
    let place = format!("{field}.text");
    if text.matches("{{").count() != text.matches("}}").count() {
        faults.add(place.as_str(), "{{ and }} do not match");
    }
    for piece in text.split("{{").skip(1).filter_map(|piece| piece.split_once("}}")) {
        let name = piece.0.trim();
        if !names.iter().any(|known| known == name) {
            faults.add(place.as_str(), format!("{{{{{name}}}}} is no variable: a number, or letters and _"));
        }
    }
    if names.is_empty() {
        return;
    }
    let is_number = |name: &String| name.bytes().all(|b| b.is_ascii_digit());
    if kind.named {
        let named =
            |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        if names.iter().any(|name| is_number(name) || !named(name)) {
            faults.add(
                place.as_str(),
                "variables are named by lower-case letters, digits and _ (parameter_format is NAMED)",
            );
            return;
        }
    } else {
        let mut numbers: Vec<usize> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        if numbers.len() != names.len() || numbers.iter().enumerate().any(|(at, number)| *number != at + 1) {
            faults.add(
                place.as_str(),
                "variables are numbered from {{1}} without gaps (parameter_format is POSITIONAL)",
            );
            return;
        }
    }
    examples(kind, component, &names, (field, key), faults);
}

fn examples(
    kind: Kind<'_>,
    component: &Value,
    names: &[String],
    (field, key): (&str, &str),
    faults: &mut Faults,
) {
    let example = component.get("example");
    if kind.named {
        let key = format!("{key}_named_params");
        let given = example.and_then(|example| example.get(&key)?.as_array());
        for name in names {
            let has = given.into_iter().flatten().any(|one| {
                one.get("param_name").and_then(Value::as_str) == Some(name) && is_filled(one.get("example"))
            });
            if !has {
                faults.add(
                    format!("{field}.example.{key}"),
                    format!("an example for {{{{{name}}}}} is missing"),
                );
            }
        }
        return;
    }
    let given = example.and_then(|example| example.get(key)?.as_array());
    let values = match given.map(Vec::as_slice) {
        Some([Value::Array(first), ..]) => first.as_slice(),
        Some(flat) => flat,
        None => &[],
    };
    if values.len() != names.len() || !values.iter().all(|value| is_filled(Some(value))) {
        let message =
            format!("must hold an example for each variable: {} wanted, {} given", names.len(), values.len());
        faults.add(format!("{field}.example.{key}"), message);
    }
}

fn own_text<'a>(component: &'a Value, field: &str, limit: usize, faults: &mut Faults) -> Option<&'a str> {
    let text = component.get("text").and_then(Value::as_str).unwrap_or_default();
    let field = format!("{field}.text");
    if text.trim().is_empty() {
        faults.add(field, "must not be empty");
        return None;
    }
    if text.chars().count() > limit {
        faults.add(field, format!("must be at most {limit} characters"));
    }
    Some(text)
}

fn word(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_uppercase()
}

fn is_filled(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
}

/// `en`, `fil`, `en_US`, `zh_CN`.
fn is_language(code: &str) -> bool {
    let (language, region) = code.split_once('_').map_or((code, None), |(one, two)| (one, Some(two)));
    let fits =
        |text: &str, from, to, is: fn(u8) -> bool| (from..=to).contains(&text.len()) && text.bytes().all(is);
    fits(language, 2, 3, |b| b.is_ascii_lowercase())
        && region.is_none_or(|region| fits(region, 2, 4, |b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests;
