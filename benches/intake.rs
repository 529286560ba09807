//! How much the bridge takes in, and how fast: `cargo bench --bench intake`.
//!
//! The bridge is a process of its own, built with optimisation; this process is Meta, the portal and the load.
//! Prints tables, judges nothing. PostgreSQL is measured where `WABRIDGE_TEST_DATABASE_URL` names one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wabridge::config::DatabaseUrl;
use wabridge::domain::Secret;
use wabridge::sandbox::cloud::{CloudOptions, SimCloud};
use wabridge::sandbox::portal::{PortalOptions, SimPortal};
use wabridge::whatsapp::signature;

use support::api::Api;
use support::database::TestDatabase;
use support::linking::{link, prepare_cloud};
use support::{APP_SECRET, CLIENT_ID, PHONE_ID, PHONE_NUMBER, WABA_ID, listener};

/// People who write.
const PEOPLE: u64 = 1_000;
/// Ids from here on belong to the measurement of the idle bridge.
const IDLE_IDS: u64 = 1_000_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test --benches` only wants to know that this starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // `cargo bench --bench intake -- end` measures end to end alone, `-- durable` the intake alone.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    println!("machine: {} cores, {}", num_cores(), cpu_name());
    let databases: &[&str] = match std::env::var("WABRIDGE_TEST_DATABASE_URL") {
        Ok(_) => &["SQLite", "PostgreSQL"],
        Err(_) => {
            println!("PostgreSQL is not measured: WABRIDGE_TEST_DATABASE_URL names none");
            &["SQLite"]
        }
    };
    if wanted("durable") {
        durable(databases).await;
    }
    if wanted("end") {
        end_to_end(databases).await;
    }
}

async fn durable(databases: &[&str]) {
    println!(
        "\n| intake, durable | connections | updates each | webhooks/s | updates/s | p50 ms | p99 ms | RSS MB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for name in databases {
        for (connections, updates, count) in [(1, 1, 3_000), (64, 1, 40_000), (1, 100, 200), (64, 100, 1_000)]
        {
            let bench = Bench::start(name, false).await;
            let load = bench.load(connections, updates, count).await;
            println!(
                "| {name} | {connections} | {updates} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} |",
                load.per_second,
                load.per_second * updates as f64,
                load.latency.value_at_quantile(0.5) as f64 / 1000.0,
                load.latency.value_at_quantile(0.99) as f64 / 1000.0,
                bench.rss_mb(),
            );
            bench.stop().await;
        }
    }
}

async fn end_to_end(databases: &[&str]) {
    println!("\n| end to end | messages | messages/s | RSS MB after | idle p50 ms | idle p99 ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for name in databases {
        let bench = Bench::start(name, true).await;
        let idle = bench.idle_latency(300).await;
        let (rate, count) = bench.end_to_end(100_000).await;
        println!(
            "| {name} | {count} | {rate:.0} | {:.0} | {:.2} | {:.2} |",
            bench.rss_mb(),
            idle.value_at_quantile(0.5) as f64 / 1000.0,
            idle.value_at_quantile(0.99) as f64 / 1000.0,
        );
        bench.stop().await;
    }
}

struct Bench {
    child: Child,
    address: String,
    path: String,
    cloud: SimCloud,
    portal: SimPortal,
    next: Arc<AtomicU64>,
    _database: TestDatabase,
    _data: tempfile::TempDir,
}

struct Load {
    per_second: f64,
    /// Microseconds.
    latency: Histogram<u64>,
}

impl Bench {
    /// A bridge that is linked; `line`: also to a line, else what comes in waits on disk.
    async fn start(database: &str, line: bool) -> Self {
        let cloud = SimCloud::start(listener(), CloudOptions::benchmark()).await.unwrap();
        let options = PortalOptions { rate: None, quiet: true, ..PortalOptions::default() };
        let portal = SimPortal::start(listener(), listener(), options).await.unwrap();
        let data = tempfile::TempDir::new().unwrap();
        let database = match database {
            "SQLite" => TestDatabase::embedded(data.path()),
            _ => TestDatabase::create(data.path()).await,
        };
        let port = listener();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        let base = format!("http://{address}");
        let url = match database.url() {
            DatabaseUrl::Sqlite(path) => Secret::from(format!("sqlite:{}", path.display())),
            DatabaseUrl::Postgres(url) => url,
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_wabridge"));
        command
            .env("WABRIDGE_PUBLIC_URL", &base)
            .env("WABRIDGE_DATA_DIR", data.path())
            .env("WABRIDGE_DATABASE__URL", url.expose())
            .env("WABRIDGE_HTTP__LISTEN", &address)
            .env("WABRIDGE_HTTP__INTERNAL_LISTEN", "")
            .env("WABRIDGE_META__GRAPH_URL", cloud.url())
            .env("WABRIDGE_BITRIX__OAUTH_SERVERS", format!("[\"{}\"]", portal.oauth_url()))
            .env("WABRIDGE_OUTBOUND__ALLOW_PRIVATE_NETWORKS", "true")
            .env("WABRIDGE_LOG__LEVEL", "error")
            // As the systemd unit and the image set it.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir(data.path());
        let child = command.arg("serve").stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&address).await.is_err() {
            assert!(Instant::now() < deadline, "the bridge does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let token = Command::new(env!("CARGO_BIN_EXE_wabridge"))
            .env("WABRIDGE_DATA_DIR", data.path())
            .env("WABRIDGE_DATABASE__URL", url.expose())
            .args(["token", "create", "--name", "bench"])
            .output()
            .unwrap();
        let token = String::from_utf8(token.stdout).unwrap();
        let api = Api::new(&base, token.trim());
        prepare_cloud(&cloud);
        let linked = link(&api, &cloud, &portal).await;
        if !line {
            api.call("DELETE", &format!("/phones/{}/line", linked.phone_id), None).await;
        }
        let path = format!("/api/waba/?app_id={CLIENT_ID}");
        Self { child, address, path, cloud, portal, next: Arc::default(), _database: database, _data: data }
    }

    async fn load(&self, connections: u64, updates: u64, count: u64) -> Load {
        let left = Arc::new(AtomicU64::new(count));
        let started = Instant::now();
        let mut senders = Vec::new();
        for _ in 0..connections {
            let (left, next) = (left.clone(), self.next.clone());
            let (address, path) = (self.address.clone(), self.path.clone());
            senders.push(tokio::spawn(async move {
                let mut latency = Histogram::<u64>::new(3).unwrap();
                let mut socket = TcpStream::connect(&address).await.unwrap();
                socket.set_nodelay(true).unwrap();
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let request =
                        webhook(&address, &path, next.fetch_add(updates, Ordering::Relaxed), updates);
                    let sent = Instant::now();
                    post(&mut socket, &request).await;
                    latency.record(sent.elapsed().as_micros() as u64).unwrap();
                }
                latency
            }));
        }
        let mut latency = Histogram::<u64>::new(3).unwrap();
        for sender in senders {
            latency.add(sender.await.unwrap()).unwrap();
        }
        Load { per_second: count as f64 / started.elapsed().as_secs_f64(), latency }
    }

    /// Messages a second from webhook to the portal, and how many there were.
    async fn end_to_end(&self, count: u64) -> (f64, u64) {
        let before = self.portal.message_count() as u64;
        let started = Instant::now();
        self.load(64, 1, count).await;
        let wanted = before + count;
        let all =
            self.portal.wait_until(Duration::from_secs(300), |p| p.message_count() as u64 >= wanted).await;
        assert!(all, "{} of {count} messages arrived", self.portal.message_count() as u64 - before);
        (count as f64 / started.elapsed().as_secs_f64(), count)
    }

    /// Microseconds from a webhook to the portal's call on a bridge that does nothing else.
    async fn idle_latency(&self, count: u64) -> Histogram<u64> {
        let mut latency = Histogram::<u64>::new(3).unwrap();
        let mut events = self.portal.subscribe_events();
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        for index in 0..count + PEOPLE.min(50) {
            // Each of the 50 people comes again, with an id that is new.
            let number = IDLE_IDS + index * PEOPLE + index % 50;
            let request = webhook(&self.address, &self.path, number, 1);
            let sent = Instant::now();
            post(&mut socket, &request).await;
            loop {
                let event = events.recv().await.unwrap();
                if event["method"]
                    .as_str()
                    .is_some_and(|method| method.eq_ignore_ascii_case("imconnector.send.messages"))
                {
                    break;
                }
            }
            if index >= 50 {
                latency.record(sent.elapsed().as_micros() as u64).unwrap();
            }
        }
        latency
    }

    fn rss_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kb = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kb.and_then(|kb| kb.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    async fn stop(self) {
        self.cloud.stop().await;
        self.portal.stop().await;
    }
}

impl Drop for Bench {
    /// Also when a measurement fails: nobody else ends the process.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A signed request with `updates` messages.
fn webhook(address: &str, path: &str, first: u64, updates: u64) -> Vec<u8> {
    let messages: Vec<_> = (first..first + updates)
        .map(|number| {
            let from = 16_505_000_000 + number % PEOPLE;
            json!({"from": from.to_string(), "id": format!("wamid.HBgLBENCH{number:012}"), "timestamp": "1774000000",
                   "type": "text", "text": {"body": format!("message number {number} of the benchmark")}})
        })
        .collect();
    let contacts: Vec<_> = (first..first + updates)
        .map(|number| {
            let from = 16_505_000_000 + number % PEOPLE;
            json!({"profile": {"name": "Bench Sample"}, "wa_id": from.to_string()})
        })
        .collect();
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA_ID, "changes": [{
        "field": "messages", "value": {"messaging_product": "whatsapp",
        "metadata": {"display_phone_number": PHONE_NUMBER, "phone_number_id": PHONE_ID},
        "contacts": contacts, "messages": messages}}]}]})
    .to_string();
    let signature = signature::sign(&Secret::from(APP_SECRET), body.as_bytes());
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         X-Hub-Signature-256: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request and reads its answer, which has no body to speak of.
async fn post(socket: &mut TcpStream, request: &[u8]) {
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::with_capacity(512);
    loop {
        socket.read_buf(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if answer.len() >= end + 4 + length.unwrap_or(0) {
                assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                return;
            }
        }
    }
}

fn num_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    name.unwrap_or("unknown processor").trim().to_owned()
}
