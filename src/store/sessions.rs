//! Who is logged in, from where and until when.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::administrators::AdministratorRow;
use super::db::{Conn, StoreError};
use super::schema::{administrators, sessions};
use super::ts;

/// A session.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions)]
pub struct SessionRow {
    /// Our id.
    pub id: String,
    /// Hex SHA-256 of the cookie's token.
    pub token_hash: String,
    /// Whose.
    pub administrator_id: String,
    /// Address from which it began.
    pub source: String,
    /// What the browser called itself.
    pub user_agent: String,
    /// When it began.
    pub created_at: NaiveDateTime,
    /// When it was last used, within minutes.
    pub seen_at: NaiveDateTime,
    /// When it ends at the latest.
    pub expires_at: NaiveDateTime,
}

/// Writes a session; those that ended go.
pub fn insert(conn: &mut Conn, row: &SessionRow, now: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::delete(sessions::table.filter(sessions::expires_at.lt(ts(now)))).execute(conn)?;
    diesel::insert_into(sessions::table).values(row).execute(conn)?;
    Ok(())
}

/// The session with this hash that neither ended nor was idle since `idle_since`, and whose it is.
pub fn open(
    conn: &mut Conn,
    hash: &str,
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> Result<Option<(SessionRow, AdministratorRow)>, StoreError> {
    Ok(sessions::table
        .inner_join(administrators::table.on(administrators::id.eq(sessions::administrator_id)))
        .filter(sessions::token_hash.eq(hash))
        .filter(sessions::expires_at.gt(ts(now)))
        .filter(sessions::seen_at.gt(ts(idle_since)))
        .select((SessionRow::as_select(), AdministratorRow::as_select()))
        .first(conn)
        .optional()?)
}

/// Notes that a session was used.
pub fn seen(conn: &mut Conn, id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::update(sessions::table.find(id)).set(sessions::seen_at.eq(ts(now))).execute(conn)?;
    Ok(())
}

/// Sessions that have not ended, the newest first, with whose they are.
pub fn list(conn: &mut Conn, now: DateTime<Utc>) -> Result<Vec<(SessionRow, AdministratorRow)>, StoreError> {
    Ok(sessions::table
        .inner_join(administrators::table.on(administrators::id.eq(sessions::administrator_id)))
        .filter(sessions::expires_at.gt(ts(now)))
        .order(sessions::created_at.desc())
        .select((SessionRow::as_select(), AdministratorRow::as_select()))
        .load(conn)?)
}

/// Ends a session. `false`: there was none.
pub fn delete(conn: &mut Conn, id: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(sessions::table.find(id)).execute(conn)? == 1)
}

/// Ends every session of an administrator but the one with this id.
pub fn delete_of(conn: &mut Conn, administrator_id: &str, but: &str) -> Result<usize, StoreError> {
    let theirs =
        sessions::table.filter(sessions::administrator_id.eq(administrator_id)).filter(sessions::id.ne(but));
    Ok(diesel::delete(theirs).execute(conn)?)
}
