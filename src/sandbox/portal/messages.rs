//! Messages that a connector sends into a line (bitrix24 facts §3.8).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::events::Event;
use super::faults::FaultKind;
use super::imconnector::require_working;
use super::rest::{Args, Caller, RestError, missing, text};
use super::state::{Author, Chat, LineEntry, LineFile, Session, State, User};
use super::text::shown_text;
use super::{Inner, pull};

const SEND: &str = "imconnector.send.messages";
/// Text of `CONNECTOR_PROXY_NO_ADD_USER`.
const NO_USER: &str = "Unable to create the user";
/// Text of `IMCONNECTOR_NOT_ALL_THE_REQUIRED_DATA`.
pub(super) const NOT_ALL_DATA: &str = "Not all the required data was transferred";

/// `imconnector.send.messages`: items in order, no check for repeats, a verdict per item.
pub(super) async fn send(inner: &Arc<Inner>, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let (connector, line, items) = envelope(args)?;
    require_working(&inner.state(), &connector, line)?;
    if let Some(refused) = inner.state().faults.refused_text.clone()
        && items.iter().any(|item| field(item, "/message/text").is_some_and(|text| text.contains(&refused)))
    {
        return Err(super::rest::fail(400, "ERROR_ARGUMENT", "Argument 'MESSAGES' is wrong"));
    }
    if let Some(broken) = inner.state().faults.broken_text.clone()
        && items.iter().any(|item| {
            ["/message/text", "/message/files/0/name"]
                .iter()
                .any(|place| field(item, place).is_some_and(|text| text.contains(&broken)))
        })
    {
        return Err(super::rest::fail(500, "INTERNAL_SERVER_ERROR", "Internal server error"));
    }
    let mut results = Vec::with_capacity(items.len());
    for item in &items {
        results.push(take(inner, caller, &connector, line, item).await);
        inner.changed();
    }
    Ok(json!({"SUCCESS": true, "DATA": {"RESULT": results}}))
}

impl super::SimPortal {
    /// Another program that uses the same application sends into a line, as a product before us did; the
    /// parameters are those of `imconnector.send.messages`. `false`: the portal refuses.
    pub async fn sent_by_another(&self, client_id: &str, params: Value) -> bool {
        let caller = Caller { client_id: client_id.to_owned(), user_id: 1, admin: true };
        let args = Args::new(params.as_object().cloned().unwrap_or_default());
        send(&self.inner, &caller, &args).await.is_ok()
    }
}

pub(super) fn envelope(args: &Args) -> Result<(String, u64, Vec<Value>), RestError> {
    let connector = args.required("CONNECTOR")?;
    let line = args.required_int("LINE")?;
    let items: Vec<Value> = match args.get("MESSAGES") {
        Value::Array(items) => items.iter().map(lower_keys).collect(),
        Value::Object(map) => map.values().map(lower_keys).collect(),
        _ => return Err(missing("MESSAGES")),
    };
    if items.is_empty() { Err(missing("MESSAGES")) } else { Ok((connector, line, items)) }
}

/// Keys inside `MESSAGES` are lower-cased, however deep.
fn lower_keys(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(lower_keys).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (key.to_lowercase(), lower_keys(item))).collect())
        }
        other => other.clone(),
    }
}

pub(super) fn field(item: &Value, pointer: &str) -> Option<String> {
    item.pointer(pointer).and_then(text).filter(|text| !text.is_empty())
}

pub(super) fn refused(item: &Value, error: &str) -> Value {
    let mut answer = item.clone();
    if let Some(map) = answer.as_object_mut() {
        map.insert("SUCCESS".to_owned(), json!(false));
        map.insert("ERRORS".to_owned(), json!([error]));
        return answer;
    }
    json!({"SUCCESS": false, "ERRORS": [error]})
}

async fn take(inner: &Arc<Inner>, caller: &Caller, connector: &str, line: u64, item: &Value) -> Value {
    if inner.state().hits(FaultKind::ItemFails, SEND) {
        return refused(item, NO_USER);
    }
    let (Some(user), Some(chat)) = (field(item, "/user/id"), field(item, "/chat/id")) else {
        return refused(item, NOT_ALL_DATA);
    };
    let _held = Held::wait(inner, format!("{connector}|{line}|{chat}|{user}")).await;
    let mut files = Vec::new();
    for file in item.pointer("/message/files").and_then(Value::as_array).into_iter().flatten() {
        let lost = inner.state().hits(FaultKind::FileDropped, SEND);
        let name = file.get("name").and_then(Value::as_str);
        if !lost
            && let Some(url) = pull::url_of(file)
            && let Some(pulled) = pull::pull(inner, url, name).await
        {
            files.push(pulled);
        }
    }
    let body = shown_text(&field(item, "/message/text").unwrap_or_default());
    if body.trim().is_empty() && files.is_empty() {
        return refused(item, NOT_ALL_DATA);
    }
    let xml_id = format!("{connector}|{user}");
    let picture = {
        let state = inner.state();
        let known = state.users_by_xml_id.get(&xml_id).and_then(|id| state.users.get(id));
        let changed = known.is_none_or(|known| known.profile != profile_of(item));
        item.pointer("/user/picture").and_then(pull::url_of).filter(|_| changed)
    };
    if let Some(url) = picture {
        pull::pull(inner, url, None).await;
    }
    let mut state = inner.state();
    let client = keep_user(&mut state, xml_id, item, picture.is_some());
    store(inner, &mut state, caller, Incoming { connector, line, item, client, chat, body, files })
}

fn profile_of(item: &Value) -> String {
    item.get("user").map(Value::to_string).unwrap_or_default()
}

/// Creates the client's user or rewrites it when anything in the `user` object changed.
fn keep_user(state: &mut State, xml_id: String, item: &Value, pulled: bool) -> u64 {
    let known = state.users_by_xml_id.get(&xml_id).copied();
    let id = known.unwrap_or_else(|| state.new_id());
    state.users_by_xml_id.insert(xml_id.clone(), id);
    let user = state.users.entry(id).or_insert_with(|| User { id, xml_id: Some(xml_id), ..User::default() });
    user.picture_pulls += u64::from(pulled);
    let profile = profile_of(item);
    if user.profile == profile {
        return id;
    }
    user.rewrites += u64::from(known.is_some());
    user.profile = profile;
    let (mut name, mut last_name) =
        (field(item, "/user/name").unwrap_or_default(), field(item, "/user/last_name").unwrap_or_default());
    if last_name.is_empty()
        && let [first, second] = name.split_whitespace().collect::<Vec<_>>().as_slice()
    {
        (name, last_name) = ((*first).to_owned(), (*second).to_owned());
    }
    if name.is_empty() && last_name.is_empty() {
        name = "Guest".to_owned();
    }
    (user.name, user.last_name) = (name, last_name);
    user.phone = field(item, "/user/phone").unwrap_or_default();
    id
}

struct Incoming<'a> {
    connector: &'a str,
    line: u64,
    item: &'a Value,
    client: u64,
    chat: String,
    body: String,
    files: Vec<LineFile>,
}

fn store(inner: &Inner, state: &mut State, caller: &Caller, incoming: Incoming<'_>) -> Value {
    let Incoming { connector, line, item, client, chat, body, files } = incoming;
    let chat_id = keep_chat(state, connector, line, &chat, client, item);
    let session = keep_session(inner, state, caller, chat_id);
    let given = item.pointer("/message/user_id").and_then(text).and_then(|id| id.parse::<u64>().ok());
    let (author, author_id) = match given {
        Some(0) => (Author::System, 0),
        Some(id) if state.users.get(&id).is_some_and(|user| user.xml_id.is_none()) => (Author::Operator, id),
        _ => (Author::Client, client),
    };
    let mid = field(item, "/message/id");
    let file_ids: Vec<u64> = files.iter().map(|_| state.new_id()).collect();
    let entry = LineEntry {
        im_message_id: String::new(),
        author,
        author_id,
        text: body.clone(),
        files,
        connector_mids: mid.into_iter().collect(),
        // A message in an operator's name takes the way of all operators' messages: out again.
        sending: author == Author::Operator,
        deleted: false,
        edited: false,
        event_answered: false,
        at: inner.options.clock.now(),
    };
    if let Some(id) = state.add_entry(chat_id, entry)
        && author == Author::Operator
    {
        super::outgoing::send_out(inner, state, author_id, &[id]);
    }
    answer_of(item, client, chat_id, session, &body, &file_ids)
}

fn keep_chat(
    state: &mut State,
    connector: &str,
    line: u64,
    external: &str,
    client: u64,
    item: &Value,
) -> u64 {
    let group = state.connectors.get(connector).is_some_and(|connector| connector.flag("CHAT_GROUP"));
    let part = if group { 0 } else { client };
    let code = format!("{connector}|{line}|{external}|{part}");
    if let Some(&id) = state.chats_by_code.get(&code) {
        return id;
    }
    let id = state.new_id();
    let user = state.users.get(&client);
    let name = field(item, "/chat/name")
        .unwrap_or_else(|| user.map(|user| format!("{} {}", user.name, user.last_name)).unwrap_or_default());
    let chat = Chat {
        id,
        connector: connector.to_owned(),
        line,
        external_id: external.to_owned(),
        client: part,
        code: code.clone(),
        name,
        sessions: Vec::new(),
        entries: Vec::new(),
    };
    state.chats.insert(id, chat);
    state.chats_by_code.insert(code, id);
    state.chats_by_external.entry((line, external.to_owned())).or_default().push(id);
    id
}

/// The open session of the chat; a new one is told to the application.
fn keep_session(inner: &Inner, state: &mut State, caller: &Caller, chat_id: u64) -> u64 {
    let open = state.chats.get(&chat_id).and_then(|chat| chat.sessions.last()).filter(|session| session.open);
    if let Some(session) = open {
        return session.id;
    }
    let id = state.new_id();
    if let Some(chat) = state.chats.get_mut(&chat_id) {
        chat.sessions.push(Session { id, first_entry: chat.entries.len(), open: true });
    }
    tell_session(inner, state, "ONIMCONNECTORDIALOGSTART", chat_id, Some(caller.user_id));
    id
}

/// DialogStart and DialogFinish (bitrix24 facts §4.3).
pub(super) fn tell_session(inner: &Inner, state: &mut State, name: &str, chat_id: u64, user: Option<u64>) {
    let Some(chat) = state.chats.get(&chat_id) else { return };
    let Some(session) = chat.sessions.last() else { return };
    let owner = state.connectors.get(&chat.connector).map(|connector| connector.client_id.clone());
    let parent = chat.sessions.iter().rev().nth(1).map_or(0, |session| session.id);
    let (connector, code) = (chat.connector.clone(), chat.code.clone());
    let data = json!({"CONNECTOR": connector, "LINE": chat.line, "DATA": [{
        "connector": {"connector_id": connector, "line_id": chat.line, "chat_id": chat.external_id,
                      "user_id": chat.client},
        "session": {"id": session.id, "closed": if session.open { "N" } else { "Y" },
                    "parent_id": parent, "close_term": 1440},
        "chat": {"id": chat.external_id},
        "user": {"id": chat.client},
    }]});
    let event = Event { name, client_id: owner.as_deref(), data, user, lane: &code, messages: Vec::new() };
    inner.queue(state, event);
}

fn answer_of(item: &Value, client: u64, chat: u64, session: u64, body: &str, files: &[u64]) -> Value {
    let mut message = Map::new();
    if let Some(id) = item.pointer("/message/id") {
        message.insert("id".to_owned(), id.clone());
    }
    if item.pointer("/message/date").is_some() {
        // A DateTime object of PHP.
        message.insert("date".to_owned(), json!({}));
    }
    message.insert("text".to_owned(), json!(body));
    message.insert("files".to_owned(), json!(files));
    let mut shown_chat = item.get("chat").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(url) = shown_chat.remove("url").as_ref().and_then(text) {
        let description = format!("Link to the original post: {url}");
        shown_chat.insert("description".to_owned(), json!(description));
    }
    // Both flags act only on exactly "Y".
    let flag = |pointer| field(item, pointer).is_some_and(|flag| flag == "Y");
    let mut extra = Map::new();
    if flag("/user/skip_phone_validate") {
        extra.insert("skip_phone_validate".to_owned(), json!("Y"));
    }
    if flag("/message/disable_crm") {
        extra.insert("disable_tracker".to_owned(), json!("Y"));
    }
    json!({
        "user": client.to_string(), "message": message, "chat": shown_chat,
        "extra": super::form::php_array(extra), "SUCCESS": true,
        "session": {"ID": session.to_string(), "CHAT_ID": chat.to_string()},
    })
}

/// The lock on a chat: waits 1, 2 and 3 seconds, then goes on without it.
struct Held {
    inner: Arc<Inner>,
    key: Option<String>,
}

impl Held {
    async fn wait(inner: &Arc<Inner>, key: String) -> Self {
        for pause in 1..=3 {
            if inner.state().busy.insert(key.clone()) {
                inner.changed();
                return Self { inner: inner.clone(), key: Some(key) };
            }
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        Self { inner: inner.clone(), key: None }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.inner.state().busy.remove(&key);
        }
    }
}
