//! The operator's side: writing, changing, closing, and what the lines' settings do (bitrix24 facts §4).

use std::sync::Arc;

use serde_json::{Map, Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::events::Event;
use super::messages::tell_session;
use super::outgoing::{send_out, signature};
use super::state::{ADMIN, Author, LineEntry, LineFile, OPERATOR, State, StoredFile};
use super::text::shown_text;
use super::{Inner, SimPortal};

/// A file that an operator attaches.
#[derive(Clone, Debug)]
pub struct SimFile {
    /// File name with extension.
    pub name: String,
    /// Content type.
    pub mime: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// One of several messages that leave in one event.
#[derive(Clone, Debug, Default)]
pub struct OperatorMessage {
    /// The chat's id in the connector's world.
    pub external_chat_id: String,
    /// Text with BBCode.
    pub text: String,
    /// Attachments.
    pub files: Vec<SimFile>,
}

/// Why the portal would not let the operator do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SimError {
    /// No such chat on the line.
    #[error("no chat {chat} on line {line}")]
    NoChat {
        /// The line's id.
        line: String,
        /// The external chat id.
        chat: String,
    },
    /// No such message.
    #[error("no message {0}")]
    NoMessage(String),
    /// The line or the connector on it does not work: the operator sees an error.
    #[error("line {0} does not work")]
    LineDown(String),
    /// The connector was registered without this ability, so the menu does not offer it.
    #[error("the connector does not offer it")]
    NotOffered,
}

impl SimPortal {
    /// The operator writes into a chat; gives the portal's message id.
    ///
    /// # Errors
    /// [`SimError::NoChat`], [`SimError::LineDown`].
    pub fn operator_writes(
        &self,
        line: &str,
        external_chat_id: &str,
        text: &str,
        files: Vec<SimFile>,
    ) -> Result<String, SimError> {
        let message =
            OperatorMessage { external_chat_id: external_chat_id.to_owned(), text: text.to_owned(), files };
        let ids = self.operator_writes_many(line, vec![message])?;
        ids.into_iter().next().ok_or_else(|| SimError::NoMessage(String::new()))
    }

    /// Several messages that the portal puts as items into one event.
    ///
    /// # Errors
    /// As [`Self::operator_writes`]; then nothing is written.
    pub fn operator_writes_many(
        &self,
        line: &str,
        messages: Vec<OperatorMessage>,
    ) -> Result<Vec<String>, SimError> {
        let ids = {
            let mut state = self.inner.state();
            let mut chats = Vec::new();
            for message in &messages {
                chats.push(working_chat(&state, line, &message.external_chat_id)?);
            }
            let mut ids = Vec::new();
            for (message, chat) in messages.into_iter().zip(chats) {
                let files = message.files.into_iter().map(|file| self.inner.kept(file)).collect();
                let entry = self.inner.entry(Author::Operator, OPERATOR, &message.text, files);
                ids.extend(state.add_entry(chat, entry));
            }
            send_out(&self.inner, &mut state, OPERATOR, &ids);
            ids
        };
        self.inner.changed();
        Ok(ids.into_iter().map(|id| id.to_string()).collect())
    }

    /// An automatic message (welcome, off-hours, vote): `user_id` 0, no tokens, sent only if the connector
    /// was registered with `NEED_SYSTEM_MESSAGES`.
    ///
    /// # Errors
    /// As [`Self::operator_writes`].
    pub fn automatic_message(
        &self,
        line: &str,
        external_chat_id: &str,
        text: &str,
    ) -> Result<String, SimError> {
        let id = {
            let mut state = self.inner.state();
            let chat = working_chat(&state, line, external_chat_id)?;
            let wanted = state.chats.get(&chat).and_then(|chat| state.connectors.get(&chat.connector));
            let wanted = wanted.is_some_and(|connector| connector.flag("NEED_SYSTEM_MESSAGES"));
            let mut entry = self.inner.entry(Author::System, 0, text, Vec::new());
            entry.sending = wanted;
            let id = state.add_entry(chat, entry).unwrap_or(0);
            if wanted {
                send_out(&self.inner, &mut state, 0, &[id]);
            }
            id
        };
        self.inner.changed();
        Ok(id.to_string())
    }

    /// The operator writes in silent mode: stays in the portal.
    ///
    /// # Errors
    /// As [`Self::operator_writes`].
    pub fn operator_whispers(&self, line: &str, chat: &str, text: &str) -> Result<String, SimError> {
        let mut state = self.inner.state();
        let chat = working_chat(&state, line, chat)?;
        let mut entry = self.inner.entry(Author::Operator, OPERATOR, text, Vec::new());
        entry.sending = false;
        Ok(state.add_entry(chat, entry).unwrap_or(0).to_string())
    }

    /// The operator changes a text. Told to the connector only when it knows the message (`CONNECTOR_MID`).
    ///
    /// # Errors
    /// [`SimError::NotOffered`] when registered without `EDIT_INTERNAL_MESSAGES`; [`SimError::NoMessage`].
    pub fn edit_message(&self, im_message_id: &str, text: &str) -> Result<(), SimError> {
        {
            let mut state = self.inner.state();
            let known = known_message(&state, im_message_id, "EDIT_INTERNAL_MESSAGES")?;
            if let Some(entry) = state.entry_mut(known.id) {
                entry.text = shown_text(text);
                entry.edited = true;
            }
            if !known.mids.is_empty() {
                let prefix = signature(&state, &known.connector, known.line, OPERATOR);
                let prefix = prefix.map(|name| format!("[b]{name}:[/b][br] ")).unwrap_or_default();
                let message = json!({"id": known.mids, "text": format!("{prefix}{text}")});
                let items = vec![known.item(message)];
                self.inner.tell(&mut state, "ONIMCONNECTORMESSAGEUPDATE", &known, items);
            }
        }
        self.inner.changed();
        Ok(())
    }

    /// The operator removes a message: one item per external id, each id a string.
    ///
    /// # Errors
    /// [`SimError::NotOffered`] when registered without `DEL_INTERNAL_MESSAGES`; [`SimError::NoMessage`].
    pub fn delete_message(&self, im_message_id: &str) -> Result<(), SimError> {
        {
            let mut state = self.inner.state();
            let known = known_message(&state, im_message_id, "DEL_INTERNAL_MESSAGES")?;
            if let Some(entry) = state.entry_mut(known.id) {
                entry.deleted = true;
            }
            let items: Vec<_> = known.mids.iter().map(|mid| known.item(json!({"id": mid}))).collect();
            if !items.is_empty() {
                self.inner.tell(&mut state, "ONIMCONNECTORMESSAGEDELETE", &known, items);
            }
        }
        self.inner.changed();
        Ok(())
    }

    /// The operator finishes the dialog; the client's next message opens a new session.
    ///
    /// # Errors
    /// [`SimError::NoChat`].
    pub fn finish_dialog(&self, line: &str, external_chat_id: &str) -> Result<(), SimError> {
        {
            let mut state = self.inner.state();
            let chat = chat_id(&state, line, external_chat_id)?;
            let session = state.chats.get_mut(&chat).and_then(|chat| chat.sessions.last_mut());
            if let Some(session) = session.filter(|session| session.open) {
                session.open = false;
                tell_session(&self.inner, &mut state, "ONIMCONNECTORDIALOGFINISH", chat, Some(OPERATOR));
            }
        }
        self.inner.changed();
        Ok(())
    }

    /// An administrator adds a line; gives its id.
    pub fn add_line(&self, name: &str) -> String {
        let fields = Map::from_iter([("LINE_NAME".to_owned(), json!(name))]);
        let id = self.inner.state().add_line(fields);
        self.inner.changed();
        id.to_string()
    }

    /// An administrator changes a setting of a line, such as `ACTIVE` or `OPERATOR_DATA`.
    pub fn set_line(&self, line: &str, field: &str, value: &str) {
        if let Ok(id) = line.parse::<u64>()
            && let Some(line) = self.inner.state().lines.get_mut(&id)
        {
            line.fields.insert(field.to_owned(), json!(value));
        }
        self.inner.changed();
    }

    /// An administrator deletes a line: every application hears `ONIMCONNECTORLINEDELETE`.
    pub fn delete_line(&self, line: &str) -> bool {
        let deleted = line.parse().is_ok_and(|id| self.inner.remove_line(id, Some(ADMIN)));
        self.inner.changed();
        deleted
    }

    /// An administrator switches the connector off on a line: `ONIMCONNECTORSTATUSDELETE`.
    pub fn disconnect(&self, connector: &str, line: &str) {
        if let Ok(line) = line.parse() {
            let mut state = self.inner.state();
            super::imconnector::disconnect(&self.inner, &mut state, connector, line, Some(ADMIN));
        }
        self.inner.changed();
    }
}

/// A quote as the portal writes it into the text: two lines of 54 hyphens around it, the reply below.
pub fn quote(author: &str, date: &str, context: Option<&str>, quoted: &str, reply: &str) -> String {
    let frame = "-".repeat(54);
    let context = context.map(|context| format!(" #{context}")).unwrap_or_default();
    format!("{frame}\n{author} [{date}]{context}\n{quoted}\n{frame}\n{reply}")
}

fn chat_id(state: &State, line: &str, external: &str) -> Result<u64, SimError> {
    let missing = || SimError::NoChat { line: line.to_owned(), chat: external.to_owned() };
    let id = line.parse().map_err(|_| missing())?;
    state.chat_by_external(id, external).map(|chat| chat.id).ok_or_else(missing)
}

fn working_chat(state: &State, line: &str, external: &str) -> Result<u64, SimError> {
    let id = chat_id(state, line, external)?;
    let works = state.chats.get(&id).is_some_and(|chat| state.line_works(&chat.connector, chat.line));
    if works { Ok(id) } else { Err(SimError::LineDown(line.to_owned())) }
}

struct Known {
    id: u64,
    chat: u64,
    external: String,
    connector: String,
    line: u64,
    code: String,
    mids: Vec<String>,
}

impl Known {
    fn item(&self, message: Value) -> Value {
        json!({"im": {"chat_id": self.chat, "message_id": self.id}, "message": message,
               "chat": {"id": self.external}})
    }
}

fn known_message(state: &State, im_message_id: &str, flag: &str) -> Result<Known, SimError> {
    let missing = || SimError::NoMessage(im_message_id.to_owned());
    let id: u64 = im_message_id.parse().map_err(|_| missing())?;
    let &(chat, index) = state.entry_of.get(&id).ok_or_else(missing)?;
    let chat = state.chats.get(&chat).ok_or_else(missing)?;
    let entry = chat.entries.get(index).filter(|entry| entry.author == Author::Operator);
    let mids = entry.ok_or_else(missing)?.connector_mids.clone();
    if !state.connectors.get(&chat.connector).is_some_and(|connector| connector.flag(flag)) {
        return Err(SimError::NotOffered);
    }
    Ok(Known {
        id,
        chat: chat.id,
        external: chat.external_id.clone(),
        connector: chat.connector.clone(),
        line: chat.line,
        code: chat.code.clone(),
        mids,
    })
}

impl Inner {
    fn entry(&self, author: Author, author_id: u64, text: &str, files: Vec<LineFile>) -> LineEntry {
        LineEntry {
            im_message_id: String::new(),
            author,
            author_id,
            text: shown_text(text),
            files,
            connector_mids: Vec::new(),
            sending: true,
            deleted: false,
            edited: false,
            event_answered: false,
            at: self.options.clock.now(),
        }
    }

    /// Operators' files are kept even when quiet: the bridge still has to fetch them.
    fn kept(&self, file: SimFile) -> LineFile {
        LineFile { name: file.name, mime: file.mime, size: file.bytes.len(), bytes: Arc::from(file.bytes) }
    }

    fn tell(&self, state: &mut State, name: &str, known: &Known, items: Vec<Value>) {
        let owner = state.connectors.get(&known.connector).map(|connector| connector.client_id.clone());
        let event = Event {
            name,
            client_id: owner.as_deref(),
            data: json!({"CONNECTOR": known.connector, "LINE": known.line, "MESSAGES": items}),
            user: Some(OPERATOR),
            lane: &known.code,
            messages: Vec::new(),
        };
        self.queue(state, event);
    }

    pub(super) fn remove_line(&self, line: u64, user: Option<u64>) -> bool {
        let mut state = self.state();
        let existed = state.lines.remove(&line).is_some();
        if existed {
            state.statuses.retain(|(_, on), _| *on != line);
            let event = Event {
                name: "ONIMCONNECTORLINEDELETE",
                client_id: None,
                data: json!(line.to_string()),
                user,
                lane: "",
                messages: Vec::new(),
            };
            self.queue(&mut state, event);
        }
        existed
    }
}

impl State {
    /// Puts a file under a signed address; gives its id.
    pub(super) fn store_file(&mut self, file: LineFile) -> u64 {
        let id = self.new_id();
        let sign = Uuid::new_v4().simple().to_string();
        let short = sign.chars().take(7).collect();
        self.files.insert(id, StoredFile { file, sign, short });
        id
    }
}
