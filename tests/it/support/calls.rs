//! Calls as the SIP edge would tell them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use wabridge::calls::Question;
use wabridge::clock::new_id;
use wabridge::config::{Config, TrunkConfig};
use wabridge::domain::call::{
    Arrival, CallEnd, CallEvent, CallMoment, CallPeer, CallPermission, CallProof, ContactReport, EndCause,
    EndedBy, RouteTable,
};
use wabridge::domain::{CallId, Direction, PhoneKey, UserId, Wacid};
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::sandbox::portal::SimCard;
use wabridge::store::calls::{self, CallRow};

use super::{DEADLINE, PHONE_NUMBER, TestApp};

pub const HOSTNAME: &str = "sip.example.com";
pub const TARGET: &str = "udp:127.0.0.1:5060";

/// A configuration with a trunk; the edge itself does not run.
pub fn with_trunk(config: &mut Config) {
    config.sip.hostname = Some(HOSTNAME.to_owned());
    config.sip.trunks = vec![TrunkConfig {
        name: "asterisk".to_owned(),
        uris: vec!["sip:127.0.0.1:5060;transport=udp".to_owned()],
        login: None,
        inbound_login: None,
        tls_ca_file: None,
        options_interval: None,
    }];
}

/// What `PUT …/calling` is given by default.
pub fn wanted() -> Value {
    json!({"status": "ENABLED", "sip": {"status": "ENABLED"}, "srtp_key_exchange_protocol": "SDES",
           "trunk": "asterisk", "extension": "100"})
}

/// A call that is told moment by moment.
pub struct TestCall {
    pub id: CallId,
    pub wacid: String,
    at: DateTime<Utc>,
}

pub fn peer(customer: &SimCustomer) -> CallPeer {
    CallPeer {
        digits: customer.wa_id.clone(),
        user_id: customer.user_id.as_deref().map(UserId::from),
        name: Some(customer.name.clone()).filter(|name| !name.is_empty()),
    }
}

pub fn end(by: EndedBy, cause: EndCause) -> CallMoment {
    CallMoment::Ended(CallEnd { by, cause, status: None, q850: None, text: None, meta_seconds: None })
}

pub fn forwarded() -> CallMoment {
    CallMoment::Forwarded { target: TARGET.to_owned() }
}

pub fn answered(agent: Option<&str>) -> CallMoment {
    CallMoment::Answered { agent: agent.map(str::to_owned) }
}

impl TestApp {
    /// The configuration with a trunk, everything linked, calls switched on for the phone.
    pub async fn with_calls() -> Self {
        Self::with_calls_and(super::Options::default()).await
    }

    pub async fn with_calls_and(options: super::Options) -> Self {
        let before = options.config;
        let config = Box::new(move |config: &mut Config| {
            with_trunk(config);
            if let Some(before) = before {
                before(config);
            }
        });
        let app = Self::with(super::Options { config: Some(config), ..options }).await;
        app.api.put(&app.calling_path(), wanted()).await;
        app
    }

    pub fn calling_path(&self) -> String {
        format!("/phones/{}/calling", self.phone_id())
    }

    pub fn routes(&self) -> RouteTable {
        self.call_line.as_ref().unwrap().routes.borrow().as_ref().clone()
    }

    /// Tells a moment of a call.
    pub fn tell(&self, call: &CallId, at: DateTime<Utc>, moment: CallMoment) {
        let event = CallEvent { call: call.clone(), moment };
        self.call_line.as_ref().unwrap().events.send((at, event)).unwrap();
    }

    /// A call of a customer's, as Meta brings it.
    pub fn customer_calls(&self, customer: &SimCustomer) -> TestCall {
        let wacid = self.cloud.new_wacid(customer);
        self.call_arrives(arrival(Some(self.phone_id()), Direction::Inbound, customer, Some(&wacid)), wacid)
    }

    /// A call to a customer, as the trunk places it.
    pub fn agent_calls(&self, customer: &SimCustomer) -> TestCall {
        let wacid = self.cloud.new_wacid(customer);
        self.call_arrives(arrival(Some(self.phone_id()), Direction::Outbound, customer, None), wacid)
    }

    pub fn call_arrives(&self, arrival: Arrival, wacid: String) -> TestCall {
        let call = TestCall { id: CallId::from(new_id()), wacid, at: self.clock.now() };
        self.tell(&call.id, call.at, CallMoment::Arrived(Box::new(arrival)));
        call
    }

    /// Tells further moments, a second after each other.
    pub fn goes_on(&self, call: &mut TestCall, moments: Vec<CallMoment>) {
        for moment in moments {
            call.at += TimeDelta::seconds(1);
            self.tell(&call.id, call.at, moment);
        }
    }

    /// The record, once it is in this state.
    pub async fn call_is(&self, call: &TestCall, state: &str) -> CallRow {
        let id = call.id.to_string();
        self.eventually(&format!("the call is {state}"), async || {
            let id = id.clone();
            let row = self.relay.db.read(move |conn| calls::get(conn, &id)).await.unwrap();
            row.filter(|row| row.state == state)
        })
        .await
    }

    /// The only card at the portal, once it is as wanted.
    pub async fn card(&self, what: &str, mut is: impl FnMut(&SimCard) -> bool) -> SimCard {
        let mut seen = None;
        self.portal
            .wait_until(DEADLINE, |portal| {
                seen = portal.cards().into_iter().find(&mut is);
                seen.is_some()
            })
            .await;
        seen.unwrap_or_else(|| panic!("no card is {what}: {:#?}", self.portal.cards()))
    }

    /// May this person be called?
    pub async fn may_call(&self, customer: &SimCustomer) -> CallPermission {
        let (reply, answer) = oneshot::channel();
        let question = Question { phone: self.phone_id(), peer: peer(customer), reply };
        self.call_line.as_ref().unwrap().questions.send(question).await.unwrap();
        answer.await.unwrap()
    }
}

pub fn arrival(
    phone: Option<PhoneKey>,
    direction: Direction,
    customer: &SimCustomer,
    wacid: Option<&str>,
) -> Arrival {
    let inbound = direction == Direction::Inbound;
    let call_id = wacid.map_or_else(|| format!("{}@pbx", new_id()), |wacid| format!("outgoing:{wacid}"));
    Arrival {
        direction,
        phone,
        peer: peer(customer),
        wacid: wacid.map(Wacid::from),
        sip_call_id: call_id,
        trunk: Some("asterisk".to_owned()),
        payload: None,
        report: ContactReport {
            source: "157.240.229.209:43917".to_owned(),
            tls_version: inbound.then(|| "TLSv1.3".to_owned()),
            cipher: inbound.then(|| "TLS13_AES_256_GCM_SHA384".to_owned()),
            sni: inbound.then(|| HOSTNAME.to_owned()),
            user_agent: Some("Facebook SipGateway".to_owned()),
            proof: CallProof::Digest,
            headers: vec![
                ("Via".to_owned(), "SIP/2.0/TLS meta".to_owned()),
                ("From".to_owned(), String::new()),
            ],
            offer: vec!["v=0".to_owned()],
        },
    }
}

/// The number of the phone as the portal knows its line.
pub fn line_number() -> String {
    format!("+{PHONE_NUMBER}")
}
