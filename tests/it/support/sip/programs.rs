//! Real programs: Asterisk with the documented configuration, SIPp, and the phone baresip.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Certificates, PHONE};
use crate::support::DEADLINE;
use crate::support::process::{Finished, bare_command, finish, free_port};

/// Where `scripts/sip-tools` put Asterisk and SIPp; `None` = this machine has none, and the test says so.
pub fn tools() -> Option<PathBuf> {
    let tools = std::env::var_os("WABRIDGE_TEST_SIP_TOOLS").map(PathBuf::from);
    if tools.is_none() {
        eprintln!(
            "SKIPPED: WABRIDGE_TEST_SIP_TOOLS names no folder with Asterisk and SIPp (scripts/sip-tools)"
        );
    }
    tools
}

/// The phone; `None` = this machine has none, and the test says so.
pub fn baresip() -> Option<PathBuf> {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("baresip")).find(|it| it.exists())
    });
    if found.is_none() {
        eprintln!("SKIPPED: baresip is missing (apt-get install baresip-core)");
    }
    found
}

/// A child that never outlives its test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Waits for a good end.
    pub async fn succeeds(mut self, log: &Path) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break Some(status);
            }
            if tokio::time::Instant::now() > deadline {
                break None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
        assert!(status.is_some_and(|status| status.success()), "{status:?}\n{text}");
    }
}

/// A telephone system on the configuration that `wabridge asterisk-config` prints.
pub struct Asterisk {
    pub folder: TempDir,
    program: PathBuf,
    _child: Running,
}

/// What a test adds to the documented configuration.
#[derive(Default)]
pub struct Additions {
    /// `sdes` if empty.
    pub keying: &'static str,
    /// At the end of `pjsip.conf`.
    pub pjsip: String,
    /// At the end of `extensions.conf`.
    pub extensions: String,
    /// What rings instead of `PJSIP/agent`.
    pub agents: Option<String>,
    /// More of the bridge's configuration, of which the trunk's part is printed.
    pub trunk: String,
    /// Where Asterisk is sent speech to; `127.0.0.1` if there is none.
    pub media: Option<String>,
    /// `tcp` or `tls` with certificates for Asterisk; UDP if there is none.
    pub transport: Option<(&'static str, Arc<Certificates>)>,
}

impl Asterisk {
    /// Writes the configuration for a bridge at `bridge_port`, and boots.
    pub async fn start(tools: &Path, bridge_port: u16, port: u16, additions: Additions) -> Self {
        let (pjsip, extensions) = documented(bridge_port, port, &additions).await;
        Self::boot(tools, &(pjsip + &additions.pjsip), &(extensions + &additions.extensions)).await
    }

    /// Boots on these two files.
    pub async fn boot(tools: &Path, pjsip: &str, extensions: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = tools.join("tree");
        for part in ["etc", "lib/keys", "spool", "log/cdr-csv", "run", "db"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        let etc = folder.path().join("etc");
        std::fs::write(etc.join("pjsip.conf"), pjsip).unwrap();
        std::fs::write(etc.join("extensions.conf"), extensions).unwrap();
        std::fs::write(etc.join("asterisk.conf"), directories(&tree, folder.path())).unwrap();
        std::fs::write(etc.join("modules.conf"), modules()).unwrap();
        std::fs::write(etc.join("rtp.conf"), "[general]\nrtpstart=10000\nrtpend=19998\n").unwrap();
        std::fs::write(etc.join("logger.conf"), "[logfiles]\nmessages => notice,warning,error\n").unwrap();
        for empty in [
            "cdr",
            "cel",
            "acl",
            "ccss",
            "features",
            "indications",
            "codecs",
            "udptl",
            "pjproject",
            "sorcery",
        ] {
            std::fs::write(etc.join(format!("{empty}.conf")), "").unwrap();
        }
        let music = folder.path().join("music");
        std::fs::create_dir(&music).unwrap();
        std::fs::write(music.join("hum.sln"), hum()).unwrap();
        let class = format!("[default]\nmode=files\ndirectory={}\n", music.display());
        std::fs::write(etc.join("musiconhold.conf"), class).unwrap();
        let program = tools.join("bin/asterisk");
        let console = File::create(folder.path().join("log/console")).unwrap();
        let child = Command::new(&program)
            .arg("-C")
            .arg(etc.join("asterisk.conf"))
            .args(["-f", "-n"])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .unwrap();
        let asterisk = Self { folder, program, _child: Running(child) };
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !asterisk.tell("core waitfullybooted").await.contains("fully booted") {
            assert!(tokio::time::Instant::now() < deadline, "Asterisk does not boot: {}", asterisk.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        asterisk
    }

    /// A command of its console.
    pub async fn tell(&self, command: &str) -> String {
        let mut process = Command::new(&self.program);
        process.arg("-C").arg(self.folder.path().join("etc/asterisk.conf")).args(["-rx", command]);
        finish(process).await.stdout
    }

    /// Waits until its console says something.
    pub async fn says(&self, command: &str, expected: &str) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let said = self.tell(command).await;
            if said.contains(expected) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{command} does not say {expected}: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("log/console") + &read("log/messages")
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Asterisk's log:\n{}", self.log());
        }
    }
}

/// What `wabridge asterisk-config` prints, as two files.
async fn documented(bridge_port: u16, port: u16, additions: &Additions) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("test.toml");
    let transport = additions.transport.as_ref().map_or("udp", |(transport, _)| transport);
    let text = format!(
        "data_dir = {:?}\nsip.trunk_listen = \"127.0.0.1:{bridge_port}\"\nsip.hostname = \"127.0.0.1\"\n\
         [[sip.trunks]]\nname = \"asterisk\"\nuris = [{:?}]\n{}",
        folder.path(),
        uri(transport, port),
        additions.trunk
    );
    std::fs::write(&config, text).unwrap();
    let keying = if additions.keying.is_empty() { "sdes" } else { additions.keying };
    let phone = format!("+{PHONE}");
    let mut command = bare_command(&["asterisk-config", "--phone", &phone, "--keying", keying]);
    if let Some(agents) = &additions.agents {
        command.args(["--agents", agents]);
    }
    let media = additions.media.as_deref().unwrap_or("127.0.0.1");
    command.args(["--media-address", media]).arg("--config").arg(&config);
    let (mut pjsip, extensions) = two_files(&finish(command).await);
    if let Some((_, certificates)) = &additions.transport {
        // The files that the page names as an example.
        for (example, own) in [
            ("/etc/asterisk/keys/asterisk.pem", "meta.pem"),
            ("/etc/asterisk/keys/asterisk.key", "meta.key"),
            ("/etc/ssl/certs/ca-certificates.crt", "ca.pem"),
        ] {
            pjsip = pjsip.replace(example, certificates.path(own).to_str().unwrap());
        }
    }
    (pjsip, extensions)
}

/// Where this Asterisk is called; by TLS under a name of its certificate.
pub fn uri(transport: &str, port: u16) -> String {
    let host = if transport == "tls" { "localhost" } else { "127.0.0.1" };
    format!("sip:{host}:{port};transport={transport}")
}

/// What `wabridge asterisk-config` has printed, taken apart.
pub fn two_files(printed: &Finished) -> (String, String) {
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let (pjsip, extensions) = printed.stdout.split_once("; ===== extensions.conf =====\n").unwrap();
    (pjsip.to_owned(), extensions.to_owned())
}

fn directories(tree: &Path, folder: &Path) -> String {
    let modules = ["usr/lib/x86_64-linux-gnu/asterisk/modules", "usr/lib/aarch64-linux-gnu/asterisk/modules"]
        .iter()
        .map(|path| tree.join(path))
        .chain([tree.join("usr/lib/asterisk/modules")])
        .find(|path| path.is_dir())
        .expect("the folder of Asterisk's modules");
    let (modules, tree, folder) = (modules.display(), tree.display(), folder.display());
    format!(
        "[directories]\nastetcdir => {folder}/etc\nastmoddir => {modules}\nastvarlibdir => {folder}/lib\n\
         astdbdir => {folder}/db\nastkeydir => {folder}/lib\nastdatadir => {tree}/usr/share/asterisk\n\
         astagidir => {folder}/lib\nastspooldir => {folder}/spool\nastrundir => {folder}/run\n\
         astlogdir => {folder}/log\n[options]\nverbose = 3\nnocolor = yes\n"
    )
}

/// Some seconds of sound, as music on hold.
fn hum() -> Vec<u8> {
    let sample = |n: i16| (n % 80 - 40) * 200;
    (0..24_000).map(sample).flat_map(i16::to_le_bytes).collect()
}

/// Only what a call needs, so that it boots in half a second.
fn modules() -> String {
    let names = "res_timing_timerfd res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjproject res_pjsip \
        res_pjsip_pubsub res_pjsip_session res_pjsip_sdp_rtp res_pjsip_authenticator_digest \
        res_pjsip_outbound_authenticator_digest res_pjsip_endpoint_identifier_ip \
        res_pjsip_endpoint_identifier_user res_pjsip_registrar res_pjsip_caller_id res_pjsip_nat \
        res_pjsip_rfc3326 res_pjsip_refer res_pjsip_header_funcs res_pjsip_dlg_options func_pjsip_endpoint \
        chan_pjsip res_rtp_asterisk res_srtp res_crypto res_format_attr_opus codec_opus_open_source codec_ulaw \
        codec_alaw codec_resample format_pcm format_wav format_sln bridge_simple bridge_native_rtp \
        bridge_softmix bridge_holding app_dial app_echo app_playback app_playtones app_record app_mixmonitor \
        app_verbose app_stack app_milliwatt func_callerid func_channel func_timeout func_logic func_strings \
        func_hangupcause pbx_config res_musiconhold app_senddtmf res_pjsip_logger res_clioriginate";
    let lines = names.split_whitespace().map(|name| format!("load => {name}.so\n"));
    format!("[modules]\nautoload=no\n{}", lines.collect::<String>())
}

/// A SIPp with one of the scenarios beside this file.
pub struct Sipp {
    command: Command,
    folder: TempDir,
}

impl Sipp {
    pub fn new(tools: &Path, scenario: &str, certificates: &Certificates) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(tools.join("bin/sipp"));
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sipp").join(scenario);
        command
            .args(["-m", "1", "-nostdin", "-i", "127.0.0.1", "-timeout", "18", "-timeout_error"])
            .args(["-trace_msg", "-message_file"])
            .arg(folder.path().join("messages"))
            .args(["-trace_err", "-error_file"])
            .arg(folder.path().join("errors"))
            .arg("-sf")
            .arg(scenario)
            .arg("-tls_cert")
            .arg(certificates.path("meta.pem"))
            .arg("-tls_key")
            .arg(certificates.path("meta.key"))
            .current_dir(folder.path());
        Self { command, folder }
    }

    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// A `[name]` of the scenario.
    pub fn key(mut self, name: &str, value: &str) -> Self {
        self.command.args(["-key", name, value]);
        self
    }

    pub fn start(mut self) -> SippRun {
        let output = File::create(self.folder.path().join("output")).unwrap();
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .env("TERM", "dumb")
            .spawn()
            .unwrap();
        SippRun { child: Running(child), folder: self.folder }
    }
}

/// A SIPp that runs.
pub struct SippRun {
    child: Running,
    folder: TempDir,
}

impl SippRun {
    /// Waits until its scenario has succeeded; every message that it sent and received.
    pub async fn succeeds(self) -> String {
        let read = |name: &str| {
            let bytes = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let log = self.folder.path().join("all");
        let collect = || std::fs::write(&log, read("errors") + &read("messages") + &read("output")).unwrap();
        let mut child = self.child;
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while child.0.try_wait().unwrap().is_none() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        collect();
        child.succeeds(&log).await;
        read("messages")
    }
}

/// Waits until somebody listens on a port. It is looked up and not tried: SIPp takes a connection without a
/// handshake for a failure.
pub async fn listens(port: u16) {
    super::eventually("a listener", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let place = format!(":{port:04X} 00000000:0000 0A");
        table.contains(&place).then_some(())
    })
    .await;
}

/// A port that is free now, for UDP too.
pub fn port() -> u16 {
    loop {
        let port = free_port();
        if std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            return port;
        }
    }
}
