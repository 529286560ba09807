//! What every test stands on: a whole bridge between two simulated clouds, set up as an administrator would.

pub mod database;
pub mod files;
mod front;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wabridge::app::App;
use wabridge::clock::Clock;
use wabridge::config::Config;
use wabridge::relay::Relay;
use wabridge::sandbox::cloud::{CloudOptions, ReceivedMessage, SimApp, SimCloud, SimCustomer};
use wabridge::sandbox::portal::{Author, LineEntry, PortalOptions, SimFile, SimPortal};
use wabridge::store::jobs;

/// The longest that anything in a test may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const APP_SECRET: &str = "test_app_secret";
pub const ACCESS_TOKEN: &str = "EAAG-test-token";
pub const CLIENT_ID: &str = "1029384756";
pub const VERIFY_TOKEN: &str = "test_verify_token";
pub const WABA_ID: &str = "104996122399160";
pub const PHONE_ID: &str = "106540352242922";
pub const PHONE_NUMBER: &str = "15550783881";

type Change<T> = Box<dyn FnOnce(&mut T) + Send>;

/// What a test wants otherwise.
#[derive(Default)]
pub struct Options {
    pub cloud: Option<CloudOptions>,
    pub portal: Option<PortalOptions>,
    pub config: Option<Change<Config>>,
    pub phone: Option<Change<wabridge::store::phones::PhoneRow>>,
    /// Jobs may be left when the test ends.
    pub leaves_jobs: bool,
}

/// A bridge between two simulated clouds.
pub struct TestApp {
    pub cloud: SimCloud,
    pub portal: SimPortal,
    pub relay: Arc<Relay>,
    pub config: Config,
    pub clock: Clock,
    pub base_url: String,
    pub line: String,
    pub client_id: String,
    running: Option<Running>,
    leaves_jobs: bool,
    database: database::TestDatabase,
    data: TempDir,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    front: front::Front,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let cloud = SimCloud::start(listener(), options.cloud.unwrap_or_default()).await.unwrap();
        let portal =
            SimPortal::start(listener(), listener(), options.portal.unwrap_or_default()).await.unwrap();
        let data = TempDir::new().unwrap();
        let database = database::TestDatabase::create(data.path()).await;
        let port = listener();
        let base_url = format!("http://{}", port.local_addr().unwrap());
        let mut config = Config::default();
        config.public_url = base_url.parse().unwrap();
        config.data_dir = data.path().to_owned();
        config.secrets.master_key_path = data.path().join("secret.key");
        config.database.url = database.url();
        config.meta.graph_url = cloud.url().parse().unwrap();
        config.bitrix.oauth_servers = vec![portal.oauth_url().parse().unwrap()];
        config.outbound.allow_private_networks = true;
        config.relay.doubt = Duration::from_secs(2);
        if let Some(change) = options.config {
            change(&mut config);
        }
        let clock = Clock::System;
        let app = App::build(config.clone(), clock.clone()).await.unwrap();
        let relay = app.relay.clone();
        let front = front::Front::start(port, &relay).await;
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        let mut test = Self {
            cloud,
            portal,
            relay,
            config,
            clock,
            base_url,
            line: String::new(),
            client_id: String::new(),
            running: Some(Running { stop, task, front }),
            leaves_jobs: options.leaves_jobs,
            database,
            data,
        };
        test.set_up(options.phone).await;
        test
    }

    async fn set_up(&mut self, phone: Option<Change<wabridge::store::phones::PhoneRow>>) {
        self.cloud.add_app(SimApp {
            client_id: CLIENT_ID.into(),
            client_secret: APP_SECRET.into(),
            access_token: ACCESS_TOKEN.into(),
            callback_url: None,
            verify_token: VERIFY_TOKEN.into(),
        });
        self.cloud.add_waba(WABA_ID, "Lucky Shrub");
        self.cloud.add_phone(WABA_ID, PHONE_ID, "+1 555-078-3881", "Lucky Shrub");
        self.cloud.subscribe(WABA_ID, CLIENT_ID);
        front::seed(self, phone).await;
        self.cloud.place_callback(CLIENT_ID, &format!("{}/api/waba/", self.base_url), VERIFY_TOKEN).unwrap();
    }

    /// The chats of the line as the portal has them.
    pub fn conversation(&self, chat: &str) -> Vec<LineEntry> {
        self.portal.conversation(&self.line, chat)
    }

    /// Waits until the portal has a chat of a client whose name begins so, and returns its external id.
    pub async fn chat_of(&self, name: &str) -> String {
        let find = |portal: &SimPortal| {
            portal
                .chats(&self.line)
                .into_iter()
                .find(|chat| chat.name.starts_with(name))
                .map(|chat| chat.external_id)
        };
        let found = self.portal.wait_until(DEADLINE, |portal| find(portal).is_some()).await;
        assert!(found, "the portal has no chat of {name}: {:?}", self.portal.chats(&self.line));
        find(&self.portal).unwrap()
    }

    /// Waits until the line shows `count` messages in a chat.
    pub async fn line_has(&self, chat: &str, count: usize) -> Vec<LineEntry> {
        let line = self.line.clone();
        let enough =
            self.portal.wait_until(DEADLINE, |portal| portal.conversation(&line, chat).len() >= count).await;
        let shown = self.conversation(chat);
        assert!(enough, "the line shows {} messages, not {count}: {shown:#?}", shown.len());
        shown
    }

    /// Waits until the customer's phone shows `count` messages of the business.
    pub async fn customer_has(&self, customer: &SimCustomer, count: usize) -> Vec<ReceivedMessage> {
        let key = key_of(customer);
        let enough =
            self.cloud.wait_until(DEADLINE, |cloud| cloud.received(PHONE_ID, &key).len() >= count).await;
        let received = self.cloud.received(PHONE_ID, &key);
        assert!(enough, "the customer has {} messages, not {count}: {received:#?}", received.len());
        received
    }

    /// Sends a text as a customer.
    pub fn customer_writes(&self, customer: &SimCustomer, text: &str) -> String {
        self.cloud.customer_sends(
            PHONE_ID,
            customer,
            serde_json::json!({"type": "text", "text": {"body": text}}),
        )
    }

    /// Waits until the portal has no event to tell and no job is left that can still run.
    pub async fn settled(&self) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            // An event that is still on its way will make jobs.
            if self.portal.events_waiting() == 0 && self.relay.scheduler.pending() == 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "jobs are left: {:#?}", self.jobs("ready").await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Jobs in a state.
    pub async fn jobs(&self, state: &'static str) -> Vec<jobs::JobRow> {
        let page = wabridge::store::Page { limit: 1000, cursor: None };
        self.relay.db.read(move |conn| jobs::list(conn, Some(state), &page)).await.unwrap()
    }

    /// A customer who has written once, and the chat that this made in the line.
    pub async fn opened(&self, customer: &SimCustomer) -> String {
        self.customer_writes(customer, "Good morning");
        let chat = self.chat_of(customer.name.split(' ').next().unwrap()).await;
        self.line_has(&chat, 1).await;
        self.settled().await;
        chat
    }

    /// The operator writes into a chat.
    pub fn operator(&self, chat: &str, text: &str, files: Vec<SimFile>) -> String {
        self.portal.operator_writes(&self.line, chat, text, files).unwrap()
    }

    /// One entry of a chat.
    pub fn entry(&self, chat: &str, im_message_id: &str) -> LineEntry {
        let shown = self.conversation(chat);
        shown.into_iter().find(|entry| entry.im_message_id == im_message_id).unwrap()
    }

    /// Our own notes in a chat.
    pub fn notes(&self, chat: &str) -> Vec<String> {
        let shown = self.conversation(chat).into_iter();
        shown.filter(|entry| entry.author == Author::System).map(|entry| entry.text).collect()
    }

    /// Waits until some note in a chat holds these words.
    pub async fn note(&self, chat: &str, words: &str) -> String {
        let line = self.line.clone();
        let find = |portal: &SimPortal| {
            let shown = portal.conversation(&line, chat).into_iter();
            shown.filter(|entry| entry.author == Author::System).find(|entry| entry.text.contains(words))
        };
        let told = self.portal.wait_until(DEADLINE, |portal| find(portal).is_some()).await;
        assert!(told, "no note says {words:?}: {:#?}", self.notes(chat));
        find(&self.portal).unwrap().text
    }

    /// The calls that acknowledge an operator's message: the wamids of each.
    pub fn acknowledged(&self, im_message_id: &str) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for call in self.portal.calls("imconnector.send.status.delivery") {
            for item in items(&call, "MESSAGES") {
                if text_of(&item["im"]["message_id"]) == im_message_id {
                    let ids = match &item["message"]["id"] {
                        serde_json::Value::Array(ids) => ids.iter().map(text_of).collect(),
                        serde_json::Value::Object(ids) => ids.values().map(text_of).collect(),
                        id => vec![text_of(id)],
                    };
                    found.push(ids);
                }
            }
        }
        found
    }

    /// What the ledger holds of the business's messages in a chat, oldest first.
    pub async fn ledger(&self, chat: &str) -> Vec<wabridge::store::messages::MessageRow> {
        let chat = chat.to_owned();
        let mut rows =
            self.relay.db.read(move |conn| wabridge::store::messages::of_chat(conn, &chat)).await.unwrap();
        rows.retain(|row| row.direction == "outbound");
        rows.sort_by(|a, b| (&a.created_at, a.part).cmp(&(&b.created_at, b.part)));
        rows
    }

    /// The jobs that send an operator's messages, oldest first.
    pub async fn sends(&self) -> Vec<jobs::JobRow> {
        let page = wabridge::store::Page { limit: 1000, cursor: None };
        let mut rows = self.relay.db.read(move |conn| jobs::list(conn, None, &page)).await.unwrap();
        rows.retain(|row| row.kind == "send");
        rows.sort_by_key(|row| row.lane_seq);
        rows
    }

    /// Waits until a condition on the bridge's own data holds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !holds().await {
            assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the bridge as an administrator would, and asserts that it left nothing undone.
    pub async fn stop(mut self) {
        if !self.leaves_jobs {
            self.settled().await;
        }
        let running = self.running.take().unwrap();
        running.stop.cancel();
        running.front.stop().await;
        running.task.await.unwrap().unwrap();
        self.cloud.stop().await;
        self.portal.stop().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(
            self.running.is_none() || std::thread::panicking(),
            "a test must end with `stop`, which asserts that no job is left"
        );
        let _ = (&self.database, &self.data);
    }
}

/// A free port of this machine.
pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The customers of the tests.
pub fn anna() -> SimCustomer {
    SimCustomer::with_number("16505551234", "Anna Sample")
}

pub fn bob() -> SimCustomer {
    SimCustomer::with_number("16505554321", "Bob Sample")
}

pub fn key_of(customer: &SimCustomer) -> String {
    customer.wa_id.clone().or(customer.user_id.clone()).unwrap()
}

/// A number or text as text.
fn text_of(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The elements under `key`, wherever a logged call has them; form arrays are objects there.
fn items(call: &serde_json::Value, key: &str) -> Vec<serde_json::Value> {
    match call {
        serde_json::Value::Object(map) => match map.get(key) {
            Some(serde_json::Value::Array(items)) => items.clone(),
            Some(serde_json::Value::Object(items)) => items.values().cloned().collect(),
            _ => map.values().flat_map(|value| items(value, key)).collect(),
        },
        _ => Vec::new(),
    }
}

/// An operator's file.
pub fn file(name: &str, mime: &str, bytes: impl Into<Vec<u8>>) -> SimFile {
    SimFile { name: name.into(), mime: mime.into(), bytes: bytes.into() }
}

/// A picture of so many bytes, as far as its first bytes tell.
pub fn jpeg(size: usize) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec();
    bytes.resize(size.max(bytes.len()), 7);
    bytes
}

/// A file of `tests/fixtures/media`.
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/media/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
