//! The courier: what waits for a line goes together, each message with its own verdict, none twice.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::SimMedia;
use wabridge::sandbox::portal::{Author, FaultKind};

use crate::support::{Options, PHONE_ID, TestApp, anna, customer, name};

const SEND: &str = "imconnector.send.messages";
const HISTORY: &str = "imopenlines.session.history.get";

fn few_attempts(attempts: u32) -> Options {
    Options {
        config: Some(Box::new(move |config| config.relay.max_attempts = attempts)),
        ..Options::default()
    }
}

/// The messages of a call that was answered.
fn items(call: &Value) -> Vec<Value> {
    call["outcome"]["args"]["MESSAGES"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_line_travels_together_with_five_new_chats_a_call() {
    let app = TestApp::start().await;
    app.portal.set_faults(wabridge::sandbox::portal::Faults { down: true, ..Default::default() });
    for number in 0..12 {
        app.customer_writes(&customer(number), "one");
        app.customer_writes(&customer(number), "two");
    }
    app.waiting(24).await;
    app.portal.set_faults(Default::default());
    app.shown(24).await;
    for number in 0..12 {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.texts(&chat), ["one", "two"]);
    }
    let mut known = std::collections::HashSet::new();
    for call in app.sends() {
        let chats: Vec<String> =
            items(&call).iter().map(|item| item["chat"]["id"].as_str().unwrap().to_owned()).collect();
        let distinct: std::collections::HashSet<_> = chats.iter().cloned().collect();
        assert_eq!(distinct.len(), chats.len(), "one message of a chat a call");
        assert!(chats.len() <= 50);
        assert!(distinct.difference(&known).count() <= 5, "five new chats a call");
        known.extend(distinct);
    }
    let calls = app.sends().iter().filter(|call| !items(call).is_empty()).count();
    assert!(calls <= 6, "24 messages of 12 new chats took {calls} calls");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_chats_do_not_wait_behind_new_ones() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.set_faults(wabridge::sandbox::portal::Faults { down: true, ..Default::default() });
    for number in 0..60 {
        app.customer_writes(&customer(number), "hello");
    }
    app.customer_writes(&anna(), "second");
    app.waiting(61).await;
    app.portal.set_faults(Default::default());
    app.shown(62).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    let at = app
        .sends()
        .iter()
        .filter(|call| !items(call).is_empty())
        .position(|call| items(call).iter().any(|item| item["message"]["text"] == "second"));
    // The probe after the outage shows how new the others are; the very next call carries the known chat.
    assert!(at.unwrap() <= 3, "the known chat came with call {at:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_pulls_one_file() {
    let app = TestApp::start().await;
    app.portal.set_faults(wabridge::sandbox::portal::Faults { down: true, ..Default::default() });
    for number in 0..3 {
        app.cloud.customer_sends_media(PHONE_ID, &customer(number), picture());
    }
    app.wait_for("the files are here", async |app| {
        let fetched = app.jobs_of("fetch").await;
        (fetched.len() == 3 && fetched.iter().all(|job| job.state == "done")).then_some(())
    })
    .await;
    app.portal.set_faults(Default::default());
    app.shown(3).await;
    for call in app.sends() {
        let files = items(&call).iter().filter(|item| item["message"].get("files").is_some()).count();
        assert!(files <= 1, "{call:#}");
    }
    for number in 0..3 {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.conversation(&chat)[0].files.len(), 1);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_portal_dropped_silently_follows_as_a_link() {
    let app = TestApp::start().await;
    app.portal.plan_fault(FaultKind::FileDropped, None, 1);
    let media = SimMedia { caption: Some("the garden".into()), ..picture() };
    app.cloud.customer_sends_media(PHONE_ID, &anna(), media);
    let chat = app.chat_of("Anna").await;
    let shown = app.line_has(&chat, 2).await;
    assert!(shown[0].files.is_empty() && shown[0].text.contains("the garden"), "{shown:#?}");
    assert!(shown[1].files.is_empty() && shown[1].text.contains("/media/"), "{shown:#?}");
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_answer_that_never_came_the_history_is_asked_and_nothing_is_doubled() {
    let app = TestApp::start().await;
    let people = 8;
    for number in 0..people {
        app.customer_writes(&customer(number), "first");
    }
    app.shown(people).await;
    app.portal.plan_fault(FaultKind::DropAfter, Some(SEND), 2);
    for number in 0..people {
        app.customer_writes(&customer(number), "second");
    }
    app.shown(2 * people).await;
    for number in 0..people {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.texts(&chat), ["first", "second"]);
    }
    assert!(app.jobs_of("message").await.iter().all(|job| job.state == "done" && !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_histories_of_many_chats_are_asked_in_one_call() {
    let app = TestApp::start().await;
    for number in 0..20 {
        app.customer_writes(&customer(number), "first");
    }
    app.shown(20).await;
    // Twenty in one call: the portal is away while they come.
    app.portal.change_faults(|faults| faults.down = true);
    for number in 0..20 {
        app.customer_writes(&customer(number), "second");
    }
    app.waiting(20).await;
    app.portal.plan_fault(FaultKind::DropAfter, Some(SEND), 1);
    let before = app.portal.call_count(HISTORY) + app.portal.call_count("batch");
    app.portal.change_faults(|faults| faults.down = false);
    app.shown(40).await;
    let asked = app.portal.call_count(HISTORY) + app.portal.call_count("batch") - before;
    assert!(asked <= 6, "{asked} calls for the histories of 20 chats");
    for number in 0..20 {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.texts(&chat), ["first", "second"]);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_history_does_not_hold_is_sent_once_more_and_the_job_says_maybe_twice() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.plan_fault(FaultKind::DropBefore, Some(SEND), 1);
    app.customer_writes(&anna(), "second");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    let flags: Vec<bool> = app.jobs_of("message").await.iter().map(|job| job.maybe_twice).collect();
    assert_eq!(flags, [true, false], "newest first");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_the_portal_never_tells_holds_no_other_chat_and_its_own_not_for_ever() {
    let app = TestApp::start().await;
    for number in 0..3 {
        app.customer_writes(&customer(number), "first");
    }
    app.shown(3).await;
    app.portal.change_faults(|faults| faults.broken_history = Some(name(0)));
    app.portal.change_faults(|faults| faults.down = true);
    for number in 0..3 {
        app.customer_writes(&customer(number), "second");
    }
    app.waiting(3).await;
    app.portal.plan_fault(FaultKind::DropBefore, Some(SEND), 1);
    app.portal.change_faults(|faults| faults.down = false);
    for number in 0..3 {
        let chat = app.chat_of(&name(number)).await;
        app.line_has(&chat, 2).await;
        assert_eq!(app.texts(&chat), ["first", "second"]);
    }
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_that_the_portal_refuses_to_tell_end_no_message() {
    let app = TestApp::start().await;
    for number in 0..3 {
        app.customer_writes(&customer(number), "first");
    }
    app.shown(3).await;
    app.portal.change_faults(|faults| faults.down = true);
    for number in 0..3 {
        app.customer_writes(&customer(number), "second");
    }
    app.waiting(3).await;
    app.portal.plan_fault(FaultKind::DropBefore, Some(SEND), 1);
    // The call that asks for the three histories is refused as a whole, and not for a while.
    app.portal.plan_fault(FaultKind::Refused, Some("batch"), 1);
    app.portal.change_faults(|faults| faults.down = false);
    app.shown(6).await;
    for number in 0..3 {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.texts(&chat), ["first", "second"]);
    }
    app.settled().await;
    let jobs = app.jobs_of("message").await;
    assert!(jobs.iter().all(|job| job.state == "done" && job.attempts == 0), "{jobs:#?}");
    assert_eq!(jobs.iter().filter(|job| job.maybe_twice).count(), 3, "nobody could know");
    assert!(app.portal.faults().planned.iter().all(|planned| planned.times == 0), "both were met");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_message_whose_answer_was_lost_is_not_doubled_in_any_of_its_parts() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.plan_fault(FaultKind::DropAfter, Some(SEND), 1);
    app.customer_writes(&anna(), &"0123456789 ".repeat(4000));
    app.line_has(&chat, 4).await;
    app.settled().await;
    let shown = app.conversation(&chat);
    let ids: Vec<&str> = shown.iter().map(|entry| entry.connector_mids[0].as_str()).collect();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert!(ids.len() >= 3 && distinct.len() == ids.len(), "{ids:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_portal_refuses_is_retried_and_holds_no_other_chat() {
    let app = TestApp::with(few_attempts(3)).await;
    app.customer_writes(&anna(), "hello");
    app.customer_writes(&customer(1), "hello");
    let (chat, other) = (app.chat_of("Anna").await, app.chat_of(&name(1)).await);
    app.shown(2).await;
    app.portal.plan_fault(FaultKind::ItemFails, Some(SEND), 1);
    app.customer_writes(&anna(), "again");
    app.wait_for("the refusal", async |app| {
        app.jobs_of("message").await.iter().any(|job| job.attempts == 1).then_some(())
    })
    .await;
    app.customer_writes(&anna(), "behind it");
    app.customer_writes(&customer(1), "not held");
    app.line_has(&other, 2).await;
    assert_eq!(app.texts(&chat), ["hello"], "its own chat waits, to stay in order");
    app.shown(5).await;
    assert_eq!(app.texts(&chat), ["hello", "again", "behind it"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_refused_for_good_is_dead_with_a_note_and_its_chat_goes_on() {
    let app = TestApp::with(few_attempts(1)).await;
    app.customer_writes(&anna(), "hello");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.plan_fault(FaultKind::ItemFails, Some(SEND), 1);
    app.customer_writes(&anna(), "poison");
    app.wait_for("its death", async |app| (app.jobs("dead").await.len() == 1).then_some(())).await;
    app.customer_writes(&anna(), "after it");
    app.shown(3).await;
    let shown = app.conversation(&chat);
    assert_eq!(shown.len(), 3, "{shown:#?}");
    assert_eq!((shown[1].author, shown[2].text.as_str()), (Author::System, "after it"));
    assert!(shown[1].text.contains("could not be shown"), "{}", shown[1].text);
    // A person lists it and gives it another chance.
    let dead = app.jobs("dead").await;
    assert!(dead[0].last_error.as_deref().unwrap().contains("Unable to create the user"));
    let id = dead[0].id.clone();
    assert!(app.relay.db.write(move |tx| wabridge::store::jobs::retry(tx, &id)).await.unwrap());
    app.shown(4).await;
    assert_eq!(app.texts(&chat)[3], "poison");
    assert!(app.jobs("dead").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_refused_for_one_message_blocks_no_other_and_counts_against_none() {
    let app = TestApp::with(few_attempts(1)).await;
    for number in 0..10 {
        app.customer_writes(&customer(number), "first");
    }
    app.shown(10).await;
    app.portal.change_faults(|faults| faults.down = true);
    for number in 0..10 {
        app.customer_writes(&customer(number), if number == 6 { "poison" } else { "second" });
    }
    app.waiting(10).await;
    app.portal.change_faults(|faults| faults.refused_text = Some("poison".into()));
    app.portal.change_faults(|faults| faults.down = false);
    app.shown(20).await;
    for number in (0..10).filter(|number| *number != 6) {
        let chat = app.chat_of(&name(number)).await;
        assert_eq!(app.texts(&chat), ["first", "second"]);
    }
    let chat = app.chat_of(&name(6)).await;
    assert_eq!(app.conversation(&chat)[1].author, Author::System, "a note stands for what was refused");
    let dead = app.jobs("dead").await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].last_error.as_deref().unwrap().contains("ERROR_ARGUMENT"));
    let innocent = app.jobs_of("message").await;
    assert!(innocent.iter().filter(|job| job.state == "done").all(|job| job.attempts == 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_at_which_the_portal_fails_each_time_holds_no_other() {
    let app = TestApp::start().await;
    for number in 0..4 {
        app.customer_writes(&customer(number), "first");
    }
    app.shown(4).await;
    app.portal.change_faults(|faults| faults.down = true);
    for number in 0..4 {
        app.customer_writes(&customer(number), if number == 0 { "poison" } else { "second" });
    }
    app.waiting(4).await;
    app.portal.change_faults(|faults| faults.broken_text = Some("poison".into()));
    app.portal.change_faults(|faults| faults.down = false);
    for number in 1..4 {
        let chat = app.chat_of(&name(number)).await;
        app.line_has(&chat, 2).await;
        app.customer_writes(&customer(number), "third");
        app.line_has(&chat, 3).await;
        assert_eq!(app.texts(&chat), ["first", "second", "third"]);
    }
    let chat = app.chat_of(&name(0)).await;
    assert_eq!(app.texts(&chat), ["first"]);
    assert!(app.jobs_of("message").await.iter().all(|job| job.attempts == 0), "it may be an outage");
    app.portal.change_faults(|faults| faults.broken_text = None);
    app.line_has(&chat, 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_at_which_the_portal_fails_twice_follows_as_a_link() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.plan_fault(FaultKind::Status500, Some(SEND), 2);
    app.cloud.customer_sends_media(PHONE_ID, &anna(), picture());
    let shown = app.line_has(&chat, 2).await;
    assert!(shown[1].files.is_empty() && shown[1].text.contains("/media/"), "{shown:#?}");
    assert!(app.jobs_of("file").await.iter().all(|job| job.attempts == 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_what_this_portal_does_not_have_comes_as_a_message() {
    for lost in ["relayed_at = NULL", "portal_id = NULL"] {
        let app = TestApp::start().await;
        let original = app.customer_writes(&anna(), "at fiev");
        let chat = app.chat_of("Anna").await;
        app.shown(1).await;
        app.sql(format!("UPDATE messages SET {lost}")).await;
        let edit = json!({"type": "edit", "edit": {"original_message_id": original, "message": {"type": "text", "text": {"body": "at five"}}}});
        app.cloud.customer_sends(PHONE_ID, &anna(), edit);
        app.line_has(&chat, 2).await;
        assert_eq!(app.texts(&chat)[1], "at five\n[i](edited)[/i]", "{lost}");
        assert_eq!(app.portal.call_count("imconnector.update.messages"), 0);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_a_former_portal_are_not_sent_to_the_present_one() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    let calls = app.portal.call_count("imconnector.send.status.delivery");
    let (phone, chat_id) = (app.phone_id(), wabridge::domain::ChatId::from(chat.as_str()));
    let job = wabridge::queue::job::Job::Acknowledge {
        chat_id: chat.clone(),
        portal_id: "of-a-former-portal".into(),
        im_chat_id: "7".into(),
        im_message_id: "8".into(),
    };
    let kind = wabridge::queue::job::Kind::Acknowledge;
    let job = wabridge::queue::job::to_line(kind, &phone, &chat_id, None, &job);
    let now = app.relay.clock.now();
    app.relay.db.write(move |tx| wabridge::store::jobs::enqueue(tx, &job, now).map(drop)).await.unwrap();
    app.wait_for("the job's end", async |app| {
        app.jobs_of("acknowledge").await.iter().any(|job| job.state == "done").then_some(())
    })
    .await;
    assert_eq!(app.portal.call_count("imconnector.send.status.delivery"), calls);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_switched_off_waits_alone_and_counts_against_no_message() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.set_line(&app.line, "ACTIVE", "N");
    app.customer_writes(&anna(), "second");
    app.wait_for("the refusal", async |app| {
        let jobs = app.jobs("ready").await;
        jobs.iter()
            .any(|job| job.last_error.as_deref().is_some_and(|e| e.contains("NOT_ACTIVE")))
            .then_some(())
    })
    .await;
    // The other direction goes on.
    app.portal.set_line(&app.line, "ACTIVE", "Y");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert!(app.jobs_of("message").await.iter().all(|job| job.attempts == 0 && !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portal_that_takes_nothing_holds_back_no_reply() {
    let app = TestApp::start().await;
    let anna = anna();
    app.customer_writes(&anna, "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    app.portal.plan_fault(FaultKind::QueryLimit, Some(SEND), 2);
    app.customer_writes(&anna, "second");
    app.portal.operator_writes(&app.line, &chat, "an answer", vec![]).unwrap();
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received[0].body["text"]["body"], "an answer");
    assert!(!app.texts(&chat).contains(&"second".to_owned()), "the portal still refuses");
    app.shown(3).await;
    assert!(app.texts(&chat).contains(&"second".to_owned()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contact_is_the_same_to_the_byte_in_every_call() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "one");
    let chat = app.chat_of("Anna").await;
    let renamed = wabridge::sandbox::cloud::SimCustomer { name: "Anna Other".into(), ..anna() };
    app.customer_writes(&renamed, "two");
    app.line_has(&chat, 2).await;
    app.shown(2).await;
    assert_eq!(app.portal.profile_rewrites(&app.line, &chat), 0);
    app.stop().await;
}

fn picture() -> SimMedia {
    SimMedia {
        kind: "image".into(),
        bytes: PNG.to_vec().into(),
        mime: "image/png".into(),
        more: json!({}),
        ..SimMedia::default()
    }
}

/// One grey pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0,
    1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0x68, 0,
    0, 0, 0x82, 0, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];
