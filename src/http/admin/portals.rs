//! Bitrix24 → Portals: what a portal lacks, and how to help it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::form::{Fault, Field, Form, version};
use super::list::{Badge, Cell, ListPage, Table, Tone, time};
use super::texts::Say;
use super::visit::{Answer, Id, Shared, Shell, Visit, go, render};
use crate::directory::{Portal, Snapshot};
use crate::domain::PortalId;
use crate::http::State;
use crate::setup::portals::{PortalChange, lacks, scope_list};
use crate::store::portals::PortalRow;

#[derive(Template)]
#[template(path = "portal.html")]
struct PortalPage {
    s: Shell,
    id: String,
    state: Badge,
    reason: String,
    facts: Vec<(String, Cell)>,
    scopes: Vec<String>,
    missing: Vec<String>,
    lines: Vec<(String, String)>,
    fields: Vec<Field>,
    fault: Fault,
    version: String,
}

/// `GET /admin/portals/`
pub(super) async fn list(visit: Visit, state: Shared) -> Answer {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let heads = ["portals.domain", "list.state", "portals.scopes", "menu.lines", "list.since"];
    let mut table = Table::headed(say, &heads);
    for portal in &snapshot.portals {
        let missing = lacks(&snapshot, portal);
        let scopes = match missing.is_empty() {
            true => Badge::new(Tone::Good, say.t("portals.scopes_fine")),
            false => Badge::new(Tone::Bad, missing.join(", ")),
        };
        let lines = snapshot.bindings.iter().filter(|binding| binding.portal == portal.id).count();
        table.rows.push(vec![
            Cell::Link(format!("/admin/portals/{}/", portal.id), portal.row.domain.clone()),
            Cell::State(badge(say, &snapshot, portal)),
            Cell::State(scopes),
            Cell::Text(lines.to_string()),
            Cell::Time(time(portal.row.created_at)),
        ]);
    }
    let lead = say.t("portals.lead");
    let page = ListPage::new(visit.title("menu.portals"), lead, say.t("portals.empty"), table);
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/portals/{id}/`
pub(super) async fn show(visit: Visit, state: Shared, id: Id) -> Answer {
    let row = state.setup.portal(&id).await?;
    Ok(draw(&visit, &state, &row, &typed(&row), Fault::default()))
}

/// `POST /admin/portals/{id}/`
pub(super) async fn change(visit: Visit, state: Shared, id: Id, form: Form) -> Answer {
    let change = PortalChange {
        default_country: Some(form.option("default_country")),
        alarm_user_id: Some(form.option("alarm_user_id")),
    };
    match visit.setup(&state).having_seen(form.seen()).change_portal(&id, change).await {
        Ok(row) => Ok(go(format!("/admin/portals/{}/", row.id), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.portal(&id).await?;
            Ok(draw(&visit, &state, &row, &form, fault))
        }
    }
}

/// `POST /admin/portals/{id}/check`: puts back what the portal lost of us.
pub(super) async fn check(visit: Visit, state: Shared, id: Id, _form: Form) -> Answer {
    match visit.setup(&state).set_up(&PortalId::from(id.as_str())).await {
        Ok(()) => Ok(go(format!("/admin/portals/{id}/"), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.portal(&id).await?;
            Ok(draw(&visit, &state, &row, &typed(&row), fault))
        }
    }
}

/// `POST /admin/portals/{id}/delete`
pub(super) async fn delete(visit: Visit, state: Shared, id: Id, _form: Form) -> Answer {
    visit.setup(&state).delete_portal(&id).await?;
    Ok(go("/admin/portals/", "deleted"))
}

/// How a portal stands.
pub(super) fn badge(say: &Say, snapshot: &Snapshot, portal: &Portal) -> Badge {
    let status = portal.row.status.as_str();
    let tone = match (status, portal.broken.is_some()) {
        (_, true) | ("uninstalled" | "reauthorize", _) => Tone::Bad,
        ("active", _) if lacks(snapshot, portal).is_empty() => Tone::Good,
        _ => Tone::Warn,
    };
    Badge::new(tone, say.word("state", status))
}

fn typed(row: &PortalRow) -> Form {
    let mut form = Form::default();
    form.put("default_country", row.default_country.as_deref().unwrap_or_default());
    form.put("alarm_user_id", row.alarm_user_id.as_deref().unwrap_or_default());
    form.put("version", &version(row.updated_at));
    form
}

fn draw(visit: &Visit, state: &State, row: &PortalRow, form: &Form, mut fault: Fault) -> HttpResponse {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let portal = snapshot.portals.iter().find(|portal| portal.id.as_str() == row.id);
    let mut fields = vec![
        Field::text(say, "default_country", form.get("default_country")),
        Field::text(say, "alarm_user_id", form.get("alarm_user_id")),
    ];
    fault.mark(&mut fields);
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let facts = vec![
        fact("portals.member_id", Cell::Code(row.member_id.clone())),
        fact("portals.user", Cell::Text(row.user_id.clone())),
        fact("templates.language", Cell::Text(row.language.clone())),
        fact(
            "menu.portal_apps",
            Cell::Link(
                format!("/admin/portal-apps/{}/", row.portal_app_id),
                say.t("portals.to_app").to_owned(),
            ),
        ),
        fact("list.since", Cell::Time(time(row.created_at))),
    ];
    let lines = snapshot
        .bindings
        .iter()
        .filter(|binding| binding.portal.as_str() == row.id)
        .map(|binding| {
            let number = snapshot.phone(&binding.phone).map(|phone| format!("+{}", phone.number));
            (binding.phone.to_string(), format!("{} · {}", number.unwrap_or_default(), binding.line_name))
        })
        .collect();
    let broken = portal.and_then(|portal| portal.broken.clone());
    let status = fault.status;
    let page = PortalPage {
        s: visit.shell(&row.domain),
        id: row.id.clone(),
        state: portal.map_or_else(
            || Badge::new(Tone::Calm, row.status.clone()),
            |portal| badge(say, &snapshot, portal),
        ),
        reason: broken.or_else(|| row.status_reason.clone()).map(|why| say.said(&why)).unwrap_or_default(),
        facts,
        scopes: scope_list(&row.scopes),
        missing: portal.map(|portal| lacks(&snapshot, portal)).unwrap_or_default(),
        lines,
        fields,
        fault,
        version: form.get("version").to_owned(),
    };
    render(status, &page)
}
