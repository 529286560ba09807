//! Speech of a call where Meta's media relay hears it, with a real Asterisk on the documented configuration.
//! wabridge carries no media: what Meta demands of it must come true by that configuration.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::sip::hosts::OtherHost;
use crate::support::sip::message::MetaCall;
use crate::support::sip::peers::{Connection, MetaServer};
use crate::support::sip::programs::{Additions, Asterisk, tools};
use crate::support::sip::relay::{self, Heard, MediaRelay};
use crate::support::sip::talker::Talker;
use crate::support::sip::together::edge_and_asterisk_of;
use crate::support::sip::{CUSTOMER, Certificates, TestEdge};

const SOON: Duration = Duration::from_secs(20);
/// Meta hangs up on who is silent so long at the beginning; later it waits for 30 s.
const SILENT_AT_FIRST: Duration = Duration::from_secs(20);
/// Longer than that.
const LONGER: Duration = Duration::from_secs(22);

/// The edge, an Asterisk, and a relay for one call.
struct Scene {
    edge: TestEdge,
    asterisk: Asterisk,
    relay: MediaRelay,
    meta: MetaServer,
    _host: Option<Arc<OtherHost>>,
}

/// A customer's call that Asterisk has answered.
struct Call {
    connection: Connection,
    call: MetaCall,
    /// Asterisk's session description.
    answer: String,
    answered: Instant,
}

impl Scene {
    /// `None` = this machine lacks what it wants, and the test says so.
    async fn new(extension: &'static str, keying: &'static str, additions: Additions) -> Option<Self> {
        let tools = tools()?;
        // Asterisk gives no candidate of loopback.
        let host = match keying {
            "dtls" => Some(relay::openssl().and_then(|()| OtherHost::start())?),
            _ => None,
        };
        let place = host.as_ref().map_or("127.0.0.1", |host| host.ours.as_str()).to_owned();
        let certificates = Certificates::new();
        let media: IpAddr = place.parse().unwrap();
        let relay = match keying {
            "dtls" => MediaRelay::by_dtls(media, &certificates).await,
            _ => MediaRelay::by_sdes(media).await,
        };
        let meta = MetaServer::start(&certificates).await;
        let meta_host = meta.host();
        let additions = Additions { keying, media: Some(place), ..additions };
        let change = move |options: &mut wabridge::sip::EdgeOptions| options.config.meta_host = meta_host;
        let (edge, asterisk) = edge_and_asterisk_of(&tools, extension, additions, certificates, change).await;
        Some(Self { edge, asterisk, relay, meta, _host: host })
    }

    /// The customer calls; Asterisk's part goes on beside.
    async fn call(&self) -> Call {
        let mut connection = Connection::open(&self.edge).await;
        let mut call = MetaCall::new("media");
        call.sdp = self.relay.offer();
        connection.invite(&mut call).await;
        let answer = connection.status(200).await;
        call.answered(&answer);
        connection.send(&call.ack()).await;
        Call { connection, call, answer: answer.body, answered: Instant::now() }
    }

    /// Waits for more words than were heard so far.
    async fn hears_more(&self, what: &str) -> Heard {
        let so_far = self.relay.heard().speech().len();
        self.relay.hears(what, SOON, |heard| heard.speech().len() >= so_far + 75).await
    }

    /// The customer is sent to another extension, as by a blind transfer.
    async fn transfers(&self, place: &str) {
        let channels = self.asterisk.tell("core show channels concise").await;
        let of_wabridge = channels.lines().find(|line| line.starts_with("PJSIP/wabridge-")).unwrap();
        let channel = of_wabridge.split('!').next().unwrap();
        let said = self.asterisk.tell(&format!("channel redirect {channel} {place}")).await;
        assert!(said.contains("successfully"), "{said}");
    }

    async fn ends(self, mut call: Call) {
        call.connection.send(&call.call.bye()).await;
        call.connection.status(200).await;
        self.edge.stop().await;
    }
}

#[tokio::test]
async fn one_source_speaks_for_the_whole_call_by_sdes() {
    one_source("sdes").await;
}

#[tokio::test]
async fn one_source_speaks_for_the_whole_call_by_dtls() {
    one_source("dtls").await;
}

/// A greeting, a digit, an agent, music and another agent: to Meta's relay it is one source, packet by packet.
async fn one_source(keying: &'static str) {
    let (first, second) = (Talker::start("first", 0xA1).await, Talker::start("second", 0xB2).await);
    let dialplan = "\n[from-whatsapp]\nexten => change,1,Answer()\n same => n,Playtones(440/300,0/700)\n \
                    same => n,Wait(1)\n same => n,StopPlaytones()\n same => n,SendDTMF(5)\n \
                    same => n,Dial(PJSIP/first)\n\
                    [moved]\nexten => music,1,MusicOnHold(default,2)\n same => n,Dial(PJSIP/second)\n";
    let pjsip = first.endpoint() + &second.endpoint();
    let additions = Additions { extensions: dialplan.to_owned(), pjsip, ..Additions::default() };
    let Some(scene) = Scene::new("change", keying, additions).await else { return };
    let (call, ()) = tokio::join!(scene.call(), first.picks_up());
    scene.hears_more("the first agent").await;
    scene.transfers("moved,music,1").await;
    second.picks_up().await;
    scene.hears_more("the second agent").await;
    let heard =
        scene.relay.hears("reports of the same source", SOON, |heard| heard.reports().len() >= 2).await;
    let speech = heard.speech();
    assert_eq!(heard.sources().len(), 1, "{}", heard.summary());
    assert!(heard.reports().iter().all(|report| report.ssrc == speech[0].ssrc), "{}", heard.summary());
    for pair in speech.windows(2) {
        assert_eq!(pair[0].sequence.wrapping_add(1), pair[1].sequence, "{pair:?}");
    }
    // The digit is of the same source and on its clock, which goes on where speech has stopped (RFC 4733).
    let digit = speech.iter().position(|packet| packet.kind == 126).expect("a digit");
    let later = speech[digit].timestamp.wrapping_sub(speech[digit - 1].timestamp);
    assert!((1..48_000).contains(&later), "{:?}", &speech[digit - 1..=digit]);
    scene.ends(call).await;
}

/// Meta sends nothing before it has heard something, and hangs up after 20 s.
#[tokio::test]
async fn an_agent_who_says_nothing_at_all_gives_signs_of_life() {
    let agent = Talker::muted("agent").await;
    let additions = Additions { pjsip: agent.endpoint(), ..Additions::default() };
    let Some(scene) = Scene::new("100", "sdes", additions).await else { return };
    let (call, ()) = tokio::join!(scene.call(), agent.picks_up());
    let enough = |heard: &Heard| heard.packets.last().is_some_and(|it| it.at > call.answered + LONGER);
    let heard = scene.relay.hears("signs of life", LONGER + SOON, enough).await;
    assert!(heard.longest_silence(call.answered) < SILENT_AT_FIRST, "{}", heard.summary());
    assert_eq!(heard.sources().len(), 1, "{}", heard.summary());
    scene.ends(call).await;
}

#[tokio::test]
async fn whom_asterisk_calls_by_sdes_hears_it_speak_first() {
    let Some((scene, _meta)) = asterisk_calls("sdes").await else { return };
    let heard = scene.relay.hears("speech", SOON, |heard| heard.speech().len() >= 25).await;
    assert_eq!((heard.sources().len(), heard.forged), (1, 0), "{}", heard.summary());
    scene.edge.stop().await;
}

/// Meta is an ICE-lite agent: the other side chooses the way once, then begins the handshake, and speaks first.
#[tokio::test]
async fn calling_a_lite_agent_asterisk_chooses_the_way_begins_the_handshake_and_speaks_first() {
    let Some((scene, _meta)) = asterisk_calls("dtls").await else { return };
    let heard = scene.relay.hears("speech", SOON, |heard| heard.speech().len() >= 25).await;
    let (checks, of_controlling) = heard.checks;
    assert!(checks > 0 && checks == of_controlling && !heard.moved, "{}", heard.summary());
    assert_eq!((heard.sources().len(), heard.forged), (1, 0), "{}", heard.summary());
    let (nominated, _) = heard.nominated.expect("a way was chosen");
    assert!(heard.hello.unwrap() >= nominated && heard.speech()[0].at >= nominated);
    scene.edge.stop().await;
}

/// What `docs/calls.md` warns of: who answers is no controlling agent to Asterisk, whatever the offer says of itself.
/// Handshake and speech do not wait for it.
#[tokio::test]
async fn called_by_a_lite_agent_asterisk_begins_the_handshake_and_speaks_but_chooses_no_way() {
    let Some(scene) = Scene::new("echo", "dtls", Additions::default()).await else { return };
    let call = scene.call().await;
    let heard = scene.relay.hears("speech", SOON, |heard| heard.speech().len() >= 25).await;
    let (checks, of_controlling) = heard.checks;
    assert!(checks > 0 && heard.hello.is_some() && heard.forged == 0, "{}", heard.summary());
    assert_eq!((of_controlling, heard.nominated), (0, None), "docs/calls.md can be more cheerful now");
    let lines: Vec<&str> = call.answer.lines().collect();
    let source = lines.iter().find_map(|line| line.strip_prefix("a=ssrc:")).expect("a source");
    let source: u32 = source.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(heard.sources(), [source]);
    for line in ["a=setup:active", "a=group:BUNDLE audio", "a=mid:audio", "a=rtcp-mux"] {
        assert!(lines.contains(&line), "{line} in {}", call.answer);
    }
    scene.ends(call).await;
}

/// An agent dials the customer by the documented dialplan, and Meta's side picks up.
async fn asterisk_calls(keying: &'static str) -> Option<(Scene, Connection)> {
    let scene = Scene::new("echo", keying, Additions::default()).await?;
    let dial = format!("channel originate Local/+{CUSTOMER}@to-whatsapp application Milliwatt");
    let picking_up = async {
        let mut meta = scene.meta.accept().await;
        let invite = meta.request("INVITE").await;
        let contact = format!("sip:+{CUSTOMER}@{};transport=tls", scene.meta.host());
        let answer = scene.relay.answer(&invite.body);
        meta.send(&invite.answer("200 OK", "meta", Some(&contact), &answer)).await;
        meta.request("ACK").await;
        meta
    };
    let (_, meta) = tokio::join!(scene.asterisk.tell(&dial), picking_up);
    Some((scene, meta))
}
