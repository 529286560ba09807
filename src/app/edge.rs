//! The SIP edge, and what joins it to the use cases on calls.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::SipConfig;
use crate::domain::call::RouteTable;
use crate::sip::{Channels, Edge, EdgeOptions};
use crate::telemetry::Metrics;

/// Questions for permission that may wait; the edge does not wait long for an answer.
const QUESTIONS: usize = 64;

/// Opens the sockets, if the edge is to run.
pub async fn bind(config: &SipConfig, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Edge>> {
    if !config.enabled {
        return Ok(None);
    }
    let edge = Edge::bind(EdgeOptions::new(config.clone()), metrics.clone()).await.context("the SIP edge")?;
    tracing::info!(
        address = %edge.meta_address(),
        trunks = %edge.trunk_address(),
        "listening for calls"
    );
    Ok(Some(edge))
}

/// Runs the edge until `stop` and the end of its drain.
pub async fn run(edge: Edge, stop: CancellationToken) {
    let (_routes, routes) = watch::channel(Arc::new(RouteTable::default()));
    let (events, mut told) = mpsc::unbounded_channel();
    let (permissions, _questions) = mpsc::channel(QUESTIONS);
    let serving = edge.run(Channels { routes, events, permissions }, stop);
    let recording = async { while told.recv().await.is_some() {} };
    tokio::join!(serving, recording);
}
