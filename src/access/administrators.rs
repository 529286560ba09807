//! Administrators and operators of the panel.

use serde_json::json;

use super::sessions::{LoggedIn, Visitor};
use super::{Access, PanelError, Role, password};
use crate::clock::new_id;
use crate::domain::{Actor, Language, Secret};
use crate::store::administrators::{self, AdministratorRow};
use crate::store::audit::{self, NewEntry};
use crate::store::{invites, sessions};

pub(super) const MAX_NAME: usize = 60;

/// What came of accepting an invitation in its transaction.
enum Accepted {
    Yes,
    Used,
    NameTaken,
}

impl Access {
    /// Whether there is an administrator at all.
    pub async fn is_set_up(&self) -> Result<bool, PanelError> {
        Ok(self.db.read(|conn| administrators::count_of_role(conn, Role::Admin.panel_name())).await? > 0)
    }

    /// Uses an invitation up: a new administrator, or a new password for a name that exists if the command
    /// line invited. Sessions of before end; a new one begins.
    pub async fn accept(
        &self,
        token: &str,
        name: &str,
        password: Secret,
        language: Language,
        source: &str,
        user_agent: &str,
    ) -> Result<LoggedIn, PanelError> {
        let invite = self.open_invite(token).await?;
        let name = good_name(name)?;
        password::check(&password, &name).map_err(|why| PanelError::Field("password", why))?;
        let now = self.clock.now();
        let password_hash = self.hashed(password).await?;
        let key = name.to_lowercase();
        let fresh = AdministratorRow {
            id: new_id(),
            name: name.clone(),
            name_key: key.clone(),
            password_hash,
            role: invite.role.clone(),
            language: language.code().to_owned(),
            created_at: now.naive_utc(),
            updated_at: now.naive_utc(),
        };
        let from_machine = invite.invited_by.is_none();
        let accepted = self.db.write(move |tx| {
            let known = administrators::by_name_key(tx.conn, &key)?;
            if known.is_some() && !from_machine {
                return Ok(Accepted::NameTaken);
            }
            if !invites::use_up(tx.conn, &invite.id, now)? {
                return Ok(Accepted::Used);
            }
            let action = if known.is_some() { "password" } else { "create" };
            let row = match known {
                Some(known) => AdministratorRow {
                    password_hash: fresh.password_hash.clone(),
                    role: fresh.role.clone(),
                    updated_at: now.naive_utc(),
                    ..known
                },
                None => fresh.clone(),
            };
            if action == "create" {
                administrators::insert(tx.conn, &row)?;
            } else {
                administrators::update(tx.conn, &row)?;
                sessions::delete_of(tx.conn, &row.id, "")?;
            }
            audit::insert(tx.conn, &entry(Actor::Administrator(row.name.clone()), action, &row, None), now)?;
            Ok(Accepted::Yes)
        });
        match accepted.await? {
            Accepted::Yes => {
                self.succeeded(source, &name.to_lowercase());
                self.begin(&name.to_lowercase(), source, user_agent).await
            }
            Accepted::Used => Err(PanelError::BadLink),
            Accepted::NameTaken => Err(PanelError::Field("name", "this name is taken")),
        }
    }

    /// Everybody, oldest first.
    pub async fn administrators(&self) -> Result<Vec<AdministratorRow>, PanelError> {
        Ok(self.db.read(administrators::list).await?)
    }

    /// Gives somebody another role; the last administrator stays one.
    pub async fn change_role(&self, by: &str, id: &str, role: Role) -> Result<(), PanelError> {
        self.edit(by, id, "change", move |row| row.role = role.panel_name().to_owned()).await
    }

    /// Removes somebody with all sessions; the last administrator stays.
    pub async fn remove(&self, by: &str, id: &str) -> Result<(), PanelError> {
        let (by, id, now) = (by.to_owned(), id.to_owned(), self.clock.now());
        let removed = self.db.write(move |tx| {
            let Some(row) = administrators::get(tx.conn, &id)? else { return Ok(Err(PanelError::Gone)) };
            if is_last(tx.conn, &row)? {
                return Ok(Err(PanelError::LastAdministrator));
            }
            sessions::delete_of(tx.conn, &id, "")?;
            administrators::delete(tx.conn, &id)?;
            let gone = NewEntry {
                before: facts(&row),
                after: String::new(),
                ..entry(Actor::Administrator(by.clone()), "delete", &row, None)
            };
            audit::insert(tx.conn, &gone, now)?;
            Ok(Ok(()))
        });
        removed.await?
    }

    /// Sets one's own language.
    pub async fn speak(&self, visitor: &Visitor, language: Language) -> Result<(), PanelError> {
        let id = visitor.administrator_id.clone();
        self.edit(&visitor.name, &id, "change", move |row| row.language = language.code().to_owned()).await
    }

    /// Sets one's own password; every other session of one's own ends.
    pub async fn change_password(
        &self,
        visitor: &Visitor,
        present: Secret,
        new: Secret,
    ) -> Result<(), PanelError> {
        let id = visitor.administrator_id.clone();
        let known =
            self.db.read(move |conn| administrators::get(conn, &id)).await?.ok_or(PanelError::Gone)?;
        if !self.admit(&visitor.source, &known.name_key) {
            return Err(PanelError::TooMany);
        }
        if !password::verify(&self.hashing, present, Some(known.password_hash)).await {
            return Err(PanelError::Field("present", "is not the present password"));
        }
        self.succeeded(&visitor.source, &known.name_key);
        password::check(&new, &known.name).map_err(|why| PanelError::Field("password", why))?;
        let hash = self.hashed(new).await?;
        self.edit(&visitor.name, &known.id, "password", move |row| row.password_hash = hash.clone()).await?;
        let (id, session) = (known.id, visitor.session_id.clone());
        self.db.write(move |tx| sessions::delete_of(tx.conn, &id, &session)).await?;
        Ok(())
    }

    async fn hashed(&self, password: Secret) -> Result<String, PanelError> {
        let hash = password::hash(&self.hashing, password).await;
        hash.ok_or(PanelError::Field("password", "cannot be taken by this machine at present"))
    }

    async fn edit(
        &self,
        by: &str,
        id: &str,
        action: &'static str,
        edit: impl Fn(&mut AdministratorRow) + Send + 'static,
    ) -> Result<(), PanelError> {
        let (by, id, now) = (by.to_owned(), id.to_owned(), self.clock.now());
        let edited = self.db.write(move |tx| {
            let Some(known) = administrators::get(tx.conn, &id)? else { return Ok(Err(PanelError::Gone)) };
            let mut row = known.clone();
            edit(&mut row);
            if row.role != known.role && is_last(tx.conn, &known)? {
                return Ok(Err(PanelError::LastAdministrator));
            }
            row.updated_at = now.naive_utc();
            administrators::update(tx.conn, &row)?;
            let entry = entry(Actor::Administrator(by.clone()), action, &row, Some(&known));
            audit::insert(tx.conn, &entry, now)?;
            Ok(Ok(()))
        });
        edited.await?
    }
}

fn good_name(name: &str) -> Result<String, PanelError> {
    let name = name.trim();
    let length = name.chars().count();
    if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
        return Err(PanelError::Field("name", "a name is 1 to 60 printable characters"));
    }
    Ok(name.to_owned())
}

fn is_last(conn: &mut crate::store::Conn, row: &AdministratorRow) -> Result<bool, crate::store::StoreError> {
    let role = Role::Admin.panel_name();
    Ok(row.role == role && administrators::count_of_role(conn, role)? <= 1)
}

fn entry(
    actor: Actor,
    action: &'static str,
    row: &AdministratorRow,
    before: Option<&AdministratorRow>,
) -> NewEntry {
    NewEntry {
        actor,
        action,
        object: "administrator",
        object_id: row.id.clone(),
        object_name: row.name.clone(),
        before: before.map(facts).unwrap_or_default(),
        after: facts(row),
    }
}

fn facts(row: &AdministratorRow) -> String {
    json!({"name": row.name, "role": row.role, "language": row.language}).to_string()
}
