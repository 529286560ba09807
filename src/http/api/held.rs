//! `/messages/held`: operators' texts that wait until the contact writes, and taking one out.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::by::By;
use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::store::held::{self, HeldRow};

/// Which of them are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Our id of the phone.
    phone_id: Option<String>,
}

/// A held text.
#[derive(Serialize, ToSchema)]
pub(super) struct HeldView {
    id: String,
    chat_id: String,
    phone_id: String,
    portal_id: String,
    /// The portal's id of the message.
    im_message_id: String,
    /// What it says, and the names of its files.
    text: String,
    held_at: DateTime<Utc>,
    /// Until when it waits.
    expires_at: DateTime<Utc>,
}

/// What is held, oldest first.
#[utoipa::path(get, path = "/api/v1/messages/held", tag = "messages", params(Wanted, Paging),
    responses((status = 200, body = List<HeldView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<HeldView>>, Problem> {
    let page = paging.page()?;
    let (limit, phone_id) = (page.limit, wanted.into_inner().phone_id);
    let rows = state.db.read(move |conn| held::page(conn, phone_id.as_deref(), &page)).await?;
    Ok(List::of(rows, limit, |row| &row.id, view))
}

/// Cancels a held text: it is not sent, and the line is told. What is not held (any more) is not found.
#[utoipa::path(delete, path = "/api/v1/messages/{id}", tag = "messages", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn cancel(
    state: web::Data<State>,
    by: By,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    if !state.relay.cancel_held(&id).await? {
        return Err(Problem::not_found("held message"));
    }
    by.0.note_cancelled(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(row: HeldRow) -> HeldView {
    HeldView {
        id: row.id,
        chat_id: row.chat_id,
        phone_id: row.phone_id,
        portal_id: row.portal_id,
        im_message_id: row.im_message_id,
        text: row.body,
        held_at: utc(row.created_at),
        expires_at: utc(row.expires_at),
    }
}
