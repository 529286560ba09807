//! Composition root: builds everything, runs it, joins every task. Reads like a table of contents.

mod asterisk;
pub mod backup;
mod certificates;
pub mod commands;
pub mod doctor;
mod edge;
mod janitor;
mod lock;
pub mod sandbox;
pub mod serve;
pub mod transfer;
mod upkeep;
mod web;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chrono::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::bitrix::client::RestClient;
use crate::bitrix::oauth::AllowedServers;
use crate::calls::card::{self, CardRunner};
use crate::calls::{CallLine, Calls, Inbox};
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl, SecretsConfig};
use crate::directory::Directory;
use crate::gateway::Gateway;
use crate::http::State;
use crate::media::blobs::BlobStore;
use crate::media::fetch::{FetchRules, Fetcher};
use crate::queue::policy::Policy;
use crate::queue::{Class, Scheduler, Take, Worker};
use crate::relay::courier::{self, Courier};
use crate::relay::fetch::MediaFetcher;
use crate::relay::limits::{self, Limits};
use crate::relay::sender::{Pairs, Sender};
use crate::relay::sms::report::{self, Reporter};
use crate::relay::{Relay, Settings};
use crate::secrets::Vault;
use crate::setup::{Parts, Setup};
use crate::store::db::WriterThread;
use crate::store::{self, Db, DbUrl, jobs, migrate};
use crate::telemetry::Metrics;
use crate::tls::ReloadingCert;
use crate::whatsapp::GraphClient;
use crate::{bitrix, calls, tls, whatsapp};

use certificates::Watched;
pub use web::Listeners;

/// Chats of one phone whose messages go to WhatsApp at the same time.
const SENDS: Take = Take { parallel: 16, jobs: 1, files: 1, newcomers: 1 };
/// Files of one phone that are fetched at the same time.
const FETCHES: Take = Take { parallel: 4, jobs: 1, files: 1, newcomers: 1 };

/// The bridge, built and not yet running.
pub struct App {
    /// Settings.
    pub config: Arc<Config>,
    /// The database.
    pub db: Db,
    /// What is configured.
    pub directory: Directory,
    /// The relay.
    pub relay: Arc<Relay>,
    /// Use cases on the installation.
    pub setup: Arc<Setup>,
    /// Use cases on calls.
    pub calls: Arc<Calls>,
    /// What the SIP edge is given; whoever holds a clone past the stop delays it.
    pub call_line: CallLine,
    /// Counters.
    pub metrics: Arc<Metrics>,
    call_inbox: Inbox,
    writer: WriterThread,
    lock: lock::Lock,
}

impl App {
    /// Opens the database, becomes the only one that serves it, and builds everything on it.
    pub async fn build(config: Config, clock: Clock) -> anyhow::Result<Self> {
        make_data_dir(&config.data_dir)?;
        let url = database_url(&config);
        let lock = lock::acquire(&url, &config.data_dir).await?;
        let migrating = url.clone();
        tokio::task::spawn_blocking(move || migrate::migrate(&migrating)).await??;

        let (metrics, scheduler) = (Arc::new(Metrics::new()), Scheduler::new());
        let (offered, counted) = (scheduler.clone(), metrics.clone());
        let on_commit = move |jobs: Vec<_>, group| {
            counted.write_group(group);
            if !jobs.is_empty() {
                offered.offer(jobs);
            }
        };
        let (db, writer) = Db::start(url, Arc::new(on_commit))?;
        let vault = open_vault(&config.secrets, &db).await?;
        let in_doubt = db.write(|tx| jobs::clear_leases(tx.conn)).await?;
        let directory = Directory::open(db.clone(), vault).await?;
        let relay = Arc::new(build_relay(&config, &db, &directory, &clock, &scheduler, &metrics)?);
        let since = clock.now() - limits::COUNTED;
        relay.limits.load(db.read(move |conn| store::limits::since(conn, since)).await?);
        let config = Arc::new(config);
        let setup = Arc::new(build_setup(&config, &relay)?);
        let (calls, call_line, call_inbox) = Calls::new(call_parts(&config, &relay));
        let calls = Arc::new(calls);
        let waiting = scheduler.load(&db).await?;
        tracing::info!(waiting, in_doubt, "jobs of the last run are taken up");
        Ok(Self { config, setup, db, directory, relay, calls, call_line, metrics, call_inbox, writer, lock })
    }

    /// Runs until `stop`, then lets what runs come to its end and closes the database.
    pub async fn run(self, listeners: Listeners, stop: CancellationToken) -> anyhow::Result<()> {
        let state = Arc::new(State {
            config: self.config.clone(),
            db: self.db.clone(),
            directory: self.directory.clone(),
            clock: self.relay.clock.clone(),
            relay: self.relay.clone(),
            setup: self.setup.clone(),
            blobs: self.relay.blobs.clone(),
            metrics: self.metrics.clone(),
            access: Access::new(self.db.clone(), self.relay.clock.clone()),
            texts: Arc::default(),
            stop: stop.clone(),
        });
        let edge = edge::bind(&self.config.sip, &self.metrics).await?;
        let addresses = listeners.addresses();
        let (public, certificate) = web::public(listeners.public, state.clone(), &self.config.http)?;
        // Only now: what is said to listen has its certificate.
        web::tell(addresses);
        edge.iter().for_each(edge::tell);
        let mut tasks = JoinSet::new();
        tasks.spawn(web::run(public, stop.clone()));
        if let Some(internal) = listeners.internal {
            tasks.spawn(web::run(web::internal(internal, state.clone())?, stop.clone()));
        }
        if let Some(certificate) = certificate {
            tasks.spawn(certificates::watch(self.watched("http", certificate), stop.clone()));
        }
        let mut patience = DRAIN;
        if let Some(edge) = edge {
            patience += self.config.sip.drain;
            tasks.spawn(certificates::watch(self.watched("sip", edge.certificate()), stop.clone()));
            let (line, clock) = (self.call_line.clone(), self.relay.clock.clone());
            tasks.spawn(edge::run(edge, line, clock, stop.clone()));
        }
        let worker = self.relay.worker.clone();
        tasks.spawn(worker.clone().serve(
            Class::Line,
            courier::TAKE,
            Arc::new(Courier(self.relay.clone())),
            stop.clone(),
        ));
        tasks.spawn(worker.clone().serve(
            Class::Send,
            SENDS,
            Arc::new(Sender(self.relay.clone())),
            stop.clone(),
        ));
        tasks.spawn(worker.clone().serve(
            Class::Media,
            FETCHES,
            Arc::new(MediaFetcher(self.relay.clone())),
            stop.clone(),
        ));
        tasks.spawn(self.relay.worker.clone().serve(
            Class::Call,
            card::TAKE,
            Arc::new(CardRunner(self.calls.clone())),
            stop.clone(),
        ));
        tasks.spawn(self.calls.serve(self.call_inbox, stop.clone()));
        // The edge alone keeps the line: where there is none, nobody's last words are waited for.
        drop(self.call_line);
        tasks.spawn(worker.serve(
            Class::Portal,
            report::TAKE,
            Arc::new(Reporter(self.relay.clone())),
            stop.clone(),
        ));
        tasks.spawn(janitor::run(self.relay.clone(), self.config.clone(), stop.clone()));
        tasks.spawn(upkeep::run(self.relay.clone(), self.metrics.clone(), stop.clone()));
        tasks.spawn(upkeep::check_portals(self.setup.clone(), stop.clone()));
        tasks.spawn(upkeep::sync_templates(self.setup.clone(), self.relay.clone(), stop.clone()));
        tasks.spawn(doctor::tell(self.setup.clone(), stop.clone()));
        if let Some(interval) = self.config.doctor.interval {
            tasks.spawn(doctor::run(self.setup.clone(), interval, stop.clone()));
        }
        let mut watch = JoinSet::new();
        watch.spawn(lock::watch(self.lock, self.db.url().clone(), stop.clone()));
        // Ends at the stop (a look at the lock may hang then), or when somebody else serves the database.
        let mut watched = tokio::select! {
            () = stop.cancelled() => None,
            ended = watch.join_next() => ended,
        };
        stop.cancel();
        let drained = tokio::time::timeout(patience, async {
            while tasks.join_next().await.is_some() {}
            self.relay.gateway.close().await;
        })
        .await;
        if drained.is_err() {
            tracing::warn!(
                "some calls did not end in time; their jobs are in doubt and taken up at the next start"
            );
            tasks.shutdown().await;
        }
        let writer = self.writer;
        tokio::task::spawn_blocking(move || writer.close()).await?;
        if watched.is_none() {
            watched = tokio::time::timeout(LOCK_RELEASE, watch.join_next()).await.ok().flatten();
        }
        // Only now may another serve; unless one does already, which is an error here.
        drop(watched.transpose()?.transpose()?);
        Ok(())
    }

    fn watched(&self, listener: &'static str, certificate: Arc<ReloadingCert>) -> Watched {
        let (clock, metrics) = (self.relay.clock.clone(), self.metrics.clone());
        Watched { listener, certificate, clock, metrics }
    }
}

/// How long calls under way may take to end after a stop; a stop is over within 8 s.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(6);
/// How long a look at the lock may take to end after a stop.
const LOCK_RELEASE: std::time::Duration = std::time::Duration::from_secs(1);

/// The data directory, for us alone: chats and files of people lie in it. One that is there already keeps the
/// permissions that its administrator gave it.
fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data directory {} cannot be made", path.display()))
}

fn database_url(config: &Config) -> DbUrl {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => DbUrl::Sqlite(path.clone()),
        DatabaseUrl::Postgres(url) => DbUrl::Postgres(url.expose().to_owned()),
    }
}

/// The vault with the key that this database was made with, a new one for a new database. A wrong or missing key
/// is told before anything is served.
async fn open_vault(secrets: &SecretsConfig, db: &Db) -> anyhow::Result<Arc<Vault>> {
    if let Some(sealed) = db.read(store::vault::check).await? {
        let vault = Vault::with_known_key(secrets)?;
        vault.verify_check(&sealed)?;
        return Ok(Arc::new(vault));
    }
    let vault = Vault::from_config(secrets)?;
    let sealed = vault.check_text();
    db.write(move |tx| store::vault::set_check(tx.conn, &sealed)).await?;
    Ok(Arc::new(vault))
}

fn build_relay(
    config: &Config,
    db: &Db,
    directory: &Directory,
    clock: &Clock,
    scheduler: &Arc<Scheduler>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Relay> {
    let rest = RestClient::new(bitrix::client::http_client(tls::client_config(None)?)?);
    let servers = AllowedServers::new(config.bitrix.oauth_servers.clone());
    let graph_http = whatsapp::client::http_client(tls::client_config(None)?)?;
    let (graph_url, version) = (config.meta.graph_url.clone(), config.meta.graph_version.clone());
    let allowed = config.outbound.allowed_hosts.iter().map(|host| host.to_string().parse());
    let rules = FetchRules {
        allowed_hosts: allowed.collect::<Result<_, _>>().context("outbound.allowed_hosts")?,
        allow_private: config.outbound.allow_private_networks,
        max_bytes: config.media.max_bytes,
        timeout: std::time::Duration::from_secs(60),
        max_redirects: 5,
    };
    let worker = Worker { db: db.clone(), clock: clock.clone(), scheduler: scheduler.clone() };
    Ok(Relay {
        db: db.clone(),
        clock: clock.clone(),
        directory: directory.clone(),
        scheduler: scheduler.clone(),
        worker,
        gateway: Gateway::new(directory.clone(), db.clone(), clock.clone(), rest, servers, metrics.clone()),
        graph: GraphClient::new(graph_http, graph_url, version),
        blobs: BlobStore::open(config.data_dir.join("media")).context("the media directory")?,
        fetcher: Fetcher::new(rules, tls::client_config(None)?)?,
        metrics: metrics.clone(),
        settings: settings(config)?,
        known_chats: Relay::chat_cache(),
        doubts: courier::Doubts::default(),
        template_wishes: tokio::sync::Notify::new(),
        limits: Limits::default(),
        pairs: Pairs::default(),
    })
}

fn call_parts(config: &Config, relay: &Relay) -> calls::Parts {
    calls::Parts {
        db: relay.db.clone(),
        clock: relay.clock.clone(),
        directory: relay.directory.clone(),
        gateway: relay.gateway.clone(),
        graph: relay.graph.clone(),
        worker: relay.worker.clone(),
        policy: relay.settings.policy,
        drain: config.sip.drain,
        window_opened: Arc::new(crate::relay::held::release),
    }
}

fn build_setup(config: &Arc<Config>, relay: &Relay) -> anyhow::Result<Setup> {
    Ok(Setup::new(Parts {
        db: relay.db.clone(),
        directory: relay.directory.clone(),
        clock: relay.clock.clone(),
        gateway: relay.gateway.clone(),
        graph: relay.graph.clone(),
        config: config.clone(),
        scheduler: relay.scheduler.clone(),
        blobs: relay.blobs.clone(),
        fetcher: relay.fetcher.clone(),
        metrics: relay.metrics.clone(),
        probe: whatsapp::client::http_client(tls::client_config(None)?)?,
    }))
}

fn settings(config: &Config) -> anyhow::Result<Settings> {
    Ok(Settings {
        public_url: config.public_url.clone(),
        connector: config.bitrix.connector_code.clone(),
        default_country: config.bitrix.default_country.clone(),
        media_wait: Duration::from_std(config.relay.media_wait)?,
        doubt: Duration::from_std(config.relay.doubt)?,
        media_max: config.media.max_bytes,
        media_kept: Duration::from_std(config.retention.media)?,
        media_hosts: config.meta.media_hosts.clone(),
        policy: Policy {
            max_attempts: i32::try_from(config.relay.max_attempts)?,
            outage: Duration::from_std(config.relay.outage)?,
        },
    })
}
