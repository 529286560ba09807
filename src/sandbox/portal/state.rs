//! What the simulated portal remembers: apps, tokens, users, lines, connectors, chats and files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::faults::{Dice, FaultKind, Faults};
use super::limits::{Bucket, Operating};
use super::telephony::{Call, Entity, PhoneLine};

/// The administrator of every simulated portal.
pub const ADMIN: u64 = 1;
/// The operator of every simulated portal; no administrator.
pub const OPERATOR: u64 = 27;

/// How many calls are remembered for [`super::SimPortal::calls`].
const CALLS_KEPT: usize = 5_000;

#[derive(Debug)]
pub(super) struct App {
    pub(super) client_secret: String,
    pub(super) handler_url: String,
    pub(super) install_url: String,
    pub(super) ui: bool,
    pub(super) scopes: Vec<String>,
    pub(super) application_token: String,
    pub(super) installed: bool,
    /// `BX24.installFinish()` was called, or the application has no UI.
    pub(super) finished: bool,
}

impl App {
    pub(super) fn live(&self) -> bool {
        self.installed && self.finished
    }
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) client_id: String,
    pub(super) user_id: u64,
    pub(super) expires: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) client_id: String,
    pub(super) user_id: u64,
    pub(super) expires: DateTime<Utc>,
    /// When a newer one took its place.
    pub(super) replaced: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) xml_id: Option<String>,
    pub(super) name: String,
    pub(super) last_name: String,
    pub(super) admin: bool,
    pub(super) phone: String,
    pub(super) inner_phone: String,
    /// The `user` object as last sent, of which the real portal keeps the md5.
    pub(super) profile: String,
    pub(super) rewrites: u64,
    pub(super) picture_pulls: u64,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) fields: Map<String, Value>,
}

impl Line {
    pub(super) fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn active(&self) -> bool {
        self.text("ACTIVE") == "Y"
    }
}

#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) client_id: String,
    pub(super) name: String,
    pub(super) placement_handler: String,
    /// `DEL_EXTERNAL_MESSAGES` … `CHAT_GROUP`.
    pub(super) flags: BTreeMap<&'static str, bool>,
}

impl Connector {
    pub(super) fn flag(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) active: bool,
    pub(super) error: bool,
    pub(super) data: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) id: u64,
    pub(super) client_id: String,
    /// Upper case.
    pub(super) event: String,
    pub(super) handler: String,
    /// The user whose tokens its events carry; 0 = who caused the event.
    pub(super) auth_type: u64,
}

/// Who wrote an entry of a line's chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The client of the connector.
    Client,
    /// An employee, in the portal or through the connector.
    Operator,
    /// Nobody: a note or an automatic message.
    System,
}

/// A file in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFile {
    /// The name as the portal keeps it (at most 50 characters when it was pulled).
    pub name: String,
    /// The content type.
    pub mime: String,
    /// The length in bytes, also when the portal is `quiet` and kept none of them.
    pub size: usize,
    /// The content; empty in a `quiet` portal.
    pub bytes: Arc<[u8]>,
}

/// One message of a line's chat as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEntry {
    /// The portal's message id.
    pub im_message_id: String,
    /// Who wrote it.
    pub author: Author,
    /// The portal's user id of the author, 0 for the system.
    pub author_id: u64,
    /// Text with BBCode, raw.
    pub text: String,
    /// Files in order.
    pub files: Vec<LineFile>,
    /// `CONNECTOR_MID`: ids in the connector's world.
    pub connector_mids: Vec<String>,
    /// The spinner of an operator's message that no delivery status came for.
    pub sending: bool,
    /// Shown as removed.
    pub deleted: bool,
    /// Its text was changed.
    pub edited: bool,
    /// An event with this message was answered with HTTP 200.
    pub event_answered: bool,
    /// When the portal stored it.
    pub at: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) first_entry: usize,
    pub(super) open: bool,
}

#[derive(Debug)]
pub(super) struct Chat {
    pub(super) id: u64,
    pub(super) connector: String,
    pub(super) line: u64,
    pub(super) external_id: String,
    /// The portal's user id of the client; 0 in a group connector's code.
    pub(super) client: u64,
    /// `connector|LINE|chat.id|user`
    pub(super) code: String,
    pub(super) name: String,
    pub(super) sessions: Vec<Session>,
    pub(super) entries: Vec<LineEntry>,
}

#[derive(Debug)]
pub(super) struct StoredFile {
    pub(super) file: LineFile,
    pub(super) sign: String,
    pub(super) short: String,
}

#[derive(Debug)]
pub(super) struct SmsSender {
    pub(super) client_id: String,
    pub(super) handler: String,
    pub(super) name: Value,
    pub(super) description: Value,
}

#[derive(Debug)]
pub(super) struct Sms {
    pub(super) client_id: String,
    pub(super) code: String,
    pub(super) to: String,
    pub(super) body: String,
    pub(super) author: Option<u64>,
    /// From when on status updates find it.
    pub(super) written: DateTime<Utc>,
    /// Every state it was in, the newest last.
    pub(super) statuses: Vec<String>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) domain: String,
    /// Hosts the portal had before it was renamed.
    pub(super) old_domains: Vec<String>,
    pub(super) apps: BTreeMap<String, App>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) refresh: HashMap<String, Refresh>,
    /// Tokens that events carry, reused while they last.
    pub(super) event_tokens: HashMap<(String, u64), String>,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) users_by_xml_id: HashMap<String, u64>,
    pub(super) lines: BTreeMap<u64, Line>,
    pub(super) connectors: BTreeMap<String, Connector>,
    pub(super) statuses: BTreeMap<(String, u64), Status>,
    pub(super) bindings: Vec<Binding>,
    pub(super) chats: BTreeMap<u64, Chat>,
    pub(super) chats_by_code: HashMap<String, u64>,
    pub(super) chats_by_external: HashMap<(u64, String), Vec<u64>>,
    pub(super) entry_of: HashMap<u64, (u64, usize)>,
    /// Chats that a call of `send.messages` holds at this moment.
    pub(super) busy: HashSet<String>,
    pub(super) files: BTreeMap<u64, StoredFile>,
    /// Which of them lie on the disk.
    pub(super) disk: BTreeSet<u64>,
    pub(super) sms_senders: BTreeMap<(String, String), SmsSender>,
    pub(super) sms: BTreeMap<String, Sms>,
    /// Ids of `sms`, in the order in which they were sent.
    pub(super) sms_order: Vec<String>,
    /// Comments of the CRM's timeline.
    pub(super) comments: Vec<Value>,
    pub(super) notifications: Vec<(u64, String)>,
    pub(super) phone_lines: Vec<PhoneLine>,
    pub(super) phone_calls: Vec<Call>,
    pub(super) entities: Vec<Entity>,
    /// Users who may not be called any more.
    pub(super) dismissed: HashSet<u64>,
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    pub(super) bucket: Bucket,
    pub(super) operating: Operating,
    pub(super) calls: VecDeque<Value>,
    pub(super) call_counts: BTreeMap<String, u64>,
    /// Events that wait to be sent or answered.
    pub(super) events_waiting: usize,
    next_id: u64,
}

impl State {
    pub(super) fn new(domain: String, faults: Faults) -> Self {
        let user = |id, name: &str, last_name: &str, admin, inner: &str| User {
            id,
            name: name.to_owned(),
            last_name: last_name.to_owned(),
            admin,
            inner_phone: inner.to_owned(),
            ..User::default()
        };
        let users = [user(ADMIN, "Alex", "Admin", true, "100"), user(OPERATOR, "Anna", "Lee", false, "101")];
        let seed = faults.seed;
        Self {
            domain,
            old_domains: Vec::new(),
            apps: BTreeMap::new(),
            tokens: HashMap::new(),
            refresh: HashMap::new(),
            event_tokens: HashMap::new(),
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            users_by_xml_id: HashMap::new(),
            lines: BTreeMap::new(),
            connectors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bindings: Vec::new(),
            chats: BTreeMap::new(),
            chats_by_code: HashMap::new(),
            chats_by_external: HashMap::new(),
            entry_of: HashMap::new(),
            busy: HashSet::new(),
            files: BTreeMap::new(),
            disk: BTreeSet::new(),
            sms_senders: BTreeMap::new(),
            sms: BTreeMap::new(),
            sms_order: Vec::new(),
            comments: Vec::new(),
            notifications: Vec::new(),
            phone_lines: Vec::new(),
            phone_calls: Vec::new(),
            entities: Vec::new(),
            dismissed: HashSet::new(),
            faults,
            dice: Dice(seed),
            bucket: Bucket::new(),
            operating: Operating::default(),
            calls: VecDeque::new(),
            call_counts: BTreeMap::new(),
            events_waiting: 0,
            next_id: 100,
        }
    }

    /// Ids of lines, chats, sessions, users and messages grow together; each is unique in its kind.
    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn hits(&mut self, kind: FaultKind, method: &str) -> bool {
        self.faults.hits(&mut self.dice, kind, method)
    }

    /// The connector takes and sends messages on this line.
    pub(super) fn line_works(&self, connector: &str, line: u64) -> bool {
        self.lines.get(&line).is_some_and(Line::active)
            && self.connectors.contains_key(connector)
            && self
                .statuses
                .get(&(connector.to_owned(), line))
                .is_some_and(|status| status.active && !status.error)
    }

    /// Appends to a chat and gives the message its id.
    pub(super) fn add_entry(&mut self, chat_id: u64, mut entry: LineEntry) -> Option<u64> {
        let id = self.new_id();
        let chat = self.chats.get_mut(&chat_id)?;
        entry.im_message_id = id.to_string();
        chat.entries.push(entry);
        self.entry_of.insert(id, (chat_id, chat.entries.len() - 1));
        Some(id)
    }

    pub(super) fn entry_mut(&mut self, im_message_id: u64) -> Option<&mut LineEntry> {
        let &(chat, index) = self.entry_of.get(&im_message_id)?;
        self.chats.get_mut(&chat)?.entries.get_mut(index)
    }

    /// The chat with this external id on this line that was written to last.
    pub(super) fn chat_by_external(&self, line: u64, external_id: &str) -> Option<&Chat> {
        let ids = self.chats_by_external.get(&(line, external_id.to_owned()))?;
        ids.iter()
            .filter_map(|id| self.chats.get(id))
            .max_by_key(|chat| chat.entries.last().and_then(|entry| entry.im_message_id.parse::<u64>().ok()))
    }

    pub(super) fn remember_call(&mut self, call: Value) {
        if self.calls.len() >= CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}
