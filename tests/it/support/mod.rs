//! What every test stands on: a whole bridge between two simulated clouds, set up as an administrator would.

pub mod api;
pub mod browser;
pub mod calls;
pub mod database;
pub mod files;
pub mod linking;
pub mod panel;
pub mod process;
pub mod sip;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wabridge::access::{self, NewToken, Role};
use wabridge::app::{App, Listeners};
use wabridge::calls::CallLine;
use wabridge::clock::{Clock, ManualClock};
use wabridge::config::Config;
use wabridge::domain::{PhoneKey, PortalId};
use wabridge::queue::Class;
use wabridge::relay::Relay;
use wabridge::sandbox::cloud::{CloudOptions, ReceivedMessage, SimCloud, SimCustomer};
use wabridge::sandbox::portal::{Author, LineEntry, PortalOptions, SimFile, SimPortal};
use wabridge::store::jobs;
use wabridge::store::portals::{self, PortalRow};

/// The longest that anything in a test may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const APP_SECRET: &str = "test_app_secret";
pub const ACCESS_TOKEN: &str = "EAAG-test-token";
pub const CLIENT_ID: &str = "1029384756";
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
    /// A clock that stands still until [`TestApp::advance`]; the clouds share it.
    pub clock: Option<ManualClock>,
    /// The bridge is started and linked to nothing.
    pub unlinked: bool,
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
    pub api: api::Api,
    pub line: String,
    pub linked: Option<linking::Linked>,
    /// What the SIP edge would hold.
    call_line: Option<CallLine>,
    running: Option<Running>,
    leaves_jobs: bool,
    database: database::TestDatabase,
    data: TempDir,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let (mut of_cloud, mut of_portal) =
            (options.cloud.unwrap_or_default(), options.portal.unwrap_or_default());
        let clock = options.clock.clone().map_or(Clock::System, Clock::Manual);
        if options.clock.is_some() {
            (of_cloud.clock, of_portal.clock) = (clock.clone(), clock.clone());
        }
        let cloud = SimCloud::start(listener(), of_cloud).await.unwrap();
        let portal = SimPortal::start(listener(), listener(), of_portal).await.unwrap();
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
        // What the doctor asks in the background would meet the faults that a test has planned for others.
        config.doctor.interval = None;
        if let Some(change) = options.config {
            change(&mut config);
        }
        let app = App::build(config.clone(), clock.clone()).await.unwrap();
        let relay = app.relay.clone();
        let call_line = Some(app.call_line.clone());
        let new = NewToken { name: "test".into(), role: Role::Admin, expires_days: None };
        let token = access::create(&app.db, &clock, new).await.unwrap();
        let stop = CancellationToken::new();
        let listeners = Listeners { public: port, internal: None };
        let task = tokio::spawn(app.run(listeners, stop.clone()));
        let mut test = Self {
            cloud,
            portal,
            relay,
            config,
            clock,
            api: api::Api::new(&base_url, token.expose()),
            base_url,
            line: String::new(),
            linked: None,
            call_line,
            running: Some(Running { stop, task }),
            leaves_jobs: options.leaves_jobs,
            database,
            data,
        };
        linking::prepare_cloud(&test.cloud);
        if !options.unlinked {
            let linked = linking::link(&test.api, &test.cloud, &test.portal).await;
            test.line = linked.line.clone();
            if let Some(change) = options.phone {
                test.change_phone(&linked.phone_id, change).await;
            }
            test.linked = Some(linked);
        }
        test
    }

    async fn change_phone(&self, id: &str, change: Change<wabridge::store::phones::PhoneRow>) {
        use wabridge::store::phones;
        let id = id.to_owned();
        let mut row = self.relay.db.read(move |conn| phones::get(conn, &id)).await.unwrap().unwrap();
        change(&mut row);
        self.relay.db.write(move |tx| phones::update(tx.conn, &row)).await.unwrap();
        self.relay.directory.reload().await.unwrap();
    }

    /// The portal's id of the installed application.
    pub fn client_id(&self) -> &str {
        &self.linked().client_id
    }

    /// The bridge's id of the portal.
    pub fn portal_id(&self) -> PortalId {
        self.linked().portal_id.as_str().into()
    }

    /// The bridge's id of the phone.
    pub fn phone_id(&self) -> PhoneKey {
        self.linked().phone_id.as_str().into()
    }

    /// The queue of what goes to WhatsApp.
    pub fn send_queue(&self) -> String {
        Class::Send.queue(&self.phone_id())
    }

    fn linked(&self) -> &linking::Linked {
        self.linked.as_ref().expect("a bridge that is linked")
    }

    /// The portal as it is stored.
    pub async fn portal_row(&self) -> PortalRow {
        let id = self.portal_id().into_string();
        self.relay.db.read(move |conn| portals::get(conn, &id)).await.unwrap().unwrap()
    }

    /// An administrator installs the application again, to the end.
    pub async fn reinstall(&self) {
        let installed = self.portal.install(self.client_id()).await;
        assert_eq!(installed.status, Some(200), "{installed:?}");
        self.portal.finish_install(self.client_id());
    }

    /// Ends the bridge as an administrator would, and starts it again on the same data and port.
    pub async fn restart(&mut self) {
        let running = self.running.take().unwrap();
        self.call_line = None;
        running.stop.cancel();
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
        self.call_line = None;
        running.task.abort();
        assert!(running.task.await.unwrap_err().is_cancelled());
        // What the bridge had spawned goes a little later: its port, and the lock beside the embedded database.
        let address = self.base_url.trim_start_matches("http://");
        let lock = self.data.path().join("wabridge.lock");
        self.eventually("port and lock are free", async || {
            TcpListener::bind(address).ok()?;
            std::fs::File::create(&lock).unwrap().try_lock().ok()
        })
        .await;
    }

    /// Starts the bridge that went down.
    pub async fn boot(&mut self) {
        let address = self.base_url.trim_start_matches("http://");
        let port = TcpListener::bind(address).unwrap();
        let app = App::build(self.config.clone(), self.clock.clone()).await.unwrap();
        self.relay = app.relay.clone();
        self.call_line = Some(app.call_line.clone());
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(Listeners { public: port, internal: None }, stop.clone()));
        self.running = Some(Running { stop, task });
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

    /// Moves the clock of [`Options::clock`], and lets everybody look at it.
    pub fn advance(&self, by: chrono::Duration) {
        let Clock::Manual(hand) = &self.clock else { panic!("the clock is the system's") };
        hand.advance(by);
        for class in Class::ALL {
            self.relay.scheduler.ring(class);
        }
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

    /// Posts this body as Meta would, signed, and returns the status of the answer.
    pub async fn post_signed(&self, body: &[u8]) -> u16 {
        use hmac::Mac;
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(APP_SECRET.as_bytes()).unwrap();
        mac.update(body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let request = http_client()
            .post(format!("{}/api/waba/", self.base_url))
            .header("content-type", "application/json")
            .header("x-hub-signature-256", signature)
            .body(body.to_vec());
        request.send().await.unwrap().status().as_u16()
    }

    /// Posts one change of the field `messages` for the phone of the tests; it must be taken.
    pub async fn notify(&self, value: serde_json::Value) {
        let body = notification(vec![("messages", value_of(PHONE_ID, value))]);
        assert_eq!(self.post_signed(body.to_string().as_bytes()).await, 200);
    }

    /// The ledger, oldest first.
    pub async fn ledger(&self) -> Vec<wabridge::store::messages::MessageRow> {
        let page = wabridge::store::Page { limit: 10_000, cursor: None };
        let filter = wabridge::store::messages::LedgerFilter::default();
        let read = move |conn: &mut _| wabridge::store::messages::list(conn, &filter, &page);
        let mut rows = self.relay.db.read(read).await.unwrap();
        rows.reverse();
        rows
    }

    /// The message that Meta names so.
    pub async fn message(&self, wamid: &str) -> wabridge::store::messages::MessageRow {
        let found = self.ledger().await.into_iter().find(|row| row.wamid.as_deref() == Some(wamid));
        found.unwrap_or_else(|| panic!("no message {wamid}"))
    }

    /// Waits until the ledger has the message in this state.
    pub async fn message_is(&self, wamid: &str, state: &str) -> wabridge::store::messages::MessageRow {
        self.eventually(&format!("{wamid} is {state}"), async || {
            let found = self.ledger().await.into_iter().find(|row| row.wamid.as_deref() == Some(wamid));
            found.filter(|row| row.state == state)
        })
        .await
    }

    /// Kept events, oldest first.
    pub async fn events(&self) -> Vec<wabridge::store::events::EventRow> {
        let page = wabridge::store::Page { limit: 10_000, cursor: None };
        let read = move |conn: &mut _| wabridge::store::events::list(conn, None, &page);
        let mut rows = self.relay.db.read(read).await.unwrap();
        rows.reverse();
        rows
    }

    /// Looks again and again until there is something; fails at the deadline.
    pub async fn eventually<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "it never came true that {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the bridge has answered every webhook.
    pub async fn webhooks_taken(&self) {
        assert!(self.cloud.wait_until(DEADLINE, |cloud| cloud.webhooks_pending() == 0).await);
    }

    /// Sets the language of the portal as the bridge knows it.
    pub async fn set_language(&self, language: &'static str) {
        let change = move |tx: &mut wabridge::store::Tx<'_>| {
            let mut portal = portals::list(tx.conn)?.remove(0);
            portal.language = language.to_owned();
            portals::update(tx.conn, &portal)
        };
        assert!(self.relay.db.write(change).await.unwrap());
        self.relay.directory.reload().await.unwrap();
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
    pub async fn ledger_of(&self, chat: &str) -> Vec<wabridge::store::messages::MessageRow> {
        let chat = chat.to_owned();
        let mut rows =
            self.relay.db.read(move |conn| wabridge::store::messages::of_chat(conn, &chat)).await.unwrap();
        rows.retain(|row| row.direction == "outbound");
        rows.sort_by(|a, b| (&a.created_at, a.part).cmp(&(&b.created_at, b.part)));
        rows
    }

    /// The jobs that send an operator's messages, oldest first.
    pub async fn send_jobs(&self) -> Vec<jobs::JobRow> {
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
        self.call_line = None;
        running.stop.cancel();
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

/// A notification of these changes, each in an entry of its own.
pub fn notification(changes: Vec<(&str, serde_json::Value)>) -> serde_json::Value {
    let entry =
        |(field, value)| serde_json::json!({"id": WABA_ID, "changes": [{"field": field, "value": value}]});
    let entries: Vec<_> = changes.into_iter().map(entry).collect();
    serde_json::json!({"object": "whatsapp_business_account", "entry": entries})
}

/// A value with the metadata of a phone.
pub fn value_of(phone_id: &str, mut value: serde_json::Value) -> serde_json::Value {
    value["messaging_product"] = "whatsapp".into();
    value["metadata"] =
        serde_json::json!({"display_phone_number": PHONE_NUMBER, "phone_number_id": phone_id});
    value
}

/// A client like any other on the net.
pub fn http_client() -> reqwest::Client {
    wabridge::whatsapp::client::http_client(wabridge::tls::client_config(None).unwrap()).unwrap()
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
