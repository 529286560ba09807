//! What tests and the sandbox page may look at.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::state::{LineEntry, State};
use super::{Inner, SimPortal};

/// A chat of a line with its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatInfo {
    /// The portal's chat id (`im.chat_id`).
    pub chat_id: String,
    /// `connector|LINE|chat.id|user`
    pub code: String,
    /// The chat's id in the connector's world.
    pub external_id: String,
    /// Title of the chat.
    pub name: String,
    /// The client's first and last name as stored.
    pub client: (String, String),
    /// The client's phone as stored.
    pub phone: String,
    /// How often the client's profile was rewritten because the `user` object changed.
    pub profile_rewrites: u64,
    /// How often the client's picture was downloaded.
    pub picture_pulls: u64,
    /// Sessions so far.
    pub sessions: usize,
    /// Whether the last session is open.
    pub open: bool,
}

impl SimPortal {
    /// The chat as the operator sees it; empty when there is none. When one external id became several
    /// chats (another `user.id`), their messages in the order in which they came.
    pub fn conversation(&self, line: &str, external_chat_id: &str) -> Vec<LineEntry> {
        let state = self.inner.state();
        let ids = line
            .parse()
            .ok()
            .and_then(|line: u64| state.chats_by_external.get(&(line, external_chat_id.to_owned())));
        let chats = ids.into_iter().flatten().filter_map(|id| state.chats.get(id));
        let mut all: Vec<LineEntry> = chats.flat_map(|chat| chat.entries.iter().cloned()).collect();
        all.sort_by_key(|entry| entry.im_message_id.parse::<u64>().unwrap_or(0));
        all
    }

    /// All chats of a line.
    pub fn chats(&self, line: &str) -> Vec<ChatInfo> {
        let state = self.inner.state();
        let on_line = state.chats.values().filter(|chat| chat.line.to_string() == line);
        on_line
            .map(|chat| {
                let user = state.users.get(&chat.client).cloned().unwrap_or_default();
                ChatInfo {
                    chat_id: chat.id.to_string(),
                    code: chat.code.clone(),
                    external_id: chat.external_id.clone(),
                    name: chat.name.clone(),
                    client: (user.name, user.last_name),
                    phone: user.phone,
                    profile_rewrites: user.rewrites,
                    picture_pulls: user.picture_pulls,
                    sessions: chat.sessions.len(),
                    open: chat.sessions.last().is_some_and(|session| session.open),
                }
            })
            .collect()
    }

    /// How often the profile of this chat's client was rewritten.
    pub fn profile_rewrites(&self, line: &str, external_chat_id: &str) -> u64 {
        let chats = self.chats(line);
        let mine = chats.iter().filter(|chat| chat.external_id == external_chat_id);
        mine.map(|chat| chat.profile_rewrites).sum()
    }

    /// Counts up with each change in the portal.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// First and last name of a user; empty if there is none.
    pub fn user_name(&self, id: u64) -> String {
        let state = self.inner.state();
        let user = state.users.get(&id);
        user.map(|user| format!("{} {}", user.name, user.last_name).trim().to_owned()).unwrap_or_default()
    }

    /// Fills the bucket of requests as a burst does: from now on calls pass only as fast as it drains.
    pub fn fill_bucket(&self) {
        if let Some((_, burst)) = self.inner.options.rate {
            let now = self.inner.options.clock.now();
            self.inner.state().bucket.fill(now, burst);
        }
    }

    /// Messages of all chats.
    pub fn message_count(&self) -> usize {
        self.inner.state().entry_of.len()
    }

    /// Lines with all their settings, as `imopenlines.config.list.get` shows them.
    pub fn lines(&self) -> Vec<Value> {
        self.inner.state().lines()
    }

    /// Connectors: `code`, `name`, `client_id`, `placement_handler`, `flags` and the `lines` they work on
    /// with `active`, `error` and `data`.
    pub fn connectors(&self) -> Vec<Value> {
        self.inner.state().connectors()
    }

    /// Bindings: `client_id`, `event`, `handler`, `auth_type`.
    pub fn event_bindings(&self) -> Vec<Value> {
        self.inner.state().bindings()
    }

    /// SMS senders: `client_id`, `code`, `handler`, `name`, `description`.
    pub fn sms_senders(&self) -> Vec<Value> {
        let state = self.inner.state();
        let all = state.sms_senders.iter();
        all.map(|((client_id, code), sender)| {
            json!({"client_id": client_id, "code": code, "handler": sender.handler, "name": sender.name,
                   "description": sender.description})
        })
        .collect()
    }

    /// Notifications given by `im.notify.system.add`: user id and text.
    pub fn notifications(&self) -> Vec<(u64, String)> {
        self.inner.state().notifications.clone()
    }

    /// The latest calls of a method with outcome, oldest first (none when `quiet`). The methods of the OAuth
    /// server are `oauth.token` and `oauth.app.info`.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let state = self.inner.state();
        let named = |call: &&Value| call.get("method").and_then(Value::as_str) == Some(method);
        state.calls.iter().filter(named).cloned().collect()
    }

    /// How often a method was called, with refused calls and faults.
    pub fn call_count(&self, method: &str) -> u64 {
        self.inner.state().call_counts.get(method).copied().unwrap_or(0)
    }

    /// Events that wait to be sent or answered.
    pub fn events_waiting(&self) -> usize {
        self.inner.state().events_waiting
    }

    /// The application is installed and finished, so it gets events.
    pub fn is_live(&self, client_id: &str) -> bool {
        self.inner.state().apps.get(client_id).is_some_and(|app| app.live())
    }

    /// The `application_token` of an application.
    pub fn application_token(&self, client_id: &str) -> Option<String> {
        self.inner.state().apps.get(client_id).map(|app| app.application_token.clone())
    }
}

impl State {
    fn lines(&self) -> Vec<Value> {
        self.lines.values().map(|line| Value::Object(line.fields.clone())).collect()
    }

    fn connectors(&self) -> Vec<Value> {
        let all = self.connectors.iter();
        all.map(|(code, connector)| {
            let mine = self.statuses.iter().filter(|((of, _), _)| of == code);
            let lines: Vec<Value> = mine
                .map(|((_, line), status)| {
                    json!({"line": line.to_string(), "active": status.active, "error": status.error,
                           "data": status.data})
                })
                .collect();
            json!({"code": code, "name": connector.name, "client_id": connector.client_id,
                   "placement_handler": connector.placement_handler, "flags": connector.flags,
                   "lines": lines})
        })
        .collect()
    }

    fn bindings(&self) -> Vec<Value> {
        let all = self.bindings.iter();
        all.map(|binding| {
            json!({"client_id": binding.client_id, "event": binding.event, "handler": binding.handler,
                   "auth_type": binding.auth_type})
        })
        .collect()
    }
}

/// `GET /_sim/state`: no secrets, no texts.
pub(super) fn summary(inner: &Inner) -> Value {
    let state = inner.state();
    let apps = state.apps.iter().map(|(client_id, app)| {
        json!({"client_id": client_id, "ui": app.ui, "installed": app.installed, "finished": app.finished,
               "scopes": app.scopes})
    });
    let chats = state.chats.values().map(|chat| {
        json!({"chat_id": chat.id.to_string(), "line": chat.line.to_string(), "external_id": chat.external_id,
               "messages": chat.entries.len()})
    });
    json!({
        "member_id": inner.options.member_id, "domain": state.domain, "apps": apps.collect::<Vec<_>>(),
        "lines": state.lines(), "connectors": state.connectors(), "bindings": state.bindings(),
        "chats": chats.collect::<Vec<_>>(), "call_counts": state.call_counts,
        "events_waiting": state.events_waiting, "faults": state.faults,
    })
}
