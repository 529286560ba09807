//! Bitrix24 → Lines: which number feeds which open line.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::form::{Fault, Field, Form};
use super::list::{Badge, Cell, Table, Tone};
use super::portals;
use super::visit::{Answer, Id, Shared, Shell, Visit, go, render};
use crate::http::State;
use crate::setup::lines::NewLink;

/// The form that links a line.
pub(super) struct LinkForm {
    pub(super) fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "lines.html")]
struct LinesPage {
    s: Shell,
    table: Table,
    empty: String,
    fault: Fault,
    link: LinkForm,
    /// Why nothing can be linked at present.
    lacks: Option<(String, String)>,
    troubles: Vec<String>,
}

/// What the form begins with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Begin {
    phone: String,
}

/// `GET /admin/lines/`
pub(super) async fn list(visit: Visit, state: Shared, begin: web::Query<Begin>) -> Answer {
    let mut form = Form::default();
    form.put("phone_id", &begin.phone);
    Ok(draw(&visit, &state, &form, Fault::default()).await)
}

/// `POST /admin/lines/link`
pub(super) async fn link(visit: Visit, state: Shared, form: Form) -> Answer {
    let (portal, line) = form.get("line").split_once('/').unwrap_or((form.get("line"), ""));
    let new = NewLink {
        phone_id: form.get("phone_id").to_owned(),
        portal_id: portal.to_owned(),
        line_id: (!line.is_empty()).then(|| line.to_owned()),
        replace: false,
    };
    match visit.setup(&state).link(new).await {
        Ok(_) => Ok(go("/admin/", "linked")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            Ok(draw(&visit, &state, &form, fault).await)
        }
    }
}

/// `POST /admin/lines/{phone}/unlink`
pub(super) async fn unlink(visit: Visit, state: Shared, phone: Id, _form: Form) -> Answer {
    visit.setup(&state).unlink(&phone).await?;
    Ok(go("/admin/lines/", "unlinked"))
}

/// The form for the portals of one local application: a line of the number's own. `None` if every number
/// has its line.
pub(super) fn quick(visit: &Visit, state: &State, portal_app_id: &str) -> Option<LinkForm> {
    let snapshot = state.directory.now();
    let say = &visit.say;
    let lines = snapshot
        .portals
        .iter()
        .filter(|portal| portal.portal_app_id.as_str() == portal_app_id && portal.row.status == "active")
        .map(|portal| (portal.id.to_string(), format!("{} · {}", portal.row.domain, say.t("lines.own"))))
        .collect();
    let phones = phones(state, true);
    if phones.is_empty() {
        return None;
    }
    Some(LinkForm {
        fields: vec![
            Field::choice(say, "phone_id", "", phones).required(),
            Field::choice(say, "line", "", lines).required(),
        ],
    })
}

/// Numbers to choose from.
fn phones(state: &State, unlinked_only: bool) -> Vec<(String, String)> {
    let snapshot = state.directory.now();
    let free =
        |phone: &&crate::directory::Phone| !unlinked_only || snapshot.binding_of_phone(&phone.key).is_none();
    let text = |phone: &crate::directory::Phone| format!("+{} {}", phone.number, phone.row.display_name);
    snapshot.phones.iter().filter(free).map(|phone| (phone.key.to_string(), text(phone))).collect()
}

/// Every open line of every portal that answers, and for each portal one that is made for the number.
async fn choices(visit: &Visit, state: &State) -> (Vec<(String, String)>, Vec<String>) {
    let snapshot = state.directory.now();
    let (mut choices, mut troubles) = (Vec::new(), Vec::new());
    for portal in snapshot.portals.iter().filter(|portal| portal.row.status == "active") {
        let domain = &portal.row.domain;
        choices.push((portal.id.to_string(), format!("{domain} · {}", visit.say.t("lines.own"))));
        match state.setup.open_lines(&portal.id).await {
            Ok(lines) => choices.extend(
                lines
                    .into_iter()
                    .map(|line| (format!("{}/{}", portal.id, line.id), format!("{domain} · {}", line.name))),
            ),
            Err(error) => troubles.push(format!("{domain}: {}", visit.say.said(&error.to_string()))),
        }
    }
    (choices, troubles)
}

async fn draw(visit: &Visit, state: &State, form: &Form, mut fault: Fault) -> HttpResponse {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let heads = ["phones.number", "field.name", "menu.portals", "phones.line", "list.state"];
    let mut table = Table::headed(say, &heads);
    table.heads.push(String::new());
    for binding in &snapshot.bindings {
        let phone = snapshot.phone(&binding.phone);
        let portal = snapshot.portal(&binding.portal);
        let badge = portal
            .map_or_else(|| Badge::new(Tone::Bad, "?"), |portal| portals::badge(say, &snapshot, portal));
        let number = phone.map(|phone| format!("+{}", phone.number)).unwrap_or_default();
        let last = if visit.may_change() {
            Cell::Button(
                format!("/admin/lines/{}/unlink", binding.phone),
                say.t("lines.unlink").to_owned(),
                say.t("lines.unlink_question").to_owned(),
            )
        } else {
            Cell::Text(String::new())
        };
        table.rows.push(vec![
            Cell::Link(format!("/admin/phones/{}/", binding.phone), number),
            Cell::Text(phone.map(|phone| phone.row.display_name.clone()).unwrap_or_default()),
            Cell::Link(
                format!("/admin/portals/{}/", binding.portal),
                portal.map(|portal| portal.row.domain.clone()).unwrap_or_default(),
            ),
            Cell::Text(format!("{} ({})", binding.line_name, binding.line)),
            Cell::State(badge),
            last,
        ]);
    }
    let lacks = if snapshot.phones.is_empty() {
        Some((say.t("lines.no_phones").to_owned(), "/admin/wabas/".to_owned()))
    } else if snapshot.portals.is_empty() {
        Some((say.t("lines.no_portals").to_owned(), "/admin/portal-apps/".to_owned()))
    } else {
        None
    };
    let (lines, troubles) = choices(visit, state).await;
    let mut fields = vec![
        Field::choice(say, "phone_id", form.get("phone_id"), phones(state, false)).required(),
        Field::choice(say, "line", form.get("line"), lines).required(),
    ];
    fault.mark(&mut fields);
    let status = fault.status;
    let page = LinesPage {
        s: visit.title("menu.lines"),
        table,
        empty: say.t("lines.empty").to_owned(),
        fault,
        link: LinkForm { fields },
        lacks,
        troubles,
    };
    render(status, &page)
}
