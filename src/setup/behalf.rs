//! In whose name a change is made, and what the audit log keeps of it.
//!
//! A change is written down in its own transaction: there is none without its entry. Of secrets the log
//! only tells that they changed. What the bridge does by itself is not an entry.

use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Setup, SetupError};
use crate::domain::Actor;
use crate::store::audit::{self, NewEntry};
use crate::store::{StoreError, Tx};

/// Columns that say nothing of a change.
const LEFT_OUT: [&str; 3] = ["id", "created_at", "updated_at"];
const MASKED: &str = "••••";

/// In whose name, and what they had before their eyes.
#[derive(Clone, Debug, Default)]
pub(super) struct Behalf {
    actor: Actor,
    seen: Option<NaiveDateTime>,
}

/// What a change did to its row.
pub(super) enum Change<R> {
    /// It stands.
    Done(R),
    /// The row is gone.
    Gone,
    /// Somebody else changed the row since it was looked at.
    Stale,
}

impl<R> Change<R> {
    /// The row, or why there is none.
    pub(super) fn done(self, what: &'static str) -> Result<R, SetupError> {
        match self {
            Self::Done(row) => Ok(row),
            Self::Gone => Err(SetupError::NotFound(what)),
            Self::Stale => Err(stale()),
        }
    }
}

/// What the second of two who save at once is told.
pub(super) fn stale() -> SetupError {
    SetupError::Conflict("somebody else has changed this meanwhile; look at it again, then save".to_owned())
}

/// An object of the installation for the log.
pub(super) struct Object<'a> {
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
}

impl Setup {
    /// The same use cases, in somebody's name.
    pub fn on_behalf(&self, actor: Actor) -> Self {
        Self { behalf: Behalf { actor, seen: None }, ..self.clone() }
    }

    /// The same, for somebody who saw the object as it was changed last at `seen`: a change of somebody else
    /// since then is not overwritten.
    pub fn having_seen(&self, seen: Option<NaiveDateTime>) -> Self {
        Self { behalf: Behalf { actor: self.behalf.actor.clone(), seen }, ..self.clone() }
    }

    /// Writes down what was done and changed no row of ours: (kind, id, name) of what it was done to.
    pub(super) async fn note_deed(
        &self,
        action: &'static str,
        (kind, id, name): (&'static str, &str, &str),
        after: Value,
    ) -> Result<(), SetupError> {
        let (own, id, name) = (self.clone(), id.to_owned(), name.to_owned());
        let noted = self
            .db
            .write(move |tx| own.note(tx, action, Object { kind, id: &id, name: &name }, None, Some(&after)));
        Ok(noted.await?)
    }

    /// Writes a change down, in its transaction.
    pub(super) fn note<R: Serialize>(
        &self,
        tx: &mut Tx<'_>,
        action: &'static str,
        object: Object<'_>,
        before: Option<&R>,
        after: Option<&R>,
    ) -> Result<(), StoreError> {
        self.behalf.note(tx, self.clock.now(), action, object, before, after)
    }
}

impl Behalf {
    /// Whether somebody else has changed the row since it was looked at.
    pub(super) fn is_stale(&self, updated_at: NaiveDateTime) -> bool {
        self.seen.is_some_and(|seen| seen != updated_at)
    }

    pub(super) fn note<R: Serialize>(
        &self,
        tx: &mut Tx<'_>,
        now: chrono::DateTime<chrono::Utc>,
        action: &'static str,
        object: Object<'_>,
        before: Option<&R>,
        after: Option<&R>,
    ) -> Result<(), StoreError> {
        if self.actor == Actor::Bridge {
            return Ok(());
        }
        let (before, after) = difference(before, after);
        let entry = NewEntry {
            actor: self.actor.clone(),
            action,
            object: object.kind,
            object_id: object.id.to_owned(),
            object_name: object.name.to_owned(),
            before,
            after,
        };
        audit::insert(tx.conn, &entry, now)
    }
}

/// What of two rows differs, as JSON without secrets.
fn difference<R: Serialize>(before: Option<&R>, after: Option<&R>) -> (String, String) {
    let (mut old, mut new) = (columns(before), columns(after));
    if before.is_some() && after.is_some() {
        let same: Vec<String> = old
            .iter()
            .filter(|(key, value)| new.get(*key) == Some(value))
            .map(|(key, _)| key.clone())
            .collect();
        for key in same {
            old.remove(&key);
            new.remove(&key);
        }
    }
    (shown(old), shown(new))
}

fn columns<R: Serialize>(row: Option<&R>) -> Map<String, Value> {
    let value = row.map(|row| serde_json::to_value(row).unwrap_or_default());
    let mut map = value.and_then(|value| value.as_object().cloned()).unwrap_or_default();
    map.retain(|key, value| !LEFT_OUT.contains(&key.as_str()) && !value.is_null());
    map
}

fn shown(columns: Map<String, Value>) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let masked = columns.into_iter().map(|(key, value)| match key.strip_suffix("_sealed") {
        Some(name) => (name.to_owned(), Value::from(MASKED)),
        None if key == "api_key" => (key, Value::from(MASKED)),
        None => (key, value),
    });
    Value::Object(masked.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_kept_and_secrets_are_masked() {
        let before =
            json!({"id": "1", "name": "Old", "site": "a", "access_token_sealed": "v1:x", "updated_at": 1});
        let after =
            json!({"id": "1", "name": "New", "site": "a", "access_token_sealed": "v1:y", "updated_at": 2});
        let (old, new) = difference(Some(&before), Some(&after));
        assert_eq!(old, r#"{"access_token":"••••","name":"Old"}"#);
        assert_eq!(new, r#"{"access_token":"••••","name":"New"}"#);
        let (none, all) = difference(None, Some(&after));
        assert_eq!(none, "");
        assert!(all.contains("New") && !all.contains("v1:y"), "{all}");
    }
}
