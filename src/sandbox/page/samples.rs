//! Ready messages of a customer, one for each kind, so that a click shows what becomes of it.

use actix_web::web::Bytes;
use serde_json::{Value, json};

use crate::sandbox::cloud::SimMedia;
use crate::sandbox::portal::SimFile;

const PICTURE: &[u8] = include_bytes!("picture.jpg");
const STICKER: &[u8] = include_bytes!("sticker.webp");
const VOICE: &[u8] = include_bytes!("voice.ogg");
const VIDEO: &[u8] = include_bytes!("video.mp4");

/// A file for each kind of a template's header, by Meta's word for the kind.
pub fn header_files() -> [(&'static str, SimFile); 3] {
    let file = |name: &str, mime: &str, bytes: Vec<u8>| SimFile {
        name: name.to_owned(),
        mime: mime.to_owned(),
        bytes,
    };
    [
        ("IMAGE", file("balcony.jpg", "image/jpeg", PICTURE.to_vec())),
        ("VIDEO", file("colour.mp4", "video/mp4", VIDEO.to_vec())),
        ("DOCUMENT", file("invoice-2026-17.pdf", "application/pdf", pdf("Invoice 2026-17").into_bytes())),
    ]
}

/// What a sample sends.
pub(super) enum Sample {
    Message(Value),
    Media(SimMedia),
    /// Many texts at once.
    Burst(usize),
}

/// The sample of this name.
pub(super) fn sample(name: &str) -> Option<Sample> {
    let media =
        |kind: &str, bytes: &'static [u8], mime: &str, filename: Option<&str>, caption: Option<&str>| {
            Sample::Media(SimMedia {
                kind: kind.to_owned(),
                bytes: Bytes::from_static(bytes),
                mime: mime.to_owned(),
                filename: filename.map(str::to_owned),
                caption: caption.map(str::to_owned),
                more: json!({}),
            })
        };
    Some(match name {
        "hello" => text("Hello! Is the blue one still in stock? 🙂"),
        "formatted" => text("*Order 1042*, _urgent_, ~12~ 14 pieces, code ```AB-7``` [see photo]"),
        "picture" => media("image", PICTURE, "image/jpeg", None, Some("From our balcony")),
        "voice" => media("voice", VOICE, "audio/ogg; codecs=opus", None, None),
        "video" => media("video", VIDEO, "video/mp4", None, Some("Two seconds of colour")),
        "sticker" => media("sticker", STICKER, "image/webp", None, None),
        "document" => Sample::Media(SimMedia {
            kind: "document".to_owned(),
            bytes: Bytes::from(pdf("Invoice 2026-17")),
            mime: "application/pdf".to_owned(),
            filename: Some("invoice-2026-17.pdf".to_owned()),
            caption: None,
            more: json!({}),
        }),
        "location" => message(
            "location",
            json!({"latitude": 37.4836, "longitude": -122.1495,
            "name": "Main office", "address": "1 Hacker Way, Menlo Park"}),
        ),
        "contact" => contact("Ines Duarte", "+1 555 010 0199"),
        "button" => message(
            "interactive",
            json!({"type": "button_reply",
            "button_reply": {"id": "change-date", "title": "Change the date"}}),
        ),
        "list" => message(
            "interactive",
            json!({"type": "list_reply", "list_reply":
            {"id": "express", "title": "Express delivery", "description": "Next day to 2 days"}}),
        ),
        "form" => message(
            "interactive",
            json!({"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent",
            "response_json": r#"{"flow_token":"1","date":"2026-03-01","guests":"4","window_seat":true}"#}}),
        ),
        "order" => message(
            "order",
            json!({"catalog_id": "194836987003835", "text": "Please wrap it.",
            "product_items": [{"product_retailer_id": "mug-blue", "quantity": 2, "item_price": 12.5, "currency": "USD"}]}),
        ),
        "ad" => Sample::Message(json!({"type": "text", "text": {"body": "Hi, I saw your ad."}, "referral": {
            "source_url": "https://fb.me/3cr4Wqqkv", "source_id": "120226305854810726", "source_type": "ad",
            "headline": "Spring sale", "body": "All mugs 20% off", "media_type": "image"}})),
        "unsupported" => {
            Sample::Message(json!({"type": "unsupported", "unsupported": {"type": "poll_creation"},
            "errors": [{"code": 131051, "title": "Message type unknown", "message": "Message type unknown",
                        "error_data": {"details": "Message type is currently not supported."}}]}))
        }
        "burst" => Sample::Burst(20),
        _ => return None,
    })
}

/// A contact card with one number.
pub(super) fn contact(name: &str, phone: &str) -> Sample {
    let first = name.split(' ').next().unwrap_or_default();
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    message(
        "contacts",
        json!([{"name": {"formatted_name": name, "first_name": first},
                "phones": [{"phone": phone, "wa_id": digits, "type": "CELL"}]}]),
    )
}

fn text(body: &str) -> Sample {
    message("text", json!({ "body": body }))
}

fn message(kind: &str, content: Value) -> Sample {
    let mut message = json!({ "type": kind });
    if let Some(map) = message.as_object_mut() {
        map.insert(kind.to_owned(), content);
    }
    Sample::Message(message)
}

/// The smallest document that readers open: one page with one line.
fn pdf(line: &str) -> String {
    let content = format!("BT /F1 28 Tf 60 740 Td ({line}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
            .to_owned(),
        format!("<</Length {}>>stream\n{content}\nendstream", content.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let mut out = "%PDF-1.4\n".to_owned();
    let mut table = "0000000000 65535 f \n".to_owned();
    for (index, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", out.len()));
        out.push_str(&format!("{} 0 obj{object}endobj\n", index + 1));
    }
    let (start, size) = (out.len(), objects.len() + 1);
    out + &format!("xref\n0 {size}\n{table}trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_they_say() {
        for (name, expected) in [
            ("picture", "image/jpeg"),
            ("sticker", "image/webp"),
            ("voice", "audio/opus"),
            ("video", "video/mp4"),
            ("document", "application/pdf"),
        ] {
            let Some(Sample::Media(media)) = sample(name) else { panic!("{name}") };
            assert_eq!(infer::get(&media.bytes).map(|kind| kind.mime_type()), Some(expected), "{name}");
            assert!(media.bytes.len() < 12_000, "{name}: {}", media.bytes.len());
        }
        assert!(sample("nothing").is_none());
    }
}
