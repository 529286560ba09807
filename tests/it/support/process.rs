//! The real binary as a child process, on data of its own, so that it can be killed and started again.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wabridge::config::DatabaseUrl;
use wabridge::sandbox::cloud::SimCloud;
use wabridge::sandbox::portal::SimPortal;

use super::DEADLINE;
use super::api::Api;
use super::database::TestDatabase;

/// Between two looks at a process or an address.
const LOOK: Duration = Duration::from_millis(10);
/// Ports that the system gives to nobody by itself, so that ours is free again after each kill.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A folder with configuration and data, as an administrator would have it; the port stays the same.
pub struct Installation {
    pub port: u16,
    pub folder: TempDir,
    config: PathBuf,
    log: PathBuf,
    pub database: TestDatabase,
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Installation {
    /// `settings` are lines of TOML with dotted keys; those of address, data and database are there already.
    pub async fn new(settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        let port = free_port();
        let mut text = format!(
            "public_url = \"http://127.0.0.1:{port}\"\ndata_dir = {:?}\nhttp.listen = \"127.0.0.1:{port}\"\n\
             http.internal_listen = \"\"\noutbound.allow_private_networks = true\n\
             doctor.interval_minutes = 0\n",
            folder.path()
        );
        if let DatabaseUrl::Postgres(url) = database.url() {
            text.push_str(&format!("database.url = {:?}\n", url.expose()));
        }
        if !settings.contains("log.level") {
            text.push_str("log.level = \"warn\"\n");
        }
        text.push_str(settings);
        let config = folder.path().join("test.toml");
        std::fs::write(&config, text).unwrap();
        let log = folder.path().join("serve.log");
        Self { port, config, log, database, folder }
    }

    /// One whose clouds are the simulated ones.
    pub async fn between(cloud: &SimCloud, portal: &SimPortal, settings: &str) -> Self {
        Self::new(&format!(
            "meta.graph_url = {:?}\nbitrix.oauth_servers = [{:?}]\n{settings}",
            cloud.url(),
            portal.oauth_url()
        ))
        .await
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The binary with this configuration and none of this process's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command(arguments);
        command.arg("--config").arg(&self.config).current_dir(self.folder.path());
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments)).await
    }

    /// An administrator's way to the API.
    pub async fn api(&self) -> Api {
        self.api_named("test").await
    }

    /// The same by a token of another name.
    pub async fn api_named(&self, name: &str) -> Api {
        let made = self.run(&["token", "create", "--name", name]).await;
        assert_eq!(made.code, Some(0), "{made:?}");
        Api::new(&self.base_url(), made.stdout.trim())
    }

    /// Starts serving; does not wait for it. The log of all lives is one file.
    pub fn spawn(&self) -> Bridge {
        self.spawn_on(self.port)
    }

    /// A bridge on the same data at another port.
    pub fn spawn_on(&self, port: u16) -> Bridge {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        self.spawn_logging_to(port, log.into())
    }

    /// A bridge whose log goes elsewhere.
    pub fn spawn_logging_to(&self, port: u16, log: Stdio) -> Bridge {
        let mut command = self.command(&["serve"]);
        command.env("WABRIDGE_HTTP__LISTEN", format!("127.0.0.1:{port}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = Running(command.spawn().unwrap());
        Bridge { child, health: format!("http://127.0.0.1:{port}/healthz"), log: self.log.clone() }
    }

    /// Starts serving and waits until it answers.
    pub async fn serve(&self) -> Bridge {
        let mut bridge = self.spawn();
        bridge.answers().await;
        bridge
    }

    /// Waits until the log holds a text.
    pub async fn logs(&self, text: &str) {
        let until = Instant::now() + DEADLINE;
        while !std::fs::read_to_string(&self.log).unwrap_or_default().contains(text) {
            assert!(Instant::now() < until, "the log says nothing of: {text}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A serving process. Killed when it is dropped; its log is shown if the test fails.
pub struct Bridge {
    child: Running,
    health: String,
    log: PathBuf,
}

impl Bridge {
    /// Waits until `/healthz` answers.
    pub async fn answers(&mut self) {
        let http =
            wabridge::bitrix::client::http_client(wabridge::tls::client_config(None).unwrap()).unwrap();
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                panic!("the bridge ended by itself: {status}");
            }
            let asked = http.get(&self.health).timeout(Duration::from_secs(1)).send().await;
            if asked.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            assert!(Instant::now() < until, "the bridge does not answer");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL, as a power cut would.
    pub fn kill9(&mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// SIGTERM; it goes on until it has ended.
    pub fn terminate(&self) {
        // It was not waited for yet, so the id is still its own.
        let sent = Command::new("kill").arg("-TERM").arg(self.child.0.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        self.child.ended(deadline).await
    }

    /// SIGTERM, and waits for a good end.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.ended(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(200)..).unwrap_or_default();
            eprintln!("--- the bridge's log ends so:\n{}", last.join("\n"));
        }
    }
}

/// The binary without any configuration of ours.
pub fn bare_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wabridge"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WABRIDGE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, which must come soon.
pub async fn finish(mut command: Command) -> Finished {
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null());
    command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut running = Running(command.spawn().unwrap());
    let status = running.ended(DEADLINE).await;
    Finished { code: status.code(), stdout: whole(&mut stdout), stderr: whole(&mut stderr) }
}

fn whole(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A child that never outlives its test.
struct Running(Child);

impl Running {
    async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the process has not ended within {deadline:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    // Tests that run at the same time begin at different places.
    let mix = uuid::Uuid::new_v4().as_u128();
    let width = u128::from(PORTS.end - PORTS.start);
    let begin = u16::try_from(mix % width).unwrap();
    let all = PORTS.end - PORTS.start;
    (0..all)
        .map(|step| PORTS.start + (begin + step) % all)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
