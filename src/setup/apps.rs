//! Meta apps: whose webhooks are believed and whose tokens are used.

use super::behalf::{Change, Object};
use super::doctor::Scope;
use super::validate::{self, Faults};
use super::{Setup, SetupError};
use crate::clock::new_id;
use crate::directory::context;
use crate::domain::Secret;
use crate::secrets::random_token;
use crate::store::Page;
use crate::store::apps::{self, AppRow};

/// An app to be set up.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Name for people.
    pub name: String,
    /// Host or IP without port, unique.
    pub site: String,
    /// Meta's id of the app.
    pub client_id: String,
    /// App secret.
    pub client_secret: Secret,
    /// Access token.
    pub access_token: Secret,
    /// Version of the Graph API, else the configured one.
    pub graph_version: Option<String>,
    /// Whether every notification is kept.
    pub save_events: bool,
}

/// What of an app changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AppChange {
    /// Name for people.
    pub name: Option<String>,
    /// Host or IP without port.
    pub site: Option<String>,
    /// A new app secret; the present one stays valid beside it until the new one is entered once more.
    pub client_secret: Option<Secret>,
    /// Access token.
    pub access_token: Option<Secret>,
    /// Version of the Graph API; `Some(None)` = the configured one.
    pub graph_version: Option<Option<String>>,
    /// Whether every notification is kept.
    pub save_events: Option<bool>,
}

/// Credentials that Meta has confirmed, sealed; `None` stays.
struct Credentials {
    access_token_sealed: Option<String>,
    /// The secret, and the one that is valid beside it.
    secrets: Option<(String, Option<String>)>,
}

impl Credentials {
    fn put(&self, row: &mut AppRow) {
        if let Some(token) = &self.access_token_sealed {
            row.access_token_sealed = token.clone();
        }
        if let Some((secret, second)) = &self.secrets {
            row.client_secret_sealed = secret.clone();
            row.second_secret_sealed = second.clone();
        }
    }
}

impl Setup {
    /// Sets up an app once Meta has confirmed its token. Returns the row and the new verify token, which
    /// is shown this once.
    pub async fn create_app(&self, new: NewApp) -> Result<(AppRow, Secret), SetupError> {
        let mut faults = Faults::default();
        let name = faults.check("name", validate::text(&new.name, 100));
        let site = faults.check("site", validate::site(&new.site));
        let client_id = faults.check("client_id", validate::cloud_id(&new.client_id));
        let secret = faults.check("client_secret", validate::secret(new.client_secret.expose()));
        let token = faults.check("access_token", validate::secret(new.access_token.expose()));
        let version = new.graph_version.as_deref().map(validate::graph_version).transpose();
        let graph_version = faults.check("graph_version", version);
        faults.done()?;
        self.site_is_free(&site, None)?;
        let (secret, token) = (Secret::new(secret), Secret::new(token));
        self.check_token(&client_id, &secret, &token, graph_version.as_deref()).await?;

        let (vault, now) = (self.directory.vault(), self.clock.now().naive_utc());
        let verify_token = Secret::new(random_token(24));
        let row = AppRow {
            id: new_id(),
            name,
            site,
            client_id,
            client_secret_sealed: vault.seal(&secret, context::APP_SECRET),
            second_secret_sealed: None,
            access_token_sealed: vault.seal(&token, context::APP_TOKEN),
            verify_token_sealed: vault.seal(&verify_token, context::VERIFY_TOKEN),
            api_key: random_token(24),
            graph_version,
            save_events: new.save_events,
            created_at: now,
            updated_at: now,
        };
        let stored = row.clone();
        let own = self.clone();
        self.db
            .write(move |tx| {
                apps::insert(tx.conn, &stored)?;
                own.note(tx, "create", object(&stored), None, Some(&stored))
            })
            .await?;
        self.directory.reload().await?;
        self.check_later(Scope::App(row.id.clone()));
        Ok((row, verify_token))
    }

    /// Changes an app; new credentials are confirmed by Meta first. Only what the change names is written, so
    /// that two changes made at once both stand.
    pub async fn change_app(&self, id: &str, change: AppChange) -> Result<AppRow, SetupError> {
        let known = self.app(id).await?;
        let mut faults = Faults::default();
        let name = change.name.as_deref().map(|name| faults.check("name", validate::text(name, 100)));
        let site = change.site.as_deref().map(|site| faults.check("site", validate::site(site)));
        let version = change.graph_version.as_ref().map(|version| {
            let version = version.as_deref().map(validate::graph_version).transpose();
            faults.check("graph_version", version)
        });
        if let Some(secret) = &change.client_secret {
            faults.check("client_secret", validate::secret(secret.expose()));
        }
        if let Some(token) = &change.access_token {
            faults.check("access_token", validate::secret(token.expose()));
        }
        faults.done()?;
        if let Some(site) = &site {
            self.site_is_free(site, Some(id))?;
        }
        let credentials = match change.client_secret.is_some() || change.access_token.is_some() {
            true => {
                let version = version.clone().unwrap_or_else(|| known.graph_version.clone());
                Some(self.renew_credentials(&known, &change, version.as_deref()).await?)
            }
            false => None,
        };
        let (id, now, own) = (id.to_owned(), self.clock.now().naive_utc(), self.clone());
        let written = self.db.write(move |tx| {
            let Some(before) = apps::get(tx.conn, &id)? else { return Ok(Change::Gone) };
            if own.behalf.is_stale(before.updated_at) {
                return Ok(Change::Stale);
            }
            let mut row = before.clone();
            row.name = name.clone().unwrap_or(row.name);
            row.site = site.clone().unwrap_or(row.site);
            row.graph_version = version.clone().unwrap_or(row.graph_version);
            row.save_events = change.save_events.unwrap_or(row.save_events);
            if let Some(credentials) = &credentials {
                credentials.put(&mut row);
            }
            row.updated_at = now;
            apps::update(tx.conn, &row)?;
            own.note(tx, "change", object(&row), Some(&before), Some(&row))?;
            Ok(Change::Done(row))
        });
        let row = written.await?.done("app")?;
        self.directory.reload().await?;
        self.resume_phones();
        self.check_later(Scope::App(row.id.clone()));
        Ok(row)
    }

    /// Removes an app on which no WABA hangs.
    pub async fn delete_app(&self, id: &str) -> Result<(), SetupError> {
        let row = self.app(id).await?;
        if self.directory.now().wabas.iter().any(|waba| waba.app_id.as_str() == id) {
            return Err(SetupError::Conflict("the app still has WABAs; delete them first".to_owned()));
        }
        let own = self.clone();
        self.db
            .write(move |tx| {
                apps::delete(tx.conn, &row.id)?;
                own.note(tx, "delete", object(&row), Some(&row), None)
            })
            .await?;
        self.directory.reload().await?;
        self.check_later(Scope::All);
        Ok(())
    }

    /// An app.
    pub async fn app(&self, id: &str) -> Result<AppRow, SetupError> {
        let id = id.to_owned();
        self.db.read(move |conn| apps::get(conn, &id)).await?.ok_or(SetupError::NotFound("app"))
    }

    /// A page of apps.
    pub async fn apps(&self, page: Page) -> Result<Vec<AppRow>, SetupError> {
        Ok(self.db.read(move |conn| apps::page(conn, &page)).await?)
    }

    /// Where Meta is to post the app's webhooks.
    pub fn callback_url(&self, row: &AppRow) -> String {
        self.callback_at(&row.site, &row.api_key)
    }

    pub(super) fn callback_at(&self, site: &str, api_key: &str) -> String {
        let public = &self.config.public_url;
        let port = public.port().map(|port| format!(":{port}")).unwrap_or_default();
        let site = if site.contains(':') { format!("[{site}]") } else { site.to_owned() };
        format!("{}://{site}{port}/api/waba/?api-key={api_key}", public.scheme())
    }

    async fn renew_credentials(
        &self,
        known: &AppRow,
        change: &AppChange,
        version: Option<&str>,
    ) -> Result<Credentials, SetupError> {
        let snapshot = self.directory.now();
        let app = snapshot.apps.iter().find(|app| app.id.as_str() == known.id);
        let app = app.ok_or(SetupError::NotFound("app"))?;
        // After a broken secret there may be no present one.
        let present = app.secrets.first().cloned();
        let secret = change.client_secret.clone().or_else(|| present.clone());
        let secret = secret
            .ok_or_else(|| SetupError::field("client_secret", "must be entered again: it is broken"))?;
        let token = change.access_token.clone().unwrap_or_else(|| app.access_token.clone());
        if token.is_empty() {
            return Err(SetupError::field("access_token", "must be entered again: it is broken"));
        }
        self.check_token(&known.client_id, &secret, &token, version).await?;
        let vault = self.directory.vault();
        let access_token_sealed =
            change.access_token.as_ref().map(|token| vault.seal(token, context::APP_TOKEN));
        let secrets = match (&change.client_secret, present) {
            (None, _) => None,
            // The present one entered again ends a rotation: the old one is believed no longer.
            (Some(_), Some(present)) if present == secret => {
                Some((vault.seal(&secret, context::APP_SECRET), None))
            }
            (Some(_), present) => {
                let second = present.map(|present| vault.seal(&present, context::APP_SECRET));
                Some((vault.seal(&secret, context::APP_SECRET), second))
            }
        };
        Ok(Credentials { access_token_sealed, secrets })
    }

    /// Whether Meta takes this token for this app.
    async fn check_token(
        &self,
        client_id: &str,
        secret: &Secret,
        token: &Secret,
        version: Option<&str>,
    ) -> Result<(), SetupError> {
        let graph = self.graph_at(version);
        let told = self.counted("debug_token", graph.debug_token(client_id, secret, token).await)?;
        if !told.is_valid {
            let (code, text) = told.error.unwrap_or((190, "the access token is not valid".to_owned()));
            return Err(SetupError::Meta(format!("error {code}: {text}")));
        }
        match told.app_id {
            Some(app_id) if app_id != client_id => {
                Err(SetupError::field("access_token", format!("belongs to another app ({app_id})")))
            }
            _ => Ok(()),
        }
    }

    fn site_is_free(&self, site: &str, but: Option<&str>) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        let taken = snapshot.apps.iter().any(|app| app.site == site && Some(app.id.as_str()) != but);
        if taken {
            Err(SetupError::Conflict(format!("an app with the site {site} exists already")))
        } else {
            Ok(())
        }
    }

    /// The Graph client at an app's own version.
    pub(super) fn graph_at(&self, version: Option<&str>) -> crate::whatsapp::GraphClient {
        version.map_or_else(|| self.graph.clone(), |version| self.graph.at_version(version))
    }

    /// Counts a call of Meta.
    pub(super) fn counted<T>(
        &self,
        kind: &'static str,
        outcome: Result<T, crate::whatsapp::GraphError>,
    ) -> Result<T, crate::whatsapp::GraphError> {
        self.metrics.graph_call(kind, if outcome.is_ok() { "ok" } else { "failed" });
        outcome
    }
}

fn object(row: &AppRow) -> Object<'_> {
    Object { kind: "app", id: &row.id, name: &row.name }
}
