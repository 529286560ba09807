//! A template that breaks each documented rule, for the list of sentences.

use serde_json::{Value, json};

use crate::whatsapp::template::rules::{Fault, Kind, check_components, check_head};

const UTILITY: Kind<'static> = Kind { category: "UTILITY", named: false };
const NAMED: Kind<'static> = Kind { category: "UTILITY", named: true };
const PASSWORD: Kind<'static> = Kind { category: "AUTHENTICATION", named: false };

/// Field and sentence of each rule, in the order of the rules.
pub fn broken_rules() -> Vec<(String, String)> {
    let mut faults = check_head("Order", "english", "PROMO", Some("OTHER"));
    for (kind, components) in samples() {
        faults.extend(check_components(kind, components.as_array().map(Vec::as_slice).unwrap_or_default()));
    }
    let mut told: Vec<(String, String)> = Vec::new();
    for Fault { field, message } in faults {
        if told.iter().all(|(_, known)| *known != message) {
            told.push((field, message));
        }
    }
    told
}

fn samples() -> Vec<(Kind<'static>, Value)> {
    let body = |text: &str| json!({"type": "BODY", "text": text});
    let header = |more: Value| {
        let mut header = json!({"type": "HEADER", "format": "TEXT"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([body("x"), header])
    };
    let footer = |text: &str| json!([body("x"), {"type": "FOOTER", "text": text}]);
    let buttons = |buttons: Value| json!([body("x"), {"type": "BUTTONS", "buttons": buttons}]);
    let reply = |text: &str| json!({"type": "QUICK_REPLY", "text": text});
    let site = || json!({"type": "URL", "text": "Site", "url": "https://x.example/"});
    let long = |count| "x".repeat(count);
    vec![
        (UTILITY, json!([body("x"), {"text": "y"}])),
        (UTILITY, json!([body("x"), body("y")])),
        (UTILITY, json!([{"type": "FOOTER", "text": "x"}])),
        (UTILITY, json!([body(" ")])),
        (UTILITY, header(json!({"text": long(61)}))),
        (UTILITY, header(json!({"text": "a\nb"}))),
        (UTILITY, header(json!({"text": "{{1}} {{2}}", "example": {"header_text": ["a", "b"]}}))),
        (UTILITY, header(json!({"format": "SOUND"}))),
        (UTILITY, header(json!({"format": "IMAGE"}))),
        (UTILITY, json!([body(&long(1025))])),
        (UTILITY, json!([{"type": "BODY", "text": "{{1}} x", "example": {"body_text": [["a"]]}}])),
        (UTILITY, json!([body("a {{1} b")])),
        (UTILITY, json!([body("a {{a b}} c")])),
        (UTILITY, json!([body("a {{2}} c")])),
        (UTILITY, json!([body("a {{1}} c")])),
        (NAMED, json!([body("a {{1}} c")])),
        (NAMED, json!([body("a {{name}} c")])),
        (UTILITY, footer("Hi {{1}}")),
        (PASSWORD, json!([{"type": "BODY"}])),
        (
            PASSWORD,
            json!([{"type": "HEADER"}, {"type": "BODY", "text": "x"},
            {"type": "FOOTER", "code_expiration_minutes": 91}, {"type": "BUTTONS", "buttons": [reply("a")]}]),
        ),
        (UTILITY, buttons(json!([]))),
        (UTILITY, buttons(json!([site(), site(), site()]))),
        (UTILITY, buttons(json!([call("+15550100200"), call("+15550100200")]))),
        (UTILITY, buttons(json!([code("A"), code("B")]))),
        (UTILITY, buttons(json!([{"type": "FLOW"}, {"type": "FLOW"}]))),
        (UTILITY, buttons(json!([reply("a"), site(), reply("b")]))),
        (UTILITY, buttons(json!([reply(&long(26))]))),
        (UTILITY, buttons(json!([{"type": "URL", "text": "S", "url": "ftp://x"}]))),
        (UTILITY, buttons(json!([{"type": "URL", "text": "S", "url": "https://x.example/{{1}}/a"}]))),
        (UTILITY, buttons(json!([call("office")]))),
        (UTILITY, buttons(json!([code("sixteen_letters_")]))),
    ]
}

fn call(number: &str) -> Value {
    json!({"type": "PHONE_NUMBER", "text": "Call", "phone_number": number})
}

fn code(code: &str) -> Value {
    json!({"type": "COPY_CODE", "example": code})
}

#[test]
fn every_rule_of_templates_is_among_the_samples() {
    let (rules, buttons) = (
        include_str!("../../../whatsapp/template/rules.rs"),
        include_str!("../../../whatsapp/template/rules/buttons.rs"),
    );
    let told = broken_rules();
    // The fixed words of each message in the sources.
    for source in [rules, buttons] {
        for call in source.split("faults.add(").skip(1) {
            let mut words: Vec<&str> =
                call.split(");").next().unwrap().split('"').skip(1).step_by(2).collect();
            words.retain(|word| word.contains(' ') && !word.starts_with("{field}"));
            for word in words {
                let longest = word.split(['{', '}']).max_by_key(|piece| piece.len()).unwrap();
                assert!(told.iter().any(|(_, message)| message.contains(longest)), "no sample of “{word}”");
            }
        }
    }
    assert!(told.len() >= 36, "{}: {told:#?}", told.len());
}
