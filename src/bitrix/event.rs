//! What the portal posts to `/api/bitrix/`: the events of bitrix24 facts §2.3 and §4.
//!
//! Decoding proves nothing: `application_token` and `member_id` are for the caller to compare, and the
//! endpoints in `auth` are not to be trusted.

use serde_json::Value;
use thiserror::Error;

use super::lenient::{at, filled, get, int_at, items, text_at, texts, yes_at};
use crate::domain::{ChatId, ImMessageId, LineId, MemberId, Secret, Wamid};

/// One event.
#[derive(Clone, PartialEq, Debug)]
pub struct PortalEvent {
    /// Name in upper case, `ONIMCONNECTORMESSAGEADD`.
    pub name: String,
    /// When it happened, unix seconds.
    pub ts: Option<i64>,
    /// Who posts, and for whom.
    pub auth: EventAuth,
    /// What happened.
    pub body: EventBody,
}

/// The `auth` block (facts §2.3); every part may be absent.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct EventAuth {
    /// Portal's key.
    pub member_id: Option<MemberId>,
    /// Portal's host.
    pub domain: Option<String>,
    /// Secret that proves app and portal.
    pub application_token: Option<Secret>,
    /// Token of the user behind the event; not the service's.
    pub access_token: Option<Secret>,
    /// Comes with the install and update events only.
    pub refresh_token: Option<Secret>,
    /// Seconds that the access token lives.
    pub expires_in: Option<i64>,
    /// Portal's REST address, unproven.
    pub client_endpoint: Option<String>,
    /// OAuth server's REST address; only through [`super::oauth::AllowedServers`].
    pub server_endpoint: Option<String>,
    /// Portal user of the token.
    pub user_id: Option<String>,
    /// Granted scopes, comma separated.
    pub scope: Option<String>,
    /// Kind of app (`L` = local), informational.
    pub status: Option<String>,
}

/// What happened. `unreadable` counts the elements without the ids that make them usable.
#[derive(Clone, PartialEq, Debug)]
pub enum EventBody {
    /// An operator, or the line itself, wrote to the contact (facts §4.1).
    MessageAdd { connector: String, line: LineId, items: Vec<OperatorMessage>, unreadable: usize },
    /// An operator changed a message (facts §4.2).
    MessageUpdate { connector: String, line: LineId, items: Vec<ChangedMessage>, unreadable: usize },
    /// An operator removed a message (facts §4.2).
    MessageDelete { connector: String, line: LineId, items: Vec<RemovedMessage>, unreadable: usize },
    /// A dialog began (facts §4.3).
    DialogStart { connector: String, line: LineId, items: Vec<Dialog> },
    /// A dialog ended (facts §4.3).
    DialogFinish { connector: String, line: LineId, items: Vec<Dialog> },
    /// The connector was switched off on a line, maybe by ourselves (facts §4.4).
    StatusDelete { connector: String, line: LineId },
    /// A line was deleted, maybe not one of ours (facts §4.5).
    LineDelete { line: LineId },
    /// The app was installed (facts §2.3).
    Install { version: Option<String>, active: bool, installed: bool, language: Option<String> },
    /// The app was updated: senders and handlers may be gone (facts §10.7).
    Update { version: Option<String>, previous_version: Option<String>, language: Option<String> },
    /// The app was removed.
    Uninstall {
        /// Its data is to be wiped.
        clean: bool,
        /// Portal's language.
        language: Option<String>,
    },
    /// The app's payment changed.
    Payment { status: Option<String>, expired: bool, days: Option<i64> },
    /// Any other event.
    Other,
}

/// An operator's message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorMessage {
    /// Portal's chat.
    pub im_chat_id: String,
    /// Portal's message, the key against duplicates.
    pub im_message_id: ImMessageId,
    /// Portal's user; `"0"` = automatic.
    pub user_id: String,
    /// BBCode; may be empty when there are files.
    pub text: String,
    /// Files in the operator's order.
    pub files: Vec<OperatorFile>,
    /// Our chat.
    pub chat_id: ChatId,
}

impl OperatorMessage {
    /// Whether the line itself wrote it (welcome, off-hours, vote).
    pub fn is_automatic(&self) -> bool {
        matches!(self.user_id.as_str(), "" | "0")
    }
}

/// A file of an operator's message (facts §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorFile {
    /// Name with extension.
    pub name: String,
    /// The portal's opinion; the bytes decide.
    pub kind: FileKind,
    /// MIME type, may be empty.
    pub mime: String,
    /// Short address, for images with a fragment.
    pub link: Option<String>,
    /// Signed address; preferred.
    pub download_link: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
}

impl OperatorFile {
    /// Where to fetch it: `downloadLink`, else `link`, without the fragment.
    pub fn address(&self) -> Option<&str> {
        let link = self.download_link.as_deref().or(self.link.as_deref())?;
        link.split('#').next()
    }
}

/// `type` of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    Image,
    Video,
    Audio,
    /// `file` and everything unknown.
    Other,
}

/// An operator's message with a new text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedMessage {
    /// Portal's chat.
    pub im_chat_id: String,
    /// Portal's message.
    pub im_message_id: ImMessageId,
    /// What we reported as delivered for it.
    pub wamids: Vec<Wamid>,
    /// BBCode; may begin with the signature.
    pub text: String,
    /// Our chat.
    pub chat_id: ChatId,
}

/// A removed message; one element for each id that we reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemovedMessage {
    /// Portal's chat.
    pub im_chat_id: String,
    /// Portal's message.
    pub im_message_id: ImMessageId,
    /// What we reported as delivered for it.
    pub wamid: Option<Wamid>,
    /// Our chat.
    pub chat_id: ChatId,
}

/// A dialog's begin or end; the portal's chat id is not in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialog {
    /// Open-line session.
    pub session_id: String,
    /// Our chat.
    pub chat_id: ChatId,
    /// Whether the session is closed.
    pub closed: bool,
}

/// Why a body is not an event.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EventError {
    /// No `event` key.
    #[error("the body names no event")]
    NoName,
    /// A known event without a part that it always has.
    #[error("the event {event} lacks {part}")]
    Missing {
        /// Event's name.
        event: String,
        /// What is missing.
        part: &'static str,
    },
}

impl PortalEvent {
    /// Reads the parsed form (or JSON) of an event.
    pub fn decode(value: &Value) -> Result<Self, EventError> {
        let name = text_at(value, &["event"]).ok_or(EventError::NoName)?.trim().to_uppercase();
        let auth = get(value, "auth").map(read_auth).unwrap_or_default();
        let body = read_body(&name, get(value, "data").unwrap_or(&Value::Null))
            .map_err(|part| EventError::Missing { event: name.clone(), part })?;
        Ok(Self { name, ts: int_at(value, &["ts"]), auth, body })
    }
}

fn read_auth(auth: &Value) -> EventAuth {
    let text = |key| text_at(auth, &[key]);
    let secret = |key| text(key).map(Secret::new);
    EventAuth {
        member_id: text("member_id").map(MemberId::new),
        domain: text("domain"),
        application_token: secret("application_token"),
        access_token: secret("access_token"),
        refresh_token: secret("refresh_token"),
        expires_in: int_at(auth, &["expires_in"]),
        client_endpoint: text("client_endpoint"),
        server_endpoint: text("server_endpoint"),
        user_id: text("user_id"),
        scope: text("scope"),
        status: text("status"),
    }
}

fn read_body(name: &str, data: &Value) -> Result<EventBody, &'static str> {
    let language = || text_at(data, &["language_id"]);
    let version = || text_at(data, &["version"]);
    Ok(match name {
        "ONIMCONNECTORMESSAGEADD" => {
            let (connector, line) = source(data)?;
            let (items, unreadable) = messages(data, operator_message);
            EventBody::MessageAdd { connector, line, items, unreadable }
        }
        "ONIMCONNECTORMESSAGEUPDATE" => {
            let (connector, line) = source(data)?;
            let (items, unreadable) = messages(data, changed_message);
            EventBody::MessageUpdate { connector, line, items, unreadable }
        }
        "ONIMCONNECTORMESSAGEDELETE" => {
            let (connector, line) = source(data)?;
            let (items, unreadable) = messages(data, removed_message);
            EventBody::MessageDelete { connector, line, items, unreadable }
        }
        "ONIMCONNECTORDIALOGSTART" => {
            let (connector, line) = source(data)?;
            EventBody::DialogStart { connector, line, items: dialogs(data) }
        }
        "ONIMCONNECTORDIALOGFINISH" => {
            let (connector, line) = source(data)?;
            EventBody::DialogFinish { connector, line, items: dialogs(data) }
        }
        "ONIMCONNECTORSTATUSDELETE" => {
            let (connector, line) = source(data)?;
            EventBody::StatusDelete { connector, line }
        }
        "ONIMCONNECTORLINEDELETE" => {
            let line = filled(data).or_else(|| text_at(data, &["line"])).or_else(|| texts(data).pop());
            EventBody::LineDelete { line: LineId::new(line.ok_or("the line")?) }
        }
        "ONAPPINSTALL" => EventBody::Install {
            version: version(),
            active: yes_at(data, &["active"]),
            installed: yes_at(data, &["installed"]),
            language: language(),
        },
        "ONAPPUPDATE" => EventBody::Update {
            version: version(),
            previous_version: text_at(data, &["previous_version"]),
            language: language(),
        },
        "ONAPPUNINSTALL" => EventBody::Uninstall { clean: yes_at(data, &["clean"]), language: language() },
        "ONAPPPAYMENT" => EventBody::Payment {
            status: text_at(data, &["status"]),
            expired: yes_at(data, &["payment_expired"]),
            days: int_at(data, &["days"]),
        },
        _ => EventBody::Other,
    })
}

fn source(data: &Value) -> Result<(String, LineId), &'static str> {
    let connector = text_at(data, &["connector"]).ok_or("the connector")?;
    let line = text_at(data, &["line"]).ok_or("the line")?;
    Ok((connector, LineId::new(line)))
}

/// Elements of `MESSAGES` that can be read, and how many cannot.
fn messages<T>(data: &Value, read: impl Fn(&Value) -> Option<T>) -> (Vec<T>, usize) {
    let all = get(data, "messages").map(items).unwrap_or_default();
    let count = all.len();
    let read: Vec<T> = all.into_iter().filter_map(read).collect();
    let unreadable = count - read.len();
    (read, unreadable)
}

fn operator_message(item: &Value) -> Option<OperatorMessage> {
    Some(OperatorMessage {
        im_chat_id: text_at(item, &["im", "chat_id"]).unwrap_or_default(),
        im_message_id: ImMessageId::new(text_at(item, &["im", "message_id"])?),
        user_id: text_at(item, &["message", "user_id"]).unwrap_or_else(|| "0".to_owned()),
        text: text_at(item, &["message", "text"]).unwrap_or_default(),
        files: at(item, &["message", "files"]).map(files).unwrap_or_default(),
        chat_id: ChatId::new(text_at(item, &["chat", "id"])?),
    })
}

fn files(value: &Value) -> Vec<OperatorFile> {
    items(value)
        .into_iter()
        .filter(|file| file.is_object())
        .map(|file| {
            let text = |key| text_at(file, &[key]);
            OperatorFile {
                name: text("name").unwrap_or_default(),
                kind: match text("type").unwrap_or_default().to_ascii_lowercase().as_str() {
                    "image" => FileKind::Image,
                    "video" => FileKind::Video,
                    "audio" => FileKind::Audio,
                    _ => FileKind::Other,
                },
                mime: text("mime").unwrap_or_default(),
                link: text("link"),
                download_link: text("downloadLink"),
                size: int_at(file, &["size"]).and_then(|size| u64::try_from(size).ok()),
            }
        })
        .collect()
}

fn changed_message(item: &Value) -> Option<ChangedMessage> {
    let wamids = at(item, &["message", "id"]).map(texts).unwrap_or_default();
    Some(ChangedMessage {
        im_chat_id: text_at(item, &["im", "chat_id"]).unwrap_or_default(),
        im_message_id: ImMessageId::new(text_at(item, &["im", "message_id"])?),
        wamids: wamids.into_iter().map(Wamid::new).collect(),
        text: text_at(item, &["message", "text"]).unwrap_or_default(),
        chat_id: ChatId::new(text_at(item, &["chat", "id"])?),
    })
}

fn removed_message(item: &Value) -> Option<RemovedMessage> {
    let wamid = at(item, &["message", "id"]).and_then(|id| texts(id).into_iter().next());
    Some(RemovedMessage {
        im_chat_id: text_at(item, &["im", "chat_id"]).unwrap_or_default(),
        im_message_id: ImMessageId::new(text_at(item, &["im", "message_id"])?),
        wamid: wamid.map(Wamid::new),
        chat_id: ChatId::new(text_at(item, &["chat", "id"])?),
    })
}

fn dialogs(data: &Value) -> Vec<Dialog> {
    let read = |item: &Value| {
        let chat = text_at(item, &["chat", "id"]).or_else(|| text_at(item, &["connector", "chat_id"]))?;
        Some(Dialog {
            session_id: text_at(item, &["session", "id"])?,
            chat_id: ChatId::new(chat),
            closed: yes_at(item, &["session", "closed"]),
        })
    };
    get(data, "data").map(items).unwrap_or_default().into_iter().filter_map(read).collect()
}

#[cfg(test)]
#[path = "event/tests.rs"]
mod tests;
