//! Calls in the sandbox: a simulated Meta over TLS, the bridge's own SIP edge, a simulated telephone system.

use std::time::Duration;

use serde_json::{Value, json};
use wabridge::app::sandbox::Sandbox;
use wabridge::config::Config;
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::sandbox::portal::{Author, OPERATOR, SimPortal};
use wabridge::sandbox::sip::{AgentCall, CallStage, CustomerCall};

use crate::support::listener;

const DEADLINE: Duration = Duration::from_secs(20);

struct Desk {
    run: Sandbox,
    base: String,
}

impl Desk {
    async fn open() -> Self {
        let run = Sandbox::start(Config::default(), listener()).await.unwrap();
        let address = run.address();
        let (origin, token) = address.split_once("/?token=").unwrap();
        let base = format!("{origin}/s/{token}/");
        Self { run, base }
    }

    async fn act(&self, action: Value) -> String {
        let http =
            wabridge::bitrix::client::http_client(wabridge::tls::client_config(None).unwrap()).unwrap();
        let answer = http.post(format!("{}do", self.base)).json(&action).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{action}: {body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// The agent's latest call, once it is at this stage.
    async fn agent(&self, stage: CallStage) -> AgentCall {
        let telephony = &self.run.telephony;
        let last = || telephony.calls_of_agents().pop().filter(|call| call.stage == stage);
        let there = telephony.wait_until(DEADLINE, |_| last().is_some()).await;
        assert!(there, "{:#?} {:#?}", telephony.calls_of_agents(), telephony.calls_of_customers());
        last().unwrap()
    }

    /// The customer's latest call, once it is at this stage.
    async fn customer(&self, stage: CallStage) -> CustomerCall {
        let telephony = &self.run.telephony;
        let last = || telephony.calls_of_customers().pop().filter(|call| call.stage == stage);
        let there = telephony.wait_until(DEADLINE, |_| last().is_some()).await;
        assert!(there, "{:#?} {:#?}", telephony.calls_of_agents(), telephony.calls_of_customers());
        last().unwrap()
    }

    /// How the customer's latest call ended.
    async fn over(&self) -> String {
        let telephony = &self.run.telephony;
        let last = || telephony.calls_of_customers().pop().filter(|call| call.stage == CallStage::Ended);
        let there = telephony.wait_until(DEADLINE, |_| last().is_some()).await;
        assert!(there, "{:#?}", telephony.calls_of_customers());
        last().unwrap().outcome
    }

    async fn portal(&self, what: &str, is: impl Fn(&SimPortal) -> bool) {
        let there = self.run.portal.wait_until(DEADLINE, &is).await;
        assert!(there, "{what}: {:#?}", self.run.portal.cards());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_call_rings_is_answered_and_has_its_card() {
    let desk = Desk::open().await;
    let wacid = desk.act(json!({"do": "call", "customer": "15550101234"})).await;
    let call = desk.agent(CallStage::Ringing).await;
    assert_eq!((call.wacid.as_str(), call.from.as_str()), (wacid.as_str(), "Maria Lopez +15550101234"));
    desk.portal("the card is open", |portal| {
        portal.cards().first().is_some_and(|card| card.shown_to == [OPERATOR])
    })
    .await;
    desk.act(json!({"do": "answer_call", "call": call.call_id})).await;
    let telephony = &desk.run.telephony;
    let answered = telephony
        .wait_until(DEADLINE, |telephony| telephony.calls_of_customers()[0].stage == CallStage::Answered)
        .await;
    assert!(answered);
    desk.act(json!({"do": "end_call", "call": call.call_id})).await;
    assert_eq!(desk.over().await, "the business hung up");
    desk.portal("the card is finished", |portal| {
        portal.cards()[0].end.as_ref().is_some_and(|end| end.status_code == "200")
    })
    .await;
    assert!(desk.run.portal.phone_lines().iter().any(|line| line["NUMBER"] == "+15550783881"));
    desk.run.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_declined_or_given_up_leaves_a_note() {
    let desk = Desk::open().await;
    desk.act(json!({"do": "call", "customer": "15550101234"})).await;
    let call = desk.agent(CallStage::Ringing).await;
    desk.act(json!({"do": "decline_call", "call": call.call_id})).await;
    let outcome = desk.over().await;
    assert!(outcome.starts_with('4') || outcome.starts_with('6'), "{outcome}");
    // A customer without a number: a note in place of a card.
    let wacid = desk.act(json!({"do": "call", "customer": "US.13491208655302741918"})).await;
    let call = desk.agent(CallStage::Ringing).await;
    assert_eq!(call.wacid, wacid);
    desk.act(json!({"do": "hang_up", "call": wacid})).await;
    assert_eq!(desk.over().await, "the customer gave up");
    assert_eq!(desk.agent(CallStage::Ended).await.outcome, "the customer gave up");
    let notes = |portal: &SimPortal| -> Vec<String> {
        let lines = portal.lines();
        let line = lines[0]["ID"].as_str().map_or_else(|| lines[0]["ID"].to_string(), str::to_owned);
        let chats = portal.chats(&line).into_iter();
        let entries = chats.flat_map(|chat| portal.conversation(&line, &chat.external_id));
        entries.filter(|entry| entry.author == Author::System).map(|entry| entry.text).collect()
    };
    desk.portal("both are told", |portal| {
        notes(portal).iter().filter(|note| note.contains("Missed WhatsApp call")).count() == 2
    })
    .await;
    assert!(notes(&desk.run.portal).iter().any(|note| note.contains("does not show this customer's number")));
    assert_eq!(desk.run.portal.cards().len(), 1);
    desk.run.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_call_ends_with_the_customer_and_a_stop_ends_what_runs() {
    let desk = Desk::open().await;
    let jonas = SimCustomer {
        user_id: Some("DE.40912086553027419181".into()),
        ..SimCustomer::with_number("4915112345678", "Jonas Weber")
    };
    let wacid = desk.run.telephony.customer_calls(&jonas, Some("spring-offer"));
    let call = desk.agent(CallStage::Ringing).await;
    let header = |name: &str| {
        let found = call.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(
        (header("X-WA-Payload"), header("X-WA-User-ID")),
        ("spring-offer".into(), "DE.40912086553027419181".into())
    );
    desk.act(json!({"do": "answer_call", "call": call.call_id})).await;
    desk.agent(CallStage::Answered).await;
    let running = desk
        .run
        .telephony
        .wait_until(DEADLINE, |telephony| telephony.calls_of_customers()[0].stage == CallStage::Answered)
        .await;
    assert!(running);
    desk.act(json!({"do": "hang_up", "call": wacid})).await;
    assert_eq!(desk.over().await, "the customer hung up");
    assert_eq!(desk.agent(CallStage::Ended).await.outcome, "the customer hung up");
    desk.act(json!({"do": "call", "customer": "15550101234"})).await;
    desk.agent(CallStage::Ringing).await;
    desk.run.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_call_rings_at_the_customer_who_answers_and_hangs_up() {
    let desk = Desk::open().await;
    let maria = "15550101234";
    desk.act(json!({"do": "permit_calls", "customer": maria, "on": true})).await;
    desk.act(json!({"do": "dial", "customer": maria})).await;
    let call = desk.customer(CallStage::Ringing).await;
    assert!(call.is_incoming);
    desk.agent(CallStage::Ringing).await;
    desk.act(json!({"do": "pick_up", "call": call.wacid})).await;
    let agents = desk.agent(CallStage::Answered).await;
    assert!(agents.is_outgoing && agents.from.contains("+15550101234"), "{agents:?}");
    desk.portal("the card is open", |portal| portal.cards().first().is_some_and(|card| card.kind == 1)).await;
    desk.act(json!({"do": "hang_up", "call": call.wacid})).await;
    assert_eq!(desk.agent(CallStage::Ended).await.outcome, "the customer hung up");
    assert_eq!(desk.over().await, "the customer hung up");
    desk.portal("the card is finished", |portal| {
        portal.cards()[0].end.as_ref().is_some_and(|end| end.status_code == "200")
    })
    .await;
    desk.run.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_call_is_declined_given_up_or_hung_up() {
    let desk = Desk::open().await;
    let maria = "15550101234";
    desk.act(json!({"do": "permit_calls", "customer": maria, "on": true})).await;
    desk.act(json!({"do": "dial", "customer": maria})).await;
    let call = desk.customer(CallStage::Ringing).await;
    desk.act(json!({"do": "hang_up", "call": call.wacid})).await;
    assert_eq!(desk.over().await, "the customer declined");
    assert!(desk.agent(CallStage::Ended).await.outcome.contains("busy or declined"));

    desk.act(json!({"do": "dial", "customer": maria})).await;
    desk.customer(CallStage::Ringing).await;
    let agents = desk.agent(CallStage::Ringing).await;
    desk.act(json!({"do": "end_call", "call": agents.call_id})).await;
    assert_eq!(desk.over().await, "the business gave up");
    assert_eq!(desk.agent(CallStage::Ended).await.outcome, "the agent gave up");

    desk.act(json!({"do": "dial", "customer": maria})).await;
    let call = desk.customer(CallStage::Ringing).await;
    desk.act(json!({"do": "pick_up", "call": call.wacid})).await;
    let agents = desk.agent(CallStage::Answered).await;
    desk.act(json!({"do": "end_call", "call": agents.call_id})).await;
    assert_eq!(desk.over().await, "the business hung up");
    desk.run.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_who_permits_no_calls_is_not_called_and_the_agent_reads_why() {
    let desk = Desk::open().await;
    desk.act(json!({"do": "dial", "customer": "15550101234"})).await;
    let refused = desk.agent(CallStage::Ended).await;
    assert!(refused.outcome.contains("has not permitted calls"), "{refused:?}");
    assert!(desk.run.telephony.calls_of_customers().is_empty());
    desk.run.stop().await.unwrap();
}
