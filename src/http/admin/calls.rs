//! Calls: records to search, and one call: what happened on both legs, how it ended, and what the other side
//! looked like when it came.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::list::{Badge, Cell, Filter, ListPage, Table, Tone, cut, page, time};
use super::messages::address;
use super::refusal::Refusal;
use super::texts::Say;
use super::visit::{Shell, Visit, render};
use crate::calls::words;
use crate::http::State;
use crate::store::call_cards::{self, CardRow};
use crate::store::calls::timeline::{self, Moment};
use crate::store::calls::{self, CallFilter, CallRow};
use crate::whatsapp::error::call_fault;

type Answer = Result<HttpResponse, Refusal>;

const STATES: [&str; 5] = ["trying", "ringing", "answered", "ended", "reported"];
const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];

/// Which calls are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    q: String,
    state: String,
    direction: String,
    phone: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "call.html")]
struct CallPage {
    s: Shell,
    state: Badge,
    ending: String,
    moments: Vec<Station>,
    facts: Vec<(String, Cell)>,
    contact: Vec<(String, Cell)>,
    headers: String,
    offer: String,
    timings: Vec<(String, String)>,
    errors: Vec<MetaFault>,
}

/// A moment of the timeline.
struct Station {
    name: String,
    leg: String,
    at: String,
    after: String,
    note: String,
    class: &'static str,
}

#[derive(Deserialize)]
struct MetaFault {
    code: i64,
    title: String,
    #[serde(skip)]
    explanation: String,
}

/// `GET /admin/calls/`
pub(super) async fn list(visit: Visit, state: web::Data<State>, query: web::Query<Query>) -> Answer {
    let query = query.into_inner();
    let filter = filter_of(&query);
    let wanted = page(query.cursor.as_deref());
    let mut rows = state.db.read(move |conn| calls::list(conn, &filter, &wanted)).await?;
    let next = cut(&mut rows, |row| &row.id);
    let say = &visit.say;
    let heads = [
        "messages.when",
        "messages.way",
        "messages.person",
        "list.state",
        "calls.ending",
        "calls.duration",
        "phones.number",
    ];
    let mut table = Table { heads: heads.map(|key| say.t(key).to_owned()).to_vec(), rows: Vec::new() };
    for row in rows {
        table.rows.push(vec![
            Cell::Link(format!("/admin/calls/{}/", row.id), time(row.created_at)),
            Cell::Text(say.word("direction", &row.direction)),
            Cell::Text(person(&row)),
            Cell::State(badge(say, &row)),
            Cell::Text(ending(say, &row)),
            Cell::Text(row.seconds().map(clock).unwrap_or_default()),
            Cell::Text(number_of(&state, &row)),
        ]);
    }
    let lead = say.t("calls.lead");
    let mut page = ListPage::new(visit.title("menu.calls"), lead, say.t("calls.empty"), table);
    page.filters = filters(say, &query, &state);
    let kept = [
        ("q", query.q.as_str()),
        ("state", &query.state),
        ("direction", &query.direction),
        ("phone", &query.phone),
    ];
    page.next = next.map(|cursor| address(&kept, &cursor));
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/calls/{id}/`
pub(super) async fn show(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    let id = id.into_inner();
    let found = state.db.read(move |conn| Ok((calls::get(conn, &id)?, call_cards::get(conn, &id)?))).await?;
    let (Some(row), card) = found else { return Err(Refusal::Missing) };
    let say = &visit.say;
    let moments = timeline::read(&row.timeline);
    let report: Value = serde_json::from_str(&row.report).unwrap_or_default();
    let page = CallPage {
        s: visit.title("calls.one"),
        state: badge(say, &row),
        ending: ending(say, &row),
        moments: stations(say, &row, &moments),
        facts: facts(say, &state, &row, card),
        contact: contact(say, &report),
        headers: lines(&report, "headers"),
        offer: lines(&report, "offer"),
        timings: timings(say, &moments),
        errors: errors(say, row.meta_errors.as_deref()),
    };
    Ok(render(StatusCode::OK, &page))
}

fn filter_of(query: &Query) -> CallFilter {
    let text = |text: &str| Some(text.trim().replace('\0', "")).filter(|text| !text.is_empty());
    let known = |text: &str, of: &[&str]| of.iter().find(|one| **one == text).map(|one| (*one).to_owned());
    CallFilter {
        phone_id: text(&query.phone),
        state: known(&query.state, &STATES),
        direction: known(&query.direction, &DIRECTIONS),
        words: text(&query.q),
        ..CallFilter::default()
    }
}

fn filters(say: &Say, query: &Query, state: &State) -> Vec<Filter> {
    let all = || vec![(String::new(), say.t("list.all").to_owned())];
    let words = |group: &str, of: &[&str]| {
        let known = of.iter().map(|word| ((*word).to_owned(), say.word(group, word)));
        all().into_iter().chain(known).collect::<Vec<_>>()
    };
    let snapshot = state.directory.now();
    let numbers = snapshot.phones.iter().map(|phone| (phone.key.to_string(), format!("+{}", phone.number)));
    let filter = |name, key: &str, value: &str, choices| Filter {
        name,
        label: say.t(key).to_owned(),
        value: value.to_owned(),
        choices,
    };
    vec![
        filter("q", "calls.q", &query.q, Vec::new()),
        filter("state", "list.state", &query.state, words("call_state", &STATES)),
        filter("direction", "messages.way", &query.direction, words("direction", &DIRECTIONS)),
        filter("phone", "phones.number", &query.phone, all().into_iter().chain(numbers).collect()),
    ]
}

fn badge(say: &Say, row: &CallRow) -> Badge {
    let tone = match (row.state.as_str(), row.end_cause.as_deref()) {
        ("ended", Some("hung_up" | "cancelled")) => Tone::Good,
        ("ended", Some("declined" | "no_answer" | "no_permission" | "stopped")) => Tone::Warn,
        ("ended" | "reported", _) => Tone::Bad,
        _ => Tone::Calm,
    };
    Badge::new(tone, say.word("call_state", &row.state))
}

fn ending(say: &Say, row: &CallRow) -> String {
    let words = words::end_in(row, say.language()).unwrap_or_default();
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn person(row: &CallRow) -> String {
    let address = match (&row.peer_digits, &row.peer_user_id) {
        (Some(digits), _) => format!("+{digits}"),
        (None, id) => id.clone().unwrap_or_default(),
    };
    format!("{} {address}", row.peer_name.as_deref().unwrap_or_default()).trim().to_owned()
}

fn number_of(state: &State, row: &CallRow) -> String {
    let snapshot = state.directory.now();
    let phone = row.phone_id.as_deref().and_then(|id| snapshot.phone(&id.into()));
    phone.map(|phone| format!("+{}", phone.number)).unwrap_or_default()
}

/// Minutes and seconds.
fn clock(seconds: i64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn facts(say: &Say, state: &State, row: &CallRow, card: Option<CardRow>) -> Vec<(String, Cell)> {
    let mut facts = Vec::new();
    let mut add = |key: &str, cell: Option<Cell>| {
        if let Some(cell) = cell {
            facts.push((say.t(key).to_owned(), cell));
        }
    };
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty()).map(Cell::Text);
    let code = |value: &Option<String>| value.clone().filter(|value| !value.is_empty()).map(Cell::Code);
    add("messages.when", Some(Cell::Time(time(row.created_at))));
    add("messages.way", Some(Cell::Text(say.word("direction", &row.direction))));
    add("messages.person", Some(Cell::Text(person(row))));
    add("phones.number", Some(Cell::Text(number_of(state, row))));
    add("calls.by", row.ended_by.as_ref().map(|by| Cell::Text(say.word("call_side", by))));
    add("calls.duration", row.seconds().map(|seconds| Cell::Text(clock(seconds))));
    add("calls.meta_duration", row.meta_seconds.map(|seconds| Cell::Text(clock(seconds.into()))));
    add("field.trunk", text(&row.trunk));
    add("calls.target", code(&row.target));
    add("calls.agent", text(&row.agent));
    add("calls.payload", text(&row.payload));
    add("calls.status", row.sip_status.map(|status| Cell::Text(status.to_string())));
    add("calls.q850", row.q850.map(|cause| Cell::Text(cause.to_string())));
    add("calls.meta_status", text(&row.meta_status));
    add("calls.wacid", code(&row.wacid));
    add("calls.sip_call_id", code(&row.sip_call_id));
    if let Some(card) = card {
        let portal = format!("/admin/portals/{}/", card.portal_id);
        add("calls.crm", Some(Cell::Link(portal, card.crm_call_id)));
        let entity = card.entity_type.zip(card.entity_id).map(|(kind, id)| format!("{kind} {id}"));
        add("calls.crm_entity", entity.map(Cell::Text));
        add("calls.crm_activity", card.activity_id.map(Cell::Text));
    }
    facts
}

fn lines(report: &Value, key: &str) -> String {
    let lines = report.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    lines.collect::<Vec<_>>().join("\n")
}

/// What was seen of the first leg's connection.
fn contact(say: &Say, report: &Value) -> Vec<(String, Cell)> {
    let told = |key: &str| report.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let proof = told("proof").map(|proof| Cell::Text(say.word("call_proof", proof)));
    let proof = proof.map(|cell| (say.t("calls.proof").to_owned(), cell));
    [
        ("calls.source", "source"),
        ("calls.tls", "tls_version"),
        ("calls.cipher", "cipher"),
        ("calls.sni", "sni"),
        ("calls.user_agent", "user_agent"),
    ]
    .into_iter()
    .filter_map(|(label, key)| Some((say.t(label).to_owned(), Cell::Code(told(key)?.to_owned()))))
    .chain(proof)
    .collect()
}

fn stations(say: &Say, row: &CallRow, moments: &[Moment]) -> Vec<Station> {
    let first = moments.first().map(|moment| moment.at);
    let (near, far) = match row.direction.as_str() {
        "outbound" => ("trunk", "contact"),
        _ => ("contact", "trunk"),
    };
    let station = |moment: &Moment| {
        let what = moment.what.as_str();
        let leg = match what {
            "arrived" => near,
            "ended" => row.ended_by.as_deref().unwrap_or("bridge"),
            "identified" => "meta",
            what if what.starts_with("meta_") => "meta",
            _ => far,
        };
        // How it ended stands at the head of the page, in words.
        let note = if what == "ended" { ending(say, row) } else { moment.detail.clone().unwrap_or_default() };
        Station {
            name: say.word("moment", what),
            leg: say.word("call_leg", leg),
            at: time(moment.at.naive_utc()),
            after: first.map(|first| after(moment.at, first)).unwrap_or_default(),
            note,
            class: if what == "ended" && badge(say, row).tone == Tone::Bad { "bad" } else { "" },
        }
    };
    moments.iter().map(station).collect()
}

fn after(at: DateTime<Utc>, from: DateTime<Utc>) -> String {
    let milliseconds = (at - from).num_milliseconds();
    format!(
        "{}{}.{:03} s",
        if milliseconds < 0 { "−" } else { "+" },
        milliseconds.abs() / 1000,
        milliseconds.abs() % 1000
    )
}

/// How long each step took.
fn timings(say: &Say, moments: &[Moment]) -> Vec<(String, String)> {
    let at = |what: &str| moments.iter().find(|moment| moment.what == what).map(|moment| moment.at);
    [
        ("timing.forwarded", "arrived", "forwarded"),
        ("timing.ringing", "forwarded", "ringing"),
        ("timing.answered", "arrived", "answered"),
        ("timing.talk", "answered", "ended"),
        ("timing.whole", "arrived", "ended"),
    ]
    .into_iter()
    .filter_map(|(key, from, to)| {
        let took = after(at(to)?, at(from)?);
        Some((say.t(key).to_owned(), took.trim_start_matches('+').to_owned()))
    })
    .collect()
}

fn errors(say: &Say, json: Option<&str>) -> Vec<MetaFault> {
    let mut errors: Vec<MetaFault> =
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    for error in &mut errors {
        error.explanation =
            call_fault(error.code).map(|fault| say.said(fault.explanation)).unwrap_or_default();
    }
    errors
}
