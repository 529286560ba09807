//! WhatsApp → Apps: a Meta app, and beside its form the way through Meta's own pages.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::facebook;
use super::form::{Fault, Field, Form, version};
use super::guide::{self, Step};
use super::list::{Badge, Cell, ListPage, Table, Tone, time};
use super::texts::Say;
use super::visit::{Answer, Id, Shared, Shell, Visit, go, render};
use crate::domain::Secret;
use crate::http::State;
use crate::setup::apps::{AppChange, NewApp};
use crate::setup::doctor::{Repair, webhook_fields};
use crate::setup::facebook::LoginFor;
use crate::store::Page;
use crate::store::apps::AppRow;

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage {
    s: Shell,
    fields: Vec<Field>,
    fault: Fault,
    version: String,
    /// Only of an app that exists.
    known: Option<Known>,
    guide: Vec<Step>,
    ready: Vec<String>,
    ticks: Vec<&'static str>,
    /// What lets the bridge enter all that itself.
    tell_meta: &'static str,
}

struct Known {
    id: String,
    callback_url: String,
    verify_token: String,
    rotating: bool,
    broken: Option<String>,
}

/// `GET /admin/apps/`
pub(super) async fn list(visit: Visit, state: Shared) -> Answer {
    let say = &visit.say;
    let rows = state.setup.apps(Page { limit: 500, cursor: None }).await?;
    let snapshot = state.directory.now();
    let heads = ["field.name", "field.site", "field.client_id", "list.state", "list.since"];
    let mut table = Table::headed(say, &heads);
    for row in rows {
        let app = snapshot.apps.iter().find(|app| app.id.as_str() == row.id);
        let badge = match app.and_then(|app| app.broken.clone()) {
            Some(why) => Badge::new(Tone::Bad, say.said(&why)),
            None => Badge::new(Tone::Good, say.t("state.ready")),
        };
        table.rows.push(vec![
            Cell::Link(format!("/admin/apps/{}/", row.id), row.name),
            Cell::Text(row.site),
            Cell::Code(row.client_id),
            Cell::State(badge),
            Cell::Time(time(row.created_at)),
        ]);
    }
    let page = ListPage::new(visit.title("menu.apps"), say.t("apps.lead"), say.t("apps.empty"), table);
    let page = page.action_if(visit.may_change(), "/admin/apps/new", say.t("apps.new"));
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/apps/new`
pub(super) async fn new(visit: Visit, state: Shared) -> Answer {
    let mut form = Form::default();
    form.put("name", "WhatsApp");
    form.put("site", state.config.public_url.host_str().unwrap_or_default().trim_matches(['[', ']']));
    Ok(draw(&visit, &state, &form, Fault::default(), None))
}

/// `POST /admin/apps/new`
pub(super) async fn create(visit: Visit, state: Shared, form: Form) -> Answer {
    let new = NewApp {
        name: form.get("name").to_owned(),
        site: form.get("site").to_owned(),
        client_id: form.get("client_id").to_owned(),
        client_secret: Secret::from(form.get("client_secret").trim()),
        access_token: Secret::from(form.get("access_token").trim()),
        graph_version: form.option("graph_version"),
        save_events: form.ticked("save_events"),
    };
    if form.ticked("facebook") {
        let begun = facebook::begin(&visit, &state, LoginFor::New(Box::new(new))).await;
        return match begun {
            Ok(page) => Ok(page),
            Err(error) => Ok(draw(&visit, &state, &form, Fault::of(error, &visit.say)?, None)),
        };
    }
    match visit.setup(&state).create_app(new).await {
        Ok((row, _)) => Ok(go(format!("/admin/apps/{}/", row.id), "created")),
        Err(error) => Ok(draw(&visit, &state, &form, Fault::of(error, &visit.say)?, None)),
    }
}

/// `GET /admin/apps/{id}/`
pub(super) async fn show(visit: Visit, state: Shared, id: Id) -> Answer {
    let row = state.setup.app(&id).await?;
    Ok(draw(&visit, &state, &typed(&row), Fault::default(), Some(&row)))
}

/// `POST /admin/apps/{id}/`
pub(super) async fn change(visit: Visit, state: Shared, id: Id, form: Form) -> Answer {
    let secret = |name: &str| form.option(name).map(Secret::new);
    let change = AppChange {
        name: Some(form.get("name").to_owned()),
        site: Some(form.get("site").to_owned()),
        client_secret: secret("client_secret"),
        access_token: secret("access_token"),
        graph_version: Some(form.option("graph_version")),
        save_events: Some(form.ticked("save_events")),
    };
    let changed = visit.setup(&state).having_seen(form.seen()).change_app(&id, change).await;
    match changed {
        Ok(row) => Ok(go(format!("/admin/apps/{}/", row.id), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.app(&id).await?;
            Ok(draw(&visit, &state, &form, fault, Some(&row)))
        }
    }
}

/// `POST /admin/apps/{id}/delete`
pub(super) async fn delete(visit: Visit, state: Shared, id: Id, _form: Form) -> Answer {
    visit.setup(&state).delete_app(&id).await?;
    Ok(go("/admin/apps/", "deleted"))
}

fn typed(row: &AppRow) -> Form {
    let mut form = Form::default();
    form.put("name", &row.name);
    form.put("site", &row.site);
    form.put("client_id", &row.client_id);
    form.put("graph_version", row.graph_version.as_deref().unwrap_or_default());
    form.put("save_events", if row.save_events { "on" } else { "" });
    form.put("version", &version(row.updated_at));
    form
}

fn draw(visit: &Visit, state: &State, form: &Form, mut fault: Fault, row: Option<&AppRow>) -> HttpResponse {
    let say = &visit.say;
    let is_new = row.is_none();
    let secret = |name: &'static str| {
        let field = Field::secret(say, name, form.get(name));
        // The token may come from Facebook instead, so the browser must not insist on it.
        if is_new && name == "access_token" {
            field.hinted(say.t("apps.token_hint"))
        } else if is_new {
            field.required()
        } else {
            field.hinted(say.t("form.secret_stays"))
        }
    };
    let mut fields = vec![
        Field::text(say, "name", form.get("name")).required().hinted(say.t("apps.name_hint")),
        Field::text(say, "site", form.get("site")).required(),
    ];
    if is_new {
        fields.push(
            Field::text(say, "client_id", form.get("client_id"))
                .required()
                .hinted(say.t("apps.client_id_hint")),
        );
    }
    fields.extend([
        secret("client_secret"),
        secret("access_token"),
        Field::text(say, "graph_version", form.get("graph_version"))
            .hinted(&say.t1("apps.version_hint", &state.config.meta.graph_version)),
        Field::check(say, "save_events", form.ticked("save_events")),
    ]);
    fault.mark(&mut fields);
    let known = row.map(|row| known(say, state, row));
    let status = fault.status;
    let title = row.map_or_else(|| say.t("apps.new").to_owned(), |row| row.name.clone());
    let page = AppPage {
        s: visit.shell(&title),
        fields,
        fault,
        version: form.get("version").to_owned(),
        known,
        guide: guide::meta(say),
        ready: guide::ready(say),
        ticks: webhook_fields(state.config.sip.enabled),
        tell_meta: Repair::AppSubscription.as_str(),
    };
    render(status, &page)
}

fn known(say: &Say, state: &State, row: &AppRow) -> Known {
    let snapshot = state.directory.now();
    let app = snapshot.apps.iter().find(|app| app.id.as_str() == row.id);
    Known {
        id: row.id.clone(),
        callback_url: state.setup.callback_url(row),
        verify_token: app.map(|app| app.verify_token.expose().to_owned()).unwrap_or_default(),
        rotating: row.second_secret_sealed.is_some(),
        broken: app.and_then(|app| app.broken.as_deref()).map(|why| say.said(why)),
    }
}
