//! “Connect with Facebook”: to its dialog, and back with a code.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::form::{Fault, Form};
use super::refusal::Refusal;
use super::visit::{Shell, Visit, render};
use crate::domain::Secret;
use crate::http::State;
use crate::setup::SetupError;
use crate::setup::facebook::LoginFor;

type Answer = Result<HttpResponse, Refusal>;

/// The page between: what must be set at Meta first, then the way to the dialog.
#[derive(Template)]
#[template(path = "facebook.html")]
struct Begin {
    s: Shell,
    redirect: String,
    dialog: String,
}

/// What came of it.
#[derive(Template)]
#[template(path = "facebook_done.html")]
struct Done {
    s: Shell,
    app: Option<String>,
    wabas: Vec<(String, String)>,
    fault: Fault,
}

/// What Facebook says.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Back {
    state: String,
    code: String,
    error_description: String,
}

/// `POST /admin/apps/{id}/facebook`
pub(super) async fn begin_for(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    _form: Form,
) -> Answer {
    Ok(begin(&visit, &state, LoginFor::App(id.into_inner())).await?)
}

/// The page that leads to the dialog.
pub(super) async fn begin(visit: &Visit, state: &State, what: LoginFor) -> Result<HttpResponse, SetupError> {
    let dialog = visit.setup(state).begin_facebook(&session(visit), what).await?.to_string();
    let redirect = state.setup.facebook_redirect().to_string();
    Ok(render(StatusCode::OK, &Begin { s: visit.title("facebook.title"), redirect, dialog }))
}

/// `GET /admin/facebook/`: back from the dialog.
pub(super) async fn back(visit: Visit, state: web::Data<State>, back: web::Query<Back>) -> Answer {
    if !visit.may_change() {
        return Err(Refusal::Role);
    }
    let mut page =
        Done { s: visit.title("facebook.title"), app: None, wabas: Vec::new(), fault: Fault::default() };
    if back.code.is_empty() {
        let said: String = back.error_description.chars().take(300).collect();
        page.fault = Fault::told(Some(format!("{} {said}", visit.say.t("facebook.refused"))));
        return Ok(render(StatusCode::FORBIDDEN, &page));
    }
    // Facebook may append this to what it sends back.
    let code = Secret::from(back.code.trim_end_matches("#_=_"));
    match visit.setup(&state).finish_facebook(&session(&visit), &back.state, &code).await {
        Ok(connected) => {
            let snapshot = state.directory.now();
            let app = connected.app.id;
            let address = |waba: String| {
                let known = snapshot.wabas.iter().find(|known| known.waba_id.as_str() == waba);
                let address = match known {
                    Some(known) => format!("/admin/wabas/{}/", known.key),
                    None => format!("/admin/wabas/new?app={app}&waba={waba}"),
                };
                (address, waba)
            };
            page.wabas = connected.wabas.into_iter().map(address).collect();
            page.app = Some(format!("/admin/apps/{app}/"));
            Ok(render(StatusCode::OK, &page))
        }
        Err(error) => {
            page.fault = Fault::of(error, &visit.say)?;
            Ok(render(page.fault.status, &page))
        }
    }
}

/// `GET /facebook/`: Facebook's redirect comes from another site, so the session's cookie does not come with
/// it. This page of ours leads on to one where it does.
pub(in crate::http) async fn landing(request: HttpRequest) -> HttpResponse {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        if matches!(name.as_ref(), "code" | "state" | "error_description") && value.len() < 2000 {
            query.append_pair(&name, &value);
        }
    }
    let to = format!("/admin/facebook/?{}", query.finish()).replace('&', "&amp;");
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>wabridge</title>\
         <meta http-equiv=\"refresh\" content=\"0;url={to}\"></head><body><p><a href=\"{to}\">wabridge</a></p></body></html>"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .body(html)
}

fn session(visit: &Visit) -> String {
    visit.visitor.as_ref().map(|visitor| visitor.session_id.clone()).unwrap_or_default()
}
