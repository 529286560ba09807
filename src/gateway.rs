//! Calls to portals: each within its portal's rate, with a fresh token, at the address where it lives now.
//!
//! One governor per portal, one refresh at a time per portal, the rotated token on disk before it is used.
//! There are no retries here: what fails is told, and the queue decides. Three things are mended on the way,
//! since the call surely did not run: an expired token, a portal that has moved (302), and a call that we let go
//! over the bucket to learn whether there is more. A call that its
//! portal's limits hold back for long is not waited for: it comes back as [`CallError::Throttled`].

mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::bitrix::client::{Answer, Command, RestClient, batch_params, read_batch};
use crate::bitrix::error::CallError;
use crate::bitrix::governor::{Governor, RateLimits};
use crate::bitrix::method::Method;
use crate::bitrix::oauth::AllowedServers;
use crate::bitrix::users::AppInfoGet;
use crate::clock::Clock;
use crate::directory::{Directory, Portal};
use crate::domain::PortalId;
use crate::store::Db;
use crate::telemetry::Metrics;

use tokens::Rotated;

/// A token that ends sooner than this is refreshed before it is used.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(60);
/// A longer wait for the portal's limits is the queue's matter.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a portal's plan is believed.
const PLAN_FOR: TimeDelta = TimeDelta::hours(24);
/// Commands that go together in one batch: each may answer much, and the whole has 60 s.
const COMMANDS: usize = 25;
/// A refresh token lives 180 days; one that lies so long is renewed (bitrix24 facts §2.4).
const IDLE_TOKENS: TimeDelta = TimeDelta::days(90);

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
    refreshes: TaskTracker,
}

struct State {
    governor: Mutex<Governor>,
    /// Whose turn it is to wait for the bucket; the queue of a lock is in order.
    turn: tokio::sync::Mutex<()>,
    /// One refresh at a time; tokens that the OAuth server gave and the database has not taken yet.
    refreshing: tokio::sync::Mutex<Option<Rotated>>,
    plan_known_until: Mutex<Option<DateTime<Utc>>>,
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
        Self {
            directory,
            db,
            clock,
            rest,
            servers,
            metrics,
            states: Arc::default(),
            refreshes: TaskTracker::new(),
        }
    }

    /// Waits until tokens that are on their way are stored; for the stop, when nobody calls any more.
    pub async fn close(&self) {
        self.refreshes.close();
        self.refreshes.wait().await;
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
        self.count(M::NAME, &outcome);
        let outcome = method.settle(outcome);
        if outcome.is_ok() && M::NAME != AppInfoGet::NAME {
            self.learn_plan(portal).await;
        }
        outcome
    }

    /// Makes calls of one method together, as few calls to the portal. Not for text of users, see
    /// [`RestClient::batch`]. The outcomes are in the order of `methods`.
    ///
    /// # Errors
    /// The first failure of a batch as a whole.
    pub async fn batch<M: Method>(
        &self,
        portal: &PortalId,
        methods: &[M],
    ) -> Result<Vec<Result<M::Output, CallError>>, CallError> {
        let mut outcomes = Vec::with_capacity(methods.len());
        for some in methods.chunks(COMMANDS) {
            if let [method] = some {
                outcomes.push(self.call(portal, method).await);
                continue;
            }
            let name = |index: usize| format!("c{index}");
            let commands: Vec<Command> = some
                .iter()
                .enumerate()
                .map(|(index, method)| Command {
                    key: name(index),
                    method: M::NAME.to_owned(),
                    params: method.params(),
                })
                .collect();
            self.room_for(portal, M::NAME)?;
            let whole = self.exchange(portal, "batch", &batch_params(&commands)).await;
            self.count("batch", &whole);
            let mut answers = read_batch(&commands, &whole?.result);
            for (index, method) in some.iter().enumerate() {
                let missing = || Err(CallError::Shape { what: "the command's result" });
                let outcome = answers.remove(&name(index)).unwrap_or_else(missing);
                self.observe(portal, M::NAME, &outcome);
                outcomes.push(method.settle(outcome));
            }
        }
        Ok(outcomes)
    }

    fn count(&self, method: &'static str, outcome: &Result<Answer, CallError>) {
        let told = match outcome {
            Ok(_) => "ok",
            Err(error) if error.is_rate_limit() => "limited",
            Err(CallError::Refused { .. }) => "refused",
            Err(_) => "failed",
        };
        self.metrics.rest_call(method, told);
    }

    /// Renews the tokens of portals that have not been called for long.
    pub async fn keep_alive(&self) {
        let now = self.clock.now();
        for portal in &self.directory.now().portals {
            let works = portal.row.status == "active" && portal.broken.is_none();
            if works
                && now - portal.access_expires_at > IDLE_TOKENS
                && let Err(error) = self.refresh(&portal.id, portal).await
            {
                tracing::warn!(portal.id = %portal.id, error = %error, "the tokens of an idle portal could not be renewed");
            }
        }
    }

    /// Learns the portal's rate from its licence.
    pub fn set_license(&self, portal: &PortalId, license: &str) {
        let (state, now) = (self.state(portal), self.clock.now());
        *lock(&state.plan_known_until) = Some(now + PLAN_FOR);
        let limits = RateLimits::for_license(license);
        let mut governor = lock(&state.governor);
        // What answers have taught is not forgotten for a name.
        if !governor.has_learned() || limits.burst > governor.limits().burst {
            governor.set_limits(now, limits);
        }
    }

    /// The limits that a portal is believed to have.
    pub fn limits(&self, portal: &PortalId) -> RateLimits {
        lock(&self.state(portal).governor).limits()
    }

    /// Limits that are known from elsewhere.
    pub fn set_limits(&self, portal: &PortalId, limits: RateLimits) {
        lock(&self.state(portal).governor).set_limits(self.clock.now(), limits);
    }

    /// Asks the portal for its plan, once a day and only where it is called anyhow.
    async fn learn_plan(&self, portal: &PortalId) {
        let (state, now) = (self.state(portal), self.clock.now());
        {
            let mut known = lock(&state.plan_known_until);
            if known.is_some_and(|until| until > now) {
                return;
            }
            *known = Some(now + PLAN_FOR);
        }
        let outcome = self.exchange(portal, AppInfoGet::NAME, &AppInfoGet.params()).await;
        self.count(AppInfoGet::NAME, &outcome);
        match AppInfoGet.settle(outcome) {
            Ok(info) => self.set_license(portal, info.license.as_deref().unwrap_or_default()),
            Err(error) => {
                tracing::debug!(portal.id = %portal, error = %error, "the portal's plan is unknown")
            }
        }
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
                // A page of a firewall or of maintenance redirects as well: who does not answer as a portal
                // is not believed.
                let mut there = portal;
                there.row.client_endpoint = new.to_string();
                let outcome = self.once(&there, method, params).await;
                if !matches!(outcome, Ok(_) | Err(CallError::Refused { .. })) {
                    return outcome;
                }
                self.moved(id, &new).await;
                match outcome {
                    Err(error) if error.is_token_expired() => {
                        let portal = self.refresh(id, &there).await?;
                        self.once(&portal, method, params).await
                    }
                    outcome => outcome,
                }
            }
            Err(error) if error.is_uninstalled() => {
                self.set_status(id, &portal, "uninstalled", &error.to_string()).await;
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
        let is_probe = self.admit(&portal.id, method).await?;
        let outcome = self.send(portal, method, params).await;
        match outcome {
            // Whoever calls must not pay for what we wanted to know.
            Err(error) if is_probe && error.is_rate_limit() => {
                self.admit(&portal.id, method).await?;
                self.send(portal, method, params).await
            }
            outcome => outcome,
        }
    }

    async fn send(
        &self,
        portal: &Portal,
        method: &str,
        params: &serde_json::Value,
    ) -> Result<Answer, CallError> {
        let outcome = self.rest.call(&endpoint(portal)?, &portal.access_token, method, params).await;
        self.observe(&portal.id, method, &outcome);
        outcome
    }

    /// Waits for a place in the portal's bucket, in order of asking. Gives whether the call goes over it.
    async fn admit(&self, id: &PortalId, method: &str) -> Result<bool, CallError> {
        // What stands still for its own budget must not hold the turn of others.
        self.room_for(id, method)?;
        let state = self.state(id);
        let _turn = state.turn.lock().await;
        loop {
            let admitted = {
                let (mut governor, now) = (lock(&state.governor), self.clock.now());
                governor.admit(now, method).map(|()| governor.is_probe(now))
            };
            match admitted {
                Ok(is_probe) => return Ok(is_probe),
                Err(wait) if wait > LONGEST_WAIT => return Err(CallError::Throttled { wait }),
                Err(wait) => tokio::time::sleep(wait.max(Duration::from_millis(1))).await,
            }
        }
    }

    /// Whether the budget of a method is not used up for now.
    fn room_for(&self, id: &PortalId, method: &str) -> Result<(), CallError> {
        let state = self.state(id);
        let held = lock(&state.governor).method_wait(self.clock.now(), method);
        held.map_or(Ok(()), |wait| Err(CallError::Throttled { wait }))
    }

    fn observe(&self, id: &PortalId, method: &str, outcome: &Result<Answer, CallError>) {
        lock(&self.state(id).governor).observe(self.clock.now(), method, outcome);
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

    fn state(&self, id: &PortalId) -> Arc<State> {
        let mut states = lock(&self.states);
        let new = || {
            Arc::new(State {
                governor: Mutex::new(Governor::learning(RateLimits::STANDARD, self.clock.now())),
                turn: tokio::sync::Mutex::default(),
                refreshing: tokio::sync::Mutex::default(),
                plan_known_until: Mutex::default(),
            })
        };
        states.entry(id.clone()).or_insert_with(new).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn endpoint(portal: &Portal) -> Result<Url, CallError> {
    Url::parse(&portal.row.client_endpoint)
        .map_err(|_| CallError::refused("INVALID_GRANT", "the portal's stored address is not a URL"))
}
