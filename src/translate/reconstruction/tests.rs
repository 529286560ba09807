//! Every row of the table in the facts, and the worked example.

use super::*;
use crate::domain::template::{ButtonValue, ParameterFormat, TemplateStatus};

fn template(body: &str) -> Template {
    Template {
        id: "1".into(),
        name: "order".into(),
        language: "en_US".into(),
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
    }
}

fn values(body: &[&str]) -> TemplateValues {
    TemplateValues {
        body: body.iter().map(|value| (*value).to_owned()).collect(),
        ..TemplateValues::default()
    }
}

fn reply(text: &str) -> Button {
    Button::QuickReply { text: text.into() }
}

#[test]
fn the_worked_example_is_shown_as_the_customer_saw_it() {
    let mut order =
        template("Your order {{1}} for a total of {{2}} is confirmed. The expected delivery is {{3}}.");
    order.header = Some(Header::Image);
    order.footer = Some("Thank you for shopping with us!".into());
    order.buttons = vec![reply("Track my order"), reply("Change it")];
    let values = values(&["A-17", "30.00 EUR", "Friday"]);
    let below = "Your order A-17 for a total of 30.00 EUR is confirmed. The expected delivery is Friday.\n\n\
                 Thank you for shopping with us!\n🔘 Track my order\n🔘 Change it";
    assert_eq!(bbcode(&order, &values, Language::En), below);
    assert_eq!(text(&order, &values, Language::En), format!("🖼 Picture\n{below}"));
    assert_eq!(header_kind(&order), Some(MediaKind::Image));
}

#[test]
fn a_text_header_has_its_own_numbering_and_comes_first() {
    let mut order = template("Dear {{1}}");
    order.header = Some(Header::Text { text: "Order {{1}}".into() });
    let values = TemplateValues { header_text: Some("77".into()), ..values(&["Ann"]) };
    assert_eq!(text(&order, &values, Language::En), "Order 77\nDear Ann");
    assert_eq!(bbcode(&order, &values, Language::En), "[b]Order 77[/b]\nDear Ann");
}

#[test]
fn a_file_header_is_named_where_no_file_can_stand() {
    for (header, word) in [
        (Header::Image, "🖼 Picture"),
        (Header::Video, "🎬 Video"),
        (Header::Document, "📎 File"),
        (Header::Other { name: "LOCATION".into() }, "[LOCATION]"),
    ] {
        let order = Template { header: Some(header), ..template("Hi") };
        assert_eq!(text(&order, &values(&[]), Language::En), format!("{word}\nHi"));
    }
}

#[test]
fn nothing_is_filled_in_inside_a_value() {
    let order = template("{{1}} and {{ 2 }} and {{1}} and {{x}} and {{");
    let shown = text(&order, &values(&["{{2}}", "two"]), Language::En);
    assert_eq!(shown, "{{2}} and two and {{2}} and {{x}} and {{");
}

#[test]
fn named_variables_are_filled_by_name() {
    let mut order = template("{{last}}, {{first}}");
    order.parameters = ParameterFormat::Named;
    assert_eq!(text(&order, &values(&["Lee", "Ann"]), Language::En), "Lee, Ann");
}

#[test]
fn the_footer_stands_under_a_blank_line_as_it_is() {
    let order = Template { footer: Some("STOP to end".into()), ..template("Hi") };
    assert_eq!(text(&order, &values(&[]), Language::En), "Hi\n\nSTOP to end");
}

#[test]
fn buttons_are_a_list_with_final_addresses_numbers_and_codes() {
    let mut order = template("Hi");
    order.buttons = vec![
        reply("Yes"),
        Button::Url { text: "Track".into(), url: "https://x.example/t/{{1}}".into(), example: None },
        Button::Url { text: "Shop".into(), url: "https://x.example/shop".into(), example: None },
        Button::PhoneNumber { text: "Call us".into(), phone_number: "+16467043595".into() },
        Button::CopyCode { text: "Copy code".into(), example: None },
        Button::Other { name: "FLOW".into(), text: "Form".into() },
    ];
    let mut values = values(&[]);
    values.buttons = vec![
        ButtonValue { index: 1, value: ButtonFill::UrlSuffix("a_b_c?x=1".into()) },
        ButtonValue { index: 4, value: ButtonFill::Code("25OFF".into()) },
    ];
    let list = "Hi\n\n🔘 Yes\n🔗 Track: https://x.example/t/a_b_c?x=1\n🔗 Shop: https://x.example/shop\n\
                📞 Call us: +16467043595\n📋 Copy code: 25OFF\n🔘 Form";
    assert_eq!(text(&order, &values, Language::En), list);
    assert_eq!(bbcode(&order, &values, Language::En), list);
}

#[test]
fn a_password_is_masked_everywhere() {
    let buttons = vec![ButtonValue { index: 0, value: ButtonFill::Code("123456".into()) }];
    let values = TemplateValues { buttons, ..values(&["123456"]) };
    let password = Template {
        category: TemplateCategory::Authentication,
        buttons: vec![Button::Otp { text: "Copy code".into() }],
        ..template("*{{1}}* is your verification code.")
    };
    let silent = Template { body: None, ..password.clone() };
    for (template, first) in
        [(&password, "*••••••* is your verification code."), (&silent, "Verification code: ••••••")]
    {
        let shown = text(template, &values, Language::En);
        assert_eq!(shown, format!("{first}\n\n📋 Copy code"));
        assert!(!bbcode(template, &values, Language::Ru).contains("123456"));
    }
}

#[test]
fn markup_becomes_bbcode_last_and_brackets_of_values_stay_harmless() {
    let order = template("*Dear {{1}}*, _thanks_");
    let shown = bbcode(&order, &values(&["[url=x]Ann[/url]"]), Language::En);
    assert!(shown.starts_with("[b]Dear [\u{200b}url=x]Ann[\u{200b}/url][/b], [i]thanks[/i]"), "{shown:?}");
}

#[test]
fn an_unknown_definition_is_a_sentence_and_never_empty() {
    assert_eq!(unknown("order", Language::En), "The template was sent; its text is not known here: order");
    assert_eq!(unknown("order", Language::Ru), "Отправлен шаблон, его текст здесь не известен: order");
    let empty = Template { body: None, ..template("") };
    assert_eq!(text(&empty, &values(&[]), Language::En), unknown("order", Language::En));
}
