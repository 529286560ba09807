//! API tokens: made, listed, revoked, recognised.

use chrono::TimeDelta;

use super::{AccessError, Caller, Role};
use crate::clock::{Clock, new_id};
use crate::domain::Secret;
use crate::secrets::{hash_token, random_token};
use crate::store::tokens::{self, TokenRow};
use crate::store::{Db, StoreError};

/// By which a leaked token is recognised.
const PREFIX: &str = "wab_";
/// 256 bits.
const TOKEN_BYTES: usize = 32;
const MAX_DAYS: u32 = 36_500;
const MAX_NAME: usize = 100;

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Unique name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Days until it ends; `None` = never.
    pub expires_days: Option<u32>,
}

/// Makes a token. What is returned is shown once: only its hash is stored.
pub async fn create(db: &Db, clock: &Clock, new: NewToken) -> Result<Secret, AccessError> {
    let name = new.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(AccessError::Invalid("a name is 1 to 100 printable characters"));
    }
    if new.expires_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        return Err(AccessError::Invalid("a token lives 1 to 36500 days"));
    }
    let now = clock.now();
    let token = format!("{PREFIX}{}", random_token(TOKEN_BYTES));
    let row = TokenRow {
        id: new_id(),
        name,
        token_hash: hash_token(&token),
        role: new.role.as_str().to_owned(),
        expires_at: new.expires_days.map(|days| (now + TimeDelta::days(days.into())).naive_utc()),
        created_at: now.naive_utc(),
    };
    let written = db
        .write(move |tx| match tokens::by_name(tx.conn, &row.name)? {
            Some(_) => Ok(false),
            None => tokens::insert(tx.conn, &row).map(|()| true),
        })
        .await?;
    if written { Ok(Secret::new(token)) } else { Err(AccessError::NameTaken) }
}

/// Every token, oldest first; without the tokens themselves, which nobody knows.
pub async fn list(db: &Db) -> Result<Vec<TokenRow>, StoreError> {
    db.read(tokens::list).await
}

/// Ends a token at once. `false`: there is none of this name.
pub async fn revoke(db: &Db, name: &str) -> Result<bool, StoreError> {
    let name = name.trim().to_owned();
    db.write(move |tx| tokens::delete(tx.conn, &name)).await
}

/// Who stands behind the value of an `Authorization` header.
pub async fn authenticate(db: &Db, clock: &Clock, header: Option<&str>) -> Result<Caller, AccessError> {
    let token = bearer(header).ok_or(AccessError::Unknown)?;
    let (hash, now) = (hash_token(token), clock.now());
    let row = db.read(move |conn| tokens::by_hash(conn, &hash, now)).await?.ok_or(AccessError::Unknown)?;
    let role = Role::parse(&row.role).ok_or(AccessError::Unknown)?;
    Ok(Caller { name: row.name, role })
}

/// The token of `Bearer TOKEN`, if it can be one of ours.
fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, token) = header?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(PREFIX) && token.len() < 200).then_some(token)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::{DbUrl, migrate};

    async fn database() -> (tempfile::TempDir, Db, ManualClock) {
        let folder = tempfile::tempdir().unwrap();
        let url = DbUrl::Sqlite(folder.path().join("t.db"));
        migrate::migrate(&url).unwrap();
        let (db, _thread) = Db::start(url, Arc::new(|_, _| ())).unwrap();
        (folder, db, ManualClock::starting_at("2026-03-01T10:00:00Z".parse().unwrap()))
    }

    fn token(name: &str, expires_days: Option<u32>) -> NewToken {
        NewToken { name: name.into(), role: Role::Operate, expires_days }
    }

    #[tokio::test]
    async fn a_token_opens_until_it_ends() {
        let (_folder, db, hand) = database().await;
        let clock = Clock::Manual(hand.clone());
        let secret = create(&db, &clock, token("ci", Some(1))).await.unwrap();
        assert!(secret.expose().starts_with("wab_"));
        let header = format!("bearer {}", secret.expose());
        let caller = authenticate(&db, &clock, Some(&header)).await.unwrap();
        assert_eq!(caller, Caller { name: "ci".into(), role: Role::Operate });
        hand.advance(TimeDelta::days(1));
        assert!(matches!(authenticate(&db, &clock, Some(&header)).await, Err(AccessError::Unknown)));
    }

    #[tokio::test]
    async fn a_name_is_given_once_and_a_revoked_token_is_unknown() {
        let (_folder, db, hand) = database().await;
        let clock = Clock::Manual(hand);
        let secret = create(&db, &clock, token("ci", None)).await.unwrap();
        assert!(matches!(create(&db, &clock, token(" ci ", None)).await, Err(AccessError::NameTaken)));
        assert!(matches!(create(&db, &clock, token(" ", None)).await, Err(AccessError::Invalid(_))));
        assert!(matches!(create(&db, &clock, token("x", Some(0))).await, Err(AccessError::Invalid(_))));
        assert_eq!(list(&db).await.unwrap().len(), 1);
        assert!(revoke(&db, "ci").await.unwrap());
        assert!(!revoke(&db, "ci").await.unwrap());
        let header = format!("Bearer {}", secret.expose());
        assert!(authenticate(&db, &clock, Some(&header)).await.is_err());
    }

    #[test]
    fn only_a_bearer_of_our_kind_is_looked_up() {
        assert_eq!(bearer(Some("Bearer wab_x")), Some("wab_x"));
        for wrong in [None, Some("wab_x"), Some("Basic wab_x"), Some("Bearer other"), Some("Bearer ")] {
            assert_eq!(bearer(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn roles_grow() {
        assert!(Role::Read < Role::Operate && Role::Operate < Role::Admin);
        assert_eq!(Role::parse("admin"), Some(Role::Admin));
        assert_eq!(Role::parse("king"), None);
    }
}
