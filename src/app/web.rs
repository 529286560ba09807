//! The HTTP servers.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::config::HttpConfig;
use crate::http::{State, server};
use crate::tls::{self, ReloadingCert};

/// Threads that serve the public listener.
const WORKERS: usize = 2;
/// Idle connections of Meta and of proxies are kept this long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests under way may take to end after a stop.
const SHUTDOWN_SECONDS: u64 = 3;

/// The sockets that a bridge listens on.
pub struct Listeners {
    /// For the clouds and administrators.
    pub public: TcpListener,
    /// For `/metrics` and `/readyz`.
    pub internal: Option<TcpListener>,
}

impl Listeners {
    /// Where they are. An address that cannot be told can be listened on all the same.
    pub fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        (self.public.local_addr().ok(), self.internal.as_ref().and_then(|one| one.local_addr().ok()))
    }
}

/// Tells where requests are taken.
pub fn tell((public, internal): (Option<SocketAddr>, Option<SocketAddr>)) {
    if let Some(address) = public {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = internal {
        tracing::info!(%address, "listening for /metrics and /readyz");
    }
}

/// The public server, by HTTPS if a certificate is configured; its certificate, to be watched.
pub fn public(
    listener: TcpListener,
    state: Arc<State>,
    config: &HttpConfig,
) -> anyhow::Result<(Server, Option<Arc<ReloadingCert>>)> {
    let data = web::Data::from(state);
    let server = HttpServer::new(move || App::new().configure(|cfg| server::configure(cfg, data.clone())))
        .workers(WORKERS)
        .max_connections(config.max_connections.div_ceil(WORKERS))
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    match &config.tls {
        None => Ok((server.listen(listener)?.run(), None)),
        Some(files) => {
            let certificate =
                ReloadingCert::load(&files.certificate, &files.private_key).context("http.tls")?;
            let tls = tls::server_config(certificate.clone(), &[])?;
            Ok((server.listen_rustls_0_23(listener, (*tls).clone())?.run(), Some(certificate)))
        }
    }
}

/// The internal server.
pub fn internal(listener: TcpListener, state: Arc<State>) -> anyhow::Result<Server> {
    let data = web::Data::from(state);
    let server =
        HttpServer::new(move || App::new().configure(|cfg| server::configure_internal(cfg, data.clone())))
            .workers(1)
            .shutdown_timeout(1)
            .disable_signals();
    Ok(server.listen(listener)?.run())
}

/// Runs a server until `stop`.
pub async fn run(server: Server, stop: CancellationToken) {
    let handle = server.handle();
    let mut serving = std::pin::pin!(server);
    tokio::select! {
        ended = &mut serving => tracing::error!(?ended, "an HTTP server ended by itself"),
        () = stop.cancelled() => {
            // The server works on its own end while it is polled.
            let _ = tokio::join!(handle.stop(true), serving);
        }
    }
}
