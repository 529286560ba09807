//! Creations and edits of templates that Meta has taken, as far back as its limits look.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::template_changes;
use super::ts;
use crate::clock::new_id;

/// Notes a change: of the template that Meta names so, or of an account's new one.
pub fn note(
    conn: &mut Conn,
    waba_key: &str,
    meta_id: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = (
        template_changes::id.eq(new_id()),
        template_changes::waba_key.eq(waba_key),
        template_changes::meta_id.eq(meta_id),
        template_changes::at.eq(ts(at)),
    );
    diesel::insert_into(template_changes::table).values(row).execute(conn)?;
    Ok(())
}

/// When an account's templates were created since then, the oldest first.
pub fn creations(
    conn: &mut Conn,
    waba_key: &str,
    since: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let times: Vec<NaiveDateTime> = template_changes::table
        .filter(template_changes::waba_key.eq(waba_key))
        .filter(template_changes::meta_id.is_null())
        .filter(template_changes::at.gt(ts(since)))
        .order(template_changes::at)
        .select(template_changes::at)
        .load(conn)?;
    Ok(times.into_iter().map(|at| at.and_utc()).collect())
}

/// When a template was edited since then, the oldest first.
pub fn edits(
    conn: &mut Conn,
    waba_key: &str,
    meta_id: &str,
    since: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let times: Vec<NaiveDateTime> = template_changes::table
        .filter(template_changes::waba_key.eq(waba_key))
        .filter(template_changes::meta_id.eq(meta_id))
        .filter(template_changes::at.gt(ts(since)))
        .order(template_changes::at)
        .select(template_changes::at)
        .load(conn)?;
    Ok(times.into_iter().map(|at| at.and_utc()).collect())
}
