//! Templates of an account: sends checked against them, their parameters counted (whatsapp facts §2.5, §4).

pub(super) mod manage;
mod rules;
mod uploads;

pub(super) use uploads::{Session, upload};

use std::collections::BTreeSet;

use serde_json::Value;

use super::errors::GraphError;
use super::state::Waba;

/// Longest body with its values in it.
const BODY_LIMIT: usize = 1024;

/// Checks a template send against the account's templates; gives the category in lower case.
pub(super) fn check(waba: &Waba, sent: &Value, to_user_id: bool) -> Result<String, GraphError> {
    let name = word(sent, "name");
    let language = sent.pointer("/language/code").and_then(Value::as_str).unwrap_or_default();
    let template = waba
        .templates
        .iter()
        .find(|template| word(template, "name") == name && word(template, "language") == language)
        .ok_or_else(|| unknown(name, language))?;
    match word(template, "status") {
        "PAUSED" => return Err(GraphError::coded(132_015, "Template is paused.")),
        "DISABLED" => return Err(GraphError::coded(132_016, "Template is disabled.")),
        // Also those that were made by hand for a test without a status.
        "APPROVED" | "REINSTATED" | "" => {}
        _ => return Err(unknown(name, language)),
    }
    let category = template.get("category").and_then(Value::as_str).unwrap_or("UTILITY").to_lowercase();
    if category == "authentication" && to_user_id {
        return Err(GraphError::coded(131_062, "Authentication templates need a phone number."));
    }
    media_header(template, sent)?;
    for (kind, key) in [("HEADER", "header"), ("BODY", "body")] {
        texts(template, sent, kind, key)?;
    }
    buttons(template, sent)?;
    Ok(category)
}

fn unknown(name: &str, language: &str) -> GraphError {
    GraphError::coded(132_001, format!("template name ({name}) does not exist in {language}"))
}

/// A media header wants its file with every send; the sample of the creation is not used again.
fn media_header(template: &Value, sent: &Value) -> Result<(), GraphError> {
    let format = component(template, "HEADER").map(|header| word(header, "format")).unwrap_or_default();
    let wanted = match format {
        "" | "TEXT" => return Ok(()),
        "GIF" => "VIDEO",
        format => format,
    };
    let given = parameters(sent, "header");
    let kind = given.first().map(|one| word(one, "type").to_uppercase()).unwrap_or_default();
    if given.len() == 1 && kind == wanted {
        return Ok(());
    }
    let received = if kind.is_empty() { "UNKNOWN" } else { kind.as_str() };
    let details = format!("header: Format mismatch, expected {wanted}, received {received}");
    Err(GraphError::coded(132_012, details))
}

/// As many values as there are variables, under their names if they have some.
fn texts(template: &Value, sent: &Value, kind: &str, key: &str) -> Result<(), GraphError> {
    let own = component(template, kind);
    if own.is_some_and(|own| !matches!(word(own, "format"), "" | "TEXT")) {
        return Ok(());
    }
    let authentication = word(template, "category").eq_ignore_ascii_case("authentication");
    let mut expected = own.map(variables).unwrap_or_default();
    if authentication && kind == "BODY" && expected.is_empty() {
        // Meta's own text with the code in it.
        expected.insert("1".to_owned());
    }
    let given = parameters(sent, key);
    if given.len() != expected.len() {
        let details = format!(
            "{key}: number of localizable_params ({}) does not match the expected number of params ({})",
            given.len(),
            expected.len()
        );
        return Err(GraphError::coded(132_000, details));
    }
    let named = word(template, "parameter_format").eq_ignore_ascii_case("named");
    let names: BTreeSet<&str> = given
        .iter()
        .map(|parameter| word(parameter, "parameter_name"))
        .filter(|name| !name.is_empty())
        .collect();
    let right = if named { names == expected.iter().map(String::as_str).collect() } else { names.is_empty() };
    if !right {
        return Err(GraphError::coded(132_012, format!("{key}: parameter names do not match.")));
    }
    let length: usize = own.map(|own| word(own, "text").chars().count()).unwrap_or_default();
    let values: usize = given.iter().map(|parameter| word(parameter, "text").chars().count()).sum();
    if kind == "BODY" && length + values > BODY_LIMIT + 6 * given.len() {
        return Err(GraphError::coded(132_005, "Translated text too long."));
    }
    Ok(())
}

/// A dynamic address, a coupon and a one-time password want their parameter; nothing else may have one but a
/// quick reply.
fn buttons(template: &Value, sent: &Value) -> Result<(), GraphError> {
    let none = Vec::new();
    let own = component(template, "BUTTONS").and_then(|own| own.get("buttons")?.as_array()).unwrap_or(&none);
    let given: Vec<&Value> =
        components(sent).filter(|one| word(one, "type").eq_ignore_ascii_case("button")).collect();
    for one in &given {
        let place = index(one).and_then(|index| own.get(index));
        let sub_type = word(one, "sub_type").to_lowercase();
        let fits = place.is_some_and(|button| match word(button, "type") {
            "URL" => sub_type == "url" && word(button, "url").contains("{{"),
            "OTP" => sub_type == "url",
            "QUICK_REPLY" => sub_type == "quick_reply",
            "COPY_CODE" => sub_type == "copy_code",
            other => sub_type == other.to_lowercase(),
        });
        if !fits {
            let details = format!("Button parameters do not match the template: {sub_type}");
            return Err(GraphError::coded(132_018, details));
        }
    }
    for (place, button) in own.iter().enumerate() {
        let wants = match word(button, "type") {
            "URL" => word(button, "url").contains("{{"),
            "OTP" | "COPY_CODE" => true,
            _ => false,
        };
        let filled = |one: &&&Value| {
            index(one) == Some(place) && {
                let parameter = one.pointer("/parameters/0");
                let text = |key: &str| parameter.map(|parameter| word(parameter, key)).unwrap_or_default();
                !text("text").is_empty() || !text("coupon_code").is_empty()
            }
        };
        if wants && given.iter().find(filled).is_none() {
            let kind = word(button, "type");
            let details = format!("buttons: Button at index {place} of type {kind} requires a parameter");
            return Err(GraphError::coded(131_008, details));
        }
    }
    Ok(())
}

/// The index of a button, which is a text or a number.
fn index(component: &Value) -> Option<usize> {
    match component.get("index")? {
        Value::String(text) => text.parse().ok(),
        number => usize::try_from(number.as_u64()?).ok(),
    }
}

fn component<'a>(template: &'a Value, kind: &str) -> Option<&'a Value> {
    components(template).find(|component| word(component, "type").eq_ignore_ascii_case(kind))
}

fn components(template: &Value) -> impl Iterator<Item = &Value> {
    template.get("components").and_then(Value::as_array).into_iter().flatten()
}

fn parameters<'a>(sent: &'a Value, kind: &str) -> Vec<&'a Value> {
    component(sent, kind)
        .and_then(|component| component.get("parameters")?.as_array())
        .map(|all| all.iter().collect())
        .unwrap_or_default()
}

/// The names between `{{` and `}}` of a component's text.
fn variables(component: &Value) -> BTreeSet<String> {
    let text = word(component, "text");
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim().to_owned())).collect()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
