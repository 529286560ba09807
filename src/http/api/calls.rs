//! `/calls`: records of calls.

use std::collections::HashMap;

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::list::{List, Paging, utc};
use super::messages::find_contact;
use crate::calls::words;
use crate::domain::call::EndCause;
use crate::http::{Problem, State};
use crate::store::call_cards::{self, CardRow};
use crate::store::calls::{self, CallFilter, CallRow, timeline};
use crate::whatsapp::error::call_fault;

/// Which calls are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Our id of the phone.
    phone_id: Option<String>,
    /// Our id of the contact, or its number, or its user id.
    contact: Option<String>,
    /// `inbound` or `outbound`.
    direction: Option<String>,
    /// `trying`, `ringing`, `answered`, `ended`, or `reported`: known from Meta alone.
    state: Option<String>,
    /// How it ended, as `hung_up`, `cancelled`, `no_answer`.
    end_cause: Option<String>,
    /// Meta's id.
    wacid: Option<String>,
}

/// A call.
#[derive(Serialize, ToSchema)]
pub(super) struct CallView {
    id: String,
    /// Meta's id.
    wacid: Option<String>,
    /// Call-ID of the leg that it came in by.
    sip_call_id: Option<String>,
    /// `inbound` = from the contact.
    direction: String,
    state: String,
    phone_id: Option<String>,
    phone_number: Option<String>,
    contact_id: Option<String>,
    /// The other side's number; `null` if WhatsApp does not show it.
    contact_number: Option<String>,
    contact_user_id: Option<String>,
    contact_name: Option<String>,
    /// Payload of the call button or link.
    payload: Option<String>,
    trunk: Option<String>,
    /// Address that the second leg was sent to.
    target: Option<String>,
    /// Who answered, as the telephone system tells.
    agent: Option<String>,
    created_at: DateTime<Utc>,
    ringing_at: Option<DateTime<Utc>>,
    answered_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// Seconds from answer to end.
    duration: Option<i64>,
    /// Seconds that Meta counted.
    meta_duration: Option<i32>,
    end: Option<EndView>,
    /// What Meta told by webhook.
    meta: MetaView,
    crm: Option<CrmView>,
    /// What was seen of the first leg's connection.
    #[schema(value_type = Object)]
    report: Value,
    timeline: Vec<MomentView>,
}

/// How a call ended.
#[derive(Serialize, ToSchema)]
pub(super) struct EndView {
    cause: Option<String>,
    /// `contact`, `trunk` or `bridge`.
    by: Option<String>,
    /// SIP status of a refusal.
    status: Option<i32>,
    q850: Option<i32>,
    /// In words.
    text: Option<String>,
}

/// What Meta told of a call.
#[derive(Serialize, ToSchema)]
pub(super) struct MetaView {
    status: Option<String>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    errors: Vec<MetaErrorView>,
}

/// An error of Meta's.
#[derive(Serialize, ToSchema)]
pub(super) struct MetaErrorView {
    code: i64,
    title: String,
    details: Option<String>,
    /// What it means and what to do.
    explanation: Option<&'static str>,
}

/// A call in the CRM.
#[derive(Serialize, ToSchema)]
pub(super) struct CrmView {
    portal_id: String,
    call_id: String,
    user_id: String,
    entity_type: Option<String>,
    entity_id: Option<String>,
    activity_id: Option<String>,
    finished_at: Option<DateTime<Utc>>,
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
pub(super) struct MomentView {
    at: DateTime<Utc>,
    what: String,
    detail: Option<String>,
}

/// Calls, newest first.
#[utoipa::path(get, path = "/api/v1/calls", tag = "calls", params(Wanted, Paging),
    responses((status = 200, body = List<CallView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<CallView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let Wanted { phone_id, contact, direction, state: call_state, end_cause, wacid } = wanted.into_inner();
    let causes: Vec<&str> = EndCause::ALL.iter().map(|cause| cause.as_str()).collect();
    check("direction", direction.as_deref(), &["inbound", "outbound"])?;
    check("state", call_state.as_deref(), &["trying", "ringing", "answered", "ended", "reported"])?;
    check("end_cause", end_cause.as_deref(), &causes)?;
    let mut filter = CallFilter {
        phone_id,
        contact_id: None,
        direction,
        state: call_state,
        end_cause,
        wacid,
        words: None,
    };
    let wabas: Vec<String> = state.directory.now().wabas.iter().map(|waba| waba.key.to_string()).collect();
    let found = state.db.read(move |conn| {
        if let Some(contact) = contact {
            match find_contact(conn, &wabas, &contact)? {
                Some(id) => filter.contact_id = Some(id),
                None => return Ok((Vec::new(), HashMap::new())),
            }
        }
        let rows = calls::list(conn, &filter, &page)?;
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let cards = call_cards::get_many(conn, &ids)?;
        Ok((rows, cards.into_iter().map(|card| (card.call_id.clone(), card)).collect()))
    });
    let (rows, mut cards): (Vec<CallRow>, HashMap<String, CardRow>) = found.await?;
    Ok(List::of(
        rows,
        limit,
        |row| &row.id,
        |row| {
            let card = cards.remove(&row.id);
            view(&state, row, card)
        },
    ))
}

/// One call.
#[utoipa::path(get, path = "/api/v1/calls/{id}", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = CallView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<CallView>, Problem> {
    let found = state.db.read(move |conn| Ok((calls::get(conn, &id)?, call_cards::get(conn, &id)?)));
    let (row, card) = found.await?;
    let row = row.ok_or_else(|| Problem::not_found("call"))?;
    Ok(web::Json(view(&state, row, card)))
}

fn check(field: &str, value: Option<&str>, words: &[&str]) -> Result<(), Problem> {
    match value {
        Some(value) if !words.contains(&value) => {
            Err(Problem::field(field, format!("must be one of {}", words.join(", "))))
        }
        _ => Ok(()),
    }
}

fn view(state: &State, row: CallRow, card: Option<CardRow>) -> CallView {
    let words = words::end(&row);
    let phone = row.phone_id.as_deref().and_then(|id| {
        let snapshot = state.directory.now();
        snapshot.phone(&id.into()).map(|phone| format!("+{}", phone.number))
    });
    let moments = timeline::read(&row.timeline);
    CallView {
        duration: row.seconds(),
        phone_number: phone,
        contact_number: row.peer_digits.map(|digits| format!("+{digits}")),
        created_at: utc(row.created_at),
        ringing_at: row.ringing_at.map(utc),
        answered_at: row.answered_at.map(utc),
        ended_at: row.ended_at.map(utc),
        meta_duration: row.meta_seconds,
        end: words.is_some().then_some(EndView {
            cause: row.end_cause,
            by: row.ended_by,
            status: row.sip_status,
            q850: row.q850,
            text: words,
        }),
        meta: MetaView {
            status: row.meta_status,
            started_at: row.meta_started_at.map(utc),
            ended_at: row.meta_ended_at.map(utc),
            errors: errors(row.meta_errors.as_deref()),
        },
        crm: card.map(|card| CrmView {
            portal_id: card.portal_id,
            call_id: card.crm_call_id,
            user_id: card.user_id,
            entity_type: card.entity_type,
            entity_id: card.entity_id,
            activity_id: card.activity_id,
            finished_at: card.finished_at.map(utc),
        }),
        report: serde_json::from_str(&row.report).unwrap_or_default(),
        timeline: moments
            .into_iter()
            .map(|moment| MomentView { at: moment.at, what: moment.what, detail: moment.detail })
            .collect(),
        id: row.id,
        wacid: row.wacid,
        sip_call_id: row.sip_call_id,
        direction: row.direction,
        state: row.state,
        phone_id: row.phone_id,
        contact_id: row.contact_id,
        contact_user_id: row.peer_user_id,
        contact_name: row.peer_name,
        payload: row.payload,
        trunk: row.trunk,
        target: row.target,
        agent: row.agent,
    }
}

fn errors(json: Option<&str>) -> Vec<MetaErrorView> {
    #[derive(Deserialize)]
    struct Stored {
        code: i64,
        title: String,
        details: Option<String>,
    }
    let stored: Vec<Stored> = json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let shown = |error: Stored| MetaErrorView {
        explanation: call_fault(error.code).map(|fault| fault.explanation),
        code: error.code,
        title: error.title,
        details: error.details,
    };
    stored.into_iter().map(shown).collect()
}
