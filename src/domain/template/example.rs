//! The short line that sends a template, with example values.

use super::{Button, Header, ParameterFormat, Template, variables};

/// Where a media header's file would stand in an example.
const EXAMPLE_FILES: [(&Header, &str); 3] = [
    (&Header::Image, "https://example.com/picture.jpg"),
    (&Header::Video, "https://example.com/film.mp4"),
    (&Header::Document, "https://example.com/offer.pdf"),
];

impl Template {
    /// The line that sends this template, with the example values that Meta has of it: ready to be changed
    /// and sent.
    pub fn shorthand_example(&self) -> String {
        let mut line = format!("template-{}+{}", self.name, self.language);
        let file = EXAMPLE_FILES.iter().find(|(header, _)| self.header.as_ref() == Some(*header));
        if let Some((_, link)) = file {
            line.push_str("+file_link:");
            line.push_str(link);
        }
        let mut values = Vec::new();
        if let Some(Header::Text { text }) = &self.header
            && !variables(text).is_empty()
        {
            let example = self.header_examples.first().map_or("header", String::as_str);
            values.push(format!("header_text:{}", escaped(example)));
        }
        let body = self.body.as_deref().unwrap_or_default();
        for (index, name) in variables(body).into_iter().enumerate() {
            let example = self.body_examples.get(index).map(String::as_str).unwrap_or_default();
            let value = escaped(if example.trim().is_empty() { "value" } else { example });
            values.push(match self.parameters {
                ParameterFormat::Named => format!("{name}:{value}"),
                ParameterFormat::Positional => value,
            });
        }
        values.extend(self.button_examples());
        if !values.is_empty() {
            // A file's address ends at the first bar; a value that follows it directly would be part of it.
            line.push(if file.is_some() { '|' } else { '+' });
            line.push_str(&values.join("|"));
        }
        line
    }

    fn button_examples(&self) -> Vec<String> {
        let (mut addresses, mut examples) = (0, Vec::new());
        for button in &self.buttons {
            match button {
                Button::Url { url, example, .. } => {
                    let Some((fixed, _)) = url.split_once("{{") else { continue };
                    addresses += 1;
                    let end = example.as_deref().map(|whole| whole.strip_prefix(fixed).unwrap_or(whole));
                    let end = escaped(end.filter(|end| !end.is_empty()).unwrap_or("abc"));
                    examples.push(match addresses {
                        1 => format!("button_param:{end}"),
                        number => format!("button_param{number}:{end}"),
                    });
                }
                Button::CopyCode { example, .. } => {
                    examples.push(format!("code:{}", escaped(example.as_deref().unwrap_or("CODE25"))));
                }
                Button::Otp { .. } => examples.push("code:123456".to_owned()),
                _ => {}
            }
        }
        examples
    }
}

/// A value as the short line holds it: one line, `\` and `|` escaped.
fn escaped(value: &str) -> String {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('\\', r"\\").replace('|', r"\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::{TemplateCategory, TemplateStatus};

    fn template() -> Template {
        Template {
            id: "1".into(),
            name: "two".into(),
            language: "en_US".into(),
            status: TemplateStatus::Approved,
            reason: None,
            category: TemplateCategory::Utility,
            parameters: ParameterFormat::Positional,
            header: None,
            body: Some("Hello {{1}}, your {{2}} and {{1}}".into()),
            footer: None,
            buttons: Vec::new(),
            others: Vec::new(),
            body_examples: vec!["Ann".into(), "a|b\\c\nd".into()],
            header_examples: Vec::new(),
        }
    }

    #[test]
    fn variables_are_named_once_in_their_order() {
        assert_eq!(variables("{{2}} {{ 1 }} {{2}} {{}} {{a b}} {{first_name}} {{x"), ["2", "1", "first_name"]);
    }

    #[test]
    fn the_example_line_of_a_template_holds_all_that_it_needs() {
        let mut template = template();
        assert_eq!(template.shorthand_example(), r"template-two+en_US+Ann|a\|b\\c d");
        template.header = Some(Header::Image);
        template.buttons = vec![
            Button::QuickReply { text: "Yes".into() },
            Button::Url { text: "Site".into(), url: "https://x.example/".into(), example: None },
            Button::Url {
                text: "Track".into(),
                url: "https://x.example/{{1}}".into(),
                example: Some("https://x.example/7?a=1".into()),
            },
            Button::CopyCode { text: "Copy".into(), example: Some("25OFF".into()) },
        ];
        assert_eq!(
            template.shorthand_example(),
            r"template-two+en_US+file_link:https://example.com/picture.jpg|Ann|a\|b\\c d|button_param:7?a=1|code:25OFF"
        );
    }

    #[test]
    fn the_example_line_names_named_variables() {
        let mut template = template();
        template.parameters = ParameterFormat::Named;
        template.body = Some("For {{day}}, {{guests}}".into());
        template.body_examples = vec!["Saturday".into()];
        template.header = Some(Header::Text { text: "Hi {{name}}".into() });
        template.header_examples = vec!["Pablo".into()];
        assert_eq!(
            template.shorthand_example(),
            "template-two+en_US+header_text:Pablo|day:Saturday|guests:value"
        );
    }

    #[test]
    fn a_one_time_password_is_a_code() {
        let mut template = template();
        (template.body, template.buttons) = (None, vec![Button::Otp { text: "Copy code".into() }]);
        assert_eq!(template.shorthand_example(), "template-two+en_US+code:123456");
    }
}
