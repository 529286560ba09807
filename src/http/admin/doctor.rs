//! Doctor: what is wrong at present, as far as the bridge has noticed by itself.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::refusal::Refusal;
use super::visit::{Shell, Visit, render};
use crate::http::State;
use crate::setup::findings::Finding;

#[derive(Template)]
#[template(path = "doctor.html")]
struct Doctor {
    s: Shell,
    findings: Vec<Finding>,
}

/// `GET /admin/doctor/`
pub(super) async fn show(visit: Visit, state: web::Data<State>) -> Result<HttpResponse, Refusal> {
    let page = Doctor { s: visit.title("menu.doctor"), findings: state.setup.findings() };
    Ok(render(StatusCode::OK, &page))
}
