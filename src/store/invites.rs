//! Links by which somebody becomes an administrator, once.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::invites;
use super::ts;

/// An invitation.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = invites)]
pub struct InviteRow {
    /// Our id.
    pub id: String,
    /// Hex SHA-256 of the token in the link.
    pub token_hash: String,
    /// `administrator` or `operator`.
    pub role: String,
    /// Name of whoever invites; `None` = the command line.
    pub invited_by: Option<String>,
    /// When it ends.
    pub expires_at: NaiveDateTime,
    /// When it was used.
    pub used_at: Option<NaiveDateTime>,
    /// When it was made.
    pub created_at: NaiveDateTime,
}

/// Writes an invitation; those that ended long ago go.
pub fn insert(conn: &mut Conn, row: &InviteRow, ended_before: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::delete(invites::table.filter(invites::expires_at.lt(ts(ended_before)))).execute(conn)?;
    diesel::insert_into(invites::table).values(row).execute(conn)?;
    Ok(())
}

/// The invitation with this hash, also one that is used up or has ended.
pub fn by_hash(conn: &mut Conn, hash: &str) -> Result<Option<InviteRow>, StoreError> {
    Ok(invites::table
        .filter(invites::token_hash.eq(hash))
        .select(InviteRow::as_select())
        .first(conn)
        .optional()?)
}

/// Uses an invitation up. `false`: somebody was faster, or it has ended.
pub fn use_up(conn: &mut Conn, id: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let open =
        invites::table.find(id).filter(invites::used_at.is_null()).filter(invites::expires_at.gt(ts(now)));
    Ok(diesel::update(open).set(invites::used_at.eq(ts(now))).execute(conn)? == 1)
}
