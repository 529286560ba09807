//! Listeners: each connection is greeted in a task of its own, so that nobody waits for a slow handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{prepare, serve};
use super::{Addresses, Admission, Wires};
use crate::sip::core::{Link, Origin, Transport};
use crate::sip::sources::Sources;

/// First byte of a TLS handshake (RFC 8446 §5.1). No message of SIP begins with it.
const CLIENT_HELLO: u8 = 0x16;
/// After a fault of `accept` itself, as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// How the connections of a listener begin, and who may call.
#[derive(Clone)]
pub enum SipListener {
    /// For Meta: TLS, and a look at the address.
    Meta(TlsAcceptor, Arc<Sources>),
    /// For trunks: TLS or plain TCP, whichever the peer begins with.
    Trunks(TlsAcceptor, watch::Receiver<Arc<Addresses>>),
}

/// Accepts until the edge is gone.
pub async fn accept(listener: TcpListener, kind: SipListener, admission: Admission, wires: Wires) {
    loop {
        let accepted = tokio::select! {
            () = wires.gone.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            wires.metrics.sip_connection(kind.name(), "failed");
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let origin = kind.judge(peer);
        let stranger = matches!(origin, Origin::Stranger | Origin::Refused | Origin::Trunk(None));
        let Some(permit) = admission.enter(peer.ip(), stranger, Instant::now()) else {
            wires.metrics.sip_connection(kind.name(), "refused");
            continue;
        };
        let (kind, connected) = (kind.clone(), wires.clone());
        wires.tasks.spawn(async move {
            greet(stream, peer, origin, kind, &connected).await;
            drop(permit);
        });
    }
}

async fn greet(stream: TcpStream, peer: SocketAddr, origin: Origin, kind: SipListener, wires: &Wires) {
    prepare(&stream, &wires.patience);
    let greeted = tokio::select! {
        () = wires.gone.cancelled() => return,
        greeted = tokio::time::timeout(wires.patience.handshake, kind.shake_hands(stream)) => greeted,
    };
    let link = |transport| Link {
        conn: wires.next_conn(),
        transport,
        peer,
        origin,
        dialled: None,
        tls_version: None,
        cipher: None,
        sni: None,
    };
    let outcome = match &greeted {
        Ok(Ok(_)) => "accepted",
        Ok(Err(_)) => "handshake_failed",
        Err(_) => "handshake_timeout",
    };
    wires.metrics.sip_connection(kind.name(), outcome);
    match greeted {
        Ok(Ok(Greeted::Tls(stream))) => {
            let link = described(link(Transport::Tls), &stream);
            serve(*stream, link, wires).await;
        }
        Ok(Ok(Greeted::Tcp(stream))) => serve(stream, link(Transport::Tcp), wires).await,
        Ok(Err(error)) => tracing::debug!(peer = %peer, error = %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %peer, "a TLS handshake took too long"),
    }
}

/// A connection that may begin.
enum Greeted {
    Tls(Box<TlsStream<TcpStream>>),
    Tcp(TcpStream),
}

fn described(link: Link, stream: &TlsStream<TcpStream>) -> Link {
    let (_, tls) = stream.get_ref();
    Link {
        tls_version: tls.protocol_version().and_then(|version| version.as_str()).map(version_name),
        cipher: tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())),
        sni: tls.server_name().map(str::to_owned),
        ..link
    }
}

/// `TLSv1.3`, as others write what rustls calls `TLSv1_3`.
pub(super) fn version_name(name: &str) -> String {
    name.replace('_', ".")
}

impl SipListener {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta(..) => "meta",
            Self::Trunks(..) => "trunk",
        }
    }

    /// TLS where that is spoken here, or where the peer begins with it.
    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Greeted> {
        let acceptor = match self {
            Self::Meta(acceptor, _) => acceptor,
            Self::Trunks(acceptor, _) => {
                let mut first = [0];
                stream.peek(&mut first).await?;
                if first != [CLIENT_HELLO] {
                    return Ok(Greeted::Tcp(stream));
                }
                acceptor
            }
        };
        Ok(Greeted::Tls(Box::new(acceptor.accept(stream).await?)))
    }

    fn judge(&self, peer: SocketAddr) -> Origin {
        match self {
            Self::Meta(_, sources) => sources.judge(peer.ip()),
            Self::Trunks(_, addresses) => Origin::Trunk(addresses.borrow().trunk_of(peer)),
        }
    }
}
