//! Events: what came from the clouds and was kept, with secrets taken out.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::list::{Cell, Filter, ListPage, Table, cut, page, time};
use super::messages::{address, pretty};
use super::refusal::Refusal;
use super::visit::{Shell, Visit, render};
use crate::http::State;
use crate::store::events::{self, EventRow};

type Answer = Result<HttpResponse, Refusal>;

/// Which events are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    app: String,
    cursor: Option<String>,
}

/// A page with facts and a payload.
#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    s: Shell,
    facts: Vec<(String, Cell)>,
    payload: String,
}

/// `GET /admin/events/`
pub(super) async fn list(visit: Visit, state: web::Data<State>, query: web::Query<Query>) -> Answer {
    let app = Some(query.app.replace('\0', "")).filter(|app| !app.is_empty());
    let wanted = page(query.cursor.as_deref());
    let mut rows = state.db.read(move |conn| events::list(conn, app.as_deref(), &wanted)).await?;
    let next = cut(&mut rows, |row| &row.id);
    let say = &visit.say;
    let heads = ["messages.when", "events.field", "events.reason", "events.source"];
    let mut table = Table { heads: heads.map(|key| say.t(key).to_owned()).to_vec(), rows: Vec::new() };
    for row in rows {
        let source = source(&state, &row);
        table.rows.push(vec![
            Cell::Time(time(row.created_at)),
            Cell::Link(format!("/admin/events/{}/", row.id), row.field),
            Cell::Text(say.word("event_reason", &row.reason)),
            Cell::Text(source),
        ]);
    }
    let days = state.config.retention.events.as_secs() / 86_400;
    let lead = say.t1("events.lead", &days);
    let mut page = ListPage::new(visit.title("menu.events"), &lead, say.t("events.empty"), table);
    let mut apps = vec![(String::new(), say.t("list.all").to_owned())];
    apps.extend(state.directory.now().apps.iter().map(|app| (app.id.to_string(), app.site.clone())));
    page.filters.push(Filter {
        name: "app",
        label: say.t("menu.apps").to_owned(),
        value: query.app.clone(),
        choices: apps,
    });
    page.next = next.map(|cursor| address(&[("app", &query.app)], &cursor));
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/events/{id}/`
pub(super) async fn show(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    let id = id.into_inner();
    let row = state.db.read(move |conn| events::get(conn, &id)).await?.ok_or(Refusal::Missing)?;
    let say = &visit.say;
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let facts = vec![
        fact("messages.when", Cell::Time(time(row.created_at))),
        fact("events.reason", Cell::Text(say.word("event_reason", &row.reason))),
        fact("events.source", Cell::Text(source(&state, &row))),
    ];
    let page = EventPage { s: visit.shell(&row.field), facts, payload: pretty(&row.payload) };
    Ok(render(StatusCode::OK, &page))
}

fn source(state: &State, row: &EventRow) -> String {
    let snapshot = state.directory.now();
    let app = row.app_id.as_ref().and_then(|id| snapshot.apps.iter().find(|app| app.id.as_str() == id));
    let portal =
        row.portal_id.as_ref().and_then(|id| snapshot.portals.iter().find(|portal| portal.id.as_str() == id));
    match (app, portal) {
        (Some(app), _) => app.site.clone(),
        (None, Some(portal)) => portal.row.domain.clone(),
        (None, None) => String::new(),
    }
}
