//! What customers edit and delete: everything that the line has of it follows, and whatever comes first, the line
//! ends with what the customer's phone shows.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::SimMedia;
use wabridge::sandbox::portal::{FaultKind, LineEntry};

use crate::support::{Options, PHONE_ID, TestApp, anna, jpeg};

const ANNA: &str = "16505551234";

fn revoke(original: &str) -> Value {
    json!({"type": "revoke", "revoke": {"original_message_id": original}})
}

fn edit(original: &str, text: &str) -> Value {
    let message = json!({"type": "text", "text": {"body": text}});
    json!({"type": "edit", "edit": {"original_message_id": original, "message": message}})
}

fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

fn picture() -> SimMedia {
    SimMedia {
        kind: "image".into(),
        bytes: jpeg(3000).into(),
        mime: "image/jpeg".into(),
        ..SimMedia::default()
    }
}

/// A notification of its own for one message of Anna's, with an id of its own.
async fn comes(app: &TestApp, wamid: &str, mut message: Value) {
    message["from"] = ANNA.into();
    message["id"] = wamid.into();
    message["timestamp"] = message.get("timestamp").cloned().unwrap_or("1763700000".into());
    let contacts = json!([{"wa_id": ANNA, "profile": {"name": "Anna Sample"}}]);
    app.notify(json!({"contacts": contacts, "messages": [message]})).await;
    app.settled().await;
}

/// What an operator can still read.
fn readable(entries: &[LineEntry]) -> Vec<&str> {
    entries.iter().filter(|entry| !entry.deleted).map(|entry| entry.text.as_str()).collect()
}

fn gives_up_at_once() -> Options {
    Options {
        config: Some(Box::new(|config| config.relay.max_attempts = 1)),
        leaves_jobs: true,
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_picture_goes_with_its_placeholder_and_the_file_that_followed() {
    let app = TestApp::start().await;
    let chat = app.opened(&anna()).await;
    app.cloud.change_faults(|faults| faults.media_fail_next = 1);
    let wamid = app.cloud.customer_sends_media(PHONE_ID, &anna(), picture());
    let entries = app.line_has(&chat, 3).await;
    assert!(entries[1].text.contains("on its way") && !entries[2].files.is_empty(), "{entries:#?}");
    app.settled().await;
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke(&wamid));
    app.until("the deletion", async || app.conversation(&chat).iter().skip(1).all(|entry| entry.deleted))
        .await;
    app.settled().await;
    assert_eq!(readable(&app.conversation(&chat)), ["Good morning"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_does_not_follow_a_message_that_was_deleted_meanwhile() {
    let app = TestApp::with(gives_up_at_once()).await;
    let chat = app.opened(&anna()).await;
    app.cloud.change_faults(|faults| faults.media_unknown = true);
    let wamid = app.cloud.customer_sends_media(PHONE_ID, &anna(), picture());
    app.line_has(&chat, 2).await;
    app.settled().await;
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke(&wamid));
    app.until("the deletion", async || app.conversation(&chat)[1].deleted).await;
    app.settled().await;
    let before = app.conversation(&chat).len();
    app.cloud.change_faults(|faults| faults.media_unknown = false);
    let (status, answer) = app.api.call("POST", "/jobs/retry?state=dead", None).await;
    assert_eq!((status, &answer["retried"]), (200, &json!(1)));
    app.until("the file", async || app.message(&wamid).await.media_state.as_deref() == Some("stored")).await;
    app.settled().await;
    assert_eq!(app.conversation(&chat).len(), before);
    assert_eq!(readable(&app.conversation(&chat)), ["Good morning"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_portal_dropped_follows_no_deleted_message_as_a_link() {
    let app = TestApp::start().await;
    let chat = app.opened(&anna()).await;
    app.portal.plan_fault(FaultKind::FileDropped, None, 1);
    let wamid = app.cloud.customer_sends_media(
        PHONE_ID,
        &anna(),
        SimMedia { caption: Some("look".into()), ..picture() },
    );
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke(&wamid));
    app.until("the deletion", async || app.conversation(&chat).get(1).is_some_and(|entry| entry.deleted))
        .await;
    app.settled().await;
    assert_eq!(readable(&app.conversation(&chat)), ["Good morning"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_text_goes_with_all_of_its_parts() {
    let app = TestApp::start().await;
    let chat = app.opened(&anna()).await;
    let wamid = app.customer_writes(&anna(), &"0123456789 ".repeat(5400));
    app.line_has(&chat, 5).await;
    app.settled().await;
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke(&wamid));
    app.until("the deletion", async || app.conversation(&chat)[1].deleted).await;
    app.settled().await;
    assert_eq!(readable(&app.conversation(&chat)), ["Good morning"]);
    assert_eq!(app.portal.call_count("imconnector.delete.messages"), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_text_is_whole_in_the_line_whether_it_grows_or_shrinks() {
    let app = TestApp::start().await;
    let chat = app.opened(&anna()).await;
    let wamid = app.customer_writes(&anna(), &"before ".repeat(8000));
    app.line_has(&chat, 5).await;
    app.settled().await;
    let long = |word: &str, count: usize| format!("{word} ").repeat(count);
    for (word, count, parts) in
        [("middle", 4000, 2), ("longer", 10_000, 4), ("shortest", 1, 1), ("again", 7000, 3)]
    {
        app.cloud.customer_sends(PHONE_ID, &anna(), edit(&wamid, &long(word, count)));
        app.until(word, async || app.conversation(&chat)[1].text.starts_with(word)).await;
        app.settled().await;
        let entries = app.conversation(&chat);
        let shown = readable(&entries).split_off(1).join(" ").replace("\n[i](edited)[/i]", "");
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(
            words.len(),
            count,
            "{word}: {:?}",
            readable(&entries).iter().map(|t| t.len()).collect::<Vec<_>>()
        );
        assert!(words.iter().all(|shown| *shown == word), "{word}");
        assert!(readable(&entries).len() > parts, "{word}");
    }
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke(&wamid));
    app.until("the deletion", async || app.conversation(&chat)[1].deleted).await;
    app.settled().await;
    assert_eq!(readable(&app.conversation(&chat)), ["Good morning"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_after_its_deletion_is_kept_and_not_shown() {
    // In a chat that is known, and in one that the revocation itself opens.
    for known in [true, false] {
        let app = TestApp::start().await;
        if known {
            comes(&app, "first", text("first")).await;
        }
        comes(&app, "r", revoke("w")).await;
        comes(&app, "w", text("my password is 123")).await;
        comes(&app, "last", text("last")).await;
        let chat = app.chat_of("Anna").await;
        let shown = app.texts(&chat);
        let expected = ["first", "[i]The customer deleted a message[/i]", "last"];
        assert_eq!(shown, expected[usize::from(!known)..]);
        let row = app.message("w").await;
        assert_eq!((row.state.as_str(), row.relayed_at), ("accepted", None), "it is in the ledger");
        assert!(app.jobs("dead").await.is_empty());
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_after_its_edit_does_not_show_its_old_text() {
    let app = TestApp::start().await;
    comes(&app, "first", text("first")).await;
    comes(&app, "e", edit("w", "price 200")).await;
    comes(&app, "w", text("price 100")).await;
    let chat = app.chat_of("Anna").await;
    assert_eq!(app.texts(&chat), ["first", "price 200\n[i](edited)[/i]"]);
    assert_eq!(app.message("w").await.body, "price 200", "whoever quotes it quotes what it says now");
    comes(&app, "r", revoke("w")).await;
    assert_eq!(readable(&app.conversation(&chat)), ["first"], "its edit is deleted with it");
    // An edit whose message never came as well, and nothing edits what was deleted.
    comes(&app, "e2", edit("never", "secret")).await;
    comes(&app, "r2", revoke("never")).await;
    comes(&app, "e3", edit("never", "secret again")).await;
    assert_eq!(readable(&app.conversation(&chat)), ["first"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_comes_late_does_not_undo_a_later_one() {
    let app = TestApp::start().await;
    let at = |time: &str, mut message: Value| {
        message["timestamp"] = time.into();
        message
    };
    comes(&app, "w", text("one")).await;
    comes(&app, "e3", at("1763700300", edit("w", "three"))).await;
    comes(&app, "e2", at("1763700200", edit("w", "two"))).await;
    let chat = app.chat_of("Anna").await;
    assert_eq!(app.texts(&chat), ["three\n[i](edited)[/i]"]);
    comes(&app, "e4", at("1763700400", edit("w", "four"))).await;
    assert_eq!(app.texts(&chat), ["four\n[i](edited)[/i]"]);
    assert_eq!(app.message("w").await.body, "four");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_comes_after_the_edit_of_its_caption_is_shown_without_the_old_one() {
    let app = TestApp::with(gives_up_at_once()).await;
    comes(&app, "first", text("first")).await;
    comes(&app, "e", edit("w", "new caption")).await;
    // A file that Meta does not have: what is said of it stands for it.
    let image = json!({"id": "1", "mime_type": "image/jpeg", "caption": "old caption"});
    comes(&app, "w", json!({"type": "image", "image": image})).await;
    let chat = app.chat_of("Anna").await;
    let entries = app.line_has(&chat, 3).await;
    app.settled().await;
    assert!(app.texts(&chat).iter().all(|text| !text.contains("old caption")), "{entries:#?}");
    assert!(entries[2].text.contains("Picture") || entries[2].text.contains("file"), "{}", entries[2].text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_message_that_was_deleted_is_not_shown_by_another_chance() {
    let app = TestApp::with(gives_up_at_once()).await;
    let chat = app.opened(&anna()).await;
    app.portal.plan_fault(FaultKind::ItemFails, Some("imconnector.send.messages"), 1);
    comes(&app, "w", text("my password is 123")).await;
    comes(&app, "r", revoke("w")).await;
    let shown = app.texts(&chat);
    assert_eq!(shown.last().map(String::as_str), Some("[i]The customer deleted a message[/i]"), "{shown:?}");
    let (status, answer) = app.api.call("POST", "/jobs/retry?state=dead", None).await;
    assert_eq!((status, &answer["retried"]), (200, &json!(1)));
    app.settled().await;
    assert_eq!(app.texts(&chat), shown);
    assert!(app.jobs("dead").await.is_empty());
    app.stop().await;
}
