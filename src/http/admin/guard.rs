//! Around every page of the panel: who may see it, which requests are none of ours, what every answer bears.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};

use super::refusal::{Refusal, shown};
use super::{assets, cookies};
use crate::access::{Role, Visitor};
use crate::domain::Secret;
use crate::http::State;

/// Where somebody who is not logged in may be.
const OPEN: [&str; 2] = ["/admin/login", "/admin/assets/"];
/// What an operator may post to: replays, looks of the doctor, and what is the operator's own.
const OPERATORS: [&str; 5] =
    ["/admin/logout", "/admin/jobs", "/admin/account", "/admin/sessions", "/admin/doctor/check"];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The cookie that the forms of a request hang on.
#[derive(Clone)]
pub(super) struct Anchor(pub(super) Secret);

/// Lets a request through to its page, or says why not.
pub(in crate::http) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Err(actix_web::error::ErrorInternalServerError("the server is not set up"));
    };
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let asset = path.starts_with("/admin/assets/");
    let admitted = if asset { Ok(()) } else { admit(&state, &request).await };
    let mut response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(Stop::Login(why)) => {
            let to = match (method == Method::GET, why) {
                (true, "") => format!("/admin/login/?next={path}"),
                (true, why) => format!("/admin/login/?why={why}&next={path}"),
                (false, _) => "/admin/login/?why=expired".to_owned(),
            };
            let answer = HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish();
            request.into_response(answer).map_into_boxed_body()
        }
        Err(Stop::Refused(refusal)) => {
            let answer = shown(request.request(), &state, &refusal);
            request.into_response(answer).map_into_boxed_body()
        }
    };
    // A refusal of a handler becomes a page that says so.
    let refused = response.response().error().and_then(|error| error.as_error::<Refusal>()).cloned();
    if let Some(refusal) = refused {
        let page = shown(response.request(), &state, &refusal);
        response = response.into_response(page).map_into_boxed_body();
    }
    if !asset {
        bear(response.headers_mut());
    }
    Ok(response)
}

enum Stop {
    /// To the login page, with the reason to show there.
    Login(&'static str),
    Refused(Refusal),
}

async fn admit(state: &State, request: &ServiceRequest) -> Result<(), Stop> {
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.path();
    if writes && !is_our_own(state, request.headers()) {
        return Err(Stop::Refused(Refusal::Foreign));
    }
    let open = OPEN.iter().any(|open| path.starts_with(open));
    let cookie = cookies::read(&state.config, request.headers(), cookies::SESSION);
    let visitor = match &cookie {
        Some(token) => {
            state.access.visitor(token.expose()).await.map_err(|error| Stop::Refused(error.into()))?
        }
        None => None,
    };
    match (visitor, cookie) {
        (Some(visitor), Some(token)) => {
            if writes && !may_post(&visitor, path) {
                return Err(Stop::Refused(Refusal::Role));
            }
            request.extensions_mut().insert(Anchor(token));
            request.extensions_mut().insert(visitor);
            Ok(())
        }
        (_, cookie) if !open => Err(Stop::Login(if cookie.is_some() { "expired" } else { "" })),
        _ => {
            if let Some(visit) = cookies::read(&state.config, request.headers(), cookies::VISIT) {
                request.extensions_mut().insert(Anchor(visit));
            }
            Ok(())
        }
    }
}

/// Whether a request that changes something comes from a page of ours, as far as the browser tells.
fn is_our_own(state: &State, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let public = state.config.public_url.origin().ascii_serialization();
    let called = text(header::HOST).unwrap_or("?");
    let host = origin.split_once("://").map(|(_, host)| host).unwrap_or_default();
    origin == public || (!host.is_empty() && host.eq_ignore_ascii_case(called))
}

fn may_post(visitor: &Visitor, path: &str) -> bool {
    visitor.role == Role::Admin || OPERATORS.iter().any(|open| path.starts_with(open))
}

fn bear(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without a referrer browsers send no origin with a form.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What is at no address of the panel.
pub(in crate::http) async fn unknown() -> Result<HttpResponse, Refusal> {
    Err(Refusal::Missing)
}

/// `GET /admin/assets/{name}`: the style and the script, with a hash in their address.
pub(super) async fn asset(name: web::Path<String>) -> HttpResponse {
    match assets::find(&name) {
        Some((kind, body)) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .insert_header((header::ETAG, format!("\"{name}\"")))
            .content_type(kind)
            .body(body),
        None => HttpResponse::build(StatusCode::NOT_FOUND).finish(),
    }
}
