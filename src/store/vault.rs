//! The sealed word by which a wrong master key is told before anything is served.

use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::vault_checks;

/// The sealed word, if one was ever stored.
pub fn check(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    Ok(vault_checks::table.find("master").select(vault_checks::sealed).first(conn).optional()?)
}

/// Stores the sealed word of a new installation.
pub fn set_check(conn: &mut Conn, sealed: &str) -> Result<(), StoreError> {
    diesel::insert_into(vault_checks::table)
        .values((vault_checks::name.eq("master"), vault_checks::sealed.eq(sealed)))
        .execute(conn)?;
    Ok(())
}

/// Whether the database takes a write, as readiness asks: an update that changes nothing.
pub fn touch(conn: &mut Conn) -> Result<(), StoreError> {
    diesel::update(vault_checks::table.find("master")).set(vault_checks::name.eq("master")).execute(conn)?;
    Ok(())
}
