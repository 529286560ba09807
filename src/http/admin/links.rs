//! Links: how people begin a chat: a wa.me link, its QR picture, and a button for a site.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use qrcode::render::svg::Color;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;

use super::form::{Field, Kind};
use super::refusal::Refusal;
use super::visit::{Shell, Visit, render};
use crate::http::State;
use crate::http::button::{self, Look};

/// What the link is to be.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    phone: String,
    text: String,
    label: String,
    color: String,
    size: String,
    radius: String,
}

#[derive(Template)]
#[template(path = "links.html")]
struct Links {
    s: Shell,
    fields: Vec<Field>,
    made: Option<Made>,
}

struct Made {
    link: String,
    call_link: String,
    qr: String,
    qr_file: String,
    snippet: String,
    /// Address of the script, for the preview.
    script: String,
}

/// `GET /admin/links/`
pub(super) async fn show(
    visit: Visit,
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
) -> Result<HttpResponse, Refusal> {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let phones: Vec<(String, String)> = snapshot
        .phones
        .iter()
        .map(|phone| (phone.key.to_string(), format!("+{} {}", phone.number, phone.row.display_name)))
        .collect();
    let phone = snapshot.phones.iter().find(|phone| phone.key.as_str() == wanted.phone);
    let phone = phone.or(snapshot.phones.first());
    let label = if wanted.label.trim().is_empty() { say.t("links.label") } else { &wanted.label };
    let look = Look::of(label, &wanted.text, &wanted.color, &wanted.size, &wanted.radius);
    let chosen = phone.map(|phone| phone.key.to_string()).unwrap_or_default();
    let words = |group: &str, of: &[&str]| {
        of.iter().map(|word| ((*word).to_owned(), say.word(group, word))).collect::<Vec<_>>()
    };
    let fields = vec![
        Field::choice(say, "phone", &chosen, phones).required(),
        Field::new(say, "text", &wanted.text, Kind::Area).hinted(say.t("links.text_hint")),
        Field::text(say, "label", &look.label),
        Field::choice(say, "color", look.color.as_str(), words("color", &button::COLORS)).required(),
        Field::choice(say, "size", look.size.as_str(), words("size", &button::SIZES)).required(),
        Field::text(say, "radius", &look.radius.to_string()),
    ];
    let made = phone.map(|phone| {
        let link = button::chat_link(&phone.number, &look.text);
        let script = button::script_address(&state.config.public_url, phone.key.as_str(), &look);
        let qr = picture(&link);
        Made {
            call_link: format!("https://wa.me/call/{}", phone.number),
            qr_file: format!("data:image/svg+xml;base64,{}", base64(&qr)),
            snippet: format!("<script src=\"{}\" async></script>", script.replace('&', "&amp;")),
            script: button::script_path(phone.key.as_str(), &look),
            link,
            qr,
        }
    });
    Ok(render(StatusCode::OK, &Links { s: visit.title("menu.links"), fields, made }))
}

/// The link as a QR picture; empty if it is too long for one.
fn picture(link: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(link, EcLevel::M) else { return String::new() };
    let image = code
        .render::<Color<'_>>()
        .dark_color(Color("#111"))
        .light_color(Color("#fff"))
        .min_dimensions(220, 220)
        .build();
    // It stands inside a page: without the head of a document of its own.
    image.split_once("?>").map_or(image.clone(), |(_, svg)| svg.to_owned())
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
