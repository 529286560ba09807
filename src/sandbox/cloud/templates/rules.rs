//! What Meta refuses of a new or edited template, with the texts that it shows to people (whatsapp facts §4.2).

use serde_json::Value;

use super::super::errors::GraphError;
use super::{component, components, word};

/// Refusals by subcode: the top code is 100.
fn refused(subcode: u32, title: &str, message: impl Into<String>) -> GraphError {
    GraphError { subcode: Some(subcode), ..GraphError::parameter("Invalid parameter") }
        .for_people(title, message)
}

/// The name, language and category of a new template.
pub(super) fn head(template: &Value) -> Result<(), GraphError> {
    let name = word(template, "name");
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if name.is_empty() || name.len() > 512 || !plain {
        let message = "Message template name can only have lowercase letters, digits and underscores.";
        return Err(refused(2_388_042, "Invalid name", message));
    }
    if word(template, "language").len() < 2 {
        return Err(GraphError::parameter("The parameter language is required."));
    }
    if !["AUTHENTICATION", "MARKETING", "UTILITY"].contains(&word(template, "category")) {
        return Err(GraphError::parameter(
            "Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}",
        ));
    }
    Ok(())
}

/// Texts, variables, buttons. `is_handle` knows the samples that were uploaded.
pub(super) fn body(template: &Value, is_handle: impl Fn(Option<&Value>) -> bool) -> Result<(), GraphError> {
    let authentication = word(template, "category") == "AUTHENTICATION";
    let Some(body) = component(template, "BODY") else {
        return Err(refused(2_388_072, "Message body missing", "A message template needs a body."));
    };
    let text = word(body, "text");
    if text.is_empty() && !authentication {
        return Err(refused(2_388_072, "Message body missing", "A message template needs a body text."));
    }
    if let Some(header) = component(template, "HEADER") {
        self::header(header, is_handle)?;
    }
    let footer = component(template, "FOOTER").map(|footer| word(footer, "text")).unwrap_or_default();
    if footer.contains("{{") {
        return Err(refused(2_388_073, "Footer format", "The footer of a template cannot have variables."));
    }
    for (text, limit, name) in [(text, 1024, "body"), (footer, 60, "footer")] {
        if text.chars().count() > limit {
            let message = format!("The {name} is longer than {limit} characters.");
            return Err(refused(2_388_040, "Character limit exceeded", message));
        }
    }
    let trimmed = text.trim();
    if trimmed.starts_with("{{") || trimmed.ends_with("}}") {
        let message = "Variables can't be at the start or end of the template.";
        return Err(refused(2_388_299, "Leading or trailing params", message));
    }
    let count = text.matches("{{").count();
    // How many words a variable needs is not published; this is what was seen to pass.
    if count > 0 && text.split_whitespace().count() < count * 2 {
        let message = "This template has too many variables for its length.";
        return Err(refused(2_388_293, "Too many variables", message));
    }
    if count > 0 && body.get("example").is_none() {
        let message = "Add sample values for the variables of the body.";
        return Err(refused(2_388_043, "Sample missing", message));
    }
    buttons(template)
}

fn header(header: &Value, is_handle: impl Fn(Option<&Value>) -> bool) -> Result<(), GraphError> {
    let text = word(header, "text");
    match word(header, "format") {
        "TEXT" if text.is_empty() || text.contains('\n') || text.matches("{{").count() > 1 => {
            let message = "The header cannot have new lines or more than one variable.";
            Err(refused(2_388_047, "Header format", message))
        }
        "TEXT" if text.chars().count() > 60 => {
            Err(refused(2_388_040, "Character limit exceeded", "The header is longer than 60 characters."))
        }
        "IMAGE" | "VIDEO" | "DOCUMENT" if !is_handle(header.pointer("/example/header_handle/0")) => {
            Err(refused(2_388_273, "Sample missing", "Upload a sample for the media header."))
        }
        "TEXT" | "IMAGE" | "VIDEO" | "DOCUMENT" | "LOCATION" => Ok(()),
        _ => Err(GraphError::parameter("Param components header format is not valid.")),
    }
}

fn buttons(template: &Value) -> Result<(), GraphError> {
    for component in components(template).filter(|one| word(one, "type") == "BUTTONS") {
        let buttons = component.get("buttons").and_then(Value::as_array).cloned().unwrap_or_default();
        let count = |kind: &str| buttons.iter().filter(|button| word(button, "type") == kind).count();
        if buttons.is_empty() || buttons.len() > 10 || count("URL") > 2 || count("PHONE_NUMBER") > 1 {
            return Err(refused(2_388_064, "Too many buttons", "This template has too many buttons."));
        }
        if buttons.iter().any(|button| word(button, "text").chars().count() > 25) {
            return Err(refused(
                2_388_040,
                "Character limit exceeded",
                "A button is longer than 25 characters.",
            ));
        }
    }
    Ok(())
}
