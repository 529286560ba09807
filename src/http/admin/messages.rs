//! Messages: the ledger to search, and one message's whole way.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{NaiveDateTime, TimeDelta};
use serde::Deserialize;

use super::jobs;
use super::list::{Badge, Cell, Filter, ListPage, Table, Tone, cut, page, time};
use super::refusal::Refusal;
use super::texts::Say;
use super::visit::{Shell, Visit, render};
use crate::domain::{DeliveryState, Direction};
use crate::http::State;
use crate::http::redact::redacted;
use crate::store::chats;
use crate::store::events::{self, EventRow};
use crate::store::jobs::{self as job_store, JobRow};
use crate::store::messages::{self, LedgerFilter, MessageRow};

type Answer = Result<HttpResponse, Refusal>;

/// Signs of a text in a list.
const SHORT: usize = 120;

/// What is searched for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    q: String,
    status: String,
    phone: String,
    direction: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    s: Shell,
    outbound: bool,
    text: String,
    state: Badge,
    way: Vec<Station>,
    facts: Vec<(String, Cell)>,
    table: Table,
    empty: String,
    payload: String,
    events: Vec<(String, String)>,
}

/// One station of a message's way.
struct Station {
    name: String,
    at: Option<String>,
    note: String,
    class: &'static str,
}

/// `GET /admin/messages/`
pub(super) async fn list(visit: Visit, state: web::Data<State>, query: web::Query<Query>) -> Answer {
    let query = query.into_inner();
    let filter = filter_of(&query);
    let wanted = page(query.cursor.as_deref());
    let found = state.db.read(move |conn| {
        let rows = messages::list(conn, &filter, &wanted)?;
        let mut ids: Vec<String> = rows.iter().map(|row| row.chat_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok((rows, chats::people(conn, &ids)?))
    });
    let (mut rows, people) = found.await?;
    let next = cut(&mut rows, |row| &row.id);
    let (say, snapshot) = (&visit.say, state.directory.now());
    let heads =
        ["messages.when", "messages.way", "messages.person", "messages.text", "list.state", "phones.number"];
    let mut table = Table { heads: heads.map(|key| say.t(key).to_owned()).to_vec(), rows: Vec::new() };
    for row in rows {
        let person = people.iter().find(|person| person.chat_id == row.chat_id);
        let phone = snapshot.phones.iter().find(|phone| phone.key.as_str() == row.phone_id);
        table.rows.push(vec![
            Cell::Time(time(row.created_at)),
            Cell::Text(say.word("direction", &row.direction)),
            Cell::Text(person.map(person_text).unwrap_or_default()),
            Cell::Link(format!("/admin/messages/{}/", row.id), short(say, &row)),
            Cell::State(state_badge(say, &row.state)),
            Cell::Text(phone.map(|phone| format!("+{}", phone.number)).unwrap_or_default()),
        ]);
    }
    let lead = say.t("messages.lead");
    let mut page = ListPage::new(visit.title("menu.messages"), lead, say.t("messages.empty"), table);
    page.filters = filters(say, &query, &state);
    page.next = next.map(|cursor| {
        address(
            &[
                ("q", &query.q),
                ("status", &query.status),
                ("phone", &query.phone),
                ("direction", &query.direction),
            ],
            &cursor,
        )
    });
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/messages/{id}/`
pub(super) async fn show(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    let id = id.into_inner();
    let found = state.db.read(move |conn| {
        let Some(row) = messages::get(conn, &id)? else { return Ok(None) };
        let jobs = job_store::around_message(conn, &row.id, row.job_id.as_deref())?;
        let people = chats::people(conn, std::slice::from_ref(&row.chat_id))?;
        let from = row.created_at.and_utc() - TimeDelta::minutes(1);
        let events = match &row.wamid {
            Some(wamid) => events::naming(conn, wamid, from, from + TimeDelta::days(2))?,
            None => Vec::new(),
        };
        Ok(Some((row, jobs, people, events)))
    });
    let (row, jobs, people, events) = found.await?.ok_or(Refusal::Missing)?;
    let say = &visit.say;
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let mut facts = vec![
        fact("messages.person", Cell::Text(people.first().map(person_text).unwrap_or_default())),
        fact("messages.kind", Cell::Text(say.word("kind", &row.kind))),
        fact("messages.wamid", Cell::Code(row.wamid.clone().unwrap_or_default())),
        fact("messages.im", row.im_message_id.clone().map_or_else(|| Cell::Text("—".to_owned()), Cell::Code)),
        fact("messages.chat", Cell::Code(row.chat_id.clone())),
    ];
    if let Some(media) = &row.media_state {
        facts.push(fact("messages.media", Cell::Text(media.clone())));
    }
    if row.maybe_twice {
        facts.push(fact("messages.twice", Cell::State(Badge::new(Tone::Warn, say.t("messages.twice_text")))));
    }
    let page = MessagePage {
        s: visit.title("messages.one"),
        outbound: row.direction == Direction::Outbound.as_str(),
        text: row.body.clone(),
        state: state_badge(say, &row.state),
        way: way(say, &row, &jobs, &events),
        facts,
        table: jobs::table(say, &jobs),
        empty: say.t("messages.no_jobs").to_owned(),
        payload: pretty(&row.payload),
        events: events
            .iter()
            .map(|event| (format!("{} · {}", time(event.created_at), event.field), pretty(&event.payload)))
            .collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// A payload as people read it.
pub(super) fn pretty(payload: &str) -> String {
    match redacted(payload) {
        serde_json::Value::String(text) => text,
        value => serde_json::to_string_pretty(&value).unwrap_or_default(),
    }
}

/// A message's state, as it looks.
pub(super) fn state_badge(say: &Say, state: &str) -> Badge {
    let tone = match DeliveryState::parse(state) {
        Some(DeliveryState::Failed) => Tone::Bad,
        Some(DeliveryState::Pending) | None => Tone::Warn,
        Some(_) => Tone::Good,
    };
    Badge::new(tone, say.word("delivery", state))
}

/// The address of the next page with the same filter.
pub(super) fn address(filter: &[(&str, &str)], cursor: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in filter.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    query.append_pair("cursor", cursor);
    format!("?{}", query.finish())
}

fn filter_of(query: &Query) -> LedgerFilter {
    let words = query.q.trim().replace('\0', "");
    let is_wamid = words.starts_with("wamid.");
    LedgerFilter {
        phone_id: Some(query.phone.replace('\0', "")).filter(|phone| !phone.is_empty()),
        state: DeliveryState::parse(&query.status),
        direction: [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .find(|way| way.as_str() == query.direction),
        wamid: Some(words.clone()).filter(|_| is_wamid),
        words: Some(words).filter(|words| !words.is_empty() && !is_wamid),
        ..LedgerFilter::default()
    }
}

fn filters(say: &Say, query: &Query, state: &State) -> Vec<Filter> {
    let all = || vec![(String::new(), say.t("list.all").to_owned())];
    let mut states = all();
    states.extend(
        DeliveryState::ALL
            .iter()
            .map(|state| (state.as_str().to_owned(), say.word("delivery", state.as_str()))),
    );
    let mut phones = all();
    phones.extend(
        state
            .directory
            .now()
            .phones
            .iter()
            .map(|phone| (phone.key.to_string(), format!("+{}", phone.number))),
    );
    let mut ways = all();
    ways.extend(["inbound", "outbound"].map(|way| (way.to_owned(), say.word("direction", way))));
    let filter = |name, key: &str, value: &str, choices| Filter {
        name,
        label: say.t(key).to_owned(),
        value: value.to_owned(),
        choices,
    };
    vec![
        filter("q", "messages.q", &query.q, Vec::new()),
        filter("status", "list.state", &query.status, states),
        filter("direction", "messages.way", &query.direction, ways),
        filter("phone", "phones.number", &query.phone, phones),
    ]
}

fn person_text(person: &chats::ChatPerson) -> String {
    let address = match (&person.wa_id, &person.username, &person.user_id) {
        (Some(number), _, _) => format!("+{number}"),
        (None, Some(name), _) => format!("@{name}"),
        (None, None, id) => id.clone().unwrap_or_default(),
    };
    format!("{} {address}", person.name).trim().to_owned()
}

fn short(say: &Say, row: &MessageRow) -> String {
    let text: String = row.body.chars().take(SHORT).collect();
    match text.trim() {
        "" => format!("[{}]", say.word("kind", &row.kind)),
        text if row.body.chars().count() > SHORT => format!("{text}…"),
        text => text.to_owned(),
    }
}

/// Received, stored, translated, sent, answered, and the states that followed.
fn way(say: &Say, row: &MessageRow, jobs: &[JobRow], events: &[EventRow]) -> Vec<Station> {
    let station = |key: &str, at: Option<NaiveDateTime>| Station {
        name: say.t(key).to_owned(),
        at: at.map(time),
        note: String::new(),
        class: if at.is_some() { "" } else { "open" },
    };
    let inbound = row.direction == Direction::Inbound.as_str();
    let mut way = Vec::new();
    if inbound {
        let received = events.first().map(|event| event.created_at).unwrap_or(row.created_at);
        way.push(station("way.webhook", Some(received.min(row.created_at))));
        way.push(station("way.stored", Some(row.created_at)));
    } else {
        way.push(station("way.operator", Some(row.created_at)));
    }
    for job in jobs.iter().filter(|job| job.attempts > 0 || job.last_error.is_some()) {
        let mut tried = station("way.tried", job.finished_at.or(Some(job.created_at)));
        tried.name = say.t1("way.tried", &job.attempts);
        tried.note = job.last_error.clone().unwrap_or_default();
        tried.class = if job.state == "dead" { "bad" } else { "" };
        way.push(tried);
    }
    if inbound {
        way.push(station("way.relayed", row.relayed_at));
    } else {
        way.push(station("way.accepted", row.accepted_at));
        way.push(station("way.sent", row.sent_at));
        way.push(station("way.delivered", row.delivered_at));
        way.push(station("way.read", row.read_at));
    }
    if row.failed_at.is_some() || row.error_text.is_some() {
        let mut failed = station("way.failed", row.failed_at);
        let code = row.error_code.map(|code| format!("{code}: ")).unwrap_or_default();
        failed.note = format!("{code}{}", row.error_text.as_deref().unwrap_or_default());
        failed.class = "bad";
        way.push(failed);
    }
    way
}
