//! Jobs: what waits, and what needs a person: run again, or given up with a reason.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::form::{Fault, Field, Form};
use super::list::{Badge, Cell, Deed, Filter, ListPage, Table, Tone, cut, page, time};
use super::messages::{address, pretty};
use super::refusal::Refusal;
use super::texts::Say;
use super::visit::{Shell, Visit, go, render};
use crate::http::State;
use crate::store::audit::{self, AuditFilter};
use crate::store::jobs::{self, JobFilter, JobRow};

type Answer = Result<HttpResponse, Refusal>;

const STATES: [&str; 5] = ["dead", "ready", "running", "done", "dropped"];
const KINDS: [&str; 15] = [
    "message",
    "file",
    "note",
    "update",
    "delete",
    "acknowledge",
    "send",
    "fetch",
    "mark_read",
    "sms",
    "sms_status",
    "comment",
    "call_register",
    "call_answered",
    "call_finish",
];

/// Which jobs are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    state: Option<String>,
    kind: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    s: Shell,
    id: String,
    state: Badge,
    dead: bool,
    error: String,
    facts: Vec<(String, Cell)>,
    payload: String,
    reason: Vec<Field>,
    history: Vec<(String, String)>,
    fault: Fault,
}

/// `GET /admin/jobs/`
pub(super) async fn list(visit: Visit, state: web::Data<State>, query: web::Query<Query>) -> Answer {
    let query = query.into_inner();
    // Whoever comes here looks for what got stuck.
    let wanted_state = query.state.clone().unwrap_or_else(|| "dead".to_owned());
    let known =
        |text: &str, of: &[&str]| of.iter().find(|word| **word == text).map(|word| (*word).to_owned());
    let filter =
        JobFilter { state: known(&wanted_state, &STATES), kind: known(&query.kind, &KINDS), queue: None };
    let wanted = page(query.cursor.as_deref());
    let searched = filter.clone();
    let mut rows = state.db.read(move |conn| jobs::search(conn, &searched, &wanted)).await?;
    let next = cut(&mut rows, |row| &row.id);
    let say = &visit.say;
    let any_dead = rows.iter().any(|row| row.state == "dead");
    let lead = say.t("jobs.lead");
    let mut page = ListPage::new(visit.title("menu.jobs"), lead, say.t("jobs.empty"), table(say, &rows));
    let choices = |group: &str, of: &[&str]| {
        let mut all = vec![(String::new(), say.t("list.all").to_owned())];
        all.extend(of.iter().map(|word| ((*word).to_owned(), say.word(group, word))));
        all
    };
    for (name, key, value, choices) in [
        ("state", "list.state", wanted_state.clone(), choices("job_state", &STATES)),
        ("kind", "jobs.kind", query.kind.clone(), choices("job_kind", &KINDS)),
    ] {
        page.filters.push(Filter { name, label: say.t(key).to_owned(), value, choices });
    }
    if any_dead && wanted_state == "dead" {
        let all = filter.kind.is_none();
        page.deeds.push(Deed {
            action: "/admin/jobs/retry".to_owned(),
            label: say.t(if all { "jobs.retry_all" } else { "jobs.retry_filtered" }).to_owned(),
            question: say.t("jobs.retry_question").to_owned(),
            hidden: vec![("kind".to_owned(), filter.kind.unwrap_or_default())],
        });
    }
    page.next = next.map(|cursor| address(&[("state", &wanted_state), ("kind", &query.kind)], &cursor));
    Ok(render(StatusCode::OK, &page))
}

/// `POST /admin/jobs/retry`: all that the filter names.
pub(super) async fn retry_all(visit: Visit, state: web::Data<State>, form: Form) -> Answer {
    let kind = KINDS.iter().find(|kind| **kind == form.get("kind")).map(|kind| (*kind).to_owned());
    visit.setup(&state).retry_jobs(JobFilter { kind, ..JobFilter::default() }).await?;
    Ok(go("/admin/jobs/", "retried"))
}

/// `GET /admin/jobs/{id}/`
pub(super) async fn show(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    draw(&visit, &state, &id, Fault::default()).await
}

/// `POST /admin/jobs/{id}/retry`
pub(super) async fn retry(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    _form: Form,
) -> Answer {
    match visit.setup(&state).retry_job(&id).await {
        Ok(_) => Ok(go("/admin/jobs/", "retried")),
        Err(error) => draw(&visit, &state, &id, Fault::of(error, &visit.say)?).await,
    }
}

/// `POST /admin/jobs/{id}/drop`
pub(super) async fn give_up(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    form: Form,
) -> Answer {
    let Some(reason) = form.option("reason") else {
        let fault = Fault::field(&visit.say, "reason", "must not be empty");
        return draw(&visit, &state, &id, fault).await;
    };
    match visit.setup(&state).drop_job(&id, Some(&reason)).await {
        Ok(_) => Ok(go("/admin/jobs/", "dropped")),
        Err(error) => draw(&visit, &state, &id, Fault::of(error, &visit.say)?).await,
    }
}

/// Jobs as rows.
pub(super) fn table(say: &Say, rows: &[JobRow]) -> Table {
    let heads = ["messages.when", "jobs.kind", "list.state", "jobs.attempts", "jobs.error"];
    let row = |job: &JobRow| {
        vec![
            Cell::Time(time(job.created_at)),
            Cell::Link(format!("/admin/jobs/{}/", job.id), say.word("job_kind", &job.kind)),
            Cell::State(badge(say, &job.state)),
            Cell::Text(job.attempts.to_string()),
            Cell::Text(job.last_error.clone().unwrap_or_default()),
        ]
    };
    Table { heads: heads.map(|key| say.t(key).to_owned()).to_vec(), rows: rows.iter().map(row).collect() }
}

fn badge(say: &Say, state: &str) -> Badge {
    let tone = match state {
        "dead" => Tone::Bad,
        "done" => Tone::Good,
        "ready" | "running" => Tone::Warn,
        _ => Tone::Calm,
    };
    Badge::new(tone, say.word("job_state", state))
}

async fn draw(visit: &Visit, state: &State, id: &str, mut fault: Fault) -> Answer {
    let row = state.setup.job(id).await?;
    let filter = AuditFilter { object_id: Some(row.id.clone()), actor: None };
    let wanted = page(None);
    let history = state.db.read(move |conn| audit::list(conn, &filter, &wanted)).await?;
    let say = &visit.say;
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let mut facts = vec![
        fact("jobs.kind", Cell::Text(say.word("job_kind", &row.kind))),
        fact("messages.when", Cell::Time(time(row.created_at))),
        fact("jobs.attempts", Cell::Text(row.attempts.to_string())),
        fact("jobs.queue", Cell::Code(row.queue.clone())),
    ];
    if let Some(message) = &row.message_id {
        facts.push(fact("messages.one", Cell::Link(format!("/admin/messages/{message}/"), message.clone())));
    }
    if let Some(at) = row.not_before {
        facts.push(fact("jobs.not_before", Cell::Time(time(at))));
    }
    if let Some(at) = row.finished_at {
        facts.push(fact("jobs.finished", Cell::Time(time(at))));
    }
    let mut reason = vec![Field::text(say, "reason", "").required()];
    fault.mark(&mut reason);
    let told = |entry: audit::AuditRow| {
        let what = format!("{} {}", say.word("action", &entry.action), entry.state_after);
        (format!("{} · {}", time(entry.created_at), entry.actor), what)
    };
    let status = fault.status;
    let page = JobPage {
        s: visit.shell(&format!("{}: {}", say.t("jobs.one"), say.word("job_kind", &row.kind))),
        id: row.id.clone(),
        state: badge(say, &row.state),
        dead: row.state == "dead",
        error: row.last_error.clone().unwrap_or_default(),
        facts,
        payload: pretty(&row.payload),
        reason,
        history: history.into_iter().map(told).collect(),
        fault,
    };
    Ok(render(status, &page))
}
