//! Turns stored messages into what `imconnector.send.messages` takes.

use super::fetch::media_of;
use super::loaded::Loaded;
use super::parts::{self, Form, Part};
use super::{Relay, changes};
use crate::bitrix::imconnector::{LineChat, LineFile, LineMessage, OutMessage, UserObject};
use crate::directory::Portal;
use crate::domain::{ChatId, Direction, Language};
use crate::media::name::portal_name;
use crate::queue::job::Job;
use crate::store::messages::MessageRow;
use crate::translate::person::{PersonName, person_name};
use crate::translate::to_line::{self, Action, EchoOf, Known, LineItem, MediaKind, Quoted};
use crate::translate::{reconstruction, sms_notes, split};
use crate::whatsapp::message::{Content, WireMessage};

/// What goes to the portal for one job.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// The messages, in order; more than one where a text is longer than the portal takes.
    pub(super) messages: Vec<LineMessage>,
    /// Readable text for the ledger, in WhatsApp's markup.
    pub(super) summary: Option<String>,
    /// Hash of the media link that must be stored before the call.
    pub(super) link: Option<(String, String)>,
    /// Texts that the portal will send back to us, since they are posted on behalf of a user.
    pub(super) echoes: Vec<String>,
    /// The message went without its file.
    pub(super) without_file: bool,
    /// As how many messages its text is shown.
    pub(super) parts: usize,
}

impl Relay {
    /// Prepares one job for the line.
    pub(super) fn prepare(&self, loaded: &Loaded, portal: &Portal) -> Prepared {
        let language = portal.language;
        let job_id = &loaded.running.row.id;
        match (&loaded.job, &loaded.message) {
            (Job::Note { text, .. }, _) => Prepared {
                messages: vec![self.line_message(
                    loaded,
                    format!("note.{job_id}"),
                    text.clone(),
                    vec![],
                    Some(0),
                )],
                summary: None,
                link: None,
                echoes: Vec::new(),
                without_file: false,
                parts: 1,
            },
            (Job::Show { .. }, Some(message)) => self.prepare_template(loaded, message, language),
            (Job::Relay { late_file, .. }, Some(message)) => {
                self.prepare_relay(loaded, message, *late_file, portal, language)
            }
            _ => Prepared {
                messages: vec![],
                summary: None,
                link: None,
                echoes: Vec::new(),
                without_file: false,
                parts: 1,
            },
        }
    }

    /// What the customer saw of a template: a system note, which the portal does not send back.
    fn prepare_template(&self, loaded: &Loaded, message: &MessageRow, language: Language) -> Prepared {
        let (text, kind) = match Part::from_json(&message.payload).map(|part| part.form) {
            Ok(Form::Template { template, values, .. }) => {
                let kind = reconstruction::header_kind(&template).filter(|_| loaded.blob.is_some());
                (reconstruction::bbcode(&template, &values, language), kind)
            }
            _ => {
                let name = parts::template_name(&message.payload).unwrap_or_else(|| message.kind.clone());
                (reconstruction::unknown(&name, language), None)
            }
        };
        // What no operator wrote came from the CRM.
        let text = match &message.im_message_id {
            Some(_) => text,
            None => format!("{}\n{text}", sms_notes::head_in_line(language)),
        };
        let (mut text, mut files, mut link) = (text, vec![], None);
        if let Some(kind) = kind {
            match self.file(loaded, kind, &text, language) {
                FileForm::File { url, name, hash, blob } => {
                    files = vec![LineFile { url, name }];
                    link = Some((hash, blob));
                }
                FileForm::Text { text: instead, link: stored, .. } => (text, link) = (instead, stored),
            }
        }
        // What the portal could not pull comes once more, with a link.
        let again = if matches!(loaded.job, Job::Show { as_link: true, .. }) { "#link" } else { "" };
        let id = format!("template.{}{again}", message.id);
        let mut parts = split::lines_for_line(text).into_iter();
        let first = self.line_message(loaded, id.clone(), parts.next().unwrap_or_default(), files, Some(0));
        let more = parts.enumerate().map(|(index, text)| {
            self.line_message(loaded, format!("{id}#{}", index + 2), text, vec![], Some(0))
        });
        Prepared {
            messages: std::iter::once(first).chain(more).collect(),
            summary: None,
            link,
            echoes: Vec::new(),
            without_file: false,
            parts: 1,
        }
    }

    fn prepare_relay(
        &self,
        loaded: &Loaded,
        message: &MessageRow,
        late_file: bool,
        portal: &Portal,
        language: Language,
    ) -> Prepared {
        let wire = WireMessage::parse(&message.payload).ok();
        let item = wire.as_ref().map_or_else(
            || placeholder(message),
            |wire| {
                let known = Known {
                    quoted: self.quoted_of(loaded, wire),
                    template: tapped_template(loaded),
                    utc_offset: None,
                };
                match message.direction.as_str() {
                    "outbound" => {
                        let source = if wire.standby { EchoOf::MetaAgent } else { EchoOf::PhoneApp };
                        to_line::echo(wire, &known, source, language)
                    }
                    _ => to_line::message(wire, &known, language),
                }
            },
        );
        let kind = item.media.as_ref().map(|media| media.kind);
        let (mut text, mut files, mut link) = (item.text.clone(), Vec::new(), None);
        let mut without_file = false;
        // What it says is in the line already: with the message itself, or as its edit.
        let is_said = late_file || loaded.newer_text().is_some();
        if let (Some(kind), Some(_)) = (kind, wire.as_ref().and_then(|wire| media_of(&wire.content))) {
            let beside = if is_said { "" } else { item.text.as_str() };
            match self.file(loaded, kind, beside, language) {
                FileForm::File { url, name, hash, blob } => {
                    text = beside.to_owned();
                    files = vec![LineFile { url, name }];
                    link = Some((hash, blob));
                }
                FileForm::Text { text: instead, link: stored, missing } => {
                    text = instead;
                    link = stored;
                    without_file = missing;
                }
            }
        }
        let author = self.author(&item, message, portal, loaded);
        let messages = self.numbered(loaded, message, text, files, &item, author);
        let echoes = match author {
            None | Some(0) => Vec::new(),
            Some(_) => messages.iter().map(|message| message.message.text.clone()).collect(),
        };
        let summary = wire.map(|wire| match &wire.content {
            Content::Text { body } => body.clone(),
            content => to_line::summary(content, language),
        });
        let parts = 1 + item.more.len();
        Prepared { messages, summary, link, echoes, without_file, parts }
    }

    /// The messages of one item: each under an id that is found again from the ledger, see [`changes::line_ids`].
    fn numbered(
        &self,
        loaded: &Loaded,
        message: &MessageRow,
        text: String,
        files: Vec<LineFile>,
        item: &LineItem,
        author: Option<i64>,
    ) -> Vec<LineMessage> {
        let own = message.wamid.as_deref().unwrap_or(&message.id);
        if loaded.is_rest() && !loaded.is_rest_of_edit() {
            let id = changes::file_id(own, message.media_state.as_deref() != Some("failed"));
            return vec![self.line_message(loaded, id, text, files, author)];
        }
        let (wamid, already) = match loaded.original.as_ref().filter(|_| loaded.is_rest_of_edit()) {
            Some(original) => {
                let shown = usize::try_from(original.line_parts).unwrap_or(1);
                (original.wamid.as_deref().unwrap_or(own), shown)
            }
            None => (own, 0),
        };
        let mut files = Some(files);
        let parts = std::iter::once(text).chain(item.more.iter().cloned()).enumerate().skip(already);
        let number = |(index, text)| {
            let (id, files) = (changes::part_id(wamid, index + 1), files.take().unwrap_or_default());
            self.line_message(loaded, id, text, files, author)
        };
        parts.map(number).collect()
    }

    /// Whose message it is at the portal: the client's own, a system note (0), or a portal user's, for what
    /// the business wrote elsewhere.
    fn author(&self, item: &LineItem, message: &MessageRow, portal: &Portal, loaded: &Loaded) -> Option<i64> {
        if message.direction == Direction::Outbound.as_str() {
            let phone = self.directory.now();
            let crm_user = phone
                .phone(&crate::domain::PhoneKey::from(loaded.chat.phone_id.as_str()))
                .and_then(|phone| phone.row.crm_user_id.clone());
            let user = crm_user.as_deref().unwrap_or(&portal.row.user_id);
            return Some(user.parse().unwrap_or(0));
        }
        item.is_note.then_some(0)
    }

    /// The message that is answered, under the name that the customer sees at it.
    fn quoted_of(&self, loaded: &Loaded, wire: &WireMessage) -> Quoted {
        let Some(_) = wire.refers_to() else { return Quoted::None };
        let Some(row) = &loaded.quoted else { return Quoted::Unknown };
        let author = match row.direction.as_str() {
            "inbound" => {
                let name = person_name(Some(&loaded.person.name), loaded.person.username.as_deref());
                format!("{} {}", name.name, name.last_name).trim().to_owned()
            }
            _ => self.business_name(&loaded.chat.phone_id),
        };
        Quoted::Known { author, text: row.body.clone(), when: Some(row.created_at.and_utc()) }
    }

    /// The phone's verified name at Meta, else its number.
    fn business_name(&self, phone_id: &str) -> String {
        let snapshot = self.directory.now();
        let row = snapshot.phone(&crate::domain::PhoneKey::from(phone_id)).map(|phone| &phone.row);
        row.map_or_else(String::new, |row| match row.display_name.trim() {
            "" => format!("+{}", row.phone_number),
            name => name.to_owned(),
        })
    }

    fn file(&self, loaded: &Loaded, kind: MediaKind, beside: &str, language: Language) -> FileForm {
        let with = |line: String| if beside.is_empty() { line } else { format!("{beside}\n{line}") };
        let message = loaded.message.as_ref();
        match (message.and_then(|message| message.media_state.as_deref()), &loaded.blob) {
            (Some("stored"), Some(blob)) => {
                let Some((url, hash)) = self.media_link(&blob.name) else {
                    let text = with(to_line::file_failed(kind, language));
                    return FileForm::Text { text, link: None, missing: false };
                };
                // What the portal could not pull as a file follows as a link.
                if matches!(loaded.job, Job::Relay { as_link: true, .. } | Job::Show { as_link: true, .. }) {
                    let text = with(to_line::file_as_link(&blob.name, &url, language));
                    return FileForm::Text { text, link: Some((hash, blob.id.clone())), missing: false };
                }
                FileForm::File { url, name: portal_name(&blob.name), hash, blob: blob.id.clone() }
            }
            (Some("failed" | "gone"), _) => FileForm::Text {
                text: with(to_line::file_failed(kind, language)),
                link: None,
                missing: false,
            },
            _ => FileForm::Text {
                text: with(to_line::file_on_its_way(kind, language)),
                link: None,
                missing: true,
            },
        }
    }

    fn line_message(
        &self,
        loaded: &Loaded,
        id: String,
        text: String,
        files: Vec<LineFile>,
        author: Option<i64>,
    ) -> LineMessage {
        let date = loaded.message.as_ref().map(|message| message.created_at.and_utc().timestamp());
        LineMessage {
            user: user_of(loaded),
            message: OutMessage { id, date, text, files, disable_crm: false, user_id: author },
            chat: LineChat::new(ChatId::from(loaded.chat.name())),
        }
    }
}

enum FileForm {
    File { url: String, name: String, hash: String, blob: String },
    Text { text: String, link: Option<(String, String)>, missing: bool },
}

fn placeholder(message: &MessageRow) -> LineItem {
    LineItem {
        text: format!("[i]{}[/i]", crate::translate::markup::neutralise(&message.kind)),
        more: vec![],
        media: None,
        action: Action::New,
        is_note: false,
    }
}

/// The `user` object: as it was first sent, to the byte; the portal rewrites the client's profile on any change.
/// Only the placeholder of somebody to whom the CRM wrote first gives way, once, to the name of whoever answers.
pub(super) fn user_of(loaded: &Loaded) -> UserObject {
    let name = person_name(Some(&loaded.person.name), loaded.person.username.as_deref());
    let named = |user: UserObject, name: PersonName| UserObject {
        name: Some(name.name),
        last_name: Some(name.last_name).filter(|name| !name.is_empty()),
        ..user
    };
    let placeholder = person_name(None, None);
    let stored: Option<UserObject> =
        loaded.chat.portal_user.as_deref().and_then(|json| serde_json::from_str(json).ok());
    if let Some(stored) = stored {
        let is_placeholder = stored == named(stored.clone(), placeholder.clone());
        return if is_placeholder && name != placeholder { named(stored, name) } else { stored };
    }
    let user = named(UserObject { id: loaded.chat.name().to_owned(), ..UserObject::default() }, name);
    match &loaded.person.wa_id {
        Some(wa_id) => user.with_phone(format!("+{wa_id}")),
        None => user,
    }
}

/// The template whose button was tapped.
fn tapped_template(loaded: &Loaded) -> Option<String> {
    let row = loaded.quoted.as_ref().filter(|row| row.kind == "template")?;
    match Part::from_json(&row.payload).ok()?.form {
        Form::Template { template, .. } => Some(template.name),
        _ => None,
    }
}
