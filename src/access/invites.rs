//! Invitations: a link that makes somebody an administrator, once, within half an hour.

use chrono::TimeDelta;

use super::{Access, PanelError, Role};
use crate::clock::{Clock, new_id};
use crate::domain::{Actor, Secret};
use crate::secrets::{hash_token, random_token};
use crate::store::audit::{self, NewEntry};
use crate::store::invites::{self, InviteRow};
use crate::store::{Db, StoreError};

/// How long an invitation is good.
pub const INVITE_MINUTES: i64 = 30;
/// Invitations that ended this long ago are removed; until then their link says what became of it.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Makes an invitation; returns the token of its link, which is shown this once. `by` = `None`: the command
/// line, whose invitation may also give a known name a new password.
pub async fn invite(db: &Db, clock: &Clock, role: Role, by: Option<String>) -> Result<Secret, StoreError> {
    let (token, now) = (random_token(32), clock.now());
    let row = InviteRow {
        id: new_id(),
        token_hash: hash_token(&token),
        role: role.panel_name().to_owned(),
        invited_by: by.clone(),
        expires_at: (now + TimeDelta::minutes(INVITE_MINUTES)).naive_utc(),
        used_at: None,
        created_at: now.naive_utc(),
    };
    let entry = NewEntry {
        actor: by.map_or(Actor::Command, Actor::Administrator),
        action: "create",
        object: "invite",
        object_id: row.id.clone(),
        object_name: row.role.clone(),
        before: String::new(),
        after: String::new(),
    };
    db.write(move |tx| {
        invites::insert(tx.conn, &row, now - KEPT)?;
        audit::insert(tx.conn, &entry, now)
    })
    .await?;
    Ok(Secret::new(token))
}

impl Access {
    /// Makes an invitation in the name of an administrator.
    pub async fn invite(&self, role: Role, by: &str) -> Result<Secret, PanelError> {
        Ok(invite(&self.db, &self.clock, role, Some(by.to_owned())).await?)
    }

    /// The invitation behind a link that is still good.
    pub async fn open_invite(&self, token: &str) -> Result<InviteRow, PanelError> {
        let (hash, now) = (hash_token(token), self.clock.now().naive_utc());
        let row = self.db.read(move |conn| invites::by_hash(conn, &hash)).await?;
        row.filter(|row| row.used_at.is_none() && row.expires_at > now).ok_or(PanelError::BadLink)
    }
}
