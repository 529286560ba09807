//! Joins what Meta tells of a call by webhook to its record, in whichever order both come.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde::Serialize;

use super::{CallRow, by_sip_call_id, by_wacid, delete, insert, timeline, update};
use crate::clock::new_id;
use crate::domain::Direction;
use crate::store::db::{Conn, StoreError};
use crate::store::schema::calls;
use crate::store::ts;

/// How far Meta's clock and ours are apart at most where one call is taken for another's other half.
const CLOSE: TimeDelta = TimeDelta::seconds(10);
/// No call is longer (the limit of `sip.max_call_seconds`).
const LONGEST_CALL: TimeDelta = TimeDelta::hours(24);

/// What Meta told of a call.
#[derive(Clone, Debug)]
pub struct MetaReport {
    /// Meta's id of the call.
    pub wacid: String,
    /// `call_created`, `terminate` …
    pub event: String,
    /// Who called, if it was told.
    pub direction: Option<Direction>,
    /// The person's number without `+`.
    pub digits: Option<String>,
    /// The person's user id.
    pub user_id: Option<String>,
    /// The person's name.
    pub name: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// `COMPLETED`, `FAILED`.
    pub status: Option<String>,
    /// Seconds.
    pub seconds: Option<u32>,
    /// When it was picked up.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Payload of the call button or link.
    pub payload: Option<String>,
    /// What went wrong.
    pub errors: Vec<MetaError>,
}

/// An error of Meta's as it is stored.
#[derive(Clone, Debug, Serialize)]
pub struct MetaError {
    /// Meta's code.
    pub code: i64,
    /// Meta's words.
    pub title: String,
    /// More of them.
    pub details: Option<String>,
}

/// Writes what Meta told of a call of a phone. A repeat changes nothing.
pub fn reported(conn: &mut Conn, phone_id: &str, report: &MetaReport) -> Result<(), StoreError> {
    let mut known = by_wacid(conn, phone_id, &report.wacid)?;
    // Where somebody forged the id, the record that was proven to be of the person is the one.
    known.sort_by_key(|row| (row.state == "reported", row.chat_id.is_none()));
    let found = match known.into_iter().next() {
        Some(row) if row.state != "reported" => Some(row),
        apart => by_sip_call_id(conn, phone_id, &format!("outgoing:{}", report.wacid))?
            .map_or_else(|| without_wacid(conn, phone_id, report), |row| Ok(Some(row)))?
            .or(apart),
    };
    match found {
        Some(mut row) => {
            fill(&mut row, report);
            if row.state != "reported" {
                adopt(conn, &mut row)?;
            }
            update(conn, &row).map(drop)
        }
        None => {
            let mut row = CallRow {
                id: new_id(),
                phone_id: Some(phone_id.to_owned()),
                direction: report.direction.unwrap_or(Direction::Inbound).as_str().to_owned(),
                state: "reported".to_owned(),
                created_at: ts(report.at),
                report: "{}".to_owned(),
                timeline: "[]".to_owned(),
                ..CallRow::default()
            };
            fill(&mut row, report);
            insert(conn, &row)
        }
    }
}

/// Takes into a record what Meta told before the call was known, and removes what stood in its place.
pub fn adopt(conn: &mut Conn, row: &mut CallRow) -> Result<(), StoreError> {
    let (Some(phone), Some(wacid)) = (&row.phone_id, &row.wacid) else { return Ok(()) };
    let told = by_wacid(conn, phone, wacid)?;
    for other in told.into_iter().filter(|other| other.state == "reported" && other.id != row.id) {
        row.meta_status = other.meta_status.or(row.meta_status.take());
        row.meta_seconds = other.meta_seconds.or(row.meta_seconds.take());
        row.meta_started_at = other.meta_started_at.or(row.meta_started_at.take());
        row.meta_ended_at = other.meta_ended_at.or(row.meta_ended_at.take());
        row.meta_errors = other.meta_errors.or(row.meta_errors.take());
        row.peer_name = row.peer_name.take().or(other.peer_name);
        row.peer_user_id = row.peer_user_id.take().or(other.peer_user_id);
        row.peer_digits = row.peer_digits.take().or(other.peer_digits);
        row.payload = row.payload.take().or(other.payload);
        row.timeline = timeline::merged(&row.timeline, &other.timeline);
        delete(conn, &[other.id])?;
    }
    Ok(())
}

/// The call to a person whose id Meta has not told us, if exactly one fits in time. Asterisk may have hung up
/// before any message of Meta's bore the id.
fn without_wacid(
    conn: &mut Conn,
    phone_id: &str,
    report: &MetaReport,
) -> Result<Option<CallRow>, StoreError> {
    if report.direction != Some(Direction::Outbound) {
        return Ok(None);
    }
    let nobody = String::new();
    let (digits, user_id) =
        (report.digits.as_ref().unwrap_or(&nobody), report.user_id.as_ref().unwrap_or(&nobody));
    let rows: Vec<CallRow> = calls::table
        .filter(calls::phone_id.eq(phone_id))
        .filter(calls::direction.eq(Direction::Outbound.as_str()))
        .filter(calls::state.ne("reported"))
        .filter(calls::wacid.is_null())
        .filter(calls::peer_digits.eq(digits).or(calls::peer_user_id.eq(user_id)))
        .filter(calls::created_at.between(ts(report.at - LONGEST_CALL), ts(report.at + CLOSE)))
        .select(CallRow::as_select())
        .load(conn)?;
    let mut fitting = rows.into_iter().filter(|row| is_at_its_time(row, report));
    Ok(fitting.next().filter(|_| fitting.next().is_none()))
}

/// Whether one of Meta's times is one of ours.
fn is_at_its_time(row: &CallRow, report: &MetaReport) -> bool {
    let is_close = |ours: Option<NaiveDateTime>, metas: Option<DateTime<Utc>>| {
        ours.zip(metas).is_some_and(|(ours, metas)| (ours.and_utc() - metas).abs() <= CLOSE)
    };
    if report.event == "terminate" {
        return is_close(row.answered_at, report.started_at)
            || is_close(row.ended_at, report.ended_at.or(Some(report.at)));
    }
    is_close(Some(row.created_at), Some(report.at))
}

fn fill(row: &mut CallRow, report: &MetaReport) {
    fn missing(place: &mut Option<String>, value: &Option<String>) {
        if place.is_none() {
            place.clone_from(value);
        }
    }
    row.wacid = Some(report.wacid.clone());
    missing(&mut row.peer_digits, &report.digits);
    missing(&mut row.peer_user_id, &report.user_id);
    missing(&mut row.peer_name, &report.name);
    missing(&mut row.payload, &report.payload);
    if let Some(status) = &report.status {
        row.meta_status = Some(status.clone());
    }
    if let Some(seconds) = report.seconds {
        row.meta_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    }
    row.meta_started_at = report.started_at.map(ts).or(row.meta_started_at);
    row.meta_ended_at = report.ended_at.map(ts).or(row.meta_ended_at);
    if !report.errors.is_empty() {
        row.meta_errors = serde_json::to_string(&report.errors).ok();
    }
    let what = format!("meta_{}", report.event);
    if !timeline::has(&row.timeline, &what) {
        row.timeline = timeline::with(&row.timeline, report.at, &what, report.status.clone());
    }
}
