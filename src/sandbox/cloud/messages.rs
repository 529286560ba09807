//! `POST /{phone}/messages` (whatsapp facts §2): accept, answer, and decide what becomes of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use actix_web::HttpResponse;

use super::account::map;
use super::customer::SimCustomer;
use super::errors::GraphError;
use super::faults::SendFault;
use super::ids::digits;
use super::media::refusal;
use super::server::{Call, Reply};
use super::state::{Item, ReceivedMessage, SimStatus, State};
use super::statuses::Due;
use super::tokens::authorize;
use super::validate::{Recipient, Send, check};
use super::{SimCloud, limits, templates};

/// How long an answer waits at most for its statuses to be delivered first.
const STATUS_FIRST: Duration = Duration::from_secs(5);

pub(super) async fn post(cloud: &SimCloud, call: &Call) -> Result<Reply, GraphError> {
    let phone_id = call.segments.first().map(String::as_str).unwrap_or_default();
    let (fault, hang) = {
        let state = &mut *cloud.state();
        (state.faults.draw_send(&mut state.dice), Duration::from_millis(state.faults.hang_ms))
    };
    match fault {
        None | Some(SendFault::LostAnswer) => {}
        Some(SendFault::Dropped) => {
            tokio::time::sleep(hang).await;
            return Ok(Reply::Close);
        }
        Some(SendFault::Html) => {
            let page = "<!DOCTYPE html><html><body>Sorry, something went wrong.</body></html>";
            return Ok(Reply::Other(
                HttpResponse::InternalServerError().content_type("text/html").body(page),
            ));
        }
        Some(fault) => return Err(refuse(fault)),
    }
    let answer = {
        let mut state = cloud.state();
        authorize(&state, call)?;
        let phone = state
            .phone(phone_id)
            .map(|(index, _)| index)
            .ok_or_else(|| GraphError::no_object("post", phone_id))?;
        let body = call.json()?;
        if body.get("status").is_some() {
            mark_read(&mut state, phone, &body)?
        } else {
            let send = check(&body)?;
            accept(cloud, &mut state, phone, body, send)?
        }
    };
    cloud.touch();
    if let Some(wamid) = answer.wamid {
        report(cloud, wamid, answer.statuses).await;
    }
    if fault == Some(SendFault::LostAnswer) {
        tokio::time::sleep(hang).await;
        return Ok(Reply::Close);
    }
    Ok(Reply::ok(answer.body))
}

fn refuse(fault: SendFault) -> GraphError {
    match fault {
        SendFault::Unavailable => GraphError::coded(2, "Temporarily unavailable."),
        SendFault::Throughput => GraphError::coded(130_429, "Cloud API message throughput has been reached."),
        SendFault::PairRate => pair_rate(),
        SendFault::WindowAtOnce => GraphError::coded(131_047, super::errors::usual_details(131_047)),
        _ => GraphError::coded(131_000, "Something went wrong."),
    }
}

fn pair_rate() -> GraphError {
    GraphError::coded(131_056, "Too many messages sent from this number to the same user in a short time.")
}

struct Answer {
    body: Value,
    /// What was accepted, and what is reported of it.
    wamid: Option<String>,
    statuses: Vec<SimStatus>,
}

/// Read marks and typing (facts §2.6): this message and all before it are read by the business.
fn mark_read(state: &mut State, phone: usize, body: &Value) -> Result<Answer, GraphError> {
    if body.get("messaging_product").and_then(Value::as_str) != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    if body.get("status").and_then(Value::as_str) != Some("read") {
        return Err(GraphError::coded(131_009, "status must be read."));
    }
    let wamid = body
        .get("message_id")
        .and_then(Value::as_str)
        .ok_or_else(|| GraphError::coded(131_008, "The parameter message_id is required."))?;
    if let Some((place, item)) = state.item(wamid)
        && item.message.from_customer
        && place.phone == phone
    {
        if let Some(chat) = state.chats.get_mut(&(place.phone, place.customer)) {
            let before = chat.items.iter_mut().take(place.item + 1);
            for item in before.filter(|item| item.message.from_customer) {
                item.message.status = SimStatus::Read;
            }
        }
    } else {
        return Err(GraphError::coded(131_009, "message_id is not a message to this number."));
    }
    Ok(Answer { body: json!({"success": true}), wamid: None, statuses: Vec::new() })
}

fn accept(
    cloud: &SimCloud,
    state: &mut State,
    phone: usize,
    body: Value,
    send: Send,
) -> Result<Answer, GraphError> {
    let options = &cloud.inner.options;
    let now = state.now(cloud.clock());
    let customer = recipient(state, phone, &send.to)?;
    let by_user_id = matches!(send.to, Recipient::UserId(_));
    let Some(business) = state.phones.get_mut(phone) else { return Err(GraphError::no_object("post", "")) };
    if business.node.get("platform_type").and_then(Value::as_str) == Some("NOT_APPLICABLE") {
        return Err(GraphError::coded(133_010, "The phone number is not registered."));
    }
    if let Some(rate) = options.throughput.map(|rate| f64::from(rate_of(&business.node, rate)))
        && !business.bucket.take(rate, rate, now)
    {
        return Err(refuse(SendFault::Throughput));
    }
    let business_id = business.id.clone();
    let waba = state.wabas.get(&business.waba_id);
    let category = match (send.kind.as_str(), waba, body.get("template")) {
        ("template", Some(waba), Some(template)) => Some(templates::check(waba, template, by_user_id)?),
        _ => None,
    };
    for (_, id) in &send.media {
        if !state.media.get(id).is_some_and(|media| media.usable(&business_id, now)) {
            return Err(GraphError::parameter(format_args!("Media with id {id} does not exist.")));
        }
    }
    let chat = state.chats.entry((phone, customer)).or_default();
    if let Some(burst) = options.pair_burst.map(f64::from)
        && !chat.bucket.take(burst, 1.0 / 6.0, now)
    {
        return Err(pair_rate());
    }
    let window_open = chat.last_inbound.is_some_and(|at| now - at < TimeDelta::hours(24));
    let doom = doom(state, customer, &send, &body, window_open);
    let doom = doom.or_else(|| {
        let counts = category.is_some() && !window_open;
        (counts && !limits::admit(state, phone, customer, now)).then_some(131_048)
    });

    let known = state.customers.get(customer).map(|known| known.seen.clone()).unwrap_or_default();
    let person = known.wa_id.clone().or(known.user_id.clone()).unwrap_or_default();
    let wamid = state.rng.wamid(&person, true);
    let (answer, to) = answer(&send, &known, &wamid);
    state.accepted += 1;
    let seq = state.next_seq();
    if options.quiet {
        return Ok(Answer { body: answer, wamid: None, statuses: Vec::new() });
    }
    let statuses = plan(state, phone, customer, &send.kind, doom);
    keep(
        state,
        (phone, customer),
        Kept { send, body, to, wamid: wamid.clone(), seq, now, by_user_id, category, doom, window_open },
    );
    Ok(Answer { body: answer, wamid: Some(wamid), statuses })
}

/// Sends a second that this number may make, by its level; `standard` where that says nothing else (facts §6.1).
fn rate_of(number: &Map<String, Value>, standard: u32) -> u32 {
    let level = number.get("throughput").and_then(|throughput| throughput.get("level")?.as_str());
    match (number.get("is_on_biz_app").and_then(Value::as_bool), level) {
        (Some(true), _) => standard.min(20),
        (_, Some("HIGH")) => 1_000,
        _ => standard,
    }
}

struct Kept {
    send: Send,
    body: Value,
    to: String,
    wamid: String,
    seq: u64,
    now: DateTime<Utc>,
    by_user_id: bool,
    category: Option<String>,
    doom: Option<u32>,
    window_open: bool,
}

fn keep(state: &mut State, (phone, customer): (usize, usize), kept: Kept) {
    let message = ReceivedMessage {
        wamid: kept.wamid,
        from_customer: false,
        to: kept.to,
        body: kept.body,
        seq: kept.seq,
        at: kept.now,
        status: SimStatus::Accepted,
        failed: kept.doom,
        media: None,
    };
    let item = Item {
        message,
        kind: kept.send.kind,
        opaque: kept.send.opaque,
        by_user_id: kept.by_user_id,
        category: kept.category,
        doom: kept.doom,
        media_id: kept.send.media.into_iter().next().map(|(_, id)| id),
        window_open: kept.window_open,
    };
    state.keep(phone, customer, item);
}

/// Who gets it. A number that nobody has used yet is somebody new; an unknown user id is nobody.
fn recipient(state: &mut State, phone: usize, to: &Recipient) -> Result<usize, GraphError> {
    match to {
        Recipient::UserId(id) => {
            if let Some(index) = state.customer(id) {
                return Ok(index);
            }
            let index = state.meet(&SimCustomer::with_user_id(id, ""));
            if let Some(customer) = state.customers.get_mut(index) {
                customer.on_whatsapp = false;
            }
            Ok(index)
        }
        Recipient::Number(written) => {
            let business = state.phones.get(phone);
            let mut number = digits(written);
            if !written.trim_start().starts_with('+')
                && !state.by_number.contains_key(&number)
                && let Some(code) = business.and_then(|business| business.country_code())
            {
                number.insert_str(0, &code);
            }
            if business.is_some_and(|business| business.display_digits() == number) {
                return Err(GraphError::coded(131_021, "Recipient cannot be sender."));
            }
            let number = state.number_aliases.get(&number).cloned().unwrap_or(number);
            if let Some(index) = state.by_number.get(&number) {
                return Ok(*index);
            }
            let user_id = state.rng.user_id();
            Ok(state.meet(&SimCustomer {
                wa_id: Some(number),
                user_id: Some(user_id),
                ..SimCustomer::default()
            }))
        }
    }
}

/// The code of the failed status that this send will end in, although it is accepted.
fn doom(state: &mut State, customer: usize, send: &Send, body: &Value, window_open: bool) -> Option<u32> {
    let drawn = state.faults.draw_failure();
    let there = state.customers.get(customer).is_some_and(|customer| {
        let absent = customer.seen.wa_id.as_ref().is_some_and(|number| state.absent.contains(number));
        customer.on_whatsapp && !absent
    });
    if drawn.is_some() {
        return drawn;
    }
    if !there {
        return Some(131_026);
    }
    if !window_open && send.kind != "template" {
        return Some(131_047);
    }
    if send.kind == "reaction" {
        let target = body.pointer("/reaction/message_id").and_then(Value::as_str).unwrap_or_default();
        let found = state
            .item(target)
            .is_some_and(|(place, item)| place.customer == customer && item.kind != "reaction");
        return (!found).then_some(131_009);
    }
    // This cloud has no way out, so what it should fetch by a link always fails.
    let voice = body.pointer("/audio/voice").and_then(Value::as_bool).unwrap_or(false);
    let unfit = send
        .media
        .iter()
        .any(|(kind, id)| state.media.get(id).is_none_or(|media| refusal(kind, voice, media).is_some()));
    (send.linked || unfit).then_some(131_053)
}

/// The body of the answer (facts §2.1), and the recipient as written.
fn answer(send: &Send, known: &SimCustomer, wamid: &str) -> (Value, String) {
    let mut contact = Map::new();
    let input = match &send.to {
        Recipient::Number(number) => {
            if let Some(wa_id) = &known.wa_id {
                contact.insert("wa_id".into(), wa_id.as_str().into());
            }
            number
        }
        Recipient::UserId(id) => id,
    };
    contact.insert("input".into(), input.as_str().into());
    if let Some(user_id) = &known.user_id {
        contact.insert("user_id".into(), user_id.as_str().into());
    }
    let mut message = map(json!({ "id": wamid }));
    if send.kind == "template" {
        message.insert("message_status".into(), "accepted".into());
    }
    let body = json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]});
    (body, input.clone())
}

/// Which statuses follow by themselves.
fn plan(state: &mut State, phone: usize, customer: usize, kind: &str, doom: Option<u32>) -> Vec<SimStatus> {
    if doom.is_some() {
        return vec![SimStatus::Failed];
    }
    if kind == "reaction" {
        return vec![SimStatus::Sent];
    }
    let open = state.chats.get(&(phone, customer)).is_some_and(|chat| chat.open);
    let mut statuses = vec![SimStatus::Sent, if open { SimStatus::Read } else { SimStatus::Delivered }];
    if state.faults.statuses_reversed {
        statuses.reverse();
    }
    statuses
}

/// Hands the statuses on: after a while, or now and before the answer.
async fn report(cloud: &SimCloud, wamid: String, statuses: Vec<SimStatus>) {
    let first = cloud.state().faults.status_before_answer;
    if !first {
        let delay = cloud.inner.options.status_delay;
        let wait = (!delay.is_zero()).then(|| {
            // The clock of the runtime that waits, not of the server's thread that ends before it.
            let _guard = cloud.inner.runtime.enter();
            Box::pin(tokio::time::sleep(delay))
        });
        // The receiver ends only with the cloud.
        let _ = cloud.inner.due.send(Due { wait, wamid, statuses, done: None });
        return;
    }
    let (done, mut all_done) = mpsc::channel(1);
    let _ = cloud.inner.due.send(Due { wait: None, wamid, statuses, done: Some(done) });
    // Ends when the last update that bears the sender has been delivered.
    let _ = tokio::time::timeout(STATUS_FIRST, all_done.recv()).await;
}
