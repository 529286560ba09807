//! Buttons: how many of which kind, in which order, and what each must have.

use serde_json::Value;

use super::{Faults, Kind, is_filled, word};
use crate::domain::template::variables;

const COUNT_LIMIT: usize = 10;
const LABEL_LIMIT: usize = 25;
const URL_LIMIT: usize = 2000;
const CODE_LIMIT: usize = 15;
/// Digits of a number at most, with its plus.
const PHONE_LIMIT: usize = 20;
/// Kinds that may stand in a template only so often.
const LIMITS: [(&str, usize); 4] = [("URL", 2), ("PHONE_NUMBER", 1), ("COPY_CODE", 1), ("FLOW", 1)];

pub(super) fn check(kind: Kind<'_>, component: &Value, field: &str, faults: &mut Faults) {
    let field = format!("{field}.buttons");
    let none = Vec::new();
    let buttons = component.get("buttons").and_then(Value::as_array).unwrap_or(&none);
    if buttons.is_empty() || buttons.len() > COUNT_LIMIT {
        faults.add(field.as_str(), format!("must be 1 to {COUNT_LIMIT} buttons"));
    }
    let kinds: Vec<String> = buttons.iter().map(|button| word(button, "type")).collect();
    for (word, limit) in LIMITS {
        if kinds.iter().filter(|kind| *kind == word).count() > limit {
            faults.add(field.as_str(), format!("may hold at most {limit} of type {word}"));
        }
    }
    let mut runs = kinds.iter().map(|kind| kind == "QUICK_REPLY").collect::<Vec<_>>();
    runs.dedup();
    if runs.iter().filter(|replies| **replies).count() > 1 {
        faults.add(field.as_str(), "quick replies must stand together");
    }
    let one_time = kinds.iter().any(|kind| kind == "OTP");
    if one_time != (kind.category == "AUTHENTICATION") || (one_time && buttons.len() != 1) {
        faults.add(field.as_str(), "one OTP button is what an authentication template has, and no other");
    }
    for (index, (button, kind)) in buttons.iter().zip(&kinds).enumerate() {
        one(button, kind, &format!("{field}[{index}]"), faults);
    }
}

fn one(button: &Value, kind: &str, field: &str, faults: &mut Faults) {
    match kind {
        "" => faults.add(format!("{field}.type"), "is missing"),
        "QUICK_REPLY" => label(button, field, faults),
        "URL" => {
            label(button, field, faults);
            address(button, field, faults);
        }
        "PHONE_NUMBER" => {
            label(button, field, faults);
            let number = text(button, "phone_number");
            let digits = number.strip_prefix('+').unwrap_or(number);
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if !plain || number.len() > PHONE_LIMIT {
                faults.add(
                    format!("{field}.phone_number"),
                    "must be a number in international form, as +15550100200",
                );
            }
        }
        "COPY_CODE" => {
            let example = first_example(button);
            if example.is_empty() || example.chars().count() > CODE_LIMIT {
                faults.add(
                    format!("{field}.example"),
                    format!("must be a code of 1 to {CODE_LIMIT} characters"),
                );
            }
        }
        _ => {}
    }
}

fn label(button: &Value, field: &str, faults: &mut Faults) {
    let label = text(button, "text");
    let count = label.chars().count();
    if label.trim().is_empty() || count > LABEL_LIMIT || label.contains(['\n', '{']) {
        let message = format!("must be one line of 1 to {LABEL_LIMIT} characters without variables");
        faults.add(format!("{field}.text"), message);
    }
}

/// `https://example.com/{{1}}`: one variable, at the end, with an example.
fn address(button: &Value, field: &str, faults: &mut Faults) {
    let address = text(button, "url");
    let place = format!("{field}.url");
    let fixed = address.split("{{").next().unwrap_or_default();
    let is_web = url::Url::parse(fixed).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_web || address.chars().count() > URL_LIMIT {
        faults.add(place.as_str(), format!("must be a web address of at most {URL_LIMIT} characters"));
    }
    let names = variables(address);
    if names.is_empty() && !address.contains("{{") {
        return;
    }
    if names != ["1"] || address.matches("{{").count() != 1 || !address.ends_with("}}") {
        faults.add(place.as_str(), "may have one variable, {{1}}, at its end");
    }
    if first_example(button).is_empty() {
        faults.add(format!("{field}.example"), "an example of the whole address is missing");
    }
}

fn first_example(button: &Value) -> &str {
    let example = match button.get("example") {
        Some(Value::Array(all)) => all.first(),
        other => other,
    };
    example.filter(|example| is_filled(Some(example))).and_then(Value::as_str).unwrap_or_default()
}

fn text<'a>(button: &'a Value, key: &str) -> &'a str {
    button.get(key).and_then(Value::as_str).unwrap_or_default()
}
