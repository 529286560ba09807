//! `/templates`: message templates of the accounts.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::body::{Body, parse};
use super::by::By;
use super::csv::csv;
use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::relay::templates::shorthand;
use crate::setup::SetupError;
use crate::setup::templates::{NewTemplate, Synced, TemplateChange};
use crate::store::Page;
use crate::store::templates::{Filter, TemplateRow};

/// Rows of a file at most: what an account can have (6,000), many times.
pub(in crate::http) const SPREADSHEET_ROWS: i64 = 100_000;

/// Which templates are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Our id of the WABA.
    waba_id: Option<String>,
    /// Meta's word: `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, `DISABLED` …
    status: Option<String>,
    name: Option<String>,
    /// With `_` or `-`.
    language: Option<String>,
}

/// A template to be handed in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTemplate {
    /// Our id of the WABA.
    waba_id: String,
    /// Lower-case letters, digits and `_`.
    name: String,
    /// As `en_US`.
    language: String,
    /// `AUTHENTICATION`, `MARKETING` or `UTILITY`.
    category: String,
    /// `POSITIONAL` (if not said) or `NAMED`.
    parameter_format: Option<String>,
    /// Components in Meta's form: HEADER, BODY, FOOTER, BUTTONS, with examples. The sample of a media header
    /// may be given as `example.header_url`, the address of a file: it is fetched and uploaded.
    #[schema(value_type = Vec<Object>)]
    components: Vec<Value>,
}

/// What changes of a template. Name and language are fixed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeTemplate {
    /// Not of an approved template.
    category: Option<String>,
    /// All components anew: Meta replaces them as a whole.
    #[schema(value_type = Option<Vec<Object>>)]
    components: Option<Vec<Value>>,
}

/// Whose templates are to be read.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SyncTemplates {
    /// Our id of the WABA; all if not said.
    waba_id: Option<String>,
}

/// How far a deletion goes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Deletion {
    /// `true` deletes the name in every language.
    all_languages: Option<bool>,
}

/// A template.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateView {
    id: String,
    /// Our id of its WABA.
    waba_id: String,
    /// Meta's id.
    template_id: String,
    name: String,
    language: String,
    /// Meta's word; only `APPROVED` can be sent.
    status: String,
    /// Why it is in this state, in Meta's words.
    reason: Option<String>,
    category: String,
    /// The category that Meta has announced.
    next_category: Option<String>,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    quality: Option<String>,
    /// `POSITIONAL` or `NAMED`.
    parameter_format: String,
    /// The line that sends it, with example values; `null` if no short line can.
    shorthand: Option<String>,
    /// Components as Meta has them.
    #[schema(value_type = Vec<Object>)]
    components: Value,
    /// When Meta last listed it.
    synced_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// How the reading of an account went.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncView {
    /// Our id of the WABA.
    waba_id: String,
    /// Templates that Meta lists.
    templates: Option<usize>,
    /// Why it could not be read.
    error: Option<String>,
}

/// Templates, oldest first.
#[utoipa::path(get, path = "/api/v1/templates", tag = "templates", params(Wanted, Paging),
    responses((status = 200, body = List<TemplateView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<TemplateView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    Ok(List::of(state.setup.templates(filter(wanted.into_inner()), page).await?, limit, |row| &row.id, view))
}

/// Templates as a file for a spreadsheet.
#[utoipa::path(get, path = "/api/v1/templates.csv", tag = "templates", params(Wanted),
    responses((status = 200, content_type = "text/csv", body = String)))]
pub(super) async fn file(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
) -> Result<HttpResponse, Problem> {
    let page = Page { limit: SPREADSHEET_ROWS, cursor: None };
    Ok(spreadsheet(&state.setup.templates(filter(wanted.into_inner()), page).await?))
}

/// Templates as a file.
pub(in crate::http) fn spreadsheet(rows: &[TemplateRow]) -> HttpResponse {
    let head = ["waba_id", "name", "language", "status", "category", "reason", "quality", "shorthand"];
    let lines = rows.iter().map(|row| {
        let (reason, quality) =
            (row.reason.clone().unwrap_or_default(), row.quality.clone().unwrap_or_default());
        let own = [&row.waba_key, &row.name, &row.language, &row.status, &row.category, &reason, &quality];
        own.into_iter().cloned().chain(Some(shorthand(row).unwrap_or_default())).collect()
    });
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"templates.csv\""))
        .body(csv(&head, lines))
}

/// Hands a template in for review, once it keeps the documented rules.
#[utoipa::path(post, path = "/api/v1/templates", tag = "templates", request_body = CreateTemplate,
    responses((status = 201, body = TemplateView), (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn create(by: By, body: Body<CreateTemplate>) -> Result<HttpResponse, Problem> {
    let CreateTemplate { waba_id, name, language, category, parameter_format, components } = body.0;
    let new = NewTemplate { waba_id, name, language, category, parameter_format, components };
    Ok(HttpResponse::Created().json(view(by.0.create_template(new).await?)))
}

/// One template.
#[utoipa::path(get, path = "/api/v1/templates/{id}", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = TemplateView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<TemplateView>, Problem> {
    Ok(web::Json(view(state.setup.template(&id).await?)))
}

/// Edits a template; Meta reviews it again.
#[utoipa::path(patch, path = "/api/v1/templates/{id}", tag = "templates", params(("id" = String, Path)), request_body = ChangeTemplate,
    responses((status = 200, body = TemplateView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn change(
    by: By,
    id: web::Path<String>,
    body: Body<ChangeTemplate>,
) -> Result<web::Json<TemplateView>, Problem> {
    let ChangeTemplate { category, components } = body.0;
    Ok(web::Json(view(by.0.change_template(&id, TemplateChange { category, components }).await?)))
}

/// Deletes a template at Meta.
#[utoipa::path(delete, path = "/api/v1/templates/{id}", tag = "templates", params(("id" = String, Path), Deletion),
    responses((status = 204), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn remove(
    by: By,
    id: web::Path<String>,
    deletion: web::Query<Deletion>,
) -> Result<HttpResponse, Problem> {
    by.0.delete_template(&id, deletion.all_languages.unwrap_or(false)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reads the templates of one account or of all from Meta. 502 if none could be read.
#[utoipa::path(post, path = "/api/v1/templates/sync", tag = "templates", request_body = Option<SyncTemplates>,
    responses((status = 200, body = List<SyncView>), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn sync(
    state: web::Data<State>,
    body: web::Bytes,
) -> Result<web::Json<List<SyncView>>, Problem> {
    let wanted: SyncTemplates = if body.is_empty() { SyncTemplates::default() } else { parse(&body)? };
    let synced = state.setup.sync_templates(wanted.waba_id.as_deref()).await?;
    let errors: Vec<&str> = synced.iter().filter_map(|one| one.error.as_deref()).collect();
    if !errors.is_empty() && errors.len() == synced.len() {
        let text = errors.join("; ");
        return Err(SetupError::Meta(text.strip_prefix("Meta: ").map(str::to_owned).unwrap_or(text)).into());
    }
    let items =
        synced.into_iter().map(|Synced { waba_id, templates, error }| SyncView { waba_id, templates, error });
    Ok(web::Json(List { items: items.collect(), next: None }))
}

fn filter(wanted: Wanted) -> Filter {
    let Wanted { waba_id, status, name, language } = wanted;
    Filter {
        waba_key: waba_id,
        status: status.map(|status| status.to_uppercase()),
        name,
        language: language.map(|language| language.replace('-', "_")),
    }
}

fn view(row: TemplateRow) -> TemplateView {
    TemplateView {
        shorthand: shorthand(&row),
        components: serde_json::from_str(&row.components).unwrap_or_default(),
        synced_at: utc(row.synced_at),
        updated_at: utc(row.updated_at),
        id: row.id,
        waba_id: row.waba_key,
        template_id: row.meta_id,
        name: row.name,
        language: row.language,
        status: row.status,
        reason: row.reason,
        category: row.category,
        next_category: row.next_category,
        quality: row.quality,
        parameter_format: row.parameter_format,
    }
}
