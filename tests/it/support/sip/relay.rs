//! Meta's media relay: where the customer's side of a call has its speech. It is an ICE-lite agent and the server of
//! DTLS, or has its keys in the session description; it never speaks before it has heard something, and notes what
//! it hears. `openssl` does the handshake; speech stays encrypted, for what is judged here is in the clear.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::hmac;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Certificates;
use super::programs::Running;

const UFRAG: &str = "4ZcD";
const PASSWORD: &str = "2/1muCWoOi3uLifh0NuRHlbb";

/// A datagram of speech or of its reports.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub at: Instant,
    pub report: bool,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// Payload number.
    pub kind: u8,
}

/// What has come to the relay.
#[derive(Clone, Default)]
pub struct Heard {
    pub packets: Vec<Packet>,
    /// Checks of a path, and how many of them came from a controlling agent.
    pub checks: (usize, usize),
    /// When a path was nominated first, and where from.
    pub nominated: Option<(Instant, SocketAddr)>,
    /// Another path was nominated later, which must not be.
    pub moved: bool,
    /// The peer began the handshake.
    pub hello: Option<Instant>,
    /// What came without a good proof.
    pub forged: usize,
}

impl Heard {
    pub fn speech(&self) -> Vec<Packet> {
        self.packets.iter().filter(|packet| !packet.report).copied().collect()
    }

    /// Packet by packet it would fill the log.
    pub fn summary(&self) -> String {
        format!(
            "speech {}, reports {}, sources {:x?}, checks {:?}, nominated {}, handshake {}, forged {}",
            self.speech().len(),
            self.reports().len(),
            self.sources(),
            self.checks,
            self.nominated.is_some(),
            self.hello.is_some(),
            self.forged
        )
    }

    pub fn reports(&self) -> Vec<Packet> {
        self.packets.iter().filter(|packet| packet.report).copied().collect()
    }

    /// Every source that has spoken, in the order of its first word.
    pub fn sources(&self) -> Vec<u32> {
        let mut sources = Vec::new();
        for packet in self.speech() {
            if !sources.contains(&packet.ssrc) {
                sources.push(packet.ssrc);
            }
        }
        sources
    }

    /// The longest time without any sign of life, beginning with the answer.
    pub fn longest_silence(&self, answered: Instant) -> Duration {
        let times: Vec<Instant> =
            std::iter::once(answered).chain(self.packets.iter().map(|packet| packet.at)).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// A relay that listens, as long as somebody holds it.
pub struct MediaRelay {
    pub address: SocketAddr,
    fingerprint: Option<String>,
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
    _handshakes: Option<Running>,
}

impl MediaRelay {
    /// Keys in the session description.
    pub async fn by_sdes(host: IpAddr) -> Self {
        Self::listen(host, None).await
    }

    /// ICE-lite and DTLS; the certificate is `relay`.
    pub async fn by_dtls(host: IpAddr, certificates: &Certificates) -> Self {
        certificates.sign("relay", &["relay"], 2100);
        Self::listen(host, Some(certificates)).await
    }

    async fn listen(host: IpAddr, certificates: Option<&Certificates>) -> Self {
        let socket = UdpSocket::bind((host, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let handshakes = certificates.map(|certificates| {
            let port = super::programs::port();
            (dtls_server(&certificates.path("relay.pem"), &certificates.path("relay.key"), port), port)
        });
        let tunnel = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Some((_, port)) = &handshakes {
            tunnel.connect(("127.0.0.1", *port)).await.unwrap();
        }
        let fingerprint = certificates.map(|certificates| fingerprint(&certificates.path("relay.pem")));
        let listening = tokio::spawn(receive(socket, tunnel, heard.clone()));
        let handshakes = handshakes.map(|(running, _)| running);
        Self { address, fingerprint, heard, listening, _handshakes: handshakes }
    }

    /// Meta's offer for this relay, as the fact sheet gives it.
    pub fn offer(&self) -> String {
        let (host, port) = (self.address.ip(), self.address.port());
        let Some(fingerprint) = &self.fingerprint else {
            return super::message::offer(port).replace("c=IN IP4 127.0.0.1", &format!("c=IN IP4 {host}"));
        };
        format!(
            "v=0\r\no=- 1741113186367 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
             a=msid-semantic: WMS 5f6c\r\na=ice-lite\r\nm=audio {port} UDP/TLS/RTP/SAVPF 111 126\r\n\
             c=IN IP4 {host}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=candidate:2 1 udp 2122260223 {host} {port} typ host generation 0 network-cost 50\r\n\
             a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 {fingerprint}\r\n\
             a=setup:actpass\r\na=mid:audio\r\na=sendrecv\r\na=msid:5f6c WhatsAppTrack1\r\na=rtcp-mux\r\n\
             a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
             a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;useinbandfec=1\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\n\
             a=ssrc:3102458 cname:WhatsAppAudioStream1\r\n"
        )
    }

    /// Meta's answer to an offer of the bridge: the payload numbers of the offer, and the server of DTLS.
    pub fn answer(&self, offer: &str) -> String {
        let audio = offer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
        let payload = audio.split(' ').nth(2).unwrap().trim();
        let digits = offer
            .lines()
            .find_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(" telephone-event/8000"));
        let answer = self.offer().replace("a=setup:actpass", "a=setup:passive").replace("111", payload);
        answer.replace("126", digits.unwrap_or("126"))
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until what was heard is enough.
    pub async fn hears(&self, what: &str, within: Duration, enough: impl Fn(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + within;
        loop {
            let heard = self.heard();
            if enough(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "{what}: {}", heard.summary());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for MediaRelay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Takes what comes, by its first byte (RFC 7983).
async fn receive(socket: UdpSocket, tunnel: UdpSocket, heard: Arc<Mutex<Heard>>) {
    let (mut outside, mut inside) = ([0; 2048], [0; 2048]);
    let mut peer = None;
    loop {
        tokio::select! {
            Ok((length, from)) = socket.recv_from(&mut outside) => {
                let datagram = &outside[..length];
                match datagram.first() {
                    Some(0..=3) => {
                        let answer = heard.lock().unwrap().check(datagram, from);
                        if let Some(answer) = answer {
                            socket.send_to(&answer, from).await.unwrap();
                        }
                    }
                    Some(20..=63) => {
                        peer = Some(from);
                        // A handshake (22) whose first message is ClientHello (1).
                        if datagram[0] == 22 && datagram.get(13) == Some(&1) {
                            heard.lock().unwrap().hello.get_or_insert(Instant::now());
                        }
                        tunnel.send(datagram).await.unwrap();
                    }
                    Some(128..=191) => heard.lock().unwrap().packets.extend(packet(datagram)),
                    _ => heard.lock().unwrap().forged += 1,
                }
            }
            Ok(length) = tunnel.recv(&mut inside) => {
                if let Some(peer) = peer {
                    socket.send_to(&inside[..length], peer).await.unwrap();
                }
            }
        }
    }
}

fn packet(datagram: &[u8]) -> Option<Packet> {
    // RFC 5761: on the one port the second byte tells reports from speech.
    let report = (192..224).contains(datagram.get(1)?);
    let word = |at: usize| Some(u32::from_be_bytes(datagram.get(at..at + 4)?.try_into().ok()?));
    Some(Packet {
        at: Instant::now(),
        report,
        ssrc: word(if report { 4 } else { 8 })?,
        sequence: u16::from_be_bytes(datagram.get(2..4)?.try_into().ok()?),
        timestamp: word(4)?,
        kind: datagram[1] & 0x7F,
    })
}

impl Heard {
    /// A binding request (RFC 8489) of the peer's ICE agent (RFC 8445); our answer, if it is proven.
    fn check(&mut self, request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        const USERNAME: u16 = 0x0006;
        const INTEGRITY: u16 = 0x0008;
        const USE_CANDIDATE: u16 = 0x0025;
        const CONTROLLING: u16 = 0x802A;
        let (mut username, mut controlling, mut nominates, mut proven) = ("", false, false, false);
        let mut at = 20;
        while at + 4 <= request.len() {
            let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
            let (kind, length) = (number(at), usize::from(number(at + 2)));
            let value = request.get(at + 4..at + 4 + length)?;
            match kind {
                USERNAME => username = std::str::from_utf8(value).ok()?,
                CONTROLLING => controlling = true,
                USE_CANDIDATE => nominates = true,
                // The length in the header counts from there to the end of this attribute.
                INTEGRITY => proven = integrity(&request[..at], at + 4) == value,
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        if request.get(..2) != Some(&[0, 1]) || !proven || !username.starts_with(&format!("{UFRAG}:")) {
            self.forged += 1;
            return None;
        }
        self.checks.0 += 1;
        self.checks.1 += usize::from(controlling);
        if nominates {
            let (_, first) = *self.nominated.get_or_insert((Instant::now(), from));
            self.moved |= first != from;
        }
        Some(binding_success(&request[4..20], from))
    }
}

/// HMAC by our password over a message whose header says `length`.
fn integrity(message: &[u8], length: usize) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes());
    hmac::sign(&key, &message).as_ref().to_vec()
}

/// `cookie_and_id`: of the request.
fn binding_success(cookie_and_id: &[u8], from: SocketAddr) -> Vec<u8> {
    let mut message = vec![1, 1, 0, 0];
    message.extend(cookie_and_id);
    let IpAddr::V4(ip) = from.ip() else { panic!("the tests speak IPv4") };
    let cookie = &cookie_and_id[..4];
    message.extend([0, 0x20, 0, 8, 0, 1]);
    message.extend(from.port().to_be_bytes().iter().zip(cookie).map(|(byte, mask)| byte ^ mask));
    message.extend(ip.octets().iter().zip(cookie).map(|(byte, mask)| byte ^ mask));
    let proof = integrity(&message, message.len() - 20 + 24);
    message.extend([0, 8, 0, 20]);
    message.extend(proof);
    let length = u16::try_from(message.len() - 20 + 8).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32fast::hash(&message) ^ 0x5354_554E;
    message.extend([0x80, 0x28, 0, 4]);
    message.extend(checksum.to_be_bytes());
    message
}

/// SHA-256 of the certificate, as a session description has it.
fn fingerprint(certificate: &Path) -> String {
    use rustls::pki_types::pem::PemObject as _;
    use sha2::Digest as _;
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(certificate).unwrap();
    let hash = sha2::Sha256::digest(&certificate);
    hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// `None` = this machine lacks the program, and the test says so.
pub fn openssl() -> Option<()> {
    let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: openssl is missing (apt-get install openssl)");
    }
    found.then_some(())
}

/// A server of DTLS-SRTP that asks for the client's certificate, as browsers and Meta's relays do.
fn dtls_server(certificate: &Path, key: &Path, port: u16) -> Running {
    let child = Command::new("openssl")
        .args(["s_server", "-dtls", "-quiet", "-verify", "2", "-mtu", "1200"])
        .args(["-use_srtp", "SRTP_AES128_CM_SHA1_80", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(certificate)
        .arg("-key")
        .arg(key)
        // Its end would end the server.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.expect("openssl (apt-get install openssl)"))
}
