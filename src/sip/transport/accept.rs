//! Listeners: each connection is greeted in a task of its own, so that nobody waits for a slow handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{prepare, serve};
use super::{Addresses, Admission, Wires};
use crate::sip::core::{Link, Origin, Transport};
use crate::sip::sources::Sources;

/// How long a handshake may take, from the first byte to the last.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After a fault of `accept` itself, as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// How the connections of a listener begin, and who may call.
#[derive(Clone)]
pub enum SipListener {
    /// For Meta: TLS, and a look at the address.
    Meta(TlsAcceptor, Arc<Sources>),
    /// For trunks: plain TCP.
    Trunks(watch::Receiver<Arc<Addresses>>),
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
        let Some(permit) = admission.enter(peer.ip(), stranger) else {
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
    prepare(&stream);
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
    let acceptor = match &kind {
        SipListener::Trunks(_) => {
            wires.metrics.sip_connection(kind.name(), "accepted");
            return serve(stream, link(Transport::Tcp), wires).await;
        }
        SipListener::Meta(acceptor, _) => acceptor.clone(),
    };
    let greeted = tokio::select! {
        () = wires.gone.cancelled() => return,
        greeted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => greeted,
    };
    match greeted {
        Ok(Ok(stream)) => {
            wires.metrics.sip_connection(kind.name(), "accepted");
            let link = described(link(Transport::Tls), &stream);
            serve(stream, link, wires).await;
        }
        Ok(Err(error)) => {
            wires.metrics.sip_connection(kind.name(), "handshake_failed");
            tracing::debug!(peer = %peer, error = %error, "a TLS handshake failed");
        }
        Err(_) => {
            wires.metrics.sip_connection(kind.name(), "handshake_timeout");
            tracing::debug!(peer = %peer, "a TLS handshake took too long");
        }
    }
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
            Self::Trunks(_) => "trunk",
        }
    }

    fn judge(&self, peer: SocketAddr) -> Origin {
        match self {
            Self::Meta(_, sources) => sources.judge(peer.ip()),
            Self::Trunks(addresses) => Origin::Trunk(addresses.borrow().trunk_of(peer)),
        }
    }
}
