//! Operators' texts that wait until the contact writes.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;

use super::db::{Conn, StoreError, on_backend};
use super::schema::held_messages;
use super::{Page, ts};

/// A held text.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = held_messages)]
pub struct HeldRow {
    /// Our id.
    pub id: String,
    /// Its thread.
    pub chat_id: String,
    /// Our id of the phone.
    pub phone_id: String,
    /// Our id of the portal.
    pub portal_id: String,
    /// The portal's id of the message.
    pub im_message_id: String,
    /// JSON: the operator's message as the portal sent it.
    pub item: String,
    /// What it says.
    pub body: String,
    /// When it was held.
    pub created_at: NaiveDateTime,
    /// Until when it waits.
    pub expires_at: NaiveDateTime,
}

/// Holds a text. `false`: it is held already.
pub fn insert(conn: &mut Conn, row: &HeldRow) -> Result<bool, StoreError> {
    let row = row.clone();
    let written = on_backend!(conn, |c| diesel::insert_into(held_messages::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(written == 1)
}

/// What is held in a chat, in the order in which it was written.
pub fn of_chat(conn: &mut Conn, chat_id: &str) -> Result<Vec<HeldRow>, StoreError> {
    Ok(held_messages::table
        .filter(held_messages::chat_id.eq(chat_id))
        .order((held_messages::created_at, held_messages::id))
        .select(HeldRow::as_select())
        .load(conn)?)
}

/// Takes out what is held in a chat, in the order in which it was written.
pub fn take_of_chat(conn: &mut Conn, chat_id: &str) -> Result<Vec<HeldRow>, StoreError> {
    let rows = of_chat(conn, chat_id)?;
    if !rows.is_empty() {
        diesel::delete(held_messages::table.filter(held_messages::chat_id.eq(chat_id))).execute(conn)?;
    }
    Ok(rows)
}

/// Takes one out. `None`: it is not held any more.
pub fn take(conn: &mut Conn, id: &str) -> Result<Option<HeldRow>, StoreError> {
    let row = held_messages::table.find(id).select(HeldRow::as_select()).first(conn).optional()?;
    if row.is_some() {
        diesel::delete(held_messages::table.find(id)).execute(conn)?;
    }
    Ok(row)
}

/// Some of what has waited too long.
pub fn expired(conn: &mut Conn, now: DateTime<Utc>, limit: i64) -> Result<Vec<HeldRow>, StoreError> {
    Ok(held_messages::table
        .filter(held_messages::expires_at.le(ts(now)))
        .order(held_messages::expires_at)
        .limit(limit)
        .select(HeldRow::as_select())
        .load(conn)?)
}

/// A page of what is held, oldest first.
pub fn page(conn: &mut Conn, phone_id: Option<&str>, page: &Page) -> Result<Vec<HeldRow>, StoreError> {
    let mut query = held_messages::table
        .select(HeldRow::as_select())
        .order(held_messages::id)
        .limit(page.limit)
        .into_boxed();
    if let Some(phone_id) = phone_id {
        query = query.filter(held_messages::phone_id.eq(phone_id.to_owned()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(held_messages::id.gt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// Forgets what is held in chats; the files of it, whose bytes the caller removes.
pub fn forget(conn: &mut Conn, chat_ids: &[String]) -> Result<Vec<String>, StoreError> {
    let theirs = held_messages::table.filter(held_messages::chat_id.eq_any(chat_ids));
    let items: Vec<String> = theirs.select(held_messages::item).load(conn)?;
    diesel::delete(held_messages::table.filter(held_messages::chat_id.eq_any(chat_ids))).execute(conn)?;
    let parsed = items.iter().filter_map(|item| serde_json::from_str::<Value>(item).ok());
    let file_of = |file: &Value| file.pointer("/here/blob_id")?.as_str().map(str::to_owned);
    Ok(parsed
        .flat_map(|item| {
            item.get("files")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(file_of)
                .collect::<Vec<_>>()
        })
        .collect())
}
