//! The templates that the examples use: one of each kind.

use crate::domain::template::{Button, Header, ParameterFormat, Template, TemplateCategory, TemplateStatus};

/// A template and what the documentation says of it.
pub struct Example {
    pub template: Template,
    pub about: &'static str,
}

pub fn templates() -> Vec<Template> {
    examples().into_iter().map(|example| example.template).collect()
}

#[rustfmt::skip]
pub fn examples() -> Vec<Example> {
    let mut made = Made::default();
    made.add("hello_world", "en_US", "Welcome!", "no variables", |t| t.footer = Some("Reply STOP to opt out".into()));
    made.add("one", "en_US", "About {{1}}.", "one variable, in three languages", |_| ());
    made.add("one", "ru", "О {{1}}.", "", |_| ());
    made.add("one", "de", "Über {{1}}.", "", |t| t.status = TemplateStatus::Pending);
    made.add("two", "en_US", "Dear {{1}}, your order {{2}} is ready.", "two variables", |t| {
        t.body_examples = vec!["Ann".into(), "A-17".into()];
    });
    made.add("swapped", "en_US", "{{2}} before {{1}}", "two variables, the second stands first", |_| ());
    made.add("picture", "en_US", "Look!", "a picture as header", |t| t.header = Some(Header::Image));
    made.add("order_confirmed", "en_US",
        "Your order {{1}} for a total of {{2}} is confirmed. The expected delivery is {{3}}.",
        "a picture, three variables, two quick replies", |t| {
        t.header = Some(Header::Image);
        t.footer = Some("Thank you for shopping with us!".into());
        t.buttons = vec![reply("Track my order"), reply("Change it")];
    });
    made.add("invoice", "en_US", "Invoice {{1}}", "a document as header, one variable",
        |t| t.header = Some(Header::Document));
    made.add("film", "en_US", "Watch!", "a video as header", |t| t.header = Some(Header::Video));
    made.add("track", "en_US", "It is on its way, {{1}}.", "one variable, a quick reply and an address with a variable", |t| {
        t.buttons = vec![reply("Thanks"), url("Track", "https://x.example/t/{{1}}")];
    });
    made.add("links", "en_US", "Two ways.", "two addresses with variables", |t| {
        t.buttons = vec![url("First", "https://x.example/a/{{1}}"), url("Second", "https://x.example/b/{{1}}")];
    });
    made.add("coupon", "en_US", "{{1}} off", "a code to copy", |t| {
        t.category = TemplateCategory::Marketing;
        t.buttons = vec![Button::CopyCode { text: "Copy code".into(), example: Some("25OFF".into()) }];
    });
    made.add("code", "en_US", "*{{1}}* is your verification code.", "a one-time password", |t| {
        t.category = TemplateCategory::Authentication;
        t.buttons = vec![Button::Otp { text: "Copy code".into() }];
    });
    made.add("named", "en_US", "Dear {{first_name}} {{last_name}}", "named variables", named);
    made.add("named_header", "en_US", "Dear {{name}}", "named variables in header and text", |t| {
        named(t);
        t.header = Some(Header::Text { text: "Order {{number}}".into() });
    });
    made.add("headline", "en_US", "Dear {{1}}", "a variable in the text of the header", |t| {
        t.header = Some(Header::Text { text: "Order {{1}}".into() });
    });
    made.add("english", "en_GB", "Colour", "approved in British and American English and in Russian", |_| ());
    made.add("english", "en_US", "Color", "", |_| ());
    made.add("english", "ru", "Цвет", "", |_| ());
    made.add("abroad", "de", "Hallo", "approved in German and French", |_| ());
    made.add("abroad", "fr", "Bonjour", "", |_| ());
    made.add("waiting", "en_US", "Hi", "under review", |t| t.status = TemplateStatus::Pending);
    made.add("refused", "en_US", "Hi", "rejected", |t| {
        t.status = TemplateStatus::Rejected;
        t.reason = Some("INVALID_FORMAT".into());
    });
    made.add("paused", "en_US", "Hi", "paused", |t| t.status = TemplateStatus::Paused);
    made.add("disabled", "en_US", "Hi", "disabled", |t| t.status = TemplateStatus::Disabled);
    made.add("cards", "en_US", "Hi", "a carousel", |t| t.others = vec!["CAROUSEL".into()]);
    made.add("place", "en_US", "Hi", "a location as header", |t| {
        t.header = Some(Header::Other { name: "LOCATION".into() });
    });
    made.0
}

#[derive(Default)]
struct Made(Vec<Example>);

impl Made {
    fn add(
        &mut self,
        name: &str,
        language: &str,
        body: &str,
        about: &'static str,
        change: impl Fn(&mut Template),
    ) {
        let mut template = Template {
            id: (700_001 + self.0.len()).to_string(),
            name: name.into(),
            language: language.into(),
            status: TemplateStatus::Approved,
            reason: None,
            category: TemplateCategory::Utility,
            parameters: ParameterFormat::Positional,
            header: None,
            body: Some(body.into()),
            footer: None,
            buttons: vec![],
            others: vec![],
            body_examples: vec![],
            header_examples: vec![],
        };
        change(&mut template);
        self.0.push(Example { template, about });
    }
}

fn named(template: &mut Template) {
    template.parameters = ParameterFormat::Named;
}

fn reply(text: &str) -> Button {
    Button::QuickReply { text: text.into() }
}

fn url(text: &str, url: &str) -> Button {
    Button::Url { text: text.into(), url: url.into(), example: None }
}
