//! Customers' files on their way into the line.

use wabridge::sandbox::cloud::{SimCustomer, SimMedia};
use wabridge::sandbox::portal::{FaultKind, LineEntry};

use crate::support::files::text_of_link;
use crate::support::{Options, PHONE_ID, TestApp, anna, fixture, jpeg};

fn media(kind: &str, mime: &str, bytes: Vec<u8>) -> SimMedia {
    SimMedia { kind: kind.into(), bytes: bytes.into(), mime: mime.into(), ..SimMedia::default() }
}

fn webp() -> Vec<u8> {
    let mut bytes = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0".to_vec();
    bytes.extend([0x2f, 0, 0, 0, 0x10, 0x07, 0x10, 0x11, 0x11, 0x88, 0x88, 0xfe, 0x07, 0]);
    bytes
}

async fn shown(app: &TestApp, anna: &SimCustomer, media: SimMedia) -> LineEntry {
    let chat = app.chat_of("Anna").await;
    let before = app.conversation(&chat).len();
    app.cloud.customer_sends_media(PHONE_ID, anna, media);
    app.line_has(&chat, before + 1).await.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_file_arrives_in_the_line_with_name_and_type() {
    let app = TestApp::start().await;
    let anna = anna();
    app.opened(&anna).await;
    let mp4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08free".to_vec();
    let pdf = b"%PDF-1.7\n".to_vec();
    for (mut media, name, mime) in [
        (media("image", "image/jpeg", jpeg(3000)), "image.jpg", "image/jpeg"),
        (media("video", "video/mp4", mp4), "video.mp4", "video/mp4"),
        (media("voice", "audio/ogg; codecs=opus", fixture("stereo.ogg")), "audio.ogg", "audio/ogg"),
        (media("document", "application/pdf", pdf), "My offer.pdf", "application/pdf"),
        (media("sticker", "image/webp", webp()), "sticker.webp", "image/webp"),
    ] {
        if media.kind == "document" {
            media.filename = Some("My offer.pdf".into());
            media.caption = Some("as *agreed*".into());
        }
        let (kind, bytes) = (media.kind.clone(), media.bytes.clone());
        let entry = shown(&app, &anna, media).await;
        assert_eq!(entry.files.len(), 1, "{kind}");
        assert_eq!(entry.files[0].name, name);
        assert!(entry.files[0].mime.starts_with(mime), "{kind}: {}", entry.files[0].mime);
        assert_eq!(&entry.files[0].bytes[..], &bytes[..], "{kind}");
        if kind == "document" {
            assert!(entry.text.contains("as [b]agreed[/b]"), "{}", entry.text);
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fetch_is_retried_and_the_line_knows_meanwhile() {
    for fault in ["fails", "cut"] {
        let app = TestApp::start().await;
        let anna = anna();
        let chat = app.opened(&anna).await;
        app.cloud.change_faults(|faults| match fault {
            "fails" => faults.media_fail_next = 1,
            _ => faults.media_cut_next = 1,
        });
        let mut picture = media("image", "image/jpeg", jpeg(3000));
        picture.caption = Some("look at this".into());
        app.cloud.customer_sends_media(PHONE_ID, &anna, picture);
        let entries = app.line_has(&chat, 3).await;
        assert!(entries[1].files.is_empty());
        assert!(entries[1].text.contains("look at this"), "{}", entries[1].text);
        assert!(
            entries[1].text.contains("on its way") || entries[1].text.contains("follows"),
            "{}",
            entries[1].text
        );
        assert_eq!(entries[2].files[0].size, 3000);
        app.settled().await;
        assert_eq!(app.conversation(&chat).len(), 3, "each once");
        assert_eq!(app.orphans().await, Vec::<String>::new());
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_a_file_does_not_wait_long_for_it() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.relay.media_wait = std::time::Duration::from_millis(300));
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.media_slow_ms = 1500);
    app.cloud.customer_sends_media(PHONE_ID, &anna, media("image", "image/jpeg", jpeg(3000)));
    app.customer_writes(&anna, "and a text");
    let entries = app.line_has(&chat, 4).await;
    assert!(entries[1].files.is_empty());
    assert_eq!(entries[2].text, "and a text");
    assert_eq!(entries[3].files[0].size, 3000);
    app.settled().await;
    assert_eq!(app.conversation(&chat).len(), 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_never_comes_is_told() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.relay.max_attempts = 2);
    let app = TestApp::with(Options { config: Some(config), leaves_jobs: false, ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.media_unknown = true);
    app.cloud.customer_sends_media(PHONE_ID, &anna, media("image", "image/jpeg", jpeg(3000)));
    let entries = app.line_has(&chat, 3).await;
    app.settled().await;
    assert!(entries.iter().all(|entry| entry.files.is_empty()));
    assert!(!entries[2].text.is_empty());
    assert_ne!(entries[1].text, entries[2].text, "first on its way, then the news that it will not come");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_given_up_follows_when_its_fetch_is_tried_again() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.relay.max_attempts = 1);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.media_unknown = true);
    app.cloud.customer_sends_media(PHONE_ID, &anna, media("image", "image/jpeg", jpeg(3000)));
    app.line_has(&chat, 2).await;
    app.settled().await;
    let told = app.conversation(&chat).len();
    app.cloud.change_faults(|faults| faults.media_unknown = false);
    for round in 0..2 {
        let (status, answer) = app.api.call("POST", "/jobs/retry?state=dead", None).await;
        assert_eq!((status, &answer["retried"]), (200, &serde_json::json!(1 - round)), "{round}");
        let entries = app.line_has(&chat, told + 1).await;
        app.settled().await;
        assert_eq!(app.conversation(&chat).len(), told + 1, "once");
        assert_eq!(entries[told].files[0].size, 3000);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_follows_although_the_job_of_its_message_was_swept() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.relay.max_attempts = 1);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.media_unknown = true);
    let wamid = app.cloud.customer_sends_media(PHONE_ID, &anna, media("image", "image/jpeg", jpeg(3000)));
    app.line_has(&chat, 2).await;
    app.settled().await;
    let told = app.conversation(&chat).len();
    let retry = async || {
        // As `retention.jobs_done_days` does it.
        app.sql("DELETE FROM jobs WHERE state = 'done'".to_owned()).await;
        let (status, answer) = app.api.call("POST", "/jobs/retry?state=dead", None).await;
        assert_eq!((status, &answer["retried"]), (200, &serde_json::json!(1)));
    };
    retry().await;
    app.until("its second death", async || app.jobs("dead").await.len() == 1).await;
    app.settled().await;
    assert_eq!(app.conversation(&chat).len(), told, "that there is no file is told once");
    app.cloud.change_faults(|faults| faults.media_unknown = false);
    retry().await;
    let entries = app.line_has(&chat, told + 1).await;
    app.settled().await;
    assert_eq!(entries[told].files[0].size, 3000);
    assert_eq!(app.conversation(&chat).len(), told + 1);
    assert_eq!(app.message(&wamid).await.media_state.as_deref(), Some("stored"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_over_the_limit_is_told_at_once() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.media.max_bytes = 1000);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.customer_sends_media(PHONE_ID, &anna, media("image", "image/jpeg", jpeg(3000)));
    app.line_has(&chat, 2).await;
    app.settled().await;
    let entries = app.conversation(&chat);
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert!(entries[1].files.is_empty() && !entries[1].text.contains("on its way"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_portal_dropped_silently_follows_as_a_link() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.portal.plan_fault(FaultKind::FileDropped, None, 1);
    let mut picture = media("image", "image/jpeg", jpeg(3000));
    picture.caption = Some("look".into());
    let picture_id = app.cloud.customer_sends_media(PHONE_ID, &anna, picture);
    let entries = app.line_has(&chat, 3).await;
    app.settled().await;
    assert!(entries[1].files.is_empty() && entries[2].files.is_empty());
    let link = text_of_link(&entries[2].text);
    assert_eq!(app.get(&link).await, (200, jpeg(3000)));
    assert_eq!(app.conversation(&chat).len(), 3);
    // Its caption is enough to answer it.
    let quote = wabridge::sandbox::portal::quote("Anna Sample", "01.03.2026 10:00", None, "look", "Nice");
    app.operator(&chat, &quote, vec![]);
    let answer = app.customer_has(&anna, 1).await.remove(0);
    assert_eq!(answer.body["context"]["message_id"].as_str(), Some(picture_id.as_str()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_link_cannot_be_guessed_and_can_be_revoked() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.portal.plan_fault(FaultKind::FileDropped, None, 1);
    app.cloud.customer_sends_media(PHONE_ID, &anna, media("image", "image/jpeg", jpeg(3000)));
    let entries = app.line_has(&chat, 2).await;
    app.settled().await;
    let link = text_of_link(&entries[1].text);
    let token = link.split("/media/").nth(1).unwrap().split('/').next().unwrap();
    assert!(token.len() >= 22, "at least 128 bits: {token}");
    let hash = wabridge::media::link::hash_token(token).unwrap();
    let now = app.clock.now();
    let blob = app
        .relay
        .db
        .read(move |conn| wabridge::store::blobs::by_link(conn, &hash, now))
        .await
        .unwrap()
        .unwrap();
    app.relay.db.write(move |tx| wabridge::store::blobs::revoke_links(tx.conn, &blob.id)).await.unwrap();
    assert_eq!(app.get(&link).await.0, 404);
    app.stop().await;
}
