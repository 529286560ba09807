//! What is older than its time goes, step by step, and nothing else does.

use chrono::{Duration, Utc};
use diesel::connection::SimpleConnection;
use wabridge::config::Config;
use wabridge::domain::{DeliveryState, Direction};
use wabridge::sandbox::cloud::SimMedia;
use wabridge::sandbox::portal::FaultKind;
use wabridge::store::jobs::{self, NewJob};
use wabridge::store::messages::{self, NewMessage};
use wabridge::store::retention::{Kind, STEP, step};
use wabridge::store::{Page, people};

use crate::support::{PHONE_ID, TestApp, anna, customer, jpeg, name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_messages_go_in_steps_and_younger_ones_stay() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "young");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    let old = Utc::now() - Duration::days(61);
    let many = STEP + 20;
    let (of, phone) = (chat.clone(), app.phone_id());
    app.relay
        .db
        .write(move |tx| {
            for number in 0..many {
                let wamid = format!("wamid.old{number}");
                let new = NewMessage {
                    chat_id: &of,
                    phone_id: phone.as_str(),
                    direction: Direction::Inbound,
                    kind: "text",
                    wamid: Some(&wamid),
                    im: None,
                    part: 0,
                    state: DeliveryState::Accepted,
                    body: "old",
                    payload: "{}",
                    media_state: None,
                    blob_id: None,
                    job_id: None,
                };
                messages::insert(tx.conn, &new, old)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let before = Utc::now() - Duration::days(60);
    let mut steps = Vec::new();
    loop {
        let removed = app.relay.db.write(move |tx| step(tx.conn, Kind::Messages, before)).await.unwrap();
        steps.push(removed);
        if removed < usize::try_from(STEP).unwrap() {
            break;
        }
    }
    assert_eq!(steps, [500, 20]);
    let left = app.relay.db.read(move |conn| messages::of_chat(conn, &chat)).await.unwrap();
    assert_eq!(left.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["young"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_are_done_go_and_those_that_wait_or_are_dead_stay_however_old() {
    let app = TestApp::start().await;
    let old = Utc::now() - Duration::days(400);
    app.relay
        .db
        .write(move |tx| {
            for state in ["done", "dropped", "dead"] {
                let job = NewJob {
                    kind: "note",
                    // Of a phone that does not exist: nobody runs it.
                    queue: "line:nobody".into(),
                    lane: format!("in:{state}"),
                    dedupe_key: None,
                    payload: "{}".into(),
                    message_id: None,
                    not_before: None,
                };
                let id = jobs::enqueue(tx, &job, old)?.unwrap();
                let finished = old.naive_utc().format("%Y-%m-%d %H:%M:%S");
                let text = format!(
                    "UPDATE jobs SET state = '{state}', finished_at = '{finished}' WHERE id = '{id}'"
                );
                tx.conn.batch_execute(&text)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    app.settled().await;
    let before = Utc::now() - Duration::days(7);
    assert_eq!(app.relay.db.write(move |tx| step(tx.conn, Kind::Jobs, before)).await.unwrap(), 2);
    let page = Page { limit: 100, cursor: None };
    let left = app.relay.db.read(move |conn| jobs::list(conn, None, &page)).await.unwrap();
    assert_eq!(left.iter().map(|job| job.state.as_str()).collect::<Vec<_>>(), ["dead"]);
    app.stop().await;
}

#[test]
fn the_map_of_ids_lives_sixty_days_at_least() {
    let keep = Config::default().retention;
    assert!(keep.id_map >= std::time::Duration::from_secs(60 * 86_400));
    assert!(keep.messages.max(keep.id_map) >= keep.id_map);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_gone_and_the_others_stay() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "mine");
    app.customer_writes(&customer(1), "theirs");
    let (chat, other) = (app.chat_of("Anna").await, app.chat_of(&name(1)).await);
    app.shown(2).await;
    let of = chat.clone();
    app.relay
        .db
        .write(move |tx| {
            let contact = wabridge::store::chats::get(tx.conn, &of)?.unwrap().contact_id;
            assert_eq!(people::erase(tx.conn, &contact)?, Some(vec![]));
            assert_eq!(people::erase(tx.conn, &contact)?, None);
            Ok(())
        })
        .await
        .unwrap();
    let left = app.relay.db.read(move |conn| {
        Ok((messages::of_chat(conn, &chat)?.len(), messages::of_chat(conn, &other)?.len()))
    });
    assert_eq!(left.await.unwrap(), (0, 1));
    // Who erases forgets what is kept in memory as well. Whoever writes again is a new person.
    app.relay.known_chats.forget_all();
    app.customer_writes(&anna(), "again");
    app.shown(3).await;
    assert_eq!(app.cloud.received_count(PHONE_ID, "16505551234"), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_leaves_no_job_of_any_lane() {
    let app = TestApp::start().await;
    let chat = app.opened(&anna()).await;
    // The tick of an operator's answer waits for the portal, and a file for Meta.
    app.portal.plan_fault(FaultKind::OperationLimit, Some("imconnector.send.status.delivery"), 1000);
    app.cloud.change_faults(|faults| faults.media_fail_next = 1000);
    app.operator(&chat, "Good morning", vec![]);
    app.customer_has(&anna(), 1).await;
    let picture = SimMedia {
        kind: "image".into(),
        bytes: jpeg(3000).into(),
        mime: "image/jpeg".into(),
        ..SimMedia::default()
    };
    app.cloud.customer_sends_media(PHONE_ID, &anna(), picture);
    let waits = async |kind| app.jobs_of(kind).await.iter().any(|job| job.last_error.is_some());
    app.until("the tick that waits", async || waits("acknowledge").await).await;
    app.until("the file that waits", async || waits("fetch").await).await;
    let contacts = app.api.get("/contacts").await;
    let id = contacts["items"][0]["id"].as_str().unwrap();
    assert_eq!(app.api.call("DELETE", &format!("/contacts/{id}"), None).await.0, 204);
    app.settled().await;
    let page = Page { limit: 100, cursor: None };
    let left = app.relay.db.read(move |conn| jobs::list(conn, None, &page)).await.unwrap();
    assert!(left.is_empty(), "{left:#?}");
    app.stop().await;
}
