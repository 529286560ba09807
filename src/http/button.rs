//! `GET /button/{phone}.js`: the “Message us” button that sites embed. Whatever is in the address becomes
//! text: it stands in the script as JSON and in the page as text, never as markup.

use actix_web::{HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use url::Url;

use super::State;

/// The colours of a button.
pub(super) const COLORS: [&str; 3] = ["green", "teal", "white"];
/// The sizes of a button.
pub(super) const SIZES: [&str; 2] = ["standard", "compact"];

const MAX_LABEL: usize = 60;
const MAX_TEXT: usize = 700;
const MAX_RADIUS: u32 = 40;

/// How a button looks and what it begins with.
pub(super) struct Look {
    pub(super) label: String,
    pub(super) text: String,
    pub(super) color: String,
    pub(super) size: String,
    pub(super) radius: u32,
}

/// What an address may say of a button.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    label: String,
    text: String,
    color: String,
    size: String,
    radius: String,
}

impl Look {
    /// Takes what is known and cuts what is too long.
    pub(super) fn of(label: &str, text: &str, color: &str, size: &str, radius: &str) -> Self {
        let known = |word: &str, of: &[&str]| {
            of.iter().find(|known| **known == word).or(of.first()).copied().unwrap_or_default().to_owned()
        };
        Self {
            label: label.trim().chars().filter(|c| !c.is_control()).take(MAX_LABEL).collect(),
            text: text.trim().chars().filter(|c| *c != '\0').take(MAX_TEXT).collect(),
            color: known(color, &COLORS),
            size: known(size, &SIZES),
            radius: radius.trim().parse().unwrap_or(10).min(MAX_RADIUS),
        }
    }
}

/// `GET /button/{phone}.js`
pub(super) async fn script(
    state: web::Data<State>,
    phone: web::Path<String>,
    query: web::Query<Query>,
) -> HttpResponse {
    let snapshot = state.directory.now();
    let Some(phone) = snapshot.phones.iter().find(|known| known.key.as_str() == phone.as_str()) else {
        return HttpResponse::NotFound().finish();
    };
    let look = Look::of(&query.label, &query.text, &query.color, &query.size, &query.radius);
    HttpResponse::Ok()
        .content_type("text/javascript; charset=utf-8")
        .insert_header(("cache-control", "public, max-age=300"))
        .insert_header(("cross-origin-resource-policy", "cross-origin"))
        .body(draw(&phone.number, &look))
}

/// Where a chat with a number begins.
pub(super) fn chat_link(digits: &str, text: &str) -> String {
    let text = match text {
        "" => String::new(),
        text => format!("?text={}", utf8_percent_encode(text, NON_ALPHANUMERIC)),
    };
    format!("https://wa.me/{digits}{text}")
}

/// The script's address for other sites.
pub(super) fn script_address(public: &Url, phone: &str, look: &Look) -> String {
    format!("{}{}", public.origin().ascii_serialization(), script_path(phone, look))
}

/// The script's address on this host.
pub(super) fn script_path(phone: &str, look: &Look) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("label", &look.label);
    if !look.text.is_empty() {
        query.append_pair("text", &look.text);
    }
    query.append_pair("color", &look.color).append_pair("size", &look.size);
    query.append_pair("radius", &look.radius.to_string());
    format!("/button/{phone}.js?{}", query.finish())
}

fn draw(digits: &str, look: &Look) -> String {
    let json = |text: &str| {
        // Inside a script element no text may close it.
        serde_json::to_string(text).unwrap_or_default().replace('<', "\\u003c")
    };
    let (back, ink, rim) = match look.color.as_str() {
        "white" => ("#ffffff", "#0b5d3b", "#b9c3ca"),
        "teal" => ("#0d7263", "#ffffff", "#0d7263"),
        _ => ("#137a3f", "#ffffff", "#137a3f"),
    };
    let (padding, size) = if look.size == "compact" { ("6px 12px", "14px") } else { ("11px 20px", "16px") };
    format!(
        "(()=>{{const here=document.currentScript;if(!here)return;const a=document.createElement('a');\
         a.href={};a.target='_blank';a.rel='noopener';a.textContent={};a.dir='auto';\
         Object.assign(a.style,{{display:'inline-block',font:'600 {size}/1.3 system-ui,sans-serif',padding:'{padding}',\
         background:'{back}',color:'{ink}',border:'1px solid {rim}',borderRadius:'{}px',textDecoration:'none'}});\
         here.after(a);}})();\n",
        json(&chat_link(digits, &look.text)),
        json(&look.label),
        look.radius,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_button_says_cannot_become_code() {
        let evil = "</script><script>alert(1)</script>\"'`\u{202e}\u{2028}";
        let look = Look::of(evil, evil, "red", "huge", "9999");
        let script = draw("15550783881", &look);
        assert!(!script.contains("</script"), "{script}");
        assert!(script.contains("a.textContent=\"\\u003c/script>"), "{script}");
        assert_eq!((look.color.as_str(), look.size.as_str(), look.radius), ("green", "standard", 40));
        assert!(script_path("p", &look).bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'<'));
    }

    #[test]
    fn a_chat_link_bears_its_text() {
        assert_eq!(chat_link("15550783881", ""), "https://wa.me/15550783881");
        assert_eq!(chat_link("15550783881", "Hi & bye"), "https://wa.me/15550783881?text=Hi%20%26%20bye");
    }
}
