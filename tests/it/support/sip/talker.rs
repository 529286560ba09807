//! An agent's telephone that really talks: it picks up, and sends a packet every 20 ms from a source of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::message::plain_answer;
use super::peers::Pbx;

/// A frame of Opus that is silence.
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

pub struct Talker {
    name: &'static str,
    /// Of what it says; `None` = it says nothing at all.
    source: Option<u32>,
    phone: Pbx,
    media: Arc<UdpSocket>,
    talking: Mutex<JoinSet<()>>,
}

impl Talker {
    pub async fn start(name: &'static str, source: u32) -> Self {
        Self::new(name, Some(source)).await
    }

    pub async fn muted(name: &'static str) -> Self {
        Self::new(name, None).await
    }

    async fn new(name: &'static str, source: Option<u32>) -> Self {
        let media = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        Self { name, source, phone: Pbx::start().await, media, talking: Mutex::default() }
    }

    /// What `pjsip.conf` needs for it.
    pub fn endpoint(&self) -> String {
        format!(
            "\n[{0}]\ntype=aor\ncontact={1}\n[{0}]\ntype=endpoint\naors={0}\ncontext=none\ndisallow=all\n\
             allow=opus\ndirect_media=no\n",
            self.name,
            self.phone.contact()
        )
    }

    /// Picks up the next call and begins to talk.
    pub async fn picks_up(&self) {
        let (invite, from) = self.phone.request("INVITE").await;
        let contact = self.phone.contact();
        self.phone.send(from, &invite.answer("180 Ringing", self.name, Some(&contact), "")).await;
        let port = self.media.local_addr().unwrap().port();
        let answer = plain_answer(&invite.body, port);
        self.phone.send(from, &invite.answer("200 OK", self.name, Some(&contact), &answer)).await;
        self.phone.request("ACK").await;
        if let Some(source) = self.source {
            let (to, payload) = audio_of(&invite.body);
            let talk = talk(self.media.clone(), to, payload, source);
            self.talking.lock().unwrap().spawn(talk);
        }
    }
}

async fn talk(media: Arc<UdpSocket>, to: SocketAddr, payload: u8, source: u32) {
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let mut packet = [0; 15];
    (packet[0], packet[1]) = (0x80, payload);
    packet[8..12].copy_from_slice(&source.to_be_bytes());
    packet[12..].copy_from_slice(&SILENCE);
    for nth in 0_u16.. {
        beat.tick().await;
        packet[2..4].copy_from_slice(&nth.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(nth) * 960).to_be_bytes());
        // The other side may have gone.
        let _ = media.send_to(&packet, to).await;
    }
}

/// Where a session description wants speech, and the number of its first payload.
fn audio_of(sdp: &str) -> (SocketAddr, u8) {
    let line = |start: &str| sdp.lines().find_map(|line| line.strip_prefix(start)).unwrap();
    let host = line("c=IN IP4 ").trim();
    let audio: Vec<&str> = line("m=audio ").split(' ').collect();
    (format!("{host}:{}", audio[0]).parse().unwrap(), audio[2].trim().parse().unwrap())
}
