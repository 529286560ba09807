//! A template with its values as Meta wants it (whatsapp-messaging facts §2.5).

use serde_json::{Value, json};

use super::OutgoingContent;
use crate::domain::template::{
    Button, ButtonFill, ButtonValue, Header, HeaderMedia, ParameterFormat, Template, TemplateValues,
};

/// The message that sends a template. What has no variable is left out, as Meta allows.
pub fn template(
    template: &Template,
    values: &TemplateValues,
    media: Option<&HeaderMedia>,
) -> OutgoingContent {
    let mut components: Vec<Value> = Vec::new();
    components.extend(header(template, values, media));
    components.extend(body(template, values));
    components.extend(values.buttons.iter().filter_map(|value| button(template, value)));
    let mut content = json!({"name": template.name, "language": {"code": template.language}});
    if let (false, Value::Object(object)) = (components.is_empty(), &mut content) {
        object.insert("components".into(), Value::Array(components));
    }
    OutgoingContent::Raw(json!({"type": "template", "template": content}))
}

fn header(template: &Template, values: &TemplateValues, media: Option<&HeaderMedia>) -> Option<Value> {
    let parameter = match (template.header.as_ref()?, media) {
        (Header::Text { .. }, _) => {
            parameter(template, &template.header_variable()?, values.header_text.as_deref()?)
        }
        (Header::Image, Some(media)) => json!({"type": "image", "image": {"id": media.media_id}}),
        (Header::Video, Some(media)) => json!({"type": "video", "video": {"id": media.media_id}}),
        (Header::Document, Some(media)) => {
            let mut document = json!({"id": media.media_id});
            if let (Some(name), Value::Object(object)) = (&media.filename, &mut document) {
                object.insert("filename".into(), name.as_str().into());
            }
            json!({"type": "document", "document": document})
        }
        _ => return None,
    };
    Some(json!({"type": "header", "parameters": [parameter]}))
}

/// Positional values go in the order of their numbers, wherever they stand in the text.
fn body(template: &Template, values: &TemplateValues) -> Option<Value> {
    let mut pairs: Vec<(String, &String)> = template.body_variables().into_iter().zip(&values.body).collect();
    if template.parameters == ParameterFormat::Positional {
        pairs.sort_by_key(|(name, _)| name.parse::<u32>().unwrap_or(u32::MAX));
    }
    let parameters: Vec<Value> = pairs.iter().map(|(name, value)| parameter(template, name, value)).collect();
    (!parameters.is_empty()).then(|| json!({"type": "body", "parameters": parameters}))
}

fn parameter(template: &Template, name: &str, value: &str) -> Value {
    match template.parameters {
        ParameterFormat::Positional => json!({"type": "text", "text": value}),
        ParameterFormat::Named => json!({"type": "text", "parameter_name": name, "text": value}),
    }
}

/// The code of a one-time password goes as the end of an address, whatever its button is called.
fn button(template: &Template, value: &ButtonValue) -> Option<Value> {
    let is_coupon = matches!(template.buttons.get(value.index)?, Button::CopyCode { .. });
    let (kind, parameter) = match &value.value {
        ButtonFill::UrlSuffix(text) => ("url", json!({"type": "text", "text": text})),
        ButtonFill::Payload(payload) => ("quick_reply", json!({"type": "payload", "payload": payload})),
        ButtonFill::Code(code) if is_coupon => {
            ("copy_code", json!({"type": "coupon_code", "coupon_code": code}))
        }
        ButtonFill::Code(code) => ("url", json!({"type": "text", "text": code})),
    };
    let index = value.index.to_string();
    Some(json!({"type": "button", "sub_type": kind, "index": index, "parameters": [parameter]}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MediaId;
    use crate::domain::template::{TemplateCategory, TemplateStatus};

    fn bare(name: &str) -> Template {
        Template {
            id: "1".into(),
            name: name.into(),
            language: "en_US".into(),
            status: TemplateStatus::Approved,
            reason: None,
            category: TemplateCategory::Utility,
            parameters: ParameterFormat::Positional,
            header: None,
            body: None,
            footer: None,
            buttons: vec![],
            others: vec![],
            body_examples: vec![],
            header_examples: vec![],
        }
    }

    fn wire(of: &Template, values: &TemplateValues, media: Option<&HeaderMedia>) -> Value {
        match template(of, values, media) {
            OutgoingContent::Raw(value) => value,
            other => panic!("{other:?}"),
        }
    }

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn the_sample_of_the_facts_is_built() {
        let mut order = bare("order_confirmation");
        order.header = Some(Header::Image);
        order.body = Some("{{1}}: {{2}}".into());
        order.buttons = vec![
            Button::QuickReply { text: "A".into() },
            Button::Url { text: "B".into(), url: "https://x.example/{{1}}".into(), example: None },
        ];
        let values = TemplateValues {
            header_text: None,
            body: texts(&["Jessica", "SKBUP2-4CPIG9"]),
            buttons: vec![
                ButtonValue { index: 0, value: ButtonFill::Payload("PAYLOAD_A".into()) },
                ButtonValue { index: 1, value: ButtonFill::UrlSuffix("promo?x=1".into()) },
            ],
        };
        let media = HeaderMedia { media_id: MediaId::from("77"), filename: Some("x.jpg".into()) };
        assert_eq!(
            wire(&order, &values, Some(&media)),
            json!({"type": "template", "template": {"name": "order_confirmation", "language": {"code": "en_US"},
                "components": [
                    {"type": "header", "parameters": [{"type": "image", "image": {"id": "77"}}]},
                    {"type": "body", "parameters": [{"type": "text", "text": "Jessica"},
                        {"type": "text", "text": "SKBUP2-4CPIG9"}]},
                    {"type": "button", "sub_type": "quick_reply", "index": "0",
                        "parameters": [{"type": "payload", "payload": "PAYLOAD_A"}]},
                    {"type": "button", "sub_type": "url", "index": "1",
                        "parameters": [{"type": "text", "text": "promo?x=1"}]}]}})
        );
    }

    #[test]
    fn a_template_without_variables_has_no_components() {
        let mut hello = bare("hello_world");
        hello.body = Some("Hello".into());
        let expected = json!({"name": "hello_world", "language": {"code": "en_US"}});
        assert_eq!(wire(&hello, &TemplateValues::default(), None)["template"], expected);
    }

    #[test]
    fn values_go_in_the_order_of_their_numbers() {
        let mut two = bare("two");
        two.body = Some("{{2}} before {{1}}".into());
        let values = TemplateValues { body: texts(&["second", "first"]), ..TemplateValues::default() };
        let sent = wire(&two, &values, None);
        assert_eq!(sent["template"]["components"][0]["parameters"][0]["text"], "first");
    }

    #[test]
    fn named_parameters_bear_their_names_in_header_and_body() {
        let mut named = bare("named");
        named.parameters = ParameterFormat::Named;
        named.header = Some(Header::Text { text: "Order {{number}}".into() });
        named.body = Some("Dear {{first_name}}".into());
        let values = TemplateValues {
            header_text: Some("7".into()),
            body: texts(&["Ann"]),
            ..TemplateValues::default()
        };
        assert_eq!(
            wire(&named, &values, None)["template"]["components"],
            json!([{"type": "header", "parameters": [{"type": "text", "parameter_name": "number", "text": "7"}]},
                {"type": "body", "parameters": [{"type": "text", "parameter_name": "first_name", "text": "Ann"}]}])
        );
    }

    #[test]
    fn the_code_of_a_password_stands_in_text_and_button() {
        let mut code = bare("code");
        code.category = TemplateCategory::Authentication;
        code.buttons = vec![Button::Otp { text: "Copy".into() }];
        let buttons = vec![ButtonValue { index: 0, value: ButtonFill::Code("123456".into()) }];
        let values = TemplateValues { header_text: None, body: texts(&["123456"]), buttons };
        assert_eq!(
            wire(&code, &values, None)["template"]["components"],
            json!([{"type": "body", "parameters": [{"type": "text", "text": "123456"}]},
                {"type": "button", "sub_type": "url", "index": "0",
                    "parameters": [{"type": "text", "text": "123456"}]}])
        );
        code.category = TemplateCategory::Marketing;
        code.body = Some("Ten percent off".into());
        code.buttons = vec![Button::CopyCode { text: "Copy".into(), example: None }];
        let values = TemplateValues { body: vec![], ..values };
        assert_eq!(
            wire(&code, &values, None)["template"]["components"],
            json!([{"type": "button", "sub_type": "copy_code", "index": "0",
                "parameters": [{"type": "coupon_code", "coupon_code": "123456"}]}])
        );
    }

    #[test]
    fn a_document_bears_its_name() {
        let mut invoice = bare("invoice");
        invoice.header = Some(Header::Document);
        let media = HeaderMedia { media_id: MediaId::from("5"), filename: Some("offer.pdf".into()) };
        let sent = wire(&invoice, &TemplateValues::default(), Some(&media));
        let parameter = &sent["template"]["components"][0]["parameters"][0];
        assert_eq!(*parameter, json!({"type": "document", "document": {"id": "5", "filename": "offer.pdf"}}));
    }
}
