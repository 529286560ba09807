//! `/alarms`: findings that turned bad, open ones and those of late.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::doctor::SubjectView;
use super::list::{List, Paging, utc};
use crate::domain::Language;
use crate::http::{Problem, State};
use crate::store::alarms::AlarmRow;

/// Which alarms are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those that are open.
    #[serde(default)]
    open: bool,
    /// `en` or `ru`; else English.
    lang: Option<String>,
}

/// A finding that turned bad.
#[derive(Serialize, ToSchema)]
pub(super) struct AlarmView {
    id: String,
    /// The doctor's check.
    check: String,
    subject: SubjectView,
    /// `warn` or `fail`.
    result: String,
    /// Why, in one sentence.
    reason: String,
    /// What to do.
    advice: Option<String>,
    opened_at: DateTime<Utc>,
    /// `null` = it is still so.
    closed_at: Option<DateTime<Utc>>,
}

/// Alarms, newest first.
#[utoipa::path(get, path = "/api/v1/alarms", tag = "doctor", params(Wanted, Paging),
    responses((status = 200, body = List<AlarmView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<AlarmView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let language = wanted.lang.as_deref().map(Language::from_code).unwrap_or_default();
    let rows = state.setup.alarms(wanted.open, page).await?;
    Ok(List::of(rows, limit, |row| &row.id, |row| view(row, language)))
}

fn view(row: AlarmRow, language: Language) -> AlarmView {
    let (reason, advice) = match language {
        Language::En => (row.reason_en, row.advice_en),
        Language::Ru => (row.reason_ru, row.advice_ru),
    };
    AlarmView {
        id: row.id,
        check: row.check_id,
        subject: SubjectView { kind: row.subject_kind, id: row.subject_id, name: row.subject_name },
        result: row.result,
        reason,
        advice,
        opened_at: utc(row.opened_at),
        closed_at: row.closed_at.map(utc),
    }
}
