//! Calls through the whole program: SIPp as Meta, the real process on its own data, linked by the API to both
//! simulated clouds, and Asterisk on exactly what `wabridge asterisk-config` prints.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wabridge::sandbox::cloud::{CloudOptions, SimCloud, SimCustomer, SimPermission};
use wabridge::sandbox::portal::{ADMIN, PortalOptions, SimCard, SimPortal};

use crate::support::api::Api;
use crate::support::linking::{self, Linked};
use crate::support::process::{Bridge, Installation};
use crate::support::sip::message::{plain_answer, proves};
use crate::support::sip::peers::Pbx;
use crate::support::sip::programs::{Asterisk, Sipp, SippRun, listens, port, tools, two_files};
use crate::support::sip::{CUSTOMER, Certificates, HOSTNAME};
use crate::support::{CLIENT_ID, DEADLINE, PHONE_ID, PHONE_NUMBER, listener};

/// Everything that a call passes through.
struct Telephony {
    cloud: SimCloud,
    portal: SimPortal,
    certificates: Arc<Certificates>,
    home: Installation,
    bridge: Bridge,
    api: Api,
    linked: Linked,
    asterisk: Asterisk,
    tools: PathBuf,
    meta_port: u16,
    edge: SocketAddr,
}

impl Telephony {
    /// The bridge with a trunk, its phone switched on for calls to this extension. `agent`: more for Asterisk.
    async fn start(tools: PathBuf, extension: &str, agent: &str) -> Self {
        let certificates = Certificates::new();
        let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
        let portal = SimPortal::start(listener(), listener(), PortalOptions::default()).await.unwrap();
        let (edge, trunk, asterisk_port, meta_port) = (port(), port(), port(), port());
        let files = certificates.files("bridge");
        let settings = format!(
            "sip.enabled = true\nsip.listen = \"127.0.0.1:{edge}\"\nsip.hostname = {HOSTNAME:?}\n\
             sip.certificate = {:?}\nsip.private_key = {:?}\nsip.source_check = \"off\"\n\
             sip.meta_host = \"localhost:{meta_port}\"\nsip.meta_ca_file = {:?}\n\
             sip.trunk_listen = \"127.0.0.1:{trunk}\"\n\
             [[sip.trunks]]\nname = \"asterisk\"\nuris = [\"sip:127.0.0.1:{asterisk_port};transport=udp\"]\n",
            files.certificate,
            files.private_key,
            certificates.path("ca.pem"),
        );
        let home = Installation::between(&cloud, &portal, &settings).await;
        let bridge = home.serve().await;
        let api = home.api().await;
        linking::prepare_cloud(&cloud);
        let linked = linking::link(&api, &cloud, &portal).await;
        let number = format!("+{PHONE_NUMBER}");
        let asked = ["asterisk-config", "--phone", &number, "--media-address", "127.0.0.1"];
        let (pjsip, extensions) = two_files(&home.run(&asked).await);
        let asterisk = Asterisk::boot(&tools, &(pjsip + agent), &extensions).await;
        let wanted = json!({"status": "ENABLED", "sip": {"status": "ENABLED"}, "trunk": "asterisk",
                            "srtp_key_exchange_protocol": "SDES", "extension": extension});
        let saved = api.put(&format!("/phones/{}/calling", linked.phone_id), wanted).await;
        assert_eq!((&saved["error"], &saved["sip_password_known"]), (&Value::Null, &json!(true)), "{saved}");
        assert_eq!(cloud.calling(PHONE_ID)["sip"]["servers"][0]["hostname"], HOSTNAME);
        let edge = SocketAddr::from(([127, 0, 0, 1], edge));
        Self { cloud, portal, certificates, home, bridge, api, linked, asterisk, tools, meta_port, edge }
    }

    /// The password that Meta has made for the phone.
    fn password(&self) -> String {
        self.cloud.sip_password(PHONE_ID, CLIENT_ID).unwrap()
    }

    /// A SIPp that calls as Meta does.
    fn customer_calls(&self, scenario: &str) -> Sipp {
        let (target, uri) = (self.edge.to_string(), format!("+{PHONE_NUMBER}@{HOSTNAME}"));
        Sipp::new(&self.tools, scenario, &self.certificates)
            .args(&[&target, "-t", "ln", "-max_socket", "8", "-auth_uri", &uri])
            .args(&["-cid_str", "outgoing:wacid.SIPp%u-%p=="])
            .key("phone", PHONE_NUMBER)
            .key("password", &self.password())
            .key("customer", CUSTOMER)
    }

    /// A SIPp that is called as Meta is.
    async fn meta_is_called(&self, scenario: &str) -> SippRun {
        let answering = Sipp::new(&self.tools, scenario, &self.certificates)
            .args(&["-t", "l1", "-p", &self.meta_port.to_string()])
            .key("phone", PHONE_NUMBER)
            .start();
        listens(self.meta_port).await;
        answering
    }

    /// An agent dials the customer, by the documented dialplan.
    async fn agent_dials(&self) {
        let command = format!("channel originate Local/+{CUSTOMER}@to-whatsapp application Echo");
        let said = self.asterisk.tell(&command).await;
        assert!(!said.contains("No such command"), "{said}");
    }

    /// The only record, once it is in this state.
    async fn record(&self, state: &str) -> Value {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let calls = self.api.get("/calls").await["items"].as_array().unwrap().clone();
            match calls.as_slice() {
                [call] if call["state"] == state => {
                    return self.api.get(&format!("/calls/{}", call["id"].as_str().unwrap())).await;
                }
                calls => {
                    assert!(tokio::time::Instant::now() < deadline, "no call is {state}: {calls:#?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// The card of the call, once it is finished.
    async fn finished_card(&self) -> SimCard {
        let is = |portal: &SimPortal| portal.cards().first().is_some_and(|card| card.end.is_some());
        assert!(self.portal.wait_until(DEADLINE, is).await, "{:#?}", self.portal.cards());
        self.portal.cards().remove(0)
    }

    async fn stop(self) {
        self.asterisk.says("core show channels", "0 active channels").await;
        self.bridge.stop().await;
        self.cloud.stop().await;
        self.portal.stop().await;
        drop(self.home);
    }
}

fn whats(record: &Value) -> Vec<&str> {
    record["timeline"].as_array().unwrap().iter().map(|moment| moment["what"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_calls_asterisk_answers_and_the_customer_hangs_up() {
    let Some(tools) = tools() else { return };
    let telephony = Telephony::start(tools, "echo", "").await;
    telephony.customer_calls("meta_calls.xml").start().succeeds().await;
    let record = telephony.record("ended").await;
    assert_eq!((&record["direction"], &record["wacid"]), (&json!("inbound"), &json!("wacid.SIPp==")));
    assert_eq!(
        (&record["trunk"], &record["phone_id"]),
        (&json!("asterisk"), &json!(telephony.linked.phone_id))
    );
    assert_eq!(record["contact_number"], format!("+{CUSTOMER}"));
    assert_eq!(
        (&record["end"]["by"], &record["end"]["text"]),
        (&json!("contact"), &json!("the customer hung up"))
    );
    assert_eq!(record["meta_duration"], 1);
    assert!(["arrived", "forwarded", "answered", "ended"].iter().all(|what| whats(&record).contains(what)));
    let card = telephony.finished_card().await;
    assert_eq!(
        (card.number.as_str(), card.line.as_str()),
        (&*format!("+{CUSTOMER}"), &*format!("+{PHONE_NUMBER}"))
    );
    assert_eq!(card.end.unwrap().status_code, "200");
    telephony.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_calls_the_card_goes_from_who_did_not_answer_and_the_agent_hangs_up() {
    let Some(tools) = tools() else { return };
    let phone = Pbx::start().await;
    let agent = format!(
        "\n[agent]\ntype=aor\ncontact=sip:101@{}\n\n[agent]\ntype=endpoint\ntransport=transport-wabridge\naors=agent\n\
         context=to-whatsapp\ndisallow=all\nallow=opus\ncallerid=\"Agent\" <101>\ntrust_id_outbound=yes\ntimers=no\n",
        phone.address
    );
    let telephony = Telephony::start(tools, "100", &agent).await;
    let contact = telephony.portal.add_crm_contact("Anna Sample", &format!("+{CUSTOMER}"), ADMIN);
    let calling = telephony.customer_calls("meta_hears_bye.xml").start();
    let (invite, from) = phone.request("INVITE").await;
    let contact_of_phone = phone.contact();
    phone.send(from, &invite.answer("180 Ringing", "pbx", Some(&contact_of_phone), "")).await;
    let sdp = plain_answer(&invite.body, 42_000);
    phone.send(from, &invite.answer("200 OK", "pbx", Some(&contact_of_phone), &sdp)).await;
    phone.request("ACK").await;
    let record = telephony.record("answered").await;
    assert!(record["agent"].as_str().is_some_and(|agent| agent.contains("101")), "{record}");
    let is_hidden = |portal: &SimPortal| {
        let card = portal.cards().into_iter().next();
        card.is_some_and(|card| card.was_shown_to.contains(&ADMIN) && card.shown_to.is_empty())
    };
    assert!(
        telephony.portal.wait_until(DEADLINE, is_hidden).await,
        "101 has answered, not whose customer it is"
    );
    phone.send(from, &phone.bye(&invite)).await;
    calling.succeeds().await;
    let record = telephony.record("ended").await;
    assert_eq!((&record["end"]["by"], &record["end"]["cause"]), (&json!("trunk"), &json!("hung_up")));
    assert!(whats(&record).contains(&"ringing"), "{record}");
    let card = telephony.finished_card().await;
    assert_eq!(card.entity, Some(("CONTACT".into(), contact)));
    telephony.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_calls_a_customer_who_has_permitted_it_and_who_hangs_up() {
    let Some(tools) = tools() else { return };
    let telephony = Telephony::start(tools, "echo", "").await;
    let customer = SimCustomer::with_number(CUSTOMER, "Anna Sample");
    telephony.cloud.set_call_permission(PHONE_ID, &customer, SimPermission::Permanent);
    let answering = telephony.meta_is_called("meta_answers.xml").await;
    telephony.agent_dials().await;
    let messages = answering.succeeds().await;
    let proven = messages.rsplit("INVITE sip:").find(|text| text.contains("Proxy-Authorization:")).unwrap();
    assert!(proves(proven, PHONE_NUMBER, &telephony.password()), "{proven}");
    assert!(proven.contains(&format!("<sip:+{PHONE_NUMBER}@{HOSTNAME}>")), "{proven}");
    let record = telephony.record("ended").await;
    assert_eq!((&record["direction"], &record["end"]["by"]), (&json!("outbound"), &json!("contact")));
    assert_eq!((&record["wacid"], &record["meta_duration"]), (&json!("wacid.BIC=="), &json!(1)));
    assert_eq!(telephony.finished_card().await.kind, 1);
    telephony.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_calls_a_customer_and_hangs_up() {
    let Some(tools) = tools() else { return };
    let telephony = Telephony::start(tools, "echo", "").await;
    let customer = SimCustomer::with_number(CUSTOMER, "Anna Sample");
    telephony.cloud.set_call_permission(PHONE_ID, &customer, SimPermission::Permanent);
    let answering = telephony.meta_is_called("meta_answers_hears_bye.xml").await;
    telephony.agent_dials().await;
    telephony.record("answered").await;
    telephony.asterisk.tell("channel request hangup all").await;
    answering.succeeds().await;
    let record = telephony.record("ended").await;
    assert_eq!((&record["end"]["by"], &record["end"]["cause"]), (&json!("trunk"), &json!("hung_up")));
    telephony.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_who_has_permitted_no_calls_is_not_called() {
    let Some(tools) = tools() else { return };
    let telephony = Telephony::start(tools, "echo", "").await;
    let customer = SimCustomer::with_number(CUSTOMER, "Anna Sample");
    telephony.cloud.set_call_permission(PHONE_ID, &customer, SimPermission::None);
    // Whoever connected would be seen: nobody listens for Meta, and that would be another end.
    telephony.agent_dials().await;
    let record = telephony.record("ended").await;
    assert_eq!((&record["end"]["cause"], &record["end"]["by"]), (&json!("no_permission"), &json!("bridge")));
    assert!(record["end"]["text"].as_str().unwrap().contains("call permission request"), "{record}");
    assert_eq!(record["end"]["status"], 403);
    assert!(!whats(&record).contains(&"forwarded"), "Meta was not asked by SIP: {record}");
    telephony.stop().await;
}
