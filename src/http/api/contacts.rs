//! `/contacts`: people, their export and their erasure.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::by::By;
use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::setup::contacts::Person;

/// A person on WhatsApp.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactView {
    id: String,
    waba_id: String,
    name: String,
    username: Option<String>,
    aliases: Vec<AliasView>,
    created_at: DateTime<Utc>,
}

/// By what a person is known.
#[derive(Serialize, ToSchema)]
pub(super) struct AliasView {
    /// `user_id`, `wa_id` or `phone`.
    kind: String,
    value: String,
}

/// People, oldest first.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "contacts", params(Paging), responses((status = 200, body = List<ContactView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<ContactView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    Ok(List::of(state.setup.contacts(page).await?, limit, |person| &person.row.id, view))
}

/// One person.
#[utoipa::path(get, path = "/api/v1/contacts/{id}", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = ContactView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<ContactView>, Problem> {
    Ok(web::Json(view(state.setup.contact(&id).await?)))
}

/// Everything that is kept of a person.
#[utoipa::path(get, path = "/api/v1/contacts/{id}/export", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(super) async fn export(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(state.setup.export_contact(&id).await?))
}

/// Erases a person: messages, media, aliases.
#[utoipa::path(delete, path = "/api/v1/contacts/{id}", tag = "contacts", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn erase(
    state: web::Data<State>,
    by: By,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let known = state.relay.known_chats.clone();
    by.0.erase_contact(&id, move || known.forget_all()).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(person: Person) -> ContactView {
    ContactView {
        id: person.row.id,
        waba_id: person.row.waba_key,
        name: person.row.name,
        username: person.row.username,
        aliases: person.aliases.into_iter().map(|(kind, value)| AliasView { kind, value }).collect(),
        created_at: utc(person.row.created_at),
    }
}
