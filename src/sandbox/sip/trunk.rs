//! A telephone system with agents who answer by hand: a UDP party that rings, answers, declines, hangs up. What an
//! agent dials is in `agent`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::agent::Dialled;
use super::message::Message;
use super::{AgentCall, CallStage, SimTelephony, token};
use crate::sandbox::cloud::SimCustomer;

/// The extension of the agent who answers: that of the simulated portal's operator.
const AGENT: &str = "101";
/// An answer that is not acknowledged is sent again so often, so far apart.
const REPEATS: u32 = 10;
const REPEAT_AFTER: Duration = Duration::from_millis(500);

/// What an agent does, with SIP's id of the call.
pub(super) enum Order {
    /// Picks up.
    Answer(String),
    /// Presses the red button while it rings.
    Decline(String),
    /// Hangs up, or gives up what was dialled.
    HangUp(String),
    /// Dials.
    Call(Box<SimCustomer>),
}

/// A call that is not over.
struct Leg {
    invite: Message,
    peer: SocketAddr,
    to_tag: String,
    /// The last answer to the INVITE, for a repeated one.
    answered: Message,
    /// Repeats of the 200 that are left.
    unconfirmed: u32,
}

struct Trunk {
    telephony: SimTelephony,
    socket: UdpSocket,
    legs: HashMap<String, Leg>,
    /// What agents have dialled.
    dialled: HashMap<String, Dialled>,
}

/// Serves until the parties end.
pub(super) async fn serve(
    telephony: SimTelephony,
    socket: UdpSocket,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let cancel = telephony.inner.cancel.clone();
    let mut trunk = Trunk { telephony, socket, legs: HashMap::new(), dialled: HashMap::new() };
    let mut buffer = vec![0; 65_535];
    let mut repeat = tokio::time::interval(REPEAT_AFTER);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            received = trunk.socket.recv_from(&mut buffer) => {
                let Ok((length, peer)) = received else { continue };
                let datagram = buffer.get(..length).unwrap_or_default();
                if let Some((message, _)) = Message::take(datagram) {
                    trunk.take(message, peer).await;
                }
            }
            Some(order) = orders.recv() => trunk.obey(order).await,
            _ = repeat.tick() => trunk.repeat().await,
        }
    }
}

impl Trunk {
    async fn take(&mut self, message: Message, peer: SocketAddr) {
        let Some(call_id) = message.header("call-id").map(str::to_owned) else { return };
        if self.dialled.contains_key(&call_id) {
            return self.take_dialled(&call_id, &message, peer).await;
        }
        let Some(method) = message.method().map(str::to_owned) else { return };
        match method.as_str() {
            "INVITE" => self.invited(call_id, message, peer).await,
            "ACK" => {
                if let Some(leg) = self.legs.get_mut(&call_id) {
                    leg.unconfirmed = 0;
                }
            }
            "CANCEL" => {
                self.send(&Message::answer(&message, 200, "OK", &token()), peer).await;
                if self.stage(&call_id) != Some(CallStage::Ringing) {
                    return;
                }
                if let Some(leg) = self.legs.remove(&call_id) {
                    let gone = Message::answer(&leg.invite, 487, "Request Terminated", &leg.to_tag);
                    self.send(&gone, leg.peer).await;
                    self.ended(&call_id, "the customer gave up");
                }
            }
            "BYE" => {
                let known = self.legs.remove(&call_id).is_some();
                let (status, reason) = if known { (200, "OK") } else { (481, "Call Does Not Exist") };
                self.send(&Message::answer(&message, status, reason, &token()), peer).await;
                if known {
                    self.ended(&call_id, "the customer hung up");
                }
            }
            "OPTIONS" => self.send(&Message::answer(&message, 200, "OK", &token()), peer).await,
            _ => self.send(&Message::answer(&message, 501, "Not Implemented", &token()), peer).await,
        }
    }

    async fn invited(&mut self, call_id: String, invite: Message, peer: SocketAddr) {
        if let Some(leg) = self.legs.get(&call_id) {
            let again = leg.answered.clone();
            return self.send(&again, peer).await;
        }
        let to_tag = token();
        self.send(&Message::answer(&invite, 100, "Trying", ""), peer).await;
        let ringing = Message::answer(&invite, 180, "Ringing", &to_tag).with("Contact", self.contact());
        self.send(&ringing, peer).await;
        let named = |name: &str| invite.header(name).unwrap_or_default().to_owned();
        let call = AgentCall {
            call_id: call_id.clone(),
            wacid: named("x-wa-call-id"),
            from: shown(&named("from")),
            is_outgoing: false,
            headers: invite
                .headers
                .iter()
                .filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-wa-"))
                .cloned()
                .collect(),
            stage: CallStage::Ringing,
            outcome: String::new(),
        };
        self.legs.insert(call_id, Leg { invite, peer, to_tag, answered: ringing, unconfirmed: 0 });
        self.telephony.agent_is_called(call);
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Answer(call_id) if self.stage(&call_id) == Some(CallStage::Ringing) => {
                let contact = self.contact();
                let Some(leg) = self.legs.get_mut(&call_id) else { return };
                let ok = Message::answer(&leg.invite, 200, "OK", &leg.to_tag)
                    .with("Contact", contact)
                    .with("X-WA-Agent", AGENT)
                    .with_sdp(&answer(&leg.invite.body));
                leg.answered = ok.clone();
                leg.unconfirmed = REPEATS;
                let peer = leg.peer;
                self.send(&ok, peer).await;
                self.telephony.on_agent_call(&call_id, |call| call.stage = CallStage::Answered);
            }
            Order::Decline(call_id) if self.stage(&call_id) == Some(CallStage::Ringing) => {
                let Some(leg) = self.legs.remove(&call_id) else { return };
                self.send(&Message::answer(&leg.invite, 603, "Decline", &leg.to_tag), leg.peer).await;
                self.ended(&call_id, "the agent declined");
            }
            Order::Call(customer) => self.dial(&customer).await,
            Order::HangUp(call_id) if self.dialled.contains_key(&call_id) => {
                if let Some(message) = self.dialled.get_mut(&call_id).and_then(Dialled::hang_up) {
                    self.send(&message, self.telephony.inner.options.bridge).await;
                }
                if self.stage(&call_id) == Some(CallStage::Answered) {
                    self.dialled.remove(&call_id);
                    self.ended(&call_id, "the agent hung up");
                }
            }
            Order::HangUp(call_id) if self.stage(&call_id) == Some(CallStage::Answered) => {
                let Some(leg) = self.legs.remove(&call_id) else { return };
                let target = leg.invite.address("contact").unwrap_or_default();
                let named = |name: &str| leg.answered.header(name).unwrap_or_default().to_owned();
                let bye = Message::request("BYE", &target)
                    .with(
                        "Via",
                        format!("SIP/2.0/UDP {};branch=z9hG4bK{}", self.telephony.trunk_address(), token()),
                    )
                    .with("Max-Forwards", "70")
                    // The agent's side is the one that was called.
                    .with("From", named("to"))
                    .with("To", named("from"))
                    .with("Call-ID", &call_id)
                    .with("CSeq", "1 BYE")
                    .with("Reason", "Q.850;cause=16");
                self.send(&bye, leg.peer).await;
                self.ended(&call_id, "the agent hung up");
            }
            _ => {}
        }
    }

    /// An agent dials a customer.
    async fn dial(&mut self, customer: &SimCustomer) {
        let options = &self.telephony.inner.options;
        let dialled = Dialled::new(customer, options, self.telephony.trunk_address());
        let (invite, bridge, call_id) = (dialled.invite(), options.bridge, dialled.call_id.clone());
        self.telephony.agent_is_called(dialled.shown(customer));
        self.dialled.insert(call_id, dialled);
        self.send(&invite, bridge).await;
    }

    /// A message of a call that an agent has dialled.
    async fn take_dialled(&mut self, call_id: &str, message: &Message, peer: SocketAddr) {
        let Some(dialled) = self.dialled.get_mut(call_id) else { return };
        let (reply, stage, outcome) = dialled.take(message);
        if let Some(reply) = reply {
            self.send(&reply, peer).await;
        }
        match stage {
            Some(CallStage::Ended) => {
                self.dialled.remove(call_id);
                self.ended(call_id, &outcome);
            }
            Some(stage) => self.telephony.on_agent_call(call_id, |call| call.stage = stage),
            None => {}
        }
    }

    /// Answers that nobody has acknowledged.
    async fn repeat(&mut self) {
        let mut again = Vec::new();
        for leg in self.legs.values_mut().filter(|leg| leg.unconfirmed > 0) {
            leg.unconfirmed -= 1;
            again.push((leg.answered.clone(), leg.peer));
        }
        for (message, peer) in again {
            self.send(&message, peer).await;
        }
    }

    fn stage(&self, call_id: &str) -> Option<CallStage> {
        let calls = self.telephony.calls_of_agents();
        calls.into_iter().find(|call| call.call_id == call_id).map(|call| call.stage)
    }

    fn ended(&self, call_id: &str, outcome: &str) {
        self.telephony.on_agent_call(call_id, |call| {
            call.stage = CallStage::Ended;
            outcome.clone_into(&mut call.outcome);
        });
    }

    fn contact(&self) -> String {
        format!("<sip:agents@{}>", self.telephony.trunk_address())
    }

    async fn send(&self, message: &Message, peer: SocketAddr) {
        if let Err(error) = self.socket.send_to(&message.bytes(), peer).await {
            tracing::warn!(%error, "the simulated telephone system cannot send");
        }
    }
}

/// `Maria Lopez +15550101234` of `"Maria Lopez" <sip:+15550101234@host>`.
fn shown(from: &str) -> String {
    let name = from.split('<').next().unwrap_or_default().trim().trim_matches('"');
    let user = from.split_once("sip:").and_then(|(_, rest)| rest.split(['@', ';', '>']).next());
    format!("{name} {}", user.unwrap_or_default()).trim().to_owned()
}

/// An answer in the profile of the offer, with the offer's own payload numbers.
fn answer(offer: &str) -> String {
    let media = offer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap_or("9 RTP/AVP 0");
    let profile = media.split(' ').skip(1).collect::<Vec<_>>().join(" ");
    let key = STANDARD.encode(format!("{}{}", token(), token()).get(..30).unwrap_or_default());
    let mut lines = vec![
        "v=0".to_owned(),
        "o=- 1 1 IN IP4 127.0.0.1".to_owned(),
        "s=agents".to_owned(),
        "c=IN IP4 127.0.0.1".to_owned(),
        "t=0 0".to_owned(),
        format!("m=audio 4000 {profile}"),
        "a=rtcp-mux".to_owned(),
    ];
    if media.contains("SAVP ") {
        lines.push(format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"));
    }
    let kept = ["a=rtpmap:", "a=fmtp:", "a=ptime:", "a=maxptime:"];
    lines.extend(
        offer.lines().filter(|line| kept.iter().any(|kept| line.starts_with(kept))).map(str::to_owned),
    );
    lines.push("a=sendrecv\r\n".to_owned());
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_shown_and_the_offer_answered_in_kind() {
        assert_eq!(shown("\"Maria Lopez\" <sip:+15550101234@127.0.0.1>;tag=x"), "Maria Lopez +15550101234");
        assert_eq!(shown("<sip:anonymous@127.0.0.1>"), "anonymous");
        let sdp = answer("v=0\r\nm=audio 3480 RTP/SAVP 111 126\r\na=rtpmap:111 opus/48000/2\r\n");
        assert!(sdp.contains("m=audio 4000 RTP/SAVP 111 126\r\n") && sdp.contains("a=crypto:1 "));
        assert!(sdp.contains("a=rtpmap:111 opus/48000/2") && sdp.ends_with("\r\n"));
    }
}
