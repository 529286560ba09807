//! Thousands of odd texts, the same in every run: nothing panics, and nothing that begins as a shorthand is a
//! customer's text.

use super::*;
use crate::translate::split;

const PIECES: [&str; 66] = [
    "template-",
    "template+",
    "Template-",
    "TEMPLATE+",
    "template",
    "template–",
    "temp\u{200b}late‑",
    "template＋",
    "\u{fe0f}",
    "&((",
    "))&",
    "&[",
    "](",
    ")",
    "(",
    "[[",
    "]]",
    "[",
    "]",
    "=",
    "template=",
    "body_text=",
    "header_text=",
    "header_image=",
    "button_index=",
    "button_url=",
    "language=",
    "hello_world",
    "one",
    "two",
    "picture",
    "named",
    "track",
    "code",
    "headline",
    "en_US",
    "ru",
    "en-GB",
    "+",
    "|",
    "\\",
    "\\|",
    "file_link:",
    "button_param:",
    "button_param2:",
    "button_param99999999999:",
    "code:",
    "payload2:",
    "first_name:",
    "https://x.example/a+b?c=d+e#f",
    "4711",
    "700005",
    " ",
    "\n",
    "\t",
    "\u{0}",
    "\u{200b}",
    "\u{202e}",
    "שלום",
    "привет",
    "👩‍👩‍👧",
    "e\u{301}",
    "{{1}}",
    "[b]",
    "[/b]",
    "[br]",
];

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn text(&mut self, pieces: usize) -> String {
        (0..self.below(pieces) + 1).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}

fn odd_texts() -> Vec<String> {
    let mut numbers = Numbers(7);
    let mut texts: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    texts.extend((0..1_500).map(|_| numbers.text(14)));
    texts.extend((0..600).map(|_| format!("template-{}", numbers.text(10))));
    texts.extend((0..600).map(|_| format!("&(({}", numbers.text(14))));
    texts.extend((0..400).map(|_| format!("&[{}", numbers.text(14))));
    texts.extend((0..6).map(|_| numbers.text(1_500)));
    texts.extend(PIECES.iter().map(|piece| piece.repeat(4_096 / piece.len())));
    texts.extend(PIECES.iter().map(|piece| format!("template-two+{}", piece.repeat(4_000 / piece.len()))));
    texts
}

#[test]
fn no_text_makes_the_parser_panic_and_none_that_begins_as_a_shorthand_is_a_customers() {
    for typed in odd_texts() {
        for channel in [Channel::Line, Channel::Sms] {
            let found = outcome(&typed, channel);
            // As people see it.
            let seen: String = typed.chars().filter(|c| !is_invisible(*c) && !c.is_control()).collect();
            let seen = seen.trim_start().to_lowercase().replace(['–', '‑', '＋'], "-");
            let begins = ["template-", "template+", "&(("].iter().any(|begin| seen.starts_with(begin));
            assert!(!begins || found != "text", "{typed:?}");
            assert!(!looks_like(&typed) || found != "text", "{typed:?}");
        }
        assert!(!ready_lines(&account::templates(), 5).0.is_empty());
    }
}

#[test]
fn no_operators_text_reaches_the_customer_as_a_shorthand() {
    for typed in odd_texts() {
        for keep_signature in [true, false] {
            for has_files in [true, false] {
                let options =
                    OperatorOptions { strip_signature: !keep_signature, portal_host: "a.example", has_files };
                for typed in [typed.clone(), format!("[b]Anna Lee:[/b] [br]{typed}")] {
                    let text = operator_text(&typed, &options);
                    if looks_like(&text.typed) {
                        continue;
                    }
                    // What goes to the customer is guarded part by part.
                    for part in split::text(&text.body).iter().chain(&split::text(&text.body_with_quote)) {
                        let begins =
                            ["template-", "template+", "&(("].iter().any(|begin| part.starts_with(begin));
                        assert!(!begins || looks_like(part), "{typed:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_ready_line_of_every_template_sends_it() {
    for template in account::templates() {
        match ready(&template) {
            Some(line) => {
                let found = outcome(&line, Channel::Line);
                let name = format!("\"name\":\"{}\"", template.name);
                assert!(found.starts_with('{') && found.contains(&name), "{line}: {found}");
                assert!(found.contains(&format!("\"code\":\"{}\"", template.language)), "{line}: {found}");
            }
            None => assert!(
                outcome(&format!("template-{}+{}", template.name, template.language), Channel::Line)
                    .contains("cannot be sent")
            ),
        }
    }
}

#[test]
fn the_setting_of_the_phone_is_the_language_that_is_meant() {
    let templates = account::templates();
    let meant = |typed: &str, default| {
        let Recognised::Shorthand(parsed) = recognise(typed, Channel::Line, &|_| false) else { panic!() };
        parsed
            .fill(&templates, &FillOptions { default_language: default, attached: 0 })
            .map(|filled| filled.template.language)
    };
    assert_eq!(meant("template-one+x", Some("ru")), Ok("ru".to_owned()));
    assert_eq!(meant("template-one+x", Some("de")), Ok("en_US".to_owned()), "it is not approved");
    assert_eq!(meant("template-abroad", Some("fr")), Ok("fr".to_owned()));
    assert_eq!(meant("template-english", None), Ok("en_GB".to_owned()));
    assert!(meant("template-abroad", Some("ru")).is_err());
}

#[test]
fn a_fallback_template_carries_any_text_as_one_value() {
    let templates = account::templates();
    let options = FillOptions::default();
    let fill = |setting: &str, text: &str| fill_fallback(setting, text, &templates, &options);
    for text in ["Hello", "a|b", "code:1", "payload:x", "file_link:x", "template-x", "+"] {
        assert_eq!(fill("one", text).unwrap().values.body, [text], "{text}");
    }
    assert_eq!(fill("one+ru", "x").unwrap().template.language, "ru");
    assert_eq!(fill("one", "a\n b").unwrap().values.body, ["a b"]);
    for (setting, text, code) in [
        ("two", "x", "not_a_fallback"),
        ("hello_world", "x", "not_a_fallback"),
        ("invoice", "x", "not_a_fallback"),
        ("track", "x", "not_a_fallback"),
        ("coupon", "x", "not_a_fallback"),
        ("headline", "x", "not_a_fallback"),
        ("one+ru+x", "x", "not_a_fallback"),
        ("waiting", "x", "status"),
        ("onne", "x", "unknown_name"),
        ("one+fr", "x", "no_language"),
        ("one", " ", "value_empty"),
        ("", "x", "name_missing"),
    ] {
        assert_eq!(fill(setting, text).unwrap_err().code(), code, "{setting}");
    }
    let long = "x".repeat(4_096);
    assert_eq!(fill("one", &long).unwrap_err().code(), "too_long");
}
