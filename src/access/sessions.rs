//! Logging in and out. A session is made anew by each login: no token that a browser brought along becomes
//! one, so none can be planted.

use std::sync::{MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::administrators::MAX_NAME;
use super::throttle::Throttle;
use super::{Access, PanelError, Role, password};
use crate::clock::new_id;
use crate::domain::{Actor, Language, Secret};
use crate::secrets::{hash_token, random_token};
use crate::store::administrators::{self, AdministratorRow};
use crate::store::audit::{self, NewEntry};
use crate::store::sessions::{self, SessionRow};

/// A session ends after this time in any case, and earlier if it is idle.
const LIFE: TimeDelta = TimeDelta::days(7);
const IDLE: TimeDelta = TimeDelta::hours(12);
/// How exactly the last use is noted.
const SEEN: TimeDelta = TimeDelta::minutes(5);
const MAX_AGENT: usize = 200;

/// A try to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// As typed.
    pub name: String,
    /// As typed.
    pub password: Secret,
    /// Address that it comes from.
    pub source: String,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// A session that has just begun.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// For the cookie.
    pub token: Secret,
}

/// Who looks at the panel.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Our id of the administrator.
    pub administrator_id: String,
    /// The name.
    pub name: String,
    /// What may be done.
    pub role: Role,
    /// The language of the pages.
    pub language: Language,
    /// Our id of the session.
    pub session_id: String,
    /// Address from which the session began.
    pub source: String,
}

impl Access {
    /// Logs in, or says that name or password are wrong.
    pub async fn login(&self, login: Login) -> Result<LoggedIn, PanelError> {
        let key = login.name.trim().to_lowercase();
        if key.chars().count() > MAX_NAME {
            // Nobody is called so, and what is tried is remembered.
            return Err(PanelError::WrongLogin);
        }
        if !self.admit(&login.source, &key) {
            return Err(PanelError::TooMany);
        }
        let looked = key.clone();
        let known = self.db.read(move |conn| administrators::by_name_key(conn, &looked)).await?;
        let hash = known.map(|row| row.password_hash);
        if !password::verify(&self.hashing, login.password, hash).await {
            tracing::warn!(source = login.source, "somebody tried to log in in vain");
            return Err(PanelError::WrongLogin);
        }
        self.succeeded(&login.source, &key);
        self.begin(&key, &login.source, &login.user_agent).await
    }

    /// Who stands behind a cookie's token.
    pub async fn visitor(&self, token: &str) -> Result<Option<Visitor>, PanelError> {
        let (hash, now) = (hash_token(token), self.clock.now());
        let found = self.db.read(move |conn| sessions::open(conn, &hash, now, now - IDLE)).await?;
        let Some((session, row)) = found else { return Ok(None) };
        if now.naive_utc() - session.seen_at > SEEN {
            let id = session.id.clone();
            self.db.write(move |tx| sessions::seen(tx.conn, &id, now)).await?;
        }
        Ok(Some(Visitor {
            role: Role::of_panel(&row.role).unwrap_or(Role::Operate),
            language: Language::from_code(&row.language),
            administrator_id: row.id,
            name: row.name,
            session_id: session.id,
            source: session.source,
        }))
    }

    /// Sessions that can still be used.
    pub async fn sessions(&self) -> Result<Vec<(SessionRow, AdministratorRow)>, PanelError> {
        let now = self.clock.now();
        let mut open = self.db.read(move |conn| sessions::list(conn, now)).await?;
        open.retain(|(session, _)| session.seen_at > (now - IDLE).naive_utc());
        Ok(open)
    }

    /// Ends a session: an operator's own, or anybody's for an administrator.
    pub async fn end(&self, visitor: &Visitor, id: &str) -> Result<(), PanelError> {
        let open = self.sessions().await?;
        let found = open.into_iter().find(|(session, row)| {
            session.id == id && (visitor.role == Role::Admin || row.id == visitor.administrator_id)
        });
        let (session, row) = found.ok_or(PanelError::Gone)?;
        let entry = entry(&visitor.name, "revoke", &session.id, &row.name);
        let (id, now) = (session.id, self.clock.now());
        self.db
            .write(move |tx| {
                sessions::delete(tx.conn, &id)?;
                audit::insert(tx.conn, &entry, now)
            })
            .await?;
        Ok(())
    }

    /// Begins a session of the administrator with this name.
    pub(super) async fn begin(
        &self,
        name_key: &str,
        source: &str,
        user_agent: &str,
    ) -> Result<LoggedIn, PanelError> {
        let (key, now, token) = (name_key.to_owned(), self.clock.now(), random_token(32));
        let (hash, source) = (hash_token(&token), source.to_owned());
        let user_agent: String = user_agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect();
        let begun = self.db.write(move |tx| {
            let Some(row) = administrators::by_name_key(tx.conn, &key)? else { return Ok(false) };
            let session = SessionRow {
                id: new_id(),
                token_hash: hash.clone(),
                administrator_id: row.id,
                source: source.clone(),
                user_agent: user_agent.clone(),
                created_at: now.naive_utc(),
                seen_at: now.naive_utc(),
                expires_at: (now + LIFE).naive_utc(),
            };
            sessions::insert(tx.conn, &session, now)?;
            audit::insert(tx.conn, &entry(&row.name, "login", &session.id, &row.name), now)?;
            Ok(true)
        });
        if begun.await? { Ok(LoggedIn { token: Secret::new(token) }) } else { Err(PanelError::WrongLogin) }
    }

    pub(super) fn admit(&self, source: &str, name_key: &str) -> bool {
        self.throttle().admit(source, name_key, self.clock.now())
    }

    pub(super) fn succeeded(&self, source: &str, name_key: &str) {
        self.throttle().succeeded(source, name_key);
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(by: &str, action: &'static str, session: &str, whose: &str) -> NewEntry {
    NewEntry {
        actor: Actor::Administrator(by.to_owned()),
        action,
        object: "session",
        object_id: session.to_owned(),
        object_name: whose.to_owned(),
        before: String::new(),
        after: String::new(),
    }
}
