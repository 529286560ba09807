//! The form that hands a template in for review, and edits one: fields for what most templates are, Meta's own
//! JSON for the rest, and a bubble that shows how it will look.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::form::{Fault, Field, Form, Kind, version};
use super::refusal::Refusal;
use super::template_parts::{BUTTON_KINDS, BUTTONS, HEADERS, components, field_of, fill};
use super::texts::Say;
use super::visit::{Shell, Visit, go, render};
use crate::domain::Language;
use crate::http::State;
use crate::relay::templates::composed;
use crate::setup::SetupError;
use crate::setup::templates::{NewTemplate, TemplateChange};
use crate::store::templates::TemplateRow;

type Answer = Result<HttpResponse, Refusal>;

const CATEGORIES: [&str; 3] = ["UTILITY", "MARKETING", "AUTHENTICATION"];
/// The field of Meta's own JSON.
const JSON: &str = "components";
/// Empty rows of buttons below those that are filled.
const SPARE: usize = 3;

#[derive(Template)]
#[template(path = "template_form.html")]
struct Page {
    s: Shell,
    /// Our id of the template that is edited.
    id: Option<String>,
    fields: Vec<Field>,
    as_json: bool,
    buttons: Vec<ButtonRow>,
    button_kinds: Vec<(&'static str, String)>,
    button_error: Option<String>,
    preview: String,
    version: String,
    fault: Fault,
}

struct ButtonRow {
    kind: String,
    text: String,
    value: String,
    sample: String,
}

/// `GET /admin/templates/new`
pub(super) async fn new(visit: Visit, state: web::Data<State>) -> Answer {
    let mut form = Form::default();
    form.put("category", "UTILITY");
    form.put("parameter_format", "POSITIONAL");
    let language = if visit.say.language() == Language::Ru { "ru" } else { "en_US" };
    form.put("language", language);
    Ok(draw(&visit, &state, None, &form, Fault::default()))
}

/// `POST /admin/templates/new`
pub(super) async fn create(visit: Visit, state: web::Data<State>, form: Form) -> Answer {
    let parts = match components(&form) {
        Ok(parts) => parts,
        Err((field, why)) => {
            return Ok(draw(&visit, &state, None, &form, Fault::field(&visit.say, field, why)));
        }
    };
    if form.ticked("look") {
        return Ok(draw(&visit, &state, None, &form, Fault::default()));
    }
    let new = NewTemplate {
        waba_id: form.get("waba_id").to_owned(),
        name: form.get("name").trim().to_owned(),
        language: form.get("language").trim().to_owned(),
        category: form.get("category").to_owned(),
        parameter_format: form.option("parameter_format"),
        components: parts.clone(),
    };
    match visit.setup(&state).create_template(new).await {
        Ok(row) => Ok(go(format!("/admin/templates/{}/", row.id), "handed_in")),
        Err(error) => {
            let fault = Fault::of(told(error, &parts, &form), &visit.say)?;
            Ok(draw(&visit, &state, None, &form, fault))
        }
    }
}

/// `GET /admin/templates/{id}/edit`
pub(super) async fn edit(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    let row = state.setup.template(&id).await?;
    let mut form = Form::default();
    form.put("category", &row.category);
    form.put("parameter_format", &row.parameter_format);
    form.put("version", &version(row.updated_at));
    fill(&mut form, &row.components);
    Ok(draw(&visit, &state, Some(&row), &form, Fault::default()))
}

/// `POST /admin/templates/{id}/edit`
pub(super) async fn change(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    mut form: Form,
) -> Answer {
    let row = state.setup.template(&id).await?;
    // Neither can change; of an approved template the category neither.
    form.put("parameter_format", &row.parameter_format);
    if form.get("category").is_empty() {
        form.put("category", &row.category);
    }
    let parts = match components(&form) {
        Ok(parts) => parts,
        Err((field, why)) => {
            return Ok(draw(&visit, &state, Some(&row), &form, Fault::field(&visit.say, field, why)));
        }
    };
    if form.ticked("look") {
        return Ok(draw(&visit, &state, Some(&row), &form, Fault::default()));
    }
    let change =
        TemplateChange { category: Some(form.get("category").to_owned()), components: Some(parts.clone()) };
    match visit.setup(&state).having_seen(form.seen()).change_template(&id, change).await {
        Ok(row) => Ok(go(format!("/admin/templates/{}/", row.id), "handed_in")),
        Err(error) => {
            let fault = Fault::of(told(error, &parts, &form), &visit.say)?;
            Ok(draw(&visit, &state, Some(&row), &form, fault))
        }
    }
}

/// The same error, its fields named as the form names them. Of Meta's own JSON there is one field, and the place in
/// it is said.
fn told(error: SetupError, parts: &[Value], form: &Form) -> SetupError {
    match error {
        SetupError::Invalid(mut faults) => {
            for fault in &mut faults {
                if !form.ticked("as_json") || !fault.field.starts_with(JSON) {
                    field_of(&fault.field, parts).clone_into(&mut fault.field);
                } else if fault.field != JSON {
                    fault.message = format!("{}: {}", fault.field, fault.message);
                    JSON.clone_into(&mut fault.field);
                }
            }
            SetupError::Invalid(faults)
        }
        error => error,
    }
}

fn fields(say: &Say, state: &State, row: Option<&TemplateRow>, form: &Form) -> Vec<Field> {
    let choice = |name: &'static str, group: &str, of: &[&str]| {
        let words = of.iter().map(|word| ((*word).to_owned(), say.word(group, word))).collect();
        Field::choice(say, name, form.get(name), words).required()
    };
    let text = |name: &'static str| Field::text(say, name, form.get(name));
    let area = |name: &'static str| Field::new(say, name, form.get(name), Kind::Area);
    let mut fields = Vec::new();
    if row.is_none() {
        let snapshot = state.directory.now();
        let wabas = snapshot.wabas.iter().map(|waba| (waba.key.to_string(), waba.waba_id.to_string()));
        fields
            .push(Field::choice(say, "waba_id", form.get("waba_id"), wabas.collect()).required().hinted(""));
        let name = text("name").required().hinted(say.t("templates.name_hint"));
        fields.push(name);
        fields.push(Field { label: say.t("templates.language").to_owned(), ..text("language").required() });
    }
    if row.is_none_or(|row| row.status != "APPROVED") {
        fields.push(choice("category", "category", &CATEGORIES));
    }
    if form.ticked("as_json") {
        fields.push(area(JSON).required());
        return fields;
    }
    if row.is_none() {
        fields.push(choice("parameter_format", "parameter_format", &["POSITIONAL", "NAMED"]));
    }
    let mut headers = vec![(String::new(), say.t("templates.no_header").to_owned())];
    headers.extend(HEADERS.iter().map(|word| ((*word).to_owned(), say.word("header", word))));
    fields.extend([
        Field::choice(say, "header_format", form.get("header_format"), headers),
        text("header_text"),
        text("header_sample"),
        area("body"),
        area("body_samples"),
        text("footer"),
    ]);
    fields
}

fn button_rows(form: &Form) -> Vec<ButtonRow> {
    let at = |name: &str, index: usize| form.all(name).get(index).cloned().unwrap_or_default();
    let rows = (0..BUTTONS).map(|index| ButtonRow {
        kind: at("button_kind", index),
        text: at("button_text", index),
        value: at("button_value", index),
        sample: at("button_sample", index),
    });
    let mut rows: Vec<ButtonRow> = rows.collect();
    let filled = rows.iter().rposition(|row| !row.kind.is_empty()).map_or(0, |last| last + 1);
    rows.truncate((filled + SPARE).min(BUTTONS));
    rows
}

/// How the template will look, with its samples.
fn preview(form: &Form, row: Option<&TemplateRow>) -> String {
    // Nothing is written yet.
    if !form.ticked("as_json") && form.get("body").is_empty() && form.get("category") != "AUTHENTICATION" {
        return String::new();
    }
    let Ok(parts) = components(form) else { return String::new() };
    let now = chrono::NaiveDateTime::default();
    let look = TemplateRow {
        id: String::new(),
        waba_key: String::new(),
        meta_id: String::new(),
        name: row.map_or_else(|| form.get("name").to_owned(), |row| row.name.clone()),
        language: row.map_or_else(|| form.get("language").to_owned(), |row| row.language.clone()),
        status: "PENDING".to_owned(),
        reason: None,
        category: form.get("category").to_owned(),
        next_category: None,
        quality: None,
        parameter_format: form.get("parameter_format").to_owned(),
        components: Value::Array(parts).to_string(),
        synced_at: now,
        created_at: now,
        updated_at: now,
        moved_from: None,
        moved_at: None,
    };
    composed(&look, &[], Language::from_code(&look.language)).preview
}

fn draw(
    visit: &Visit,
    state: &State,
    row: Option<&TemplateRow>,
    form: &Form,
    mut fault: Fault,
) -> HttpResponse {
    let say = &visit.say;
    let mut fields = fields(say, state, row, form);
    // The rows of buttons bear one message.
    let mut rows = [Field::text(say, "buttons", "")];
    fault.mark_some(&mut rows);
    fault.mark(&mut fields);
    let [buttons] = rows;
    let title = row.map_or_else(|| say.t("templates.new").to_owned(), |row| row.name.clone());
    let status = fault.status;
    let page = Page {
        s: visit.shell(&title),
        id: row.map(|row| row.id.clone()),
        fields,
        as_json: form.ticked("as_json"),
        buttons: button_rows(form),
        button_kinds: BUTTON_KINDS.iter().map(|kind| (*kind, say.word("button_kind", kind))).collect(),
        button_error: buttons.error,
        preview: preview(form, row),
        version: form.get("version").to_owned(),
        fault,
    };
    render(if status.is_success() { StatusCode::OK } else { status }, &page)
}
