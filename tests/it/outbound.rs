//! What operators write on its way to WhatsApp: texts, quotes, order, doubt, notes.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wabridge::clock::{Clock, ManualClock};
use wabridge::sandbox::cloud::{ReceivedMessage, SendFault};
use wabridge::sandbox::portal::OperatorMessage;

use crate::support::{Options, PHONE_ID, TestApp, anna, bob, file, jpeg, key_of};

fn bodies(received: &[ReceivedMessage]) -> Vec<String> {
    received.iter().map(|message| message.body["text"]["body"].as_str().unwrap_or("-").to_owned()).collect()
}

fn told(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A bridge that waits so long for a status that proves a send.
fn doubting(wait: Duration) -> Options {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(move |config| config.relay.doubt = wait);
    Options { config: Some(config), ..Options::default() }
}

fn quoted(message: &ReceivedMessage) -> Option<&str> {
    message.body["context"]["message_id"].as_str()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_portals_markup_becomes_whatsapps() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let told = [
        ("[b]bold[/b] [i]slanted[/i] [s]gone[/s]", "*bold* _slanted_ ~gone~"),
        ("one[br]two\nthree", "one\ntwo\nthree"),
        ("[url=https://example.com/x]here[/url]", "here (https://example.com/x)"),
        ("fine :f09f9880:", "fine 😀"),
        (r"a path C:\u0000 and a [bracket]", r"a path C:\u0000 and a [bracket]"),
        ("[USER=5]Ann Lee[/USER], look", "Ann Lee, look"),
    ];
    for (text, _) in told {
        app.operator(&chat, text, vec![]);
    }
    let received = app.customer_has(&anna, told.len()).await;
    assert_eq!(bodies(&received), told.map(|(_, shown)| shown.to_owned()));
    assert_eq!(app.notes(&chat), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_of_an_event_goes_out() {
    let app = TestApp::start().await;
    let (anna, bob) = (anna(), bob());
    let (first, second) = (app.opened(&anna).await, app.opened(&bob).await);
    let item = |chat: &str, text: &str| OperatorMessage {
        external_chat_id: chat.into(),
        text: text.into(),
        files: vec![],
    };
    let items = vec![item(&first, "one"), item(&second, "two"), item(&first, "three")];
    app.portal.operator_writes_many(&app.line, items).unwrap();
    assert_eq!(bodies(&app.customer_has(&anna, 2).await), ["one", "three"]);
    assert_eq!(bodies(&app.customer_has(&bob, 1).await), ["two"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_above_4096_is_split_and_acknowledged_once_after_its_last_part() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let text: String = (0..900).map(|n| format!("word{n:04} ")).collect();
    let id = app.operator(&chat, &text, vec![]);
    let received = app.customer_has(&anna, 2).await;
    app.settled().await;
    assert_eq!(bodies(&received).join(" "), text.trim());
    assert!(bodies(&received).iter().all(|part| part.chars().count() <= 4096));
    let wamids: Vec<String> = received.into_iter().map(|message| message.wamid).collect();
    assert_eq!(app.entry(&chat, &id).connector_mids, wamids);
    assert_eq!(app.acknowledged(&id), [wamids]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_becomes_a_reply_where_the_quoted_message_is_known() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let question = app.customer_writes(&anna, "Is it *red* [or] blue?");
    app.line_has(&chat, 2).await;
    app.settled().await;
    let quote = wabridge::sandbox::portal::quote;
    let shown = app.conversation(&chat)[1].text.clone();
    // By its text.
    app.operator(&chat, &quote("Anna Sample", "01.03.2026 10:00", None, &shown, "Red."), vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!((bodies(&received)[0].as_str(), quoted(&received[0])), ("Red.", Some(question.as_str())));
    // By the portal's id, although a newer message says the same.
    let first = app.operator(&chat, "Anything else?", vec![]);
    app.operator(&chat, "Anything else?", vec![]);
    let sent = app.customer_has(&anna, 3).await;
    app.settled().await;
    let context = format!("chat1/{first}");
    let text = quote("Op", "01.03.2026 10:05", Some(&context), "Anything else?", "I mean this");
    app.operator(&chat, &text, vec![]);
    let received = app.customer_has(&anna, 4).await;
    assert_eq!(quoted(&received[3]), Some(sent[1].wamid.as_str()));
    // Not known: it stays in the text.
    app.operator(&chat, &quote("Bob", "01.03.2020 10:05", None, "Long ago", "Yes"), vec![]);
    let received = app.customer_has(&anna, 5).await;
    assert_eq!(quoted(&received[4]), None);
    assert_eq!(bodies(&received)[4], "> Bob:\n> Long ago\nYes");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_of_an_edited_message_is_a_reply_to_it() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let original = app.customer_writes(&anna, "at fiev");
    app.line_has(&chat, 2).await;
    let text = json!({"type": "text", "text": {"body": "at *five*"}});
    let edit = json!({"original_message_id": original, "message": text});
    app.cloud.customer_sends(PHONE_ID, &anna, json!({"type": "edit", "edit": edit}));
    let shown = app
        .wait_for("the edit", async |app| {
            Some(app.conversation(&chat)[1].clone()).filter(|entry| entry.edited).map(|entry| entry.text)
        })
        .await;
    assert_eq!(shown, "at [b]five[/b]\n[i](edited)[/i]");
    app.settled().await;
    let quote = wabridge::sandbox::portal::quote("Anna Sample", "01.03.2026 10:00", None, &shown, "Good.");
    app.operator(&chat, &quote, vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!((bodies(&received)[0].as_str(), quoted(&received[0])), ("Good.", Some(original.as_str())));
    // Who answers it quotes what it says now.
    let answer = json!({"type": "text", "text": {"body": "I meant"},
                        "context": {"from": "16505551234", "id": original}});
    app.cloud.customer_sends(PHONE_ID, &anna, answer);
    let shown = app.line_has(&chat, 4).await[3].text.clone();
    assert!(shown.contains("]\nat [b]five[/b]\n-") && shown.ends_with("I meant"), "{shown}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_by_id_means_the_first_part_of_a_message_that_became_several() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let files = (0..4).map(|n| file(&format!("{n}.jpg"), "image/jpeg", jpeg(100 + n))).collect();
    let id = app.operator(&chat, "Four pictures", files);
    let sent = app.customer_has(&anna, 4).await;
    app.settled().await;
    let context = format!("chat1/{id}");
    let text =
        wabridge::sandbox::portal::quote("Op", "01.03.2026 10:05", Some(&context), "Four pictures", "These");
    app.operator(&chat, &text, vec![]);
    let received = app.customer_has(&anna, 5).await;
    assert_eq!(quoted(&received[4]), Some(sent[0].wamid.as_str()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signature_is_stripped_unless_the_phone_keeps_it() {
    for (setting, shown) in [("strip", "Hello"), ("keep", "*Ann Lee:*\nHello")] {
        let phone: Box<dyn FnOnce(&mut wabridge::store::phones::PhoneRow) + Send> =
            Box::new(move |phone| phone.signature = setting.into());
        let app = TestApp::with(Options { phone: Some(phone), ..Options::default() }).await;
        let anna = anna();
        let chat = app.opened(&anna).await;
        let item = told(&[("[user_id]", "5"), ("[text]", "[b]Ann Lee:[/b] [br]Hello")]);
        app.post("ONIMCONNECTORMESSAGEADD", &chat, "900", &item).await;
        assert_eq!(bodies(&app.customer_has(&anna, 1).await), [shown], "{setting}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_on_a_line_that_was_unlinked_meanwhile_still_reaches_the_person() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let phone = app.phone_id();
    app.relay
        .db
        .write(move |tx| wabridge::store::lines::unbind_phone(tx.conn, phone.as_str()))
        .await
        .unwrap();
    app.relay.directory.reload().await.unwrap();
    app.operator(&chat, "We will call you back", vec![]);
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(bodies(&received), ["We will call you back"]);
    assert_eq!(app.events().await.len(), 0, "nothing was put aside");
    // What the operator is told waits for a line.
    let portal = serde_json::json!({"portal_id": app.portal_id().as_str()});
    app.api.call("PUT", &format!("/phones/{}/line", app.phone_id()), Some(portal)).await;
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_whose_runs_were_broken_off_for_good_is_told_in_the_line() {
    use wabridge::queue::worker::Runner as _;
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.cloud_down = true);
    app.operator(&chat, "Hello?", vec![]);
    let job = app
        .eventually("the send is tried", async || {
            app.jobs_of("send").await.into_iter().find(|job| job.last_error.is_some())
        })
        .await;
    let (sender, now) = (wabridge::relay::sender::Sender(app.relay.clone()), app.clock.now());
    app.relay.db.write(move |tx| sender.broken_off(tx, &job, now)).await.unwrap();
    app.note(&chat, "attempts failed").await;
    app.cloud.change_faults(|faults| faults.cloud_down = false);
    app.customer_has(&anna, 1).await;
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automatic_messages_are_dropped_unless_the_phone_sends_them() {
    for (setting, expected) in [("drop", vec!["by hand"]), ("send", vec!["Welcome!", "by hand"])] {
        let phone: Box<dyn FnOnce(&mut wabridge::store::phones::PhoneRow) + Send> =
            Box::new(move |phone| phone.system_messages = setting.into());
        let app = TestApp::with(Options { phone: Some(phone), ..Options::default() }).await;
        let anna = anna();
        let chat = app.opened(&anna).await;
        app.portal.automatic_message(&app.line, &chat, "Welcome!").unwrap();
        app.operator(&chat, "by hand", vec![]);
        let received = app.customer_has(&anna, expected.len()).await;
        assert_eq!(bodies(&received), expected, "{setting}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_the_portals_inside_is_held_back_with_a_note() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let link = format!("http://{}/crm/deal/details/7/", app.portal.domain());
    let id = app.operator(&chat, &format!("see {link}"), vec![]);
    app.note(&chat, "inside of your Bitrix24").await;
    app.operator(&chat, "sorry", vec![]);
    assert_eq!(bodies(&app.customer_has(&anna, 1).await), ["sorry"]);
    app.settled().await;
    assert_eq!(app.acknowledged(&id), Vec::<Vec<String>>::new(), "nothing was accepted");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_edit_or_deletion_is_answered_with_one_note() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let id = app.operator(&chat, "first", vec![]);
    app.customer_has(&anna, 1).await;
    for _ in 0..2 {
        app.post("ONIMCONNECTORMESSAGEUPDATE", &chat, &id, &told(&[("[id][0]", "w"), ("[text]", "second")]))
            .await;
    }
    app.note(&chat, "WhatsApp cannot change").await;
    for _ in 0..2 {
        app.post("ONIMCONNECTORMESSAGEDELETE", &chat, &id, &told(&[("[id]", "w")])).await;
    }
    app.note(&chat, "deleted only here").await;
    app.settled().await;
    assert_eq!(app.notes(&chat).len(), 2, "{:?}", app.notes(&chat));
    // In a chat that is not known here there is nobody to tell.
    app.post("ONIMCONNECTORMESSAGEDELETE", "nobody", "1", &told(&[("[id]", "w")])).await;
    app.settled().await;
    assert!(app.jobs("dead").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_refuses_is_told_and_not_acknowledged() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::WindowAtOnce]);
    let text: String = (0..900).map(|n| format!("word{n:04} ")).collect();
    let id = app.operator(&chat, &text, vec![]);
    app.note(&chat, "131047").await;
    app.settled().await;
    assert_eq!(app.acknowledged(&id), Vec::<Vec<String>>::new());
    assert_eq!(app.notes(&chat).len(), 1, "one note for all parts: {:?}", app.notes(&chat));
    assert!(app.ledger_of(&chat).await.iter().all(|row| row.state == "failed"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_accepted_parts_are_acknowledged() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    // The first part is taken, though its answer is lost; the second is refused.
    app.cloud.change_faults(|faults| {
        faults.send_next = vec![SendFault::LostAnswer, SendFault::WindowAtOnce];
    });
    let text: String = (0..900).map(|n| format!("word{n:04} ")).collect();
    let id = app.operator(&chat, &text, vec![]);
    app.note(&chat, "131047").await;
    app.settled().await;
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received.len(), 1);
    assert_eq!(app.acknowledged(&id), [vec![received[0].wamid.clone()]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_limits_delay_and_keep_the_order() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Throughput]);
    for text in ["one", "two", "three"] {
        app.operator(&chat, text, vec![]);
    }
    assert_eq!(bodies(&app.customer_has(&anna, 3).await), ["one", "two", "three"]);
    app.settled().await;
    assert!(app.notes(&chat).is_empty());
    assert!(app.send_jobs().await.iter().all(|job| job.attempts == 0 && !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pair_rate_delays_one_chat_and_no_other() {
    let app = TestApp::start().await;
    let (anna, bob) = (anna(), bob());
    let (first, second) = (app.opened(&anna).await, app.opened(&bob).await);
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::PairRate]);
    app.operator(&first, "one", vec![]);
    app.until("the first is put off", || async {
        app.send_jobs().await.first().is_some_and(|job| job.last_error.is_some())
    })
    .await;
    app.operator(&first, "two", vec![]);
    app.operator(&second, "hello", vec![]);
    app.customer_has(&bob, 1).await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0, "the other chat did not wait");
    assert_eq!(bodies(&app.customer_has(&anna, 2).await), ["one", "two"]);
    app.settled().await;
    assert!(app.notes(&first).is_empty());
    assert!(app.send_jobs().await.iter().all(|job| job.attempts == 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_pauses_and_counts_against_no_message() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.token_expired = true);
    app.operator(&chat, "one", vec![]);
    app.operator(&chat, "two", vec![]);
    app.until("the first is put off", || async {
        app.send_jobs().await.first().is_some_and(|job| job.last_error.is_some())
    })
    .await;
    assert!(app.notes(&chat).is_empty());
    app.cloud.change_faults(|faults| faults.token_expired = false);
    // What the API does when an administrator has given a new token.
    app.relay.scheduler.resume(&app.send_queue());
    assert_eq!(bodies(&app.customer_has(&anna, 2).await), ["one", "two"]);
    app.settled().await;
    assert!(app.send_jobs().await.iter().all(|job| job.attempts == 0 && !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_found_by_its_status_and_nothing_is_sent_twice() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::LostAnswer]);
    let id = app.operator(&chat, "one", vec![]);
    app.operator(&chat, "two", vec![]);
    let received = app.customer_has(&anna, 2).await;
    app.settled().await;
    assert_eq!(bodies(&received), ["one", "two"]);
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 2);
    assert_eq!(app.acknowledged(&id), [vec![received[0].wamid.clone()]]);
    assert!(app.send_jobs().await.iter().all(|job| !job.maybe_twice), "{:#?}", app.send_jobs().await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_overtakes_a_lost_answer_ends_the_doubt_at_once() {
    let app = TestApp::with(doubting(Duration::from_secs(60))).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    // The status is here long before the connection breaks.
    app.cloud.change_faults(|faults| {
        faults.send_next = vec![SendFault::LostAnswer];
        faults.hang_ms = 700;
    });
    app.operator(&chat, "one", vec![]);
    app.operator(&chat, "two", vec![]);
    assert_eq!(bodies(&app.customer_has(&anna, 2).await), ["one", "two"]);
    app.settled().await;
    assert!(app.send_jobs().await.iter().all(|job| !job.maybe_twice));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_is_sent_once_after_the_doubt_and_says_maybe_twice() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Dropped]);
    let text: String = (0..900).map(|n| format!("word{n:04} ")).collect();
    app.operator(&chat, &text, vec![]);
    app.operator(&chat, "next", vec![]);
    let received = app.customer_has(&anna, 3).await;
    app.settled().await;
    assert_eq!(bodies(&received)[..2].join(" "), text.trim());
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 3);
    let sends = app.send_jobs().await;
    assert_eq!(sends.iter().map(|job| job.maybe_twice).collect::<Vec<_>>(), [true, false]);
    let marked: Vec<bool> = app.ledger_of(&chat).await.iter().map(|row| row.maybe_twice).collect();
    assert_eq!(marked, [true, false, false], "only the part in doubt is marked");
    app.stop().await;
}

impl TestApp {
    /// The next send vanishes, and its message is in doubt for the `nth` time.
    async fn vanishes(&self, chat: &str, nth: i32) {
        self.wait_for("a send that nobody answers", async |app| {
            let row = app.ledger_of(chat).await.into_iter().last()?;
            let taken = app.cloud.faults().send_next.is_empty();
            let put_off = app.send_jobs().await.iter().any(|job| job.doubtful && job.state == "ready");
            (taken && put_off && row.send_started && row.repeats == nth).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_whose_answers_are_always_lost_is_repeated_four_times_and_then_told_if_others_get_through() {
    let hand = ManualClock::starting_at(Clock::System.now());
    let options = Options { clock: Some(hand), leaves_jobs: true, ..doubting(Duration::from_secs(60)) };
    let app = TestApp::with(options).await;
    let (anna, bob) = (anna(), bob());
    let chat = app.opened(&anna).await;
    let other = app.opened(&bob).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Dropped]);
    app.operator(&chat, "one", vec![]);
    for repeat in 0..4_i32 {
        app.vanishes(&chat, repeat).await;
        // The pause of the number ends, and it takes what another gets.
        app.advance(TimeDelta::seconds(1));
        app.operator(&other, "for Bob", vec![]);
        app.customer_has(&bob, usize::try_from(repeat).unwrap() + 1).await;
        app.wait_for("Bob's is settled", async |app| {
            (app.send_jobs().await.iter().filter(|job| job.state != "done").count() == 1).then_some(())
        })
        .await;
        app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Dropped]);
        app.advance(TimeDelta::minutes(1) * 2_i32.pow(repeat.unsigned_abs()));
    }
    app.note(&chat, "may have got it twice").await;
    assert_eq!(app.jobs("dead").await.len(), 1);
    assert_eq!(app.ledger_of(&chat).await[0].state, "failed");
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_that_all_vanish_are_an_outage_and_give_up_no_message() {
    let hand = ManualClock::starting_at(Clock::System.now());
    let options = Options { clock: Some(hand), ..doubting(Duration::from_secs(60)) };
    let mut app = TestApp::with(options).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, "zero", vec![]);
    app.customer_has(&anna, 1).await;
    for repeat in 0..7_i32 {
        app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Dropped]);
        match repeat {
            0 => drop(app.operator(&chat, "one", vec![])),
            4 => {
                // What was learned about the outage must not be forgotten with the process.
                app.restart().await;
                app.advance(TimeDelta::minutes(8));
            }
            _ => app.advance(TimeDelta::minutes(1) * 2_i32.pow(repeat.unsigned_abs() - 1)),
        }
        app.vanishes(&chat, repeat).await;
    }
    app.advance(TimeDelta::minutes(64));
    app.customer_has(&anna, 2).await;
    app.settled().await;
    assert!(app.jobs("dead").await.is_empty() && app.notes(&chat).is_empty());
    assert_eq!(app.ledger_of(&chat).await[1].repeats, 7);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_repeated_and_nothing_given_up_while_meta_answers_nothing() {
    let app = TestApp::with(doubting(Duration::from_millis(20))).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let mut events = app.cloud.subscribe_events();
    app.cloud.change_faults(|faults| {
        faults.send_next = vec![SendFault::Dropped];
        faults.graph_internal = 1.0;
    });
    app.operator(&chat, "one", vec![]);
    app.operator(&chat, "two", vec![]);
    // More looks than there are repeats, and each after a longer pause.
    let mut looks = 0;
    let in_vain = async {
        while looks < 6 {
            let event = events.recv().await.unwrap();
            looks += usize::from(event["method"] == "GET" && event["status"] == 500);
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, in_vain).await.unwrap();
    assert!(app.notes(&chat).is_empty(), "an outage is no failure of a message");
    app.cloud.change_faults(|faults| faults.graph_internal = 0.0);
    let received = app.customer_has(&anna, 2).await;
    app.settled().await;
    assert_eq!(bodies(&received), ["one", "two"]);
    let repeats: Vec<i32> = app.ledger_of(&chat).await.iter().map(|row| row.repeats).collect();
    assert_eq!(repeats, [1, 0]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_repeat_keeps_the_doubt_it_has_waited_for() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Dropped, SendFault::Throughput]);
    app.operator(&chat, "one", vec![]);
    app.customer_has(&anna, 1).await;
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 1);
    assert!(app.send_jobs().await[0].maybe_twice);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_were_accepted_are_not_sent_again_when_a_later_one_waits() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let text: String = (0..1400).map(|n| format!("word{n:04} ")).collect();
    app.cloud.change_faults(|faults| faults.statuses_withheld = true);
    app.operator(&chat, "zero", vec![]);
    app.customer_has(&anna, 1).await;
    // The first part is taken; the second meets the limit, then an outage.
    app.cloud.change_faults(|faults| faults.send_next = vec![]);
    let id = {
        app.relay.scheduler.pause(&app.send_queue(), chrono::Duration::seconds(60), app.clock.now());
        let id = app.operator(&chat, &text, vec![]);
        app.cloud.change_faults(|faults| {
            faults.send_next = vec![SendFault::Throughput, SendFault::Unavailable];
        });
        app.relay.scheduler.resume(&app.send_queue());
        id
    };
    let received = app.customer_has(&anna, 5).await;
    app.settled().await;
    assert_eq!(bodies(&received)[1..].join(" "), text.trim());
    assert_eq!(app.acknowledged(&id)[0].len(), 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contacts_message_is_marked_read_when_the_phone_says_so() {
    for (setting, read) in [(true, true), (false, false)] {
        let phone: Box<dyn FnOnce(&mut wabridge::store::phones::PhoneRow) + Send> =
            Box::new(move |phone| phone.read_receipts = setting);
        let app = TestApp::with(Options { phone: Some(phone), ..Options::default() }).await;
        let anna = anna();
        let chat = app.opened(&anna).await;
        app.operator(&chat, "Hello", vec![]);
        app.customer_has(&anna, 1).await;
        app.settled().await;
        let thread = app.cloud.thread(PHONE_ID, &key_of(&anna));
        let seen = thread.iter().find(|message| message.from_customer).unwrap().status;
        assert_eq!(seen == wabridge::sandbox::cloud::SimStatus::Read, read);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_event_is_sent_once() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.portal.change_faults(|faults| faults.duplicate_events = true);
    app.operator(&chat, "one", vec![]);
    app.operator(&chat, "two", vec![]);
    assert_eq!(bodies(&app.customer_has(&anna, 2).await), ["one", "two"]);
    let portal = app.portal.clone();
    assert!(portal.wait_until(crate::support::DEADLINE, |portal| portal.events_waiting() == 0).await);
    app.settled().await;
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_nothing_to_show_is_told() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, "[b] [/b]", vec![]);
    app.note(&chat, "nothing of this message").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_send_that_is_replayed_goes_out() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.relay.outage = Duration::ZERO);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::Throughput; 2]);
    let id = app.operator(&chat, "one", vec![]);
    app.note(&chat, "Not sent").await;
    app.settled().await;
    let dead = app.jobs("dead").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(app.ledger_of(&chat).await[0].state, "failed");
    let job = dead[0].id.clone();
    assert!(app.relay.db.write(move |tx| wabridge::store::jobs::retry(tx, &job)).await.unwrap());
    app.relay.scheduler.resume(&app.send_queue());
    let received = app.customer_has(&anna, 1).await;
    app.settled().await;
    assert_eq!(app.acknowledged(&id), [vec![received[0].wamid.clone()]]);
    assert_ne!(app.ledger_of(&chat).await[0].state, "failed");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_a_crash_cut_off_waits_for_its_status_before_it_is_sent_again() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.token_expired = true);
    app.operator(&chat, "one", vec![]);
    app.until("it is put off", || async {
        app.send_jobs().await.first().is_some_and(|job| job.last_error.is_some() && job.state == "ready")
    })
    .await;
    // What a restart finds after a crash in the middle of the call.
    app.sql("UPDATE messages SET send_started = TRUE WHERE direction = 'outbound'".into()).await;
    app.sql("UPDATE jobs SET doubtful = TRUE, not_before = NULL WHERE kind = 'send'".into()).await;
    app.cloud.change_faults(|faults| faults.token_expired = false);
    let before = app.clock.now();
    app.relay.scheduler.resume(&app.send_queue());
    app.customer_has(&anna, 1).await;
    app.settled().await;
    assert!(app.clock.now() - before >= chrono::Duration::seconds(2), "the doubt was waited for");
    assert!(app.send_jobs().await[0].maybe_twice);
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 1);
    app.stop().await;
}
