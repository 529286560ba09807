//! Scripted peers: Meta's side over TLS, a telephone system over UDP.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::message::{Message, MetaCall};
use super::{Certificates, HOSTNAME, TestEdge};
use crate::support::DEADLINE;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection of Meta, to us or from us.
pub struct Connection {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    pub alpn: Option<Vec<u8>>,
    /// DER of the certificate that we were shown.
    pub shown: Vec<u8>,
}

impl Connection {
    pub async fn open(edge: &TestEdge) -> Self {
        Self::open_with(edge, &[]).await.unwrap()
    }

    /// A client that offers these protocols.
    pub async fn open_with(edge: &TestEdge, alpn: &[&[u8]]) -> std::io::Result<Self> {
        Self::dial(edge.meta, &edge.certificates, alpn).await
    }

    /// A client that speaks this version of TLS alone.
    pub async fn open_by(edge: &TestEdge, version: &'static rustls::SupportedProtocolVersion) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(edge.certificates.path("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::greet(edge.meta, config).await.unwrap()
    }

    /// The same to any address.
    pub async fn dial(
        address: SocketAddr,
        certificates: &Certificates,
        alpn: &[&[u8]],
    ) -> std::io::Result<Self> {
        let mut config = wabridge::tls::client_config(Some(&certificates.path("ca.pem"))).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Self::greet(address, config).await
    }

    async fn greet(address: SocketAddr, config: rustls::ClientConfig) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(HOSTNAME).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (_, tls) = stream.get_ref();
        let alpn = tls.alpn_protocol().map(<[u8]>::to_vec);
        let shown = tls.peer_certificates().unwrap()[0].to_vec();
        Ok(Self { stream: Box::new(stream), read: Vec::new(), alpn, shown })
    }

    /// Without TLS.
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream: Box::new(stream), read: Vec::new(), alpn: None, shown: Vec::new() }
    }

    /// Calls, and the telephone system answers; both sides are connected. The call, and the INVITE there.
    pub async fn call(&mut self, pbx: &Pbx, name: &str) -> (MetaCall, Message) {
        let mut call = MetaCall::new(name);
        let (invite, ()) = tokio::join!(async { pbx.answer_call().await.0 }, async {
            self.invite(&mut call).await;
            let answer = self.status(200).await;
            call.answered(&answer);
            self.send(&call.ack()).await;
        });
        (call, invite)
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; `None` = the connection is closed.
    pub async fn next(&mut self) -> Option<Message> {
        let reading = async {
            loop {
                if let Some((message, length)) = Message::cut(&self.read) {
                    self.read.drain(..length);
                    return Some(message);
                }
                if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("a message, or the end of the connection")
    }

    /// The next answer with this status; others before it are passed over if they are provisional.
    pub async fn status(&mut self, status: u16) -> Message {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("closed before {status}"));
            if message.status() == status {
                return message;
            }
            assert!(message.status() / 100 == 1, "not {status} but {message:#?}");
        }
    }

    /// The next request.
    pub async fn request(&mut self, method: &str) -> Message {
        let message = self.next().await.unwrap_or_else(|| panic!("closed before {method}"));
        assert_eq!(message.method(), method, "{message:#?}");
        message
    }

    /// Exactly these bytes, next.
    pub async fn bytes(&mut self, expected: &[u8]) {
        let reading = async {
            while self.read.len() < expected.len() {
                assert_ne!(self.stream.read_buf(&mut self.read).await.unwrap(), 0, "closed");
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("bytes");
        assert_eq!(self.read.drain(..expected.len()).collect::<Vec<u8>>(), expected);
    }

    /// Waits until the other side has closed.
    pub async fn closed(&mut self) {
        assert!(self.next().await.is_none());
    }

    /// Invites with the phone's password; the answer that ends the transaction is for the caller.
    pub async fn invite(&mut self, call: &mut MetaCall) {
        self.send(&call.invite()).await;
        let challenge = loop {
            let message = self.next().await.unwrap();
            if message.status() != 100 {
                break message;
            }
        };
        assert!([401, 407].contains(&challenge.status()), "{challenge:#?}");
        let ack = call.request("ACK", "", "").replace(
            &format!("branch={}ACK0", call.branch),
            &format!("branch={}INVITE{}", call.branch, call.cseq),
        );
        self.send(&ack).await;
        let again = call.invite_with(&challenge);
        self.send(&again).await;
    }
}

/// Meta's own server, `sip.meta_host`.
pub struct MetaServer {
    pub address: SocketAddr,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl MetaServer {
    pub async fn start(certificates: &Certificates) -> Self {
        let files = certificates.files("meta");
        let certificate = wabridge::tls::ReloadingCert::load(&files.certificate, &files.private_key).unwrap();
        let config = wabridge::tls::server_config(certificate, &[]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, listener, acceptor: TlsAcceptor::from(config) }
    }

    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The next connection of the bridge.
    pub async fn accept(&self) -> Connection {
        let accepting = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            let stream = self.acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
            assert_eq!(stream.get_ref().1.alpn_protocol(), None);
            Connection { stream: Box::new(stream), read: Vec::new(), alpn: None, shown: Vec::new() }
        };
        tokio::time::timeout(DEADLINE, accepting).await.expect("a connection to Meta")
    }
}

impl MetaServer {
    /// The next connection of the bridge, which refuses our certificate.
    pub async fn refused(&self) {
        let accepting = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            assert!(self.acceptor.accept(stream).await.is_err(), "the bridge has trusted us");
        };
        tokio::time::timeout(DEADLINE, accepting).await.expect("a connection to Meta");
    }
}

/// A telephone system by UDP.
pub struct Pbx {
    pub socket: UdpSocket,
    pub address: SocketAddr,
}

impl Pbx {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    pub fn uri(&self) -> String {
        format!("sip:{};transport=udp", self.address)
    }

    pub fn contact(&self) -> String {
        format!("sip:{}", self.address)
    }

    pub async fn send(&self, to: SocketAddr, text: &str) {
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// The next message that is no repetition of a request that was seen, and who sent it.
    pub async fn next(&self) -> (Message, SocketAddr) {
        let mut buffer = vec![0; 65_535];
        let received = tokio::time::timeout(DEADLINE, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("a datagram").unwrap();
        (Message::cut(&buffer[..length]).expect("a whole message").0, from)
    }

    pub async fn request(&self, method: &str) -> (Message, SocketAddr) {
        loop {
            let (message, from) = self.next().await;
            if message.method() == method {
                return (message, from);
            }
        }
    }

    pub async fn status(&self, status: u16) -> Message {
        loop {
            let (message, _) = self.next().await;
            if message.status() == status {
                return message;
            }
        }
    }

    /// Rings and answers the next call.
    pub async fn answer_call(&self) -> (Message, SocketAddr) {
        let (invite, from) = self.request("INVITE").await;
        let contact = self.contact();
        self.send(from, &invite.answer("180 Ringing", "pbx", Some(&contact), "")).await;
        let sdp = super::message::offer(42_000);
        self.send(from, &invite.answer("200 OK", "pbx", Some(&contact), &sdp)).await;
        self.request("ACK").await;
        (invite, from)
    }

    /// Hangs up a call that it has answered.
    pub fn bye(&self, invite: &Message) -> String {
        format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bKbye\r\nMax-Forwards: 70\r\nFrom: {};tag=pbx\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nReason: Q.850;cause=16\r\nContent-Length: 0\r\n\r\n",
            invite.address("Contact"),
            self.address,
            invite.header("To").unwrap(),
            invite.header("From").unwrap(),
            invite.header("Call-ID").unwrap()
        )
    }

    /// Calls a customer.
    pub fn invite(&self, bridge: SocketAddr, call_id: &str) -> String {
        format!(
            "INVITE sip:+12195550714@{bridge} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bK{call_id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+12195550123@{}>;tag=pbx1\r\nTo: <sip:+12195550714@{bridge}>\r\n\
             Contact: <{}>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nX-WA-Phone: +12195550123\r\n{}",
            self.address,
            self.address,
            self.contact(),
            super::message::with_body(&super::message::offer(42_000))
        )
    }

    /// Hangs up a call that it has begun, by its 200.
    pub fn bye_of_caller(answer: &Message) -> String {
        format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKbye\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: 2 BYE\r\nReason: Q.850;cause=16\r\nContent-Length: 0\r\n\r\n",
            answer.address("Contact"),
            answer.header("From").unwrap(),
            answer.header("To").unwrap(),
            answer.header("Call-ID").unwrap()
        )
    }
}
