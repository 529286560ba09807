//! `/sms`: what CRMs wanted sent through their SMS provider, the refused ones included.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{List, Paging, utc};
use crate::domain::SmsState;
use crate::http::{Problem, State};
use crate::store::sms::{self, SmsRow};

/// Which of them are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `queued`, `sent`, `delivered`, `undelivered` or `failed`.
    status: Option<String>,
}

/// A message of a CRM.
#[derive(Serialize, ToSchema)]
pub(super) struct SmsView {
    id: String,
    portal_id: String,
    /// The portal's id.
    message_id: String,
    /// The code of the sender that was picked.
    sender: String,
    phone_id: Option<String>,
    chat_id: Option<String>,
    /// The recipient as the CRM has it.
    recipient: String,
    /// The number that was understood.
    number: Option<String>,
    /// The text as it came.
    text: String,
    /// The portal user who wrote it; robots have none.
    author: Option<String>,
    status: String,
    /// What the portal was told last.
    reported: Option<String>,
    /// Why it was not sent or did not arrive.
    reason: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Messages of CRMs, newest first. How many wait is told by `/phones` (`waiting`).
#[utoipa::path(get, path = "/api/v1/sms", tag = "messages", params(Wanted, Paging),
    responses((status = 200, body = List<SmsView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<SmsView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let status = wanted.into_inner().status.map(|status| {
        SmsState::parse(&status).ok_or_else(|| Problem::field("status", "is not a state of an SMS"))
    });
    let status = status.transpose()?;
    let rows = state.db.read(move |conn| sms::list(conn, status, &page)).await?;
    Ok(List::of(rows, limit, |row| &row.id, view))
}

/// One message of a CRM.
#[utoipa::path(get, path = "/api/v1/sms/{id}", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = SmsView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<SmsView>, Problem> {
    let row = state.db.read(move |conn| sms::get(conn, &id)).await?;
    row.map(|row| web::Json(view(row))).ok_or_else(|| Problem::not_found("SMS"))
}

fn view(row: SmsRow) -> SmsView {
    SmsView {
        id: row.id,
        portal_id: row.portal_id,
        message_id: row.message_id,
        sender: row.code,
        phone_id: row.phone_id,
        chat_id: row.chat_id,
        recipient: row.recipient,
        number: row.number.map(|number| format!("+{number}")),
        text: row.body,
        author: row.author,
        status: row.state,
        reported: row.reported,
        reason: row.reason,
        created_at: utc(row.created_at),
        updated_at: utc(row.updated_at),
    }
}
