//! Alarms: findings that turned bad, and who is told of them.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::{alarm_notices, alarms};
use super::{Page, ts};

/// A finding that turned bad.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = alarms)]
pub struct AlarmRow {
    /// Our id.
    pub id: String,
    /// The doctor's check.
    pub check_id: String,
    /// Kind of what it is about.
    pub subject_kind: String,
    /// Our id of what it is about.
    pub subject_id: String,
    /// Its name.
    pub subject_name: String,
    /// `warn` or `fail`, when it turned bad.
    pub result: String,
    /// Why, in English.
    pub reason_en: String,
    /// Why, in Russian.
    pub reason_ru: String,
    /// What to do, in English.
    pub advice_en: Option<String>,
    /// What to do, in Russian.
    pub advice_ru: Option<String>,
    /// When it turned bad.
    pub opened_at: NaiveDateTime,
    /// When it was well again.
    pub closed_at: Option<NaiveDateTime>,
}

/// Somebody who is to be told of an alarm or of its end.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = alarm_notices)]
pub struct NoticeRow {
    /// Our id.
    pub id: String,
    /// The alarm.
    pub alarm_id: String,
    /// `opened` or `closed`.
    pub event: String,
    /// The portal whose user is told; `None` = the outgoing webhook.
    pub portal_id: Option<String>,
    /// `waiting`, `told` or `given_up`.
    pub state: String,
    /// Tries so far.
    pub attempts: i32,
    /// Not tried before.
    pub not_before: NaiveDateTime,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: NaiveDateTime,
}

/// Alarms that are open.
pub fn open(conn: &mut Conn) -> Result<Vec<AlarmRow>, StoreError> {
    Ok(alarms::table
        .filter(alarms::closed_at.is_null())
        .order(alarms::id)
        .select(AlarmRow::as_select())
        .load(conn)?)
}

/// Writes a new alarm.
pub fn insert(conn: &mut Conn, row: &AlarmRow) -> Result<(), StoreError> {
    diesel::insert_into(alarms::table).values(row).execute(conn)?;
    Ok(())
}

/// Ends an alarm. `false`: it has ended already.
pub fn close(conn: &mut Conn, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let open = alarms::table.find(id).filter(alarms::closed_at.is_null());
    Ok(diesel::update(open).set(alarms::closed_at.eq(ts(now))).execute(conn)? == 1)
}

/// Alarms, newest first; only the open ones if asked.
pub fn list(conn: &mut Conn, only_open: bool, page: &Page) -> Result<Vec<AlarmRow>, StoreError> {
    let mut query =
        alarms::table.select(AlarmRow::as_select()).order(alarms::id.desc()).limit(page.limit).into_boxed();
    if only_open {
        query = query.filter(alarms::closed_at.is_null());
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(alarms::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// Writes who is to be told.
pub fn add_notice(conn: &mut Conn, row: &NoticeRow) -> Result<(), StoreError> {
    diesel::insert_into(alarm_notices::table).values(row).execute(conn)?;
    Ok(())
}

/// Who is to be told by now, with what, in the order of writing.
pub fn due(conn: &mut Conn, now: DateTime<Utc>, most: i64) -> Result<Vec<(NoticeRow, AlarmRow)>, StoreError> {
    Ok(alarm_notices::table
        .inner_join(alarms::table)
        .filter(alarm_notices::state.eq("waiting"))
        .filter(alarm_notices::not_before.le(ts(now)))
        .order(alarm_notices::id)
        .limit(most)
        .select((NoticeRow::as_select(), AlarmRow::as_select()))
        .load(conn)?)
}

/// When the next notice is due.
pub fn next_due(conn: &mut Conn) -> Result<Option<DateTime<Utc>>, StoreError> {
    let at: Option<NaiveDateTime> = alarm_notices::table
        .filter(alarm_notices::state.eq("waiting"))
        .select(diesel::dsl::min(alarm_notices::not_before))
        .first(conn)?;
    Ok(at.map(|at| at.and_utc()))
}

/// Writes what came of a try.
pub fn settle(
    conn: &mut Conn,
    id: &str,
    state: &str,
    not_before: DateTime<Utc>,
    error: Option<&str>,
) -> Result<(), StoreError> {
    diesel::update(alarm_notices::table.find(id))
        .set((
            alarm_notices::state.eq(state),
            alarm_notices::attempts.eq(alarm_notices::attempts + 1),
            alarm_notices::not_before.eq(ts(not_before)),
            alarm_notices::last_error.eq(error),
        ))
        .execute(conn)?;
    Ok(())
}
