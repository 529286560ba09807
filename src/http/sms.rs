//! What a portal's CRM wants sent: the handler of our SMS senders (bitrix24 facts §6.2). The portal ignores the
//! answer; what it is told comes by status.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::bitrix::read;
use super::{Problem, State};
use crate::bitrix::messageservice::SmsPost;
use crate::relay::sms::{self, Receipt};

/// `POST /api/bitrix/sms/{secret}/`.
pub(super) async fn post(
    state: web::Data<State>,
    secret: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    // Whoever does not know the secret learns nothing of what is wrong besides.
    state.setup.portal_of_sms(&secret, None, None)?;
    let post = SmsPost::decode(&read(&request, &body)?)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let portal =
        state.setup.portal_of_sms(&secret, post.application_token.as_ref(), post.member_id.as_ref())?;
    state.metrics.portal_event("sms");
    match sms::receive(&state.relay, &portal, post).await? {
        Receipt::Taken | Receipt::Repeated => Ok(HttpResponse::Ok().finish()),
        Receipt::Refused(reason) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason)),
    }
}
