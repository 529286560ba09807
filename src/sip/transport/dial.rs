//! Connections that we open: to Meta and to trunks, with full verification where it is TLS.

use std::io;
use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::accept::version_name;
use super::connection::{prepare, serve};
use super::{Event, Patience, Wires};
use crate::sip::core::{Link, Origin, Target, Transport, Trust};

/// Which certificates are trusted on which side.
#[derive(Clone)]
pub struct Roots {
    /// For Meta.
    pub meta: TlsConnector,
    /// For each trunk, by its index.
    pub trunks: Vec<TlsConnector>,
}

/// Opens connections.
pub struct Dialler {
    /// Trusted certificates.
    pub roots: Roots,
    /// To tell what came of it.
    pub wires: Wires,
}

impl Dialler {
    /// Begins to dial; the driver is told of the connection or of the failure.
    pub fn dial(&self, target: Target) {
        let (wires, tls) = (self.wires.clone(), self.roots.of(&target));
        self.wires.tasks.spawn(async move {
            let connected = tokio::select! {
                () = wires.gone.cancelled() => return,
                connected = tokio::time::timeout(wires.patience.dial, connect(&target, tls, &wires.patience)) => connected,
            };
            let failure = match connected {
                Ok(Ok(Dialled::Tls(stream, peer))) => {
                    let link = described(link(&wires, target, peer), &stream);
                    return serve(*stream, link, &wires).await;
                }
                Ok(Ok(Dialled::Tcp(stream, peer))) => {
                    return serve(stream, link(&wires, target, peer), &wires).await;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no connection in time".to_owned(),
            };
            tracing::warn!(target = %target, error = %failure, "cannot connect");
            // The driver may be gone.
            let _ = wires.events.send(Event::Failed(target, failure)).await;
        });
    }
}

impl Dialler {
    /// Asks for the address that datagrams for a target go to; the driver is told.
    pub fn resolve(&self, target: Target) {
        let wires = self.wires.clone();
        self.wires.tasks.spawn(async move {
            let asked = tokio::net::lookup_host((&*target.host, target.port));
            let address = match tokio::time::timeout(wires.patience.address, asked).await {
                Ok(Ok(mut addresses)) => addresses.next(),
                Ok(Err(_)) | Err(_) => None,
            };
            // The driver may be gone.
            let _ = wires.events.send(Event::Resolved(target, address)).await;
        });
    }
}

impl Roots {
    /// `None` = without TLS.
    fn of(&self, target: &Target) -> Option<TlsConnector> {
        match (target.transport, target.trust) {
            (Transport::Tls, Trust::Meta) => Some(self.meta.clone()),
            (Transport::Tls, Trust::Trunk(index)) => self.trunks.get(index).cloned(),
            (Transport::Tcp | Transport::Udp, _) => None,
        }
    }
}

enum Dialled {
    Tcp(TcpStream, SocketAddr),
    Tls(Box<TlsStream<TcpStream>>, SocketAddr),
}

/// The first address that answers; all are tried.
async fn connect(target: &Target, tls: Option<TlsConnector>, patience: &Patience) -> io::Result<Dialled> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((&*target.host, target.port)).await? {
        let connecting = connect_to(address, target, tls.as_ref(), patience);
        match tokio::time::timeout(patience.address, connecting).await {
            Ok(Ok(dialled)) => return Ok(dialled),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        }
    }
    Err(failure)
}

async fn connect_to(
    address: SocketAddr,
    target: &Target,
    tls: Option<&TlsConnector>,
    patience: &Patience,
) -> io::Result<Dialled> {
    let stream = TcpStream::connect(address).await?;
    prepare(&stream, patience);
    let Some(tls) = tls else { return Ok(Dialled::Tcp(stream, address)) };
    let name = ServerName::try_from(target.host.to_string()).map_err(io::Error::other)?;
    Ok(Dialled::Tls(Box::new(tls.connect(name, stream).await?), address))
}

fn link(wires: &Wires, target: Target, peer: SocketAddr) -> Link {
    let origin = match target.trust {
        Trust::Meta => Origin::Meta,
        Trust::Trunk(index) => Origin::Trunk(Some(index)),
    };
    Link {
        conn: wires.next_conn(),
        transport: target.transport,
        peer,
        origin,
        dialled: Some(target),
        tls_version: None,
        cipher: None,
        sni: None,
    }
}

fn described(link: Link, stream: &TlsStream<TcpStream>) -> Link {
    let (_, tls) = stream.get_ref();
    Link {
        tls_version: tls.protocol_version().and_then(|version| version.as_str()).map(version_name),
        cipher: tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())),
        ..link
    }
}
