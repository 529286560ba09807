//! What portals asked us to send as the CRM's SMS provider, and what they were told of it.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError, on_backend};
use super::schema::sms_requests;
use super::{Page, ts};
use crate::clock::new_id;
use crate::domain::SmsState;

/// A request as stored.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = sms_requests)]
pub struct SmsRow {
    /// Our id.
    pub id: String,
    /// Our id of the portal.
    pub portal_id: String,
    /// The portal's id of the SMS.
    pub message_id: String,
    /// The sender that was picked.
    pub code: String,
    /// The phone behind it; `None`: unknown.
    pub phone_id: Option<String>,
    /// The thread in which it goes.
    pub chat_id: Option<String>,
    /// The recipient as the portal wrote it.
    pub recipient: String,
    /// The recipient's number, digits only, once understood.
    pub number: Option<String>,
    /// The text as it came.
    pub body: String,
    /// The portal user who wrote it; robots have none.
    pub author: Option<String>,
    /// JSON: the CRM's objects that it belongs to.
    pub owners: String,
    /// The job that sends it.
    pub job_id: Option<String>,
    /// How far it has come.
    pub state: String,
    /// What the portal was told last.
    pub reported: Option<String>,
    /// Why it was not sent or did not arrive.
    pub reason: Option<String>,
    /// When it came.
    pub created_at: NaiveDateTime,
    /// When its state last changed.
    pub updated_at: NaiveDateTime,
}

impl SmsRow {
    /// How far it has come.
    pub fn progress(&self) -> SmsState {
        SmsState::parse(&self.state).unwrap_or(SmsState::Queued)
    }
}

/// A request to be written.
#[derive(Clone, Debug, Default)]
pub struct NewSms<'a> {
    /// Our id of the portal.
    pub portal_id: &'a str,
    /// The portal's id of the SMS.
    pub message_id: &'a str,
    /// The sender that was picked.
    pub code: &'a str,
    /// The phone behind it.
    pub phone_id: Option<&'a str>,
    /// The recipient as the portal wrote it.
    pub recipient: &'a str,
    /// The recipient's number, digits only.
    pub number: Option<&'a str>,
    /// The text.
    pub body: &'a str,
    /// The portal user who wrote it.
    pub author: Option<&'a str>,
    /// JSON: the CRM's objects that it belongs to.
    pub owners: &'a str,
}

/// Lane of what the portal is told of a request.
pub fn lane(id: &str) -> String {
    format!("sms:{id}")
}

/// Lane of what the CRM's timeline is told of a request.
pub fn comment_lane(id: &str) -> String {
    format!("sms-comment:{id}")
}

/// Writes a request unless the portal's id is known. `None`: known already.
pub fn insert(conn: &mut Conn, new: &NewSms<'_>, now: DateTime<Utc>) -> Result<Option<String>, StoreError> {
    let id = new_id();
    let values = (
        sms_requests::id.eq(&id),
        sms_requests::portal_id.eq(new.portal_id),
        sms_requests::message_id.eq(new.message_id),
        sms_requests::code.eq(new.code),
        sms_requests::phone_id.eq(new.phone_id),
        sms_requests::recipient.eq(new.recipient),
        sms_requests::number.eq(new.number),
        sms_requests::body.eq(new.body),
        sms_requests::author.eq(new.author),
        sms_requests::owners.eq(new.owners),
        sms_requests::state.eq(SmsState::Queued.as_str()),
        sms_requests::created_at.eq(ts(now)),
        sms_requests::updated_at.eq(ts(now)),
    );
    let written = on_backend!(conn, |c| diesel::insert_into(sms_requests::table)
        .values(values)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok((written == 1).then_some(id))
}

/// The request goes in this thread, by this job.
pub fn placed(conn: &mut Conn, id: &str, chat_id: &str, job_id: &str) -> Result<(), StoreError> {
    diesel::update(sms_requests::table.find(id))
        .set((sms_requests::chat_id.eq(chat_id), sms_requests::job_id.eq(job_id)))
        .execute(conn)?;
    Ok(())
}

/// One request.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<SmsRow>, StoreError> {
    Ok(sms_requests::table.find(id).select(SmsRow::as_select()).first(conn).optional()?)
}

/// Several requests.
pub fn get_many(conn: &mut Conn, ids: &[String]) -> Result<Vec<SmsRow>, StoreError> {
    Ok(sms_requests::table.filter(sms_requests::id.eq_any(ids)).select(SmsRow::as_select()).load(conn)?)
}

/// The request that a job sends.
pub fn of_job(conn: &mut Conn, job_id: &str) -> Result<Option<SmsRow>, StoreError> {
    Ok(sms_requests::table
        .filter(sms_requests::job_id.eq(job_id))
        .select(SmsRow::as_select())
        .first(conn)
        .optional()?)
}

/// The requests that these jobs send.
pub fn of_jobs(conn: &mut Conn, job_ids: &[String]) -> Result<Vec<SmsRow>, StoreError> {
    Ok(sms_requests::table
        .filter(sms_requests::job_id.eq_any(job_ids))
        .select(SmsRow::as_select())
        .load(conn)?)
}

/// Every request of a thread, oldest first; for an export.
pub fn of_chat(conn: &mut Conn, chat_id: &str) -> Result<Vec<SmsRow>, StoreError> {
    Ok(sms_requests::table
        .filter(sms_requests::chat_id.eq(chat_id))
        .order(sms_requests::created_at)
        .select(SmsRow::as_select())
        .load(conn)?)
}

/// Moves a request forward. `false`: it is there already or further.
pub fn advance(
    conn: &mut Conn,
    row: &SmsRow,
    next: SmsState,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if !row.progress().may_become(next) {
        return Ok(false);
    }
    diesel::update(sms_requests::table.find(&row.id))
        .set((
            sms_requests::state.eq(next.as_str()),
            sms_requests::reason.eq(reason.map(|reason| reason.replace('\0', ""))),
            sms_requests::updated_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(true)
}

/// The portal knows this state now.
pub fn reported(conn: &mut Conn, id: &str, state: SmsState) -> Result<(), StoreError> {
    diesel::update(sms_requests::table.find(id))
        .set(sms_requests::reported.eq(state.as_str()))
        .execute(conn)?;
    Ok(())
}

/// Requests, newest first, in one state if given.
pub fn list(conn: &mut Conn, state: Option<SmsState>, page: &Page) -> Result<Vec<SmsRow>, StoreError> {
    let mut query = sms_requests::table
        .select(SmsRow::as_select())
        .order(sms_requests::id.desc())
        .limit(page.limit)
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(sms_requests::state.eq(state.as_str()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(sms_requests::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// How many requests wait to be sent, by phone.
pub fn waiting(conn: &mut Conn) -> Result<Vec<(String, i64)>, StoreError> {
    let rows: Vec<(Option<String>, i64)> = sms_requests::table
        .filter(sms_requests::state.eq(SmsState::Queued.as_str()))
        .filter(sms_requests::phone_id.is_not_null())
        .group_by(sms_requests::phone_id)
        .select((sms_requests::phone_id, diesel::dsl::count_star()))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(phone, count)| Some((phone?, count))).collect())
}
