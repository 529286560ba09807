//! Templates as Meta lists them (whatsapp-messaging facts §4.1), read leniently: a template of a kind that we
//! do not know is still listed, with what is known of it.

pub mod rules;

use serde_json::Value;

use crate::domain::template::{
    Button, Header, ParameterFormat, Template, TemplateCategory, TemplateStatus, variables,
};

/// A template of an account's list.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedTemplate {
    /// Meta's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Language with `_`.
    pub language: String,
    /// Meta's word for its state, in capitals.
    pub status: String,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Meta's word for its price class, in capitals.
    pub category: String,
    /// The price class that Meta will give it.
    pub next_category: Option<String>,
    /// `GREEN`, `YELLOW`, `RED`, `UNKNOWN`.
    pub quality: Option<String>,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: String,
    /// Components as Meta gave them.
    pub components: Value,
}

impl ListedTemplate {
    /// Reads an element of the list; `None` without an id, a name or a language.
    pub fn read(value: &Value) -> Option<Self> {
        let word = |key: &str| text(value.get(key)).map(|word| word.to_uppercase());
        let category = word("category").unwrap_or_default();
        Some(Self {
            id: text(value.get("id"))?,
            name: text(value.get("name"))?,
            language: language_code(&text(value.get("language"))?),
            status: word("status").unwrap_or_else(|| "UNKNOWN".to_owned()),
            reason: word("rejected_reason").filter(|reason| reason != "NONE"),
            next_category: word("correct_category").filter(|correct| *correct != category),
            category,
            quality: text(value.pointer("/quality_score/score")).map(|score| score.to_uppercase()),
            parameter_format: word("parameter_format").unwrap_or_else(|| "POSITIONAL".to_owned()),
            components: value.get("components").cloned().unwrap_or_else(|| Value::Array(Vec::new())),
        })
    }
}

/// A language code as Meta's REST calls spell it: its webhooks write `en-US` as well as `en_US`.
pub fn language_code(text: &str) -> String {
    text.trim().replace('-', "_")
}

/// What is stored of a template, for [`template`].
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Meta's id.
    pub id: &'a str,
    /// Name.
    pub name: &'a str,
    /// Language.
    pub language: &'a str,
    /// State.
    pub status: &'a str,
    /// Why it is in this state.
    pub reason: Option<&'a str>,
    /// Price class.
    pub category: &'a str,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: &'a str,
    /// Components: a JSON array.
    pub components: &'a str,
}

/// The template that Meta's components describe. What cannot be read is left out, never an error.
pub fn template(stored: Stored<'_>) -> Template {
    let named = stored.parameter_format.eq_ignore_ascii_case("NAMED");
    let mut template = Template {
        id: stored.id.to_owned(),
        name: stored.name.to_owned(),
        language: stored.language.to_owned(),
        status: TemplateStatus::parse(stored.status),
        reason: stored.reason.map(str::to_owned),
        category: TemplateCategory::parse(stored.category),
        parameters: if named { ParameterFormat::Named } else { ParameterFormat::Positional },
        header: None,
        body: None,
        footer: None,
        buttons: Vec::new(),
        others: Vec::new(),
        body_examples: Vec::new(),
        header_examples: Vec::new(),
    };
    let components: Value = serde_json::from_str(stored.components).unwrap_or_default();
    for component in components.as_array().into_iter().flatten() {
        let kind = word(component, "type");
        let own_text = text(component.get("text"));
        match kind.as_str() {
            "HEADER" => {
                template.header_examples = examples(component, own_text.as_deref(), "header_text");
                template.header = Some(header(component, own_text));
            }
            "BODY" => {
                template.body_examples = examples(component, own_text.as_deref(), "body_text");
                template.body = own_text;
            }
            "FOOTER" => template.footer = own_text,
            "BUTTONS" => template.buttons = list(component.get("buttons")).map(button).collect(),
            _ => template.others.push(kind),
        }
    }
    template
}

fn header(component: &Value, own_text: Option<String>) -> Header {
    match word(component, "format").as_str() {
        "TEXT" | "" => Header::Text { text: own_text.unwrap_or_default() },
        "IMAGE" => Header::Image,
        "VIDEO" | "GIF" => Header::Video,
        "DOCUMENT" => Header::Document,
        other => Header::Other { name: other.to_owned() },
    }
}

fn button(wire: &Value) -> Button {
    let label = text(wire.get("text")).unwrap_or_default();
    let example = || match wire.get("example") {
        Some(Value::Array(all)) => all.first().and_then(|first| text(Some(first))),
        other => text(other),
    };
    match word(wire, "type").as_str() {
        "QUICK_REPLY" => Button::QuickReply { text: label },
        "URL" => {
            Button::Url { text: label, url: text(wire.get("url")).unwrap_or_default(), example: example() }
        }
        "PHONE_NUMBER" => Button::PhoneNumber {
            text: label,
            phone_number: text(wire.get("phone_number")).unwrap_or_default(),
        },
        "COPY_CODE" => Button::CopyCode { text: label, example: example() },
        "OTP" => Button::Otp { text: label },
        other => Button::Other { name: other.to_owned(), text: label },
    }
}

/// Example values in the order in which the variables first appear; one that Meta does not tell is empty.
fn examples(component: &Value, own_text: Option<&str>, key: &str) -> Vec<String> {
    let names = variables(own_text.unwrap_or_default());
    let Some(example) = component.get("example") else { return Vec::new() };
    let named: Vec<(String, String)> = list(example.get(format!("{key}_named_params").as_str()))
        .filter_map(|one| Some((text(one.get("param_name"))?, text(one.get("example"))?)))
        .collect();
    if !named.is_empty() {
        let of =
            |name: &String| named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        return names.iter().map(|name| of(name).unwrap_or_default()).collect();
    }
    // `["Pablo"]` for a header, `[["SUMMER20", "10"]]` for a body: in the order of the numbers.
    let values: Vec<&Value> = match example.get(key).and_then(Value::as_array).map(Vec::as_slice) {
        Some([Value::Array(first), ..]) => first.iter().collect(),
        Some(all) => all.iter().collect(),
        None => return Vec::new(),
    };
    let of = |name: &String| {
        let place = name.parse::<usize>().ok()?.checked_sub(1)?;
        text(values.get(place).copied())
    };
    names.iter().map(|name| of(name).unwrap_or_default()).collect()
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn word(value: &Value, key: &str) -> String {
    text(value.get(key)).unwrap_or_default().to_uppercase()
}

/// Text, or a number as text; empty is none.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Template {
        let listed = ListedTemplate::read(value).unwrap();
        template(Stored {
            id: &listed.id,
            name: &listed.name,
            language: &listed.language,
            status: &listed.status,
            reason: listed.reason.as_deref(),
            category: &listed.category,
            parameter_format: &listed.parameter_format,
            components: &listed.components.to_string(),
        })
    }

    #[test]
    fn a_listed_template_is_read_whole() {
        let template = read(&json!({"id": "1387372356726668", "name": "reservation", "language": "en_US",
            "status": "APPROVED", "category": "UTILITY", "parameter_format": "named", "components": [
            {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["https://scontent.invalid/x"]}},
            {"type": "BODY", "text": "For {{number_of_guests}} on {{day}}",
             "example": {"body_text_named_params": [{"param_name": "day", "example": "Saturday"},
                {"param_name": "number_of_guests", "example": "4"}]}},
            {"type": "FOOTER", "text": "Lucky Shrub"},
            {"type": "BUTTONS", "buttons": [
                {"type": "URL", "text": "Change", "url": "https://x.example/{{1}}", "example": ["https://x.example/a"]},
                {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+15550100200"},
                {"type": "QUICK_REPLY", "text": "Cancel"}, {"type": "COPY_CODE", "text": "Copy", "example": "25OFF"},
                {"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy Code"}, {"type": "FLOW", "text": "Book"}]},
            {"type": "CAROUSEL", "cards": []}]}));
        assert_eq!(template.parameters, ParameterFormat::Named);
        assert_eq!(template.header, Some(Header::Image));
        assert_eq!(template.body_examples, ["4", "Saturday"]);
        assert_eq!(template.footer.as_deref(), Some("Lucky Shrub"));
        assert_eq!(template.buttons.len(), 6);
        assert_eq!(
            template.buttons[0],
            Button::Url {
                text: "Change".into(),
                url: "https://x.example/{{1}}".into(),
                example: Some("https://x.example/a".into())
            }
        );
        assert_eq!(template.buttons[5], Button::Other { name: "FLOW".into(), text: "Book".into() });
        assert_eq!(template.others, ["CAROUSEL"]);
    }

    #[test]
    fn positional_examples_go_by_number() {
        let template = read(&json!({"id": 5, "name": "sale", "language": "en-US", "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}", "example": {"header_text": ["Pablo"]}},
            {"type": "BODY", "text": "{{2}} off with {{1}}, {{2}}", "example": {"body_text": [["SUMMER20", "10 %"]]}}]}));
        assert_eq!((template.id.as_str(), template.language.as_str()), ("5", "en_US"));
        assert_eq!(template.header_examples, ["Pablo"]);
        assert_eq!(template.body_examples, ["10 %", "SUMMER20"]);
    }

    #[test]
    fn what_nobody_expects_is_no_error() {
        assert_eq!(ListedTemplate::read(&json!({"name": "x"})), None);
        for components in [
            "",
            "null",
            "5",
            "{}",
            "[5, null, {}]",
            r#"[{"type":"BODY","text":7,"example":[]}]"#,
            r#"[{"type":"BUTTONS","buttons":{"a":1}}]"#,
            r#"[{"type":"HEADER","format":9}]"#,
        ] {
            let stored = Stored {
                id: "1",
                name: "x",
                language: "en",
                status: "",
                reason: None,
                category: "",
                parameter_format: "",
                components,
            };
            assert_eq!(template(stored).name, "x");
        }
    }
}
