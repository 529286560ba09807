//! A call that an agent dials: the telephone system's side of it. A function of what it is told; [`super::trunk`]
//! has the socket.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::message::Message;
use super::{AgentCall, CallStage, TelephonyOptions, token};
use crate::sandbox::cloud::SimCustomer;

/// A call that an agent has dialled.
pub(super) struct Dialled {
    /// SIP's id of it.
    pub call_id: String,
    uri: String,
    from: String,
    to: String,
    via: String,
    contact: String,
    phone: String,
    /// The way within the dialog, once it is there.
    target: String,
    stage: CallStage,
    /// The agent has given up, as soon as the other side may be told.
    gave_up: bool,
}

impl Dialled {
    /// A call to a customer, for the business phone.
    pub fn new(customer: &SimCustomer, options: &TelephonyOptions, own: SocketAddr) -> Self {
        let user = match &customer.wa_id {
            Some(number) => format!("+{}", number.trim_start_matches('+')),
            None => customer.user_id.clone().unwrap_or_default(),
        };
        let (phone, uri) = (format!("+{}", options.number), format!("sip:{user}@{}", options.bridge));
        Self {
            call_id: format!("{}@{own}", token()),
            from: format!("<sip:{phone}@{own}>;tag={}", token()),
            to: format!("<{uri}>"),
            via: format!("SIP/2.0/UDP {own};rport;branch=z9hG4bK{}", token()),
            contact: format!("<sip:101@{own}>"),
            target: uri.clone(),
            uri,
            phone,
            stage: CallStage::Calling,
            gave_up: false,
        }
    }

    /// As the page shows it.
    pub fn shown(&self, customer: &SimCustomer) -> AgentCall {
        let number = customer.wa_id.as_ref().map(|number| format!("+{}", number.trim_start_matches('+')));
        AgentCall {
            call_id: self.call_id.clone(),
            wacid: String::new(),
            from: format!("{} {}", customer.name, number.unwrap_or_default()).trim().to_owned(),
            is_outgoing: true,
            headers: Vec::new(),
            stage: CallStage::Calling,
            outcome: String::new(),
        }
    }

    /// Where it begins.
    pub fn invite(&self) -> Message {
        self.request("INVITE", &self.uri, &self.via, 1)
            .with("Contact", &self.contact)
            .with("X-WA-Phone", &self.phone)
            .with("X-WA-Agent", "101")
            .with_sdp(&offer())
    }

    /// The agent wants no more: what is to be sent now, if anything may be.
    pub fn hang_up(&mut self) -> Option<Message> {
        match self.stage {
            // Before a first answer nothing may be taken back (RFC 3261 §9.1).
            CallStage::Calling | CallStage::Ended => {
                self.gave_up = true;
                None
            }
            CallStage::Ringing => {
                self.gave_up = true;
                Some(self.request("CANCEL", &self.uri, &self.via, 1))
            }
            CallStage::Answered => {
                self.stage = CallStage::Ended;
                Some(self.in_dialog("BYE", 2))
            }
        }
    }

    /// What a message is answered with, how far the call is by it, and how it ended in words.
    pub fn take(&mut self, message: &Message) -> (Option<Message>, Option<CallStage>, String) {
        let Some(status) = message.status() else { return self.requested(message) };
        match (message.answers_to().unwrap_or_default(), status) {
            ("INVITE", 100..200) => {
                let cancel = self.gave_up.then(|| self.request("CANCEL", &self.uri, &self.via, 1));
                let rings = status > 100 && self.stage == CallStage::Calling;
                if rings {
                    self.stage = CallStage::Ringing;
                }
                (cancel, rings.then_some(CallStage::Ringing), String::new())
            }
            ("INVITE", 200..300) => {
                self.target = message.address("contact").unwrap_or_else(|| self.uri.clone());
                self.to = message.header("to").unwrap_or(&self.to).to_owned();
                let is_new = self.stage != CallStage::Answered && self.stage != CallStage::Ended;
                if is_new {
                    self.stage = CallStage::Answered;
                }
                (Some(self.in_dialog("ACK", 1)), is_new.then_some(CallStage::Answered), String::new())
            }
            ("INVITE", _) => {
                self.to = message.header("to").unwrap_or(&self.to).to_owned();
                let ack = self.request("ACK", &self.uri, &self.via, 1);
                self.stage = CallStage::Ended;
                let outcome = if self.gave_up {
                    "the agent gave up".to_owned()
                } else {
                    // What the bridge says for a dialplan to read.
                    message.header("x-wa-error").map_or_else(|| message.outcome(), str::to_owned)
                };
                (Some(ack), Some(CallStage::Ended), outcome)
            }
            _ => (None, None, String::new()),
        }
    }

    fn requested(&mut self, message: &Message) -> (Option<Message>, Option<CallStage>, String) {
        let ok = Message::answer(message, 200, "OK", "");
        match message.method() {
            Some("BYE") => {
                self.stage = CallStage::Ended;
                (Some(ok), Some(CallStage::Ended), "the customer hung up".to_owned())
            }
            Some("OPTIONS") => (Some(ok), None, String::new()),
            _ => (None, None, String::new()),
        }
    }

    fn in_dialog(&self, method: &str, cseq: u32) -> Message {
        let branch = self.via.rsplit_once("branch=").map_or("", |(via, _)| via);
        self.request(method, &self.target, &format!("{branch}branch=z9hG4bK{}", token()), cseq)
    }

    fn request(&self, method: &str, uri: &str, via: &str, cseq: u32) -> Message {
        Message::request(method, uri)
            .with("Via", via)
            .with("Max-Forwards", "70")
            .with("From", &self.from)
            .with("To", &self.to)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{cseq} {method}"))
    }
}

/// SDES, as the bridge's documentation tells a telephone system to offer it.
fn offer() -> String {
    let key = STANDARD.encode(format!("{}{}", token(), token()).get(..30).unwrap_or_default());
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=agents",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        "m=audio 4000 RTP/SAVP 107 101",
        "a=rtcp-mux",
        &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
        "a=rtpmap:107 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        "a=sendrecv",
        "",
    ]
    .join("\r\n")
}
