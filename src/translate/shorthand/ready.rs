//! The shorthand of a template with example values, ready to be copied.

use super::fill::{asked_order, check, media_kind};
use crate::domain::template::{Button, ParameterFormat, Template, variables};

/// The shorthand that sends this template with example values; `None` if no shorthand can.
pub fn ready(template: &Template) -> Option<String> {
    check(template).ok()?;
    if template.header_variable().is_some() && template.parameters == ParameterFormat::Positional {
        return Some(bracket(template));
    }
    let mut parts: Vec<String> = Vec::new();
    if let Some(kind) = media_kind(template) {
        parts.push(format!("file_link:{}", example_link(kind)));
    }
    let named = template.parameters == ParameterFormat::Named;
    let value = |name: &str, value: String| {
        if named { format!("{name}:{}", escaped(&value)) } else { escaped(&value) }
    };
    if let Some(name) = template.header_variable() {
        parts.push(value(&name, header_example(template)));
    }
    parts.extend(examples(template).into_iter().map(|(name, example)| value(&name, example)));
    for (number, (_, suffix)) in url_examples(template).into_iter().enumerate() {
        let number = if number == 0 { String::new() } else { (number + 1).to_string() };
        parts.push(format!("button_param{number}:{}", escaped(&suffix)));
    }
    if let Some(Button::CopyCode { example, .. }) =
        template.code_button().and_then(|at| template.buttons.get(at))
    {
        parts.push(format!("code:{}", escaped(example.as_deref().unwrap_or("25OFF"))));
    }
    let (opening, name, language) =
        (if named { "template+" } else { "template-" }, &template.name, &template.language);
    let values = if parts.is_empty() { String::new() } else { format!("+{}", parts.join("|")) };
    Some(format!("{opening}{name}+{language}{values}"))
}

/// The shorthands of what may be sent, at most `limit`, sorted by name, and how many more there are. What was
/// sent last is not known here; templates that everybody can fill come first.
pub fn ready_lines(templates: &[Template], limit: usize) -> (Vec<String>, usize) {
    let mut lines: Vec<(usize, &str, String)> = templates
        .iter()
        .filter_map(|template| {
            Some((template.body_variables().len(), template.name.as_str(), ready(template)?))
        })
        .collect();
    lines.sort();
    let more = lines.len().saturating_sub(limit);
    (lines.into_iter().take(limit).map(|(_, _, line)| line).collect(), more)
}

/// What only the bracket form can say: the value of a header's text.
fn bracket(template: &Template) -> String {
    let mut pairs = vec![("template", template.name.clone()), ("language", template.language.clone())];
    pairs.push(("header_text", header_example(template)));
    pairs.extend(examples(template).into_iter().map(|(_, example)| ("body_text", example)));
    for (at, suffix) in url_examples(template) {
        pairs.push(("button_index", at.to_string()));
        pairs.push(("button_url", suffix));
    }
    if let Some(Button::CopyCode { example, .. }) =
        template.code_button().and_then(|at| template.buttons.get(at))
    {
        pairs.push(("body_text", format!("code:{}", example.as_deref().unwrap_or("25OFF"))));
    }
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}=[[{value}]]")).collect();
    format!("&(({}))&", pairs.join(" "))
}

/// Variables in the order in which a shorthand gives them, with an example each.
fn examples(template: &Template) -> Vec<(String, String)> {
    let in_text = template.body_variables();
    let example = |name: &String| {
        let at = in_text.iter().position(|known| known == name)?;
        template.body_examples.get(at).filter(|example| !example.trim().is_empty()).cloned()
    };
    let asked = asked_order(template);
    asked
        .into_iter()
        .enumerate()
        .map(|(at, name)| {
            let value = example(&name).unwrap_or_else(|| format!("value{}", at + 1));
            (name, value)
        })
        .collect()
}

fn header_example(template: &Template) -> String {
    template.header_examples.first().cloned().unwrap_or_else(|| "value".to_owned())
}

/// Places of the dynamic addresses with an example of their ends.
fn url_examples(template: &Template) -> Vec<(usize, String)> {
    let end = |button: &Button| match button {
        Button::Url { url, example, .. } if !variables(url).is_empty() => {
            let base = url.split("{{").next().unwrap_or_default();
            let end = example.as_deref().map(|example| example.strip_prefix(base).unwrap_or(example));
            Some(end.filter(|end| !end.is_empty()).unwrap_or("abc").to_owned())
        }
        _ => None,
    };
    template.buttons.iter().enumerate().filter_map(|(at, button)| Some((at, end(button)?))).collect()
}

/// The address that stands in such a line for a file of this kind (`IMAGE`, `VIDEO`, `DOCUMENT`).
pub fn example_link(kind: &str) -> &'static str {
    match kind {
        "IMAGE" => "https://example.com/picture.jpg",
        "VIDEO" => "https://example.com/film.mp4",
        _ => "https://example.com/document.pdf",
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('|', "\\|")
}
