//! `/wabas`: WhatsApp Business Accounts.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, present};
use super::by::By;
use super::list::{List, Paging, utc};
use crate::domain::Secret;
use crate::http::{Problem, State};
use crate::setup::phones::shown_digits;
use crate::setup::wabas::{NewWaba, WabaChange};
use crate::store::wabas::WabaRow;

/// A WABA to be set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWaba {
    /// Our id of its app.
    app_id: String,
    /// Meta's id.
    waba_id: String,
    /// Its own token; else the app's.
    #[schema(value_type = Option<String>, format = Password)]
    access_token: Option<Secret>,
}

/// What changes of a WABA.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeWaba {
    name: Option<String>,
    /// `null` = the app's token.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = Password)]
    access_token: Option<Option<Secret>>,
    /// Meta's id of the business portfolio: its accounts share one messaging limit. `null` = as Meta tells.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    portfolio: Option<Option<String>>,
}

/// A WABA.
#[derive(Serialize, ToSchema)]
pub(super) struct WabaView {
    id: String,
    app_id: String,
    waba_id: String,
    name: String,
    subscribed: bool,
    /// `active`, `restricted` or `disconnected`.
    status: String,
    status_reason: Option<String>,
    /// Meta's id of the business portfolio.
    portfolio: Option<String>,
    /// It has a token of its own.
    own_access_token: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A number that Meta lists.
#[derive(Serialize, ToSchema)]
pub(super) struct AvailablePhone {
    phone_number_id: String,
    /// International form.
    phone_number: String,
    display_name: Option<String>,
    status: Option<String>,
    quality: Option<String>,
    name_status: Option<String>,
    platform_type: Option<String>,
    /// Our id, if it is set up here already.
    phone_id: Option<String>,
}

/// WABAs, oldest first.
#[utoipa::path(get, path = "/api/v1/wabas", tag = "wabas", params(Paging), responses((status = 200, body = List<WabaView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<WabaView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    Ok(List::of(state.setup.wabas(page).await?, limit, |row| &row.id, view))
}

/// Sets a WABA up and subscribes the app to it.
#[utoipa::path(post, path = "/api/v1/wabas", tag = "wabas", request_body = CreateWaba,
    responses((status = 201, body = WabaView), (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn create(by: By, body: Body<CreateWaba>) -> Result<HttpResponse, Problem> {
    let CreateWaba { app_id, waba_id, access_token } = body.0;
    let row = by.0.create_waba(NewWaba { app_id, waba_id, access_token }).await?;
    Ok(HttpResponse::Created().json(view(row)))
}

/// One WABA.
#[utoipa::path(get, path = "/api/v1/wabas/{id}", tag = "wabas", params(("id" = String, Path)),
    responses((status = 200, body = WabaView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<WabaView>, Problem> {
    Ok(web::Json(view(state.setup.waba(&id).await?)))
}

/// Changes a WABA; a new token is tried first.
#[utoipa::path(patch, path = "/api/v1/wabas/{id}", tag = "wabas", params(("id" = String, Path)), request_body = ChangeWaba,
    responses((status = 200, body = WabaView), (status = 404, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn change(
    by: By,
    id: web::Path<String>,
    body: Body<ChangeWaba>,
) -> Result<web::Json<WabaView>, Problem> {
    let ChangeWaba { name, access_token, portfolio } = body.0;
    let change = WabaChange { name, access_token, portfolio };
    Ok(web::Json(view(by.0.change_waba(&id, change).await?)))
}

/// Removes a WABA that has no phones here.
#[utoipa::path(delete, path = "/api/v1/wabas/{id}", tag = "wabas", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(by: By, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    by.0.delete_waba(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The numbers that Meta lists for a WABA.
#[utoipa::path(get, path = "/api/v1/wabas/{id}/available-phones", tag = "wabas", params(("id" = String, Path)),
    responses((status = 200, body = List<AvailablePhone>), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn available_phones(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<List<AvailablePhone>>, Problem> {
    let phones = state.setup.available_phones(&id).await?;
    let snapshot = state.directory.now();
    let items = phones.into_iter().map(|phone| AvailablePhone {
        phone_number: format!("+{}", shown_digits(&phone)),
        phone_id: snapshot.phone_by_id(&phone.id).map(|known| known.key.to_string()),
        phone_number_id: phone.id.into_string(),
        display_name: phone.verified_name,
        status: phone.status,
        quality: phone.quality_rating,
        name_status: phone.name_status,
        platform_type: phone.platform_type,
    });
    Ok(web::Json(List { items: items.collect(), next: None }))
}

fn view(row: WabaRow) -> WabaView {
    WabaView {
        own_access_token: row.access_token_sealed.is_some(),
        created_at: utc(row.created_at),
        updated_at: utc(row.updated_at),
        id: row.id,
        app_id: row.app_id,
        waba_id: row.waba_id,
        name: row.name,
        subscribed: row.subscribed,
        status: row.status,
        status_reason: row.status_reason,
        portfolio: row.portfolio,
    }
}
