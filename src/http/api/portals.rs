//! `/portals`: Bitrix24 accounts on which our application is installed.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, present};
use super::by::By;
use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::setup::portals::{PortalChange, lacks, scope_list};
use crate::store::portals::PortalRow;

/// What changes of a portal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePortal {
    /// ISO-2 country of numbers without a code.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    default_country: Option<Option<String>>,
    /// Portal user who is told of alarms.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    alarm_user_id: Option<Option<String>>,
}

/// A portal.
#[derive(Serialize, ToSchema)]
pub(super) struct PortalView {
    id: String,
    member_id: String,
    domain: String,
    /// `installing`, `active`, `reauthorize` or `uninstalled`.
    status: String,
    status_reason: Option<String>,
    portal_app_id: String,
    /// The administrator in whose name we call.
    user_id: String,
    scopes: Vec<String>,
    missing_scopes: Vec<String>,
    language: String,
    default_country: Option<String>,
    alarm_user_id: Option<String>,
    /// Why it cannot work.
    broken: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Portals, oldest first.
#[utoipa::path(get, path = "/api/v1/portals", tag = "portals", params(Paging), responses((status = 200, body = List<PortalView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<PortalView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    Ok(List::of(state.setup.portals(page).await?, limit, |row| &row.id, |row| view(&state, row)))
}

/// One portal.
#[utoipa::path(get, path = "/api/v1/portals/{id}", tag = "portals", params(("id" = String, Path)),
    responses((status = 200, body = PortalView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<PortalView>, Problem> {
    let row = state.setup.portal(&id).await?;
    Ok(web::Json(view(&state, row)))
}

/// Changes a portal's settings.
#[utoipa::path(patch, path = "/api/v1/portals/{id}", tag = "portals", params(("id" = String, Path)), request_body = ChangePortal,
    responses((status = 200, body = PortalView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change(
    state: web::Data<State>,
    by: By,
    id: web::Path<String>,
    body: Body<ChangePortal>,
) -> Result<web::Json<PortalView>, Problem> {
    let ChangePortal { default_country, alarm_user_id } = body.0;
    let row = by.0.change_portal(&id, PortalChange { default_country, alarm_user_id }).await?;
    Ok(web::Json(view(&state, row)))
}

/// Forgets a portal to whose lines no phone is linked.
#[utoipa::path(delete, path = "/api/v1/portals/{id}", tag = "portals", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(by: By, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    by.0.delete_portal(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(state: &State, row: PortalRow) -> PortalView {
    let snapshot = state.directory.now();
    let known = snapshot.portals.iter().find(|portal| portal.id.as_str() == row.id);
    PortalView {
        broken: known.and_then(|portal| portal.broken.clone()),
        scopes: scope_list(&row.scopes),
        missing_scopes: known.map(|portal| lacks(&snapshot, portal)).unwrap_or_default(),
        created_at: utc(row.created_at),
        updated_at: utc(row.updated_at),
        id: row.id,
        member_id: row.member_id,
        domain: row.domain,
        status: row.status,
        status_reason: row.status_reason,
        portal_app_id: row.portal_app_id,
        user_id: row.user_id,
        language: row.language,
        default_country: row.default_country,
        alarm_user_id: row.alarm_user_id,
    }
}
