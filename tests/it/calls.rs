//! Records of calls: from what the edge tells and what Meta tells, in whichever order.

use serde_json::{Value, json};
use wabridge::domain::call::{CallEnd, CallMoment, CallPermission, EndCause, EndedBy};
use wabridge::domain::{Direction, PhoneKey};
use wabridge::sandbox::cloud::{SimCustomer, SimPermission};
use wabridge::store::calls::CallFilter;
use wabridge::store::retention::{self, Kind};
use wabridge::store::{Page, chats};

use crate::support::calls::{answered, arrival, end, forwarded};
use crate::support::linking;
use crate::support::{Options, PHONE_ID, PHONE_NUMBER, TestApp, anna, bob, notification, value_of};

async fn call_views(app: &TestApp, query: &str) -> Vec<Value> {
    app.api.get(&format!("/calls{query}")).await["items"].as_array().unwrap().clone()
}

fn hung_up(by: EndedBy) -> CallMoment {
    CallMoment::Ended(CallEnd {
        by,
        cause: EndCause::HungUp,
        status: None,
        q850: Some(16),
        text: None,
        meta_seconds: Some(7),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_a_record_with_everything_that_was_told() {
    let app = TestApp::with_calls().await;
    let anna = anna();
    let mut call = app.customer_calls(&anna);
    let moments = vec![
        forwarded(),
        CallMoment::Ringing,
        answered(Some("sip:101@pbx")),
        CallMoment::Noted("a re-INVITE was answered here".into()),
        hung_up(EndedBy::Contact),
    ];
    app.goes_on(&mut call, moments);
    app.call_is(&call, "ended").await;
    let shown = app.api.get(&format!("/calls/{}", call.id)).await;
    assert_eq!(shown["wacid"], call.wacid);
    assert_eq!(shown["sip_call_id"], format!("outgoing:{}", call.wacid));
    assert_eq!((&shown["direction"], &shown["trunk"]), (&json!("inbound"), &json!("asterisk")));
    assert_eq!(shown["phone_number"], format!("+{PHONE_NUMBER}"));
    assert_eq!(
        (&shown["contact_number"], &shown["contact_name"]),
        (&json!("+16505551234"), &json!("Anna Sample"))
    );
    assert_eq!((&shown["duration"], &shown["meta_duration"]), (&json!(2), &json!(7)));
    let end = &shown["end"];
    assert_eq!((&end["cause"], &end["by"], &end["q850"]), (&json!("hung_up"), &json!("contact"), &json!(16)));
    assert_eq!(end["text"], "the customer hung up");
    assert_eq!(shown["agent"], "sip:101@pbx");
    let what: Vec<&str> =
        shown["timeline"].as_array().unwrap().iter().map(|m| m["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["arrived", "forwarded", "ringing", "answered", "noted", "ended"]);
    assert_eq!(
        (&shown["report"]["tls_version"], &shown["report"]["proof"]),
        (&json!("TLSv1.3"), &json!("digest"))
    );
    assert_eq!(shown["report"]["headers"], json!(["Via: SIP/2.0/TLS meta", "From"]));
    assert_eq!(shown["report"]["offer"], json!(["v=0"]));
    assert!(shown["contact_id"].is_string());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_listed_newest_first_and_found_by_what_they_are() {
    let app = TestApp::with_calls().await;
    for _ in 0..3 {
        let mut call = app.customer_calls(&anna());
        app.goes_on(&mut call, vec![forwarded(), end(EndedBy::Contact, EndCause::Cancelled)]);
        app.call_is(&call, "ended").await;
    }
    let mut call = app.agent_calls(&bob());
    app.goes_on(&mut call, vec![forwarded(), answered(None)]);
    app.call_is(&call, "answered").await;
    let first = app.api.get("/calls?limit=2").await;
    assert_eq!(first["items"][0]["id"], call.id.as_str());
    let next = format!("?limit=2&cursor={}", first["next"].as_str().unwrap());
    assert_eq!(call_views(&app, &next).await.len(), 2);
    for (query, count) in [
        ("?direction=outbound", 1),
        ("?end_cause=cancelled", 3),
        ("?state=answered", 1),
        ("?contact=%2B16505551234", 3),
        ("?contact=nobody", 0),
        (&format!("?phone_id={}", app.phone_id()), 4),
        ("?phone_id=none", 0),
    ] {
        assert_eq!(call_views(&app, query).await.len(), count, "{query}");
    }
    for wrong in ["direction=x", "state=x", "end_cause=x"] {
        assert_eq!(app.api.call("GET", &format!("/calls?{wrong}"), None).await.0, 422, "{wrong}");
    }
    assert_eq!(app.api.call("GET", "/calls/none", None).await.0, 404);
    app.goes_on(&mut call, vec![hung_up(EndedBy::Trunk)]);
    app.call_is(&call, "ended").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_closes_once_and_the_first_end_counts() {
    let app = TestApp::with_calls().await;
    let mut call = app.customer_calls(&anna());
    let ends = vec![
        forwarded(),
        end(EndedBy::Contact, EndCause::Cancelled),
        end(EndedBy::Bridge, EndCause::Lost),
        CallMoment::Ringing,
        CallMoment::Identified("wacid.late".into()),
    ];
    app.goes_on(&mut call, ends);
    let row = app.eventually("the id is known", async || {
        let row = app.call_is(&call, "ended").await;
        (row.wacid.as_deref() == Some("wacid.late")).then_some(row)
    });
    let row = row.await;
    assert_eq!((row.end_cause.as_deref(), row.ended_by.as_deref()), (Some("cancelled"), Some("contact")));
    assert!(row.ringing_at.is_none());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incoming_call_opens_the_service_window() {
    let app = TestApp::with_calls().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.close_window(PHONE_ID, "16505551234");
    let id = chat.clone();
    app.relay.db.write(move |tx| chats::window_closed(tx.conn, &id)).await.unwrap();
    let mut call = app.customer_calls(&anna);
    app.goes_on(&mut call, vec![forwarded()]);
    app.call_is(&call, "trying").await;
    let row = app.eventually("the window is open", async || {
        let id = chat.clone();
        let row = app.relay.db.read(move |conn| chats::get(conn, &id)).await.unwrap().unwrap();
        (!row.window_closed).then_some(row)
    });
    let row = row.await;
    assert!(row.window_until.unwrap() > app.clock.now().naive_utc());
    assert!(row.last_inbound_wamid.is_some(), "what to mark as read is still the message");
    app.goes_on(&mut call, vec![end(EndedBy::Contact, EndCause::Cancelled)]);
    app.call_is(&call, "ended").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_was_held_goes_when_the_customer_calls() {
    let phone = |row: &mut wabridge::store::phones::PhoneRow| row.closed_window = "hold".to_owned();
    let app = TestApp::with_calls_and(Options { phone: Some(Box::new(phone)), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let id = chat.clone();
    app.relay.db.write(move |tx| chats::window_closed(tx.conn, &id)).await.unwrap();
    app.operator(&chat, "Your parcel is here", vec![]);
    app.note(&chat, "Held").await;
    let mut call = app.customer_calls(&anna);
    app.goes_on(&mut call, vec![forwarded(), answered(None), hung_up(EndedBy::Contact)]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received[0].body["text"]["body"], "Your parcel is here");
    app.call_is(&call, "ended").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_its_checks_has_a_record_and_opens_nothing() {
    let app = TestApp::with_calls().await;
    let forged = arrival(Some(app.phone_id()), Direction::Inbound, &anna(), None);
    let mut call = app.call_arrives(forged, String::new());
    app.goes_on(&mut call, vec![end(EndedBy::Bridge, EndCause::Refused)]);
    let row = app.call_is(&call, "ended").await;
    assert_eq!((row.contact_id, row.chat_id), (None, None));
    let unknown = arrival(None, Direction::Inbound, &anna(), None);
    let mut call = app.call_arrives(unknown, String::new());
    app.goes_on(&mut call, vec![end(EndedBy::Bridge, EndCause::UnknownNumber)]);
    assert_eq!(app.call_is(&call, "ended").await.phone_id, None);
    assert_eq!(app.api.get("/contacts").await["items"], json!([]));
    assert!(app.portal.cards().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metas_word_joins_the_record_in_either_order_and_once() {
    let app = TestApp::with_calls().await;
    let anna = anna();
    // Meta is quicker than the call.
    let wacid = app.cloud.new_wacid(&anna);
    app.cloud.call_created(PHONE_ID, &anna, &wacid, true);
    app.webhooks_taken().await;
    let early = call_views(&app, "").await;
    assert_eq!((early.len(), &early[0]["state"]), (1, &json!("reported")));
    assert!(early[0]["end"]["text"].as_str().unwrap().contains("never reached this bridge"));
    let arrived = arrival(Some(app.phone_id()), Direction::Inbound, &anna, Some(&wacid));
    let mut call = app.call_arrives(arrived, wacid.clone());
    app.goes_on(&mut call, vec![forwarded(), answered(None), hung_up(EndedBy::Contact)]);
    app.call_is(&call, "ended").await;
    assert_eq!(call_views(&app, "").await.len(), 1, "one call, one record");
    // Meta is slower, and says it twice.
    app.cloud.change_faults(|faults| faults.webhook_doubled = 1.0);
    app.cloud.call_terminated(PHONE_ID, &anna, &wacid, true, Some(6), &[138_021]);
    app.webhooks_taken().await;
    let shown = app.eventually("Meta's end is joined", async || {
        let shown = app.api.get(&format!("/calls/{}", call.id)).await;
        (shown["meta"]["status"] == "COMPLETED").then_some(shown)
    });
    let shown = shown.await;
    assert_eq!(shown["meta_duration"], 6);
    let error = &shown["meta"]["errors"][0];
    assert_eq!(error["code"], 138_021);
    assert!(error["explanation"].as_str().unwrap().contains("No sound arrived at Meta"));
    let count = |what: &str| {
        shown["timeline"].as_array().unwrap().iter().filter(|moment| moment["what"] == what).count()
    };
    assert_eq!((count("meta_call_created"), count("meta_terminate")), (1, 1));
    assert_eq!(call_views(&app, "").await.len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outgoing_call_is_joined_when_metas_id_becomes_known() {
    let app = TestApp::with_calls().await;
    let bob = bob();
    let (mut call, mut other) = (app.agent_calls(&bob), app.agent_calls(&bob));
    for call in [&mut call, &mut other] {
        app.goes_on(call, vec![forwarded(), answered(None)]);
        app.call_is(call, "answered").await;
    }
    app.cloud.call_created(PHONE_ID, &bob, &call.wacid, false);
    app.cloud.call_terminated(PHONE_ID, &bob, &call.wacid, false, Some(3), &[]);
    app.webhooks_taken().await;
    assert_eq!(call_views(&app, "").await.len(), 3, "nothing tells yet which of the two it is");
    let wacid = call.wacid.as_str().into();
    app.goes_on(&mut call, vec![CallMoment::Identified(wacid), hung_up(EndedBy::Contact)]);
    app.call_is(&call, "ended").await;
    assert_eq!(call_views(&app, "").await.len(), 2);
    let shown = app.api.get(&format!("/calls/{}", call.id)).await;
    assert_eq!((&shown["meta"]["status"], &shown["direction"]), (&json!("COMPLETED"), &json!("outbound")));
    app.goes_on(&mut other, vec![hung_up(EndedBy::Contact)]);
    app.call_is(&other, "ended").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outgoing_call_whose_id_meta_never_told_us_is_joined_by_person_and_time() {
    let app = TestApp::with_calls().await;
    let (anna, bob) = (anna(), bob());
    let mut others = [app.agent_calls(&anna), app.customer_calls(&bob)];
    let mut call = app.agent_calls(&bob);
    app.goes_on(&mut call, vec![forwarded(), answered(None), hung_up(EndedBy::Trunk)]);
    app.call_is(&call, "ended").await;
    app.cloud.call_terminated(PHONE_ID, &bob, &call.wacid, false, Some(1), &[]);
    app.webhooks_taken().await;
    let shown = app.eventually("Meta's word is joined", async || {
        let shown = app.api.get(&format!("/calls/{}", call.id)).await;
        (shown["wacid"] == call.wacid.as_str()).then_some(shown)
    });
    assert_eq!(shown.await["meta_duration"], 1);
    assert_eq!(call_views(&app, "").await.len(), 3, "one call, one record");
    for call in &mut others {
        app.goes_on(call, vec![hung_up(EndedBy::Contact)]);
        app.call_is(call, "ended").await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_webhooks_about_calls_are_kept_and_harm_nothing() {
    let app = TestApp::with_calls().await;
    for value in [
        json!({"calls": [{"id": "wacid.1", "event": "terminate", "status": 5, "duration": "x", "errors": "y"}]}),
        json!({"calls": "z"}),
        json!({"calls": [{"event": "terminate"}, null, 5, {"id": "x".repeat(2000)}]}),
    ] {
        let body = notification(vec![("calls", value_of(PHONE_ID, value))]);
        assert_eq!(app.post_signed(body.to_string().as_bytes()).await, 200);
    }
    let foreign = json!({"calls": [{"id": "wacid.2", "event": "terminate"}]});
    let body = notification(vec![("calls", value_of("999", foreign))]);
    assert_eq!(app.post_signed(body.to_string().as_bytes()).await, 200);
    let all = call_views(&app, "").await;
    assert_eq!((all.len(), &all[0]["wacid"]), (1, &json!("wacid.1")));
    assert_eq!(app.events().await.iter().filter(|event| event.field == "calls").count(), 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_a_person_takes_their_calls_along() {
    let app = TestApp::with_calls().await;
    let anna = anna();
    let mut call = app.customer_calls(&anna);
    app.goes_on(&mut call, vec![forwarded(), answered(None), hung_up(EndedBy::Contact)]);
    let contact = app.call_is(&call, "ended").await.contact_id.unwrap();
    app.settled().await;
    app.cloud.call_created(PHONE_ID, &anna, "wacid.stray", true);
    app.webhooks_taken().await;
    app.cloud.set_call_permission(PHONE_ID, &anna, SimPermission::Permanent);
    app.may_call(&anna).await;
    let export = app.api.get(&format!("/contacts/{contact}/export")).await;
    assert_eq!(export["calls"].as_array().unwrap().len(), 2, "{export}");
    let (status, _) = app.api.call("DELETE", &format!("/contacts/{contact}"), None).await;
    assert_eq!(status, 204);
    assert!(call_views(&app, "").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_records_go_with_their_cards_and_running_calls_stay() {
    let app = TestApp::with_calls().await;
    let mut over = app.customer_calls(&anna());
    app.goes_on(&mut over, vec![forwarded(), answered(None), hung_up(EndedBy::Contact)]);
    let mut running = app.customer_calls(&bob());
    app.goes_on(&mut running, vec![forwarded(), answered(None)]);
    app.call_is(&over, "ended").await;
    app.call_is(&running, "answered").await;
    app.settled().await;
    let later = app.clock.now() + chrono::TimeDelta::days(1);
    for (kind, expected) in [(Kind::Calls, 1), (Kind::Calls, 0), (Kind::CallPermissions, 0)] {
        let removed = app.relay.db.write(move |tx| retention::step(tx.conn, kind, later)).await.unwrap();
        assert_eq!(removed, expected);
    }
    let left = call_views(&app, "").await;
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!(running.id.as_str())));
    app.goes_on(&mut running, vec![hung_up(EndedBy::Contact)]);
    app.call_is(&running, "ended").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permission_is_asked_from_meta_once_and_remembered() {
    let app = TestApp::with_calls().await;
    let anna = anna();
    let asked = || {
        let mut count = 0;
        let mut events = app.cloud.subscribe_events();
        move || {
            while let Ok(event) = events.try_recv() {
                count += usize::from(event.to_string().contains("call_permissions"));
            }
            count
        }
    };
    let mut asked = asked();
    let CallPermission::Refused(why) = app.may_call(&anna).await else { panic!("nothing was permitted") };
    assert!(why.contains("request") && why.is_ascii(), "{why}");
    assert!(matches!(app.may_call(&anna).await, CallPermission::Refused(_)));
    assert_eq!(asked(), 1);
    // The customer agrees: that is heard by the webhook, and Meta need not be asked.
    let until = app.clock.now().timestamp() + 7 * 86_400;
    app.cloud.customer_answers_call_request(PHONE_ID, &anna, SimPermission::Temporary(until));
    app.eventually("the answer is known", async || {
        (app.may_call(&anna).await == CallPermission::Allowed).then_some(())
    })
    .await;
    assert_eq!(asked(), 1);
    let chat = app.chat_of("Anna").await;
    let shown = app.line_has(&chat, 1).await;
    assert!(shown[0].text.contains("Calls allowed until"), "{}", shown[0].text);
    // A call that Meta refused all the same: what was believed is wrong.
    app.cloud.set_call_permission(PHONE_ID, &anna, SimPermission::None);
    let mut call = app.agent_calls(&anna);
    app.goes_on(&mut call, vec![forwarded(), end(EndedBy::Contact, EndCause::NoPermission)]);
    app.call_is(&call, "ended").await;
    assert!(matches!(app.may_call(&anna).await, CallPermission::Refused(_)));
    let words = app.api.get(&format!("/calls/{}", call.id)).await["end"]["text"].clone();
    assert!(words.as_str().unwrap().contains("has not permitted calls"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_without_a_number_is_asked_for_by_id_and_silence_of_meta_is_a_yes() {
    let app = TestApp::with_calls().await;
    let hidden = SimCustomer::with_user_id("US.13491208655302741918", "Hidden One");
    assert!(matches!(app.may_call(&hidden).await, CallPermission::Refused(_)));
    app.cloud.set_call_permission(PHONE_ID, &bob(), SimPermission::Permanent);
    assert_eq!(app.may_call(&bob()).await, CallPermission::Allowed);
    app.cloud.change_faults(|faults| faults.cloud_down = true);
    assert_eq!(app.may_call(&anna()).await, CallPermission::Allowed, "Meta refuses itself");
    app.cloud.change_faults(|faults| faults.cloud_down = false);
    app.stop().await;
}

/// Ten thousand calls as the edge tells them, mixed, ended in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_leave_ten_thousand_closed_records_and_no_job() {
    const CALLS: usize = 10_000;
    const AT_ONCE: usize = 50;
    // Nobody is told of them but the records: cards and notes have tests of their own.
    let app = TestApp::with(Options { unlinked: true, ..Options::default() }).await;
    let phone = PhoneKey::from(linking::link_whatsapp(&app.api, &app.cloud).await.0.as_str());
    let ends = [
        hung_up(EndedBy::Contact),
        hung_up(EndedBy::Trunk),
        end(EndedBy::Contact, EndCause::Cancelled),
        end(EndedBy::Trunk, EndCause::Declined),
        end(EndedBy::Bridge, EndCause::NoAnswer),
        end(EndedBy::Bridge, EndCause::TrunkUnreachable),
        end(EndedBy::Bridge, EndCause::Lost),
        end(EndedBy::Bridge, EndCause::Refused),
    ];
    for first in (0..CALLS).step_by(AT_ONCE) {
        let mut calls: Vec<_> = (first..first + AT_ONCE)
            .map(|number| {
                let who = crate::support::customer(number % 100);
                app.call_arrives(arrival(Some(phone.clone()), Direction::Inbound, &who, None), String::new())
            })
            .collect();
        for (number, call) in calls.iter_mut().enumerate() {
            let mut moments = if number % 8 == 7 { vec![] } else { vec![forwarded(), CallMoment::Ringing] };
            moments.extend((number % 8 < 2).then(|| answered(Some("sip:101@pbx"))));
            moments.push(ends[number % 8].clone());
            app.goes_on(call, moments);
        }
    }
    let open = || app.relay.db.read(wabridge::store::calls::open);
    let all = || {
        let (filter, page) = (CallFilter::default(), Page { limit: 20_000, cursor: None });
        app.relay.db.read(move |conn| wabridge::store::calls::list(conn, &filter, &page))
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(180);
    while !open().await.unwrap().is_empty() || all().await.unwrap().len() < CALLS {
        assert!(std::time::Instant::now() < deadline, "{} are open", open().await.unwrap().len());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let rows = all().await.unwrap();
    assert_eq!(rows.len(), CALLS);
    assert!(rows.iter().all(|row| row.state == "ended" && row.ended_at.is_some() && row.end_cause.is_some()));
    while app.relay.scheduler.pending() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} jobs are left", app.relay.scheduler.pending());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(app.jobs("ready").await.is_empty() && app.jobs("dead").await.is_empty());
    app.stop().await;
}
