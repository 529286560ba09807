//! Delivery states reported by Meta: matched to their message, only moving forward, or parked.
//!
//! A status may come before the answer to the send is stored. Then the wamid is unknown, but the callback
//! data names our job and part, which tells the wamid as well.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::messages::{self as ledger, MessageRow};
use super::schema::{messages, parked_statuses};
use super::ts;
use crate::clock::new_id;
use crate::domain::{DeliveryState, Direction};

/// One status.
#[derive(Clone, Debug)]
pub struct NewStatus<'a> {
    /// Our id of the phone.
    pub phone_id: &'a str,
    /// Meta's id of the message.
    pub wamid: &'a str,
    /// The state.
    pub state: DeliveryState,
    /// `biz_opaque_callback_data`.
    pub opaque: Option<&'a str>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Error of a failure.
    pub error: Option<(i64, &'a str)>,
    /// JSON text, for parking.
    pub raw: &'a str,
}

/// What became of a status.
#[derive(Clone, Debug)]
pub enum Applied {
    /// The message moved to this state; the row is as it was before.
    Moved(Box<MessageRow>),
    /// The message is there already or further.
    Unchanged,
    /// No message of ours (yet).
    Unknown,
}

/// Applies a status to the message that it is about.
pub fn apply(conn: &mut Conn, status: &NewStatus<'_>, now: DateTime<Utc>) -> Result<Applied, StoreError> {
    let message = match ledger::by_wamid(conn, status.phone_id, status.wamid)? {
        Some(message) => message,
        None => {
            match status.opaque.map(|opaque| by_opaque(conn, status.phone_id, opaque)).transpose()?.flatten()
            {
                Some(message) => {
                    ledger::accepted(conn, &message.id, status.phone_id, status.wamid, now)?;
                    message
                }
                None => return Ok(Applied::Unknown),
            }
        }
    };
    if !message.delivery().may_become(status.state) {
        return Ok(Applied::Unchanged);
    }
    move_to(conn, &message.id, status)?;
    Ok(Applied::Moved(Box::new(message)))
}

fn move_to(conn: &mut Conn, id: &str, status: &NewStatus<'_>) -> Result<(), StoreError> {
    let at = ts(status.at);
    let target = messages::table.find(id);
    let state = messages::state.eq(status.state.as_str());
    match status.state {
        DeliveryState::Failed => {
            let (code, text) = status.error.unwrap_or((0, ""));
            return ledger::failed(conn, id, Some(code), text, status.at);
        }
        DeliveryState::Sent => diesel::update(target).set((state, messages::sent_at.eq(at))).execute(conn)?,
        DeliveryState::Delivered => {
            diesel::update(target).set((state, messages::delivered_at.eq(at))).execute(conn)?
        }
        DeliveryState::Read | DeliveryState::Played => {
            diesel::update(target).set((state, messages::read_at.eq(at))).execute(conn)?
        }
        DeliveryState::Pending | DeliveryState::Accepted => {
            diesel::update(target).set(state).execute(conn)?
        }
    };
    Ok(())
}

fn by_opaque(conn: &mut Conn, phone_id: &str, opaque: &str) -> Result<Option<MessageRow>, StoreError> {
    let Some((job, part)) = opaque.split_once('.') else {
        return Ok(None);
    };
    let Ok(part) = part.parse::<i32>() else {
        return Ok(None);
    };
    Ok(messages::table
        .filter(messages::job_id.eq(job))
        .filter(messages::part.eq(part))
        .filter(messages::phone_id.eq(phone_id))
        .filter(messages::wamid.is_null())
        .select(MessageRow::as_select())
        .first(conn)
        .optional()?)
}

/// The portal sent back what was posted there of a message that the business wrote elsewhere: notes the portal's
/// id with the oldest such message of the chat that has none.
pub fn came_back(
    conn: &mut Conn,
    chat_id: &str,
    portal_id: &str,
    im_chat_id: &str,
    im_message_id: &str,
) -> Result<(), StoreError> {
    let oldest: Option<String> = messages::table
        .filter(messages::chat_id.eq(chat_id))
        .filter(messages::direction.eq(Direction::Outbound.as_str()))
        .filter(messages::job_id.is_null())
        .filter(messages::im_message_id.is_null())
        .order((messages::created_at, messages::id))
        .select(messages::id)
        .first(conn)
        .optional()?;
    if let Some(id) = oldest {
        diesel::update(messages::table.find(id))
            .set((
                messages::portal_id.eq(portal_id),
                messages::im_chat_id.eq(im_chat_id),
                messages::im_message_id.eq(im_message_id),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Keeps a status whose message is not known (yet).
pub fn park(conn: &mut Conn, status: &NewStatus<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::insert_into(parked_statuses::table)
        .values((
            parked_statuses::id.eq(new_id()),
            parked_statuses::phone_id.eq(status.phone_id),
            parked_statuses::wamid.eq(status.wamid),
            parked_statuses::payload.eq(status.raw),
            parked_statuses::created_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Takes the parked statuses of a message, in the order in which they came, as JSON texts.
pub fn unpark(conn: &mut Conn, phone_id: &str, wamid: &str) -> Result<Vec<String>, StoreError> {
    let parked = parked_statuses::table
        .filter(parked_statuses::wamid.eq(wamid))
        .filter(parked_statuses::phone_id.eq(phone_id));
    let payloads: Vec<String> =
        parked.order(parked_statuses::id).select(parked_statuses::payload).load(conn)?;
    if !payloads.is_empty() {
        diesel::delete(parked).execute(conn)?;
    }
    Ok(payloads)
}
