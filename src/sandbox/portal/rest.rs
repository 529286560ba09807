//! One REST call: parameters, authorization, the method's file, the envelope (bitrix24 facts §1).

use std::sync::Arc;

use actix_web::web::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::limits::seconds;
use super::state::ADMIN;
use super::{
    Inner, batch, changes, crm, disk, form, imconnector, messages, openlines, sms, system, telephony,
};

/// A refusal: HTTP status, code and text.
#[derive(Debug)]
pub(super) struct RestError {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) description: String,
}

/// What a method gives back.
pub(super) struct Reply {
    pub(super) result: Value,
    pub(super) total: Option<u64>,
    pub(super) next: Option<u64>,
}

impl From<Value> for Reply {
    fn from(result: Value) -> Self {
        Self { result, total: None, next: None }
    }
}

/// A request as it came.
pub(super) struct Input {
    pub(super) method: String,
    pub(super) webhook: bool,
    pub(super) bearer: Option<String>,
    pub(super) query: String,
    pub(super) json: bool,
    pub(super) body: Bytes,
    /// The answer will be lost on the way.
    pub(super) lost: bool,
}

/// Who calls: an application in the name of a user, or a webhook (empty client id).
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) client_id: String,
    pub(super) user_id: u64,
    pub(super) admin: bool,
}

/// Parameters of a method; names of the top level are upper case.
#[derive(Clone, Debug, Default)]
pub(super) struct Args(Map<String, Value>);

impl Args {
    pub(super) fn new(raw: Map<String, Value>) -> Self {
        Self(raw.into_iter().map(|(key, value)| (key.to_uppercase(), value)).collect())
    }

    pub(super) fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// Text, or a number as text; `None` for what PHP calls empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.get(name)).filter(|text| !text.is_empty())
    }

    pub(super) fn int(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    pub(super) fn required(&self, name: &str) -> Result<String, RestError> {
        self.text(name).ok_or_else(|| missing(name))
    }

    pub(super) fn required_int(&self, name: &str) -> Result<u64, RestError> {
        self.required(name)?.trim().parse().map_err(|_| missing(name))
    }
}

/// Text of a scalar, as PHP would cast it.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("1".to_owned()),
        Value::Bool(false) => Some(String::new()),
        _ => None,
    }
}

pub(super) fn fail(status: u16, code: &'static str, description: &str) -> RestError {
    RestError { status, code, description: description.to_owned() }
}

pub(super) fn missing(name: &str) -> RestError {
    fail(400, "ERROR_ARGUMENT", &format!("Argument '{name}' is null or empty"))
}

pub(super) fn query_limit() -> RestError {
    fail(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
}

pub(super) fn operation_limit() -> RestError {
    fail(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
}

pub(super) fn expired_token() -> RestError {
    fail(401, "expired_token", "The access token provided has expired.")
}

impl RestError {
    pub(super) fn body(&self) -> Value {
        json!({"error": self.code, "error_description": self.description})
    }

    pub(super) fn into_answer(self) -> (u16, Value) {
        (self.status, self.body())
    }
}

/// The lower-case method of a path below `/rest/`, and whether it is a webhook's (`USER/SECRET/METHOD`).
pub(super) fn method_of(tail: &str) -> (String, bool) {
    let tail = tail.trim_matches('/');
    let webhook = tail.matches('/').count() == 2;
    let method = tail.rsplit('/').next().unwrap_or_default().to_lowercase();
    (method.strip_suffix(".json").unwrap_or(&method).to_owned(), webhook)
}

/// Query and body together; the body wins.
pub(super) fn parameters(query: &str, body: &[u8], json: bool) -> Map<String, Value> {
    let mut all = form::parse(query.as_bytes());
    if json {
        if let Ok(Value::Object(map)) = serde_json::from_slice(body) {
            all.extend(map);
        }
    } else {
        all.extend(form::parse(body));
    }
    all
}

/// Answers a call: status and body. Remembers it.
pub(super) async fn answer(inner: &Arc<Inner>, input: Input) -> (u16, Value) {
    let method = input.method.as_str();
    let start = inner.options.clock.now();
    let mut raw = parameters(&input.query, &input.body, input.json);
    let in_parameters = ["auth", "access_token"].into_iter().filter_map(|key| raw.remove(key)).next();
    let token = input.bearer.or_else(|| in_parameters.as_ref().and_then(text));
    let outcome = match authorize(inner, input.webhook, token.as_deref()) {
        Err(error) => Err(error),
        Ok(caller) if method == "batch" => {
            let commands = batch::commands(&input.query, &input.body, input.json);
            let halt = raw.get("halt").and_then(text).is_some_and(|halt| halt == "1");
            Ok((batch::run(inner, &caller, commands, halt).await.into(), caller))
        }
        Ok(caller) => execute(inner, &caller, method, Args::new(raw.clone())).await.map(|r| (r, caller)),
    };
    let (status, body, client_id) = match outcome {
        Ok((reply, caller)) => {
            let time = time_block(inner, &caller.client_id, method, start);
            let mut body = json!({"result": reply.result, "time": time});
            for (key, value) in [("total", reply.total), ("next", reply.next)] {
                if let (Some(value), Some(map)) = (value, body.as_object_mut()) {
                    map.insert(key.to_owned(), json!(value));
                }
            }
            (200, body, caller.client_id)
        }
        Err(error) => {
            let (status, body) = error.into_answer();
            (status, body, String::new())
        }
    };
    let error = body.get("error").cloned();
    inner.note_call(
        method,
        json!({"app": client_id, "status": status, "error": error, "answer_lost": input.lost,
               "args": if inner.options.quiet { Value::Null } else { Value::Object(raw) },
               "result": if inner.options.quiet { Value::Null } else { body.get("result").cloned().unwrap_or_default() }}),
    );
    (status, body)
}

/// One method with its checks and its operating time, alone or inside a batch.
pub(super) async fn execute(
    inner: &Arc<Inner>,
    caller: &Caller,
    method: &str,
    args: Args,
) -> Result<Reply, RestError> {
    allow(inner, caller, method)?;
    let start = inner.options.clock.now();
    let (used, _) = inner.state().operating.of(&caller.client_id, method, start);
    if used > inner.options.operating_budget_s {
        return Err(operation_limit());
    }
    let reply = match method {
        "imconnector.send.messages" => messages::send(inner, caller, &args).await.map(Reply::from),
        _ => dispatch(inner, caller, method, &args),
    };
    let now = inner.options.clock.now();
    let cost = seconds(start, now) + inner.options.operating_cost_s;
    inner.state().operating.add(&caller.client_id, method, now, cost);
    reply
}

fn dispatch(inner: &Arc<Inner>, caller: &Caller, method: &str, args: &Args) -> Result<Reply, RestError> {
    let (family, _) = method.split_once('.').unwrap_or((method, ""));
    match family {
        "imconnector" if method.contains(".messages") || method.contains(".status.") => {
            changes::call(inner, method, args).map(Reply::from)
        }
        "imconnector" => imconnector::call(inner, caller, method, args).map(Reply::from),
        "imopenlines" | "im" => openlines::call(inner, caller, method, args).map(Reply::from),
        "disk" => disk::call(inner, method, args).map(Reply::from),
        "crm" => crm::call(inner, method, args).map(Reply::from),
        "messageservice" => sms::call(inner, caller, method, args).map(Reply::from),
        "telephony" => telephony::call(inner, caller, method, args).map(Reply::from),
        _ => system::call(inner, caller, method, args),
    }
}

/// Methods with the scopes of which one is needed (none = basic), and whether only applications may call.
const METHODS: &[(&str, &[&str], bool)] = &[
    ("app.info", &[], true),
    ("profile", &[], false),
    ("scope", &[], false),
    ("server.time", &[], false),
    ("event.bind", &[], true),
    ("event.get", &[], true),
    ("event.unbind", &[], true),
    ("user.get", &["user", "user_basic", "user_brief"], false),
    ("imconnector.register", &["imopenlines"], true),
    ("imconnector.unregister", &["imopenlines"], true),
    ("imconnector.activate", &["imopenlines"], true),
    ("imconnector.connector.data.set", &["imopenlines"], true),
    ("imconnector.status", &["imopenlines"], true),
    ("imconnector.list", &["imopenlines"], true),
    ("imconnector.set.error", &["imopenlines"], true),
    ("imconnector.chat.name.set", &["imopenlines"], true),
    ("imconnector.send.messages", &["imopenlines"], true),
    ("imconnector.update.messages", &["imopenlines"], true),
    ("imconnector.delete.messages", &["imopenlines"], true),
    ("imconnector.send.status.delivery", &["imopenlines"], true),
    ("imconnector.send.status.reading", &["imopenlines"], true),
    ("imopenlines.config.list.get", &["imopenlines"], false),
    ("imopenlines.config.get", &["imopenlines"], false),
    ("imopenlines.config.add", &["imopenlines"], false),
    ("imopenlines.config.update", &["imopenlines"], false),
    ("imopenlines.config.delete", &["imopenlines"], false),
    ("imopenlines.config.path.get", &["imopenlines"], false),
    ("imopenlines.dialog.get", &["imopenlines"], false),
    ("imopenlines.session.history.get", &["imopenlines"], false),
    ("im.message.add", &["im"], false),
    ("im.notify.system.add", &["im"], false),
    ("disk.file.get", &["disk"], false),
    ("crm.timeline.comment.add", &["crm"], false),
    ("messageservice.sender.add", &["messageservice"], true),
    ("messageservice.sender.update", &["messageservice"], true),
    ("messageservice.sender.delete", &["messageservice"], true),
    ("messageservice.sender.list", &["messageservice"], true),
    ("messageservice.message.status.update", &["messageservice"], true),
    ("telephony.externalcall.register", &["telephony"], true),
    ("telephony.externalcall.show", &["telephony"], true),
    ("telephony.externalcall.hide", &["telephony"], true),
    ("telephony.externalcall.finish", &["telephony"], true),
    ("telephony.externalcall.searchcrmentities", &["telephony"], true),
    ("telephony.externalline.add", &["telephony"], true),
    ("telephony.externalline.get", &["telephony"], true),
    ("telephony.externalline.update", &["telephony"], true),
    ("telephony.externalline.delete", &["telephony"], true),
];

fn allow(inner: &Inner, caller: &Caller, method: &str) -> Result<(), RestError> {
    let Some((_, scopes, app_only)) = METHODS.iter().find(|(name, ..)| *name == method) else {
        return Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!"));
    };
    if caller.client_id.is_empty() {
        return if *app_only {
            Err(fail(
                403,
                "WRONG_AUTH_TYPE",
                "Current authorization type is denied for this method Application context required",
            ))
        } else {
            Ok(())
        };
    }
    let state = inner.state();
    let granted = state.apps.get(&caller.client_id).map(|app| app.scopes.as_slice()).unwrap_or_default();
    if scopes.is_empty() || scopes.iter().any(|needed| granted.iter().any(|scope| scope == needed)) {
        Ok(())
    } else {
        // The sources disagree (401 or 403): the portal's code and one SDK say 401.
        let text = "The request requires higher privileges than provided by the access token";
        Err(fail(401, "insufficient_scope", text))
    }
}

fn authorize(inner: &Inner, webhook: bool, token: Option<&str>) -> Result<Caller, RestError> {
    if webhook {
        return Ok(Caller { client_id: String::new(), user_id: ADMIN, admin: true });
    }
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Err(fail(401, "NO_AUTH_FOUND", "Wrong authorization data"));
    };
    let now = inner.options.clock.now();
    let state = inner.state();
    let Some(token) = state.tokens.get(token) else {
        return Err(fail(401, "invalid_token", "Unable to get application by token"));
    };
    if token.expires <= now {
        return Err(expired_token());
    }
    if !state.apps.get(&token.client_id).is_some_and(|app| app.installed) {
        return Err(fail(401, "APPLICATION_NOT_FOUND", "Application not found"));
    }
    let Some(user) = state.users.get(&token.user_id) else {
        return Err(fail(401, "authorization_error", "Unable to authorize user"));
    };
    Ok(Caller { client_id: token.client_id.clone(), user_id: user.id, admin: user.admin })
}

/// The `time` block (bitrix24 facts §1.1).
pub(super) fn time_block(inner: &Inner, app: &str, method: &str, start: DateTime<Utc>) -> Value {
    let finish = inner.options.clock.now();
    let (operating, reset) = inner.state().operating.of(app, method, finish);
    let unix = |at: DateTime<Utc>| at.timestamp_micros() as f64 / 1e6;
    let iso = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, false);
    let duration = seconds(start, finish);
    json!({
        "start": unix(start), "finish": unix(finish), "duration": duration, "processing": duration,
        "date_start": iso(start), "date_finish": iso(finish),
        "operating_reset_at": reset, "operating": operating,
    })
}

impl Inner {
    /// Counts and shows a call that came in.
    pub(super) fn note_call(&self, method: &str, outcome: Value) {
        {
            let mut state = self.state();
            *state.call_counts.entry(method.to_owned()).or_default() += 1;
            if !self.options.quiet {
                state.remember_call(json!({"method": method, "outcome": outcome}));
            }
        }
        let at = self.options.clock.now();
        self.observe(|| json!({"kind": "call", "method": method, "at": at, "outcome": outcome}));
        self.changed();
    }
}
