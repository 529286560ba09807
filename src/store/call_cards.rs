//! Cards of calls in the CRM of a portal.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::call_cards;
use super::ts;

/// A call as the portal knows it.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = call_cards)]
pub struct CardRow {
    /// Our id of the call.
    pub call_id: String,
    /// Our id of the portal.
    pub portal_id: String,
    /// The portal's id of the call.
    pub crm_call_id: String,
    /// The portal's user who stands for it.
    pub user_id: String,
    /// That user's extension, if the portal told it.
    pub user_inner: Option<String>,
    /// Whether the card is open at that user.
    pub shown: bool,
    /// `CONTACT`, `COMPANY`, `LEAD`.
    pub entity_type: Option<String>,
    /// Its id.
    pub entity_id: Option<String>,
    /// The activity that the finished call became.
    pub activity_id: Option<String>,
    /// When the portal was told of the call.
    pub created_at: NaiveDateTime,
    /// When the portal was told of its end.
    pub finished_at: Option<NaiveDateTime>,
}

/// The card of a call.
pub fn get(conn: &mut Conn, call_id: &str) -> Result<Option<CardRow>, StoreError> {
    Ok(call_cards::table.find(call_id).select(CardRow::as_select()).first(conn).optional()?)
}

/// The cards of several calls.
pub fn get_many(conn: &mut Conn, call_ids: &[String]) -> Result<Vec<CardRow>, StoreError> {
    Ok(call_cards::table
        .filter(call_cards::call_id.eq_any(call_ids))
        .select(CardRow::as_select())
        .load(conn)?)
}

/// The portal knows the call; a repeat changes nothing.
pub fn registered(conn: &mut Conn, row: &CardRow) -> Result<(), StoreError> {
    if get(conn, &row.call_id)?.is_none() {
        diesel::insert_into(call_cards::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// Another user answered: the card is theirs (`shown`), or open at nobody.
pub fn handed_over(
    conn: &mut Conn,
    call_id: &str,
    user_id: Option<&str>,
    user_inner: Option<&str>,
) -> Result<(), StoreError> {
    let target = call_cards::table.find(call_id);
    match user_id {
        Some(user_id) => diesel::update(target)
            .set((
                call_cards::user_id.eq(user_id),
                call_cards::user_inner.eq(user_inner),
                call_cards::shown.eq(true),
            ))
            .execute(conn)?,
        None => diesel::update(target).set(call_cards::shown.eq(false)).execute(conn)?,
    };
    Ok(())
}

/// The portal was told of the end.
pub fn finished(
    conn: &mut Conn,
    call_id: &str,
    activity_id: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::update(call_cards::table.find(call_id))
        .set((call_cards::activity_id.eq(activity_id), call_cards::finished_at.eq(ts(now))))
        .execute(conn)?;
    Ok(())
}
