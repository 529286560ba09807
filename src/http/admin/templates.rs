//! Templates: what Meta says of each, how it looks on a phone, the line that sends it, and a test of it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::form::{Fault, Field, Form};
use super::list::{Action, Badge, Cell, Deed, Filter, ListPage, Table, Tone, cut, page, time};
use super::messages::address;
use super::refusal::Refusal;
use super::texts::Say;
use super::visit::{Shell, Visit, go, render};
use crate::domain::{Language, PhoneKey, PhoneNumber};
use crate::http::{State, api};
use crate::relay::templates::{composed, definition};
use crate::setup::templates::EDITABLE;
use crate::store::Page;
use crate::store::templates::{Filter as Wanted, TemplateRow};

type Answer = Result<HttpResponse, Refusal>;

const STATES: [&str; 6] = ["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL"];
/// Values of one template at most.
const MOST_VALUES: usize = 30;

/// Which templates are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    status: String,
    name: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "template.html")]
struct TemplatePage {
    s: Shell,
    id: String,
    state: Badge,
    reason: String,
    preview: String,
    values: Vec<Value>,
    shorthand: Option<String>,
    facts: Vec<(String, Cell)>,
    components: String,
    fault: Fault,
    editable: bool,
    /// Where a test can be sent by; none: it cannot be sent.
    test: Vec<Field>,
    /// Why a test was not sent.
    test_fault: Fault,
}

/// A variable to fill in.
struct Value {
    name: String,
    value: String,
}

/// `GET /admin/templates/`
pub(super) async fn list(visit: Visit, state: web::Data<State>, query: web::Query<Query>) -> Answer {
    let query = query.into_inner();
    let status = STATES.iter().find(|known| **known == query.status).map(|known| (*known).to_owned());
    let name = Some(query.name.trim().replace('\0', "")).filter(|name| !name.is_empty());
    let filter = Wanted { waba_key: None, status, name, language: None };
    let mut rows = state.setup.templates(filter, page(query.cursor.as_deref())).await?;
    let next = cut(&mut rows, |row| &row.id);
    let say = &visit.say;
    let heads = ["field.name", "templates.language", "list.state", "templates.category", "templates.reason"];
    let row = |row: TemplateRow| {
        vec![
            Cell::Link(format!("/admin/templates/{}/", row.id), row.name),
            Cell::Text(row.language),
            Cell::State(badge(say, &row.status)),
            Cell::Text(say.word("category", &row.category)),
            Cell::Text(row.reason.unwrap_or_default()),
        ]
    };
    let table = Table {
        heads: heads.map(|key| say.t(key).to_owned()).to_vec(),
        rows: rows.into_iter().map(row).collect(),
    };
    let lead = say.t("templates.lead");
    let mut page = ListPage::new(visit.title("menu.templates"), lead, say.t("templates.empty"), table);
    let mut states = vec![(String::new(), say.t("list.all").to_owned())];
    states.extend(STATES.iter().map(|state| ((*state).to_owned(), say.word("template", state))));
    for (name, key, value, choices) in [
        ("name", "templates.whole_name", &query.name, Vec::new()),
        ("status", "list.state", &query.status, states),
    ] {
        page.filters.push(Filter { name, label: say.t(key).to_owned(), value: value.clone(), choices });
    }
    if visit.may_change() {
        page.actions.push(Action {
            href: "/admin/templates/new".to_owned(),
            label: say.t("templates.new").to_owned(),
        });
        page.deeds.push(Deed {
            action: "/admin/templates/sync".to_owned(),
            label: say.t("templates.sync").to_owned(),
            question: String::new(),
            hidden: Vec::new(),
        });
    }
    page.actions.insert(
        0,
        Action { href: "/admin/templates.csv".to_owned(), label: say.t("templates.csv").to_owned() },
    );
    page.next = next.map(|cursor| address(&[("status", &query.status), ("name", &query.name)], &cursor));
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/templates.csv`
pub(super) async fn file(state: web::Data<State>) -> Answer {
    let page = Page { limit: api::SPREADSHEET_ROWS, cursor: None };
    Ok(api::spreadsheet(&state.setup.templates(Wanted::default(), page).await?))
}

/// `POST /admin/templates/sync`
pub(super) async fn sync(visit: Visit, state: web::Data<State>, _form: Form) -> Answer {
    let synced = visit.setup(&state).sync_templates(None).await?;
    let failed: Vec<String> = synced.into_iter().filter_map(|one| one.error).collect();
    match failed.is_empty() {
        true => Ok(go("/admin/templates/", "saved")),
        false => Err(Refusal::Said(StatusCode::BAD_GATEWAY, failed.join("; "))),
    }
}

/// `GET /admin/templates/{id}/`, with `v` for each value that is tried.
pub(super) async fn show(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
) -> Answer {
    let typed = query.into_inner().into_iter().filter(|(name, _)| name == "v").map(|(_, value)| value);
    draw(&visit, &state, &id, typed.take(MOST_VALUES).collect(), Fault::default(), None).await
}

/// `POST /admin/templates/{id}/test`: to a number, by the way that operators' messages go.
pub(super) async fn test(visit: Visit, state: web::Data<State>, id: web::Path<String>, form: Form) -> Answer {
    let row = state.setup.template(&id).await?;
    let values: Vec<String> = form.all("v").iter().take(MOST_VALUES).cloned().collect();
    let say = &visit.say;
    let wrong = |field: &str, sentence: &str| Fault::field(say, field, sentence);
    let phone = PhoneKey::from(form.get("phone"));
    let line = composed(&row, &values, Language::from_code(&row.language)).shorthand;
    let checked = match (PhoneNumber::parse(form.get("to")), line) {
        _ if row.status != "APPROVED" => Err(wrong("phone", "only an approved template can be sent")),
        (_, None) => Err(wrong("phone", "no short line can send this template")),
        _ if !phones_of(&state, &row).iter().any(|(key, _)| key == phone.as_str()) => {
            Err(wrong("phone", "is no number of this template's account"))
        }
        (Err(_), _) => Err(wrong("to", "must be a number in international form, as +15550100200")),
        _ if !form.ticked("confirm") => {
            Err(wrong("confirm", "must be ticked: the message goes out for real"))
        }
        (Ok(number), Some(line)) => Ok((number, line)),
    };
    let (number, line) = match checked {
        Ok(checked) => checked,
        Err(fault) => return draw(&visit, &state, &id, values, Fault::default(), Some((&form, fault))).await,
    };
    if !state.relay.try_template(&phone, &number, &line).await? {
        return Err(Refusal::Missing);
    }
    visit.setup(&state).note_template_test(&row, &number).await?;
    // There its way is seen.
    Ok(go(format!("/admin/messages/?q={}", number.digits()), "sent"))
}

/// `POST /admin/templates/{id}/delete`
pub(super) async fn delete(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    _form: Form,
) -> Answer {
    match visit.setup(&state).delete_template(&id, false).await {
        Ok(()) => Ok(go("/admin/templates/", "deleted")),
        Err(error) => draw(&visit, &state, &id, Vec::new(), Fault::of(error, &visit.say)?, None).await,
    }
}

/// Phones that can send a template.
fn phones_of(state: &State, row: &TemplateRow) -> Vec<(String, String)> {
    let snapshot = state.directory.now();
    let its = snapshot.phones.iter().filter(|phone| phone.waba_key.as_str() == row.waba_key);
    its.map(|phone| (phone.key.to_string(), format!("+{}", phone.number))).collect()
}

fn test_fields(say: &Say, state: &State, row: &TemplateRow, typed: &Form) -> Vec<Field> {
    let phones = phones_of(state, row);
    if row.status != "APPROVED" || phones.is_empty() {
        return Vec::new();
    }
    vec![
        Field::choice(say, "phone", typed.get("phone"), phones).required(),
        Field::text(say, "to", typed.get("to")).required(),
        Field::check(say, "confirm", typed.ticked("confirm")),
    ]
}

async fn draw(
    visit: &Visit,
    state: &State,
    id: &str,
    typed: Vec<String>,
    fault: Fault,
    tried: Option<(&Form, Fault)>,
) -> Answer {
    let row = state.setup.template(id).await?;
    let say = &visit.say;
    let names = definition(&row).body_variables();
    let composed = composed(&row, &typed, Language::from_code(&row.language));
    let values = names
        .into_iter()
        .zip(composed.values.iter().cloned().chain(std::iter::repeat(String::new())))
        .map(|(name, value)| Value { name, value })
        .collect();
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let facts = vec![
        fact("templates.language", Cell::Text(row.language.clone())),
        fact("templates.category", Cell::Text(say.word("category", &row.category))),
        fact("phones.quality", Cell::Text(row.quality.clone().unwrap_or_else(|| "—".to_owned()))),
        fact("templates.meta_id", Cell::Code(row.meta_id.clone())),
        fact("templates.synced", Cell::Time(time(row.synced_at))),
    ];
    let mut test_fault = tried.as_ref().map(|(_, fault)| fault.clone()).unwrap_or_default();
    let none = Form::default();
    let mut test = match (&composed.shorthand, visit.may_change()) {
        (Some(_), true) => test_fields(say, state, &row, tried.map_or(&none, |(form, _)| form)),
        _ => Vec::new(),
    };
    test_fault.mark(&mut test);
    let status = if fault.status.is_success() { test_fault.status } else { fault.status };
    let page = TemplatePage {
        s: visit.shell(&row.name),
        id: row.id.clone(),
        state: badge(say, &row.status),
        reason: row.reason.clone().unwrap_or_default(),
        preview: composed.preview,
        values,
        shorthand: composed.shorthand,
        facts,
        components: super::messages::pretty(&row.components),
        editable: EDITABLE.contains(&row.status.as_str()),
        fault,
        test,
        test_fault,
    };
    Ok(render(status, &page))
}

fn badge(say: &Say, status: &str) -> Badge {
    let tone = match status {
        "APPROVED" => Tone::Good,
        "REJECTED" | "DISABLED" => Tone::Bad,
        _ => Tone::Warn,
    };
    Badge::new(tone, say.word("template", status))
}
