//! The kinds of jobs and their payloads, tagged and versioned, since they outlive the binary that wrote them.

use serde::{Deserialize, Serialize};

use crate::domain::{CallId, ChatId, PhoneKey, PortalId};
use crate::store::jobs::NewJob;

/// Which workers take a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Class {
    /// To the portal, by the courier of a phone's line.
    Line,
    /// To WhatsApp.
    Send,
    /// Files from WhatsApp.
    Media,
    /// Cards of calls in the CRM.
    Call,
    /// To the portal beside its lines: what became of the CRM's messages.
    Portal,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Line, Self::Send, Self::Media, Self::Call, Self::Portal];

    fn prefix(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Send => "send",
            Self::Media => "media",
            Self::Call => "call",
            Self::Portal => "portal",
        }
    }

    /// The queue of a phone in this class.
    pub fn queue(self, phone: &PhoneKey) -> String {
        format!("{}:{phone}", self.prefix())
    }

    /// The queue of what a portal is told beside its lines.
    pub fn portal_queue(portal: &PortalId) -> String {
        format!("{}:{portal}", Self::Portal.prefix())
    }

    /// Class and owner of a queue's name: our id of a phone, or of a portal.
    pub fn of_queue(queue: &str) -> Option<(Self, &str)> {
        let (prefix, owner) = queue.split_once(':')?;
        let class = Self::ALL.into_iter().find(|class| class.prefix() == prefix)?;
        Some((class, owner))
    }
}

/// What a job does; its name in the database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A contact's message, edit or echo goes into the line.
    Message,
    /// A contact's message that bears a file.
    File,
    /// A system note goes into the line.
    Note,
    /// A contact's edit goes into the line.
    Update,
    /// A contact's revocation goes into the line.
    Delete,
    /// The portal is told that Meta accepted an operator's message.
    Acknowledge,
    /// An operator's message goes to WhatsApp.
    Send,
    /// A contact's file is fetched from Meta.
    Fetch,
    /// The last inbound message is marked read.
    MarkRead,
    /// A call's card opens in the CRM.
    CallRegister,
    /// A call's card goes to whoever answered.
    CallAnswered,
    /// A call's card ends.
    CallFinish,
    /// A message of the CRM goes to WhatsApp.
    Sms,
    /// The portal is told how far a message of its CRM has come.
    SmsStatus,
    /// A comment goes into the CRM's timeline.
    Comment,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Message,
        Self::File,
        Self::Note,
        Self::Update,
        Self::Delete,
        Self::Acknowledge,
        Self::Send,
        Self::Fetch,
        Self::MarkRead,
        Self::CallRegister,
        Self::CallAnswered,
        Self::CallFinish,
        Self::Sms,
        Self::SmsStatus,
        Self::Comment,
    ];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::File => "file",
            Self::Note => "note",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Acknowledge => "acknowledge",
            Self::Send => "send",
            Self::Fetch => "fetch",
            Self::MarkRead => "mark_read",
            Self::CallRegister => "call_register",
            Self::CallAnswered => "call_answered",
            Self::CallFinish => "call_finish",
            Self::Sms => "sms",
            Self::SmsStatus => "sms_status",
            Self::Comment => "comment",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What goes first of a queue, the lowest before all: people wait for what people write, and a robot writes
    /// to thousands; and a state of a message is waited for, a comment is not.
    pub fn rank(self) -> u8 {
        u8::from(matches!(self, Self::Sms | Self::Comment))
    }

    /// Whether it takes a place where the other side takes only so many messages a second.
    pub fn is_paced(self) -> bool {
        matches!(self, Self::Send | Self::Sms)
    }

    /// Jobs of one family may travel in one call.
    pub fn family(self) -> Self {
        match self {
            Self::Message | Self::File | Self::Note => Self::Message,
            other => other,
        }
    }
}

/// A job's payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Relays the message named by the job's `message_id`.
    Relay {
        /// Its thread.
        chat_id: String,
        /// Whether the message itself went already and only its late file follows.
        #[serde(default)]
        late_file: bool,
        /// Whether the portal failed to take its file, so that it goes as a link.
        #[serde(default)]
        as_link: bool,
    },
    /// Posts a system note.
    Note {
        /// The thread.
        chat_id: String,
        /// BBCode.
        text: String,
    },
    /// Shows in the line, as a system note, what the customer saw of the template that the job's
    /// `message_id` names.
    Show {
        /// The thread.
        chat_id: String,
        /// Whether the portal failed to take its file, so that it goes as a link.
        #[serde(default)]
        as_link: bool,
    },
    /// Tells the portal that Meta accepted an operator's message.
    Acknowledge {
        /// The thread.
        chat_id: String,
        /// Our id of the portal.
        portal_id: String,
        /// The portal's id of the chat.
        im_chat_id: String,
        /// The portal's id of the message.
        im_message_id: String,
    },
    /// Sends an operator's message; its parts are rows of the ledger that name this job.
    Send {
        /// The thread.
        chat_id: String,
        /// The operator's message as the portal sent it.
        item: OperatorItem,
    },
    /// Sends a part that Meta refused after all in another form.
    Fallback {
        /// The thread.
        chat_id: String,
        /// Our id of the message that failed.
        failed_id: String,
    },
    /// Fetches the file of the message named by the job's `message_id`.
    Fetch {
        /// The thread.
        chat_id: String,
    },
    /// Marks an inbound message read.
    MarkRead {
        /// Meta's id of the message.
        wamid: String,
    },
    /// Tells the CRM of a call; what exactly is the job's kind.
    Card {
        /// Our id of the call.
        call_id: String,
    },
    /// Sends a message of the CRM; the request names this job.
    Sms {
        /// The thread.
        chat_id: String,
    },
    /// Tells the portal how far a message of its CRM has come.
    SmsStatus {
        /// Our id of the request.
        request_id: String,
    },
    /// Comments on an object of the CRM.
    Comment {
        /// `lead`, `deal`, `contact` or `company`.
        owner: String,
        /// Its number.
        owner_id: u64,
        /// BBCode.
        text: String,
        /// A file that belongs to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob_id: Option<String>,
    },
}

/// An operator's message, as far as sending it needs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OperatorItem {
    /// Our id of the portal.
    pub portal_id: String,
    /// The portal's id of the chat.
    pub im_chat_id: String,
    /// The portal's id of the message.
    pub im_message_id: String,
    /// Text with the portal's markup.
    pub text: String,
    /// Files.
    #[serde(default)]
    pub files: Vec<OperatorFile>,
    /// Number of its first part in the ledger, if earlier ones were sent and refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_part: i32,
}

/// By reference, as serde wants it.
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A file of an operator's message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OperatorFile {
    /// Its name.
    pub name: String,
    /// The portal's kind: `image`, `video`, `audio`, `file`.
    pub kind: String,
    /// Declared type.
    pub mime: String,
    /// Where it may be fetched, best first.
    pub links: Vec<String>,
    /// Declared size in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// It is here already, while another file of the message is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<FileHere>,
}

/// An operator's file that was fetched in an earlier run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FileHere {
    /// Its file on disk.
    pub blob_id: String,
    /// The form in which it goes.
    pub send_as: String,
}

#[derive(Serialize, Deserialize)]
struct Versioned {
    v: u32,
    #[serde(flatten)]
    job: Job,
}

impl Job {
    /// The stored form.
    pub fn to_json(&self) -> String {
        // A payload is plain data with text keys: writing it as JSON cannot fail.
        serde_json::to_string(&Versioned { v: 1, job: self.clone() }).unwrap_or_default()
    }

    /// Reads the stored form.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Versioned>(text).map(|versioned| versioned.job)
    }
}

/// The lane into the line of a chat.
pub fn lane_in(chat: &ChatId) -> String {
    format!("in:{chat}")
}

/// The lane to the contact of a chat.
pub fn lane_out(chat: &ChatId) -> String {
    format!("out:{chat}")
}

/// The lane of a call's card: it opens before it ends.
pub fn lane_call(call: &CallId) -> String {
    format!("call:{call}")
}

/// A job on the card of a call; each kind once.
pub fn card(kind: Kind, phone: &PhoneKey, call: &CallId) -> NewJob {
    NewJob {
        kind: kind.as_str(),
        queue: Class::Call.queue(phone),
        lane: lane_call(call),
        dedupe_key: Some(format!("{}:{call}", kind.as_str())),
        payload: Job::Card { call_id: call.to_string() }.to_json(),
        message_id: None,
        not_before: None,
    }
}

/// A job into the line of a chat.
pub fn to_line(kind: Kind, phone: &PhoneKey, chat: &ChatId, message_id: Option<String>, job: &Job) -> NewJob {
    NewJob {
        kind: kind.as_str(),
        queue: Class::Line.queue(phone),
        lane: lane_in(chat),
        dedupe_key: None,
        payload: job.to_json(),
        message_id,
        not_before: None,
    }
}

/// A system note into the line of a chat; `key` keeps it from being said twice.
pub fn note(phone: &PhoneKey, chat: &ChatId, key: &str, text: String) -> NewJob {
    let job = Job::Note { chat_id: chat.to_string(), text };
    NewJob { dedupe_key: Some(format!("note:{key}")), ..to_line(Kind::Note, phone, chat, None, &job) }
}

/// What the customer saw of a template, into the line of a chat.
pub fn show(phone: &PhoneKey, chat: &ChatId, message_id: &str, has_file: bool) -> NewJob {
    let job = Job::Show { chat_id: chat.to_string(), as_link: false };
    let kind = if has_file { Kind::File } else { Kind::Note };
    NewJob {
        dedupe_key: Some(format!("show:{message_id}")),
        ..to_line(kind, phone, chat, Some(message_id.to_owned()), &job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_tagged_and_versioned() {
        let job = Job::Note { chat_id: "c1".into(), text: "x".into() };
        assert_eq!(job.to_json(), r#"{"v":1,"kind":"note","chat_id":"c1","text":"x"}"#);
        assert_eq!(Job::from_json(&job.to_json()).unwrap(), job);
    }

    #[test]
    fn every_kind_has_one_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }
}
