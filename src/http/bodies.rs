//! Around every body: it must come soon, and all bodies together must fit into memory. A caller is proven by the
//! whole body (its signature, its token), so nobody is known while it is read.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{Error, ResponseError as _};
use futures_util::stream::{self, LocalBoxStream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Problem;

/// A body that takes longer is given up.
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of all bodies that one thread holds at once; further ones are to come again.
const ROOM_BYTES: usize = 64 * 1024 * 1024;

/// What the bodies of one thread may take.
#[derive(Clone, Debug)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    deadline: Duration,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: Arc::new(Semaphore::new(ROOM_BYTES)), deadline: DEADLINE }
    }
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broken {
    Slow,
    NoRoom,
}

/// Lets a request through whose body stays within [`Room`]; else answers 408 or 503.
pub(super) async fn limit(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let room = request.app_data::<web::Data<Room>>().map(|room| room.get_ref().clone());
    let payload = request.parts_mut().1.take();
    let (Some(room), false) = (room, matches!(payload, Payload::None)) else {
        request.set_payload(payload);
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let broken = Rc::new(Cell::new(None));
    request.set_payload(Payload::Stream { payload: watched(payload, &room, broken.clone()) });
    let outcome = next.call(request).await;
    let problem = match broken.get() {
        None => return Ok(outcome?.map_into_boxed_body()),
        Some(Broken::Slow) => Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to come"),
        Some(Broken::NoRoom) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too much is being received; come again")
        }
    };
    match outcome {
        Ok(response) => Ok(response.into_response(problem.error_response())),
        Err(_) => Err(problem.into()),
    }
}

/// The body under its deadline; what has come is held until the request has ended.
fn watched(
    payload: Payload,
    room: &Room,
    broken: Rc<Cell<Option<Broken>>>,
) -> LocalBoxStream<'static, Result<Bytes, PayloadError>> {
    let (bytes, until) = (room.bytes.clone(), Instant::now() + room.deadline);
    let held: Option<OwnedSemaphorePermit> = None;
    let chunks = stream::unfold((payload, held), move |(mut payload, mut held)| {
        let (bytes, broken) = (bytes.clone(), broken.clone());
        async move {
            let fail = |why: Broken, kind: std::io::ErrorKind| {
                broken.set(Some(why));
                Err(PayloadError::Io(kind.into()))
            };
            let chunk = match tokio::time::timeout_at(until, payload.next()).await {
                Ok(None) => return None,
                Ok(Some(Err(error))) => Err(error),
                Ok(Some(Ok(chunk))) => {
                    let size = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                    match bytes.try_acquire_many_owned(size) {
                        Ok(more) => {
                            match &mut held {
                                Some(held) => held.merge(more),
                                None => held = Some(more),
                            }
                            Ok(chunk)
                        }
                        Err(_) => fail(Broken::NoRoom, std::io::ErrorKind::OutOfMemory),
                    }
                }
                Err(_) => fail(Broken::Slow, std::io::ErrorKind::TimedOut),
            };
            Some((chunk, (payload, held)))
        }
    });
    chunks.boxed_local()
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse};

    use super::*;

    /// What a body of these pieces is answered; the last of them never ends if `hangs`.
    async fn answer(room: Room, pieces: Vec<&'static str>, hangs: bool) -> (u16, usize) {
        let left = room.bytes.clone();
        let app = init_service(
            App::new()
                .app_data(web::Data::new(room))
                .wrap(from_fn(limit))
                .default_service(web::to(async |body: web::Bytes| HttpResponse::Ok().body(body))),
        )
        .await;
        let request = TestRequest::post().to_request();
        let pieces = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))));
        let payload: LocalBoxStream<'_, _> = match hangs {
            true => pieces.chain(stream::pending()).boxed_local(),
            false => pieces.boxed_local(),
        };
        let (request, _) = request.replace_payload(Payload::Stream { payload });
        let status = call_service(&app, request).await.status().as_u16();
        (status, left.available_permits())
    }

    fn room(bytes: usize) -> Room {
        Room { bytes: Arc::new(Semaphore::new(bytes)), deadline: Duration::from_millis(50) }
    }

    #[actix_web::test]
    async fn a_body_that_comes_is_read_and_its_room_given_back() {
        assert_eq!(answer(room(10), vec!["hello", "world"], false).await, (200, 10));
        assert_eq!(answer(room(10), vec![], false).await, (200, 10));
    }

    #[actix_web::test]
    async fn a_body_that_does_not_end_is_given_up() {
        assert_eq!(answer(room(10), vec!["hello"], true).await, (408, 10));
    }

    #[actix_web::test]
    async fn bodies_that_do_not_fit_into_memory_are_to_come_again() {
        assert_eq!(answer(room(9), vec!["hello", "world"], false).await, (503, 9));
    }
}
