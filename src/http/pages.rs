//! Pages inside the portal's iframe: plain HTML without cookies; the only script is Bitrix24's own and one
//! line that calls it, named by its hash.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::domain::Language;
use crate::setup::connector::{ConnectorPage, Place};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:32px auto;max-width:560px;padding:0 16px;\
color:#1f2933}h1{font-size:20px}label{display:block;border:1px solid #d5dbe1;border-radius:8px;padding:10px 12px;\
margin:8px 0}label.off{color:#8a94a0}small{color:#6b7682}button{font:inherit;border:0;border-radius:8px;\
padding:10px 20px;background:#0d7263;color:#fff;cursor:pointer}.ok{color:#0f7a40}.bad{color:#b42318}section{border:1px solid #d5dbe1;border-radius:10px;padding:14px 16px;margin:14px 0}\
select{font:inherit;padding:8px;border-radius:8px;border:1px solid #aab4bd;max-width:100%}form{margin:10px 0 0}\
button.plain{background:#fff;color:#1f2933;border:1px solid #aab4bd}h2{font-size:17px;margin:28px 0 0}\
summary{cursor:pointer;margin-top:10px}form.calls label{border:0;padding:0;margin:10px 0}form.calls input[name=calls]{margin-right:8px}\
form.calls label span{display:block}.text{font:inherit;padding:8px;border-radius:8px;border:1px solid #aab4bd;width:100%;box-sizing:border-box}\
button:focus-visible,input:focus-visible,select:focus-visible,summary:focus-visible{outline:3px solid #1a66d6;outline-offset:2px}";
const FINISH: &str = "BX24.init(function(){BX24.installFinish();});";

/// Who may frame a page.
pub(super) enum Frame {
    /// Nobody.
    Nobody,
    /// This origin.
    Origin(String),
}

impl Frame {
    /// The origin of a stored address.
    pub(super) fn of(address: &str) -> Self {
        match Url::parse(address) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => {
                Self::Origin(url.origin().ascii_serialization())
            }
            _ => Self::Nobody,
        }
    }

    /// The host that a POST claims to come from; only for pages on which nothing can be done.
    pub(super) fn claimed(domain: &str, https: bool) -> Self {
        // A URL takes more characters in a host than a policy does.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | ':' | '-');
        let domain = domain.to_ascii_lowercase();
        if !domain.chars().all(plain) {
            return Self::Nobody;
        }
        Self::of(&format!("{}://{domain}/", if https { "https" } else { "http" }))
    }

    fn source(&self) -> &str {
        match self {
            Self::Nobody => "'none'",
            Self::Origin(origin) => origin,
        }
    }
}

/// The application is installed; `finish` lets the portal know, which only an administrator's page can.
pub(super) fn installed(language: Language, frame: &Frame, js: &Url, finish: bool) -> HttpResponse {
    let title = say(language, "WhatsApp is connected", "WhatsApp подключён");
    let text = say(
        language,
        "Next: open the contact center, choose WhatsApp and a line, and pick the phone number for it.",
        "Дальше: откройте контакт-центр, выберите WhatsApp и линию и укажите для неё номер телефона.",
    );
    let body = format!("<h1 class=\"ok\">{}</h1><p>{}</p>", escape(title), escape(text));
    if !finish {
        return page(StatusCode::OK, language, title, &body, frame, None);
    }
    let scripts = format!("<script src=\"{}\"></script><script>{FINISH}</script>", escape(js.as_str()));
    page(StatusCode::OK, language, title, &format!("{body}{scripts}"), frame, Some(js))
}

/// For a user of the portal who is no administrator of it.
pub(super) fn visitor(language: Language, frame: &Frame) -> HttpResponse {
    let title = say(language, "WhatsApp is connected", "WhatsApp подключён");
    let text = say(
        language,
        "Only an administrator of the portal can change its WhatsApp settings.",
        "Изменять настройки WhatsApp может только администратор портала.",
    );
    let body = format!("<h1>{}</h1><p>{}</p>", escape(title), escape(text));
    page(StatusCode::OK, language, title, &body, frame, None)
}

/// Something was refused or failed.
pub(super) fn error(status: StatusCode, language: Language, frame: &Frame, detail: &str) -> HttpResponse {
    let title = say(language, "WhatsApp is not connected", "WhatsApp не подключён");
    let body = format!("<h1 class=\"bad\">{}</h1><p>{}</p>", escape(title), escape(detail));
    page(status, language, title, &body, frame, None)
}

/// The phones to pick for a line, and below them the portal's numbers with their other settings.
pub(super) fn connector(
    language: Language,
    shown: &ConnectorPage,
    numbers: &str,
    done: bool,
) -> HttpResponse {
    let title = say(language, "WhatsApp number of this line", "Номер WhatsApp этой линии");
    let frame = Frame::of(&shown.origin);
    let mut rows = String::new();
    for phone in &shown.phones {
        let (note, state) = match &phone.place {
            Place::Free => (String::new(), ""),
            Place::Here => {
                (say(language, "linked to this line", "подключён к этой линии").to_owned(), " checked")
            }
            Place::OtherLine(name) => {
                (format!("{} {name}", say(language, "linked to the line", "подключён к линии")), "")
            }
            Place::OtherPortal => (
                say(language, "linked to another portal", "подключён к другому порталу").to_owned(),
                " disabled",
            ),
        };
        let class = if state == " disabled" { " class=\"off\"" } else { "" };
        rows.push_str(&format!(
            "<label{class}><input type=\"radio\" name=\"phone_id\" value=\"{}\" required{state}> <bdi>{}</bdi> <small><bdi>{}</bdi></small></label>",
            escape(&phone.id),
            escape(&phone.label),
            escape(&note)
        ));
    }
    let saved = say(
        language,
        "Saved: the line receives WhatsApp messages.",
        "Сохранено: линия принимает сообщения WhatsApp.",
    );
    let saved = if done { format!("<p class=\"ok\">{}</p>", escape(saved)) } else { String::new() };
    let form = if rows.is_empty() {
        let none =
            say(language, "No phone is set up in wabridge yet.", "В wabridge ещё не настроен ни один номер.");
        format!("<p>{}</p>", escape(none))
    } else {
        format!(
            "<form method=\"post\" action=\"/api/bitrix/connector/\">\
             <input type=\"hidden\" name=\"ticket\" value=\"{}\">\
             <input type=\"hidden\" name=\"origin\" value=\"{}\">\
             <input type=\"hidden\" name=\"lang\" value=\"{}\">{rows}<button>{}</button></form>",
            escape(&shown.ticket),
            escape(&shown.origin),
            language.code(),
            escape(say(language, "Link", "Подключить"))
        )
    };
    let others = say(language, "All settings of the numbers", "Все настройки номеров");
    let numbers = match shown.settings.phones.is_empty() {
        true => String::new(),
        false => format!("<h2>{}</h2>{numbers}", escape(others)),
    };
    let body = format!("<h1>{}</h1>{saved}{form}{numbers}", escape(title));
    page(StatusCode::OK, language, title, &body, &frame, None)
}

/// Text as HTML, also inside quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn page(
    status: StatusCode,
    language: Language,
    title: &str,
    body: &str,
    frame: &Frame,
    js: Option<&Url>,
) -> HttpResponse {
    let scripts = js.map_or_else(
        || "'none'".to_owned(),
        |js| format!("'{}' {}", hash(FINISH), js.origin().ascii_serialization()),
    );
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src {scripts}; form-action 'self'; base-uri 'none'; \
         frame-ancestors {}",
        hash(STYLE),
        frame.source()
    );
    let html = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
        language.code(),
        escape(title)
    );
    HttpResponse::build(status)
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .content_type("text/html; charset=utf-8")
        .body(html)
}

/// A source of the content security policy: the hash of an inline element's text.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

fn say(language: Language, en: &'static str, ru: &'static str) -> &'static str {
    match language {
        Language::En => en,
        Language::Ru => ru,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_text() {
        assert_eq!(
            escape("<a href=\"x\" onclick='y'>&"),
            "&lt;a href=&quot;x&quot; onclick=&#39;y&#39;&gt;&amp;"
        );
    }

    #[test]
    fn only_an_origin_can_become_a_frame() {
        assert_eq!(Frame::of("https://portal.example/rest/").source(), "https://portal.example");
        assert_eq!(Frame::claimed("portal.example", true).source(), "https://portal.example");
        assert_eq!(Frame::claimed("a; script-src *", true).source(), "'none'");
        for domain in ["a;b", "a,b", "*", "*.example", "a'b", "u@portal.example", ""] {
            assert_eq!(Frame::claimed(domain, true).source(), "'none'", "{domain}");
        }
        assert_eq!(Frame::of("javascript:alert(1)").source(), "'none'");
    }

    #[test]
    fn the_install_page_finishes_and_runs_nothing_else() {
        let js = Url::parse("https://api.bitrix24.com/api/v1/").unwrap();
        let frame = Frame::of("https://portal.example/rest/");
        let answer = installed(Language::En, &frame, &js, true);
        let policy = answer.headers().get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.contains("script-src 'sha256-"), "{policy}");
        assert!(policy.contains("https://api.bitrix24.com; "), "{policy}");
        assert!(policy.ends_with("frame-ancestors https://portal.example"), "{policy}");
    }
}
