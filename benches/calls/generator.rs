//! The role of the generator: Meta, calling as fast as it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::message::{Call, HOSTNAME, PHONE, credentials, end_of_message, header, number_of, sdp};
use crate::process::Told;

const VIA: &str = "TLS [2803:6080:e888:51aa::1]:43917";

/// How calls travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
pub enum Way {
    /// All over one TLS connection.
    OneConnection,
    /// A TLS connection with a full handshake for each.
    ConnectionEach,
    /// By UDP, past the edge.
    Direct,
    /// Connections without calls.
    Idle,
}

/// What a generator does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Load {
    pub way: Way,
    pub target: String,
    pub ca: String,
    pub digest: bool,
    /// Number of the first call: the edge knows a call that has ended for a while, so no number comes twice.
    pub first: usize,
    pub calls: usize,
    /// Calls that run at the same time.
    pub at_once: usize,
    /// Calls that begin in a second; `None` = as many as `at_once` allows.
    pub rate: Option<f64>,
    /// From the answer to the BYE; with ten minutes they are just there.
    pub hold_ms: u64,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::OneConnection => "one TLS connection",
            Self::ConnectionEach => "a handshake for each call",
            Self::Direct => "UDP, past the edge",
            Self::Idle => "idle",
        }
    }
}

impl Load {
    pub fn of(calls: usize) -> Self {
        Self {
            way: Way::OneConnection,
            target: String::new(),
            ca: String::new(),
            digest: false,
            first: 0,
            calls,
            at_once: calls,
            rate: None,
            hold_ms: 0,
        }
    }

    fn stays(&self) -> bool {
        self.hold_ms >= 600_000
    }
}

/// Tells a line when it is ready, or when everything is up that is to stay up; at the end what it has seen.
pub async fn run(load: Load) {
    let load = &load;
    let told = match load.way {
        Way::Idle => return idle(load).await,
        Way::OneConnection => {
            let stream = connector(load).connect(name(), tcp(load).await).await.unwrap();
            ready(load);
            one_stream(load, stream).await
        }
        Way::Direct => {
            ready(load);
            datagrams(load).await
        }
        Way::ConnectionEach => {
            ready(load);
            connection_each(load).await
        }
    };
    println!("{}", serde_json::to_string(&told).unwrap());
}

fn ready(load: &Load) {
    if !load.stays() {
        println!("ready");
    }
}

async fn idle(load: &Load) {
    let connector = connector(load);
    let mut open = Vec::new();
    for _ in 0..load.at_once {
        let mut stream = connector.connect(name(), tcp(load).await).await.unwrap();
        stream.write_all(b"\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.unwrap();
        open.push(stream);
    }
    println!("ready");
    std::future::pending::<()>().await;
}

async fn one_stream(load: &Load, mut stream: TlsStream<TcpStream>) -> Told {
    let (mut calls, mut read, mut out) = (Calls::new(load, VIA), Vec::with_capacity(1 << 20), Vec::new());
    while !calls.is_over() {
        calls.due(&mut out);
        if !out.is_empty() {
            let bytes: Vec<u8> = out.drain(..).collect::<String>().into_bytes();
            stream.write_all(&bytes).await.unwrap();
            stream.flush().await.unwrap();
        }
        tokio::select! {
            count = stream.read_buf(&mut read) => {
                assert!(count.unwrap() > 0, "the edge has closed the connection");
                let mut taken = 0;
                while let Some(length) = end_of_message(&read[taken..]) {
                    calls.message(std::str::from_utf8(&read[taken..taken + length]).unwrap(), &mut out);
                    taken += length;
                }
                read.drain(..taken);
            }
            () = tokio::time::sleep(calls.wait()) => {}
        }
    }
    calls.told()
}

async fn datagrams(load: &Load) -> Told {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(&load.target).await.unwrap();
    let via = format!("UDP {}", socket.local_addr().unwrap());
    let (mut calls, mut buffer, mut out) = (Calls::new(load, &via), vec![0; 65_535], Vec::new());
    while !calls.is_over() {
        calls.due(&mut out);
        for text in out.drain(..) {
            socket.send(text.as_bytes()).await.unwrap();
        }
        tokio::select! {
            length = socket.recv(&mut buffer) => {
                calls.message(std::str::from_utf8(&buffer[..length.unwrap()]).unwrap(), &mut out);
            }
            () = tokio::time::sleep(calls.wait()) => {}
        }
    }
    calls.told()
}

async fn connection_each(load: &Load) -> Told {
    let (next, connector) = (Arc::new(AtomicUsize::new(0)), connector(load));
    let started = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..load.at_once {
        let (next, connector, load) = (next.clone(), connector.clone(), load.clone());
        workers.push(tokio::spawn(async move {
            let mut delays = histogram();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= load.calls {
                    return delays;
                }
                let stream = connector.connect(name(), tcp(&load).await).await.unwrap();
                let one = Load { first: number, calls: 1, at_once: 1, ..load.clone() };
                delays.add(&stream_of(Calls::new(&one, VIA), stream).await).unwrap();
            }
        }));
    }
    let mut delays = histogram();
    for worker in workers {
        delays.add(worker.await.unwrap()).unwrap();
    }
    told(started, &delays)
}

/// One call over a connection of its own.
async fn stream_of(mut calls: Calls<'_>, mut stream: TlsStream<TcpStream>) -> Histogram<u64> {
    let (mut read, mut out) = (Vec::with_capacity(8192), Vec::new());
    while !calls.is_over() {
        calls.due(&mut out);
        for text in out.drain(..) {
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        stream.flush().await.unwrap();
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the edge has closed the connection");
        while let Some(length) = end_of_message(&read) {
            calls.message(std::str::from_utf8(&read[..length]).unwrap(), &mut out);
            read.drain(..length);
        }
    }
    let _ = stream.shutdown().await;
    calls.delays
}

/// All calls of a connection: what is sent when.
struct Calls<'l> {
    load: &'l Load,
    via: &'l str,
    body: String,
    started: Instant,
    begun: usize,
    answered: usize,
    ended: usize,
    states: Vec<Option<State>>,
    /// Calls to be hung up, in order.
    held: VecDeque<(Instant, usize)>,
    delays: Histogram<u64>,
}

struct State {
    invited: Instant,
    target: String,
    to_tag: String,
    cseq: u32,
    rung: bool,
}

impl<'l> Calls<'l> {
    fn new(load: &'l Load, via: &'l str) -> Self {
        Self {
            load,
            via,
            body: sdp(40_000),
            started: Instant::now(),
            begun: 0,
            answered: 0,
            ended: 0,
            states: Vec::new(),
            held: VecDeque::new(),
            delays: histogram(),
        }
    }

    fn is_over(&self) -> bool {
        self.ended >= self.load.calls
    }

    fn wait(&self) -> Duration {
        let held = self.held.front().map(|(due, _)| *due);
        let next = (self.begun < self.load.calls).then(|| self.next_begin()).flatten();
        let due = held.into_iter().chain(next).min();
        due.map_or(Duration::from_secs(1), |due| due.saturating_duration_since(Instant::now()))
    }

    fn next_begin(&self) -> Option<Instant> {
        Some(self.started + Duration::from_secs_f64(self.begun as f64 / self.load.rate?))
    }

    /// Begins and ends what is due.
    fn due(&mut self, out: &mut Vec<String>) {
        let now = Instant::now();
        while self.begun < self.load.calls
            && self.begun - self.ended < self.load.at_once
            && self.next_begin().is_none_or(|due| due <= now)
        {
            let target = format!("sip:+{PHONE}@{HOSTNAME};transport=tls");
            let state =
                State { invited: Instant::now(), target, to_tag: String::new(), cseq: 1, rung: false };
            self.states.push(Some(state));
            self.begun += 1;
            out.push(self.request(self.begun - 1, "INVITE", "i", "", true));
        }
        while self.held.front().is_some_and(|(due, _)| *due <= now) {
            let (_, index) = self.held.pop_front().unwrap();
            self.hang_up(index, out);
        }
    }

    fn hang_up(&mut self, index: usize, out: &mut Vec<String>) {
        self.states[index].as_mut().unwrap().cseq += 1;
        out.push(self.request(index, "BYE", "b", "x-wa-meta-call-duration: 1\r\n", false));
    }

    fn message(&mut self, text: &str, out: &mut Vec<String>) {
        let Some(index) = number_of(text).and_then(|number| number.checked_sub(self.load.first)) else {
            return;
        };
        let Some(Some(state)) = self.states.get_mut(index) else { return };
        let method = header(text, "CSeq").unwrap().split(' ').nth(1).unwrap();
        match (text.get(8..11).unwrap(), method) {
            ("100", _) => {}
            ("180", _) => {
                if !state.rung {
                    state.rung = true;
                    let took = state.invited.elapsed();
                    self.delays.record(u64::try_from(took.as_micros()).unwrap()).unwrap();
                }
            }
            ("401" | "407", "INVITE") => {
                let proof = credentials(text);
                out.push(self.request(index, "ACK", "i", "", false));
                let state = self.states[index].as_mut().unwrap();
                state.cseq += 1;
                state.invited = Instant::now();
                out.push(self.request(index, "INVITE", "j", &proof, true));
            }
            ("200", "INVITE") => {
                let contact = header(text, "Contact").unwrap();
                contact.split(['<', '>']).nth(1).unwrap().clone_into(&mut state.target);
                let to = header(text, "To").unwrap();
                state.to_tag = format!(";tag={}", to.split_once(";tag=").unwrap().1);
                out.push(self.request(index, "ACK", "k", "", false));
                self.answered += 1;
                if self.load.stays() {
                    if self.answered == self.load.calls {
                        println!("ready");
                    }
                } else if self.load.hold_ms == 0 {
                    self.hang_up(index, out);
                } else {
                    self.held.push_back((Instant::now() + Duration::from_millis(self.load.hold_ms), index));
                }
            }
            ("200", "BYE") => {
                self.states[index] = None;
                self.ended += 1;
            }
            _ => panic!("not expected: {text}"),
        }
    }

    fn request(&self, index: usize, method: &str, branch: &str, more: &str, offer: bool) -> String {
        let state = self.states[index].as_ref().unwrap();
        let call = Call {
            number: self.load.first + index,
            via: self.via,
            target: state.target.clone(),
            to_tag: state.to_tag.clone(),
            cseq: state.cseq,
        };
        call.request(method, branch, more, if offer { &self.body } else { "" })
    }

    fn told(&self) -> Told {
        told(self.started, &self.delays)
    }
}

fn told(started: Instant, delays: &Histogram<u64>) -> Told {
    let milliseconds = |quantile| delays.value_at_quantile(quantile) as f64 / 1000.0;
    Told { seconds: started.elapsed().as_secs_f64(), p50: milliseconds(0.5), p99: milliseconds(0.99) }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).unwrap()
}

fn connector(load: &Load) -> TlsConnector {
    let mut config = wabridge::tls::client_config(Some(load.ca.as_ref())).unwrap();
    // Each handshake is to be a full one.
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

async fn tcp(load: &Load) -> TcpStream {
    let stream = TcpStream::connect(&load.target).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn name() -> ServerName<'static> {
    ServerName::try_from(HOSTNAME).unwrap()
}
