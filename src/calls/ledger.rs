//! The record of each call, written from what the edge tells.
//!
//! A record closes once: the first end counts. One that the last run left open is closed as lost at start.
//! What the edge tells is written in the order of telling, many moments in one transaction.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::json;

use super::Calls;
use super::effects::{self, Around};
use crate::domain::CallId;
use crate::domain::call::{Arrival, CallEnd, CallEvent, CallMoment, ContactReport, EndCause, EndedBy};
use crate::store::calls::{self, CallRow, timeline};
use crate::store::{StoreError, Tx};

/// Between tries to write while the database is away.
const STORE_RETRY: Duration = Duration::from_millis(500);
/// Longest text of the other side that is kept, in characters.
const LONGEST: usize = 512;

type Told = (DateTime<Utc>, CallEvent);

impl Calls {
    /// Writes what happened, with what follows from it; waits for the database if it is away. What it
    /// refuses is written without its neighbours, and what it refuses then is lost with a line in the log.
    pub(super) async fn record(&self, batch: Vec<Told>) {
        if self.write(batch.clone()).await.is_ok() {
            return;
        }
        for told in batch {
            let call = told.1.call.clone();
            if let Err(error) = self.write(vec![told]).await {
                tracing::error!(call.id = %call, error = %error, source = ?error, "a moment of a call is not written");
            }
        }
    }

    /// Closes what the last run left open, at the last sign of life of each: how long nobody was here is no talk.
    pub(super) async fn close_lost(&self) {
        let open = loop {
            match self.db.read(calls::open).await {
                Ok(open) => break open,
                Err(error) => tracing::warn!(error = %error, "open calls cannot be read; trying again"),
            }
            tokio::time::sleep(STORE_RETRY).await;
        };
        if open.is_empty() {
            return;
        }
        tracing::warn!(calls = open.len(), "calls of the last run are closed as lost");
        let now = self.clock.now();
        let lost = |(row, seen): (CallRow, Option<NaiveDateTime>)| {
            let at = last_sign(&row, seen).min(now);
            let end = CallEnd {
                by: EndedBy::Bridge,
                cause: EndCause::Lost,
                status: None,
                q850: None,
                text: Some("the bridge was stopped or broken off while the call ran".to_owned()),
                meta_seconds: None,
            };
            (at, CallEvent { call: CallId::from(row.id), moment: CallMoment::Ended(end) })
        };
        self.record(open.into_iter().map(lost).collect()).await;
    }

    /// Keeps a sign of life of the calls that run.
    pub(super) async fn are_alive(&self) {
        let now = self.clock.now();
        if let Err(error) = self.db.write(move |tx| calls::are_alive(tx.conn, now)).await {
            tracing::warn!(error = %error, "the sign of life of running calls cannot be written");
        }
    }

    async fn write(&self, batch: Vec<Told>) -> Result<(), StoreError> {
        let batch = Arc::new(batch);
        loop {
            let (told, now) = (batch.clone(), self.clock.now());
            let around = Around { snapshot: self.directory.now(), opened: self.window_opened.clone(), now };
            let write = move |tx: &mut Tx<'_>| {
                told.iter().try_for_each(|(at, event)| write_one(tx, &around, *at, event))
            };
            match self.db.write(write).await {
                Err(error) if error.is_outage() => {
                    tracing::warn!(error = %error, "records of calls cannot be written; trying again");
                    tokio::time::sleep(STORE_RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }
}

fn write_one(
    tx: &mut Tx<'_>,
    around: &Around,
    at: DateTime<Utc>,
    event: &CallEvent,
) -> Result<(), StoreError> {
    let known = calls::get(tx.conn, event.call.as_str())?;
    let (mut row, is_new) = match (&event.moment, known) {
        (CallMoment::Arrived(_), Some(_)) => return Ok(()),
        (CallMoment::Arrived(arrival), None) => (begin(&event.call, arrival, at), true),
        (_, Some(row)) => (row, false),
        // Its person was erased meanwhile.
        (_, None) => return Ok(()),
    };
    if !is_new && !apply(&mut row, &event.moment, at) {
        return Ok(());
    }
    if row.phone_id.as_ref().is_some_and(|id| around.snapshot.phone(&id.as_str().into()).is_none()) {
        row.phone_id = None;
    }
    if is_new {
        calls::insert(tx.conn, &row)?;
    }
    effects::follow(tx, around, &mut row, &event.moment)?;
    calls::update(tx.conn, &row).map(drop)
}

/// When a call that was broken off was last known to run: by Meta's word, else by ours.
fn last_sign(row: &CallRow, seen: Option<NaiveDateTime>) -> DateTime<Utc> {
    let ours = [seen, row.answered_at, row.ringing_at].into_iter().flatten().fold(row.created_at, Ord::max);
    row.meta_ended_at.unwrap_or(ours).and_utc()
}

/// The record of a call that has just arrived.
pub fn begin(call: &CallId, arrival: &Arrival, at: DateTime<Utc>) -> CallRow {
    let of_call_id = || arrival.sip_call_id.strip_prefix("outgoing:").filter(|id| id.starts_with("wacid."));
    let wacid = arrival.wacid.as_ref().map(|id| id.as_str()).or_else(of_call_id);
    CallRow {
        id: call.to_string(),
        phone_id: arrival.phone.as_ref().map(ToString::to_string),
        direction: arrival.direction.as_str().to_owned(),
        state: "trying".to_owned(),
        wacid: wacid.map(clean),
        sip_call_id: Some(clean(&arrival.sip_call_id)),
        trunk: arrival.trunk.as_deref().map(clean),
        peer_digits: arrival.peer.digits.as_deref().map(clean),
        peer_user_id: arrival.peer.user_id.as_ref().map(|id| clean(id.as_str())),
        peer_name: arrival.peer.name.as_deref().map(clean),
        payload: arrival.payload.as_deref().map(clean),
        created_at: at.naive_utc(),
        report: report(&arrival.report),
        timeline: timeline::with("[]", at, "arrived", None),
        ..CallRow::default()
    }
}

/// Applies a later moment. `false`: it changes nothing.
pub fn apply(row: &mut CallRow, moment: &CallMoment, at: DateTime<Utc>) -> bool {
    let (what, detail) = match moment {
        CallMoment::Arrived(_) => return false,
        CallMoment::Identified(wacid) => {
            row.wacid = Some(clean(wacid.as_str()));
            ("identified", None)
        }
        _ if row.is_closed() => return false,
        CallMoment::Forwarded { target } => {
            row.target = Some(clean(target));
            ("forwarded", row.target.clone())
        }
        CallMoment::Ringing => {
            row.ringing_at.get_or_insert(at.naive_utc());
            if row.state == "trying" {
                row.state = "ringing".to_owned();
            }
            ("ringing", None)
        }
        CallMoment::Answered { agent } => {
            row.answered_at.get_or_insert(at.naive_utc());
            row.state = "answered".to_owned();
            row.agent = agent.as_deref().map(clean).or(row.agent.take());
            ("answered", row.agent.clone())
        }
        CallMoment::Noted(text) => ("noted", Some(clean(text))),
        CallMoment::Ended(end) => {
            close(row, end, at);
            ("ended", row.end_cause.clone())
        }
    };
    row.timeline = timeline::with(&row.timeline, at, what, detail);
    true
}

fn close(row: &mut CallRow, end: &CallEnd, at: DateTime<Utc>) {
    row.state = "ended".to_owned();
    row.ended_at = Some(at.naive_utc());
    row.ended_by = Some(
        match end.by {
            EndedBy::Contact => "contact",
            EndedBy::Trunk => "trunk",
            EndedBy::Bridge => "bridge",
        }
        .to_owned(),
    );
    row.end_cause = Some(end.cause.to_string());
    row.sip_status = end.status.map(i32::from);
    row.q850 = end.q850.map(i32::from);
    row.end_text = end.text.as_deref().map(clean);
    if let Some(seconds) = end.meta_seconds {
        row.meta_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    }
}

/// What was seen of the first leg: the answers to what no document tells.
fn report(report: &ContactReport) -> String {
    let header = |(name, value): &(String, String)| {
        clean(&if value.is_empty() { name.clone() } else { format!("{name}: {value}") })
    };
    let headers: Vec<String> = report.headers.iter().map(header).collect();
    let offer: Vec<String> = report.offer.iter().map(|line| clean(line)).collect();
    json!({
        "proof": report.proof.as_str(),
        "source": clean(&report.source), "tls_version": report.tls_version, "cipher": report.cipher,
        "sni": report.sni.as_deref().map(clean), "user_agent": report.user_agent.as_deref().map(clean),
        "headers": headers, "offer": offer,
    })
    .to_string()
}

/// Text of the other side: no longer than needed, and without NUL, which PostgreSQL does not take.
fn clean(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c == '\0' { '\u{2400}' } else { c }).collect()
}
