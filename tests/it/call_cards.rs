//! Calls in the CRM, and in the customer's line.

use serde_json::json;
use wabridge::domain::call::{CallEnd, CallMoment, EndCause, EndedBy};
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::sandbox::portal::{ADMIN, FaultKind, OPERATOR};

use crate::support::calls::{answered, end, forwarded, line_number, wanted};
use crate::support::{Options, TestApp, anna};

fn hang_up() -> CallMoment {
    end(EndedBy::Contact, EndCause::HungUp)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_card_opens_at_the_responsible_user_and_is_finished_once() {
    let app = TestApp::with_calls().await;
    let contact = app.portal.add_crm_contact("Anna Sample", "+1 650 555-1234", OPERATOR);
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), CallMoment::Ringing]);
    let card = app.card("open", |card| !card.shown_to.is_empty()).await;
    assert_eq!((card.shown_to.clone(), card.kind), (vec![OPERATOR], 2));
    assert_eq!((card.number.as_str(), card.line), ("+16505551234", line_number()));
    assert_eq!(
        (card.external_id.as_str(), card.entity),
        (call.id.as_str(), Some(("CONTACT".into(), contact)))
    );
    app.goes_on(&mut call, vec![answered(Some("sip:101@pbx.example")), hang_up()]);
    let card = app.card("finished", |card| card.end.is_some()).await;
    let end = card.end.unwrap();
    assert_eq!((end.status_code.as_str(), end.duration, end.user_id), ("200", 1, OPERATOR));
    app.settled().await;
    assert_eq!(app.portal.call_count("telephony.externalcall.finish"), 1);
    assert_eq!(app.portal.call_count("telephony.externalcall.hide"), 0, "who was shown it answered");
    let shown = app.api.get(&format!("/calls/{}", call.id)).await;
    assert_eq!(shown["crm"]["call_id"], card.call_id);
    assert_eq!(
        (&shown["crm"]["entity_type"], &shown["crm"]["entity_id"]),
        (&json!("CONTACT"), &json!(contact.to_string()))
    );
    assert!(shown["crm"]["activity_id"].is_string() && shown["crm"]["finished_at"].is_string());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_customer_in_the_crm_the_phones_user_stands_for_the_call_and_else_the_installer() {
    let phone = |row: &mut wabridge::store::phones::PhoneRow| row.crm_user_id = Some(OPERATOR.to_string());
    let app = TestApp::with_calls_and(Options { phone: Some(Box::new(phone)), ..Options::default() }).await;
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded()]);
    assert_eq!(app.card("open", |card| !card.shown_to.is_empty()).await.user_id, OPERATOR);
    app.goes_on(&mut call, vec![answered(None), hang_up()]);
    app.card("finished", |card| card.end.is_some()).await;
    app.settled().await;
    // That user has left: the portal refuses, and the next one stands in.
    app.portal.dismiss(OPERATOR);
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hang_up()]);
    app.call_is(&call, "ended").await;
    app.settled().await;
    assert_eq!(app.portal.cards()[1].user_id, ADMIN);
    assert!(app.portal.cards()[0].entity.is_none(), "nothing is made in the CRM without being asked for");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_caller_makes_a_lead_where_that_is_set() {
    let app = TestApp::with_calls().await;
    let mut body = wanted();
    body["crm_create"] = json!(true);
    app.api.put(&app.calling_path(), body).await;
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hang_up()]);
    let card = app.card("finished", |card| card.end.is_some()).await;
    assert_eq!(card.entity.unwrap().0, "LEAD");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_card_is_hidden_when_another_answers() {
    let app = TestApp::with_calls().await;
    app.portal.add_crm_contact("Anna Sample", "+16505551234", OPERATOR);
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded()]);
    app.card("open", |card| card.shown_to == [OPERATOR]).await;
    app.goes_on(&mut call, vec![answered(Some("\"Alex\" <sip:100@pbx.example>"))]);
    app.card("hidden", |card| !card.shown_to.contains(&OPERATOR)).await;
    app.goes_on(&mut call, vec![hang_up()]);
    app.card("finished", |card| card.end.is_some()).await;
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_card_goes_to_whoever_answered_where_the_portal_tells_who_that_is() {
    let app = TestApp::with_calls().await;
    app.portal.grant(app.client_id(), "user_brief");
    let change = |tx: &mut wabridge::store::Tx<'_>| {
        let mut portal = wabridge::store::portals::list(tx.conn)?.remove(0);
        portal.scopes.push_str(",user_brief");
        wabridge::store::portals::update(tx.conn, &portal)
    };
    app.relay.db.write(change).await.unwrap();
    app.relay.directory.reload().await.unwrap();
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded()]);
    app.card("open", |card| card.shown_to == [ADMIN]).await;
    app.goes_on(&mut call, vec![answered(Some("101"))]);
    app.card("open at who answered", |card| card.shown_to == [OPERATOR]).await;
    app.goes_on(&mut call, vec![hang_up()]);
    let card = app.card("finished", |card| card.end.is_some()).await;
    assert_eq!(card.end.unwrap().user_id, OPERATOR);
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_does_not_finish_a_call_twice() {
    let app = TestApp::with_calls().await;
    for method in ["telephony.externalcall.register", "telephony.externalcall.finish"] {
        app.portal.plan_fault(FaultKind::DropAfter, Some(method), 1);
    }
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hang_up()]);
    app.call_is(&call, "ended").await;
    app.settled().await;
    let cards = app.portal.cards();
    assert_eq!(cards.len(), 1, "{cards:#?}");
    assert_eq!(cards[0].end.as_ref().unwrap().status_code, "200");
    let shown = app.api.get(&format!("/calls/{}", call.id)).await;
    assert!(shown["crm"]["finished_at"].is_string());
    assert!(app.jobs("dead").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portal_that_is_down_delays_no_record_and_learns_of_the_call_afterwards() {
    let app = TestApp::with_calls().await;
    app.portal.change_faults(|faults| faults.down = true);
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hang_up()]);
    app.call_is(&call, "ended").await;
    app.portal.change_faults(|faults| faults.down = false);
    app.settled().await;
    let card = app.portal.cards().remove(0);
    assert!(card.was_shown_to.is_empty(), "the card of a call that is over does not open");
    assert!((card.start - app.call_is(&call, "ended").await.created_at.and_utc()).num_seconds().abs() <= 1);
    assert_eq!(card.end.unwrap().duration, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_was_given_up_is_finished_when_it_gets_another_chance() {
    let config = |config: &mut wabridge::config::Config| config.relay.max_attempts = 1;
    let app = TestApp::with_calls_and(Options { config: Some(Box::new(config)), ..Options::default() }).await;
    app.portal.dismiss(ADMIN);
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hang_up()]);
    app.call_is(&call, "ended").await;
    app.settled().await;
    let dead = app.jobs("dead").await;
    assert_eq!((dead.len(), dead[0].kind.as_str()), (1, "call_register"));
    app.portal.add_crm_contact("Anna Sample", "+16505551234", OPERATOR);
    app.api.post(&format!("/jobs/{}/retry", dead[0].id), json!({})).await;
    let card = app.card("finished", |card| card.end.is_some()).await;
    assert_eq!(card.user_id, OPERATOR);
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missed_call_is_told_in_the_customers_line() {
    let app = TestApp::with_calls().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    for (cause, status, words, code) in [
        (EndCause::Cancelled, None, "hung up before anybody answered", "304"),
        (EndCause::NoAnswer, Some(480), "Nobody answered in time", "304"),
        (EndCause::Declined, Some(603), "declined", "603"),
        (EndCause::TrunkUnreachable, None, "could not be put through", "304"),
    ] {
        let mut call = app.customer_calls(&anna);
        let last = CallEnd { by: EndedBy::Trunk, cause, status, q850: None, text: None, meta_seconds: None };
        app.goes_on(&mut call, vec![forwarded(), CallMoment::Ended(last)]);
        app.note(&chat, words).await;
        app.settled().await;
        let card = app.portal.cards().pop().unwrap();
        assert_eq!(card.end.unwrap().status_code, code, "{cause}");
    }
    assert!(app.notes(&chat).iter().all(|note| note.contains("Missed WhatsApp call")));
    app.set_language("ru").await;
    let mut call = app.customer_calls(&anna);
    app.goes_on(&mut call, vec![forwarded(), end(EndedBy::Contact, EndCause::Cancelled)]);
    app.note(&chat, "Пропущенный звонок WhatsApp").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_call_makes_the_chat_and_an_answered_one_is_no_missed_call() {
    let app = TestApp::with_calls().await;
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hang_up()]);
    app.call_is(&call, "ended").await;
    app.settled().await;
    assert!(app.portal.chats(&app.line).is_empty());
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), end(EndedBy::Contact, EndCause::Cancelled)]);
    let chat = app.chat_of("Anna").await;
    app.note(&chat, "Missed WhatsApp call").await;
    // A message of the same person comes into the same chat.
    assert_eq!(app.opened(&anna()).await, chat);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_a_number_gets_a_note_in_the_line_instead_of_a_card() {
    let app = TestApp::with_calls().await;
    let hidden = SimCustomer::with_user_id("US.13491208655302741918", "Hidden One");
    let mut call = app.customer_calls(&hidden);
    app.goes_on(&mut call, vec![forwarded()]);
    let chat = app.chat_of("Hidden").await;
    app.note(&chat, "does not show this customer's number").await;
    app.goes_on(&mut call, vec![end(EndedBy::Contact, EndCause::Cancelled)]);
    app.note(&chat, "Missed WhatsApp call").await;
    app.settled().await;
    assert!(app.portal.cards().is_empty());
    assert_eq!(app.call_is(&call, "ended").await.peer_user_id.as_deref(), hidden.user_id.as_deref());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outgoing_call_is_registered_as_one_with_its_end() {
    let app = TestApp::with_calls().await;
    let mut call = app.agent_calls(&anna());
    let busy = CallEnd {
        by: EndedBy::Contact,
        cause: EndCause::Declined,
        status: Some(486),
        q850: None,
        text: Some("Busy Here".into()),
        meta_seconds: None,
    };
    app.goes_on(&mut call, vec![forwarded(), CallMoment::Ringing, CallMoment::Ended(busy)]);
    let card = app.card("finished", |card| card.end.is_some()).await;
    let last = card.end.unwrap();
    assert_eq!((card.kind, last.status_code.as_str()), (1, "486"));
    assert!(last.reason.contains("the customer declined or was busy"), "{}", last.reason);
    app.settled().await;
    assert!(app.portal.chats(&app.line).is_empty(), "no note about a call of our own");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_scope_telephony_there_are_records_and_notes_alone() {
    let app = TestApp::with_calls().await;
    let change = |tx: &mut wabridge::store::Tx<'_>| {
        let mut portal = wabridge::store::portals::list(tx.conn)?.remove(0);
        portal.scopes = "imopenlines,imconnector,im".to_owned();
        wabridge::store::portals::update(tx.conn, &portal)
    };
    app.relay.db.write(change).await.unwrap();
    app.relay.directory.reload().await.unwrap();
    let mut call = app.customer_calls(&anna());
    app.goes_on(&mut call, vec![forwarded(), end(EndedBy::Contact, EndCause::Cancelled)]);
    let chat = app.chat_of("Anna").await;
    app.note(&chat, "Missed WhatsApp call").await;
    app.settled().await;
    assert!(app.portal.cards().is_empty());
    app.stop().await;
}
