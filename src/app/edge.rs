//! The SIP edge, and what joins it to the use cases on calls: neither knows the other.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::calls::{CallLine, Question};
use crate::clock::Clock;
use crate::config::SipConfig;
use crate::sip::{Channels, Edge, EdgeOptions, PermissionRequest};
use crate::telemetry::Metrics;

/// Questions for permission that may wait; the edge does not wait long for an answer.
const QUESTIONS: usize = 64;

/// Opens the sockets, if the edge is to run.
pub async fn bind(config: &SipConfig, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Edge>> {
    if !config.enabled {
        return Ok(None);
    }
    let edge = Edge::bind(EdgeOptions::new(config.clone()), metrics.clone()).await.context("the SIP edge")?;
    Ok(Some(edge))
}

/// Tells where calls are taken.
pub fn tell(edge: &Edge) {
    let (address, trunks) = (edge.meta_address(), edge.trunk_address());
    tracing::info!(%address, %trunks, "listening for calls");
}

/// Runs the edge until `stop` and the end of its drain; what it tells gets its time here.
pub async fn run(edge: Edge, line: CallLine, clock: Clock, stop: CancellationToken) {
    let CallLine { routes, events: record, questions: ask } = line;
    let (events, mut told) = mpsc::unbounded_channel();
    let (permissions, mut asked) = mpsc::channel(QUESTIONS);
    let serving = edge.run(Channels { routes, events, permissions }, stop);
    let recording = async move {
        while let Some(event) = told.recv().await {
            if record.send((clock.now(), event)).is_err() {
                return;
            }
        }
    };
    let asking = async move {
        while let Some(PermissionRequest { phone, peer, answer }) = asked.recv().await {
            // Too many questions: the call goes out, and Meta refuses it itself.
            let _ = ask.try_send(Question { phone, peer, reply: answer });
        }
    };
    tokio::join!(serving, recording, asking);
}
