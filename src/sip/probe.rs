//! SIP as others see it, for the doctor: whether a trunk answers, what a TLS client gets at our port, and whether
//! an INVITE with a phone's password is believed there. No call is made: what the INVITE bears is no offer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use crate::clock::new_id;
use crate::domain::Secret;
use crate::sip::core::credentials::{Account, Challenge};
use crate::sip::core::framing::{Frame, Framer};
use crate::sip::core::message::{Message, Response};
use crate::sip::core::{Target, Transport};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// A datagram may be lost.
const DATAGRAMS: usize = 3;
const LARGEST: usize = 65_535;
/// What a client of the web would ask for; the edge has no protocol to name.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there was no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeFault {
    /// No connection.
    Unreachable(String),
    /// The connection stood, and TLS did not succeed.
    Tls(String),
    /// Nothing came, or no SIP.
    Silent(String),
}

/// Who asks to be believed.
#[derive(Clone, Debug)]
pub struct Claimant<'a> {
    /// Digits of the phone.
    pub digits: &'a str,
    /// Our host name, which is the realm.
    pub hostname: &'a str,
    /// The phone's SIP password.
    pub password: &'a Secret,
}

/// What became of an INVITE with a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// Challenged, and believed.
    Proven,
    /// Taken without a challenge.
    Unasked,
    /// Challenged, and not believed: this status.
    Disbelieved(u16),
    /// Not even challenged: this status.
    Refused(u16),
}

/// A TLS handshake with a name, as a client that asks for a protocol of the web; gives the protocol that was agreed
/// upon.
pub async fn shake(name: &str, port: u16, tls: ClientConfig) -> Result<Option<String>, ProbeFault> {
    let mut asked = tls;
    asked.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    let stream = dial(name, port).await?;
    let secured = secure(name, stream, asked).await?;
    let agreed = secured.get_ref().1.alpn_protocol();
    Ok(agreed.map(|protocol| String::from_utf8_lossy(protocol).into_owned()))
}

/// OPTIONS to one address of a trunk (`sip:host:port;transport=…`); any answer will do, and its status is given.
pub async fn options(uri: &str, tls: ClientConfig) -> Result<u16, ProbeFault> {
    let target =
        Target::parse(uri, 0).ok_or_else(|| ProbeFault::Unreachable("this is no SIP address".into()))?;
    let host = target.host.to_string();
    let answer = match target.transport {
        Transport::Udp => return ask_by_datagram(&host, target.port).await,
        Transport::Tcp => {
            let mut stream = dial(&host, target.port).await?;
            ask(&mut stream, &options_request(&host, "TCP", "probe.invalid")).await?
        }
        Transport::Tls => {
            let stream = dial(&host, target.port).await?;
            let mut stream = secure(&host, stream, tls).await?;
            ask(&mut stream, &options_request(&host, "TLS", "probe.invalid")).await?
        }
    };
    Ok(answer.status)
}

/// An INVITE to ourselves with a phone's password, over TLS to `address`. Its body is no offer, so that nobody is
/// called whatever is thought of it.
pub async fn claim(address: SocketAddr, who: &Claimant<'_>, tls: ClientConfig) -> Result<Belief, ProbeFault> {
    let stream = connect(address).await.map_err(|error| ProbeFault::Unreachable(error.to_string()))?;
    let mut stream = secure(who.hostname, stream, tls).await?;
    let call = new_id();
    let (uri, first) =
        (format!("sip:+{}@{};transport=tls", who.digits, who.hostname), invite(who, &call, 1, None));
    let answer = ask(&mut stream, &first).await?;
    acknowledge(&mut stream, who, &call, 1).await?;
    if !matches!(answer.status, 401 | 407) {
        // It was looked at before anybody asked who we are.
        let seen = matches!(answer.status, 415 | 488);
        return Ok(if seen { Belief::Unasked } else { Belief::Refused(answer.status) });
    }
    let mut challenge = Challenge::of(answer.status, &answer.headers)
        .ok_or_else(|| ProbeFault::Silent("the challenge cannot be answered".to_owned()))?;
    let account = Account { key: "", username: who.digits, password: who.password.expose() };
    let credentials = challenge.answer(&account, "INVITE", &uri, &new_id());
    let second = ask(&mut stream, &invite(who, &call, 2, Some(credentials))).await?;
    acknowledge(&mut stream, who, &call, 2).await?;
    Ok(match second.status {
        401 | 403 | 407 => Belief::Disbelieved(second.status),
        415 | 488 => Belief::Proven,
        status => Belief::Refused(status),
    })
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, ProbeFault> {
    let unreachable = |error: io::Error| ProbeFault::Unreachable(error.to_string());
    let mut failure = ProbeFault::Unreachable("the name has no address".to_owned());
    for address in tokio::net::lookup_host((host, port)).await.map_err(unreachable)? {
        match connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = unreachable(error),
        }
    }
    Err(failure)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answers in time")),
    }
}

async fn secure(
    name: &str,
    stream: TcpStream,
    tls: ClientConfig,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ProbeFault> {
    let server = ServerName::try_from(name.to_owned()).map_err(|error| ProbeFault::Tls(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(tls));
    match tokio::time::timeout(PATIENCE, connector.connect(server, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(ProbeFault::Tls(error.to_string())),
        Err(_) => Err(ProbeFault::Tls("the handshake does not end".to_owned())),
    }
}

async fn ask_by_datagram(host: &str, port: u16) -> Result<u16, ProbeFault> {
    let unreachable = |error: io::Error| ProbeFault::Unreachable(error.to_string());
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?;
    let address =
        found.next().ok_or_else(|| ProbeFault::Unreachable("the name has no address".to_owned()))?;
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    socket.connect(address).await.map_err(unreachable)?;
    let own = socket.local_addr().map_err(unreachable)?;
    let request = options_request(host, "UDP", &own.to_string());
    let mut bytes = vec![0; LARGEST];
    for _ in 0..DATAGRAMS {
        socket.send(request.as_bytes()).await.map_err(unreachable)?;
        match tokio::time::timeout(PATIENCE / 4, socket.recv(&mut bytes)).await {
            Ok(Ok(length)) => {
                if let Ok(Message::Response(response)) =
                    Message::parse(bytes.get(..length).unwrap_or_default())
                {
                    return Ok(response.status);
                }
            }
            Ok(Err(error)) => return Err(unreachable(error)),
            Err(_) => {}
        }
    }
    Err(ProbeFault::Silent("nobody answers OPTIONS".to_owned()))
}

/// Sends a request and waits for its final answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &str,
) -> Result<Response, ProbeFault> {
    let silent = |why: &str| ProbeFault::Silent(why.to_owned());
    stream.write_all(request.as_bytes()).await.map_err(|error| silent(&error.to_string()))?;
    stream.flush().await.map_err(|error| silent(&error.to_string()))?;
    let (mut framer, mut bytes) = (Framer::default(), vec![0; LARGEST]);
    let read = async {
        loop {
            while let Some(frame) = framer.next_frame() {
                match frame {
                    Frame::Message(message) => match Message::parse(&message) {
                        Ok(Message::Response(response)) if response.status >= 200 => return Ok(response),
                        Ok(_) => {}
                        Err(_) => return Err(silent("what answers does not speak SIP")),
                    },
                    Frame::Ping => {}
                    Frame::Fault { .. } => return Err(silent("what answers does not speak SIP")),
                }
            }
            match stream.read(&mut bytes).await {
                Ok(0) => return Err(silent("the connection was closed without an answer")),
                Ok(length) => framer.feed(bytes.get(..length).unwrap_or_default()),
                Err(error) => return Err(silent(&error.to_string())),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(silent("nobody answers in time")))
}

async fn acknowledge<S: AsyncWrite + Unpin>(
    stream: &mut S,
    who: &Claimant<'_>,
    call: &str,
    number: u32,
) -> Result<(), ProbeFault> {
    let text = head(who, call, "ACK", number) + "Content-Length: 0\r\n\r\n";
    let sent = stream.write_all(text.as_bytes()).await;
    sent.map_err(|error| ProbeFault::Silent(error.to_string()))
}

fn invite(who: &Claimant<'_>, call: &str, number: u32, credentials: Option<(&str, String)>) -> String {
    let mut text = head(who, call, "INVITE", number);
    if let Some((name, value)) = credentials {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n?"
}

/// Of an INVITE and of the ACK to its refusal, which has the same branch.
fn head(who: &Claimant<'_>, call: &str, method: &str, number: u32) -> String {
    let (digits, host) = (who.digits, who.hostname);
    format!(
        "{method} sip:+{digits}@{host};transport=tls SIP/2.0\r\n\
         Via: SIP/2.0/TLS probe.invalid;branch=z9hG4bK{call}-{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:doctor@{host}>;tag={call}\r\nTo: <sip:+{digits}@{host}>\r\n\
         Call-ID: {call}@{host}\r\nCSeq: {number} {method}\r\nContact: <sip:doctor@{host};transport=tls>\r\n\
         User-Agent: wabridge-doctor\r\n"
    )
}

fn options_request(host: &str, transport: &str, own: &str) -> String {
    let id = new_id();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!(
        "OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/{transport} {own};branch=z9hG4bK{id};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:doctor@{own}>;tag={id}\r\nTo: <sip:{host}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 OPTIONS\r\nContact: <sip:doctor@{own}>\r\nUser-Agent: wabridge-doctor\r\n\
         Accept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    )
}
