//! A portal's tokens and address: renewed one at a time, on disk before they are used.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::Gateway;
use crate::bitrix::error::CallError;
use crate::bitrix::oauth;
use crate::directory::{Portal, context};
use crate::domain::PortalId;
use crate::store::{StoreError, portals};

/// New tokens, sealed.
#[derive(Clone)]
pub(super) struct Rotated {
    /// The refresh token that they replace, sealed as it was stored: an installation that came meanwhile
    /// brought better ones.
    replaces: String,
    access: String,
    refresh: String,
    expires_at: DateTime<Utc>,
}

impl Gateway {
    /// New tokens, unless another call has just brought them. It goes on when the caller gives up: tokens that
    /// the OAuth server has given and nobody has kept would cost the portal its authorization.
    pub(super) async fn refresh(&self, id: &PortalId, used: &Portal) -> Result<Portal, CallError> {
        let (this, portal, used) = (self.clone(), id.clone(), used.clone());
        let refreshing = self.refreshes.spawn(async move { this.refresh_to_its_end(&portal, &used).await });
        refreshing.await.unwrap_or_else(|error| {
            tracing::error!(portal.id = %id, error = %error, "a refresh of tokens was broken off");
            Err(CallError::refused("CONNECTION_ERROR", "the refresh of tokens was broken off"))
        })
    }

    async fn refresh_to_its_end(&self, id: &PortalId, used: &Portal) -> Result<Portal, CallError> {
        let state = self.state(id);
        let mut unstored = state.refreshing.lock().await;
        if unstored.is_none() {
            // What is on disk counts: an old refresh token would cost the portal its authorization.
            self.directory.reload().await.map_err(|error| not_stored(id, &error))?;
            let portal = self.portal(id)?;
            if portal.access_token != used.access_token {
                return Ok(portal);
            }
            *unstored = Some(self.rotate(id, &portal).await?);
        }
        if let Some(rotated) = unstored.clone() {
            self.change(id, move |row| {
                if row.refresh_token_sealed != rotated.replaces {
                    return;
                }
                row.access_token_sealed = rotated.access.clone();
                row.refresh_token_sealed = rotated.refresh.clone();
                row.access_expires_at = rotated.expires_at.naive_utc();
                if row.status == "reauthorize" {
                    row.status = "active".to_owned();
                    row.status_reason = None;
                }
            })
            .await
            .map_err(|error| not_stored(id, &error))?;
            *unstored = None;
        }
        self.portal(id)
    }

    /// Asks the OAuth server for new tokens.
    async fn rotate(&self, id: &PortalId, portal: &Portal) -> Result<Rotated, CallError> {
        let snapshot = self.directory.now();
        let app = snapshot.portal_app(&portal.portal_app_id).ok_or_else(|| {
            CallError::refused("INVALID_CLIENT", "the portal's application is not set up here")
        })?;
        let server = self.servers.check(&portal.row.server_endpoint).ok_or_else(|| {
            CallError::refused(
                "INVALID_CLIENT",
                "the portal's OAuth server is not on the list of bitrix.oauth_servers",
            )
        })?;
        match oauth::refresh(&self.rest, &server, &app.client_id, &app.client_secret, &portal.refresh_token)
            .await
        {
            Ok(tokens) => {
                let vault = self.directory.vault();
                Ok(Rotated {
                    replaces: portal.row.refresh_token_sealed.clone(),
                    access: vault.seal(&tokens.access_token, context::PORTAL_ACCESS),
                    refresh: vault.seal(&tokens.refresh_token, context::PORTAL_REFRESH),
                    expires_at: self.clock.now() + TimeDelta::seconds(tokens.expires_in),
                })
            }
            Err(error) => {
                if error.is_uninstalled() {
                    self.set_status(id, portal, "uninstalled", &error.to_string()).await;
                } else if oauth::is_grant_refused(&error) {
                    self.set_status(id, portal, "reauthorize", &error.to_string()).await;
                }
                Err(error)
            }
        }
    }

    pub(super) async fn moved(&self, id: &PortalId, new: &Url) {
        tracing::info!(portal.id = %id, host = new.host_str(), "the portal has a new address");
        let (endpoint, host) = (new.to_string(), new.host_str().unwrap_or_default().to_owned());
        self.change_or_log(id, move |row| {
            row.client_endpoint = endpoint.clone();
            row.domain = host.clone();
        })
        .await;
    }

    /// Writes what the portal or its OAuth server said to tokens of ours; an installation that brought others
    /// meanwhile stands.
    pub(super) async fn set_status(&self, id: &PortalId, used: &Portal, status: &'static str, reason: &str) {
        if used.row.status != status {
            tracing::warn!(portal.id = %id, status, reason, "the portal's installation changed its state");
        }
        let (reason, token) = (reason.to_owned(), used.row.refresh_token_sealed.clone());
        self.change_or_log(id, move |row| {
            if row.refresh_token_sealed != token || row.status == status {
                return;
            }
            row.status = status.to_owned();
            row.status_reason = Some(reason.clone());
        })
        .await;
    }

    async fn change_or_log(&self, id: &PortalId, change: impl Fn(&mut portals::PortalRow) + Send + 'static) {
        if let Err(error) = self.change(id, change).await {
            tracing::error!(portal.id = %id, error = %error, "a change of the portal could not be stored");
        }
    }

    async fn change(
        &self,
        id: &PortalId,
        change: impl Fn(&mut portals::PortalRow) + Send + 'static,
    ) -> Result<(), StoreError> {
        let (id, now) = (id.to_string(), self.clock.now());
        self.db
            .write(move |tx| {
                let Some(before) = portals::get(tx.conn, &id)? else { return Ok(()) };
                let mut row = before.clone();
                change(&mut row);
                if row != before {
                    row.updated_at = now.naive_utc();
                    portals::update(tx.conn, &row)?;
                }
                Ok(())
            })
            .await?;
        self.directory.reload().await
    }
}

/// The call did not go out, for want of tokens on disk; it is tried again.
fn not_stored(id: &PortalId, error: &StoreError) -> CallError {
    tracing::error!(portal.id = %id, error = %error, "tokens cannot be read or stored; the portal's calls wait");
    CallError::refused("CONNECTION_ERROR", "tokens cannot be read or stored")
}
