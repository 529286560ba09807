//! The ledger of what is sent: the marks around a call to Meta, and how it ended.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::MessageRow;
use crate::domain::DeliveryState;
use crate::store::db::{Conn, StoreError};
use crate::store::schema::messages;
use crate::store::ts;

/// The call that sends it goes out now: from here on it may have had its effect. `repeat`: another one may have
/// had it already.
pub fn send_started(conn: &mut Conn, id: &str, repeat: bool) -> Result<(), StoreError> {
    let row = messages::table.find(id);
    match repeat {
        false => diesel::update(row).set(messages::send_started.eq(true)).execute(conn)?,
        true => diesel::update(row)
            .set((
                messages::send_started.eq(true),
                messages::maybe_twice.eq(true),
                messages::repeats.eq(messages::repeats + 1),
            ))
            .execute(conn)?,
    };
    Ok(())
}

/// The call surely had no effect.
pub fn send_undone(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id)).set(messages::send_started.eq(false)).execute(conn)?;
    Ok(())
}

/// A part is sent in another form than planned.
pub fn replan(conn: &mut Conn, id: &str, kind: &str, body: &str, payload: &str) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id))
        .set((messages::kind.eq(kind), messages::body.eq(body), messages::payload.eq(payload)))
        .execute(conn)?;
    Ok(())
}

/// Meta took it; its state moves up from pending only. If an echo of it was stored first, the id is ours now.
/// `false`: the message is gone.
pub fn accepted(
    conn: &mut Conn,
    id: &str,
    phone_id: &str,
    wamid: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    diesel::update(
        messages::table
            .filter(messages::phone_id.eq(phone_id))
            .filter(messages::wamid.eq(wamid))
            .filter(messages::id.ne(id)),
    )
    .set(messages::wamid.eq(None::<String>))
    .execute(conn)?;
    let state = diesel::dsl::case_when(
        messages::state.eq(DeliveryState::Pending.as_str()),
        DeliveryState::Accepted.as_str().into_sql::<Text>(),
    )
    .otherwise(messages::state);
    let changed = diesel::update(messages::table.find(id))
        .set((messages::wamid.eq(wamid), messages::accepted_at.eq(ts(now)), messages::state.eq(state)))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Whether Meta took since `since` a message of the same phone that was written after `row`.
pub fn others_accepted(conn: &mut Conn, row: &MessageRow, since: DateTime<Utc>) -> Result<bool, StoreError> {
    let others = messages::table
        .filter(messages::phone_id.eq(&row.phone_id))
        .filter(messages::created_at.ge(row.created_at))
        .filter(messages::accepted_at.ge(ts(since)));
    Ok(diesel::select(diesel::dsl::exists(others)).get_result(conn)?)
}

/// What is written as error of a message whose job ended without Meta's verdict.
pub const GIVEN_UP: &str = "given up";

/// A message that was given up is to be sent after all, since its job is replayed.
pub fn revive(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id))
        .set((
            messages::state.eq(DeliveryState::Pending.as_str()),
            messages::error_text.eq(None::<String>),
            messages::failed_at.eq(None::<NaiveDateTime>),
            messages::repeats.eq(0),
        ))
        .execute(conn)?;
    Ok(())
}

/// It will not arrive.
pub fn failed(
    conn: &mut Conn,
    id: &str,
    code: Option<i64>,
    text: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id))
        .set((
            messages::state.eq(DeliveryState::Failed.as_str()),
            messages::error_code.eq(code.and_then(|code| i32::try_from(code).ok())),
            messages::error_text.eq(text.replace('\0', "")),
            messages::failed_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(())
}
