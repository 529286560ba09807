//! Each documented rule, by a template that breaks it.

use serde_json::json;

use super::*;

const PLAIN: Kind<'static> = Kind { category: "UTILITY", named: false };
const NAMED: Kind<'static> = Kind { category: "MARKETING", named: true };

fn fields(kind: Kind<'_>, components: Value) -> Vec<String> {
    let list = components.as_array().unwrap();
    check_components(kind, list).into_iter().map(|fault| fault.field).collect()
}

fn buttons(buttons: Value) -> Vec<String> {
    fields(PLAIN, json!([{"type": "BODY", "text": "Hello"}, {"type": "BUTTONS", "buttons": buttons}]))
}

#[test]
fn the_templates_of_the_facts_pass() {
    let named = json!([
        {"type": "HEADER", "format": "TEXT", "text": "Order {{order_number}}",
         "example": {"header_text_named_params": [{"param_name": "order_number", "example": "860198"}]}},
        {"type": "BODY", "text": "Thank you, {{first_name}}! Your order is on its way.",
         "example": {"body_text_named_params": [{"param_name": "first_name", "example": "Pablo"}]}},
        {"type": "FOOTER", "text": "Reply STOP to opt out"},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Stop"},
         {"type": "URL", "text": "Track", "url": "https://x.example/t/{{1}}", "example": ["https://x.example/t/1"]}]}]);
    assert_eq!(fields(NAMED, named), [""; 0]);
    let one_time = json!([{"type": "BODY", "add_security_recommendation": true},
        {"type": "FOOTER", "code_expiration_minutes": 10},
        {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy Code"}]}]);
    assert_eq!(fields(Kind { category: "AUTHENTICATION", named: false }, one_time), [""; 0]);
    let media = json!([{"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::aW1"]}},
        {"type": "BODY", "text": "Hi {{1}} and {{2}}.", "example": {"body_text": [["a", "b"]]}}]);
    assert_eq!(fields(PLAIN, media), [""; 0]);
    assert_eq!(check_head("order_1", "en_US", "UTILITY", Some("NAMED")), []);
    assert_eq!(check_head("x", "fil", "MARKETING", None), []);
}

#[test]
fn a_wrong_head_is_told_by_field() {
    let faults = check_head("Order", "english", "PROMO", Some("other"));
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["name", "language", "category", "parameter_format"]);
    for language in ["", "e", "EN", "en-US", "en_", "en_USAAA", "en_U S"] {
        assert_eq!(check_head("x", language, "UTILITY", None).len(), 1, "{language}");
    }
    assert_eq!(check_head(&"x".repeat(513), "en", "UTILITY", None).len(), 1);
}

#[test]
fn texts_have_their_limits() {
    let long = |count| "x".repeat(count);
    let cases = [
        (json!([{"type": "BODY", "text": long(1025)}]), "components[0].text"),
        (json!([{"type": "BODY", "text": "  "}]), "components[0].text"),
        (json!([{"type": "BODY", "text": "x"}, {"type": "FOOTER", "text": long(61)}]), "components[1].text"),
        (
            json!([{"type": "BODY", "text": "x"}, {"type": "FOOTER", "text": "Hi {{1}}"}]),
            "components[1].text",
        ),
        (
            json!([{"type": "BODY", "text": "x"}, {"type": "HEADER", "format": "TEXT", "text": long(61)}]),
            "components[1].text",
        ),
        (
            json!([{"type": "BODY", "text": "x"}, {"type": "HEADER", "format": "TEXT", "text": "a\nb"}]),
            "components[1].text",
        ),
        (
            json!([{"type": "BODY", "text": "x"}, {"type": "HEADER", "format": "SOUND"}]),
            "components[1].format",
        ),
        (
            json!([{"type": "BODY", "text": "x"}, {"type": "HEADER", "format": "VIDEO"}]),
            "components[1].example",
        ),
        (json!([{"type": "BODY", "text": "x"}, {"type": "BODY", "text": "y"}]), "components[1]"),
        (json!([{"type": "FOOTER", "text": "x"}]), "components"),
        (json!([{"type": "BODY", "text": "x"}, {"text": "y"}]), "components[1].type"),
    ];
    for (components, field) in cases {
        assert_eq!(fields(PLAIN, components.clone()), [field], "{components}");
    }
}

#[test]
fn variables_are_numbered_or_named_and_have_examples() {
    let body = |text: &str, example: Value| json!([{"type": "BODY", "text": text, "example": example}]);
    let text = "components[0].text";
    for (components, field) in [
        (body("{{1}} first", json!({"body_text": [["a"]]})), text),
        (body("last {{1}}", json!({"body_text": [["a"]]})), text),
        (body("a {{1}} b {{3}} c", json!({"body_text": [["a", "b"]]})), text),
        (body("a {{name}} b", json!({"body_text": [["a"]]})), text),
        (body("a {{a b}} c", json!({})), text),
        (body("a {{1} b", json!({})), text),
        (body("a {{1}} b", json!({})), "components[0].example.body_text"),
        (body("a {{1}} b", json!({"body_text": [["a", "b"]]})), "components[0].example.body_text"),
        (body("a {{1}} b", json!({"body_text": [[" "]]})), "components[0].example.body_text"),
    ] {
        assert_eq!(fields(PLAIN, components.clone()), [field], "{components}");
    }
    for (components, field) in [
        (body("a {{1}} b", json!({})), text),
        (body("a {{Name}} b", json!({})), text),
        (
            body("a {{name}} b", json!({"body_text_named_params": [{"param_name": "x", "example": "y"}]})),
            "components[0].example.body_text_named_params",
        ),
    ] {
        assert_eq!(fields(NAMED, components.clone()), [field], "{components}");
    }
    let header = json!([{"type": "BODY", "text": "x"}, {"type": "HEADER", "format": "TEXT",
        "text": "{{1}} {{2}}", "example": {"header_text": ["a", "b"]}}]);
    assert_eq!(fields(PLAIN, header), ["components[1].text"]);
}

#[test]
fn buttons_are_counted_ordered_and_complete() {
    let reply = |text: &str| json!({"type": "QUICK_REPLY", "text": text});
    let site = json!({"type": "URL", "text": "Site", "url": "https://x.example/"});
    let all = "components[1].buttons";
    assert_eq!(buttons(json!([reply("a"), reply("b"), site])), [""; 0]);
    assert_eq!(buttons(json!([])), [all]);
    assert_eq!(buttons(json!([reply("a"), site, reply("b")])), [all]);
    assert_eq!(buttons(json!([site, site, site])), [all]);
    assert_eq!(buttons(json!(vec![reply("a"); 11])), [all]);
    assert_eq!(buttons(json!([reply(&"x".repeat(26))])), ["components[1].buttons[0].text"]);
    assert_eq!(buttons(json!([{"type": "OTP", "text": "Copy"}])), [all]);
    for (button, field) in [
        (json!({"type": "URL", "text": "S", "url": "ftp://x"}), "url"),
        (
            json!({"type": "URL", "text": "S", "url": "https://x.example/{{1}}/a", "example": ["https://x.example/b/a"]}),
            "url",
        ),
        (json!({"type": "URL", "text": "S", "url": "https://x.example/{{1}}"}), "example"),
        (
            json!({"type": "URL", "text": "S", "url": format!("https://x.example/{}", "a".repeat(2000))}),
            "url",
        ),
        (json!({"type": "PHONE_NUMBER", "text": "Call", "phone_number": "office"}), "phone_number"),
        (json!({"type": "COPY_CODE", "example": "sixteen_letters_"}), "example"),
        (json!({"text": "x"}), "type"),
    ] {
        assert_eq!(buttons(json!([button])), [format!("components[1].buttons[0].{field}")], "{button}");
    }
}
