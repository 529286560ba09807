//! A valid token with a role that allows the call, before anything else is looked at.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use crate::access::{self, Role};
use crate::http::{Problem, State};

/// Lets a request through to its handler, or answers 401 or 403.
pub(in crate::http) async fn authorize(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let missing = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server is not set up");
    let state = request.app_data::<web::Data<State>>().cloned().ok_or_else(missing)?;
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = access::authenticate(&state.db, &state.clock, header).await.map_err(Problem::from)?;
    let needed = needed(request.method(), request.path());
    if caller.role < needed {
        let detail =
            format!("this call needs the role {}, the token has {}", needed.as_str(), caller.role.as_str());
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).into());
    }
    request.extensions_mut().insert(caller);
    next.call(request).await
}

/// Looking is `read`; retry, drop and cancel are `operate`; everything else is `admin`.
fn needed(method: &Method, path: &str) -> Role {
    let inside = path.strip_prefix("/api/v1").unwrap_or(path);
    match *method {
        Method::GET | Method::HEAD => Role::Read,
        Method::POST if inside.starts_with("/jobs/") => Role::Operate,
        Method::DELETE if inside.starts_with("/messages/") => Role::Operate,
        _ => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_role() {
        for (method, path, role) in [
            (Method::GET, "/api/v1/apps", Role::Read),
            (Method::GET, "/metrics", Role::Read),
            (Method::POST, "/api/v1/jobs/1/retry", Role::Operate),
            (Method::POST, "/api/v1/jobs/retry", Role::Operate),
            (Method::POST, "/api/v1/jobs/1/drop", Role::Operate),
            (Method::DELETE, "/api/v1/messages/1", Role::Operate),
            (Method::POST, "/api/v1/apps", Role::Admin),
            (Method::DELETE, "/api/v1/contacts/1", Role::Admin),
            (Method::PUT, "/api/v1/phones/1/line", Role::Admin),
        ] {
            assert_eq!(needed(&method, path), role, "{method} {path}");
        }
    }
}
