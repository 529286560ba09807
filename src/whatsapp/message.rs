//! One message object of a notification, as Meta posts it: `messages[]` and `message_echoes[]`
//! (whatsapp-messaging facts §1.7, §1.8, §1.10).
//!
//! Nothing but the id is required. A part that is missing or of another shape than expected degrades the
//! content to [`Content::Unknown`]; it is never an error, so that the customer's message is shown in
//! some form whatever Meta adds.

mod read;

use chrono::{DateTime, Utc};
use serde_json::Value;
use thiserror::Error;

use crate::domain::{MediaId, UserId, WaId, Wamid};

/// Our own key in a stored message.
const STANDBY: &str = "_standby";

/// Why a text is not a message object.
#[derive(Debug, Error)]
pub enum MessageError {
    /// Not JSON.
    #[error("the message is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("the message is not an object")]
    NotAnObject,
    /// Without an id it can be neither told from its repeats nor answered.
    #[error("the message has no id")]
    NoId,
}

/// A message as it came, inbound or an echo of what was sent on the phone.
#[derive(Clone, PartialEq, Debug)]
pub struct WireMessage {
    /// Meta's id of this message (of an edit or revoke: of that event).
    pub id: Wamid,
    /// The sender's number; absent for people who hide it, the business's own number in an echo.
    pub from: Option<WaId>,
    /// The sender's business-scoped user id.
    pub from_user_id: Option<UserId>,
    /// Echoes only: the receiver's number.
    pub to: Option<WaId>,
    /// Echoes only: the receiver's business-scoped user id.
    pub to_user_id: Option<UserId>,
    /// When it was sent (whole seconds).
    pub timestamp: Option<DateTime<Utc>>,
    /// Meta's `type`, as it came; empty when missing.
    pub kind: String,
    /// What it answers, and whether it was forwarded.
    pub context: Option<Context>,
    /// The ad or post that led the contact here.
    pub referral: Option<Referral>,
    /// Id of the WhatsApp group it was written in.
    pub group_id: Option<String>,
    /// What Meta says is wrong with this message.
    pub errors: Vec<WireError>,
    /// It came while Meta's AI agent held the conversation (facts §1.11); see [`WireMessage::mark_standby`].
    pub standby: bool,
    /// The content.
    pub content: Content,
}

impl WireMessage {
    /// Reads one message object from its JSON text.
    pub fn parse(raw: &str) -> Result<Self, MessageError> {
        Self::from_value(&serde_json::from_str(raw)?)
    }

    /// Reads one message object from parsed JSON.
    pub fn from_value(value: &Value) -> Result<Self, MessageError> {
        read::message(value)
    }

    /// Notes in a message's JSON text that it came on `standby`, which Meta says beside the message only.
    pub fn mark_standby(raw: &str) -> String {
        match raw.trim_start().strip_prefix('{') {
            Some(rest) if rest.trim_start().starts_with('"') => format!("{{\"{STANDBY}\":true,{rest}"),
            _ => raw.to_owned(),
        }
    }

    /// The message this one answers, reacts to, edits or revokes.
    pub fn refers_to(&self) -> Option<&Wamid> {
        match &self.content {
            Content::Reaction { message_id, .. } => Some(message_id),
            Content::Edit { context, .. } => context.as_ref().and_then(|context| context.id.as_ref()),
            Content::Revoke { .. } => None,
            _ => self.context.as_ref().and_then(|context| context.id.as_ref()),
        }
    }
}

/// `context`: the quoted message, forwarding marks, the product written about.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context {
    /// The quoted message; may be one that we never saw.
    pub id: Option<Wamid>,
    /// Forwarded up to five times.
    pub forwarded: bool,
    /// Forwarded more than five times.
    pub frequently_forwarded: bool,
    /// "Message business" on a product of the catalogue.
    pub referred_product: Option<ReferredProduct>,
}

/// The product a message is about.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ReferredProduct {
    /// Meta's id of the catalogue.
    pub catalog_id: Option<String>,
    /// The business's own id of the product.
    pub product_id: Option<String>,
}

/// `referral`: the ad or post that led here.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Referral {
    /// Address of the ad or post.
    pub source_url: Option<String>,
    /// Meta's id of it.
    pub source_id: Option<String>,
    /// `ad` or `post`.
    pub source_type: Option<String>,
    /// Headline.
    pub headline: Option<String>,
    /// Text.
    pub body: Option<String>,
    /// `image` or `video`.
    pub media_type: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
    /// Its video.
    pub video_url: Option<String>,
    /// Small picture of the video.
    pub thumbnail_url: Option<String>,
    /// Click id for Meta's conversion reports.
    pub ctwa_clid: Option<String>,
    /// The greeting shown with the ad.
    pub welcome_text: Option<String>,
}

/// An element of an `errors` array of a webhook (facts §5.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WireError {
    /// Meta's code, the key of the table in facts §5.2.
    pub code: Option<i64>,
    /// Short name.
    pub title: Option<String>,
    /// Usually the title again.
    pub message: Option<String>,
    /// `error_data.details`, or `error_data` itself where it is text.
    pub details: Option<String>,
}

impl WireError {
    /// Reads an `errors` array; anything else gives none.
    pub fn list(value: Option<&Value>) -> Vec<Self> {
        read::errors(value)
    }
}

/// What a message holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Text in WhatsApp markup.
    Text {
        /// The text as typed.
        body: String,
    },
    /// Picture.
    Image(Media),
    /// Video.
    Video(Media),
    /// Audio file, or a voice note if [`Media::voice`].
    Audio(Media),
    /// Any other file.
    Document(Media),
    /// Sticker (WebP).
    Sticker(Media),
    /// Point on the map.
    Location(Location),
    /// Contact cards.
    Contacts(Vec<ContactCard>),
    /// Tap on a reply button.
    ButtonReply {
        /// Payload set by the business.
        id: Option<String>,
        /// Label.
        title: Option<String>,
    },
    /// Choice from a list.
    ListReply {
        /// Payload set by the business.
        id: Option<String>,
        /// Label.
        title: Option<String>,
        /// Second line of the label.
        description: Option<String>,
    },
    /// A completed flow or address form.
    FlowReply {
        /// `flow` or `address_message`.
        name: Option<String>,
        /// What the customer's app shows.
        body: Option<String>,
        /// The answers; text if Meta's `response_json` was not JSON.
        response: Value,
    },
    /// Answer to a request to be called.
    CallPermission {
        /// `accept` or `reject`.
        response: String,
        /// Without end.
        permanent: bool,
        /// Until when calls are allowed.
        expires: Option<DateTime<Utc>>,
    },
    /// Tap on a quick reply of a template.
    Button {
        /// Label.
        text: Option<String>,
        /// Payload set by the business, else the label.
        payload: Option<String>,
    },
    /// Reaction to a message of ours.
    Reaction {
        /// The message it is on.
        message_id: Wamid,
        /// The emoji; `None` takes the reaction back.
        emoji: Option<String>,
    },
    /// Order from the catalogue.
    Order(Order),
    /// Something about the contact changed.
    System(System),
    /// A message of before was changed (numbers shared with the WhatsApp Business app).
    Edit {
        /// The changed message.
        original: Wamid,
        /// What it says now.
        content: Box<Content>,
        /// What the changed message answers.
        context: Option<Context>,
    },
    /// A message of before was deleted for everyone.
    Revoke {
        /// The deleted message.
        original: Wamid,
    },
    /// Meta does not hand this message to the API.
    Unsupported {
        /// What it was, as far as Meta says: `poll_creation`, `gif`, …
        kind: Option<String>,
        /// 131051, or 131060: to be read on the phone only.
        code: Option<i64>,
    },
    /// A kind that we do not know, or a known one without its parts.
    Unknown {
        /// Meta's `type`, for `interactive` its inner type.
        kind: String,
    },
}

/// A file of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Media {
    /// Meta's id to fetch it by.
    pub id: Option<MediaId>,
    /// Type as the sender's app names it, parameters included (`audio/ogg; codecs=opus`).
    pub mime_type: Option<String>,
    /// Base64 (or hex) SHA-256 of the file.
    pub sha256: Option<String>,
    /// Text shown with it.
    pub caption: Option<String>,
    /// File name; documents only.
    pub filename: Option<String>,
    /// Address that lives five minutes and wants the token.
    pub url: Option<String>,
    /// Recorded in the chat.
    pub voice: bool,
    /// Moving sticker.
    pub animated: bool,
}

/// A point on the map.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Location {
    /// Degrees, latitude then longitude.
    pub point: Option<(f64, f64)>,
    /// Name of a chosen place.
    pub name: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// Its page.
    pub url: Option<String>,
}

/// A contact card.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContactCard {
    /// Full name; put together from its parts where Meta gives only these.
    pub name: Option<String>,
    /// Numbers.
    pub phones: Vec<CardPhone>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Postal addresses, each on one line.
    pub addresses: Vec<String>,
    /// Company, department, title.
    pub organisation: Option<String>,
    /// Web addresses.
    pub urls: Vec<String>,
    /// Birthday as typed, usually `YYYY-MM-DD`.
    pub birthday: Option<String>,
    /// The contact answered our request for their own number: it may be trusted as theirs.
    pub is_own: bool,
}

/// A number on a contact card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardPhone {
    /// The number as typed.
    pub phone: String,
    /// Set if this number is on WhatsApp.
    pub wa_id: Option<WaId>,
    /// `HOME`, `WORK`, …
    pub kind: Option<String>,
}

/// An order from the catalogue.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Order {
    /// Meta's id of the catalogue.
    pub catalog_id: Option<String>,
    /// Note of the customer.
    pub text: Option<String>,
    /// Ordered products.
    pub items: Vec<OrderItem>,
}

/// A line of an order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OrderItem {
    /// The business's own id of the product.
    pub product_id: Option<String>,
    /// How many.
    pub quantity: Option<f64>,
    /// Price of one.
    pub price: Option<f64>,
    /// ISO 4217 code.
    pub currency: Option<String>,
}

/// A change of the contact itself. `WireMessage::from` is the number of before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct System {
    /// `user_changed_number`, `user_changed_user_id`, `customer_identity_changed`, …
    pub kind: String,
    /// Meta's English sentence.
    pub body: Option<String>,
    /// The new number.
    pub wa_id: Option<WaId>,
    /// The new business-scoped user id.
    pub user_id: Option<UserId>,
    /// The business-scoped user id of before.
    pub previous_user_id: Option<UserId>,
}
