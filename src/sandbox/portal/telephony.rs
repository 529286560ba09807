//! Calls in the CRM and lines of the telephony (bitrix24 facts §7).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::rest::{Args, Caller, RestError, fail, text};
use super::state::State;
use super::{Inner, SimPortal};

/// So long an unfinished call is the same when it is registered again.
const SAME_CALL: TimeDelta = TimeDelta::minutes(30);

/// A call as the portal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimCard {
    /// The portal's id.
    pub call_id: String,
    /// The application's id.
    pub external_id: String,
    /// Who stands for it.
    pub user_id: u64,
    /// 1 outgoing, 2 incoming …
    pub kind: u64,
    /// The other side's number as it was given.
    pub number: String,
    /// Line.
    pub line: String,
    /// At whom the card is open.
    pub shown_to: Vec<u64>,
    /// At whom it was open at any time.
    pub was_shown_to: Vec<u64>,
    /// `CONTACT`, `LEAD`, … and id of the CRM's entity.
    pub entity: Option<(String, u64)>,
    /// When it began, as given or as it came.
    pub start: DateTime<Utc>,
    /// How it ended.
    pub end: Option<SimCallEnd>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimCallEnd {
    /// Seconds.
    pub duration: u64,
    /// `200`, `304` …
    pub status_code: String,
    /// Who had it.
    pub user_id: u64,
    /// In words.
    pub reason: String,
}

#[derive(Debug)]
pub(super) struct Call {
    client_id: String,
    registered: DateTime<Utc>,
    card: SimCard,
}

#[derive(Clone, Debug)]
pub(super) struct PhoneLine {
    client_id: String,
    number: String,
    name: String,
    crm_create: bool,
}

/// A contact, company or lead of the CRM, as far as telephony looks at it.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    kind: &'static str,
    id: u64,
    digits: String,
    name: String,
    assigned_by: u64,
}

fn core(description: &str) -> RestError {
    fail(400, "ERROR_CORE", description)
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

pub(super) fn call(inner: &Inner, caller: &Caller, method: &str, args: &Args) -> Result<Value, RestError> {
    match method {
        "telephony.externalcall.register" => register(inner, caller, args),
        "telephony.externalcall.show" => show(inner, args, true),
        "telephony.externalcall.hide" => show(inner, args, false),
        "telephony.externalcall.finish" => finish(inner, args),
        "telephony.externalcall.searchcrmentities" => search(inner, args),
        "telephony.externalline.add" => line_add(inner, caller, args),
        "telephony.externalline.get" => Ok(lines(inner, caller)),
        "telephony.externalline.update" => line_update(inner, caller, args),
        "telephony.externalline.delete" => {
            let number = args.required("NUMBER")?;
            let mut state = inner.state();
            state.phone_lines.retain(|line| line.client_id != caller.client_id || line.number != number);
            Ok(json!([]))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

/// An active real user by id, else by extension.
fn user(state: &State, args: &Args) -> Result<u64, RestError> {
    let (id, inner_phone) = (args.text("USER_ID"), args.text("USER_PHONE_INNER"));
    if id.is_none() && inner_phone.is_none() {
        return Err(core("USER_ID or USER_PHONE_INNER should be set"));
    }
    let mut real = state.users.values().filter(|user| user.xml_id.is_none());
    let found = match id {
        Some(id) => real.find(|user| user.id.to_string() == id),
        None => real.find(|user| Some(&user.inner_phone) == inner_phone.as_ref()),
    };
    found
        .map(|user| user.id)
        .filter(|id| !state.dismissed.contains(id))
        .ok_or_else(|| core("User is not found or is not active"))
}

fn register(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let now = inner.options.clock.now();
    let mut state = inner.state();
    let user_id = user(&state, args)?;
    let kind = args.int("TYPE").filter(|kind| (1..=5).contains(kind)).ok_or_else(|| core("Unknown TYPE"))?;
    let start = match args.text("CALL_START_DATE") {
        None => now,
        Some(text) => DateTime::parse_from_rfc3339(&text)
            .map_err(|_| core("CALL_START_DATE should be in the ISO-8601 format"))?
            .to_utc(),
    };
    let number: String =
        args.text("PHONE_NUMBER").unwrap_or_default().chars().filter(|c| !c.is_alphabetic()).collect();
    if digits(&number).is_empty() {
        return Err(core("Unsupported phone number format"));
    }
    let line = args.text("LINE_NUMBER").unwrap_or_default();
    let external_id = args.text("EXTERNAL_CALL_ID").unwrap_or_default();
    let same = |call: &&Call| {
        let card = &call.card;
        call.client_id == caller.client_id
            && (card.user_id, card.kind) == (user_id, kind)
            && (card.number.as_str(), card.line.as_str()) == (number.as_str(), line.as_str())
            && card.external_id == external_id
            && card.end.is_none()
            && now - call.registered < SAME_CALL
    };
    let known =
        state.phone_calls.iter().find(same).map(|call| (call.card.call_id.clone(), call.card.entity.clone()));
    let (call_id, entity, created) = match known {
        Some((call_id, entity)) => (call_id, entity, None),
        None => {
            let internal = state.users.values().any(|user| user.inner_phone == number);
            let mut entity = state.entity_of(&number).map(|entity| (entity.kind.to_owned(), entity.id));
            let mut created = None;
            if entity.is_none() && !internal && args.text("CRM_CREATE").as_deref() == Some("1") {
                let id = state.new_id();
                let digits = digits(&number);
                let name = format!("{number} - incoming call");
                state.entities.push(Entity { kind: "LEAD", id, digits, name, assigned_by: user_id });
                (entity, created) = (Some(("LEAD".to_owned(), id)), Some(id));
            }
            if internal {
                entity = None;
            }
            let stamp = state.new_id();
            let call_id = format!("externalCall.{stamp:032x}.{}", now.timestamp());
            let show = args.text("SHOW").is_none_or(|show| show != "0");
            let shown: Vec<u64> = show.then_some(user_id).into_iter().collect();
            state.phone_calls.push(Call {
                client_id: caller.client_id.clone(),
                registered: now,
                card: SimCard {
                    call_id: call_id.clone(),
                    external_id,
                    user_id,
                    kind,
                    number,
                    line: line.clone(),
                    shown_to: shown.clone(),
                    was_shown_to: shown,
                    entity: entity.clone(),
                    start,
                    end: None,
                },
            });
            state.ensure_line(&caller.client_id, &line);
            (call_id, entity, created)
        }
    };
    let created_entities: Vec<Value> =
        created.iter().map(|id| json!({"ENTITY_TYPE": "LEAD", "ENTITY_ID": id})).collect();
    let (entity_type, entity_id) = entity.unzip();
    Ok(json!({
        "CALL_ID": call_id, "CRM_CREATED_LEAD": created, "CRM_CREATED_ENTITIES": created_entities,
        "CRM_ENTITY_TYPE": entity_type, "CRM_ENTITY_ID": entity_id,
    }))
}

fn show(inner: &Inner, args: &Args, show: bool) -> Result<Value, RestError> {
    let call_id = args.required("CALL_ID")?;
    let given = args.get("USER_ID");
    let users: Vec<u64> = match given {
        Value::Array(list) => list.iter().filter_map(text).filter_map(|id| id.parse().ok()).collect(),
        one => text(one).and_then(|id| id.parse().ok()).into_iter().collect(),
    };
    let mut state = inner.state();
    let open = |call: &&mut Call| call.card.call_id == call_id && call.card.end.is_none();
    let Some(call) = state.phone_calls.iter_mut().find(open) else { return Ok(json!(false)) };
    for user in users {
        call.card.shown_to.retain(|shown| *shown != user);
        if show {
            call.card.shown_to.push(user);
            call.card.was_shown_to.push(user);
        }
    }
    Ok(json!(true))
}

fn finish(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let Value::String(call_id) = args.get("CALL_ID") else {
        return Err(fail(400, "INVALID_ARGUMENT", "CALL_ID should be a string"));
    };
    let mut state = inner.state();
    let known =
        state.phone_calls.iter().position(|call| call.card.call_id == *call_id && call.card.end.is_none());
    let index =
        known.ok_or_else(|| core("Call is not found (call should be registered prior to finishing"))?;
    let user_id = user(&state, args)?;
    let duration = args.int("DURATION").unwrap_or(0);
    let by_default = if duration > 0 { "200" } else { "304" };
    let status_code = args.text("STATUS_CODE").unwrap_or_else(|| by_default.to_owned());
    let (id, activity) = (state.new_id(), state.new_id());
    let Some(call) = state.phone_calls.get_mut(index) else { return Err(core("Call is not found")) };
    let card = &mut call.card;
    card.shown_to.clear();
    let reason = args.text("FAILED_REASON").unwrap_or_default();
    card.end =
        Some(SimCallEnd { duration, status_code: status_code.clone(), user_id, reason: reason.clone() });
    Ok(json!({
        "ID": id, "CALL_ID": call_id, "EXTERNAL_CALL_ID": card.external_id, "PORTAL_USER_ID": user_id,
        "PHONE_NUMBER": card.number, "CALL_DURATION": duration, "CALL_STATUS": u8::from(duration > 0),
        "CALL_FAILED_CODE": status_code, "CALL_FAILED_REASON": reason, "CRM_ACTIVITY_ID": activity,
        "CRM_ENTITY_TYPE": card.entity.as_ref().map(|(kind, _)| kind.clone()),
        "CRM_ENTITY_ID": card.entity.as_ref().map(|(_, id)| id),
    }))
}

fn search(inner: &Inner, args: &Args) -> Result<Value, RestError> {
    let number = args.required("PHONE_NUMBER")?;
    let wanted = digits(&number);
    let state = inner.state();
    let found = state.entities.iter().filter(|entity| entity.digits == wanted);
    Ok(found
        .map(|entity| {
            let inner_phone = state.users.get(&entity.assigned_by).map(|user| user.inner_phone.clone());
            json!({
                "CRM_ENTITY_TYPE": entity.kind, "CRM_ENTITY_ID": entity.id,
                "ASSIGNED_BY_ID": entity.assigned_by, "NAME": entity.name,
                "ASSIGNED_BY": {
                    "ID": entity.assigned_by.to_string(), "TIMEMAN_STATUS": "NOT_INSTALLED",
                    "USER_PHONE_INNER": inner_phone.unwrap_or_default(), "WORK_PHONE": "",
                    "PERSONAL_PHONE": "", "PERSONAL_MOBILE": "",
                },
            })
        })
        .collect())
}

fn line_add(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let number = args.required("NUMBER")?;
    let mut state = inner.state();
    if state.phone_lines.iter().any(|line| line.client_id == caller.client_id && line.number == number) {
        return Err(core("Line already exists"));
    }
    let id = state.new_id();
    state.phone_lines.push(PhoneLine {
        client_id: caller.client_id.clone(),
        number,
        name: args.text("NAME").unwrap_or_default(),
        crm_create: args.text("CRM_AUTO_CREATE").as_deref() != Some("N"),
    });
    Ok(json!({ "ID": id }))
}

fn lines(inner: &Inner, caller: &Caller) -> Value {
    let state = inner.state();
    let mine = state.phone_lines.iter().filter(|line| line.client_id == caller.client_id);
    mine.map(shown_line).collect()
}

fn shown_line(line: &PhoneLine) -> Value {
    let crm = if line.crm_create { "Y" } else { "N" };
    json!({"NUMBER": line.number, "NAME": line.name, "CRM_AUTO_CREATE": crm})
}

fn line_update(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let number = args.required("NUMBER")?;
    let mut state = inner.state();
    let mine = |line: &&mut PhoneLine| line.client_id == caller.client_id && line.number == number;
    let line = state.phone_lines.iter_mut().find(mine).ok_or_else(|| core("Line is not found"))?;
    if let Some(name) = args.text("NAME") {
        line.name = name;
    }
    if let Some(crm) = args.text("CRM_AUTO_CREATE") {
        line.crm_create = crm != "N";
    }
    Ok(json!([]))
}

impl State {
    fn entity_of(&self, number: &str) -> Option<&Entity> {
        let wanted = digits(number);
        self.entities.iter().find(|entity| entity.digits == wanted)
    }

    /// An unknown line of a call is made.
    fn ensure_line(&mut self, client_id: &str, number: &str) {
        let known = |line: &PhoneLine| line.client_id == client_id && line.number == number;
        if !number.is_empty() && !self.phone_lines.iter().any(known) {
            let line = PhoneLine {
                client_id: client_id.to_owned(),
                number: number.to_owned(),
                name: number.to_owned(),
                crm_create: true,
            };
            self.phone_lines.push(line);
        }
    }
}

impl SimPortal {
    /// Calls that were registered, the oldest first.
    pub fn cards(&self) -> Vec<SimCard> {
        self.inner.state().phone_calls.iter().map(|call| call.card.clone()).collect()
    }

    /// Lines of the telephony as `telephony.externalLine.get` shows them.
    pub fn phone_lines(&self) -> Vec<Value> {
        self.inner.state().phone_lines.iter().map(shown_line).collect()
    }

    /// A contact of the CRM with a number; gives its id.
    pub fn add_crm_contact(&self, name: &str, number: &str, assigned_by: u64) -> u64 {
        let mut state = self.inner.state();
        let id = state.new_id();
        let digits = digits(number);
        state.entities.push(Entity { kind: "CONTACT", id, digits, name: name.to_owned(), assigned_by });
        id
    }

    /// The application gets a scope more.
    pub fn grant(&self, client_id: &str, scope: &str) {
        if let Some(app) = self.inner.state().apps.get_mut(client_id) {
            app.scopes.push(scope.to_owned());
        }
    }

    /// A user leaves the company: calls for them are refused.
    pub fn dismiss(&self, user_id: u64) {
        self.inner.state().dismissed.insert(user_id);
    }
}
