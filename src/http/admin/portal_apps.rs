//! Bitrix24 → Portal apps: what to type where, and waiting for the installation to arrive.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::form::{Fault, Field, Form, version};
use super::guide::{self, Step};
use super::lines::{self, LinkForm};
use super::list::{Badge, Cell, ListPage, Table, Tone, time};
use super::live;
use super::portals;
use super::visit::{Answer, Id, Shared, Shell, Visit, go, render};
use crate::domain::Secret;
use crate::http::State;
use crate::setup::portal_apps::{NewPortalApp, PortalAppChange};
use crate::setup::portals::lacks;
use crate::store::Page;
use crate::store::portal_apps::PortalAppRow;

#[derive(Template)]
#[template(path = "portal_app.html")]
struct PortalAppPage {
    s: Shell,
    fields: Vec<Field>,
    fault: Fault,
    version: String,
    id: Option<String>,
    arrival: Arrival,
    handler_url: String,
    install_url: String,
    needed: &'static [&'static str],
    wanted: &'static [&'static str],
    guide: Vec<Step>,
}

/// What of the installation is there: the part of the page that is drawn again and again.
#[derive(Template)]
#[template(path = "arrival.html")]
pub(super) struct Arrival {
    s: Shell,
    portals: Vec<Arrived>,
    link: Option<LinkForm>,
}

struct Arrived {
    id: String,
    domain: String,
    state: Badge,
    reason: String,
    missing: Vec<String>,
    lines: usize,
}

/// `GET /admin/portal-apps/`
pub(super) async fn list(visit: Visit, state: Shared) -> Answer {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let heads = ["field.name", "field.client_id", "portal_apps.installed", "list.since"];
    let mut table = Table::headed(say, &heads);
    for row in state.setup.portal_apps(Page { limit: 500, cursor: None }).await? {
        let on: Vec<&str> = snapshot
            .portals
            .iter()
            .filter(|portal| portal.portal_app_id.as_str() == row.id)
            .map(|portal| portal.row.domain.as_str())
            .collect();
        let installed = match on.is_empty() {
            true => Cell::State(Badge::new(Tone::Warn, say.t("portal_apps.nowhere"))),
            false => Cell::Text(on.join(", ")),
        };
        table.rows.push(vec![
            Cell::Link(format!("/admin/portal-apps/{}/", row.id), row.name),
            Cell::Code(row.client_id),
            installed,
            Cell::Time(time(row.created_at)),
        ]);
    }
    let lead = say.t("portal_apps.lead");
    let page = ListPage::new(visit.title("menu.portal_apps"), lead, say.t("portal_apps.empty"), table);
    let page = page.action_if(visit.may_change(), "/admin/portal-apps/new", say.t("portal_apps.new"));
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/portal-apps/new`
pub(super) async fn new(visit: Visit, state: Shared) -> Answer {
    let mut form = Form::default();
    form.put("name", "Bitrix24");
    Ok(draw(&visit, &state, &form, Fault::default(), None))
}

/// `POST /admin/portal-apps/new`
pub(super) async fn create(visit: Visit, state: Shared, form: Form) -> Answer {
    let new = NewPortalApp {
        name: form.get("name").to_owned(),
        client_id: form.get("client_id").to_owned(),
        client_secret: Secret::from(form.get("client_secret").trim()),
    };
    match visit.setup(&state).create_portal_app(new).await {
        Ok(row) => Ok(go(format!("/admin/portal-apps/{}/", row.id), "created")),
        Err(error) => Ok(draw(&visit, &state, &form, Fault::of(error, &visit.say)?, None)),
    }
}

/// `GET /admin/portal-apps/{id}/`
pub(super) async fn show(visit: Visit, state: Shared, id: Id) -> Answer {
    let row = state.setup.portal_app(&id).await?;
    let mut form = Form::default();
    form.put("name", &row.name);
    form.put("version", &version(row.updated_at));
    Ok(draw(&visit, &state, &form, Fault::default(), Some(&row)))
}

/// `POST /admin/portal-apps/{id}/`
pub(super) async fn change(visit: Visit, state: Shared, id: Id, form: Form) -> Answer {
    let change = PortalAppChange {
        name: Some(form.get("name").to_owned()),
        client_secret: form.option("client_secret").map(Secret::new),
    };
    match visit.setup(&state).having_seen(form.seen()).change_portal_app(&id, change).await {
        Ok(row) => Ok(go(format!("/admin/portal-apps/{}/", row.id), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.portal_app(&id).await?;
            Ok(draw(&visit, &state, &form, fault, Some(&row)))
        }
    }
}

/// `POST /admin/portal-apps/{id}/delete`
pub(super) async fn delete(visit: Visit, state: Shared, id: Id, _form: Form) -> Answer {
    visit.setup(&state).delete_portal_app(&id).await?;
    Ok(go("/admin/portal-apps/", "deleted"))
}

/// `GET /admin/live/portal-apps/{id}`: the installation, as it arrives.
pub(super) async fn watch(visit: Visit, state: Shared, id: Id) -> Answer {
    let id = id.into_inner();
    Ok(live::stream(state.clone(), async move |state: &State| {
        Ok(arrival(&visit, state, &id).render().unwrap_or_default())
    }))
}

fn arrival(visit: &Visit, state: &State, id: &str) -> Arrival {
    let snapshot = state.directory.now();
    let ours = snapshot.portals.iter().filter(|portal| portal.portal_app_id.as_str() == id);
    let portals: Vec<Arrived> = ours
        .map(|portal| Arrived {
            id: portal.id.to_string(),
            domain: portal.row.domain.clone(),
            state: portals::badge(&visit.say, &snapshot, portal),
            reason: portal.row.status_reason.as_deref().map(|why| visit.say.said(why)).unwrap_or_default(),
            missing: lacks(&snapshot, portal),
            lines: snapshot.bindings.iter().filter(|binding| binding.portal == portal.id).count(),
        })
        .collect();
    let ready = snapshot
        .portals
        .iter()
        .any(|portal| portal.portal_app_id.as_str() == id && portal.row.status == "active");
    let link = (ready && visit.may_change()).then(|| lines::quick(visit, state, id)).flatten();
    Arrival { s: visit.title("menu.portal_apps"), portals, link }
}

fn draw(
    visit: &Visit,
    state: &State,
    form: &Form,
    mut fault: Fault,
    row: Option<&PortalAppRow>,
) -> HttpResponse {
    let say = &visit.say;
    let secret = Field::secret(say, "client_secret", form.get("client_secret"));
    let mut fields =
        vec![Field::text(say, "name", form.get("name")).required().hinted(say.t("portal_apps.name_hint"))];
    if row.is_none() {
        let hint = say.t("portal_apps.client_id_hint");
        fields.push(Field::text(say, "client_id", form.get("client_id")).required().hinted(hint));
        fields.push(secret.required().hinted(say.t("portal_apps.secret_hint")));
    } else {
        fields.push(secret.hinted(say.t("form.secret_stays")));
    }
    fault.mark(&mut fields);
    let id = row.map(|row| row.id.clone());
    let title = row.map_or_else(|| say.t("portal_apps.new").to_owned(), |row| row.name.clone());
    let status = fault.status;
    let page = PortalAppPage {
        s: visit.shell(&title),
        fields,
        fault,
        version: form.get("version").to_owned(),
        arrival: arrival(visit, state, id.as_deref().unwrap_or_default()),
        id,
        handler_url: state.setup.handler_url().to_string(),
        install_url: state.setup.install_url().to_string(),
        needed: guide::NEEDED,
        wanted: guide::WANTED,
        guide: guide::portal(say),
    };
    render(status, &page)
}
