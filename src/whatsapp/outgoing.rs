//! What we send: the body of `POST /{phone-number-id}/messages` (whatsapp-messaging facts §2.1–§2.6).

mod template;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::domain::{MediaId, UserId, WaId, Wamid};

pub use template::template;

/// Longest text, in characters.
pub const TEXT_LIMIT: usize = 4096;
/// Longest caption, in characters.
pub const CAPTION_LIMIT: usize = 1024;
/// Longest mark of our own (`biz_opaque_callback_data`), in characters.
pub const OPAQUE_LIMIT: usize = 512;

/// One message to one person.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OutgoingMessage {
    /// To whom.
    pub to: Recipient,
    /// What.
    pub content: OutgoingContent,
    /// The message that it quotes; ignored for a reaction, which names its message itself.
    pub context: Option<Wamid>,
    /// Our own mark, which every status bears; empty for none.
    pub opaque: String,
}

/// How the person is addressed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// By number.
    Phone(WaId),
    /// By business-scoped user id, where the number is not known (§1.8).
    User(UserId),
}

/// A file that Meta already holds, or fetches itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaRef {
    /// Uploaded by this phone within 30 days.
    Id(MediaId),
    /// A public address; a failure shows only later, as 131053 or 131052 in a status.
    Link(Url),
}

/// What is sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutgoingContent {
    /// At most [`TEXT_LIMIT`] characters.
    Text {
        /// The text in WhatsApp's markup.
        body: String,
        /// Whether the first link is previewed.
        preview_url: bool,
    },
    /// JPEG or PNG, 5 MB.
    Image {
        /// The file.
        media: MediaRef,
        /// At most [`CAPTION_LIMIT`] characters.
        caption: Option<String>,
    },
    /// MP4 or 3GPP, 16 MB.
    Video {
        /// The file.
        media: MediaRef,
        /// At most [`CAPTION_LIMIT`] characters.
        caption: Option<String>,
    },
    /// Audio, 16 MB; bears no caption.
    Audio {
        /// The file.
        media: MediaRef,
        /// A voice note: OGG with Opus, one channel.
        voice: bool,
    },
    /// Any file, 100 MB.
    Document {
        /// The file.
        media: MediaRef,
        /// Its name with the right extension; without it the person sees "Untitled".
        filename: Option<String>,
        /// At most [`CAPTION_LIMIT`] characters.
        caption: Option<String>,
    },
    /// WebP; bears no caption.
    Sticker {
        /// The file.
        media: MediaRef,
    },
    /// A place.
    Location {
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
        /// Its name.
        name: Option<String>,
        /// Its address.
        address: Option<String>,
    },
    /// A reaction to a message of the person's.
    Reaction {
        /// That message.
        message: Wamid,
        /// Empty removes the reaction.
        emoji: String,
    },
    /// Anything else as Meta's own object, `type` included: templates, interactive messages.
    Raw(Value),
}

impl OutgoingMessage {
    /// The body as Meta wants it.
    pub fn to_json(&self) -> Value {
        let (kind, content) = self.content.wire();
        let mut body = match content {
            // The envelope's own keys win over those of a raw object.
            Value::Object(raw) if kind.is_none() => raw,
            content => Map::from_iter(kind.map(|kind| (kind.to_owned(), content))),
        };
        if let Some(kind) = kind {
            body.insert("type".into(), kind.into());
        }
        body.insert("messaging_product".into(), "whatsapp".into());
        body.insert("recipient_type".into(), "individual".into());
        match &self.to {
            Recipient::Phone(wa_id) => {
                // Without the plus Meta would put the business's own country code in front (§2.1).
                let digits = wa_id.as_str().trim_start_matches('+');
                body.insert("to".into(), format!("+{digits}").into());
            }
            Recipient::User(user_id) => {
                body.insert("recipient".into(), user_id.as_str().into());
            }
        }
        let quotes = !matches!(self.content, OutgoingContent::Reaction { .. });
        if let Some(wamid) = self.context.as_ref().filter(|_| quotes) {
            body.insert("context".into(), json!({"message_id": wamid}));
        }
        if !self.opaque.is_empty() {
            body.insert("biz_opaque_callback_data".into(), self.opaque.as_str().into());
        }
        Value::Object(body)
    }
}

impl OutgoingContent {
    /// The word of `type` and the object under that key; a raw content has no word of its own.
    fn wire(&self) -> (Option<&'static str>, Value) {
        let (kind, value) = match self {
            Self::Text { body, preview_url } => ("text", json!({"body": body, "preview_url": preview_url})),
            Self::Image { media, caption } => ("image", file(media, [("caption", caption)])),
            Self::Video { media, caption } => ("video", file(media, [("caption", caption)])),
            Self::Audio { media, voice } => {
                let mut value = file(media, []);
                if let (true, Value::Object(object)) = (*voice, &mut value) {
                    object.insert("voice".into(), true.into());
                }
                ("audio", value)
            }
            Self::Document { media, filename, caption } => {
                ("document", file(media, [("filename", filename), ("caption", caption)]))
            }
            Self::Sticker { media } => ("sticker", file(media, [])),
            Self::Location { latitude, longitude, name, address } => {
                let mut object = texts([("name", name), ("address", address)]);
                object.insert("latitude".into(), json!(latitude));
                object.insert("longitude".into(), json!(longitude));
                ("location", Value::Object(object))
            }
            Self::Reaction { message, emoji } => ("reaction", json!({"message_id": message, "emoji": emoji})),
            Self::Raw(value) => return (None, value.clone()),
        };
        (Some(kind), value)
    }
}

fn file<const N: usize>(media: &MediaRef, more: [(&str, &Option<String>); N]) -> Value {
    let mut object = texts(more);
    match media {
        MediaRef::Id(id) => object.insert("id".into(), id.as_str().into()),
        MediaRef::Link(link) => object.insert("link".into(), link.as_str().into()),
    };
    Value::Object(object)
}

fn texts<const N: usize>(pairs: [(&str, &Option<String>); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text.as_deref().filter(|t| !t.is_empty())?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: OutgoingContent) -> Value {
        let to = Recipient::Phone(WaId::new("16505551234"));
        OutgoingMessage { to, content, context: None, opaque: String::new() }.to_json()
    }

    fn id() -> MediaRef {
        MediaRef::Id(MediaId::new("1479537139650973"))
    }

    #[test]
    fn the_envelope_is_that_of_the_facts() {
        let message = OutgoingMessage {
            to: Recipient::Phone(WaId::new("16505551234")),
            content: OutgoingContent::Text { body: "Hi https://example.com".into(), preview_url: true },
            context: Some(Wamid::new("wamid.QUOTED")),
            opaque: "outbox:42".into(),
        };
        assert_eq!(
            message.to_json(),
            json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+16505551234",
                "type": "text", "text": {"preview_url": true, "body": "Hi https://example.com"},
                "context": {"message_id": "wamid.QUOTED"}, "biz_opaque_callback_data": "outbox:42"})
        );
    }

    #[test]
    fn a_scoped_id_goes_into_recipient_and_not_into_to() {
        let message = OutgoingMessage {
            to: Recipient::User(UserId::new("US.134")),
            content: OutgoingContent::Text { body: "x".into(), preview_url: false },
            context: None,
            opaque: String::new(),
        };
        let body = message.to_json();
        assert_eq!(body["recipient"], "US.134");
        assert!(body.get("to").is_none() && body.get("context").is_none());
        assert!(body.get("biz_opaque_callback_data").is_none());
    }

    #[test]
    fn every_content_has_its_wire_form() {
        let some = |text: &str| Some(text.to_owned());
        let link: Url = "https://example.com/a.pdf".parse().unwrap();
        let cases = [
            (
                OutgoingContent::Image { media: id(), caption: some("c") },
                json!({"type": "image", "image": {"id": "1479537139650973", "caption": "c"}}),
            ),
            (
                OutgoingContent::Video { media: id(), caption: some("") },
                json!({"type": "video", "video": {"id": "1479537139650973"}}),
            ),
            (
                OutgoingContent::Audio { media: id(), voice: true },
                json!({"type": "audio", "audio": {"id": "1479537139650973", "voice": true}}),
            ),
            (
                OutgoingContent::Audio { media: id(), voice: false },
                json!({"type": "audio", "audio": {"id": "1479537139650973"}}),
            ),
            (
                OutgoingContent::Document {
                    media: MediaRef::Link(link),
                    filename: some("offer.pdf"),
                    caption: None,
                },
                json!({"type": "document",
                    "document": {"link": "https://example.com/a.pdf", "filename": "offer.pdf"}}),
            ),
            (
                OutgoingContent::Sticker { media: id() },
                json!({"type": "sticker", "sticker": {"id": "1479537139650973"}}),
            ),
            (
                OutgoingContent::Location {
                    latitude: 37.5,
                    longitude: -122.25,
                    name: some("Philz Coffee"),
                    address: None,
                },
                json!({"type": "location",
                    "location": {"latitude": 37.5, "longitude": -122.25, "name": "Philz Coffee"}}),
            ),
            (
                OutgoingContent::Reaction { message: Wamid::new("wamid.U"), emoji: String::new() },
                json!({"type": "reaction", "reaction": {"message_id": "wamid.U", "emoji": ""}}),
            ),
        ];
        for (content, expected) in cases {
            let body = body(content);
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&body[key], value);
            }
        }
    }

    #[test]
    fn a_reaction_quotes_nothing() {
        let message = OutgoingMessage {
            to: Recipient::Phone(WaId::new("1")),
            content: OutgoingContent::Reaction { message: Wamid::new("wamid.U"), emoji: "😀".into() },
            context: Some(Wamid::new("wamid.Q")),
            opaque: String::new(),
        };
        assert!(message.to_json().get("context").is_none());
    }

    #[test]
    fn a_raw_content_cannot_change_the_envelope() {
        let body = body(OutgoingContent::Raw(json!({"type": "template", "to": "+666",
            "template": {"name": "order_confirmation", "language": {"code": "en_US"}}})));
        assert_eq!(body["to"], "+16505551234");
        assert_eq!(body["type"], "template");
        assert_eq!(body["template"]["name"], "order_confirmation");
    }

    #[test]
    fn a_message_survives_the_way_through_a_job() {
        let message = OutgoingMessage {
            to: Recipient::User(UserId::new("US.1")),
            content: OutgoingContent::Document { media: id(), filename: None, caption: Some("c".into()) },
            context: None,
            opaque: "job".into(),
        };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<OutgoingMessage>(&text).unwrap(), message);
    }
}
