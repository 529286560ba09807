//! Calls to portals: each within its portal's rate, with a fresh token, at the address where it lives now.
//!
//! One governor per portal, one refresh at a time per portal, the rotated token on disk before it is used.
//! There are no retries here: what fails is told, and the queue decides. Two things are mended on the way,
//! since the call surely did not run: an expired token, and a portal that has moved (302).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use url::Url;

use crate::bitrix::client::{Answer, RestClient};
use crate::bitrix::error::CallError;
use crate::bitrix::governor::{Governor, RateLimits};
use crate::bitrix::method::Method;
use crate::bitrix::oauth::{self, AllowedServers};
use crate::clock::Clock;
use crate::directory::{Directory, Portal, context};
use crate::domain::PortalId;
use crate::store::{Db, StoreError, portals};
use crate::telemetry::Metrics;

/// A token that ends sooner than this is refreshed before it is used.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(60);

/// Calls portals.
#[derive(Clone)]
pub struct Gateway {
    directory: Directory,
    db: Db,
    clock: Clock,
    rest: RestClient,
    servers: AllowedServers,
    metrics: Arc<Metrics>,
    states: Arc<Mutex<HashMap<PortalId, Arc<State>>>>,
}

struct State {
    governor: Mutex<Governor>,
    refreshing: tokio::sync::Mutex<()>,
}

impl Gateway {
    /// A gateway to the portals of `directory`.
    pub fn new(
        directory: Directory,
        db: Db,
        clock: Clock,
        rest: RestClient,
        servers: AllowedServers,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { directory, db, clock, rest, servers, metrics, states: Arc::default() }
    }

    /// The plain client, for calls before an installation is proven.
    pub fn rest(&self) -> &RestClient {
        &self.rest
    }

    /// OAuth servers that are believed.
    pub fn servers(&self) -> &AllowedServers {
        &self.servers
    }

    /// Makes one call of a method and reads its answer.
    ///
    /// # Errors
    /// What the portal or the way to it said; [`CallError::verdict`] tells what to do.
    pub async fn call<M: Method>(&self, portal: &PortalId, method: &M) -> Result<M::Output, CallError> {
        let params = method.params();
        let outcome = self.exchange(portal, M::NAME, &params).await;
        let told = match &outcome {
            Ok(_) => "ok",
            Err(error) if error.is_rate_limit() => "limited",
            Err(CallError::Refused { .. }) => "refused",
            Err(_) => "failed",
        };
        self.metrics.rest_call(M::NAME, told);
        method.settle(outcome)
    }

    /// Learns the portal's rate from its licence.
    pub fn set_license(&self, portal: &PortalId, license: &str) {
        let state = self.state(portal);
        let mut governor = state.governor.lock().unwrap_or_else(PoisonError::into_inner);
        governor.set_limits(self.clock.now(), RateLimits::for_license(license));
    }

    async fn exchange(
        &self,
        id: &PortalId,
        method: &str,
        params: &serde_json::Value,
    ) -> Result<Answer, CallError> {
        let mut portal = self.portal(id)?;
        if portal.access_expires_at - self.clock.now() < FRESH_FOR {
            portal = self.refresh(id, &portal).await?;
        }
        match self.once(&portal, method, params).await {
            Err(error) if error.is_token_expired() => {
                let portal = self.refresh(id, &portal).await?;
                self.once(&portal, method, params).await
            }
            Err(error @ CallError::Moved { .. }) => {
                let old = endpoint(&portal)?;
                let Some(new) = error.new_endpoint(&old) else { return Err(error) };
                self.moved(id, &new).await;
                let portal = self.portal(id)?;
                self.once(&portal, method, params).await
            }
            Err(error) if error.is_uninstalled() => {
                self.set_status(id, "uninstalled", &error.to_string()).await;
                Err(error)
            }
            outcome => outcome,
        }
    }

    async fn once(
        &self,
        portal: &Portal,
        method: &str,
        params: &serde_json::Value,
    ) -> Result<Answer, CallError> {
        let state = self.state(&portal.id);
        loop {
            let wait = {
                let mut governor = state.governor.lock().unwrap_or_else(PoisonError::into_inner);
                governor.admit(self.clock.now(), method)
            };
            match wait {
                Ok(()) => break,
                Err(wait) => tokio::time::sleep(wait.max(Duration::from_millis(1))).await,
            }
        }
        let outcome = self.rest.call(&endpoint(portal)?, &portal.access_token, method, params).await;
        let mut governor = state.governor.lock().unwrap_or_else(PoisonError::into_inner);
        governor.observe(self.clock.now(), method, &outcome);
        outcome
    }

    fn portal(&self, id: &PortalId) -> Result<Portal, CallError> {
        let snapshot = self.directory.now();
        let portal =
            snapshot.portal(id).ok_or_else(|| CallError::refused("PORTAL_UNKNOWN", "no such portal"))?;
        match (&portal.broken, portal.is_active()) {
            (Some(reason), _) => Err(CallError::refused("INVALID_GRANT", reason.clone())),
            (None, false) => Err(CallError::refused("NOT_INSTALLED", "the app was removed from the portal")),
            (None, true) => Ok(portal.clone()),
        }
    }

    /// New tokens, unless another call has just brought them.
    async fn refresh(&self, id: &PortalId, used: &Portal) -> Result<Portal, CallError> {
        let state = self.state(id);
        let _one_at_a_time = state.refreshing.lock().await;
        let portal = self.portal(id)?;
        if portal.access_token != used.access_token {
            return Ok(portal);
        }
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
        let client = &self.rest;
        match oauth::refresh(client, &server, &app.client_id, &app.client_secret, &portal.refresh_token).await
        {
            Ok(tokens) => {
                let vault = self.directory.vault();
                let access = vault.seal(&tokens.access_token, context::PORTAL_ACCESS);
                let refresh = vault.seal(&tokens.refresh_token, context::PORTAL_REFRESH);
                let expires = self.clock.now() + TimeDelta::seconds(tokens.expires_in);
                self.change(id, move |row| {
                    row.access_token_sealed = access.clone();
                    row.refresh_token_sealed = refresh.clone();
                    row.access_expires_at = expires.naive_utc();
                    if row.status == "reauthorize" {
                        row.status = "active".to_owned();
                        row.status_reason = None;
                    }
                })
                .await
                .map_err(|error| {
                    tracing::error!(portal.id = %id, error = %error, "rotated tokens could not be stored");
                    CallError::refused("CONNECTION_ERROR", "rotated tokens could not be stored")
                })?;
                self.portal(id)
            }
            Err(error) => {
                if error.is_uninstalled() {
                    self.set_status(id, "uninstalled", &error.to_string()).await;
                } else if oauth::is_grant_refused(&error) {
                    self.set_status(id, "reauthorize", &error.to_string()).await;
                }
                Err(error)
            }
        }
    }

    async fn moved(&self, id: &PortalId, new: &Url) {
        tracing::info!(portal.id = %id, host = new.host_str(), "the portal has a new address");
        let (endpoint, host) = (new.to_string(), new.host_str().unwrap_or_default().to_owned());
        self.change_or_log(id, move |row| {
            row.client_endpoint = endpoint.clone();
            row.domain = host.clone();
        })
        .await;
    }

    async fn set_status(&self, id: &PortalId, status: &'static str, reason: &str) {
        tracing::warn!(portal.id = %id, status, reason, "the portal's installation changed its state");
        let reason = reason.to_owned();
        self.change_or_log(id, move |row| {
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
                if let Some(mut row) = portals::get(tx.conn, &id)? {
                    change(&mut row);
                    row.updated_at = now.naive_utc();
                    portals::update(tx.conn, &row)?;
                }
                Ok(())
            })
            .await?;
        self.directory.reload().await
    }

    fn state(&self, id: &PortalId) -> Arc<State> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(State {
                governor: Mutex::new(Governor::new(RateLimits::STANDARD, self.clock.now())),
                refreshing: tokio::sync::Mutex::new(()),
            })
        };
        states.entry(id.clone()).or_insert_with(new).clone()
    }
}

fn endpoint(portal: &Portal) -> Result<Url, CallError> {
    Url::parse(&portal.row.client_endpoint)
        .map_err(|_| CallError::refused("INVALID_GRANT", "the portal's stored address is not a URL"))
}
