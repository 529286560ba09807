//! Threads between a contact and a phone, and what the portal told us of them.

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError, on_backend};
use super::schema::{chats, contact_aliases, contacts, phones};
use super::ts;
use crate::clock::new_id;
use crate::domain::ServiceWindow;

/// A thread.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = chats)]
pub struct ChatRow {
    /// Our id.
    pub id: String,
    /// The person.
    pub contact_id: String,
    /// Our id of the phone.
    pub phone_id: String,
    /// The `user` object as first sent, to the byte.
    pub portal_user: Option<String>,
    /// `portal:line` in which the portal has this chat.
    pub portal_line: Option<String>,
    /// The portal's own id of the chat there.
    pub portal_chat_id: Option<String>,
    /// The `chat.id` and `user.id` that the portal is given, if that is not our id.
    pub known_as: Option<String>,
    /// When the contact last wrote.
    pub last_inbound_at: Option<NaiveDateTime>,
    /// What the contact last wrote.
    pub last_inbound_wamid: Option<String>,
    /// Until when free text is allowed.
    pub window_until: Option<NaiveDateTime>,
    /// Meta has said that the window is closed.
    pub window_closed: bool,
    /// The contact has stopped marketing messages.
    pub marketing_stopped: bool,
    /// When first seen.
    pub created_at: NaiveDateTime,
}

impl ChatRow {
    /// The `chat.id` and `user.id` that the portal is given.
    pub fn name(&self) -> &str {
        self.known_as.as_deref().unwrap_or(&self.id)
    }

    /// Whether free text may be sent.
    pub fn window(&self) -> ServiceWindow {
        ServiceWindow::from_stored(self.window_until.map(|at| at.and_utc()), self.window_closed)
    }
}

/// The thread of a contact and a phone, made at first contact.
pub fn open(
    conn: &mut Conn,
    contact_id: &str,
    phone_id: &str,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    open_as(conn, contact_id, phone_id, None, now)
}

/// The same for a thread that the portal knows by a name from before us.
pub fn open_as(
    conn: &mut Conn,
    contact_id: &str,
    phone_id: &str,
    name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let known: Option<String> = chats::table
        .filter(chats::contact_id.eq(contact_id))
        .filter(chats::phone_id.eq(phone_id))
        .select(chats::id)
        .first(conn)
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    // The wish about marketing is the person's.
    let stopped: i64 = chats::table
        .filter(chats::contact_id.eq(contact_id))
        .filter(chats::marketing_stopped.eq(true))
        .count()
        .get_result(conn)?;
    let id = new_id();
    let name = match name {
        Some(name) => Some(name.to_owned()),
        None => name_of_before(conn, contact_id, phone_id)?,
    };
    let name = match name {
        Some(name) if by_name(conn, phone_id, &name)?.is_none() => Some(name),
        _ => None,
    };
    let values = (
        chats::id.eq(&id),
        chats::known_as.eq(name),
        chats::contact_id.eq(contact_id),
        chats::phone_id.eq(phone_id),
        chats::window_closed.eq(false),
        chats::marketing_stopped.eq(stopped > 0),
        chats::created_at.eq(ts(now)),
    );
    on_backend!(conn, |c| diesel::insert_into(chats::table).values(values).execute(c))?;
    Ok(id)
}

/// How the product before us named a thread toward the portal, if the phone came from one: `+` and the number, else
/// the user id.
fn name_of_before(conn: &mut Conn, contact_id: &str, phone_id: &str) -> Result<Option<String>, StoreError> {
    let way: Option<String> =
        phones::table.find(phone_id).select(phones::chat_names).first(conn).optional()?;
    if way.as_deref() != Some("number") {
        return Ok(None);
    }
    let aliases: Vec<(String, String)> = contact_aliases::table
        .filter(contact_aliases::contact_id.eq(contact_id))
        .order((contact_aliases::created_at.desc(), contact_aliases::value))
        .select((contact_aliases::kind, contact_aliases::value))
        .load(conn)?;
    let newest = |wanted: &str| aliases.iter().find(|(kind, _)| kind == wanted).map(|(_, value)| value);
    let number = newest("wa_id").or_else(|| newest("phone")).map(|number| format!("+{number}"));
    Ok(number.or_else(|| newest("user_id").cloned()))
}

/// The thread of a phone that the portal knows by a name from before us.
pub fn by_name(conn: &mut Conn, phone_id: &str, name: &str) -> Result<Option<ChatRow>, StoreError> {
    Ok(chats::table
        .filter(chats::known_as.eq(name))
        .filter(chats::phone_id.eq(phone_id))
        .select(ChatRow::as_select())
        .first(conn)
        .optional()?)
}

/// Whether a write failed because the chat or contact that it names is gone.
pub fn is_gone(error: &StoreError) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    let StoreError::Query(error) = error else { return false };
    matches!(**error, Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
}

/// One thread.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<ChatRow>, StoreError> {
    Ok(chats::table.find(id).select(ChatRow::as_select()).first(conn).optional()?)
}

/// Several threads.
pub fn get_many(conn: &mut Conn, ids: &[String]) -> Result<Vec<ChatRow>, StoreError> {
    Ok(chats::table.filter(chats::id.eq_any(ids)).select(ChatRow::as_select()).load(conn)?)
}

/// Threads of a contact.
pub fn of_contact(conn: &mut Conn, contact_id: &str) -> Result<Vec<ChatRow>, StoreError> {
    Ok(chats::table.filter(chats::contact_id.eq(contact_id)).select(ChatRow::as_select()).load(conn)?)
}

/// The contact wrote: the window opens for 24 hours from then. Late deliveries do not shorten it; Meta tells whole
/// seconds, so of two messages of one second the later one counts.
pub fn contact_wrote(conn: &mut Conn, id: &str, wamid: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::update(
        chats::table.find(id).filter(chats::last_inbound_at.is_null().or(chats::last_inbound_at.le(ts(at)))),
    )
    .set((
        chats::last_inbound_at.eq(ts(at)),
        chats::last_inbound_wamid.eq(wamid),
        chats::window_until.eq(ts(window_after(at))),
        chats::window_closed.eq(false),
    ))
    .execute(conn)?;
    Ok(())
}

/// When the window ends that the contact opened at `at`.
pub(super) fn window_after(at: DateTime<Utc>) -> DateTime<Utc> {
    at + Duration::hours(ServiceWindow::HOURS)
}

/// The contact called: that opens the window as a message does, whether or not it is answered.
pub fn contact_called(conn: &mut Conn, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::update(
        chats::table.find(id).filter(chats::last_inbound_at.is_null().or(chats::last_inbound_at.le(ts(at)))),
    )
    .set((
        chats::last_inbound_at.eq(ts(at)),
        chats::window_until.eq(ts(window_after(at))),
        chats::window_closed.eq(false),
    ))
    .execute(conn)?;
    Ok(())
}

/// Meta refused a free text (131047): closed until the contact writes again.
pub fn window_closed(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    diesel::update(chats::table.find(id)).set(chats::window_closed.eq(true)).execute(conn)?;
    Ok(())
}

/// A free text met a closed window: closed, unless the contact has written since `seen` was read.
pub fn closed_as_seen(conn: &mut Conn, seen: &ChatRow) -> Result<(), StoreError> {
    let read = seen.last_inbound_at.unwrap_or(NaiveDateTime::MIN);
    window_was_closed(conn, &seen.id, read.and_utc())
}

/// Meta reports that a free text of `sent_at` failed with 131047: closed, unless the contact wrote after it.
pub fn window_was_closed(conn: &mut Conn, id: &str, sent_at: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::update(
        chats::table
            .find(id)
            .filter(chats::last_inbound_at.is_null().or(chats::last_inbound_at.le(ts(sent_at)))),
    )
    .set(chats::window_closed.eq(true))
    .execute(conn)?;
    Ok(())
}

/// Remembers what the portal made of the chat.
pub fn known_to_portal(
    conn: &mut Conn,
    id: &str,
    portal_user: &str,
    portal_line: &str,
    portal_chat_id: Option<&str>,
) -> Result<(), StoreError> {
    diesel::update(chats::table.find(id))
        .set((
            chats::portal_user.eq(portal_user),
            chats::portal_line.eq(portal_line),
            chats::portal_chat_id.eq(portal_chat_id),
        ))
        .execute(conn)?;
    Ok(())
}

/// The contact's wish about marketing, for every thread of that contact.
pub fn set_marketing_stopped(conn: &mut Conn, contact_id: &str, stopped: bool) -> Result<(), StoreError> {
    diesel::update(chats::table.filter(chats::contact_id.eq(contact_id)))
        .set(chats::marketing_stopped.eq(stopped))
        .execute(conn)?;
    Ok(())
}

/// Who is behind a thread.
#[derive(Clone, Debug)]
pub struct ChatPerson {
    /// The thread.
    pub chat_id: String,
    /// Profile name; may be empty.
    pub name: String,
    /// WhatsApp username.
    pub username: Option<String>,
    /// Business-scoped user id, the newest.
    pub user_id: Option<String>,
    /// WhatsApp number without `+`, the newest.
    pub wa_id: Option<String>,
}

/// Who is behind these threads; somebody whose number and id went to others has neither.
pub fn people(conn: &mut Conn, ids: &[String]) -> Result<Vec<ChatPerson>, StoreError> {
    type Row = (String, String, Option<String>, Option<(String, String)>);
    let rows: Vec<Row> = chats::table
        .inner_join(contacts::table.on(contacts::id.eq(chats::contact_id)))
        .left_join(contact_aliases::table.on(contact_aliases::contact_id.eq(contacts::id)))
        .filter(chats::id.eq_any(ids))
        .order((contact_aliases::created_at, contact_aliases::value))
        .select((
            chats::id,
            contacts::name,
            contacts::username,
            (contact_aliases::kind, contact_aliases::value).nullable(),
        ))
        .load(conn)?;
    let mut people: Vec<ChatPerson> = Vec::new();
    for (chat_id, name, username, alias) in rows {
        let index = match people.iter().position(|person| person.chat_id == chat_id) {
            Some(index) => index,
            None => {
                people.push(ChatPerson { chat_id, name, username, user_id: None, wa_id: None });
                people.len() - 1
            }
        };
        if let (Some(person), Some((kind, value))) = (people.get_mut(index), alias) {
            match kind.as_str() {
                "user_id" => person.user_id = Some(value),
                "wa_id" => person.wa_id = Some(value),
                _ => {}
            }
        }
    }
    Ok(people)
}
