//! API tokens, stored as hashes.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::api_tokens;
use super::ts;

/// A token.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_tokens)]
pub struct TokenRow {
    /// Our id.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// Hex SHA-256 of the token.
    pub token_hash: String,
    /// `read`, `operate` or `admin`.
    pub role: String,
    /// When it ends.
    pub expires_at: Option<NaiveDateTime>,
    /// When it was made.
    pub created_at: NaiveDateTime,
}

/// Writes a token.
pub fn insert(conn: &mut Conn, row: &TokenRow) -> Result<(), StoreError> {
    diesel::insert_into(api_tokens::table).values(row).execute(conn)?;
    Ok(())
}

/// The token with this name.
pub fn by_name(conn: &mut Conn, name: &str) -> Result<Option<TokenRow>, StoreError> {
    Ok(api_tokens::table
        .filter(api_tokens::name.eq(name))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()?)
}

/// The token with this hash that has not ended.
pub fn by_hash(conn: &mut Conn, hash: &str, now: DateTime<Utc>) -> Result<Option<TokenRow>, StoreError> {
    Ok(api_tokens::table
        .filter(api_tokens::token_hash.eq(hash))
        .filter(api_tokens::expires_at.is_null().or(api_tokens::expires_at.gt(ts(now))))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()?)
}

/// Every token, oldest first.
pub fn list(conn: &mut Conn) -> Result<Vec<TokenRow>, StoreError> {
    Ok(api_tokens::table.order(api_tokens::id).select(TokenRow::as_select()).load(conn)?)
}

/// Removes the token with this name. `false`: there was none.
pub fn delete(conn: &mut Conn, name: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(api_tokens::table.filter(api_tokens::name.eq(name))).execute(conn)? == 1)
}
