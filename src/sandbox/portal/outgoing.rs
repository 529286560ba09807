//! `OnImConnectorMessageAdd`: what operators write on its way to the connector (bitrix24 facts §4.1).

use serde_json::json;

use super::Inner;
use super::events::Event;
use super::state::State;

/// The operator's name in front of the text, unless connector or line switch it off.
pub(super) fn signature(state: &State, connector: &str, line: u64, author: u64) -> Option<String> {
    let wanted = state.connectors.get(connector)?.flag("NEED_SIGNATURE")
        && state.lines.get(&line).is_none_or(|line| line.text("OPERATOR_DATA") != "hide");
    let user = state.users.get(&author).filter(|_| wanted)?;
    Some(format!("{} {}", user.name, user.last_name).trim().to_owned())
}

/// Tells the connector's application of these messages in one event (bitrix24 facts §4.1).
pub(super) fn send_out(inner: &Inner, state: &mut State, author: u64, ids: &[u64]) {
    let mut items = Vec::with_capacity(ids.len());
    let mut first = None;
    for &id in ids {
        let Some(&(chat_id, index)) = state.entry_of.get(&id) else { continue };
        let Some(chat) = state.chats.get(&chat_id) else { continue };
        let Some(entry) = chat.entries.get(index).cloned() else { continue };
        let at = (chat.connector.clone(), chat.line, chat.code.clone());
        let external = chat.external_id.clone();
        let text = match signature(state, &at.0, at.1, author) {
            Some(name) if entry.text.is_empty() => format!("[b]{name}:[/b] "),
            Some(name) => format!("[b]{name}:[/b] [br]{}", entry.text),
            None => entry.text.clone(),
        };
        let files = inner.files_of(state, &entry);
        first.get_or_insert(at);
        items.push(json!({
            "im": {"chat_id": chat_id, "message_id": id},
            "message": {"user_id": author, "text": text, "files": files, "attachments": [], "params": []},
            "chat": {"id": external},
        }));
    }
    let Some((connector, line, lane)) = first else { return };
    let owner = state.connectors.get(&connector).map(|connector| connector.client_id.clone());
    let event = Event {
        name: "ONIMCONNECTORMESSAGEADD",
        client_id: owner.as_deref(),
        data: json!({"CONNECTOR": connector, "LINE": line, "MESSAGES": items}),
        // Nobody can be tied to an automatic message, so its event has no tokens.
        user: Some(author).filter(|author| *author != 0),
        lane: &lane,
        messages: ids.to_vec(),
    };
    inner.queue(state, event);
}
