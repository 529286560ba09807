//! People on WhatsApp: one row each, found by any of their aliases.
//!
//! A person may have no phone number, and each alias may appear later or change; the row never follows
//! them. Two rows that turn out to be one person are not merged: their chats are different chats at the
//! portal for good.

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError, on_backend};
use super::schema::{contact_aliases, contacts};
use super::{Page, lower, pattern, ts};
use crate::clock::new_id;

/// People that a search finds at most.
const MATCHES: i64 = 200;

/// A person.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = contacts)]
pub struct ContactRow {
    /// Our id.
    pub id: String,
    /// Our id of the WABA in whose scope the person is known.
    pub waba_key: String,
    /// Profile name at first contact; may be empty.
    pub name: String,
    /// WhatsApp username.
    pub username: Option<String>,
    /// When first seen.
    pub created_at: NaiveDateTime,
}

/// What is known of a person in a notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    /// Business-scoped user id.
    pub user_id: Option<String>,
    /// WhatsApp number without `+`.
    pub wa_id: Option<String>,
    /// User ids by which the person may be known as well (of a group of portfolios, of before); the first is
    /// attached only where there is nothing else.
    pub others: Vec<String>,
}

/// A number or id that Meta says has passed to somebody is taken from a person who is known for longer than
/// this: the number was given away. Somebody who has just appeared under it is the same person, whose message
/// came before the word about the change.
const NEWCOMER: Duration = Duration::days(1);

impl Aliases {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let user_id = self.user_id.as_deref().map(|value| ("user_id", value));
        let wa_id = self.wa_id.as_deref().map(|value| ("wa_id", value));
        let known: Vec<_> = user_id.into_iter().chain(wa_id).collect();
        match self.others.first() {
            Some(other) if known.is_empty() => vec![("user_id", other)],
            _ => known,
        }
    }
}

/// Finds the person by the user id, else by the number, else by another id, else makes a new row; attaches
/// aliases that are new.
/// `None`: the notification names nobody.
pub fn resolve(
    conn: &mut Conn,
    waba_key: &str,
    aliases: &Aliases,
    name: Option<&str>,
    username: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let pairs = aliases.pairs();
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut found = None;
    let others = aliases.others.iter().map(|value| ("user_id", value.as_str()));
    for (kind, value) in pairs.iter().copied().chain(others) {
        if found.is_none() {
            found = by_alias(conn, waba_key, kind, value)?;
        }
    }
    let contact_id = match found {
        Some(id) => {
            if let Some(name) = name {
                diesel::update(contacts::table.find(&id).filter(contacts::name.eq("")))
                    .set(contacts::name.eq(name))
                    .execute(conn)?;
            }
            id
        }
        None => {
            let id = new_id();
            diesel::insert_into(contacts::table)
                .values((
                    contacts::id.eq(&id),
                    contacts::waba_key.eq(waba_key),
                    contacts::name.eq(name.unwrap_or_default()),
                    contacts::username.eq(username),
                    contacts::created_at.eq(ts(now)),
                ))
                .execute(conn)?;
            id
        }
    };
    for (kind, value) in pairs {
        add_alias(conn, waba_key, kind, value, &contact_id, now)?;
    }
    Ok(Some(contact_id))
}

/// People whose name, or whose number or user id, has these words in it; the newest few.
pub fn matching(conn: &mut Conn, words: &str) -> Result<Vec<String>, StoreError> {
    let digits: String = words.chars().filter(char::is_ascii_digit).collect();
    let numeric = digits.len() >= 4 && words.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    if numeric {
        return Ok(contact_aliases::table
            .filter(contact_aliases::value.like(format!("%{digits}%")))
            .order(contact_aliases::created_at.desc())
            .limit(MATCHES)
            .select(contact_aliases::contact_id)
            .load(conn)?);
    }
    let name = lower(contacts::name).like(pattern(words)).escape('\\');
    let own = contact_aliases::table
        .filter(contact_aliases::value.eq(words.to_owned()))
        .select(contact_aliases::contact_id);
    Ok(contacts::table
        .filter(name.or(contacts::id.eq_any(own)))
        .order(contacts::id.desc())
        .limit(MATCHES)
        .select(contacts::id)
        .load(conn)?)
}

/// Attaches an alias unless somebody has it.
pub fn add_alias(
    conn: &mut Conn,
    waba_key: &str,
    kind: &str,
    value: &str,
    contact_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let values = (
        contact_aliases::waba_key.eq(waba_key),
        contact_aliases::kind.eq(kind),
        contact_aliases::value.eq(value),
        contact_aliases::contact_id.eq(contact_id),
        contact_aliases::created_at.eq(ts(now)),
    );
    on_backend!(conn, |c| diesel::insert_into(contact_aliases::table)
        .values(values)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// Attaches an alias that Meta says is this person's from now on: the newest, whoever had it before, unless
/// that is a newcomer.
pub fn take_over(
    conn: &mut Conn,
    waba_key: &str,
    kind: &str,
    value: &str,
    contact_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let holder = by_alias(conn, waba_key, kind, value)?;
    let Some(holder) = holder else { return add_alias(conn, waba_key, kind, value, contact_id, now) };
    if holder != contact_id {
        let known_since = get(conn, &holder)?.map(|holder| holder.created_at.and_utc());
        if known_since.is_some_and(|since| since > now - NEWCOMER) {
            return Ok(());
        }
    }
    diesel::update(contact_aliases::table.find((waba_key, kind, value)))
        .set((contact_aliases::contact_id.eq(contact_id), contact_aliases::created_at.eq(ts(now))))
        .execute(conn)?;
    Ok(())
}

/// The person who has this alias.
pub fn by_alias(
    conn: &mut Conn,
    waba_key: &str,
    kind: &str,
    value: &str,
) -> Result<Option<String>, StoreError> {
    Ok(contact_aliases::table
        .find((waba_key, kind, value))
        .select(contact_aliases::contact_id)
        .first(conn)
        .optional()?)
}

/// One person.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<ContactRow>, StoreError> {
    Ok(contacts::table.find(id).select(ContactRow::as_select()).first(conn).optional()?)
}

/// A page of people, oldest first.
pub fn page(conn: &mut Conn, page: &Page) -> Result<Vec<ContactRow>, StoreError> {
    let mut query =
        contacts::table.select(ContactRow::as_select()).order(contacts::id).limit(page.limit).into_boxed();
    if let Some(cursor) = &page.cursor {
        query = query.filter(contacts::id.gt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// A person's aliases as (kind, value), the newest last.
pub fn aliases(conn: &mut Conn, contact_id: &str) -> Result<Vec<(String, String)>, StoreError> {
    Ok(contact_aliases::table
        .filter(contact_aliases::contact_id.eq(contact_id))
        .order((contact_aliases::created_at, contact_aliases::kind))
        .select((contact_aliases::kind, contact_aliases::value))
        .load(conn)?)
}
