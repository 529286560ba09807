//! Administrators, sessions, one's own account, and what was changed by whom.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::form::{Fault, Field, Form, Kind};
use super::list::{Badge, Cell, Filter, ListPage, Table, Tone, cut, page, time};
use super::refusal::Refusal;
use super::visit::{Shell, Visit, go, render};
use crate::access::{PanelError, Role};
use crate::domain::{Language, Secret};
use crate::http::State;
use crate::store::administrators::AdministratorRow;
use crate::store::audit::{self, AuditFilter, AuditRow};
use actix_web::http::StatusCode;

type Answer = Result<HttpResponse, Refusal>;

#[derive(Template)]
#[template(path = "administrators.html")]
struct Administrators {
    s: Shell,
    people: Vec<Person>,
    fault: Fault,
    /// The link of an invitation, shown this once.
    link: Option<String>,
}

struct Person {
    id: String,
    name: String,
    role: Badge,
    since: String,
    is_administrator: bool,
    is_self: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    s: Shell,
    fields: Vec<Field>,
    language: Vec<Field>,
    fault: Fault,
}

/// Which changes are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditQuery {
    actor: String,
    object: String,
    cursor: Option<String>,
}

/// `GET /admin/administrators/`
pub(super) async fn administrators(visit: Visit, state: web::Data<State>) -> Answer {
    administrators_page(&visit, &state, Fault::default(), None).await
}

/// `POST /admin/administrators/invite`
pub(super) async fn invite(visit: Visit, state: web::Data<State>, form: Form) -> Answer {
    let role = Role::of_panel(form.get("role")).ok_or(Refusal::Form)?;
    let token = state.access.invite(role, &visit.name()).await?;
    let mut link = state.config.public_url.clone();
    link.set_path(&format!("/admin/login/{}", token.expose()));
    administrators_page(&visit, &state, Fault::default(), Some(link.to_string())).await
}

/// `POST /admin/administrators/{id}/role`
pub(super) async fn role(visit: Visit, state: web::Data<State>, id: web::Path<String>, form: Form) -> Answer {
    let role = Role::of_panel(form.get("role")).ok_or(Refusal::Form)?;
    let changed = state.access.change_role(&visit.name(), &id, role).await;
    settled(&visit, &state, changed, "saved").await
}

/// `POST /admin/administrators/{id}/remove`
pub(super) async fn remove(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    _form: Form,
) -> Answer {
    let removed = state.access.remove(&visit.name(), &id).await;
    settled(&visit, &state, removed, "deleted").await
}

/// `GET /admin/sessions/`
pub(super) async fn sessions(visit: Visit, state: web::Data<State>) -> Answer {
    let say = &visit.say;
    let visitor = visit.visitor.as_ref().ok_or(Refusal::Missing)?;
    let heads = ["sessions.who", "sessions.source", "sessions.browser", "sessions.since", "sessions.seen"];
    let mut table = Table { heads: heads.map(|key| say.t(key).to_owned()).to_vec(), rows: Vec::new() };
    table.heads.push(String::new());
    for (session, whose) in state.access.sessions().await? {
        let last = if session.id == visitor.session_id {
            Cell::State(Badge::new(Tone::Good, say.t("sessions.this")))
        } else if visit.may_change() || whose.id == visitor.administrator_id {
            let action = format!("/admin/sessions/{}/end", session.id);
            Cell::Button(action, say.t("sessions.end").to_owned(), String::new())
        } else {
            Cell::Text(String::new())
        };
        table.rows.push(vec![
            Cell::Text(whose.name),
            Cell::Code(session.source),
            Cell::Text(session.user_agent),
            Cell::Time(time(session.created_at)),
            Cell::Time(time(session.seen_at)),
            last,
        ]);
    }
    let page = ListPage::new(visit.title("menu.sessions"), say.t("sessions.lead"), "", table);
    Ok(render(StatusCode::OK, &page))
}

/// `POST /admin/sessions/{id}/end`
pub(super) async fn end_session(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    _form: Form,
) -> Answer {
    let visitor = visit.visitor.as_ref().ok_or(Refusal::Missing)?;
    state.access.end(visitor, &id).await?;
    Ok(go("/admin/sessions/", "revoked"))
}

/// `GET /admin/account/`
pub(super) async fn account(visit: Visit) -> Answer {
    Ok(account_page(&visit, Fault::default()))
}

/// `POST /admin/account/language`
pub(super) async fn language(visit: Visit, state: web::Data<State>, form: Form) -> Answer {
    let visitor = visit.visitor.as_ref().ok_or(Refusal::Missing)?;
    state.access.speak(visitor, Language::from_code(form.get("language"))).await?;
    Ok(go("/admin/account/", "saved"))
}

/// `POST /admin/account/password`
pub(super) async fn password(visit: Visit, state: web::Data<State>, form: Form) -> Answer {
    let visitor = visit.visitor.as_ref().ok_or(Refusal::Missing)?;
    let (present, new) = (Secret::from(form.get("present")), form.get("password"));
    let changed = if new == form.get("repeat") {
        state.access.change_password(visitor, present, Secret::from(new)).await
    } else {
        Err(PanelError::Field("repeat", "is not the same password"))
    };
    match changed {
        Ok(()) => Ok(go("/admin/account/", "saved")),
        Err(error) => Ok(account_page(&visit, Fault::of_panel(error, &visit.say)?)),
    }
}

/// `GET /admin/audit/`
pub(super) async fn audit_log(
    visit: Visit,
    state: web::Data<State>,
    query: web::Query<AuditQuery>,
) -> Answer {
    let some = |text: &str| (!text.is_empty()).then(|| text.replace('\0', ""));
    let filter = AuditFilter { actor: some(&query.actor), object_id: some(&query.object) };
    let wanted = page(query.cursor.as_deref());
    let mut rows = state.db.read(move |conn| audit::list(conn, &filter, &wanted)).await?;
    let next = cut(&mut rows, |row| &row.id);
    let say = &visit.say;
    let heads = ["audit.when", "audit.who", "audit.what", "audit.object", "audit.before", "audit.after"];
    let table = Table {
        heads: heads.map(|key| say.t(key).to_owned()).to_vec(),
        rows: rows.into_iter().map(|row| audit_row(&visit, row)).collect(),
    };
    let mut page = ListPage::new(visit.title("menu.audit"), say.t("audit.lead"), say.t("audit.empty"), table);
    page.filters.push(Filter {
        name: "actor",
        label: say.t("audit.who").to_owned(),
        value: query.actor.clone(),
        choices: Vec::new(),
    });
    page.next = next.map(|cursor| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("cursor", &cursor);
        for (name, value) in [("actor", &audit_query(&page.filters)), ("object", &String::new())] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("?{}", query.finish())
    });
    Ok(render(StatusCode::OK, &page))
}

fn audit_query(filters: &[Filter]) -> String {
    filters.first().map(|filter| filter.value.clone()).unwrap_or_default()
}

fn audit_row(visit: &Visit, row: AuditRow) -> Vec<Cell> {
    let say = &visit.say;
    let kind = say.word("actor", &row.actor_kind);
    // The bridge and its command line have no name of their own.
    let has_name = !matches!(row.actor_kind.as_str(), "bridge" | "command");
    let who = if has_name { format!("{} ({kind})", row.actor) } else { kind };
    // An invitation is named by its role.
    let object = format!("{} {}", say.word("object", &row.object), say.word("role", &row.object_name));
    vec![
        Cell::Time(time(row.created_at)),
        Cell::Text(who),
        Cell::Text(say.word("action", &row.action)),
        Cell::Text(object.trim().to_owned()),
        Cell::Code(row.state_before),
        Cell::Code(row.state_after),
    ]
}

async fn administrators_page(visit: &Visit, state: &State, fault: Fault, link: Option<String>) -> Answer {
    let own = visit.visitor.as_ref().map(|visitor| visitor.administrator_id.clone()).unwrap_or_default();
    let person = |row: AdministratorRow| {
        let is_administrator = Role::of_panel(&row.role) == Some(Role::Admin);
        Person {
            role: Badge::new(
                if is_administrator { Tone::Good } else { Tone::Calm },
                visit.say.word("role", &row.role),
            ),
            since: time(row.created_at),
            is_administrator,
            is_self: row.id == own,
            id: row.id,
            name: row.name,
        }
    };
    let people = state.access.administrators().await?.into_iter().map(person).collect();
    let status = if fault.message.is_some() { fault.status } else { StatusCode::OK };
    let page = Administrators { s: visit.title("menu.administrators"), people, fault, link };
    Ok(render(status, &page))
}

async fn settled(visit: &Visit, state: &State, outcome: Result<(), PanelError>, done: &str) -> Answer {
    match outcome {
        Ok(()) => Ok(go("/admin/administrators/", done)),
        Err(error) => {
            let fault = Fault::of_panel(error, &visit.say)?;
            administrators_page(visit, state, fault, None).await
        }
    }
}

fn account_page(visit: &Visit, mut fault: Fault) -> HttpResponse {
    let say = &visit.say;
    let mut fields = vec![
        Field::secret(say, "present", "").required(),
        Field::new(say, "password", "", Kind::NewPassword).required(),
        Field::new(say, "repeat", "", Kind::NewPassword).required(),
    ];
    fault.mark(&mut fields);
    let of = vec![("en".to_owned(), "English".to_owned()), ("ru".to_owned(), "Русский".to_owned())];
    let language = vec![Field::choice(say, "language", say.language().code(), of).required()];
    let status = fault.status;
    render(status, &Account { s: visit.title("menu.account"), fields, language, fault })
}
