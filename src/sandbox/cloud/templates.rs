//! Templates of an account: found by name and language, their parameters counted (whatsapp facts §2.5, §4).

use std::collections::BTreeSet;

use serde_json::Value;

use super::errors::GraphError;
use super::state::Waba;

/// Checks a template send against the account's templates; gives the category in lower case.
pub(super) fn check(waba: &Waba, sent: &Value, to_user_id: bool) -> Result<String, GraphError> {
    let name = sent.get("name").and_then(Value::as_str).unwrap_or_default();
    let language = sent.pointer("/language/code").and_then(Value::as_str).unwrap_or_default();
    let is = |template: &&Value, key: &str, wanted: &str| {
        template.get(key).and_then(Value::as_str) == Some(wanted)
    };
    let template = waba
        .templates
        .iter()
        .find(|template| is(template, "name", name) && is(template, "language", language))
        .filter(|template| !is(template, "status", "PENDING") && !is(template, "status", "REJECTED"))
        .ok_or_else(|| {
            GraphError::coded(132_001, format!("template name ({name}) does not exist in {language}"))
        })?;
    match template.get("status").and_then(Value::as_str) {
        Some("PAUSED") => return Err(GraphError::coded(132_015, "Template is paused.")),
        Some("DISABLED") => return Err(GraphError::coded(132_016, "Template is disabled.")),
        _ => {}
    }
    let category = template.get("category").and_then(Value::as_str).unwrap_or("UTILITY").to_lowercase();
    if category == "authentication" && to_user_id {
        return Err(GraphError::coded(131_062, "Authentication templates need a phone number."));
    }
    for (kind, key) in [("HEADER", "header"), ("BODY", "body")] {
        let own = component(template, kind);
        let expected = own.map(variables).unwrap_or_default();
        let given = parameters(sent, key);
        let media = own
            .and_then(|own| own.get("format").and_then(Value::as_str))
            .is_some_and(|format| format != "TEXT");
        let wanted = expected.len() + usize::from(media);
        if given.len() != wanted {
            return Err(GraphError::coded(
                132_000,
                format!(
                    "{key}: number of localizable_params ({}) does not match the expected number of params ({wanted})",
                    given.len()
                ),
            ));
        }
        let named = template
            .get("parameter_format")
            .and_then(Value::as_str)
            .is_some_and(|format| format.eq_ignore_ascii_case("named"));
        if named && !media {
            let names: BTreeSet<&str> = given
                .iter()
                .filter_map(|parameter| parameter.get("parameter_name").and_then(Value::as_str))
                .collect();
            if names != expected.iter().map(String::as_str).collect() {
                return Err(GraphError::coded(132_012, format!("{key}: parameter names do not match.")));
            }
        }
    }
    Ok(category)
}

fn component<'a>(template: &'a Value, kind: &str) -> Option<&'a Value> {
    let of_kind = |component: &&Value| {
        component.get("type").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(kind))
    };
    template.get("components")?.as_array()?.iter().find(of_kind)
}

fn parameters<'a>(sent: &'a Value, kind: &str) -> Vec<&'a Value> {
    component(sent, kind)
        .and_then(|component| component.get("parameters")?.as_array())
        .map(|all| all.iter().collect())
        .unwrap_or_default()
}

/// The names between `{{` and `}}` of a component's text.
fn variables(component: &Value) -> BTreeSet<String> {
    let text = component.get("text").and_then(Value::as_str).unwrap_or_default();
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim().to_owned())).collect()
}
