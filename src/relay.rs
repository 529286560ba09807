//! Use cases on messages.
//!
//! | file | does |
//! | --- | --- |
//! | [`inbound`], `arrival` | takes in what Meta posts; one message of it |
//! | `whose`, [`known_chats`] | find the chat that a message belongs to |
//! | [`statuses`], [`fields`], `template_news`, `permission` | apply what it says of our sends, phones and accounts, and of whom we may call |
//! | [`outbound`] | takes in what operators write |
//! | [`courier`] | hands what waits for a line to the portal |
//! | [`sender`] | sends operators' messages to WhatsApp, part by part; what it writes is in `effects`, its pace in [`pace`], `pairs`, `gate` and [`limits`] |
//! | [`sms`] | takes in what the CRM sends through its SMS provider, and tells it what became of that |
//! | `shorthand`, `uploads` | what becomes an approved template: found, filled, its file brought here and uploaded once |
//! | [`held`], `late` | what becomes of an operator's text while the window is closed; and if only Meta knew that |
//! | [`fetch`] | fetches contacts' files from Meta |
//! | `changes` | what contacts' edits and revocations make of a message, whichever came first |

mod arrival;
mod changes;
pub mod courier;
mod effects;
pub mod fetch;
pub mod fields;
pub mod gate;
pub mod held;
pub mod inbound;
pub mod known_chats;
mod late;
pub mod limits;
mod loaded;
pub mod outbound;
pub mod pace;
mod pairs;
pub mod parts;
mod permission;
pub mod plan;
mod prepare;
pub mod sender;
mod shorthand;
pub mod sms;
pub mod statuses;
mod surely;
mod template_news;
pub mod templates;
mod to_portal;
mod try_out;
mod uploads;
mod whose;

use std::sync::Arc;

use chrono::Duration;
use url::Url;

use known_chats::KnownChats;

use crate::clock::Clock;
use crate::directory::Directory;
use crate::domain::PhoneKey;
use crate::gateway::Gateway;
use crate::media::blobs::BlobStore;
use crate::media::fetch::Fetcher;
use crate::media::link::{MediaToken, media_url};
use crate::queue::policy::Policy;
use crate::queue::{Class, Scheduler, Worker};
use crate::store::Db;
use crate::telemetry::Metrics;
use crate::whatsapp::GraphClient;

/// Chats that are kept in memory, so that a known contact costs no look-up.
const KNOWN_CHATS: usize = 20_000;

/// Settings of the relay.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How we are reached, for media links.
    pub public_url: Url,
    /// Our connector at every portal.
    pub connector: String,
    /// ISO-2 country of numbers that a CRM holds without country code, where the portal has none set.
    pub default_country: Option<String>,
    /// How long a message waits for its file before the line is told.
    pub media_wait: Duration,
    /// How long a status that proves a send is waited for.
    pub doubt: Duration,
    /// Largest file.
    pub media_max: u64,
    /// How long a media link that a contact got stays good.
    pub media_kept: Duration,
    /// Hosts that the access token may be sent to for a download.
    pub media_hosts: Vec<String>,
    /// What errors mean.
    pub policy: Policy,
}

/// Everything that relaying needs.
pub struct Relay {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// What is configured.
    pub directory: Directory,
    /// Which jobs may run.
    pub scheduler: Arc<Scheduler>,
    /// Finishes jobs.
    pub worker: Worker,
    /// The way to portals.
    pub gateway: Gateway,
    /// The way to Meta.
    pub graph: GraphClient,
    /// Files on disk.
    pub blobs: BlobStore,
    /// The guarded fetcher.
    pub fetcher: Fetcher,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Settings.
    pub settings: Settings,
    /// Chats of contacts that wrote lately, see [`inbound`].
    pub known_chats: KnownChats,
    /// Calls to lines that failed in doubt.
    pub doubts: courier::Doubts,
    /// Rings when a webhook told of templates that are to be read anew.
    pub template_wishes: tokio::sync::Notify,
    /// Whom the portfolios wrote first.
    pub limits: limits::Limits,
    /// Pacing of sends to one contact.
    pub pairs: sender::Pairs,
}

impl Relay {
    /// An empty cache of chats for [`Relay::known_chats`].
    pub fn chat_cache() -> KnownChats {
        KnownChats::new(KNOWN_CHATS)
    }

    /// How many jobs wait to go to WhatsApp by this phone.
    pub fn waiting_sends(&self, phone: &PhoneKey) -> usize {
        self.scheduler.pending_in(&Class::Send.queue(phone))
    }

    /// To be called when a person was erased: what was known of their chats in memory is forgotten.
    pub fn forget_known_chats(&self) {
        self.known_chats.forget_all();
    }

    /// A new link to a file: what goes out, and the hash under which it must be stored first.
    fn media_link(&self, name: &str) -> Option<(String, String)> {
        let token = MediaToken::generate().ok()?;
        Some((media_url(&self.settings.public_url, &token.token, name), token.hash))
    }
}
