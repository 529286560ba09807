//! Webhook fields about templates (whatsapp-messaging facts §1.10). Ids are numbers here and texts in REST;
//! languages come as `en-US` as well as `en_US`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fields::FieldChange;
use super::lenient::{Text, elements, object};
use crate::whatsapp::template::language_code;

/// Which template is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateRef {
    /// Meta's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Language with `_`.
    pub language: String,
}

/// What is told of a template.
#[derive(Clone, PartialEq, Debug)]
pub enum TemplateNews {
    /// `message_template_status_update`.
    Status {
        /// `APPROVED`, `REJECTED`, `PAUSED`, `DELETED` …
        event: String,
        /// Why, in Meta's words.
        reason: Option<String>,
        /// Its price class.
        category: Option<String>,
    },
    /// `message_template_quality_update`; in December 2025 under the name of the status.
    Quality(String),
    /// `template_category_update`.
    Category {
        /// The price class that it has.
        now: Option<String>,
        /// The price class that is announced.
        next: Option<String>,
    },
    /// `message_template_components_update`: the texts, without examples.
    Components {
        /// Text of the header.
        header: Option<String>,
        /// Text of the body.
        body: Option<String>,
        /// Text of the footer.
        footer: Option<String>,
        /// Buttons in the form of REST.
        buttons: Vec<Value>,
    },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    message_template_id: Text<'a>,
    #[serde(borrow)]
    message_template_name: Text<'a>,
    #[serde(borrow)]
    message_template_language: Text<'a>,
    #[serde(borrow)]
    message_template_category: Text<'a>,
    #[serde(borrow)]
    message_template_title: Text<'a>,
    #[serde(borrow)]
    message_template_element: Text<'a>,
    #[serde(borrow)]
    message_template_footer: Text<'a>,
    #[serde(borrow)]
    message_template_buttons: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    rejection_info: Option<&'a RawValue>,
    #[serde(borrow)]
    other_info: Option<&'a RawValue>,
    #[serde(borrow)]
    disable_info: Option<&'a RawValue>,
    #[serde(borrow)]
    new_quality_score: Text<'a>,
    #[serde(borrow)]
    new_category: Text<'a>,
    #[serde(borrow)]
    correct_category: Text<'a>,
}

/// The small objects beside a status, in one: their keys do not clash.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Extra<'a> {
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    recommendation: Text<'a>,
    #[serde(borrow)]
    disable_date: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Button<'a> {
    #[serde(borrow)]
    message_template_button_type: Text<'a>,
    #[serde(borrow)]
    message_template_button_text: Text<'a>,
    #[serde(borrow)]
    message_template_button_url: Text<'a>,
    #[serde(borrow)]
    message_template_button_phone_number: Text<'a>,
}

/// `None`: the field is not about templates, or names none.
pub(super) fn read(field: &str, raw: &RawValue) -> Option<FieldChange> {
    let about = matches!(
        field,
        "message_template_status_update"
            | "message_template_quality_update"
            | "message_template_components_update"
            | "template_category_update"
    );
    if !about {
        return None;
    }
    let wire: Wire = object(Some(raw));
    let template = TemplateRef {
        id: wire.message_template_id.owned().unwrap_or_default(),
        name: wire.message_template_name.owned().unwrap_or_default(),
        language: language_code(wire.message_template_language.as_str().unwrap_or_default()),
    };
    if template.id.is_empty() && template.name.is_empty() {
        return None;
    }
    let news = match (field, upper(&wire.new_quality_score)) {
        (_, Some(quality)) => TemplateNews::Quality(quality),
        ("message_template_status_update", None) => status(&wire)?,
        ("message_template_components_update", None) => TemplateNews::Components {
            header: wire.message_template_title.owned(),
            body: wire.message_template_element.owned(),
            footer: wire.message_template_footer.owned(),
            buttons: elements(wire.message_template_buttons).into_iter().map(button).collect(),
        },
        ("template_category_update", None) => {
            TemplateNews::Category { now: upper(&wire.new_category), next: upper(&wire.correct_category) }
        }
        _ => return None,
    };
    Some(FieldChange::Template { template, news })
}

fn status(wire: &Wire) -> Option<TemplateNews> {
    let rejection: Extra = object(wire.rejection_info);
    let other: Extra = object(wire.other_info);
    let disabled: Extra = object(wire.disable_info);
    let words = [
        wire.reason.as_str().filter(|reason| *reason != "NONE"),
        rejection.reason.as_str(),
        rejection.recommendation.as_str(),
        other.title.as_str(),
        other.description.as_str(),
        disabled.disable_date.as_str(),
    ];
    let mut reason: Vec<&str> = words.into_iter().flatten().collect();
    reason.dedup();
    Some(TemplateNews::Status {
        event: upper(&wire.event)?,
        reason: Some(reason.join(": ")).filter(|reason| !reason.is_empty()),
        category: upper(&wire.message_template_category),
    })
}

fn button(raw: &RawValue) -> Value {
    let wire: Button = object(Some(raw));
    let pairs = [
        ("type", upper(&wire.message_template_button_type)),
        ("text", wire.message_template_button_text.owned()),
        ("url", wire.message_template_button_url.owned()),
        ("phone_number", wire.message_template_button_phone_number.owned()),
    ];
    let filled = pairs.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::String(text?))));
    Value::Object(filled.collect::<Map<_, _>>())
}

fn upper(text: &Text) -> Option<String> {
    text.as_str().map(str::to_uppercase)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn news(field: &str, value: &Value) -> Option<TemplateNews> {
        let raw = RawValue::from_string(value.to_string()).unwrap();
        match read(field, &raw) {
            Some(FieldChange::Template { template, news }) => {
                assert_eq!((template.id.as_str(), template.language.as_str()), ("1689556908129832", "en_US"));
                Some(news)
            }
            other => {
                assert_eq!(other, None);
                None
            }
        }
    }

    fn about(extra: Value) -> Value {
        let mut value = json!({"message_template_id": 1_689_556_908_129_832_u64,
            "message_template_name": "order_confirmation", "message_template_language": "en-US"});
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        value
    }

    #[test]
    fn a_status_tells_its_reason_in_metas_words() {
        let field = "message_template_status_update";
        let plain =
            about(json!({"event": "APPROVED", "reason": "NONE", "message_template_category": "UTILITY"}));
        let (event, category) = ("APPROVED".to_owned(), Some("UTILITY".to_owned()));
        assert_eq!(news(field, &plain), Some(TemplateNews::Status { event, reason: None, category }));
        let paused = about(json!({"event": "PAUSED", "reason": "NONE",
            "other_info": {"title": "FIRST_PAUSE", "description": "for 3 hours"}}));
        let Some(TemplateNews::Status { reason, .. }) = news(field, &paused) else { panic!() };
        assert_eq!(reason.as_deref(), Some("FIRST_PAUSE: for 3 hours"));
        let rejected = about(json!({"event": "REJECTED", "reason": "INVALID_FORMAT",
            "rejection_info": {"reason": "variable at the end", "recommendation": "add words"}}));
        let Some(TemplateNews::Status { reason, .. }) = news(field, &rejected) else { panic!() };
        assert_eq!(reason.as_deref(), Some("INVALID_FORMAT: variable at the end: add words"));
    }

    #[test]
    fn a_quality_is_read_under_either_name() {
        let value = about(json!({"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"}));
        for field in ["message_template_quality_update", "message_template_status_update"] {
            assert_eq!(news(field, &value), Some(TemplateNews::Quality("YELLOW".into())));
        }
    }

    #[test]
    fn a_category_is_announced_or_done() {
        let field = "template_category_update";
        let word = |word: &str| Some(word.to_owned());
        let announced = about(json!({"new_category": "UTILITY", "correct_category": "MARKETING"}));
        let expected = TemplateNews::Category { now: word("UTILITY"), next: word("MARKETING") };
        assert_eq!(news(field, &announced), Some(expected));
        let done = about(json!({"previous_category": "UTILITY", "new_category": "MARKETING"}));
        assert_eq!(news(field, &done), Some(TemplateNews::Category { now: word("MARKETING"), next: None }));
    }

    #[test]
    fn components_come_as_texts() {
        let value = about(json!({"message_template_title": "Hi", "message_template_element": "Hello {{1}}.",
            "message_template_footer": "Bye", "message_template_buttons": [
            {"message_template_button_type": "URL", "message_template_button_text": "Site",
             "message_template_button_url": "https://x.example"}]}));
        let Some(TemplateNews::Components { header, body, buttons, .. }) =
            news("message_template_components_update", &value)
        else {
            panic!()
        };
        assert_eq!((header.as_deref(), body.as_deref()), (Some("Hi"), Some("Hello {{1}}.")));
        assert_eq!(buttons, [json!({"type": "URL", "text": "Site", "url": "https://x.example"})]);
    }

    #[test]
    fn what_names_no_template_is_nothing() {
        assert_eq!(news("message_template_status_update", &json!({"event": "APPROVED"})), None);
        assert_eq!(news("message_template_status_update", &json!(5)), None);
        assert_eq!(news("account_alerts", &about(json!({"event": "APPROVED"}))), None);
        assert_eq!(news("message_template_status_update", &about(json!({}))), None);
    }
}
