//! A customer who is called: Meta's server, to which the bridge brings the business's calls over TLS (whatsapp-sip
//! facts §3). It challenges, asks whether the customer has permitted calls, and lets the customer's phone ring.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::message::{Message, parameter};
use super::{CallStage, CustomerCall, CustomerDoes, SimTelephony, token};
use crate::sandbox::cloud::{SimCustomer, SimPermission};

/// Takes connections until the parties end.
pub(super) async fn serve(
    telephony: SimTelephony,
    listener: TcpListener,
    acceptor: Arc<rustls::ServerConfig>,
) {
    let (cancel, acceptor) = (telephony.inner.cancel.clone(), TlsAcceptor::from(acceptor));
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (telephony, acceptor) = (telephony.clone(), acceptor.clone());
        let cancel = cancel.clone();
        let tasks = telephony.inner.tasks.clone();
        tasks.spawn(async move {
            let run = async {
                let stream = acceptor.accept(stream).await?;
                Gateway { telephony, stream, received: Vec::new(), call: None }.run().await
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                ended = run => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the simulated Meta has ended");
                },
            }
        });
    }
}

/// One connection of the bridge, and the call on it. A second call waits for no other: the bridge keeps one
/// connection, so that a gateway of the sandbox has one call at a time and refuses the rest as busy.
struct Gateway {
    telephony: SimTelephony,
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
    call: Option<Call>,
}

struct Call {
    invite: Message,
    customer: SimCustomer,
    wacid: String,
    to_tag: String,
    answered_at: Option<DateTime<Utc>>,
    does: mpsc::UnboundedReceiver<CustomerDoes>,
}

impl Gateway {
    async fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            while let Some((message, used)) = Message::take(&self.received) {
                self.received.drain(..used);
                self.take(message).await?;
            }
            let does = async {
                match &mut self.call {
                    Some(call) => call.does.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = self.stream.read(&mut buffer) => {
                    let read = read?;
                    if read == 0 {
                        self.over("the connection was lost");
                        return Ok(());
                    }
                    self.received.extend_from_slice(buffer.get(..read).unwrap_or_default());
                }
                Some(done) = does => self.customer_does(done).await?,
            }
        }
    }

    async fn take(&mut self, message: Message) -> io::Result<()> {
        match message.method() {
            Some("INVITE") => self.invited(message).await,
            Some("CANCEL") => {
                self.send(&Message::answer(&message, 200, "OK", &token())).await?;
                let ringing = self.call.as_ref().filter(|call| call.answered_at.is_none());
                let Some(gone) = ringing.map(|call| call.answer(487, "Request Terminated")) else {
                    return Ok(());
                };
                self.send(&gone).await?;
                self.over("the business gave up");
                Ok(())
            }
            Some("BYE") => {
                let known = self.call.is_some();
                let (status, reason) = if known { (200, "OK") } else { (481, "Call Does Not Exist") };
                self.send(&Message::answer(&message, status, reason, &token())).await?;
                self.over("the business hung up");
                Ok(())
            }
            Some("ACK") | None => Ok(()),
            // As Meta: no second offer, no update (facts §2.10).
            Some(_) => self.send(&Message::answer(&message, 500, "Server Internal Error", &token())).await,
        }
    }

    async fn invited(&mut self, invite: Message) -> io::Result<()> {
        let refusal = match self.judge(&invite) {
            Ok(customer) => return self.ring(invite, customer).await,
            Err(refusal) => refusal,
        };
        self.send(&refusal).await
    }

    /// Who is called, if the business may; else what it gets (facts §3.4).
    fn judge(&self, invite: &Message) -> Result<SimCustomer, Message> {
        let options = &self.telephony.inner.options;
        let cloud = &self.telephony.inner.cloud;
        let refuse = |status: u16, reason: &str| {
            Message::answer(invite, status, reason, &token())
                .with("Warning", format!("399 wa.meta.vc \"{reason}\""))
        };
        let from = invite.address("from").unwrap_or_default();
        if !from.ends_with(&format!("@{}", options.hostname)) {
            return Err(refuse(403, "SIP server from INVITE does not match the configured one"));
        }
        let password = cloud.sip_password(&options.phone_number_id, &options.client_id).unwrap_or_default();
        match invite.header("proxy-authorization") {
            None => {
                let challenge = format!(
                    "Digest realm=\"wa.meta.vc\",nonce=\"{}\",opaque=\"{}\",algorithm=MD5,qop=\"auth\"",
                    token(),
                    token()
                );
                return Err(Message::answer(invite, 407, "Proxy Authentication Required", &token())
                    .with("Proxy-Authenticate", challenge));
            }
            Some(proof) if !proves(proof, &options.number, &password) => {
                return Err(refuse(403, "Wrong digest"));
            }
            Some(_) => {}
        }
        let user = user_of(&invite.address("to").unwrap_or_default());
        let Some(customer) = cloud.customer_of(&user) else {
            return Err(refuse(403, "No approved call permission"));
        };
        if cloud.call_permission(&options.phone_number_id, &customer) == SimPermission::None {
            return Err(refuse(403, "No approved call permission"));
        }
        if self.call.is_some() {
            return Err(refuse(486, "Busy Here"));
        }
        Ok(customer)
    }

    async fn ring(&mut self, invite: Message, customer: SimCustomer) -> io::Result<()> {
        let cloud = &self.telephony.inner.cloud;
        let wacid = cloud.new_wacid(&customer);
        let (say, does) = mpsc::unbounded_channel();
        self.telephony.customer_is_called(CustomerCall {
            wacid: wacid.clone(),
            customer: customer.clone(),
            is_incoming: true,
            stage: CallStage::Ringing,
            outcome: String::new(),
            answered_at: None,
            does: say,
        });
        cloud.call_created(&self.telephony.inner.options.phone_number_id, &customer, &wacid, false);
        let call = Call { invite, customer, wacid, to_tag: token(), answered_at: None, does };
        let (trying, ringing) =
            (Message::answer(&call.invite, 100, "Trying", ""), call.answer(180, "Ringing"));
        self.call = Some(call);
        self.send(&trying).await?;
        self.send(&ringing).await
    }

    async fn customer_does(&mut self, done: CustomerDoes) -> io::Result<()> {
        let now = self.telephony.inner.clock.now();
        let Some(call) = &mut self.call else { return Ok(()) };
        match (done, call.answered_at) {
            (CustomerDoes::Answer, None) => {
                call.answered_at = Some(now);
                let ok =
                    call.answer(200, "OK").with("Supported", "timer").with_sdp(&answer(&call.invite.body));
                let wacid = call.wacid.clone();
                self.send(&ok).await?;
                self.telephony.on_customer_call(&wacid, |call| {
                    (call.stage, call.answered_at) = (CallStage::Answered, Some(now));
                });
            }
            (CustomerDoes::Answer, Some(_)) => {}
            (CustomerDoes::HangUp, None) => {
                let declined = call.answer(486, "Busy Here");
                self.send(&declined).await?;
                self.over("the customer declined");
            }
            (CustomerDoes::HangUp, Some(answered)) => {
                let bye = call.bye((now - answered).num_seconds());
                self.send(&bye).await?;
                self.over("the customer hung up");
            }
        }
        Ok(())
    }

    /// The call is over: the phone shows it, and Meta tells of it.
    fn over(&mut self, outcome: &str) {
        let Some(call) = self.call.take() else { return };
        let telephony = &self.telephony;
        telephony.on_customer_call(&call.wacid, |shown| {
            shown.stage = CallStage::Ended;
            outcome.clone_into(&mut shown.outcome);
        });
        let seconds = call.answered_at.map(|answered| (telephony.inner.clock.now() - answered).num_seconds());
        let phone = &telephony.inner.options.phone_number_id;
        telephony.inner.cloud.call_terminated(phone, &call.customer, &call.wacid, false, seconds, &[]);
    }

    async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.stream.write_all(&message.bytes()).await?;
        self.stream.flush().await
    }
}

impl Call {
    /// An answer to the INVITE, with Meta's proxies on its way (facts §3.1).
    fn answer(&self, status: u16, reason: &str) -> Message {
        let user = user_of(&self.invite.address("to").unwrap_or_default());
        let answer = Message::answer(&self.invite, status, reason, &self.to_tag);
        if status >= 300 {
            return answer;
        }
        answer
            .with("Record-Route", "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>")
            .with("Record-Route", "<sip:wa.meta.vc;transport=tls;lr>")
            .with("Contact", format!("<sip:{user}@wa.meta.vc;transport=tls;ob>;isfocus"))
            .with("Allow", "INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS")
    }

    fn bye(&self, seconds: i64) -> Message {
        let named = |name: &str| self.invite.header(name).unwrap_or_default().to_owned();
        Message::request("BYE", &self.invite.address("contact").unwrap_or_default())
            .with(
                "Via",
                format!("SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;branch=z9hG4bKPj{};alias", token()),
            )
            .with("Max-Forwards", "69")
            .with("From", format!("{};tag={}", named("to"), self.to_tag))
            .with("To", named("from"))
            .with("Call-ID", named("call-id"))
            .with("CSeq", "7 BYE")
            .with("x-wa-meta-wacid", &self.wacid)
            .with("x-wa-meta-call-duration", seconds.to_string())
    }
}

/// `+15550101234` of `sip:+15550101234@wa.meta.vc;transport=tls`.
fn user_of(uri: &str) -> String {
    let rest = uri.strip_prefix("sip:").unwrap_or(uri);
    rest.split(['@', ';']).next().unwrap_or_default().to_owned()
}

/// RFC 2617 with MD5 and qop=auth.
fn proves(proof: &str, number: &str, password: &str) -> bool {
    let part = |name: &str| parameter(proof, name).unwrap_or_default();
    let hash = |text: String| hex::encode(Md5::digest(text.as_bytes()));
    let first = hash(format!("{number}:{}:{password}", part("realm")));
    let second = hash(format!("INVITE:{}", part("uri")));
    let (nonce, nc, cnonce) = (part("nonce"), part("nc"), part("cnonce"));
    part("username") == number
        && part("response") == hash(format!("{first}:{nonce}:{nc}:{cnonce}:auth:{second}"))
}

/// Opus in the profile of the offer, with its payload numbers and a key of our own (facts §3.2).
fn answer(offer: &str) -> String {
    let media = offer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap_or("9 RTP/SAVP 107");
    let profile = media.split(' ').skip(1).collect::<Vec<_>>().join(" ");
    let key = STANDARD.encode(format!("{}{}", token(), token()).get(..30).unwrap_or_default());
    let mut lines = vec![
        "v=0".to_owned(),
        "o=- 1741113186367 2 IN IP4 127.0.0.1".to_owned(),
        "s=-".to_owned(),
        "t=0 0".to_owned(),
        format!("m=audio 3480 {profile}"),
        "c=IN IP4 57.144.135.35".to_owned(),
        "a=rtcp-mux".to_owned(),
        format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
    ];
    lines.extend(offer.lines().filter(|line| line.starts_with("a=rtpmap:")).map(str::to_owned));
    lines.push("a=ptime:20\r\n".to_owned());
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_called_user_is_read_and_a_proof_is_checked() {
        assert_eq!(user_of("sip:+15550101234@wa.meta.vc;transport=tls"), "+15550101234");
        assert_eq!(user_of("sip:US.1349@wa.meta.vc"), "US.1349");
        let hash = |text: String| hex::encode(Md5::digest(text.as_bytes()));
        let (first, second) = (hash("1:r:pw".to_owned()), hash("INVITE:sip:a@b".to_owned()));
        let response = hash(format!("{first}:n:00000001:c:auth:{second}"));
        let proof = format!(
            "Digest username=\"1\", realm=\"r\", nonce=\"n\", uri=\"sip:a@b\", response=\"{response}\", cnonce=\"c\", \
             qop=auth, nc=00000001"
        );
        assert!(proves(&proof, "1", "pw"));
        assert!(!proves(&proof, "1", "other"));
    }
}
