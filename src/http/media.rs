//! Files for who holds their link; how the portal pulls what contacts send.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::file::{Shown, serve};
use super::{Problem, State};
use crate::domain::BlobId;
use crate::media::link::hash_token;
use crate::store::blobs;

/// `GET /media/{token}/{name}`; the name is for the reader's eyes.
pub(super) async fn file(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let gone = || Problem::not_found("file");
    let hash = hash_token(&path.0).ok_or_else(gone)?;
    let now = state.clock.now();
    let row = state.db.read(move |conn| blobs::by_link(conn, &hash, now)).await?.ok_or_else(gone)?;
    let place = state.blobs.path(&BlobId::from(row.id)).map_err(|_| gone())?;
    let shown = Shown { path: &place, mime: &row.mime, name: &row.name, tag: &row.sha256 };
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    serve(shown, text(header::RANGE), text(header::IF_RANGE)).await.map_err(|error| {
        tracing::error!(error = %error, "a stored file cannot be read");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read")
    })
}
