//! `/phones`: business phones and their settings.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, present};
use super::by::By;
use super::lines::{LineView, line_of};
use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::setup::phones::{NewPhone, PhoneChange};
use crate::store::phones::PhoneRow;

/// A phone to be set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatePhone {
    /// Our id of its WABA.
    waba_id: String,
    /// International form.
    phone_number: String,
    /// Meta's id of it.
    phone_number_id: String,
    /// Whether it is an SMS sender in the CRM.
    #[serde(default)]
    sms_service: bool,
}

/// What changes of a phone's settings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePhone {
    sms_service: Option<bool>,
    /// An operator's reply marks the last inbound message read.
    read_receipts: Option<bool>,
    /// `drop` or `send`.
    system_messages: Option<String>,
    /// `strip` or `keep`.
    signature: Option<String>,
    /// `tell`, `template` or `hold`.
    closed_window: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    fallback_template: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    default_language: Option<Option<String>>,
    sms_to_chat: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    crm_user_id: Option<Option<String>>,
    /// Languages (`["en", "ru"]`) whose words like STOP end marketing messages to whoever wrote them.
    stop_words: Option<Vec<String>>,
}

/// A business phone.
#[derive(Serialize, ToSchema)]
pub(super) struct PhoneView {
    id: String,
    waba_id: String,
    phone_number: String,
    phone_number_id: String,
    display_name: String,
    status: Option<String>,
    quality: Option<String>,
    messaging_limit: Option<String>,
    /// Meta's level: `STANDARD` (80 messages a second), `HIGH` (1,000).
    throughput: Option<String>,
    /// The WhatsApp Business app has the number as well, and Meta takes 20 messages a second.
    on_business_app: bool,
    name_status: Option<String>,
    security_note: Option<String>,
    sms_service: bool,
    read_receipts: bool,
    system_messages: String,
    signature: String,
    closed_window: String,
    fallback_template: Option<String>,
    default_language: Option<String>,
    sms_to_chat: bool,
    crm_user_id: Option<String>,
    stop_words: Vec<String>,
    line: Option<LineView>,
    /// Messages that wait to go to WhatsApp, those of the CRM's robots among them.
    waiting: usize,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Phones, oldest first.
#[utoipa::path(get, path = "/api/v1/phones", tag = "phones", params(Paging), responses((status = 200, body = List<PhoneView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<PhoneView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    Ok(List::of(state.setup.phones(page).await?, limit, |row| &row.id, |row| view(&state, row)))
}

/// Sets a phone up that Meta lists for its WABA.
#[utoipa::path(post, path = "/api/v1/phones", tag = "phones", request_body = CreatePhone,
    responses((status = 201, body = PhoneView), (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn create(
    state: web::Data<State>,
    by: By,
    body: Body<CreatePhone>,
) -> Result<HttpResponse, Problem> {
    let CreatePhone { waba_id, phone_number, phone_number_id, sms_service } = body.0;
    let row = by.0.create_phone(NewPhone { waba_id, phone_number, phone_number_id, sms_service }).await?;
    Ok(HttpResponse::Created().json(view(&state, row)))
}

/// One phone.
#[utoipa::path(get, path = "/api/v1/phones/{id}", tag = "phones", params(("id" = String, Path)),
    responses((status = 200, body = PhoneView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<PhoneView>, Problem> {
    let row = state.setup.phone(&id).await?;
    Ok(web::Json(view(&state, row)))
}

/// Changes a phone's settings.
#[utoipa::path(patch, path = "/api/v1/phones/{id}", tag = "phones", params(("id" = String, Path)), request_body = ChangePhone,
    responses((status = 200, body = PhoneView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change(
    state: web::Data<State>,
    by: By,
    id: web::Path<String>,
    body: Body<ChangePhone>,
) -> Result<web::Json<PhoneView>, Problem> {
    let new = body.0;
    let change = PhoneChange {
        sms_service: new.sms_service,
        read_receipts: new.read_receipts,
        system_messages: new.system_messages,
        signature: new.signature,
        closed_window: new.closed_window,
        fallback_template: new.fallback_template,
        default_language: new.default_language,
        sms_to_chat: new.sms_to_chat,
        crm_user_id: new.crm_user_id,
        stop_words: new.stop_words,
    };
    let row = by.0.change_phone(&id, change).await?;
    Ok(web::Json(view(&state, row)))
}

/// Removes a phone that is linked to no line and has no conversations.
#[utoipa::path(delete, path = "/api/v1/phones/{id}", tag = "phones", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(by: By, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    by.0.delete_phone(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(state: &State, row: PhoneRow) -> PhoneView {
    PhoneView {
        line: line_of(state, &row.id),
        waiting: state.relay.waiting_sends(&row.id.as_str().into()),
        phone_number: format!("+{}", row.phone_number),
        created_at: utc(row.created_at),
        updated_at: utc(row.updated_at),
        id: row.id,
        waba_id: row.waba_key,
        phone_number_id: row.phone_number_id,
        display_name: row.display_name,
        status: row.status,
        quality: row.quality,
        messaging_limit: row.messaging_limit,
        throughput: row.throughput,
        on_business_app: row.on_business_app,
        name_status: row.name_status,
        security_note: row.security_note,
        sms_service: row.sms_service,
        read_receipts: row.read_receipts,
        system_messages: row.system_messages,
        signature: row.signature,
        closed_window: row.closed_window,
        fallback_template: row.fallback_template,
        default_language: row.default_language,
        sms_to_chat: row.sms_to_chat,
        crm_user_id: row.crm_user_id,
        stop_words: row.stop_words.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
    }
}
