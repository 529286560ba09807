//! What the customer sees of a template (whatsapp-messaging facts §4.3).

use crate::domain::template::{Template, TemplateValues};

/// A text with its variables filled in, in one pass: nothing is filled in inside a value. A variable without
/// a value stays as it is.
pub fn filled_text<'a>(text: &str, value_of: impl Fn(&str) -> Option<&'a String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("{{") {
        out.push_str(before);
        let found = inside.split_once("}}").and_then(|(name, after)| Some((value_of(name.trim())?, after)));
        match found {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The body with its values; `None` if there is none.
pub fn filled_body(template: &Template, values: &TemplateValues) -> Option<String> {
    let variables = template.body_variables();
    let value_of = |name: &str| {
        let at = variables.iter().position(|known| known == name)?;
        values.body.get(at)
    };
    template.body.as_deref().map(|body| filled_text(body, value_of))
}
