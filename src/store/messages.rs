//! The ledger: one row per WhatsApp message, in both directions.

mod changes;
mod sending;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;

pub use changes::{changes_of, passed_over, set_changes, set_line_parts};
pub use sending::{GIVEN_UP, accepted, failed, others_accepted, replan, revive, send_started, send_undone};

use super::db::{Conn, StoreError, on_backend};
use super::schema::{chats, messages};
use super::{Page, contacts, lower, pattern, ts};
use crate::clock::new_id;
use crate::domain::{DeliveryState, Direction};

/// A message as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
pub struct MessageRow {
    /// Our id.
    pub id: String,
    /// Its thread.
    pub chat_id: String,
    /// Our id of the phone.
    pub phone_id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Meta's name of its kind.
    pub kind: String,
    /// Meta's id, once known.
    pub wamid: Option<String>,
    /// The portal that it came from or goes to.
    pub portal_id: Option<String>,
    /// The portal's id of the chat.
    pub im_chat_id: Option<String>,
    /// The portal's id of the message.
    pub im_message_id: Option<String>,
    /// Which part of the operator's message.
    pub part: i32,
    /// Delivery state.
    pub state: String,
    /// Readable text, for quotes and search.
    pub body: String,
    /// JSON: what Meta sent, or what we send.
    pub payload: String,
    /// Its file.
    pub blob_id: Option<String>,
    /// Where its file is on its way: `waiting`, `failed`, `stored`, `gone`.
    pub media_state: Option<String>,
    /// The job that sends it.
    pub job_id: Option<String>,
    /// A call that sends it went out.
    pub send_started: bool,
    /// It was sent again after doubt.
    pub maybe_twice: bool,
    /// How often.
    pub repeats: i32,
    /// As how many messages the line has it, if at all; their ids are numbered from the second on.
    pub line_parts: i32,
    /// Meta's error.
    pub error_code: Option<i32>,
    /// The error in words.
    pub error_text: Option<String>,
    /// When we learned of it.
    pub created_at: NaiveDateTime,
    /// When the portal took it.
    pub relayed_at: Option<NaiveDateTime>,
    /// When Meta took it.
    pub accepted_at: Option<NaiveDateTime>,
    /// One tick.
    pub sent_at: Option<NaiveDateTime>,
    /// Two ticks.
    pub delivered_at: Option<NaiveDateTime>,
    /// Blue ticks.
    pub read_at: Option<NaiveDateTime>,
    /// When it failed.
    pub failed_at: Option<NaiveDateTime>,
}

impl MessageRow {
    /// Delivery state.
    pub fn delivery(&self) -> DeliveryState {
        DeliveryState::parse(&self.state).unwrap_or(DeliveryState::Pending)
    }

    /// Whether it failed only because its job ended without Meta's verdict.
    pub fn was_given_up(&self) -> bool {
        self.delivery() == DeliveryState::Failed
            && self.error_code.is_none()
            && self.error_text.as_deref() == Some(GIVEN_UP)
    }

    /// What `biz_opaque_callback_data` bears for it: the job and the part.
    pub fn opaque(&self) -> Option<String> {
        self.job_id.as_ref().map(|job| format!("{job}.{}", self.part))
    }
}

/// A message to be written.
#[derive(Clone, Debug)]
pub struct NewMessage<'a> {
    /// Its thread.
    pub chat_id: &'a str,
    /// Our id of the phone.
    pub phone_id: &'a str,
    /// Whose.
    pub direction: Direction,
    /// Meta's name of its kind.
    pub kind: &'a str,
    /// Meta's id, if it has one.
    pub wamid: Option<&'a str>,
    /// (portal, chat there, message there), if it came from an operator.
    pub im: Option<(&'a str, &'a str, &'a str)>,
    /// Which part of the operator's message.
    pub part: i32,
    /// Its state.
    pub state: DeliveryState,
    /// Readable text.
    pub body: &'a str,
    /// JSON.
    pub payload: &'a str,
    /// Where its file is on its way.
    pub media_state: Option<&'a str>,
    /// Its file.
    pub blob_id: Option<&'a str>,
    /// The job that sends it.
    pub job_id: Option<&'a str>,
}

/// A message with all that is written of it at first.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = messages)]
pub(super) struct FreshMessage {
    pub(super) id: String,
    chat_id: String,
    phone_id: String,
    direction: &'static str,
    kind: String,
    wamid: Option<String>,
    portal_id: Option<String>,
    im_chat_id: Option<String>,
    im_message_id: Option<String>,
    part: i32,
    state: &'static str,
    body: String,
    payload: String,
    media_state: Option<String>,
    blob_id: Option<String>,
    job_id: Option<String>,
    send_started: bool,
    maybe_twice: bool,
    created_at: NaiveDateTime,
}

impl FreshMessage {
    pub(super) fn new(new: &NewMessage<'_>, now: DateTime<Utc>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            id: new_id(),
            chat_id: new.chat_id.to_owned(),
            phone_id: new.phone_id.to_owned(),
            direction: new.direction.as_str(),
            kind: new.kind.to_owned(),
            wamid: owned(new.wamid),
            portal_id: owned(new.im.map(|im| im.0)),
            im_chat_id: owned(new.im.map(|im| im.1)),
            im_message_id: owned(new.im.map(|im| im.2)),
            part: new.part,
            state: new.state.as_str(),
            body: new.body.to_owned(),
            payload: new.payload.to_owned(),
            media_state: owned(new.media_state),
            blob_id: owned(new.blob_id),
            job_id: owned(new.job_id),
            send_started: false,
            maybe_twice: false,
            created_at: ts(now),
        }
    }
}

/// Writes a message unless its key is known. `None`: known already.
pub fn insert(
    conn: &mut Conn,
    new: &NewMessage<'_>,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let fresh = FreshMessage::new(new, now);
    let written = on_backend!(conn, |c| diesel::insert_into(messages::table)
        .values(&fresh)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok((written == 1).then_some(fresh.id))
}

/// One message.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<MessageRow>, StoreError> {
    Ok(messages::table.find(id).select(MessageRow::as_select()).first(conn).optional()?)
}

/// Several messages.
pub fn get_many(conn: &mut Conn, ids: &[String]) -> Result<Vec<MessageRow>, StoreError> {
    Ok(messages::table.filter(messages::id.eq_any(ids)).select(MessageRow::as_select()).load(conn)?)
}

/// The message that Meta names so on this phone.
pub fn by_wamid(conn: &mut Conn, phone_id: &str, wamid: &str) -> Result<Option<MessageRow>, StoreError> {
    Ok(messages::table
        .filter(messages::phone_id.eq(phone_id))
        .filter(messages::wamid.eq(wamid))
        .select(MessageRow::as_select())
        .first(conn)
        .optional()?)
}

/// The parts of what a job sends, in order.
pub fn of_job(conn: &mut Conn, job_id: &str) -> Result<Vec<MessageRow>, StoreError> {
    Ok(messages::table
        .filter(messages::job_id.eq(job_id))
        .order(messages::part)
        .select(MessageRow::as_select())
        .load(conn)?)
}

/// Removes a plan of which nothing was sent.
pub fn drop_plan(conn: &mut Conn, job_id: &str) -> Result<(), StoreError> {
    diesel::delete(messages::table.filter(messages::job_id.eq(job_id)).filter(messages::wamid.is_null()))
        .execute(conn)?;
    Ok(())
}

/// The parts of an operator's message, in order.
pub fn of_operator(
    conn: &mut Conn,
    portal_id: &str,
    im_message_id: &str,
) -> Result<Vec<MessageRow>, StoreError> {
    Ok(messages::table
        .filter(messages::portal_id.eq(portal_id))
        .filter(messages::im_message_id.eq(im_message_id))
        .order(messages::part)
        .select(MessageRow::as_select())
        .load(conn)?)
}

/// The newest messages of a chat since `since`, newest first; where a quoted text is looked for.
pub fn recent(
    conn: &mut Conn,
    chat_id: &str,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<MessageRow>, StoreError> {
    Ok(messages::table
        .filter(messages::chat_id.eq(chat_id))
        .filter(messages::created_at.ge(ts(since)))
        .order(messages::created_at.desc())
        .limit(limit)
        .select(MessageRow::as_select())
        .load(conn)?)
}

/// The ledger, newest first.
pub fn list(conn: &mut Conn, filter: &LedgerFilter, page: &Page) -> Result<Vec<MessageRow>, StoreError> {
    let mut query = messages::table
        .select(MessageRow::as_select())
        .order(messages::id.desc())
        .limit(page.limit)
        .into_boxed();
    if let Some(phone_id) = &filter.phone_id {
        query = query.filter(messages::phone_id.eq(phone_id.clone()));
    }
    if let Some(state) = filter.state {
        query = query.filter(messages::state.eq(state.as_str()));
    }
    if let Some(contact_id) = &filter.contact_id {
        let chats = chats::table.filter(chats::contact_id.eq(contact_id.clone())).select(chats::id);
        query = query.filter(messages::chat_id.eq_any(chats));
    }
    if let Some(direction) = filter.direction {
        query = query.filter(messages::direction.eq(direction.as_str()));
    }
    if let Some(wamid) = &filter.wamid {
        query = query.filter(messages::wamid.eq(wamid.clone()));
    }
    if let Some(words) = &filter.words {
        let people = contacts::matching(conn, words)?;
        let chats = chats::table.filter(chats::contact_id.eq_any(people)).select(chats::id);
        let text = lower(messages::body).like(pattern(words)).escape('\\');
        query = query.filter(text.or(messages::chat_id.eq_any(chats)));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(messages::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// How many messages there were in each of the last `hours` hours up to `now`, the oldest first: those of
/// contacts and those to contacts.
pub fn hourly(conn: &mut Conn, now: DateTime<Utc>, hours: i32) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut counts = Vec::new();
    for back in (0..hours).rev() {
        let end = now - TimeDelta::hours(back.into());
        let rows: Vec<(String, i64)> = messages::table
            .filter(messages::created_at.gt(ts(end - TimeDelta::hours(1))))
            .filter(messages::created_at.le(ts(end)))
            .group_by(messages::direction)
            .select((messages::direction, diesel::dsl::count_star()))
            .load(conn)?;
        let of = |direction: Direction| {
            rows.iter().find(|(name, _)| name == direction.as_str()).map_or(0, |(_, count)| *count)
        };
        counts.push((of(Direction::Inbound), of(Direction::Outbound)));
    }
    Ok(counts)
}

/// What of the ledger is wanted.
#[derive(Clone, Debug, Default)]
pub struct LedgerFilter {
    /// Of this phone.
    pub phone_id: Option<String>,
    /// Of this contact.
    pub contact_id: Option<String>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To or from the contact.
    pub direction: Option<Direction>,
    /// With this id of Meta's.
    pub wamid: Option<String>,
    /// With these words in the text, or of a person whose name or number has them.
    pub words: Option<String>,
}

/// The portal took a message; `body` is its readable text, once it was translated.
pub(super) fn relayed(
    conn: &mut Conn,
    id: &str,
    portal_id: &str,
    im_chat_id: Option<&str>,
    body: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let state = diesel::dsl::case_when(
        messages::state.eq(DeliveryState::Pending.as_str()),
        DeliveryState::Accepted.as_str().into_sql::<Text>(),
    )
    .otherwise(messages::state);
    // A column that is `None` here stays as it is.
    let told = Relayed { im_chat_id, body: body.map(|body| body.replace('\0', "")) };
    diesel::update(messages::table.find(id))
        .set((
            messages::portal_id.eq(portal_id),
            messages::relayed_at.eq(ts(now)),
            messages::state.eq(state),
            told,
        ))
        .execute(conn)?;
    Ok(())
}

/// What a message says after an edit.
pub fn set_body(conn: &mut Conn, id: &str, body: &str) -> Result<(), StoreError> {
    let body = body.replace('\0', "");
    diesel::update(messages::table.find(id)).set(messages::body.eq(body)).execute(conn)?;
    Ok(())
}

#[derive(AsChangeset)]
#[diesel(table_name = messages)]
struct Relayed<'a> {
    im_chat_id: Option<&'a str>,
    body: Option<String>,
}

/// The file of a message came, failed, or went.
pub fn set_media(conn: &mut Conn, id: &str, state: &str, blob_id: Option<&str>) -> Result<(), StoreError> {
    diesel::update(messages::table.find(id))
        .set((messages::media_state.eq(state), messages::blob_id.eq(blob_id)))
        .execute(conn)?;
    Ok(())
}

/// When a contact was last heard of.
pub fn last_inbound(conn: &mut Conn) -> Result<Option<DateTime<Utc>>, StoreError> {
    let last: Option<NaiveDateTime> = messages::table
        .filter(messages::direction.eq("inbound"))
        .order(messages::created_at.desc())
        .select(messages::created_at)
        .first(conn)
        .optional()?;
    Ok(last.map(|at| at.and_utc()))
}

/// When a contact last wrote to one of these phones.
pub fn last_inbound_of(conn: &mut Conn, phones: &[String]) -> Result<Option<DateTime<Utc>>, StoreError> {
    let last: Option<NaiveDateTime> = messages::table
        .filter(messages::direction.eq("inbound"))
        .filter(messages::phone_id.eq_any(phones))
        .order(messages::created_at.desc())
        .select(messages::created_at)
        .first(conn)
        .optional()?;
    Ok(last.map(|at| at.and_utc()))
}

/// Every message of a chat, oldest first; for an export.
pub fn of_chat(conn: &mut Conn, chat_id: &str) -> Result<Vec<MessageRow>, StoreError> {
    Ok(messages::table
        .filter(messages::chat_id.eq(chat_id))
        .order(messages::created_at)
        .select(MessageRow::as_select())
        .load(conn)?)
}
