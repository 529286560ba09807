//! `/doctor`: every link of the chain, and what can be put right.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::by::By;
use crate::domain::{Language, Secret};
use crate::http::{Problem, State};
use crate::setup::doctor::{Finding, Look, Outcome, Repair, RepairWish, Scope};

/// What is wanted of the doctor.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// What was found last, instead of a new look.
    #[serde(default)]
    last: bool,
    /// `en` or `ru`; else English.
    lang: Option<String>,
    /// One kind of thing: `bridge`, `app`, `waba`, `phone` (with its line) or `portal` (with its lines).
    kind: Option<String>,
    /// Our id of the thing, beside `kind`.
    id: Option<String>,
}

/// In which language a repair is answered.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Tongue {
    /// `en` or `ru`; else English.
    lang: Option<String>,
}

/// What is to be put right.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RepairBody {
    /// `repair.action` of a finding.
    repair: String,
    /// `subject.id` of that finding.
    subject_id: String,
    /// The number's six digits, where `repair.wants_pin`.
    #[schema(value_type = Option<String>)]
    pin: Option<Secret>,
}

/// What the doctor found.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportView {
    /// `ok`, `attention` (warnings) or `failed`.
    status: &'static str,
    passed: usize,
    failed: usize,
    warnings: usize,
    unknown: usize,
    skipped: usize,
    findings: Vec<FindingView>,
}

/// One answer of one check about one thing.
#[derive(Serialize, ToSchema)]
pub(super) struct FindingView {
    /// The check; stable, as `meta.waba.subscribed`.
    id: &'static str,
    subject: SubjectView,
    /// `pass`, `fail`, `warn`, `unknown` or `skipped`.
    result: &'static str,
    /// Why, in one sentence.
    reason: String,
    /// What to do.
    advice: Option<String>,
    /// What the bridge can do: `POST /doctor/repair`.
    repair: Option<RepairView>,
    checked_at: DateTime<Utc>,
}

/// What a finding is about.
#[derive(Serialize, ToSchema)]
pub(super) struct SubjectView {
    /// `bridge`, `app`, `waba`, `phone`, `portal` or `line`.
    pub(super) kind: String,
    /// Our id of it; of a line, that of its phone.
    pub(super) id: String,
    pub(super) name: String,
}

/// What the bridge can put right.
#[derive(Serialize, ToSchema)]
pub(super) struct RepairView {
    action: &'static str,
    wants_pin: bool,
}

/// Looks at every link of the chain now, or tells what was found last.
#[utoipa::path(get, path = "/api/v1/doctor", tag = "doctor", params(Wanted),
    responses((status = 200, body = ReportView), (status = 422, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
) -> Result<web::Json<ReportView>, Problem> {
    let language = language(wanted.lang.as_deref());
    if wanted.last {
        let last = state.setup.last_findings().into_iter();
        return Ok(web::Json(report(last.map(|one| view(one.finding, one.at, language)).collect())));
    }
    let found = state.setup.examine(&Look::at(scope(&wanted)?)).await;
    let now = state.clock.now();
    Ok(web::Json(report(found.into_iter().map(|one| view(one, now, language)).collect())))
}

/// Puts one thing right and looks at it again.
#[utoipa::path(post, path = "/api/v1/doctor/repair", tag = "doctor", params(Tongue), request_body = RepairBody,
    responses((status = 200, body = ReportView), (status = 404, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn repair(
    state: web::Data<State>,
    by: By,
    tongue: web::Query<Tongue>,
    body: Body<RepairBody>,
) -> Result<web::Json<ReportView>, Problem> {
    let RepairBody { repair, subject_id, pin } = body.0;
    let repair = Repair::parse(&repair).ok_or_else(|| Problem::field("repair", "is not a repair"))?;
    let found = by.0.repair(&RepairWish { repair, subject_id, pin }).await?;
    let (now, language) = (state.clock.now(), language(tongue.lang.as_deref()));
    Ok(web::Json(report(found.into_iter().map(|one| view(one, now, language)).collect())))
}

/// The same report for the command line.
pub fn report_json(found: &[Finding], now: DateTime<Utc>) -> String {
    let views = found.iter().map(|finding| view(finding.clone(), now, Language::En)).collect();
    // A report is plain data with text keys: writing it as JSON cannot fail.
    serde_json::to_string_pretty(&report(views)).unwrap_or_default()
}

fn scope(wanted: &Wanted) -> Result<Scope, Problem> {
    let id = wanted.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let Some(kind) = wanted.kind.as_deref() else {
        return if id.is_none() {
            Ok(Scope::All)
        } else {
            Err(Problem::field("kind", "is missing beside id"))
        };
    };
    if kind == "bridge" {
        return Ok(Scope::Bridge);
    }
    if !["app", "waba", "phone", "portal"].contains(&kind) {
        return Err(Problem::field("kind", "must be bridge, app, waba, phone or portal"));
    }
    let id = id.ok_or_else(|| Problem::field("id", format!("is missing: which {kind}?")))?.to_owned();
    Ok(match kind {
        "app" => Scope::App(id),
        "waba" => Scope::Waba(id),
        "phone" => Scope::Phone(id),
        _ => Scope::Portal(id),
    })
}

fn language(code: Option<&str>) -> Language {
    code.map(Language::from_code).unwrap_or_default()
}

fn report(findings: Vec<FindingView>) -> ReportView {
    let count = |outcome: Outcome| findings.iter().filter(|one| one.result == outcome.as_str()).count();
    let (failed, warnings) = (count(Outcome::Fail), count(Outcome::Warn));
    ReportView {
        status: match (failed, warnings) {
            (0, 0) => "ok",
            (0, _) => "attention",
            _ => "failed",
        },
        passed: count(Outcome::Pass),
        failed,
        warnings,
        unknown: count(Outcome::Unknown),
        skipped: count(Outcome::Skipped),
        findings,
    }
}

fn view(finding: Finding, at: DateTime<Utc>, language: Language) -> FindingView {
    FindingView {
        id: finding.id,
        result: finding.outcome.as_str(),
        reason: finding.reason.get(language).to_owned(),
        advice: finding.advice.as_ref().map(|advice| advice.get(language).to_owned()),
        repair: finding
            .repair
            .map(|repair| RepairView { action: repair.as_str(), wants_pin: repair.wants_pin() }),
        subject: SubjectView {
            kind: finding.subject.kind.as_str().to_owned(),
            id: finding.subject.id,
            name: finding.subject.name,
        },
        checked_at: at,
    }
}
