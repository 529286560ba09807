//! `wabridge serve`: listeners, signals, the bridge.

use std::net::TcpListener;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{App, Listeners};
use crate::access::Access;
use crate::clock::Clock;
use crate::config::{Config, InternalListen};

/// Runs the bridge until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let building = App::build(config.clone(), Clock::System);
    let app = tokio::select! {
        app = building => app?,
        // A bridge that stands by can be stopped as well.
        () = stop.cancelled() => return Ok(()),
    };
    if !Access::new(app.db.clone(), Clock::System).is_set_up().await.unwrap_or(true) {
        tracing::info!("nobody can enter the panel yet: run `wabridge admin invite` for the first link");
    }
    // Only now: one that stands by must not take connections that it does not serve.
    app.run(bind(&config)?, stop).await
}

/// Cancelled by the first SIGTERM or SIGINT.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("stopping");
        cancelled.cancel();
    });
    Ok(stop)
}

fn bind(config: &Config) -> anyhow::Result<Listeners> {
    let listen = |address: std::net::SocketAddr, key: &str| {
        TcpListener::bind(address).with_context(|| format!("{key}: {address} cannot be listened on"))
    };
    let public = listen(config.http.listen, "http.listen")?;
    let internal = match config.http.internal_listen {
        InternalListen::At(address) => Some(listen(address, "http.internal_listen")?),
        InternalListen::Off | InternalListen::Public => None,
    };
    Ok(Listeners { public, internal })
}
