//! Whether people may be called, as last heard from Meta; believed for a while.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::call_permissions;
use super::ts;

/// An answer of Meta's.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = call_permissions, primary_key(phone_id, person))]
pub struct PermissionRow {
    /// Our id of the phone.
    pub phone_id: String,
    /// Digits of the number, or the user id.
    pub person: String,
    /// Whether a call may be started.
    pub allowed: bool,
    /// Whether a request for permission may be sent.
    pub can_ask: bool,
    /// Until when this is believed.
    pub good_until: NaiveDateTime,
}

/// The answer that is still believed.
pub fn fresh(
    conn: &mut Conn,
    phone_id: &str,
    person: &str,
    now: DateTime<Utc>,
) -> Result<Option<PermissionRow>, StoreError> {
    Ok(call_permissions::table
        .find((phone_id, person))
        .filter(call_permissions::good_until.gt(ts(now)))
        .select(PermissionRow::as_select())
        .first(conn)
        .optional()?)
}

/// Remembers an answer in place of an older one.
pub fn put(conn: &mut Conn, row: &PermissionRow) -> Result<(), StoreError> {
    let known = call_permissions::table.find((&row.phone_id, &row.person));
    if diesel::update(known).set(row).execute(conn)? == 0 {
        diesel::insert_into(call_permissions::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// Forgets what was heard of a person.
pub fn forget(conn: &mut Conn, phone_id: &str, person: &str) -> Result<(), StoreError> {
    diesel::delete(call_permissions::table.find((phone_id, person))).execute(conn)?;
    Ok(())
}

/// Forgets some of what is believed no more; how many.
pub fn sweep(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, StoreError> {
    Ok(diesel::delete(call_permissions::table.filter(call_permissions::good_until.lt(ts(before))))
        .execute(conn)?)
}

/// Forgets what was heard of these people; how an erased one goes.
pub fn forget_people(conn: &mut Conn, people: &[String]) -> Result<(), StoreError> {
    diesel::delete(call_permissions::table.filter(call_permissions::person.eq_any(people))).execute(conn)?;
    Ok(())
}

/// Forgets what was heard of a phone's contacts.
pub fn forget_phone(conn: &mut Conn, phone_id: &str) -> Result<(), StoreError> {
    diesel::delete(call_permissions::table.filter(call_permissions::phone_id.eq(phone_id))).execute(conn)?;
    Ok(())
}
