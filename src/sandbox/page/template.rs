//! A template as the customer's phone shows it: filled by the phone from what was sent and what was approved.

use serde_json::{Value, json};

/// The text of a template message: header, body and footer with their values.
pub(super) fn words(sent: &Value, templates: &[Value]) -> String {
    let Some(template) = known(sent, templates) else {
        return format!("Template “{}”", word(sent, "name"));
    };
    let filled = |kind: &str| {
        let own = component(template, kind)?;
        let values = component(sent, kind).and_then(|given| given.get("parameters")?.as_array());
        let text = fill(word(own, "text"), values.map(Vec::as_slice).unwrap_or_default());
        Some(text).filter(|text| !text.is_empty())
    };
    let header = filled("HEADER").map(|header| format!("*{header}*"));
    let lines = [header, filled("BODY"), filled("FOOTER").map(|footer| format!("\n_{footer}_"))];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Its buttons: those that answer, those with an address, those that only stand there.
pub(super) fn choices(sent: &Value, templates: &[Value]) -> Vec<Value> {
    let buttons = known(sent, templates)
        .and_then(|template| component(template, "BUTTONS")?.get("buttons")?.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let buttons = buttons.iter().enumerate().map(|(index, button)| {
        let given = parameter(sent, index);
        let title = word(button, "text");
        match word(button, "type") {
            "QUICK_REPLY" => {
                let payload = given.map(|given| word(given, "payload")).filter(|payload| !payload.is_empty());
                json!({"id": payload.unwrap_or(title), "title": title, "list": false, "template": true})
            }
            "URL" => {
                let values = given.map(std::slice::from_ref).unwrap_or_default();
                json!({"title": title, "url": fill(word(button, "url"), values)})
            }
            "COPY_CODE" => {
                let code = given.map(|given| word(given, "coupon_code")).unwrap_or_default();
                json!({"title": format!("{} {code}", if title.is_empty() { "Copy code" } else { title })})
            }
            "PHONE_NUMBER" => json!({"title": format!("{title} {}", word(button, "phone_number"))}),
            _ => json!({ "title": title }),
        }
    });
    buttons.collect()
}

fn known<'a>(sent: &Value, templates: &'a [Value]) -> Option<&'a Value> {
    let language = sent.pointer("/language/code").and_then(Value::as_str).unwrap_or_default();
    templates.iter().find(|template| {
        word(template, "name") == word(sent, "name") && word(template, "language") == language
    })
}

fn component<'a>(of: &'a Value, kind: &str) -> Option<&'a Value> {
    let components = of.get("components")?.as_array()?;
    components.iter().find(|component| word(component, "type").eq_ignore_ascii_case(kind))
}

/// What was sent for the button at this place.
fn parameter(sent: &Value, index: usize) -> Option<&Value> {
    let components = sent.get("components")?.as_array()?;
    let of_button = |component: &&Value| {
        let place = component
            .get("index")
            .map(|place| place.as_str().map_or_else(|| place.to_string(), str::to_owned));
        word(component, "type").eq_ignore_ascii_case("button") && place == Some(index.to_string())
    };
    components.iter().find(of_button)?.pointer("/parameters/0")
}

/// Each `{{…}}` by its value, in one pass: a value is never looked through again.
fn fill(text: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        let name = name.trim();
        let by_name = values.iter().find(|value| word(value, "parameter_name") == name);
        let by_number = || values.get(name.parse::<usize>().ok()?.checked_sub(1)?);
        out.push_str(before);
        out.push_str(by_name.or_else(by_number).map(|value| word(value, "text")).unwrap_or("…"));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phone_fills_what_was_approved_with_what_was_sent() {
        let templates = [json!({"name": "order", "language": "en", "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
            {"type": "BODY", "text": "Hi {{1}}, {{2}}"}, {"type": "FOOTER", "text": "Bye"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Yes"},
                {"type": "URL", "text": "Site", "url": "https://x.example/{{1}}"}]}]})];
        let sent = json!({"name": "order", "language": {"code": "en"}, "components": [
            {"type": "header", "parameters": [{"type": "text", "text": "7"}]},
            {"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "{{1}}"}]},
            {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "a"}]}]});
        assert_eq!(words(&sent, &templates), "*Order 7*\nHi Ann, {{1}}\n\n_Bye_");
        assert_eq!(
            choices(&sent, &templates),
            [
                json!({"id": "Yes", "title": "Yes", "list": false, "template": true}),
                json!({"title": "Site", "url": "https://x.example/a"})
            ]
        );
        assert_eq!(words(&json!({"name": "gone"}), &templates), "Template “gone”");
    }
}
