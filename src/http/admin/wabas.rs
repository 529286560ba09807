//! WhatsApp → Business accounts: an account is subscribed to its app, then its numbers are chosen from a list.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::form::{Fault, Field, Form, version};
use super::list::{Badge, Cell, ListPage, Table, Tone, time};
use super::visit::{Answer, Id, Shared, Shell, Visit, go, render};
use crate::domain::Secret;
use crate::http::State;
use crate::setup::phones::{NewPhone, shown_digits};
use crate::setup::wabas::{NewWaba, WabaChange};
use crate::store::Page;
use crate::store::wabas::WabaRow;

#[derive(Template)]
#[template(path = "waba.html")]
struct WabaPage {
    s: Shell,
    fields: Vec<Field>,
    fault: Fault,
    version: String,
    known: Option<Known>,
    no_apps: bool,
}

struct Known {
    id: String,
    waba_id: String,
    state: Badge,
    reason: String,
    numbers: Vec<Number>,
    /// Meta could not list them.
    trouble: Option<String>,
    choosable: bool,
}

/// A number as Meta lists it.
struct Number {
    value: String,
    number: String,
    name: String,
    state: Badge,
    known_as: Option<String>,
    chosen: bool,
}

/// What the form begins with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Begin {
    app: String,
    waba: String,
}

/// `GET /admin/wabas/`
pub(super) async fn list(visit: Visit, state: Shared) -> Answer {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let heads = ["field.name", "field.waba_id", "wabas.phones", "list.state", "list.since"];
    let mut table = Table::headed(say, &heads);
    for row in state.setup.wabas(Page { limit: 500, cursor: None }).await? {
        let phones = snapshot.phones.iter().filter(|phone| phone.waba_key.as_str() == row.id).count();
        let state = badge(&visit, &row);
        table.rows.push(vec![
            Cell::Link(format!("/admin/wabas/{}/", row.id), row.name),
            Cell::Code(row.waba_id),
            Cell::Text(phones.to_string()),
            Cell::State(state),
            Cell::Time(time(row.created_at)),
        ]);
    }
    let page = ListPage::new(visit.title("menu.wabas"), say.t("wabas.lead"), say.t("wabas.empty"), table);
    let page = page.action_if(visit.may_change(), "/admin/wabas/new", say.t("wabas.new"));
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/wabas/new`
pub(super) async fn new(visit: Visit, state: Shared, begin: web::Query<Begin>) -> Answer {
    let mut form = Form::default();
    form.put("app_id", &begin.app);
    form.put("waba_id", &begin.waba);
    Ok(draw(&visit, &state, &form, Fault::default(), None))
}

/// `POST /admin/wabas/new`
pub(super) async fn create(visit: Visit, state: Shared, form: Form) -> Answer {
    let new = NewWaba {
        app_id: form.get("app_id").to_owned(),
        waba_id: form.get("waba_id").to_owned(),
        access_token: form.option("access_token").map(Secret::new),
    };
    match visit.setup(&state).create_waba(new).await {
        Ok(row) => Ok(go(format!("/admin/wabas/{}/", row.id), "created")),
        Err(error) => Ok(draw(&visit, &state, &form, Fault::of(error, &visit.say)?, None)),
    }
}

/// `GET /admin/wabas/{id}/`
pub(super) async fn show(visit: Visit, state: Shared, id: Id) -> Answer {
    shown(&visit, &state, &id, None, Fault::default()).await
}

/// `POST /admin/wabas/{id}/`
pub(super) async fn change(visit: Visit, state: Shared, id: Id, form: Form) -> Answer {
    let token = match (form.ticked("app_token"), form.option("access_token")) {
        (true, _) => Some(None),
        (false, Some(token)) => Some(Some(Secret::new(token))),
        (false, None) => None,
    };
    let portfolio = Some(form.option("portfolio"));
    let change = WabaChange { name: Some(form.get("name").to_owned()), access_token: token, portfolio };
    match visit.setup(&state).having_seen(form.seen()).change_waba(&id, change).await {
        Ok(row) => Ok(go(format!("/admin/wabas/{}/", row.id), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            shown(&visit, &state, &id, Some(form), fault).await
        }
    }
}

/// `POST /admin/wabas/{id}/phones`: the numbers that were ticked become phones.
pub(super) async fn choose(visit: Visit, state: Shared, id: Id, form: Form) -> Answer {
    let setup = visit.setup(&state);
    let chosen = form.all("phone");
    if chosen.is_empty() {
        let fault = Fault::told(Some(visit.say.t("wabas.choose_one").to_owned()));
        return shown(&visit, &state, &id, None, fault).await;
    }
    for value in chosen {
        let (phone_number_id, phone_number) = value.split_once(':').unwrap_or((value, ""));
        let new = NewPhone {
            waba_id: id.to_string(),
            phone_number: phone_number.to_owned(),
            phone_number_id: phone_number_id.to_owned(),
            sms_service: false,
        };
        if let Err(error) = setup.create_phone(new).await {
            let fault = Fault::of(error, &visit.say)?;
            return shown(&visit, &state, &id, Some(form), fault).await;
        }
    }
    Ok(go("/admin/", "created"))
}

/// `POST /admin/wabas/{id}/delete`
pub(super) async fn delete(visit: Visit, state: Shared, id: Id, _form: Form) -> Answer {
    visit.setup(&state).delete_waba(&id).await?;
    Ok(go("/admin/wabas/", "deleted"))
}

async fn shown(visit: &Visit, state: &State, id: &str, form: Option<Form>, fault: Fault) -> Answer {
    let row = state.setup.waba(id).await?;
    let form = form.unwrap_or_else(|| {
        let mut form = Form::default();
        form.put("name", &row.name);
        form.put("portfolio", row.portfolio.as_deref().unwrap_or_default());
        form.put("version", &version(row.updated_at));
        form
    });
    let (numbers, trouble) = match state.setup.available_phones(id).await {
        Ok(listed) => (listed, None),
        Err(error) => (Vec::new(), Some(visit.say.said(&error.to_string()))),
    };
    let snapshot = state.directory.now();
    let picked = form.all("phone");
    let free = numbers.iter().filter(|number| snapshot.phone_by_id(&number.id).is_none()).count();
    let numbers: Vec<Number> = numbers
        .into_iter()
        .map(|info| {
            let digits = shown_digits(&info);
            let known = snapshot.phone_by_id(&info.id);
            let value = format!("{}:{digits}", info.id);
            let state = info.status.clone().unwrap_or_default();
            Number {
                number: info.display_phone_number.clone().unwrap_or_else(|| format!("+{digits}")),
                name: info.verified_name.clone().unwrap_or_default(),
                state: super::phones::status_badge(&visit.say, &state),
                known_as: known.map(|phone| format!("/admin/phones/{}/", phone.key)),
                // A single number is surely meant.
                chosen: picked.contains(&value) || free == 1,
                value,
            }
        })
        .collect();
    let known = Known {
        id: row.id.clone(),
        waba_id: row.waba_id.clone(),
        state: badge(visit, &row),
        reason: row.status_reason.as_deref().map(|why| visit.say.said(why)).unwrap_or_default(),
        choosable: numbers.iter().any(|number| number.known_as.is_none()),
        numbers,
        trouble,
    };
    Ok(draw(visit, state, &form, fault, Some((&row, known))))
}

fn badge(visit: &Visit, row: &WabaRow) -> Badge {
    let tone = match (row.status.as_str(), row.subscribed) {
        ("active", true) => Tone::Good,
        ("disconnected", _) => Tone::Bad,
        _ => Tone::Warn,
    };
    Badge::new(tone, visit.say.word("state", &row.status))
}

fn draw(
    visit: &Visit,
    state: &State,
    form: &Form,
    mut fault: Fault,
    row: Option<(&WabaRow, Known)>,
) -> HttpResponse {
    let say = &visit.say;
    let mut fields = Vec::new();
    let snapshot = state.directory.now();
    match &row {
        None => {
            let apps = snapshot
                .apps
                .iter()
                .map(|app| (app.id.to_string(), format!("{} ({})", app.client_id, app.site)));
            fields.push(Field::choice(say, "app_id", form.get("app_id"), apps.collect()).required());
            fields.push(Field::text(say, "waba_id", form.get("waba_id")).required());
            fields.push(
                Field::secret(say, "access_token", form.get("access_token"))
                    .hinted(say.t("wabas.token_hint")),
            );
        }
        Some(_) => {
            fields.push(Field::text(say, "name", form.get("name")).required().hinted(""));
            fields.push(
                Field::secret(say, "access_token", form.get("access_token"))
                    .hinted(say.t("form.secret_stays")),
            );
            fields.push(Field::text(say, "portfolio", form.get("portfolio")));
            fields.push(Field::check(say, "app_token", form.ticked("app_token")));
        }
    }
    fault.mark(&mut fields);
    let title = row.as_ref().map_or_else(|| say.t("wabas.new").to_owned(), |(row, _)| row.name.clone());
    let status = fault.status;
    let page = WabaPage {
        s: visit.shell(&title),
        fields,
        fault,
        version: form.get("version").to_owned(),
        known: row.map(|(_, known)| known),
        no_apps: snapshot.apps.is_empty(),
    };
    render(status, &page)
}
