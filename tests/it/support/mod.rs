//! What every test stands on: a whole bridge between two simulated clouds, set up as an administrator would.

pub mod database;
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
use wabridge::sandbox::portal::{LineEntry, PortalOptions, SimPortal};
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

    /// Ends the bridge as an administrator would, and starts it again on the same data and port.
    pub async fn restart(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        running.front.stop().await;
        running.task.await.unwrap().unwrap();
        self.boot().await;
    }

    /// Drops the bridge in the middle of what it does, and starts it again on the same data and port.
    pub async fn crash(&mut self) {
        self.go_down().await;
        self.boot().await;
    }

    /// Drops the bridge in the middle of what it does; see [`TestApp::boot`].
    pub async fn go_down(&mut self) {
        let running = self.running.take().unwrap();
        running.task.abort();
        running.front.stop().await;
        assert!(running.task.await.unwrap_err().is_cancelled());
    }

    /// Starts the bridge that went down.
    pub async fn boot(&mut self) {
        let address = self.base_url.trim_start_matches("http://");
        let port = TcpListener::bind(address).unwrap();
        let app = App::build(self.config.clone(), self.clock.clone()).await.unwrap();
        self.relay = app.relay.clone();
        let front = front::Front::start(port, &self.relay).await;
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        self.running = Some(Running { stop, task, front });
    }

    /// Why the bridge that went down does not start.
    pub async fn refuses_to_start(&self) -> String {
        let error = App::build(self.config.clone(), self.clock.clone()).await.err().expect("a refusal");
        format!("{error:#}")
    }

    /// Ends a test whose bridge went down for good.
    pub async fn gone(self) {
        assert!(self.running.is_none());
        self.cloud.stop().await;
        self.portal.stop().await;
    }

    /// Waits until `holds` gives something.
    pub async fn wait_for<T>(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some(found) = holds(self).await {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the portal has `count` messages in all, and nothing is left to do.
    pub async fn shown(&self, count: usize) {
        let enough = self.portal.wait_until(DEADLINE, |portal| portal.message_count() >= count).await;
        assert!(enough, "the portal has {} messages, not {count}", self.portal.message_count());
        self.settled().await;
        assert_eq!(self.portal.message_count(), count);
    }

    /// Waits until this many jobs wait.
    pub async fn waiting(&self, count: usize) {
        self.wait_for("jobs that wait", async |app| (app.relay.scheduler.pending() == count).then_some(()))
            .await;
    }

    /// Every job of these kinds, newest first.
    pub async fn jobs_of(&self, kind: &'static str) -> Vec<jobs::JobRow> {
        let page = wabridge::store::Page { limit: 1000, cursor: None };
        let all = self.relay.db.read(move |conn| jobs::list(conn, None, &page)).await.unwrap();
        all.into_iter().filter(|job| job.kind == kind).collect()
    }

    /// What the portal's log says of the calls that sent messages: how many items each bore.
    pub fn sends(&self) -> Vec<serde_json::Value> {
        self.portal.calls("imconnector.send.messages")
    }

    /// The texts that a chat shows, without the marks that keep the customer's brackets apart.
    pub fn texts(&self, chat: &str) -> Vec<String> {
        self.conversation(chat).iter().map(|entry| entry.text.replace('\u{200b}', "")).collect()
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

    /// Waits until no job is left that can still run.
    pub async fn settled(&self) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if self.relay.scheduler.pending() == 0 {
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

/// One of many customers.
pub fn customer(number: usize) -> SimCustomer {
    SimCustomer::with_number(&format!("1650556{number:04}"), &format!("{} Sample", name(number)))
}

/// The first name of one of many customers: names are letters only.
pub fn name(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + u8::try_from(digit % 26).unwrap());
    format!("Kunde{}{}", letter(number / 26), letter(number))
}

pub fn key_of(customer: &SimCustomer) -> String {
    customer.wa_id.clone().or(customer.user_id.clone()).unwrap()
}
