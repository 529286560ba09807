//! Doctor: every link of the chain as it was found last, a look on wish, and what the bridge puts right itself.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::{Fault, Form};
use super::list::{Badge, Tone, time};
use super::live;
use super::refusal::Refusal;
use super::texts::Say;
use super::visit::{Shell, Visit, go, render};
use crate::domain::{Language, Secret};
use crate::http::State;
use crate::setup::doctor::{Kind, Look, Outcome, Remembered, Repair, RepairWish, Subject};
use crate::store::alarms::AlarmRow;

type Answer = Result<HttpResponse, Refusal>;

/// Outcomes in the order in which they matter.
const OUTCOMES: [Outcome; 5] =
    [Outcome::Fail, Outcome::Warn, Outcome::Unknown, Outcome::Skipped, Outcome::Pass];

#[derive(Template)]
#[template(path = "doctor.html")]
struct Page {
    s: Shell,
    report: Report,
    fault: Fault,
}

/// The part that is drawn again and again.
#[derive(Template)]
#[template(path = "report.html")]
struct Report {
    s: Shell,
    counts: Vec<Count>,
    groups: Vec<Group>,
}

struct Count {
    number: usize,
    label: String,
    bad: bool,
}

/// What was found about one thing.
struct Group {
    kind: String,
    name: String,
    href: Option<String>,
    /// What a person should look at, and what nobody tells.
    open: Vec<Row>,
    passed: Vec<Row>,
    passed_text: String,
}

struct Row {
    id: &'static str,
    state: Badge,
    reason: String,
    advice: String,
    repair: Option<RepairForm>,
    at: String,
}

struct RepairForm {
    action: &'static str,
    subject_id: String,
    label: String,
    wants_pin: bool,
    /// Of the field of the PIN, for its label.
    field: String,
}

/// An open alarm, as Home shows it.
pub(super) struct Alarm {
    pub(super) subject: String,
    pub(super) reason: String,
    pub(super) since: String,
    pub(super) tone: Tone,
}

/// `GET /admin/doctor/`
pub(super) async fn show(visit: Visit, state: web::Data<State>) -> Answer {
    Ok(draw(&visit, &state, Fault::default()))
}

/// `GET /admin/live/doctor`
pub(super) async fn watch(visit: Visit, state: web::Data<State>) -> Answer {
    Ok(live::stream(state.clone(), async move |state: &State| {
        Ok(report(&visit, state).render().unwrap_or_default())
    }))
}

/// `POST /admin/doctor/check`: looks at everything now.
pub(super) async fn check(state: web::Data<State>, _form: Form) -> Answer {
    state.setup.examine(&Look::full()).await;
    Ok(go("/admin/doctor/", "checked"))
}

/// `POST /admin/doctor/repair`
pub(super) async fn repair(visit: Visit, state: web::Data<State>, form: Form) -> Answer {
    let repair = Repair::parse(form.get("repair")).ok_or(Refusal::Form)?;
    let pin = form.option("pin").map(Secret::new);
    let wish = RepairWish { repair, subject_id: form.get("subject_id").to_owned(), pin };
    match visit.setup(&state).repair(&wish).await {
        Ok(_) => Ok(go("/admin/doctor/", "repaired")),
        Err(error) => {
            let mut fault = Fault::of(error, &visit.say)?;
            fault.mark(&mut []);
            Ok(draw(&visit, &state, fault))
        }
    }
}

/// An alarm in the reader's language.
pub(super) fn alarm(say: &Say, row: AlarmRow) -> Alarm {
    Alarm {
        subject: format!("{} {}", say.word("object", &row.subject_kind), row.subject_name),
        reason: match say.language() {
            Language::En => row.reason_en,
            Language::Ru => row.reason_ru,
        },
        since: time(row.opened_at),
        tone: if row.result == "fail" { Tone::Bad } else { Tone::Warn },
    }
}

fn draw(visit: &Visit, state: &State, fault: Fault) -> HttpResponse {
    let status = if fault.message.is_some() { fault.status } else { StatusCode::OK };
    render(status, &Page { s: visit.title("menu.doctor"), report: report(visit, state), fault })
}

fn report(visit: &Visit, state: &State) -> Report {
    let say = &visit.say;
    let found = state.setup.last_findings();
    let count = |outcome: Outcome| Count {
        number: found.iter().filter(|one| one.finding.outcome == outcome).count(),
        label: say.word("outcome", outcome.as_str()),
        bad: outcome == Outcome::Fail,
    };
    let counts = if found.is_empty() { Vec::new() } else { OUTCOMES.map(count).into() };
    let groups = found.chunk_by(|one, other| one.finding.subject == other.finding.subject);
    let mut groups: Vec<Group> = groups.filter_map(|some| group(say, some)).collect();
    groups.sort_by_key(|group| group.open.first().map_or(2, |row| u8::from(row.state.tone != Tone::Bad)));
    Report { s: visit.title("menu.doctor"), counts, groups }
}

fn group(say: &Say, found: &[Remembered]) -> Option<Group> {
    let subject = &found.first()?.finding.subject;
    let mut sorted: Vec<&Remembered> = found.iter().collect();
    sorted.sort_by_key(|one| std::cmp::Reverse(one.finding.outcome));
    let (open, passed): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|one| one.finding.outcome != Outcome::Pass);
    let rows = |all: Vec<&Remembered>| all.into_iter().map(|one| row(say, one)).collect::<Vec<_>>();
    let passed = rows(passed);
    Some(Group {
        kind: say.word("object", subject.kind.as_str()),
        name: subject.name.clone(),
        href: href(subject),
        open: rows(open),
        passed_text: say.t1("doctor.passed", &passed.len()),
        passed,
    })
}

fn row(say: &Say, one: &Remembered) -> Row {
    let (finding, language) = (&one.finding, say.language());
    let tone = match finding.outcome {
        Outcome::Pass => Tone::Good,
        Outcome::Warn => Tone::Warn,
        Outcome::Fail => Tone::Bad,
        Outcome::Unknown | Outcome::Skipped => Tone::Calm,
    };
    // What is well needs no button, though it could be done again.
    let repair = finding.repair.filter(|_| finding.outcome != Outcome::Pass);
    Row {
        id: finding.id,
        state: Badge::new(tone, say.word("outcome", finding.outcome.as_str())),
        reason: finding.reason.get(language).to_owned(),
        advice: finding.advice.as_ref().map(|advice| advice.get(language).to_owned()).unwrap_or_default(),
        repair: repair.map(|repair| RepairForm {
            action: repair.as_str(),
            subject_id: finding.subject.id.clone(),
            label: say.word("repair", repair.as_str()),
            wants_pin: repair.wants_pin(),
            field: format!("pin-{}", finding.subject.id),
        }),
        at: time(one.at.naive_utc()),
    }
}

fn href(subject: &Subject) -> Option<String> {
    let id = &subject.id;
    match subject.kind {
        Kind::Bridge => None,
        Kind::App => Some(format!("/admin/apps/{id}/")),
        Kind::Waba => Some(format!("/admin/wabas/{id}/")),
        Kind::Phone => Some(format!("/admin/phones/{id}/")),
        Kind::Portal => Some(format!("/admin/portals/{id}/")),
        Kind::Line => Some("/admin/lines/".to_owned()),
    }
}
