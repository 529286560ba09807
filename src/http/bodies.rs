//! Around every body: it must come soon, and all bodies together must fit into memory. A caller is proven by the
//! whole body (its signature, its token), so nobody is known while it is read.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

use super::source::source;
use super::{Problem, State};

/// A body that takes longer is given up.
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a body that count as its beginning: events of portals and most notifications are no longer.
const BEGINNING: usize = 64 * 1024;
/// Bytes of all beginnings that one thread holds at once, and of all that follows; further ones are to come again.
/// They are apart, so that a few who send large bodies slowly do not keep out the small ones: a portal does not
/// repeat an event that was refused.
const BEGINNINGS: usize = 16 * 1024 * 1024;
const REST: usize = 48 * 1024 * 1024;
/// Bytes of all bodies from one address. This machine's own is that of a proxy, behind which all the world stands.
const SHARE: usize = 16 * 1024 * 1024;

/// What the bodies of one thread may take.
#[derive(Clone, Debug)]
pub(super) struct Room {
    beginnings: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    sources: Arc<Mutex<HashMap<IpAddr, usize>>>,
    share: usize,
    deadline: Duration,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(BEGINNINGS, REST, SHARE, DEADLINE)
    }
}

impl Room {
    fn of(beginnings: usize, rest: usize, share: usize, deadline: Duration) -> Self {
        let [beginnings, rest] = [beginnings, rest].map(|bytes| Arc::new(Semaphore::new(bytes)));
        Self { beginnings, rest, sources: Arc::default(), share, deadline }
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body holds of the room, until its request has ended.
struct Held {
    room: Room,
    source: Option<IpAddr>,
    bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Held {
    fn nothing(room: Room, source: Option<IpAddr>) -> Self {
        let source = source.map(of_one_hand).filter(|address| !address.is_loopback());
        Self { room, source, bytes: 0, permits: Vec::new() }
    }

    /// Takes room for so many bytes more. `false`: there is none.
    fn grow(&mut self, more: usize) -> bool {
        if let Some(source) = self.source {
            let mut sources = self.room.sources();
            let used = sources.entry(source).or_default();
            if *used + more > self.room.share {
                return false;
            }
            *used += more;
        }
        let beginning = BEGINNING.saturating_sub(self.bytes).min(more);
        self.bytes += more;
        for (room, bytes) in [(&self.room.beginnings, beginning), (&self.room.rest, more - beginning)] {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            match room.clone().try_acquire_many_owned(bytes) {
                Ok(permit) => self.permits.push(permit),
                Err(_) => return false,
            }
        }
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(source) = self.source else { return };
        let mut sources = self.room.sources();
        if let Some(used) = sources.get_mut(&source) {
            *used = used.saturating_sub(self.bytes);
            if *used == 0 {
                sources.remove(&source);
            }
        }
    }
}

/// An address as far as one hand holds it: of IPv6 everybody has 2^64.
pub(super) fn of_one_hand(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        address => address,
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
    let from = request.app_data::<web::Data<State>>().map_or_else(
        || request.peer_addr().map(|peer| peer.ip()),
        |state| source(state, request.request()).parse().ok(),
    );
    let held = Held::nothing(room, from);
    request.set_payload(Payload::Stream { payload: watched(payload, held, broken.clone()) });
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
    held: Held,
    broken: Rc<Cell<Option<Broken>>>,
) -> LocalBoxStream<'static, Result<Bytes, PayloadError>> {
    let until = Instant::now() + held.room.deadline;
    let chunks = stream::unfold((payload, held), move |(mut payload, mut held)| {
        let broken = broken.clone();
        async move {
            let fail = |why: Broken, kind: std::io::ErrorKind| {
                broken.set(Some(why));
                Err(PayloadError::Io(kind.into()))
            };
            let chunk = match tokio::time::timeout_at(until, payload.next()).await {
                Ok(None) => return None,
                Ok(Some(Err(error))) => Err(error),
                Ok(Some(Ok(chunk))) if held.grow(chunk.len()) => Ok(chunk),
                Ok(Some(Ok(_))) => fail(Broken::NoRoom, std::io::ErrorKind::OutOfMemory),
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
        let left = room.beginnings.clone();
        let app = init_service(
            App::new()
                .app_data(web::Data::new(room))
                .wrap(from_fn(limit))
                .default_service(web::to(async |body: web::Bytes| HttpResponse::Ok().body(body))),
        )
        .await;
        let request = TestRequest::post().peer_addr("203.0.113.7:4000".parse().unwrap()).to_request();
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
        Room::of(bytes, bytes, bytes, Duration::from_millis(50))
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

    #[test]
    fn large_bodies_do_not_keep_out_small_ones() {
        let room = Room::of(2 * BEGINNING, 100, usize::MAX, DEADLINE);
        let mut large = Held::nothing(room.clone(), None);
        assert!(large.grow(BEGINNING + 100));
        assert!(!Held::nothing(room.clone(), None).grow(BEGINNING + 1), "no room for more than a beginning");
        assert!(Held::nothing(room, None).grow(BEGINNING));
    }

    #[test]
    fn one_address_has_its_share_and_gives_it_back() {
        let room = Room::of(1000, 1000, 10, DEADLINE);
        let from = |address: &str| Held::nothing(room.clone(), Some(address.parse().unwrap()));
        let mut first = from("2001:db8::1");
        assert!(first.grow(10));
        assert!(!from("2001:db8::2").grow(1), "the same network is the same hand");
        assert!(from("2001:db8:0:1::1").grow(1) && from("203.0.113.7").grow(10));
        drop(first);
        assert!(from("2001:db8::2").grow(10));
        let (mut one, mut other) = (from("127.0.0.1"), from("127.0.0.1"));
        assert!(one.grow(10) && other.grow(10), "behind a proxy stands all the world");
    }
}
