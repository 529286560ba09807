//! The doors: the first link, logging in, logging out.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::cookies;
use super::form::{Fault, Field, Form, Kind};
use super::guard::Anchor;
use super::refusal::Refusal;
use super::visit::{Shell, Visit, go, render};
use crate::access::{LoggedIn, Login, PanelError, forms};
use crate::domain::Secret;
use crate::http::{State, source};

type Answer = Result<HttpResponse, Refusal>;

#[derive(Template)]
#[template(path = "door.html")]
struct Door {
    s: Shell,
    title: String,
    lead: String,
    fields: Vec<Field>,
    fault: Fault,
    button: String,
    next: String,
}

/// `GET /admin/login/`
pub(super) async fn show(visit: Visit, state: web::Data<State>, request: HttpRequest) -> Answer {
    if visit.visitor.is_some() {
        return Ok(go("/admin/", ""));
    }
    let query = |name: &str| {
        let pairs = request.query_string().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let message = match query("why") {
        Some("expired") => Some(visit.say.t("login.expired").to_owned()),
        Some("out") => Some(visit.say.t("login.out").to_owned()),
        _ => None,
    };
    let fault = Fault::told(message);
    let next = safe_next(query("next").unwrap_or_default()).to_owned();
    let set_up = state.access.is_set_up().await?;
    Ok(anchored(&state, &request, visit, |visit| login_page(&visit, "", fault, next, set_up)))
}

/// `POST /admin/login/`
pub(super) async fn login(visit: Visit, state: web::Data<State>, request: HttpRequest, form: Form) -> Answer {
    let tried = Login {
        name: form.get("name").to_owned(),
        password: Secret::from(form.get("password")),
        source: source(&state, &request),
        user_agent: agent(&request),
    };
    let next = safe_next(form.get("next")).to_owned();
    match state.access.login(tried).await {
        Ok(session) => Ok(enter(&state, &session, if next.is_empty() { "/admin/" } else { &next })),
        Err(error) => {
            let fault = Fault::of_panel(error, &visit.say)?;
            Ok(login_page(&visit, form.get("name"), fault, next, true))
        }
    }
}

/// `GET /admin/login/{token}`: the form of an invitation that is still good.
pub(super) async fn show_invite(
    visit: Visit,
    state: web::Data<State>,
    request: HttpRequest,
    token: web::Path<String>,
) -> Answer {
    let invite = state.access.open_invite(&token).await?;
    let role = visit.say.word("role", &invite.role);
    Ok(anchored(&state, &request, visit, |visit| invite_page(&visit, &role, "", "", Fault::default())))
}

/// `POST /admin/login/{token}`
pub(super) async fn accept(
    visit: Visit,
    state: web::Data<State>,
    request: HttpRequest,
    token: web::Path<String>,
    form: Form,
) -> Answer {
    let (name, password) = (form.get("name"), form.get("password"));
    let accepted = if password == form.get("repeat") {
        let (source, agent, language) = (source(&state, &request), agent(&request), visit.say.language());
        state.access.accept(&token, name, Secret::from(password), language, &source, &agent).await
    } else {
        Err(PanelError::Field("repeat", "is not the same password"))
    };
    match accepted {
        Ok(session) => Ok(enter(&state, &session, "/admin/")),
        Err(PanelError::BadLink) => Err(PanelError::BadLink.into()),
        Err(error) => {
            let role = state.access.open_invite(&token).await?.role;
            let role = visit.say.word("role", &role);
            let fault = Fault::of_panel(error, &visit.say)?;
            Ok(invite_page(&visit, &role, name, password, fault))
        }
    }
}

/// `POST /admin/logout/`
pub(super) async fn logout(visit: Visit, state: web::Data<State>, _form: Form) -> Answer {
    if let Some(visitor) = &visit.visitor {
        // One that is gone already is as good.
        let _ = state.access.end(visitor, &visitor.session_id).await;
    }
    let mut answer = go("/admin/login/?why=out", "");
    add_cookie(&mut answer, &cookies::forget(&state.config, cookies::SESSION));
    Ok(answer)
}

fn login_page(visit: &Visit, name: &str, mut fault: Fault, next: String, set_up: bool) -> HttpResponse {
    let say = &visit.say;
    let mut fields = vec![
        Field::text(say, "name", name).required(),
        Field::secret(say, "password", "").required().hinted(""),
    ];
    fault.mark(&mut fields);
    let lead = if set_up { "login.lead" } else { "login.nobody" };
    let page = Door {
        s: visit.title("login.title"),
        title: say.t("login.title").to_owned(),
        lead: say.t(lead).to_owned(),
        fields,
        button: say.t("login.button").to_owned(),
        next,
        fault,
    };
    render(page.fault.status, &page)
}

fn invite_page(visit: &Visit, role: &str, name: &str, password: &str, mut fault: Fault) -> HttpResponse {
    let say = &visit.say;
    let mut fields = vec![
        Field::text(say, "name", name).required().hinted(say.t("invite.name_hint")),
        Field::new(say, "password", password, Kind::NewPassword).required(),
        Field::new(say, "repeat", password, Kind::NewPassword).required(),
    ];
    fault.mark(&mut fields);
    let page = Door {
        s: visit.title("invite.title"),
        title: say.t("invite.title").to_owned(),
        lead: say.t1("invite.lead", &role),
        fields,
        button: say.t("invite.button").to_owned(),
        next: String::new(),
        fault,
    };
    render(page.fault.status, &page)
}

/// A page whose forms hang on the visit's cookie, which is set if the browser has none.
fn anchored(
    state: &State,
    request: &HttpRequest,
    visit: Visit,
    page: impl FnOnce(Visit) -> HttpResponse,
) -> HttpResponse {
    use actix_web::HttpMessage as _;
    if request.extensions().get::<Anchor>().is_some() {
        return page(visit);
    }
    let anchor = forms::new_anchor();
    let mut answer = page(visit.anchored(&anchor));
    add_cookie(&mut answer, &cookies::set(&state.config, cookies::VISIT, &anchor));
    answer
}

/// A session begins: always with a new token, whatever the browser brought along.
fn enter(state: &State, session: &LoggedIn, to: &str) -> HttpResponse {
    let mut answer = go(to, "");
    add_cookie(&mut answer, &cookies::set(&state.config, cookies::SESSION, &session.token));
    add_cookie(&mut answer, &cookies::forget(&state.config, cookies::VISIT));
    answer
}

fn add_cookie(answer: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = header::HeaderValue::from_str(cookie) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// A page of the panel to go to after the login; anything else is nowhere.
fn safe_next(path: &str) -> &str {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'/' | b'-');
    let ours = path.starts_with("/admin/") && !path.contains("//") && !path.starts_with("/admin/log");
    if ours && path.len() < 200 && path.bytes().all(plain) { path } else { "" }
}

fn agent(request: &HttpRequest) -> String {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_panel_follows_a_login() {
        assert_eq!(safe_next("/admin/phones/0192ab/"), "/admin/phones/0192ab/");
        for wrong in [
            "https://evil.example/",
            "//evil.example/",
            "/admin//evil.example",
            "/admin/../x",
            "/admin/\\evil",
            "/api/v1/apps",
            "/admin/logout/",
            "/admin/login/",
            "/admin/%0d%0ax",
            "javascript:alert(1)",
        ] {
            assert_eq!(safe_next(wrong), "", "{wrong}");
        }
    }
}
