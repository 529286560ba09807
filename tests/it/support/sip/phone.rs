//! The phone baresip as the customer: it calls through the edge, and really sends and receives Opus over SRTP.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::hosts::OtherHost;
use super::programs::Running;
use super::{CUSTOMER, PASSWORD, PHONE, TestEdge};
use crate::support::DEADLINE;

/// The tone that it speaks, in hertz.
const TONE: f64 = 440.0;
const RATE: u32 = 48_000;

/// A phone with an account of its own.
pub struct Phone {
    program: PathBuf,
    folder: TempDir,
    host: Option<Arc<OtherHost>>,
    bridge: std::net::IpAddr,
}

impl Phone {
    /// With a host, it runs on that other host and looks for its way by ICE.
    pub fn on(program: &Path, edge: &TestEdge, encryption: &str, host: Option<Arc<OtherHost>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        write_tone(&folder.path().join("tone.wav"));
        std::fs::create_dir(folder.path().join("heard")).unwrap();
        let modules = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok).map(|it| it.path());
        let modules = [PathBuf::from("/usr/lib/baresip/modules")]
            .into_iter()
            .chain(modules.map(|path| path.join("baresip/modules")))
            .find(|path| path.join("opus.so").exists())
            .expect("the modules of baresip");
        let loaded = ["opus", "aufile", "srtp", "dtls_srtp", "ice", "sndfile"];
        let modules = format!("module_path {}\n", modules.display())
            + &loaded.iter().map(|name| format!("module {name}.so\n")).collect::<String>()
            + "module_app account.so\nmodule_app menu.so\n";
        let own = host.as_ref().map_or("127.0.0.1", |host| host.address.as_str());
        let nat = if host.is_some() { ";medianat=ice" } else { "" };
        let config = format!(
            "sip_listen {own}:0\nnet_interface {own}\nsip_cafile {}\nsip_certificate {}\nsip_verify_server yes\n\
             audio_source aufile,{}\naudio_player none\naudio_alert none\nausrc_srate {RATE}\n\
             auplay_srate {RATE}\nausrc_channels 2\nauplay_channels 2\nrtp_ports 30000-31000\nrtcp_mux yes\n\
             opus_bitrate 28000\nsnd_path {}\n{modules}",
            edge.certificates.path("ca.pem").display(),
            edge.certificates.path("meta.both.pem").display(),
            path("tone.wav"),
            path("heard"),
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        let account = format!(
            "<sip:+{CUSTOMER}@wa.meta.vc>;auth_user={PHONE};auth_pass={PASSWORD};regint=0;\
             outbound=\"sip:{};transport=tls\";mediaenc={encryption}{nat}\n",
            edge.meta
        );
        std::fs::write(folder.path().join("accounts"), account).unwrap();
        std::fs::write(folder.path().join("contacts"), "").unwrap();
        Self { program: program.to_owned(), folder, host, bridge: edge.meta.ip() }
    }

    /// What it has said of itself.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Calls the business for a few seconds; the file of what it has heard.
    pub async fn calls(&self) -> PathBuf {
        let log = self.folder.path().join("log");
        let output = File::create(&log).unwrap();
        let mut command = match &self.host {
            Some(host) => host.command(&self.program),
            None => Command::new(&self.program),
        };
        let child = command
            .arg("-f")
            .arg(self.folder.path())
            .arg("-e")
            .arg(format!("d sip:+{PHONE}@{};transport=tls", self.bridge))
            .args(["-s", "-t", "7"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut child = Running(child);
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while child.0.try_wait().unwrap().is_none() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(child);
        let heard = std::fs::read_dir(self.folder.path().join("heard")).unwrap().filter_map(Result::ok);
        let heard = heard.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with("-dec.wav"));
        heard.expect("the phone has heard something")
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the phone's log:\n{}", self.log());
        }
    }
}

/// Whether a recording holds a second or more of the tone, and hardly anything else.
pub fn hears_the_tone(path: &Path) -> bool {
    let Some((rate, samples)) = read_wav(path) else { return false };
    let window = rate as usize / 10;
    let loud = samples.chunks_exact(window).filter(|chunk| {
        let power: f64 = chunk.iter().map(|sample| sample * sample).sum();
        let tone = power_at(chunk, TONE, f64::from(rate));
        // A pure tone has nearly all of its power at its frequency.
        power / window as f64 > 0.01 && tone / power > 0.8
    });
    loud.count() >= 10
}

/// Goertzel's: the power that a piece of sound has at a frequency.
fn power_at(samples: &[f64], frequency: f64, rate: f64) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * frequency / rate).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        (before, last) = (last, sample + coefficient * last - before);
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power / samples.len() as f64
}

/// The first channel of a file of 16 bits, from -1 to 1; a header that was not finished is no hindrance.
fn read_wav(path: &Path) -> Option<(u32, Vec<f64>)> {
    let bytes = std::fs::read(path).ok()?;
    let channels = usize::from(u16::from_le_bytes(bytes.get(22..24)?.try_into().ok()?));
    let rate = u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?);
    let samples = bytes.get(44..)?.chunks_exact(2 * channels);
    Some((rate, samples.map(|it| f64::from(i16::from_le_bytes([it[0], it[1]])) / 32_768.0).collect()))
}

fn write_tone(path: &Path) {
    let samples = (0..RATE * 20).flat_map(|n| {
        let angle = std::f64::consts::TAU * TONE * f64::from(n) / f64::from(RATE);
        let sample = (angle.sin() * 16_000.0) as i16;
        [sample, sample].into_iter().flat_map(i16::to_le_bytes)
    });
    let data: Vec<u8> = samples.collect();
    let mut file = Vec::with_capacity(data.len() + 44);
    let length = u32::try_from(data.len()).unwrap();
    file.extend(b"RIFF");
    file.extend((length + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 4).to_le_bytes());
    file.extend(b"\x04\0\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    std::fs::write(path, file).unwrap();
}
