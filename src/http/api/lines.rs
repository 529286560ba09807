//! `/phones/{id}/line`: the open line that a phone feeds.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::by::By;
use crate::domain::PhoneKey;
use crate::http::{Problem, State};
use crate::setup::lines::NewLink;

/// A line to link a phone to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkLine {
    /// Our id of the portal.
    portal_id: String,
    /// The line there; else one named by `bitrix.line_name` is found or made.
    line_id: Option<String>,
}

/// The line of a phone.
#[derive(Serialize, ToSchema)]
pub(super) struct LineView {
    portal_id: String,
    line_id: String,
    line_name: String,
    active: bool,
}

/// The line of a phone.
#[utoipa::path(get, path = "/api/v1/phones/{id}/line", tag = "phones", params(("id" = String, Path)),
    responses((status = 200, body = LineView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<LineView>, Problem> {
    line_of(&state, &id).map(web::Json).ok_or_else(|| Problem::not_found("line of this phone"))
}

/// Links a phone to a line.
#[utoipa::path(put, path = "/api/v1/phones/{id}/line", tag = "phones", params(("id" = String, Path)), request_body = LinkLine,
    responses((status = 200, body = LineView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn link(
    by: By,
    id: web::Path<String>,
    body: Body<LinkLine>,
) -> Result<web::Json<LineView>, Problem> {
    let LinkLine { portal_id, line_id } = body.0;
    let new = NewLink { phone_id: id.into_inner(), portal_id: portal_id.clone(), line_id, replace: false };
    let linked = by.0.link(new).await?;
    Ok(web::Json(LineView {
        portal_id,
        line_id: linked.line_id.into_string(),
        line_name: linked.line_name,
        active: true,
    }))
}

/// Unlinks a phone from its line.
#[utoipa::path(delete, path = "/api/v1/phones/{id}/line", tag = "phones", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn unlink(by: By, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    by.0.unlink(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The line of a phone, if it has one.
pub(super) fn line_of(state: &State, phone: &str) -> Option<LineView> {
    let snapshot = state.directory.now();
    let binding = snapshot.binding_of_phone(&PhoneKey::from(phone))?;
    let portal = snapshot.portal(&binding.portal);
    Some(LineView {
        portal_id: binding.portal.to_string(),
        line_id: binding.line.to_string(),
        line_name: binding.line_name.clone(),
        active: portal.is_some_and(|portal| portal.row.status == "active"),
    })
}
