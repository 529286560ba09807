//! `/apps`: Meta apps.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, present};
use super::by::By;
use super::list::{List, Paging, utc};
use crate::domain::Secret;
use crate::http::{Problem, State};
use crate::setup::apps::{AppChange, NewApp};
use crate::store::apps::AppRow;

/// A Meta app to be set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateApp {
    name: String,
    /// Host or IP without port; unique.
    site: String,
    /// Meta's id of the app.
    client_id: String,
    #[schema(value_type = String, format = Password)]
    client_secret: Secret,
    #[schema(value_type = String, format = Password)]
    access_token: Secret,
    graph_version: Option<String>,
    #[serde(default)]
    save_events: bool,
}

/// What changes of a Meta app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeApp {
    name: Option<String>,
    site: Option<String>,
    /// A new secret; the present one stays valid beside it.
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<Secret>,
    #[schema(value_type = Option<String>, format = Password)]
    access_token: Option<Secret>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    graph_version: Option<Option<String>>,
    save_events: Option<bool>,
}

/// A Meta app.
#[derive(Serialize, ToSchema)]
pub(super) struct AppView {
    id: String,
    name: String,
    site: String,
    client_id: String,
    graph_version: Option<String>,
    save_events: bool,
    /// Where Meta is to post webhooks.
    callback_url: String,
    /// What Meta is to show in its handshake; only told when the app is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_token: Option<String>,
    /// Two secrets are valid.
    rotating: bool,
    /// Why it cannot work.
    broken: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Meta apps, oldest first.
#[utoipa::path(get, path = "/api/v1/apps", tag = "apps", params(Paging), responses((status = 200, body = List<AppView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<AppView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let rows = state.setup.apps(page).await?;
    Ok(List::of(rows, limit, |row| &row.id, |row| view(&state, row, None)))
}

/// Sets an app up, once Meta has confirmed its token.
#[utoipa::path(post, path = "/api/v1/apps", tag = "apps", request_body = CreateApp,
    responses((status = 201, body = AppView), (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn create(
    state: web::Data<State>,
    by: By,
    body: Body<CreateApp>,
) -> Result<HttpResponse, Problem> {
    let CreateApp { name, site, client_id, client_secret, access_token, graph_version, save_events } = body.0;
    let new = NewApp { name, site, client_id, client_secret, access_token, graph_version, save_events };
    let (row, verify_token) = by.0.create_app(new).await?;
    Ok(HttpResponse::Created().json(view(&state, row, Some(verify_token.expose().to_owned()))))
}

/// One app.
#[utoipa::path(get, path = "/api/v1/apps/{id}", tag = "apps", params(("id" = String, Path)),
    responses((status = 200, body = AppView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<AppView>, Problem> {
    let row = state.setup.app(&id).await?;
    Ok(web::Json(view(&state, row, None)))
}

/// Changes an app; new credentials are confirmed by Meta first.
///
/// After a new `client_secret` the one before it stays valid (`rotating`); once Meta signs with the new one,
/// send that same `client_secret` again: then the old one is no longer believed.
#[utoipa::path(patch, path = "/api/v1/apps/{id}", tag = "apps", params(("id" = String, Path)), request_body = ChangeApp,
    responses((status = 200, body = AppView), (status = 404, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn change(
    state: web::Data<State>,
    by: By,
    id: web::Path<String>,
    body: Body<ChangeApp>,
) -> Result<web::Json<AppView>, Problem> {
    let ChangeApp { name, site, client_secret, access_token, graph_version, save_events } = body.0;
    let change = AppChange { name, site, client_secret, access_token, graph_version, save_events };
    let row = by.0.change_app(&id, change).await?;
    Ok(web::Json(view(&state, row, None)))
}

/// Removes an app that has no WABAs.
#[utoipa::path(delete, path = "/api/v1/apps/{id}", tag = "apps", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(by: By, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    by.0.delete_app(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(state: &State, row: AppRow, verify_token: Option<String>) -> AppView {
    let snapshot = state.directory.now();
    let broken =
        snapshot.apps.iter().find(|app| app.id.as_str() == row.id).and_then(|app| app.broken.clone());
    AppView {
        callback_url: state.setup.callback_url(&row),
        verify_token,
        rotating: row.second_secret_sealed.is_some(),
        broken,
        created_at: utc(row.created_at),
        updated_at: utc(row.updated_at),
        id: row.id,
        name: row.name,
        site: row.site,
        client_id: row.client_id,
        graph_version: row.graph_version,
        save_events: row.save_events,
    }
}
