//! Raw events that are kept: unreadable ones, unknown phones, fields other than messages, all by wish.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::{events, expected_echoes};
use super::{Page, lower, pattern, ts};
use crate::clock::new_id;

/// A kept event.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct EventRow {
    /// Our id.
    pub id: String,
    /// Our id of the Meta app, if it came from Meta.
    pub app_id: Option<String>,
    /// Our id of the portal, if it came from a portal.
    pub portal_id: Option<String>,
    /// Meta's field or the portal's event name.
    pub field: String,
    /// Why it is kept.
    pub reason: String,
    /// The payload as it came.
    pub payload: String,
    /// When it came.
    pub created_at: NaiveDateTime,
}

/// Where an event came from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A Meta app (our id).
    App(&'a str),
    /// A portal (our id).
    Portal(&'a str),
}

/// Keeps an event.
pub fn keep(
    conn: &mut Conn,
    origin: Origin<'_>,
    field: &str,
    reason: &str,
    payload: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (app_id, portal_id) = match origin {
        Origin::App(id) => (Some(id), None),
        Origin::Portal(id) => (None, Some(id)),
    };
    // PostgreSQL takes no NUL in text; what bears one is kept with a visible mark in its place.
    let payload = payload.replace('\0', "\u{2400}");
    diesel::insert_into(events::table)
        .values((
            events::id.eq(new_id()),
            events::app_id.eq(app_id),
            events::portal_id.eq(portal_id),
            events::field.eq(field),
            events::reason.eq(reason),
            events::payload.eq(payload),
            events::created_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Kept events, newest first.
pub fn list(conn: &mut Conn, app_id: Option<&str>, page: &Page) -> Result<Vec<EventRow>, StoreError> {
    let mut query =
        events::table.select(EventRow::as_select()).order(events::id.desc()).limit(page.limit).into_boxed();
    if let Some(app_id) = app_id {
        query = query.filter(events::app_id.eq(app_id.to_owned()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(events::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// Kept events that name `words`, between two instants; the oldest few first.
pub fn naming(
    conn: &mut Conn,
    words: &str,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<EventRow>, StoreError> {
    Ok(events::table
        .filter(events::created_at.ge(ts(from)))
        .filter(events::created_at.le(ts(until)))
        .filter(lower(events::payload).like(pattern(words)).escape('\\'))
        .order(events::created_at)
        .limit(20)
        .select(EventRow::as_select())
        .load(conn)?)
}

/// One kept event.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<EventRow>, StoreError> {
    Ok(events::table.find(id).select(EventRow::as_select()).first(conn).optional()?)
}

/// Remembers that the portal will send this text back to us, since we post it on behalf of a user.
pub fn expect_echo(
    conn: &mut Conn,
    chat_id: &str,
    text_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::insert_into(expected_echoes::table)
        .values((
            expected_echoes::id.eq(new_id()),
            expected_echoes::chat_id.eq(chat_id),
            expected_echoes::text_hash.eq(text_hash),
            expected_echoes::created_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whether this text of this chat is an echo of ours; each is swallowed once.
pub fn swallow_echo(conn: &mut Conn, chat_id: &str, text_hash: &str) -> Result<bool, StoreError> {
    let id: Option<String> = expected_echoes::table
        .filter(expected_echoes::chat_id.eq(chat_id))
        .filter(expected_echoes::text_hash.eq(text_hash))
        .order(expected_echoes::id)
        .select(expected_echoes::id)
        .first(conn)
        .optional()?;
    match id {
        Some(id) => Ok(diesel::delete(expected_echoes::table.find(id)).execute(conn)? == 1),
        None => Ok(false),
    }
}
