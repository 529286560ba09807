//! No id and no filter of ours holds a NUL, and PostgreSQL takes none in text.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, http::StatusCode};

use crate::http::Problem;

/// Answers a path with a NUL as the address of nothing, and a query with one as wrong input.
pub(in crate::http) async fn refuse_nul(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let holds = |part: &str| part.contains("%00");
    if holds(request.uri().path()) {
        return Err(Problem::not_found("address").into());
    }
    if holds(request.query_string()) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the query holds a NUL").into());
    }
    next.call(request).await
}
