//! Credentials of local applications.

use url::Url;

use super::behalf::{Change, Object};
use super::doctor::Scope;
use super::validate::{self, Faults};
use super::{Setup, SetupError};
use crate::clock::new_id;
use crate::directory::context;
use crate::domain::Secret;
use crate::store::Page;
use crate::store::portal_apps::{self, PortalAppRow};

/// A local application to be set up.
#[derive(Clone, Debug)]
pub struct NewPortalApp {
    /// Name for people.
    pub name: String,
    /// Client id, `local.…`.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Secret,
}

/// What of a local application changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PortalAppChange {
    /// Name for people.
    pub name: Option<String>,
    /// Client secret.
    pub client_secret: Option<Secret>,
}

impl Setup {
    /// Sets up a local application's credentials.
    pub async fn create_portal_app(&self, new: NewPortalApp) -> Result<PortalAppRow, SetupError> {
        let mut faults = Faults::default();
        let name = faults.check("name", validate::text(&new.name, 100));
        let client_id = faults.check("client_id", validate::cloud_id(&new.client_id));
        let secret = faults.check("client_secret", validate::secret(new.client_secret.expose()));
        faults.done()?;
        if self.directory.now().portal_apps.iter().any(|app| app.client_id == client_id) {
            return Err(SetupError::Conflict(format!("the application {client_id} exists already")));
        }
        let now = self.clock.now().naive_utc();
        let sealed = self.directory.vault().seal(&Secret::new(secret), context::PORTAL_APP_SECRET);
        let row = PortalAppRow {
            id: new_id(),
            name,
            client_id,
            client_secret_sealed: sealed,
            created_at: now,
            updated_at: now,
        };
        let stored = row.clone();
        let own = self.clone();
        self.db
            .write(move |tx| {
                portal_apps::insert(tx.conn, &stored)?;
                own.note(tx, "create", object(&stored), None, Some(&stored))
            })
            .await?;
        self.directory.reload().await?;
        Ok(row)
    }

    /// Changes name or secret.
    pub async fn change_portal_app(
        &self,
        id: &str,
        change: PortalAppChange,
    ) -> Result<PortalAppRow, SetupError> {
        let mut row = self.portal_app(id).await?;
        let mut faults = Faults::default();
        if let Some(name) = &change.name {
            row.name = faults.check("name", validate::text(name, 100));
        }
        if let Some(secret) = &change.client_secret {
            let secret = Secret::new(faults.check("client_secret", validate::secret(secret.expose())));
            row.client_secret_sealed = self.directory.vault().seal(&secret, context::PORTAL_APP_SECRET);
        }
        faults.done()?;
        row.updated_at = self.clock.now().naive_utc();
        let (changed, own) = (row, self.clone());
        let written = self.db.write(move |tx| {
            let Some(before) = portal_apps::get(tx.conn, &changed.id)? else { return Ok(Change::Gone) };
            if own.behalf.is_stale(before.updated_at) {
                return Ok(Change::Stale);
            }
            portal_apps::update(tx.conn, &changed)?;
            own.note(tx, "change", object(&changed), Some(&before), Some(&changed))?;
            Ok(Change::Done(changed.clone()))
        });
        let row = written.await?.done("portal application")?;
        self.directory.reload().await?;
        let snapshot = self.directory.now();
        let its = snapshot.portals.iter().filter(|portal| portal.portal_app_id.as_str() == row.id);
        its.for_each(|portal| self.check_later(Scope::Portal(portal.id.to_string())));
        Ok(row)
    }

    /// Removes an application that is installed nowhere.
    pub async fn delete_portal_app(&self, id: &str) -> Result<(), SetupError> {
        let row = self.portal_app(id).await?;
        if self.directory.now().portals.iter().any(|portal| portal.portal_app_id.as_str() == id) {
            return Err(SetupError::Conflict(
                "portals still use this application; delete them first".to_owned(),
            ));
        }
        let own = self.clone();
        self.db
            .write(move |tx| {
                portal_apps::delete(tx.conn, &row.id)?;
                own.note(tx, "delete", object(&row), Some(&row), None)
            })
            .await?;
        Ok(self.directory.reload().await?)
    }

    /// A local application.
    pub async fn portal_app(&self, id: &str) -> Result<PortalAppRow, SetupError> {
        let id = id.to_owned();
        let found = self.db.read(move |conn| portal_apps::get(conn, &id)).await?;
        found.ok_or(SetupError::NotFound("portal application"))
    }

    /// A page of local applications.
    pub async fn portal_apps(&self, page: Page) -> Result<Vec<PortalAppRow>, SetupError> {
        Ok(self.db.read(move |conn| portal_apps::page(conn, &page)).await?)
    }

    /// Where portals post events and open the application: the handler of the local application.
    pub fn handler_url(&self) -> Url {
        self.public("/api/bitrix/")
    }

    /// The initial installation path of the local application.
    pub fn install_url(&self) -> Url {
        self.public("/app-install/")
    }

    /// The settings page of the connector.
    pub fn connector_url(&self) -> Url {
        self.public("/api/bitrix/connector/")
    }
}

fn object(row: &PortalAppRow) -> Object<'_> {
    Object { kind: "portal_app", id: &row.id, name: &row.name }
}
