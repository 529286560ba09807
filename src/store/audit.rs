//! Who changed what: written in the transaction of the change itself, never rewritten.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::audit_log;
use super::{Page, ts};
use crate::clock::new_id;
use crate::domain::Actor;

/// A change as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub struct AuditRow {
    /// Our id.
    pub id: String,
    /// `bridge`, `command`, `administrator`, `token` or `portal_user`.
    pub actor_kind: String,
    /// Who, by name.
    pub actor: String,
    /// `create`, `change`, `delete` and the like.
    pub action: String,
    /// Kind of the object.
    pub object: String,
    /// Our id of the object.
    pub object_id: String,
    /// Its name at that time.
    pub object_name: String,
    /// JSON: what was before, secrets masked.
    pub state_before: String,
    /// JSON: what is since, secrets masked.
    pub state_after: String,
    /// When.
    pub created_at: NaiveDateTime,
}

/// A change to be written.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Who.
    pub actor: Actor,
    /// `create`, `change`, `delete` and the like.
    pub action: &'static str,
    /// Kind of the object.
    pub object: &'static str,
    /// Our id of it.
    pub object_id: String,
    /// Its name for people.
    pub object_name: String,
    /// JSON without secrets.
    pub before: String,
    /// JSON without secrets.
    pub after: String,
}

/// Which changes are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this object.
    pub object_id: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
}

/// Writes a change.
pub fn insert(conn: &mut Conn, entry: &NewEntry, now: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::id.eq(new_id()),
            audit_log::actor_kind.eq(entry.actor.kind()),
            audit_log::actor.eq(entry.actor.name()),
            audit_log::action.eq(entry.action),
            audit_log::object.eq(entry.object),
            audit_log::object_id.eq(&entry.object_id),
            audit_log::object_name.eq(&entry.object_name),
            audit_log::state_before.eq(&entry.before),
            audit_log::state_after.eq(&entry.after),
            audit_log::created_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Changes, newest first.
pub fn list(conn: &mut Conn, filter: &AuditFilter, page: &Page) -> Result<Vec<AuditRow>, StoreError> {
    let mut query = audit_log::table
        .select(AuditRow::as_select())
        .order(audit_log::id.desc())
        .limit(page.limit)
        .into_boxed();
    if let Some(object_id) = &filter.object_id {
        query = query.filter(audit_log::object_id.eq(object_id.clone()));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_log::actor.eq(actor.clone()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(audit_log::id.lt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}
