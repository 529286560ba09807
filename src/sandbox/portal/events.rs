//! Events to bound handlers: form-encoded, in order of creation, once and never repeated
//! (bitrix24 facts §2.3).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::oauth::ACCESS_S;
use super::state::{LineEntry, State};
use super::{Inner, form};

/// Pauses between attempts while an event waits for its 200 (a test aid).
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Extensions that the portal shows as images.
const IMAGES: [&str; 7] = ["jpe", "jpg", "jpeg", "png", "webp", "gif", "bmp"];

/// A post that waits in a queue.
pub(super) struct Outgoing {
    handler: String,
    event: String,
    form: String,
    /// Operators' messages in it.
    messages: Vec<u64>,
    shown: Value,
}

/// What to tell whom.
pub(super) struct Event<'a> {
    pub(super) name: &'a str,
    /// The only application that hears it; all when `None`.
    pub(super) client_id: Option<&'a str>,
    pub(super) data: Value,
    /// The user who caused it; `None` = nobody, so no tokens.
    pub(super) user: Option<u64>,
    /// Events with the same key keep their order.
    pub(super) lane: &'a str,
    pub(super) messages: Vec<u64>,
}

impl Inner {
    /// Queues an event for each bound handler of a live application.
    pub(super) fn queue(&self, state: &mut State, event: Event<'_>) {
        let bindings: Vec<_> = state
            .bindings
            .iter()
            .filter(|binding| binding.event == event.name)
            .filter(|binding| event.client_id.is_none_or(|only| only == binding.client_id))
            .filter(|binding| state.apps.get(&binding.client_id).is_some_and(|app| app.live()))
            .cloned()
            .collect();
        for binding in bindings {
            let user = if binding.auth_type == 0 { event.user } else { Some(binding.auth_type) };
            // Of the events sent here only this one brings a refresh token.
            let with_refresh = event.name == "ONAPPUPDATE";
            let auth = self.auth_block(state, &binding.client_id, user, with_refresh);
            let id = Some(binding.id);
            let form = self.event_form(event.name, id, &event.data, &auth);
            self.post(state, binding.handler, &event, form);
        }
    }

    /// Queues a ready form.
    pub(super) fn post(&self, state: &mut State, handler: String, event: &Event<'_>, form: String) {
        let shown = if self.options.quiet { Value::Null } else { event.data.clone() };
        if state.faults.events_lost {
            self.observe(|| json!({"kind": "event", "event": event.name, "lost": true, "data": shown}));
            return;
        }
        let mut hasher = DefaultHasher::new();
        event.lane.hash(&mut hasher);
        let lane = hasher.finish() % self.lanes.len().max(1) as u64;
        let outgoing =
            Outgoing { handler, event: event.name.to_owned(), form, messages: event.messages.clone(), shown };
        if let Some(queue) = usize::try_from(lane).ok().and_then(|lane| self.lanes.get(lane))
            && queue.send(outgoing).is_ok()
        {
            state.events_waiting += 1;
        }
    }

    /// The form of an event; empty arrays have no keys.
    pub(super) fn event_form(
        &self,
        event: &str,
        handler_id: Option<u64>,
        data: &Value,
        auth: &Value,
    ) -> String {
        let ts = self.options.clock.now().timestamp();
        let parts = [
            json!({"event": event}),
            json!({"event_handler_id": handler_id}),
            json!({"data": data}),
            json!({"ts": ts}),
            json!({"auth": auth}),
        ];
        let parts: Vec<_> = parts.iter().map(form::build).filter(|part| !part.is_empty()).collect();
        parts.join("&")
    }

    /// The `auth` block; without a user only what identifies portal and application.
    pub(super) fn auth_block(
        &self,
        state: &mut State,
        client_id: &str,
        user: Option<u64>,
        with_refresh: bool,
    ) -> Value {
        let Some(app) = state.apps.get(client_id) else { return Value::Null };
        let scope = app.scopes.join(",");
        let application_token = if state.faults.wrong_application_token {
            "00000000000000000000000000000000".to_owned()
        } else {
            app.application_token.clone()
        };
        let mut auth = json!({
            "domain": state.domain,
            "server_endpoint": self.server_endpoint(),
            "status": "L",
            "client_endpoint": format!("{}/rest/", self.url(state)),
            "member_id": self.options.member_id,
            "application_token": application_token,
        });
        let tokens = user.filter(|_| !state.faults.events_without_tokens).map(|user| {
            let now = self.options.clock.now();
            let (access, refresh, expires): (String, Option<String>, DateTime<Utc>) = if with_refresh {
                let pair = state.issue_pair(now, client_id, user);
                (pair.access, Some(pair.refresh), pair.expires)
            } else {
                let (access, expires) = state.event_token(now, client_id, user);
                (access, None, expires)
            };
            json!({"access_token": access, "refresh_token": refresh, "expires": expires.timestamp(),
                   "expires_in": ACCESS_S, "scope": scope, "user_id": user})
        });
        if let (Some(auth), Some(Value::Object(tokens))) = (auth.as_object_mut(), tokens) {
            auth.extend(tokens);
        }
        auth
    }

    /// The files of an entry as an event shows them.
    pub(super) fn files_of(&self, state: &mut State, entry: &LineEntry) -> Vec<Value> {
        let all = entry.files.clone();
        all.into_iter()
            .map(|file| {
                let extension = file.name.rsplit('.').next().unwrap_or_default().to_lowercase();
                let image = file.mime.starts_with("image/") || IMAGES.contains(&extension.as_str());
                let fragment = if image { format!("#img.{extension}") } else { String::new() };
                let kind = match file.mime.split('/').next() {
                    _ if image => "image",
                    Some("video") => "video",
                    Some("audio") => "audio",
                    _ => "file",
                };
                let mut shown = json!({
                    "name": file.name, "type": kind, "mime": file.mime, "size": file.size,
                    "sizef": human_size(file.size),
                });
                let id = state.store_file(file);
                let short = state.files.get(&id).map(|stored| stored.short.clone()).unwrap_or_default();
                if let Some(map) = shown.as_object_mut() {
                    map.insert("link".to_owned(), json!(format!("{}/~{short}{fragment}", self.url(state))));
                    map.insert("downloadLink".to_owned(), json!(download_link(state, id)));
                    if image {
                        map.insert("width".to_owned(), json!(640));
                        map.insert("height".to_owned(), json!(480));
                    }
                }
                shown
            })
            .collect()
    }
}

/// The signed address of a file's bytes.
pub(super) fn download_link(state: &State, id: u64) -> String {
    let Some(stored) = state.files.get(&id) else { return String::new() };
    let image = if stored.file.mime.starts_with("image/") { "&img=y" } else { "" };
    format!("http://{}/pub/im.file.php?FILE_ID={id}&SIGN={}{image}", state.domain, stored.sign)
}

fn human_size(bytes: usize) -> String {
    let bytes = bytes as f64;
    if bytes < 1024.0 {
        format!("{bytes} b")
    } else if bytes < 1024.0 * 1024.0 {
        format!("{:.2} KB", bytes / 1024.0)
    } else {
        format!("{:.2} MB", bytes / 1024.0 / 1024.0)
    }
}

/// Posts what one queue holds, one after the other, until the portal stops.
pub(super) async fn post_in_order(inner: Arc<Inner>, mut queue: UnboundedReceiver<Outgoing>) {
    let work = async {
        while let Some(outgoing) = queue.recv().await {
            deliver(&inner, outgoing).await;
        }
    };
    tokio::select! {
        () = inner.cancel.cancelled() => {}
        () = work => {}
    }
}

async fn deliver(inner: &Inner, outgoing: Outgoing) {
    let insist = inner.options.events_wait_for_200 && !outgoing.messages.is_empty();
    let twice = inner.state().faults.duplicate_events;
    let mut answered = false;
    for _ in 0..if twice { 2 } else { 1 } {
        answered |= attempt(inner, &outgoing).await;
    }
    while insist && !answered {
        tokio::time::sleep(AGAIN_AFTER).await;
        answered = attempt(inner, &outgoing).await;
    }
    {
        let mut state = inner.state();
        state.events_waiting = state.events_waiting.saturating_sub(1);
        for message in outgoing.messages {
            if let Some(entry) = state.entry_mut(message) {
                entry.event_answered |= answered;
            }
        }
    }
    inner.changed();
}

/// Whether the handler answered 200. Its body is of no interest.
async fn attempt(inner: &Inner, outgoing: &Outgoing) -> bool {
    let request = inner
        .http
        .post(&outgoing.handler)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("User-Agent", "Bitrix24 Webhook Engine")
        .body(outgoing.form.clone());
    let status = request.send().await.ok().map(|answer| answer.status().as_u16());
    inner.observe(|| {
        json!({"kind": "event", "event": outgoing.event, "status": status, "data": outgoing.shown,
               "at": inner.options.clock.now()})
    });
    status == Some(200)
}
