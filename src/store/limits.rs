//! Whom a business portfolio wrote first, and when last: kept for a day, so that a restart forgets nothing.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::limit_uses;
use super::ts;

/// Notes that a person was written to first.
pub fn used(conn: &mut Conn, portfolio: &str, person: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    let known = diesel::update(limit_uses::table.find((portfolio, person)))
        .set(limit_uses::used_at.eq(ts(at)))
        .execute(conn)?;
    if known == 0 {
        let row = (
            limit_uses::portfolio.eq(portfolio),
            limit_uses::person.eq(person),
            limit_uses::used_at.eq(ts(at)),
        );
        diesel::insert_into(limit_uses::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// Puts a person back to what was so before a send that Meta did not count.
pub fn take_back(
    conn: &mut Conn,
    portfolio: &str,
    person: &str,
    before: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    match before {
        Some(before) => used(conn, portfolio, person, before),
        None => {
            diesel::delete(limit_uses::table.find((portfolio, person))).execute(conn)?;
            Ok(())
        }
    }
}

/// Everybody who was written to first since then, as (portfolio, person, when).
pub fn since(
    conn: &mut Conn,
    since: DateTime<Utc>,
) -> Result<Vec<(String, String, DateTime<Utc>)>, StoreError> {
    let rows: Vec<(String, String, NaiveDateTime)> = limit_uses::table
        .filter(limit_uses::used_at.ge(ts(since)))
        .select((limit_uses::portfolio, limit_uses::person, limit_uses::used_at))
        .order(limit_uses::used_at)
        .load(conn)?;
    Ok(rows.into_iter().map(|(portfolio, person, at)| (portfolio, person, at.and_utc())).collect())
}

/// Forgets whom nobody counts any more.
pub fn forget_before(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, StoreError> {
    Ok(diesel::delete(limit_uses::table.filter(limit_uses::used_at.lt(ts(before)))).execute(conn)?)
}
