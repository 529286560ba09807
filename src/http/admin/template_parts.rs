//! A template's components as the fields of a form, and back. What the fields cannot hold (carousels, flows,
//! one-time passwords of other kinds) is edited as Meta's own JSON instead of being lost.

use serde_json::{Map, Value, json};

use super::form::Form;
use crate::domain::template::variables;

/// Rows of buttons in the form: as many as Meta takes.
pub(super) const BUTTONS: usize = 10;
/// Kinds of buttons that the form knows.
pub(super) const BUTTON_KINDS: [&str; 4] = ["QUICK_REPLY", "URL", "PHONE_NUMBER", "COPY_CODE"];
/// Kinds of headers.
pub(super) const HEADERS: [&str; 5] = ["TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION"];

/// The components that a form describes.
///
/// # Errors
/// The field and what is wrong with it.
pub(super) fn components(form: &Form) -> Result<Vec<Value>, (&'static str, &'static str)> {
    if form.ticked("as_json") {
        let wrong = ("components", "must be a list in JSON, as Meta has it");
        return serde_json::from_str(form.get("components")).map_err(|_| wrong);
    }
    if form.get("category") == "AUTHENTICATION" {
        return Ok(one_time_password(form));
    }
    let named = form.get("parameter_format") == "NAMED";
    let mut all = Vec::new();
    all.extend(header(form, named));
    let text = form.get("body").replace("\r\n", "\n");
    let mut body = json!({ "type": "BODY", "text": text });
    example(&mut body, "body_text", &text, form.get("body_samples"), named);
    all.push(body);
    if let Some(footer) = form.option("footer") {
        all.push(json!({ "type": "FOOTER", "text": footer }));
    }
    let buttons = buttons(form);
    if !buttons.is_empty() {
        all.push(json!({ "type": "BUTTONS", "buttons": buttons }));
    }
    Ok(all)
}

/// Puts a template's components into the fields of a form; as JSON, where the fields cannot hold them.
pub(super) fn fill(form: &mut Form, components: &str) {
    let stored: Vec<Value> = serde_json::from_str(components).unwrap_or_default();
    let mut plain = form.clone();
    for component in &stored {
        take(&mut plain, component);
    }
    let again = self::components(&plain).unwrap_or_default();
    let bare = |all: &[Value]| all.iter().cloned().map(bare).collect::<Vec<_>>();
    if form.get("category") != "AUTHENTICATION" && bare(&again) == bare(&stored) {
        *form = plain;
    } else {
        form.put("as_json", "on");
        form.put("components", &serde_json::to_string_pretty(&stored).unwrap_or_default());
    }
}

/// The field of the form that a fault of the rules is about.
pub(super) fn field_of(path: &str, components: &[Value]) -> &'static str {
    let Some(rest) = path.strip_prefix("components") else {
        return ["waba_id", "name", "language", "category", "parameter_format"]
            .into_iter()
            .find(|field| *field == path)
            .unwrap_or("body");
    };
    let index = rest.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
    let kind = index.and_then(|index| components.get(index)).map(|component| word(component, "type"));
    let of_example = rest.contains(".example");
    match kind.as_deref() {
        Some("HEADER") if of_example => "header_sample",
        Some("HEADER") => "header_text",
        Some("BODY") if of_example => "body_samples",
        Some("FOOTER") => "footer",
        Some("BUTTONS") => "buttons",
        _ => "body",
    }
}

/// The code, its validity in minutes if the footer says one, and the button that copies it: the rest is Meta's.
fn one_time_password(form: &Form) -> Vec<Value> {
    let mut all = vec![json!({ "type": "BODY", "add_security_recommendation": true })];
    if let Ok(minutes) = form.get("footer").trim().parse::<u32>() {
        all.push(json!({ "type": "FOOTER", "code_expiration_minutes": minutes }));
    }
    all.push(json!({ "type": "BUTTONS", "buttons": [{ "type": "OTP", "otp_type": "COPY_CODE" }] }));
    all
}

fn header(form: &Form, named: bool) -> Option<Value> {
    let format = HEADERS.into_iter().find(|known| *known == form.get("header_format"))?;
    let mut header = json!({ "type": "HEADER", "format": format });
    let sample = form.get("header_sample").trim();
    match format {
        "TEXT" => {
            let text = form.get("header_text").trim();
            put(&mut header, "text", text.into());
            example(&mut header, "header_text", text, sample, named);
        }
        "LOCATION" => {}
        _ if sample.is_empty() => {}
        _ => put(&mut header, "example", json!({ "header_url": sample })),
    }
    Some(header)
}

/// Examples of the variables of a text, one a line: values in their order.
fn example(component: &mut Value, key: &str, text: &str, samples: &str, named: bool) {
    let names = variables(text);
    let given: Vec<&str> = samples.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if names.is_empty() || given.is_empty() {
        return;
    }
    let example = if named {
        let pairs =
            names.iter().zip(&given).map(|(name, value)| json!({"param_name": name, "example": value}));
        json!({ format!("{key}_named_params"): pairs.collect::<Vec<_>>() })
    } else if key == "header_text" {
        json!({ key: given })
    } else {
        json!({ key: [given] })
    };
    put(component, "example", example);
}

fn buttons(form: &Form) -> Vec<Value> {
    let at = |name: &str, index: usize| form.all(name).get(index).map_or("", |text| text.trim());
    let button = |index: usize| {
        let (text, value) = (at("button_text", index), at("button_value", index));
        match at("button_kind", index) {
            "QUICK_REPLY" => Some(json!({ "type": "QUICK_REPLY", "text": text })),
            "PHONE_NUMBER" => Some(json!({ "type": "PHONE_NUMBER", "text": text, "phone_number": value })),
            "COPY_CODE" => Some(json!({ "type": "COPY_CODE", "example": value })),
            "URL" => {
                let mut button = json!({ "type": "URL", "text": text, "url": value });
                let sample = at("button_sample", index);
                if !sample.is_empty() {
                    put(&mut button, "example", json!([sample]));
                }
                Some(button)
            }
            _ => None,
        }
    };
    (0..BUTTONS).filter_map(button).collect()
}

fn take(form: &mut Form, component: &Value) {
    let text = |key: &str| component.get(key).and_then(Value::as_str).unwrap_or_default();
    match word(component, "type").as_str() {
        "HEADER" => {
            form.put("header_format", &word(component, "format"));
            form.put("header_text", text("text"));
            form.put("header_sample", &samples(component, "header_text"));
        }
        "BODY" => {
            form.put("body", text("text"));
            form.put("body_samples", &samples(component, "body_text"));
        }
        "FOOTER" => form.put("footer", text("text")),
        "BUTTONS" => {
            for button in component.get("buttons").and_then(Value::as_array).into_iter().flatten() {
                let text = |key: &str| button.get(key).and_then(Value::as_str).unwrap_or_default();
                let kind = word(button, "type");
                let example = first_text(button.get("example"));
                let value = match kind.as_str() {
                    "URL" => text("url"),
                    "PHONE_NUMBER" => text("phone_number"),
                    "COPY_CODE" => example,
                    _ => "",
                };
                form.push("button_kind", &kind);
                form.push("button_text", text("text"));
                form.push("button_value", value);
                form.push("button_sample", if kind == "URL" { example } else { "" });
            }
        }
        _ => {}
    }
}

/// Stored examples, one a line.
fn samples(component: &Value, key: &str) -> String {
    let example = component.get("example");
    let of = |key: &str| example.and_then(|example| example.get(key)?.as_array());
    let named = of(&format!("{key}_named_params")).map(|pairs| {
        let values = pairs.iter().filter_map(|pair| pair.get("example")?.as_str());
        values.collect::<Vec<_>>().join("\n")
    });
    let numbered = || {
        let all = of(key)?;
        let all = all.first().and_then(Value::as_array).unwrap_or(all);
        Some(all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
    };
    named.or_else(numbered).unwrap_or_default()
}

/// A component without what Meta adds and samples, to see whether the form holds all of it.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_code = fields.get("type").and_then(Value::as_str) == Some("COPY_CODE");
            let kept = fields.into_iter().filter(|(key, _)| key != "example" && !(is_code && key == "text"));
            Value::Object(kept.map(|(key, value)| (key, bare(value))).collect::<Map<_, _>>())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(bare).collect()),
        other => other,
    }
}

fn first_text(value: Option<&Value>) -> &str {
    let first = match value {
        Some(Value::Array(all)) => all.first(),
        other => other,
    };
    first.and_then(Value::as_str).unwrap_or_default()
}

fn word(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_uppercase()
}

fn put(value: &mut Value, key: &str, part: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(key.to_owned(), part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(components: &Value) -> Form {
        let mut form = Form::default();
        form.put("category", "UTILITY");
        form.put("parameter_format", "POSITIONAL");
        fill(&mut form, &components.to_string());
        form
    }

    #[test]
    fn what_the_fields_hold_comes_back_the_same() {
        let stored = json!([
            {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}", "example": {"header_text": ["7"]}},
            {"type": "BODY", "text": "Hello {{1}}, order {{2}} is here.", "example": {"body_text": [["Ann", "7"]]}},
            {"type": "FOOTER", "text": "The shop"},
            {"type": "BUTTONS", "buttons": [
                {"type": "QUICK_REPLY", "text": "Thanks"},
                {"type": "URL", "text": "See it", "url": "https://shop.example/{{1}}", "example": ["https://shop.example/7"]},
                {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550100200"}]},
        ]);
        let form = filled(&stored);
        assert!(!form.ticked("as_json"));
        assert_eq!(form.get("body_samples"), "Ann\n7");
        assert_eq!(Value::Array(components(&form).unwrap()), stored);
    }

    #[test]
    fn what_the_fields_cannot_hold_is_kept_as_json() {
        let stored = json!([{"type": "BODY", "text": "x"}, {"type": "CAROUSEL", "cards": []}]);
        let form = filled(&stored);
        assert!(form.ticked("as_json"));
        assert_eq!(Value::Array(components(&form).unwrap()), stored);
    }

    #[test]
    fn a_fault_finds_its_field() {
        let all = [json!({"type": "BODY"}), json!({"type": "BUTTONS"})];
        for (path, field) in [
            ("name", "name"),
            ("components", "body"),
            ("components[0].text", "body"),
            ("components[0].example.body_text", "body_samples"),
            ("components[1].buttons[0].url", "buttons"),
        ] {
            assert_eq!(field_of(path, &all), field, "{path}");
        }
    }
}
