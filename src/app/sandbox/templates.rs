//! Templates that the sandbox's account has from the start: one of each kind that a short line can fill.

use serde_json::{Value, json};

/// As Meta lists them (whatsapp-messaging facts §4.1).
pub(super) fn samples() -> Vec<Value> {
    let template = |id: u64, name: &str, category: &str, format: &str, components: Value| {
        json!({"id": (7_000_000_000_000_000 + id).to_string(), "name": name, "language": "en_US",
            "status": "APPROVED", "category": category, "parameter_format": format, "components": components,
            "quality_score": {"score": "GREEN", "date": 1_767_000_000}})
    };
    vec![
        template(
            1,
            "hello_world",
            "UTILITY",
            "POSITIONAL",
            json!([
            {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
            {"type": "BODY", "text": "Welcome and congratulations!! This message shows that you can write first."},
            {"type": "FOOTER", "text": "Lucky Shrub"}]),
        ),
        template(
            2,
            "order_confirmed",
            "UTILITY",
            "POSITIONAL",
            json!([
            {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["https://scontent.invalid/sample"]}},
            {"type": "BODY", "text": "Your order {{1}} for a total of {{2}} is confirmed. The expected delivery is {{3}}.",
             "example": {"body_text": [["860198", "$29.99", "March 12"]]}},
            {"type": "FOOTER", "text": "Thank you for shopping with us!"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Track my order"},
                {"type": "QUICK_REPLY", "text": "Talk to us"}]}]),
        ),
        template(
            3,
            "appointment",
            "UTILITY",
            "NAMED",
            json!([
            {"type": "BODY", "text": "Dear {{first_name}}, we look forward to seeing you on {{day}} at our shop.",
             "example": {"body_text_named_params": [{"param_name": "first_name", "example": "Maria"},
                {"param_name": "day", "example": "Saturday"}]}},
            {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Change it", "url": "https://example.com/visit/{{1}}",
                "example": ["https://example.com/visit/4711"]},
                {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+15550783881"}]}]),
        ),
        template(
            4,
            "spring_offer",
            "MARKETING",
            "POSITIONAL",
            json!([
            {"type": "BODY", "text": "Spring is here, {{1}}! Your code gives you 25 % off until Sunday.",
             "example": {"body_text": [["Maria"]]}},
            {"type": "FOOTER", "text": "Reply STOP to opt out"},
            {"type": "BUTTONS", "buttons": [{"type": "COPY_CODE", "text": "Copy code", "example": "25OFF"}]}]),
        ),
        template(
            5,
            "sign_in_code",
            "AUTHENTICATION",
            "POSITIONAL",
            json!([
            {"type": "BODY", "add_security_recommendation": true},
            {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]}]),
        ),
    ]
}
