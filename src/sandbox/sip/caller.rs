//! A customer's call as Meta's gateway brings it (whatsapp-sip facts §2): TLS, three Vias, two Record-Routes,
//! digest on challenge, SDES.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::message::{Message, parameter};
use super::{CallStage, CustomerDoes, SimTelephony, token};
use crate::sandbox::cloud::SimCustomer;

/// What is called, and by whom.
pub(super) struct Outgoing {
    pub customer: SimCustomer,
    pub wacid: String,
    pub payload: Option<String>,
}

struct Caller {
    telephony: SimTelephony,
    call: Outgoing,
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
    call_id: String,
    from: String,
    to: String,
    branch: String,
    cseq: u32,
    tried_digest: bool,
    /// After the answer: whom requests go to, and over which proxies.
    target: String,
    routes: Vec<String>,
    /// The customer has given up, as soon as the other side may be told.
    gave_up: bool,
    is_cancelled: bool,
}

/// Makes the call and stays with it to its end.
pub(super) async fn call(
    telephony: SimTelephony,
    call: Outgoing,
    mut does: mpsc::UnboundedReceiver<CustomerDoes>,
) {
    let wacid = call.wacid.clone();
    let cancel = telephony.inner.cancel.clone();
    let run = async {
        let mut caller = Caller::connect(telephony.clone(), call).await?;
        caller.run(&mut does).await
    };
    let outcome = tokio::select! {
        () = cancel.cancelled() => return,
        outcome = run => outcome.unwrap_or_else(|error| format!("no connection to the bridge: {error}")),
    };
    telephony.on_customer_call(&wacid, |call| {
        call.stage = CallStage::Ended;
        call.outcome = outcome;
    });
    let ended = telephony.calls_of_customers().into_iter().find(|call| call.wacid == wacid);
    if let Some(call) = ended {
        let now = telephony.inner.clock.now();
        let seconds = call.answered_at.map(|answered| (now - answered).num_seconds());
        let phone = &telephony.inner.options.phone_number_id;
        telephony.inner.cloud.call_terminated(phone, &call.customer, &wacid, true, seconds, &[]);
    }
}

impl Caller {
    async fn connect(telephony: SimTelephony, call: Outgoing) -> io::Result<Self> {
        let options = &telephony.inner.options;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(options.certificate.clone())).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(options.hostname.clone()).map_err(io::Error::other)?;
        let socket = TcpStream::connect(options.edge).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        let customer = &call.customer;
        let user = match &customer.wa_id {
            Some(number) => format!("+{}", number.trim_start_matches('+')),
            None => customer.user_id.clone().unwrap_or_default(),
        };
        let shown = customer.name.replace(['"', '\\'], "");
        let from = format!("\"{shown}\" <sip:{user}@wa.meta.vc>;tag={}", token());
        let to = format!("<sip:+{}@{}>", options.number, options.hostname);
        Ok(Self {
            call_id: format!("outgoing:{}", call.wacid),
            from,
            to,
            branch: token(),
            cseq: 2824,
            tried_digest: false,
            target: String::new(),
            routes: Vec::new(),
            gave_up: false,
            is_cancelled: false,
            received: Vec::new(),
            telephony,
            call,
            stream,
        })
    }

    /// How it ended, in words.
    async fn run(&mut self, does: &mut mpsc::UnboundedReceiver<CustomerDoes>) -> io::Result<String> {
        let invite = self.invite(None);
        self.send(&invite).await?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            while let Some((message, used)) = Message::take(&self.received) {
                self.received.drain(..used);
                if let Some(outcome) = self.take(&message).await? {
                    return Ok(outcome);
                }
            }
            tokio::select! {
                read = self.stream.read(&mut buffer) => {
                    let read = read?;
                    if read == 0 {
                        return Ok("the connection was lost".to_owned());
                    }
                    self.received.extend_from_slice(buffer.get(..read).unwrap_or_default());
                }
                Some(CustomerDoes::HangUp) = does.recv() => {
                    self.gave_up = true;
                    if self.stage() == CallStage::Answered {
                        self.bye().await?;
                    } else if self.stage() == CallStage::Ringing {
                        self.cancel().await?;
                    }
                }
            }
        }
    }

    /// One message of the bridge. `Some`: the call is over.
    async fn take(&mut self, message: &Message) -> io::Result<Option<String>> {
        let Some(status) = message.status() else {
            return self.requested(message).await;
        };
        match (message.answers_to().unwrap_or_default(), status) {
            ("INVITE", 100..200) => {
                if self.stage() == CallStage::Calling && status > 100 {
                    self.set(CallStage::Ringing);
                }
                // Only now may a call be taken back (RFC 3261 §9.1).
                if self.gave_up && !self.is_cancelled {
                    self.cancel().await?;
                }
                Ok(None)
            }
            ("INVITE", 200..300) => {
                self.target = message.address("contact").unwrap_or_default();
                self.routes = message.all("record-route").map(str::to_owned).collect();
                self.routes.reverse();
                self.to = message.header("to").unwrap_or(&self.to).to_owned();
                let ack = self.in_dialog("ACK", self.cseq);
                self.send(&ack).await?;
                if self.stage() != CallStage::Answered {
                    self.set(CallStage::Answered);
                }
                if self.gave_up {
                    self.bye().await?;
                }
                Ok(None)
            }
            ("INVITE", _) => {
                let ack = self.ack_of(message);
                self.send(&ack).await?;
                let challenge = message.header("proxy-authenticate").or(message.header("www-authenticate"));
                match challenge.filter(|_| matches!(status, 401 | 407) && !self.tried_digest) {
                    Some(challenge) => {
                        self.tried_digest = true;
                        self.cseq += 1;
                        self.branch = token();
                        let invite = self.invite(Some((challenge, status)));
                        self.send(&invite).await?;
                        Ok(None)
                    }
                    None if self.gave_up => Ok(Some("the customer gave up".to_owned())),
                    None => Ok(Some(message.outcome())),
                }
            }
            ("BYE", _) => Ok(Some("the customer hung up".to_owned())),
            _ => Ok(None),
        }
    }

    async fn requested(&mut self, message: &Message) -> io::Result<Option<String>> {
        match message.method() {
            Some("BYE") => {
                self.send(&Message::answer(message, 200, "OK", "")).await?;
                Ok(Some("the business hung up".to_owned()))
            }
            Some("OPTIONS") => {
                self.send(&Message::answer(message, 200, "OK", "")).await?;
                Ok(None)
            }
            // As Meta: no second offer, no update (facts §2.10).
            Some("ACK") | None => Ok(None),
            Some(_) => {
                self.send(&Message::answer(message, 500, "Server Internal Error", "")).await?;
                Ok(None)
            }
        }
    }

    fn uri(&self) -> String {
        let options = &self.telephony.inner.options;
        format!("sip:+{}@{};transport=tls", options.number, options.hostname)
    }

    fn vias(&self, message: Message, branch: &str) -> Message {
        message
            .with(
                "Via",
                format!(
                    "SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;rport=43917;received=2803:6080:e888:51aa::1;\
                     branch=z9hG4bKPj{branch};alias"
                ),
            )
            .with("Via", format!("SIP/2.0/TLS [2803:6080:e888:51aa::2]:5061;branch=z9hG4bKPj{branch}b"))
            .with(
                "Via",
                format!(
                    "SIP/2.0/TLS [2803:6080:e888:51aa::3]:55319;rport=55319;received=2803:6080:e888:51aa::3;\
                     branch=z9hG4bKPj{branch}c;alias"
                ),
            )
    }

    fn invite(&self, challenge: Option<(&str, u16)>) -> Message {
        let customer = &self.call.customer;
        let contact = self.from.split(';').next().unwrap_or_default();
        let contact = contact.replace("@wa.meta.vc>", "@wa.meta.vc;transport=tls;ob>");
        let invite = Message::request("INVITE", &self.uri())
            .with("Record-Route", "<sip:wa.meta.vc;transport=tls;lr>")
            .with("Record-Route", "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>");
        let mut invite = self
            .vias(invite, &self.branch)
            .with("Max-Forwards", "69")
            .with("From", &self.from)
            .with("To", &self.to)
            .with("Contact", format!("{contact};isfocus"))
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} INVITE", self.cseq))
            .with("X-FB-External-Domain", "wa.meta.vc")
            .with("Allow", "INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS")
            .with("User-Agent", "Facebook SipGateway")
            .with("x-wa-meta-wacid", &self.call.wacid)
            .with("x-wa-meta-phone-number-id", &self.telephony.inner.options.phone_number_id);
        if let Some(user_id) = &customer.user_id {
            invite = invite.with("x-wa-meta-user-id", user_id);
        }
        if let Some(username) = &customer.username {
            invite = invite.with("x-wa-meta-username", username);
        }
        if let Some(payload) = &self.call.payload {
            invite = invite.with("x-wa-meta-cta-payload", payload);
        }
        if let Some((challenge, status)) = challenge {
            let name = if status == 401 { "Authorization" } else { "Proxy-Authorization" };
            invite = invite.with(name, self.credentials(challenge));
        }
        invite.with_sdp(&offer())
    }

    /// RFC 7616 with MD5; the address as Meta writes it, without its transport (facts §2.8).
    fn credentials(&self, challenge: &str) -> String {
        let options = &self.telephony.inner.options;
        let password = self.telephony.inner.cloud.sip_password(&options.phone_number_id, &options.client_id);
        let part = |name: &str| parameter(challenge, name).unwrap_or_default();
        let (realm, nonce, opaque) = (part("realm"), part("nonce"), part("opaque"));
        let uri = format!("sip:+{}@{}", options.number, options.hostname);
        let hash = |text: String| hex::encode(Md5::digest(text.as_bytes()));
        let first = hash(format!("{}:{realm}:{}", options.number, password.unwrap_or_default()));
        let second = hash(format!("INVITE:{uri}"));
        let cnonce = token();
        let response = hash(format!("{first}:{nonce}:00000001:{cnonce}:auth:{second}"));
        format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", cnonce=\"{cnonce}\", opaque=\"{opaque}\", qop=auth, nc=00000001",
            options.number
        )
    }

    fn ack_of(&self, answer: &Message) -> Message {
        let mut ack = self.vias(Message::request("ACK", &self.uri()), &self.branch);
        for (name, value) in [("Max-Forwards", "69"), ("From", self.from.as_str())] {
            ack = ack.with(name, value);
        }
        ack.with("To", answer.header("to").unwrap_or(&self.to))
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} ACK", self.cseq))
    }

    async fn cancel(&mut self) -> io::Result<()> {
        self.is_cancelled = true;
        let cancel = self
            .vias(Message::request("CANCEL", &self.uri()), &self.branch)
            .with("Max-Forwards", "69")
            .with("From", &self.from)
            .with("To", &self.to)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} CANCEL", self.cseq));
        self.send(&cancel).await
    }

    async fn bye(&mut self) -> io::Result<()> {
        self.cseq += 1;
        let wacid = self.call.wacid.clone();
        let seconds = self.seconds();
        let bye = self
            .in_dialog("BYE", self.cseq)
            .with("x-wa-meta-wacid", wacid)
            .with("x-wa-meta-call-duration", seconds.to_string());
        self.send(&bye).await
    }

    fn in_dialog(&self, method: &str, cseq: u32) -> Message {
        let mut message = self.vias(Message::request(method, &self.target), &token());
        for route in &self.routes {
            // What is left of the way when the request reaches the bridge: Meta's proxies have taken theirs.
            if !route.contains("wa.meta.vc") && !route.contains("fbinfra.net") {
                message = message.with("Route", route);
            }
        }
        message
            .with("Max-Forwards", "69")
            .with("From", &self.from)
            .with("To", &self.to)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{cseq} {method}"))
    }

    async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.stream.write_all(&message.bytes()).await?;
        self.stream.flush().await
    }

    fn stage(&self) -> CallStage {
        let calls = self.telephony.calls_of_customers();
        let own = calls.into_iter().find(|call| call.wacid == self.call.wacid);
        own.map_or(CallStage::Ended, |call| call.stage)
    }

    fn seconds(&self) -> i64 {
        let calls = self.telephony.calls_of_customers();
        let own = calls.into_iter().find(|call| call.wacid == self.call.wacid);
        let answered = own.and_then(|call| call.answered_at);
        answered.map_or(0, |answered| (self.telephony.inner.clock.now() - answered).num_seconds())
    }

    fn set(&self, stage: CallStage) {
        let now = self.telephony.inner.clock.now();
        self.telephony.on_customer_call(&self.call.wacid, |call| {
            call.stage = stage;
            if stage == CallStage::Answered {
                call.answered_at = Some(now);
            }
        });
    }
}

/// SDES as Meta offers it (facts §2.5).
fn offer() -> String {
    let key = STANDARD.encode(format!("{}{}", token(), token()).get(..30).unwrap_or_default());
    [
        "v=0",
        "o=- 1741113186367 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 3480 RTP/SAVP 111 126",
        "c=IN IP4 57.144.135.35",
        "a=rtcp-mux",
        &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
        "a=sendrecv",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1",
        "a=rtpmap:126 telephone-event/8000",
        "a=maxptime:20",
        "a=ptime:20",
        "",
    ]
    .join("\r\n")
}
