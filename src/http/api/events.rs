//! `/events`: raw events that were kept, with secrets taken out.

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::list::{List, Paging, utc};
use crate::http::{Problem, State};
use crate::store::events::{self, EventRow};

/// Keys whose values are never shown.
const SECRETS: [&str; 12] = [
    "access_token",
    "refresh_token",
    "application_token",
    "auth_id",
    "refresh_id",
    "client_secret",
    "verify_token",
    "app_secret",
    "password",
    "pin",
    "token",
    "auth",
];

/// Which events are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Our id of the Meta app.
    app_id: Option<String>,
}

/// A kept event.
#[derive(Serialize, ToSchema)]
pub(super) struct EventView {
    id: String,
    /// Our id of the Meta app, if it came from Meta.
    app_id: Option<String>,
    /// Our id of the portal, if it came from a portal.
    portal_id: Option<String>,
    /// Meta's field or the portal's event.
    field: String,
    /// Why it is kept.
    reason: String,
    /// As it came: JSON, or text if it is none.
    #[schema(value_type = Object)]
    payload: Value,
    created_at: DateTime<Utc>,
}

/// Kept events, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Wanted, Paging), responses((status = 200, body = List<EventView>)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<EventView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let app = wanted.into_inner().app_id;
    let rows = state.db.read(move |conn| events::list(conn, app.as_deref(), &page)).await?;
    Ok(List::of(rows, limit, |row| &row.id, view))
}

/// One kept event.
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = EventView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<EventView>, Problem> {
    let row = state.db.read(move |conn| events::get(conn, &id)).await?;
    row.map(|row| web::Json(view(row))).ok_or_else(|| Problem::not_found("event"))
}

fn view(row: EventRow) -> EventView {
    let payload = match serde_json::from_str(&row.payload) {
        Ok(mut value) => {
            redact(&mut value);
            value
        }
        Err(_) => Value::String(redact_form(&row.payload)),
    };
    EventView {
        payload,
        created_at: utc(row.created_at),
        id: row.id,
        app_id: row.app_id,
        portal_id: row.portal_id,
        field: row.field,
        reason: row.reason,
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                let secret = SECRETS.iter().any(|name| key.eq_ignore_ascii_case(name));
                match inner {
                    Value::String(_) | Value::Number(_) if secret => *inner = Value::from("••••"),
                    inner => redact(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// A form's text: the value of each `…secret]=value` pair.
fn redact_form(text: &str) -> String {
    if !text.contains('=') {
        return text.to_owned();
    }
    let shown = |pair: &str| match pair.split_once('=') {
        Some((key, _)) => {
            let lower = key.to_ascii_lowercase().replace("%5d", "").replace("%5b", "[");
            let last = lower.trim_end_matches(']').rsplit('[').next().unwrap_or_default().to_owned();
            if SECRETS.contains(&last.as_str()) { format!("{key}=••••") } else { pair.to_owned() }
        }
        None => pair.to_owned(),
    };
    text.split('&').map(shown).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_taken_out_at_any_depth() {
        let mut value = json!({"auth": {"access_token": "a", "domain": "p"}, "data": [{"PIN": 123456}]});
        redact(&mut value);
        assert_eq!(
            value,
            json!({"auth": {"access_token": "••••", "domain": "p"}, "data": [{"PIN": "••••"}]})
        );
        assert_eq!(
            redact_form("event=X&auth%5Baccess_token%5D=a&auth[application_token]=b&ts=1"),
            "event=X&auth%5Baccess_token%5D=••••&auth[application_token]=••••&ts=1"
        );
        assert_eq!(redact_form("{broken"), "{broken");
    }
}
