//! Edits and revocations in the ledger, found by the message that they name.

use diesel::prelude::*;

use super::MessageRow;
use crate::domain::DeliveryState;
use crate::store::db::{Conn, StoreError};
use crate::store::schema::messages;

/// Writes down which message of its phone an edit or revocation names.
pub fn set_changes(conn: &mut Conn, id: &str, named: &str) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id)).set(messages::changes.eq(named)).execute(conn)?;
    Ok(())
}

/// The edits and revocations that name one of these messages of a phone, each after that name, oldest first.
pub fn changes_of(
    conn: &mut Conn,
    phone_id: &str,
    wamids: &[String],
) -> Result<Vec<(String, MessageRow)>, StoreError> {
    if wamids.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<(Option<String>, MessageRow)> = messages::table
        .filter(messages::phone_id.eq(phone_id))
        // Said in so many words, so that the index of the few that have one is used.
        .filter(messages::changes.is_not_null())
        .filter(messages::changes.eq_any(wamids))
        .order((messages::created_at, messages::id))
        .select((messages::changes, MessageRow::as_select()))
        .load(conn)?;
    Ok(found.into_iter().filter_map(|(named, row)| Some((named?, row))).collect())
}

/// The line has this message as so many.
pub fn set_line_parts(conn: &mut Conn, id: &str, parts: i32) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id)).set(messages::line_parts.eq(parts)).execute(conn)?;
    Ok(())
}

/// A message is not shown in the line, since what changed it was before; it waits for nothing any more. `body`: what
/// it says by now.
pub fn passed_over(conn: &mut Conn, id: &str, body: Option<&str>) -> Result<(), StoreError> {
    if let Some(body) = body {
        super::set_body(conn, id, body)?;
    }
    let waits = messages::table.find(id).filter(messages::state.eq(DeliveryState::Pending.as_str()));
    diesel::update(waits).set(messages::state.eq(DeliveryState::Accepted.as_str())).execute(conn)?;
    Ok(())
}
