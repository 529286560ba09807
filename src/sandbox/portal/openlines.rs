//! Open lines, their chats and notes (bitrix24 facts §5).

use serde_json::{Map, Value, json};

use super::Inner;
use super::rest::{Args, Caller, RestError, fail, missing, text};
use super::state::{Author, Chat, Line, LineEntry, State};

/// Keys that `config.list.get` knows in PARAMS.
const LIST_KEYS: [&str; 5] = ["select", "order", "filter", "limit", "offset"];

pub(super) fn call(inner: &Inner, caller: &Caller, method: &str, args: &Args) -> Result<Value, RestError> {
    match method {
        "imopenlines.config.list.get" => list(inner, args),
        "imopenlines.config.get" => {
            let id = args.required_int("CONFIG_ID")?;
            let state = inner.state();
            Ok(state.lines.get(&id).map_or(json!(false), |line| Value::Object(line.fields.clone())))
        }
        "imopenlines.config.add" => {
            let fields = args.get("PARAMS").as_object().cloned().unwrap_or_default();
            Ok(json!(inner.state().add_line(fields)))
        }
        "imopenlines.config.update" => {
            let id = args.required_int("CONFIG_ID")?;
            let fields = args.get("PARAMS").as_object().ok_or_else(|| missing("PARAMS"))?;
            let mut state = inner.state();
            let Some(line) = state.lines.get_mut(&id) else { return Ok(json!(false)) };
            line.fields.extend(upper(fields).filter(|(key, _)| key != "ID"));
            Ok(json!(true))
        }
        "imopenlines.config.delete" => {
            let id = args.required_int("CONFIG_ID")?;
            Ok(json!(inner.remove_line(id, Some(caller.user_id))))
        }
        "imopenlines.config.path.get" => {
            let address = inner.url(&inner.state());
            Ok(json!({"SERVER_ADDRESS": address, "PUBLIC_PATH": "/contact_center/"}))
        }
        "imopenlines.dialog.get" => dialog(inner, args),
        "imopenlines.session.history.get" => history(inner, args),
        "im.message.add" => add_message(inner, caller, args),
        "im.notify.system.add" => {
            let user = args.required_int("USER_ID")?;
            let message = args.required("MESSAGE")?;
            let mut state = inner.state();
            state.notifications.push((user, message));
            Ok(json!(state.new_id()))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

fn upper(fields: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> + '_ {
    fields.iter().map(|(key, value)| (key.to_uppercase(), value.clone()))
}

impl State {
    /// A new line; ids and flags are text as in the portal's answers.
    pub(super) fn add_line(&mut self, fields: Map<String, Value>) -> u64 {
        let id = self.new_id();
        let defaults = json!({
            "LINE_NAME": format!("Open channel {id}"), "ACTIVE": "Y", "CRM": "Y", "QUEUE_TYPE": "evenly",
            "WELCOME_MESSAGE": "Y", "VOTE_MESSAGE": "N", "OPERATOR_DATA": "profile",
        });
        let mut all = defaults.as_object().cloned().unwrap_or_default();
        all.extend(upper(&fields));
        all.insert("ID".to_owned(), json!(id.to_string()));
        self.lines.insert(id, Line { fields: all });
        id
    }
}

fn list(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let params: Map<String, Value> = match args.get("PARAMS") {
        Value::Object(map) => map.iter().map(|(key, value)| (key.to_lowercase(), value.clone())).collect(),
        _ => Map::new(),
    };
    if params.keys().any(|key| !LIST_KEYS.contains(&key.as_str())) {
        return Err(fail(400, "INVALID_FORMAT", "Wrong format of PARAMS"));
    }
    let number = |key: &str, default: usize| {
        params.get(key).and_then(text).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let filter = params.get("filter").and_then(Value::as_object).cloned().unwrap_or_default();
    let select: Vec<String> = match params.get("select") {
        Some(Value::Array(names)) => names.iter().filter_map(text).map(|name| name.to_uppercase()).collect(),
        _ => Vec::new(),
    };
    let order = params.get("order").and_then(Value::as_object);
    let descending = order.and_then(|order| order.get("ID").or_else(|| order.get("id"))).and_then(text);
    let state = inner.state();
    let mut found: Vec<&Line> = state
        .lines
        .values()
        .filter(|line| filter.iter().all(|(key, wanted)| matches(line, key, wanted)))
        .collect();
    if descending.is_some_and(|direction| direction.eq_ignore_ascii_case("desc")) {
        found.reverse();
    }
    let page = found.into_iter().skip(number("offset", 0)).take(number("limit", 50).min(200));
    Ok(page.map(|line| selected(line, &select)).collect())
}

fn matches(line: &Line, key: &str, wanted: &Value) -> bool {
    let field = key.trim_start_matches(['=', '%', '!', '@']).to_uppercase();
    let actual = line.text(&field);
    let wanted: Vec<String> = match wanted {
        Value::Array(all) => all.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    let hit = if key.starts_with('%') {
        wanted.iter().any(|part| actual.to_lowercase().contains(&part.to_lowercase()))
    } else {
        wanted.iter().any(|value| value == actual)
    };
    hit != key.starts_with('!')
}

fn selected(line: &Line, select: &[String]) -> Value {
    let all = select.is_empty() || select.iter().any(|name| name == "*");
    let fields = line.fields.iter().filter(|(key, _)| all || select.contains(key));
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// The chat that a call names by CHAT_ID, DIALOG_ID, SESSION_ID or USER_CODE.
fn chat_of<'a>(state: &'a State, args: &Args) -> Result<&'a Chat, RestError> {
    let by_id = args.int("CHAT_ID").or_else(|| args.text("DIALOG_ID")?.strip_prefix("chat")?.parse().ok());
    let session = args.int("SESSION_ID");
    let code = args.text("USER_CODE");
    let found = if let Some(id) = by_id {
        state.chats.get(&id)
    } else if let Some(session) = session {
        state.chats.values().find(|chat| chat.sessions.iter().any(|known| known.id == session))
    } else {
        code.and_then(|code| state.chats_by_code.get(code.strip_prefix("imol|").unwrap_or(&code)))
            .and_then(|id| state.chats.get(id))
    };
    found.ok_or_else(|| fail(400, "ACCESS_ERROR", "You do not have access to the specified dialog"))
}

fn dialog(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let state = inner.state();
    let chat = chat_of(&state, args)?;
    let session = chat.sessions.last().map_or(0, |session| session.id);
    let last = chat.entries.last().and_then(|entry| entry.im_message_id.parse::<u64>().ok()).unwrap_or(0);
    Ok(json!({
        "id": chat.id, "title": chat.name, "name": chat.name, "owner": 0, "extranet": false,
        "type": "lines", "entity_type": "LINES", "entity_id": chat.code,
        "entity_data_1": format!("N|NONE|0|N|N|{session}|0|0|0|0"),
        "entity_data_2": "LEAD|0|COMPANY|0|CONTACT|0|DEAL|0", "entity_data_3": "N",
        "message_count": chat.entries.len(), "last_message_id": last, "dialog_id": format!("chat{}", chat.id),
    }))
}

fn history(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let state = inner.state();
    let chat = chat_of(&state, args)?;
    if state.faults.broken_history.as_ref() == Some(&chat.name) {
        return Err(super::rest::fail(500, "INTERNAL_SERVER_ERROR", "Internal server error"));
    }
    let wanted = args.int("SESSION_ID");
    let index = match wanted.filter(|_| args.int("CHAT_ID").is_none()) {
        Some(id) => chat.sessions.iter().position(|session| session.id == id),
        None => chat.sessions.len().checked_sub(1),
    };
    let session = index.and_then(|index| chat.sessions.get(index));
    let from = session.map_or(0, |session| session.first_entry);
    let to =
        index.and_then(|index| chat.sessions.get(index + 1)).map_or(chat.entries.len(), |s| s.first_entry);
    let mut messages = Map::new();
    let mut users = Map::new();
    for entry in chat.entries.iter().take(to).skip(from) {
        messages.insert(entry.im_message_id.clone(), history_entry(chat, entry));
        if let Some(user) = state.users.get(&entry.author_id) {
            let name = format!("{} {}", user.name, user.last_name);
            let connector = user.xml_id.is_some();
            users.insert(
                user.id.to_string(),
                json!({"id": user.id.to_string(), "name": name.trim(), "connector": connector}),
            );
        }
    }
    Ok(json!({
        "chatId": chat.id, "sessionId": session.map_or(0, |session| session.id), "canJoin": "Y",
        "message": super::form::php_array(messages), "users": super::form::php_array(users),
        "usersMessage": {format!("chat{}", chat.id): chat.entries.iter().take(to).skip(from).rev()
            .map(|entry| entry.im_message_id.clone()).collect::<Vec<_>>()},
        "files": [],
    }))
}

fn history_entry(chat: &Chat, entry: &LineEntry) -> Value {
    let mut params = Map::new();
    if !entry.connector_mids.is_empty() {
        params.insert("connectorMid".to_owned(), json!(entry.connector_mids));
    }
    if !entry.files.is_empty() {
        let ids: Vec<String> =
            (1..=entry.files.len()).map(|n| format!("{}{n}", entry.im_message_id)).collect();
        params.insert("fileId".to_owned(), json!(ids));
    }
    json!({
        "id": entry.im_message_id, "chatid": chat.id.to_string(), "senderid": entry.author_id.to_string(),
        "recipientid": format!("chat{}", chat.id), "date": entry.at.to_rfc3339(),
        "text": entry.text, "textlegacy": entry.text, "params": super::form::php_array(params),
    })
}

/// A note with SYSTEM=Y stays in the chat; anything else is an operator's message and goes out.
fn add_message(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let body = args.required("MESSAGE")?;
    let system = args.text("SYSTEM").is_some_and(|flag| flag == "Y");
    let mut state = inner.state();
    let Some(chat) = chat_of(&state, args).ok().map(|chat| chat.id) else {
        return Err(fail(400, "ACCESS_ERROR", "Action unavailable"));
    };
    let works = state.chats.get(&chat).is_some_and(|chat| state.line_works(&chat.connector, chat.line));
    let goes_out = !system && works;
    let entry = LineEntry {
        im_message_id: String::new(),
        author: if system { Author::System } else { Author::Operator },
        author_id: if system { 0 } else { caller.user_id },
        text: super::text::shown_text(&body),
        files: Vec::new(),
        connector_mids: Vec::new(),
        sending: goes_out,
        deleted: false,
        edited: false,
        event_answered: false,
        at: inner.options.clock.now(),
    };
    let id = state.add_entry(chat, entry).unwrap_or(0);
    if goes_out {
        super::outgoing::send_out(inner, &mut state, caller.user_id, &[id]);
    }
    Ok(json!(id))
}
