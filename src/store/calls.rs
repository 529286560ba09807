//! Records of calls.
//!
//! A record is written when a call arrives and closes with its end. What Meta tells by webhook is joined to it
//! by Meta's id of the call, in whichever order both come: until the call itself is known, Meta's word stands
//! in a record of its own, whose state is `reported`.

mod join;
pub mod timeline;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;

pub use join::{MetaError, MetaReport, adopt, reported};

use super::db::{Conn, StoreError};
use super::schema::{call_cards, calls};
use super::{Page, contacts, lower, pattern, ts};

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = calls, treat_none_as_null = true)]
pub struct CallRow {
    /// Our id.
    pub id: String,
    /// Our id of the phone; `None`: the called number is not ours.
    pub phone_id: Option<String>,
    /// The person, once the call is proven to be theirs.
    pub contact_id: Option<String>,
    /// The thread with that person.
    pub chat_id: Option<String>,
    /// `inbound` = from the contact.
    pub direction: String,
    /// `trying`, `ringing`, `answered`, `ended`, `reported`.
    pub state: String,
    /// Meta's id.
    pub wacid: Option<String>,
    /// Call-ID of the leg that it came in by.
    pub sip_call_id: Option<String>,
    /// Name of the trunk.
    pub trunk: Option<String>,
    /// Address that the second leg was sent to.
    pub target: Option<String>,
    /// Who answered, as the trunk tells.
    pub agent: Option<String>,
    /// The person's number without `+`.
    pub peer_digits: Option<String>,
    /// The person's user id.
    pub peer_user_id: Option<String>,
    /// The person's name.
    pub peer_name: Option<String>,
    /// Payload of the call button or link.
    pub payload: Option<String>,
    /// When it arrived.
    pub created_at: NaiveDateTime,
    /// When the other side rang.
    pub ringing_at: Option<NaiveDateTime>,
    /// When it was answered.
    pub answered_at: Option<NaiveDateTime>,
    /// When it ended.
    pub ended_at: Option<NaiveDateTime>,
    /// `contact`, `trunk`, `bridge`.
    pub ended_by: Option<String>,
    /// Class of the end.
    pub end_cause: Option<String>,
    /// SIP status of a refusal.
    pub sip_status: Option<i32>,
    /// Q.850 cause.
    pub q850: Option<i32>,
    /// What the other side said.
    pub end_text: Option<String>,
    /// `COMPLETED`, `FAILED`: Meta's word by webhook.
    pub meta_status: Option<String>,
    /// Seconds that Meta counted.
    pub meta_seconds: Option<i32>,
    /// When Meta saw it begin.
    pub meta_started_at: Option<NaiveDateTime>,
    /// When Meta saw it end.
    pub meta_ended_at: Option<NaiveDateTime>,
    /// Meta's errors as JSON: `[{"code","title","details"}]`.
    pub meta_errors: Option<String>,
    /// What was seen of the first leg's connection, as JSON.
    pub report: String,
    /// What happened, as JSON: `[{"at","what","detail"}]`.
    pub timeline: String,
}

impl CallRow {
    /// Whether it is over, or was never here.
    pub fn is_closed(&self) -> bool {
        matches!(self.state.as_str(), "ended" | "reported")
    }

    /// Seconds from answer to end, once it is over; 0 if it was never answered.
    pub fn seconds(&self) -> Option<i64> {
        let ended = self.ended_at?;
        Some(self.answered_at.map_or(0, |answered| (ended - answered).num_seconds().max(0)))
    }

    /// Seconds of talk, as the CRM is told: ours, but of a call whose end nobody here saw Meta's.
    pub fn talk_seconds(&self) -> i64 {
        let was_lost = self.answered_at.is_some() && self.end_cause.as_deref() == Some("lost");
        let of_meta = self.meta_seconds.filter(|_| was_lost).map(i64::from);
        of_meta.or(self.seconds()).unwrap_or(0)
    }
}

/// States of a call that is not over.
const OPEN: [&str; 3] = ["trying", "ringing", "answered"];

/// Which calls of a list are wanted.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Our id of the phone.
    pub phone_id: Option<String>,
    /// Our id of the contact.
    pub contact_id: Option<String>,
    /// `inbound`, `outbound`.
    pub direction: Option<String>,
    /// State of the record.
    pub state: Option<String>,
    /// Class of the end.
    pub end_cause: Option<String>,
    /// Meta's id.
    pub wacid: Option<String>,
    /// Words of the person's name, digits of the number, or one of the call's ids.
    pub words: Option<String>,
}

/// Writes a new record.
pub fn insert(conn: &mut Conn, row: &CallRow) -> Result<(), StoreError> {
    diesel::insert_into(calls::table).values(row).execute(conn)?;
    Ok(())
}

/// Writes every column of a known record. `false`: there is none (a person was erased meanwhile).
pub fn update(conn: &mut Conn, row: &CallRow) -> Result<bool, StoreError> {
    Ok(diesel::update(calls::table.find(&row.id)).set(row).execute(conn)? == 1)
}

/// One call.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<CallRow>, StoreError> {
    Ok(calls::table.find(id).select(CallRow::as_select()).first(conn).optional()?)
}

/// The calls that Meta names so, the newest first; more than one only where somebody forged.
pub fn by_wacid(conn: &mut Conn, phone_id: &str, wacid: &str) -> Result<Vec<CallRow>, StoreError> {
    Ok(calls::table
        .filter(calls::wacid.eq(wacid))
        .filter(calls::phone_id.eq(phone_id))
        .order(calls::id.desc())
        .select(CallRow::as_select())
        .load(conn)?)
}

/// The call of a phone whose first leg has this Call-ID, the newest.
pub fn by_sip_call_id(conn: &mut Conn, phone_id: &str, id: &str) -> Result<Option<CallRow>, StoreError> {
    Ok(calls::table
        .filter(calls::phone_id.eq(phone_id))
        .filter(calls::sip_call_id.eq(id))
        .filter(calls::state.ne("reported"))
        .order(calls::id.desc())
        .select(CallRow::as_select())
        .first(conn)
        .optional()?)
}

/// Calls that are not over, each with when the bridge was last seen alive while it ran.
pub fn open(conn: &mut Conn) -> Result<Vec<(CallRow, Option<NaiveDateTime>)>, StoreError> {
    Ok(calls::table
        .filter(calls::state.eq_any(OPEN))
        .order(calls::id)
        .select((CallRow::as_select(), calls::seen_at))
        .load(conn)?)
}

/// The bridge is alive, and so are the calls that are not over.
pub fn are_alive(conn: &mut Conn, now: DateTime<Utc>) -> Result<usize, StoreError> {
    Ok(diesel::update(calls::table.filter(calls::state.eq_any(OPEN)))
        .set(calls::seen_at.eq(ts(now)))
        .execute(conn)?)
}

/// Calls, newest first.
pub fn list(conn: &mut Conn, filter: &CallFilter, page: &Page) -> Result<Vec<CallRow>, StoreError> {
    let mut query =
        calls::table.select(CallRow::as_select()).order(calls::id.desc()).limit(page.limit).into_boxed();
    if let Some(phone) = &filter.phone_id {
        query = query.filter(calls::phone_id.eq(phone.clone()));
    }
    if let Some(contact) = &filter.contact_id {
        query = query.filter(calls::contact_id.eq(contact.clone()));
    }
    if let Some(direction) = &filter.direction {
        query = query.filter(calls::direction.eq(direction.clone()));
    }
    if let Some(state) = &filter.state {
        query = query.filter(calls::state.eq(state.clone()));
    }
    if let Some(cause) = &filter.end_cause {
        query = query.filter(calls::end_cause.eq(cause.clone()));
    }
    if let Some(wacid) = &filter.wacid {
        query = query.filter(calls::wacid.eq(wacid.clone()));
    }
    if let Some(words) = &filter.words {
        let people = contacts::matching(conn, words)?;
        let digits: String = words.chars().filter(char::is_ascii_digit).collect();
        // Without digits nothing is meant by them; with few, everything.
        let digits = if digits.len() >= 4 { format!("%{digits}%") } else { String::new() };
        let is_named = lower(calls::peer_name.assume_not_null()).like(pattern(words)).escape('\\');
        let id = words.to_owned();
        query = query.filter(
            calls::wacid
                .eq(id.clone())
                .or(calls::sip_call_id.eq(id))
                .or(calls::peer_digits.like(digits))
                .or(is_named.nullable())
                .or(calls::contact_id.eq_any(people)),
        );
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(calls::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// How many calls arrived in each of the last `hours` hours up to `now`, the oldest first.
pub fn hourly(conn: &mut Conn, now: DateTime<Utc>, hours: i32) -> Result<Vec<i64>, StoreError> {
    let mut counts = Vec::new();
    for back in (0..hours).rev() {
        let end = now - TimeDelta::hours(back.into());
        let count = calls::table
            .filter(calls::created_at.gt(ts(end - TimeDelta::hours(1))))
            .filter(calls::created_at.le(ts(end)))
            .count()
            .get_result(conn)?;
        counts.push(count);
    }
    Ok(counts)
}

/// Every call of a person: those joined to the contact, and those that bear one of their ids.
pub fn of_person(
    conn: &mut Conn,
    contact_id: &str,
    numbers: &[String],
    user_ids: &[String],
) -> Result<Vec<CallRow>, StoreError> {
    Ok(calls::table
        .filter(
            calls::contact_id
                .eq(contact_id)
                .or(calls::peer_digits.eq_any(numbers))
                .or(calls::peer_user_id.eq_any(user_ids)),
        )
        .order(calls::id)
        .select(CallRow::as_select())
        .load(conn)?)
}

/// Removes calls with their cards.
pub fn delete(conn: &mut Conn, ids: &[String]) -> Result<(), StoreError> {
    for some in ids.chunks(500) {
        diesel::delete(call_cards::table.filter(call_cards::call_id.eq_any(some))).execute(conn)?;
        diesel::delete(calls::table.filter(calls::id.eq_any(some))).execute(conn)?;
    }
    Ok(())
}

/// Ids of some calls that arrived before an instant and are over.
pub fn older_than(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<Vec<String>, StoreError> {
    Ok(calls::table
        .filter(calls::created_at.lt(ts(before)))
        .filter(calls::state.eq_any(["ended", "reported"]))
        .limit(limit)
        .select(calls::id)
        .load(conn)?)
}

/// A phone goes: its calls with nobody stay as calls of no phone.
pub fn forget_phone(conn: &mut Conn, phone_id: &str) -> Result<(), StoreError> {
    diesel::update(calls::table.filter(calls::phone_id.eq(phone_id)).filter(calls::chat_id.is_null()))
        .set(calls::phone_id.eq(None::<String>))
        .execute(conn)?;
    Ok(())
}
