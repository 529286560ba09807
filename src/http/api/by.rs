//! In whose name the API changes something: the token's.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use crate::access::Caller;
use crate::domain::Actor;
use crate::http::{Problem, State};
use crate::setup::Setup;

/// The use cases on the installation, in the name of the token that calls. Every handler that changes
/// something takes it, so that the audit log knows who did.
pub(super) struct By(pub(super) Setup);

impl FromRequest for By {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>();
        let caller = request.extensions().get::<Caller>().map(|caller| Actor::Token(caller.name.clone()));
        ready(match (state, caller) {
            (Some(state), Some(caller)) => Ok(Self(state.setup.on_behalf(caller))),
            _ => Err(Problem::new(StatusCode::UNAUTHORIZED, "a valid token is needed")),
        })
    }
}
