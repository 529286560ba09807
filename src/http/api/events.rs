//! `/events`: raw events that were kept, with secrets taken out.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::list::{List, Paging, utc};
use crate::http::redact::redacted;
use crate::http::{Problem, State};
use crate::store::events::{self, EventRow};

/// Which events are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Our id of the Meta app.
    app_id: Option<String>,
}

/// A kept event.
#[derive(Serialize, ToSchema)]
pub(super) struct EventView {
    id: String,
    /// Our id of the Meta app, if it came from Meta.
    app_id: Option<String>,
    /// Our id of the portal, if it came from a portal.
    portal_id: Option<String>,
    /// Meta's field or the portal's event.
    field: String,
    /// Why it is kept.
    reason: String,
    /// As it came: JSON, or text if it is none.
    #[schema(value_type = Object)]
    payload: Value,
    created_at: DateTime<Utc>,
}

/// Kept events, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Wanted, Paging), responses((status = 200, body = List<EventView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<EventView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let app = wanted.into_inner().app_id;
    let rows = state.db.read(move |conn| events::list(conn, app.as_deref(), &page)).await?;
    Ok(List::of(rows, limit, |row| &row.id, view))
}

/// One kept event.
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = EventView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<EventView>, Problem> {
    let row = state.db.read(move |conn| events::get(conn, &id)).await?;
    row.map(|row| web::Json(view(row))).ok_or_else(|| Problem::not_found("event"))
}

fn view(row: EventRow) -> EventView {
    EventView {
        payload: redacted(&row.payload),
        created_at: utc(row.created_at),
        id: row.id,
        app_id: row.app_id,
        portal_id: row.portal_id,
        field: row.field,
        reason: row.reason,
    }
}
