//! WhatsApp Business Accounts: subscribed to their app, or nothing arrives (whatsapp-messaging facts §7.5).

use super::behalf::{Change, Object};
use super::doctor::Scope;
use super::validate::{self, Faults};
use super::{Setup, SetupError};
use crate::clock::new_id;
use crate::directory::{App, context};
use crate::domain::{AppId, Secret, WabaId, WabaKey};
use crate::store::wabas::{self, WabaRow};
use crate::store::{Page, templates};
use crate::whatsapp::GraphClient;
use crate::whatsapp::client::PhoneInfo;

/// A WABA to be set up.
#[derive(Clone, Debug)]
pub struct NewWaba {
    /// Our id of its app.
    pub app_id: String,
    /// Meta's id.
    pub waba_id: String,
    /// Its own access token, else the app's.
    pub access_token: Option<Secret>,
}

/// What of a WABA changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct WabaChange {
    /// Name for people.
    pub name: Option<String>,
    /// Its own access token; `Some(None)` = the app's.
    pub access_token: Option<Option<Secret>>,
    /// Meta's id of the portfolio whose messaging limit it shares; `Some(None)` = as Meta tells.
    pub portfolio: Option<Option<String>>,
}

impl Setup {
    /// Sets up a WABA: Meta shows it to us, subscribes the app to it and says so.
    pub async fn create_waba(&self, new: NewWaba) -> Result<WabaRow, SetupError> {
        let snapshot = self.directory.now();
        let mut faults = Faults::default();
        let app = snapshot.app(&AppId::new(new.app_id.trim()));
        if app.is_none() {
            faults.add("app_id", "is not the id of an app");
        }
        let waba_id = WabaId::new(faults.check("waba_id", validate::cloud_id(&new.waba_id)));
        if let Some(token) = &new.access_token {
            faults.check("access_token", validate::secret(token.expose()));
        }
        faults.done()?;
        let app = app.ok_or(SetupError::NotFound("app"))?;
        if snapshot.waba_by_id(&waba_id).is_some() {
            return Err(SetupError::Conflict(format!("the WABA {waba_id} exists already")));
        }
        let token = new.access_token.as_ref().unwrap_or(&app.access_token);
        let name = self.subscribe(app, &waba_id, token).await?;

        let now = self.clock.now().naive_utc();
        let row = WabaRow {
            id: new_id(),
            app_id: app.id.to_string(),
            waba_id: waba_id.into_string(),
            access_token_sealed: new
                .access_token
                .as_ref()
                .map(|token| self.directory.vault().seal(token, context::WABA_TOKEN)),
            name,
            subscribed: true,
            status: "active".to_owned(),
            status_reason: None,
            portfolio: None,
            created_at: now,
            updated_at: now,
        };
        let stored = row.clone();
        let own = self.clone();
        self.db
            .write(move |tx| {
                wabas::insert(tx.conn, &stored)?;
                own.note(tx, "create", object(&stored), None, Some(&stored))
            })
            .await?;
        self.directory.reload().await?;
        // A failure is written down and repeated by the clock: the WABA is linked all the same.
        self.sync_waba(&row.id).await?;
        self.refresh_limits(&row.id).await;
        self.check_later(Scope::Waba(row.id.clone()));
        self.waba(&row.id).await
    }

    /// Changes a WABA; a new token is tried by subscribing again.
    pub async fn change_waba(&self, id: &str, change: WabaChange) -> Result<WabaRow, SetupError> {
        let row = self.waba(id).await?;
        let mut faults = Faults::default();
        let name = change.name.as_deref().map(|name| faults.check("name", validate::text(name, 200)));
        if let Some(Some(token)) = &change.access_token {
            faults.check("access_token", validate::secret(token.expose()));
        }
        let portfolio = change.portfolio.as_ref().map(|portfolio| {
            let portfolio = portfolio.as_deref().map(validate::cloud_id).transpose();
            faults.check("portfolio", portfolio)
        });
        faults.done()?;
        if let Some(token) = &change.access_token {
            let snapshot = self.directory.now();
            let app = snapshot.app(&AppId::from(row.app_id.as_str())).ok_or(SetupError::NotFound("app"))?;
            let used = token.as_ref().unwrap_or(&app.access_token);
            self.subscribe(app, &WabaId::from(row.waba_id.as_str()), used).await?;
        }
        let sealed = change
            .access_token
            .map(|token| token.as_ref().map(|token| self.directory.vault().seal(token, context::WABA_TOKEN)));
        let (id, now, own) = (id.to_owned(), self.clock.now().naive_utc(), self.clone());
        let written = self.db.write(move |tx| {
            // Only what is asked for: Meta or somebody else may have changed the rest meanwhile.
            let Some(before) = wabas::get(tx.conn, &id)? else { return Ok(Change::Gone) };
            if own.behalf.is_stale(before.updated_at) {
                return Ok(Change::Stale);
            }
            let mut row = before.clone();
            row.name = name.clone().unwrap_or(row.name);
            row.portfolio = portfolio.clone().unwrap_or(row.portfolio);
            if let Some(sealed) = &sealed {
                (row.subscribed, row.access_token_sealed) = (true, sealed.clone());
            }
            row.updated_at = now;
            wabas::update(tx.conn, &row)?;
            own.note(tx, "change", object(&row), Some(&before), Some(&row))?;
            Ok(Change::Done(row))
        });
        let row = written.await?.done("WABA")?;
        self.directory.reload().await?;
        self.resume_phones();
        self.check_later(Scope::Waba(row.id.clone()));
        Ok(row)
    }

    /// Subscribes the app to a WABA once more; addresses that override the app's are removed with that.
    pub(super) async fn subscribe_again(&self, id: &str) -> Result<(), SetupError> {
        let (_, token, waba_id) = self.waba_access(id)?;
        let snapshot = self.directory.now();
        let waba = snapshot.waba(&WabaKey::from(id)).ok_or(SetupError::NotFound("WABA"))?;
        let app = snapshot.app(&waba.app_id).ok_or(SetupError::NotFound("app"))?;
        self.subscribe(app, &waba_id, &token).await.map(drop)
    }

    /// Removes a WABA that has no phones here. Its subscription at Meta is ended if Meta lets us.
    pub async fn delete_waba(&self, id: &str) -> Result<(), SetupError> {
        let row = self.waba(id).await?;
        let snapshot = self.directory.now();
        if snapshot.phones.iter().any(|phone| phone.waba_key.as_str() == id) {
            return Err(SetupError::Conflict("the WABA still has phones; delete them first".to_owned()));
        }
        let own = self.clone();
        self.db
            .write(move |tx| {
                templates::remove_of_waba(tx.conn, &row.id)?;
                wabas::delete(tx.conn, &row.id)?;
                own.note(tx, "delete", object(&row), Some(&row), None)
            })
            .await?;
        if let Ok((graph, token, waba_id)) = self.waba_access(id)
            && let Err(error) = self.counted("unsubscribe", graph.unsubscribe(&token, &waba_id).await)
        {
            tracing::warn!(waba.id = %waba_id, error = %error, "the subscription of a removed WABA stays at Meta");
        }
        self.directory.reload().await?;
        self.check_later(Scope::All);
        Ok(())
    }

    /// A WABA.
    pub async fn waba(&self, id: &str) -> Result<WabaRow, SetupError> {
        let id = id.to_owned();
        self.db.read(move |conn| wabas::get(conn, &id)).await?.ok_or(SetupError::NotFound("WABA"))
    }

    /// A page of WABAs.
    pub async fn wabas(&self, page: Page) -> Result<Vec<WabaRow>, SetupError> {
        Ok(self.db.read(move |conn| wabas::page(conn, &page)).await?)
    }

    /// The numbers that Meta lists for a WABA.
    pub async fn available_phones(&self, id: &str) -> Result<Vec<PhoneInfo>, SetupError> {
        let (graph, token, waba_id) = self.waba_access(id)?;
        Ok(self.counted("phone_numbers", graph.phone_numbers(&token, &waba_id).await)?)
    }

    /// What it takes to call Meta for a WABA.
    pub(super) fn waba_access(&self, id: &str) -> Result<(GraphClient, Secret, WabaId), SetupError> {
        let snapshot = self.directory.now();
        let waba = snapshot.waba(&WabaKey::from(id)).ok_or(SetupError::NotFound("WABA"))?;
        let app = snapshot.app(&waba.app_id).ok_or(SetupError::NotFound("app"))?;
        if let Some(reason) = waba.broken.as_ref().or(app.broken.as_ref()) {
            return Err(SetupError::Conflict(reason.clone()));
        }
        let token = waba.access_token.as_ref().unwrap_or(&app.access_token).clone();
        Ok((self.graph_at(app.graph_version.as_deref()), token, waba.waba_id.clone()))
    }

    /// Meta's id of the app of a WABA (our id).
    pub(super) fn app_of_waba(&self, id: &str) -> Result<String, SetupError> {
        let snapshot = self.directory.now();
        let waba = snapshot.waba(&WabaKey::from(id)).ok_or(SetupError::NotFound("WABA"))?;
        let app = snapshot.app(&waba.app_id).ok_or(SetupError::NotFound("app"))?;
        Ok(app.client_id.clone())
    }

    /// Subscribes the app and reads it back; gives the WABA's name.
    async fn subscribe(&self, app: &App, waba_id: &WabaId, token: &Secret) -> Result<String, SetupError> {
        let graph = self.graph_at(app.graph_version.as_deref());
        let info = self.counted("waba", graph.waba(token, waba_id).await)?;
        self.counted("subscribe", graph.subscribe(token, waba_id).await)?;
        let subscribed = self.counted("subscribed_apps", graph.subscribed_apps(token, waba_id).await)?;
        let Some(own) = subscribed.iter().find(|found| found.id == app.client_id) else {
            return Err(SetupError::Meta(format!(
                "the app {} is not among the apps subscribed to the WABA; does the access token belong to it?",
                app.client_id
            )));
        };
        if own.override_callback_uri.is_some() {
            tracing::warn!(waba.id = %waba_id, "the notifications of this WABA go to another address");
        }
        for other in subscribed.iter().filter(|found| found.id != app.client_id) {
            tracing::warn!(waba.id = %waba_id, app = other.id, "another app gets this WABA's notifications too");
        }
        Ok(info.name.filter(|name| !name.is_empty()).unwrap_or_else(|| waba_id.to_string()))
    }
}

fn object(row: &WabaRow) -> Object<'_> {
    Object { kind: "waba", id: &row.id, name: &row.name }
}
