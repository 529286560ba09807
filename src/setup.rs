//! Use cases on the installation: apps, WABAs, phones, local applications, portals, lines, contacts.
//!
//! Each change is checked at the other cloud first and stored afterwards, so that what is stored has been
//! true once; then the directory is read again. What is asked of Meta and decides: `debug_token`, the
//! account, its subscriptions and its numbers (contract §4).

mod alarms;
pub mod apps;
mod behalf;
mod budget;
pub mod calling;
pub mod connector;
pub mod contacts;
pub mod doctor;
mod error;
pub mod facebook;
mod fallback;
pub mod install;
pub mod jobs;
pub mod lines;
pub mod phones;
pub mod picture;
pub mod portal_apps;
pub mod portals;
mod proof;
pub mod registration;
pub mod said;
pub mod senders;
mod sequence;
pub mod settings;
pub mod templates;
pub mod transfer;
mod trust;
mod validate;
pub mod wabas;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::domain::{LineId, MemberId, PhoneKey, PortalId};
use crate::gateway::Gateway;
use crate::media::BlobStore;
use crate::media::fetch::Fetcher;
use crate::queue::Scheduler;
use crate::store::Db;
use crate::telemetry::Metrics;
use crate::whatsapp::GraphClient;

pub use error::{FieldError, SetupError};
pub use install::Claim;
pub use proof::Proven;

/// A switch-off of ours comes back as an event within this time.
const ECHO_LIFE: TimeDelta = TimeDelta::minutes(5);

/// What the use cases need.
#[derive(Clone)]
pub struct Setup {
    /// The database.
    pub db: Db,
    /// What is configured.
    pub directory: Directory,
    /// The time.
    pub clock: Clock,
    /// Calls to portals.
    pub gateway: Gateway,
    /// Calls to Meta.
    pub graph: GraphClient,
    /// Addresses and names.
    pub config: Arc<Config>,
    /// Wakes what waits for a line.
    pub scheduler: Arc<Scheduler>,
    /// Files of erased people.
    pub blobs: BlobStore,
    /// Fetches samples for templates.
    pub fetcher: Fetcher,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Calls to our own public address, as anybody would.
    pub probe: reqwest::Client,
    doctor: Arc<doctor::Memory>,
    syncing: Arc<tokio::sync::Mutex<()>>,
    /// One set-up at a time for each portal, and one link for each phone, by the name of the gate.
    busy: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    told: Arc<Mutex<HashSet<String>>>,
    claims: Arc<Mutex<budget::Budget>>,
    switched_off: Arc<Mutex<Vec<SwitchOff>>>,
    behalf: behalf::Behalf,
    logins: Arc<Mutex<facebook::Logins>>,
}

/// A line that we switched off ourselves, and until when its event is awaited.
#[derive(PartialEq, Eq)]
struct SwitchOff {
    portal: PortalId,
    line: LineId,
    until: DateTime<Utc>,
}

/// The parts of a [`Setup`].
pub struct Parts {
    /// The database.
    pub db: Db,
    /// What is configured.
    pub directory: Directory,
    /// The time.
    pub clock: Clock,
    /// Calls to portals.
    pub gateway: Gateway,
    /// Calls to Meta.
    pub graph: GraphClient,
    /// Addresses and names.
    pub config: Arc<Config>,
    /// Wakes what waits for a line.
    pub scheduler: Arc<Scheduler>,
    /// Files of erased people.
    pub blobs: BlobStore,
    /// Fetches samples for templates.
    pub fetcher: Fetcher,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Calls to our own public address, as anybody would.
    pub probe: reqwest::Client,
}

impl Setup {
    /// The use cases over these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, directory, clock, gateway, graph, config, scheduler, blobs, fetcher, metrics, probe } =
            parts;
        Self {
            db,
            directory,
            clock,
            gateway,
            graph,
            config,
            scheduler,
            blobs,
            fetcher,
            metrics,
            probe,
            doctor: Arc::default(),
            syncing: Arc::default(),
            busy: Arc::default(),
            told: Arc::default(),
            claims: Arc::default(),
            switched_off: Arc::default(),
            behalf: behalf::Behalf::default(),
            logins: Arc::default(),
        }
    }

    /// `public_url` and a path of ours.
    pub(crate) fn public(&self, path: &str) -> Url {
        let mut url = self.config.public_url.clone();
        url.set_path(path);
        url
    }

    /// The right to set up a portal; one at a time. `None` while another has it.
    fn begin(&self, portal: &MemberId) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        self.gate(portal).try_lock_owned().ok()
    }

    fn gate(&self, portal: &MemberId) -> Arc<tokio::sync::Mutex<()>> {
        self.named_gate(format!("portal:{portal}"))
    }

    /// The right to link or unlink a phone, from whichever portal; one at a time.
    fn begin_phone(&self, phone: &PhoneKey) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        self.named_gate(format!("phone:{phone}")).try_lock_owned().ok()
    }

    fn named_gate(&self, name: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.entry(name).or_default().clone()
    }

    /// Remembers that we switch a line off ourselves: the event that follows must not unlink what is bound
    /// to the line meanwhile. One event follows each.
    fn expect_switch_off(&self, portal: &PortalId, line: &LineId) {
        let until = self.clock.now() + ECHO_LIFE;
        let mut expected = self.switched_off.lock().unwrap_or_else(PoisonError::into_inner);
        expected.push(SwitchOff { portal: portal.clone(), line: line.clone(), until });
    }

    /// Whether a switch-off was our own; each is known once.
    fn was_our_switch_off(&self, portal: &PortalId, line: &LineId) -> bool {
        let now = self.clock.now();
        let mut expected = self.switched_off.lock().unwrap_or_else(PoisonError::into_inner);
        expected.retain(|one| one.until > now);
        let found = expected.iter().position(|one| one.portal == *portal && one.line == *line);
        found.map(|index| expected.swap_remove(index)).is_some()
    }
}
