//! `/portal-apps`: credentials of local applications.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::by::By;
use super::list::{List, Paging, utc};
use crate::domain::Secret;
use crate::http::{Problem, State};
use crate::setup::portal_apps::{NewPortalApp, PortalAppChange};
use crate::store::portal_apps::PortalAppRow;

/// A local application to be set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatePortalApp {
    name: String,
    client_id: String,
    #[schema(value_type = String, format = Password)]
    client_secret: Secret,
}

/// What changes of a local application.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePortalApp {
    name: Option<String>,
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<Secret>,
}

/// A local application.
#[derive(Serialize, ToSchema)]
pub(super) struct PortalAppView {
    id: String,
    name: String,
    client_id: String,
    /// The application's handler path in the portal.
    handler_url: String,
    /// The application's initial installation path in the portal.
    install_url: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Local applications, oldest first.
#[utoipa::path(get, path = "/api/v1/portal-apps", tag = "portals", params(Paging), responses((status = 200, body = List<PortalAppView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<PortalAppView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    Ok(List::of(state.setup.portal_apps(page).await?, limit, |row| &row.id, |row| view(&state, row)))
}

/// Sets a local application's credentials up.
#[utoipa::path(post, path = "/api/v1/portal-apps", tag = "portals", request_body = CreatePortalApp,
    responses((status = 201, body = PortalAppView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn create(
    state: web::Data<State>,
    by: By,
    body: Body<CreatePortalApp>,
) -> Result<HttpResponse, Problem> {
    let CreatePortalApp { name, client_id, client_secret } = body.0;
    let row = by.0.create_portal_app(NewPortalApp { name, client_id, client_secret }).await?;
    Ok(HttpResponse::Created().json(view(&state, row)))
}

/// One local application.
#[utoipa::path(get, path = "/api/v1/portal-apps/{id}", tag = "portals", params(("id" = String, Path)),
    responses((status = 200, body = PortalAppView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<PortalAppView>, Problem> {
    let row = state.setup.portal_app(&id).await?;
    Ok(web::Json(view(&state, row)))
}

/// Changes name or secret.
#[utoipa::path(patch, path = "/api/v1/portal-apps/{id}", tag = "portals", params(("id" = String, Path)), request_body = ChangePortalApp,
    responses((status = 200, body = PortalAppView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change(
    state: web::Data<State>,
    by: By,
    id: web::Path<String>,
    body: Body<ChangePortalApp>,
) -> Result<web::Json<PortalAppView>, Problem> {
    let ChangePortalApp { name, client_secret } = body.0;
    let row = by.0.change_portal_app(&id, PortalAppChange { name, client_secret }).await?;
    Ok(web::Json(view(&state, row)))
}

/// Removes a local application that is installed nowhere.
#[utoipa::path(delete, path = "/api/v1/portal-apps/{id}", tag = "portals", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(by: By, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    by.0.delete_portal_app(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(state: &State, row: PortalAppRow) -> PortalAppView {
    PortalAppView {
        handler_url: state.setup.handler_url().to_string(),
        install_url: state.setup.install_url().to_string(),
        created_at: utc(row.created_at),
        updated_at: utc(row.updated_at),
        id: row.id,
        name: row.name,
        client_id: row.client_id,
    }
}
