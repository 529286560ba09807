//! Operators' files on their way to WhatsApp.

use wabridge::sandbox::cloud::{ReceivedMessage, SendFault};
use wabridge::sandbox::portal::SimFile;

use crate::support::files::{Site, text_of_link};
use crate::support::{Options, PHONE_ID, TestApp, anna, file, fixture, jpeg, key_of};

const MB: usize = 1024 * 1024;

fn kind(message: &ReceivedMessage) -> &str {
    message.body["type"].as_str().unwrap()
}

fn caption(message: &ReceivedMessage) -> Option<&str> {
    message.body[kind(message)]["caption"].as_str()
}

fn text(message: &ReceivedMessage) -> &str {
    message.body["text"]["body"].as_str().unwrap_or_default()
}

fn mp4() -> Vec<u8> {
    let mut bytes = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    bytes.resize(2000, 1);
    bytes
}

fn mp3() -> Vec<u8> {
    let mut bytes = b"ID3\x04\0\0\0\0\0\0".to_vec();
    bytes.resize(2000, 0);
    bytes
}

fn pdf() -> Vec<u8> {
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec()
}

/// Sends one file and returns what the customer got.
async fn sent(app: &TestApp, file: SimFile) -> ReceivedMessage {
    let anna = anna();
    let chat = match app.portal.chats(&app.line).first() {
        Some(chat) => chat.external_id.clone(),
        None => app.opened(&anna).await,
    };
    let before = app.cloud.received_count(PHONE_ID, &key_of(&anna));
    app.operator(&chat, "", vec![file]);
    app.customer_has(&anna, before + 1).await.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_as_what_its_bytes_are_and_is_uploaded() {
    let app = TestApp::start().await;
    for (name, declared, bytes, expected) in [
        ("a.jpg", "image/jpeg", jpeg(3000), "image"),
        ("lies.pdf", "application/pdf", jpeg(3000), "image"),
        ("film.mp4", "video/mp4", mp4(), "video"),
        ("song.mp3", "audio/mpeg", mp3(), "audio"),
        ("offer.pdf", "application/pdf", pdf(), "document"),
        ("sheet.csv", "text/csv", b"a;b\n1;2\n".to_vec(), "document"),
        ("big.jpg", "image/jpeg", jpeg(5 * MB + 1), "document"),
    ] {
        let received = sent(&app, file(name, declared, bytes.clone())).await;
        assert_eq!(kind(&received), expected, "{name}");
        let shown = &received.body[expected];
        assert!(shown["link"].is_null() && shown["id"].is_string(), "{name}: uploaded, never linked");
        assert_eq!(received.media.as_ref().unwrap().bytes, bytes, "{name}");
        if expected == "document" {
            assert_eq!(shown["filename"], name);
        }
    }
    app.settled().await;
    let chat = app.portal.chats(&app.line)[0].external_id.clone();
    assert_eq!(app.notes(&chat), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_becomes_a_mono_ogg_voice_note() {
    let app = TestApp::start().await;
    for (name, mime, recording) in [
        ("live.webm", "audio/webm", "live.webm"),
        ("mono.webm", "video/webm", "mono.webm"),
        ("audio_message.ogg", "audio/ogg", "stereo.ogg"),
    ] {
        let received = sent(&app, file(name, mime, fixture(recording))).await;
        assert_eq!(kind(&received), "audio", "{name}");
        assert_eq!(received.body["audio"]["voice"], true, "{name}");
        let media = received.media.unwrap();
        assert_eq!(&media.bytes[..4], b"OggS");
        let at = media.bytes.windows(8).position(|window| window == b"OpusHead").unwrap();
        assert_eq!(media.bytes[at + 9], 1, "one channel");
        assert!(media.mime.starts_with("audio/ogg"), "{}", media.mime);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_files_go_in_order_and_the_first_that_may_bears_the_text() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let files = vec![
        file("live.webm", "audio/webm", fixture("live.webm")),
        file("a.jpg", "image/jpeg", jpeg(100)),
        file("b.pdf", "application/pdf", pdf()),
    ];
    let id = app.operator(&chat, "See [b]these[/b]", files);
    let received = app.customer_has(&anna, 3).await;
    app.settled().await;
    assert_eq!(received.iter().map(kind).collect::<Vec<_>>(), ["audio", "image", "document"]);
    assert_eq!(received.iter().map(caption).collect::<Vec<_>>(), [None, Some("See *these*"), None]);
    let wamids: Vec<String> = received.into_iter().map(|message| message.wamid).collect();
    assert_eq!(app.acknowledged(&id), [wamids]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_beside_a_voice_note_goes_first_as_its_own_message() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.operator(&chat, "Listen", vec![file("live.webm", "audio/webm", fixture("live.webm"))]);
    let received = app.customer_has(&anna, 2).await;
    assert_eq!(received.iter().map(kind).collect::<Vec<_>>(), ["text", "audio"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caption_above_1024_is_followed_by_a_text() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let words: String = (0..180).map(|n| format!("word{n:04} ")).collect();
    app.operator(&chat, &words, vec![file("a.jpg", "image/jpeg", jpeg(100))]);
    let received = app.customer_has(&anna, 2).await;
    assert_eq!(received.iter().map(kind).collect::<Vec<_>>(), ["image", "text"]);
    assert!(caption(&received[0]).unwrap().chars().count() <= 1024);
    assert_eq!(format!("{} {}", caption(&received[0]).unwrap(), text(&received[1])), words.trim());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_refuses_later_goes_as_a_document_and_then_as_our_link() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| (faults.fail_next, faults.fail_code) = (2, 131_053));
    let bytes = jpeg(3000);
    let id = app.operator(&chat, "Look", vec![file("a.jpg", "image/jpeg", bytes.clone())]);
    app.note(&chat, "sent again as a document").await;
    app.note(&chat, "got a link").await;
    let received = app.customer_has(&anna, 1).await;
    app.settled().await;
    assert_eq!((received.len(), kind(&received[0])), (1, "text"));
    assert!(text(&received[0]).starts_with("Look\na.jpg: "), "{}", text(&received[0]));
    let link = text_of_link(text(&received[0]));
    let answer = app.get(&link).await;
    assert_eq!(answer.0, 200);
    assert_eq!(answer.1, bytes, "the link works");
    let until = app.link_until(&link).await.unwrap();
    let days = (until - app.clock.now()).num_hours();
    assert!((30 * 24 - 1..=30 * 24).contains(&days), "{days} hours");
    assert_eq!(app.notes(&chat).len(), 2, "{:?}", app.notes(&chat));
    assert_eq!(app.acknowledged(&id).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_upload_refuses_goes_as_our_link_and_is_told() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.upload_refused = true);
    let id = app.operator(&chat, "", vec![file("a.jpg", "image/jpeg", jpeg(300))]);
    let received = app.customer_has(&anna, 1).await;
    app.note(&chat, "got a link").await;
    app.settled().await;
    assert_eq!(app.get(&text_of_link(text(&received[0]))).await.1, jpeg(300));
    assert_eq!(app.acknowledged(&id), [vec![received[0].wamid.clone()]]);
    assert_eq!(app.notes(&chat).len(), 1, "{:?}", app.notes(&chat));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_fails_is_tried_again_and_is_not_repeated_for_a_throttled_send() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| {
        faults.upload_fail_next = 1;
        faults.send_next = vec![SendFault::Throughput];
    });
    app.operator(&chat, "", vec![file("a.jpg", "image/jpeg", jpeg(300))]);
    let received = app.customer_has(&anna, 1).await;
    app.settled().await;
    assert_eq!(received.len(), 1);
    assert!(app.notes(&chat).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_come_is_told_and_the_rest_goes() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let site = Site::start(vec![("/good", 200, jpeg(300))]).await;
    app.operator_posts(
        &chat,
        "901",
        "Two files",
        &[("gone.jpg", &[&format!("{}/gone", site.url)]), ("good.jpg", &[&format!("{}/good", site.url)])],
    )
    .await;
    let received = app.customer_has(&anna, 1).await;
    app.note(&chat, "gone.jpg").await;
    app.settled().await;
    assert_eq!((kind(&received[0]), caption(&received[0])), ("image", Some("Two files")));
    assert_eq!(app.acknowledged("901"), [vec![received[0].wamid.clone()]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_comes_late_is_waited_for_and_the_others_are_fetched_once() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let site =
        Site::start(vec![("/one", 200, jpeg(300)), ("/two", 503, vec![]), ("/two", 200, jpeg(400))]).await;
    app.operator_posts(
        &chat,
        "902",
        "",
        &[("one.jpg", &[&format!("{}/one", site.url)]), ("two.jpg", &[&format!("{}/two", site.url)])],
    )
    .await;
    let received = app.customer_has(&anna, 2).await;
    app.settled().await;
    assert_eq!(received[0].media.as_ref().unwrap().bytes, jpeg(300));
    assert_eq!(received[1].media.as_ref().unwrap().bytes, jpeg(400));
    assert_eq!(site.served("/one"), 1, "a file that is here is not fetched again");
    assert_eq!(app.orphans().await, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_address_of_a_file_is_used_when_the_first_fails() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let site = Site::start(vec![("/short", 200, jpeg(300))]).await;
    app.operator_posts(
        &chat,
        "903",
        "",
        &[("a.jpg", &[&format!("{}/signed", site.url), &format!("{}/short#img.jpg", site.url)])],
    )
    .await;
    assert_eq!(app.customer_has(&anna, 1).await.len(), 1);
    app.settled().await;
    assert!(app.notes(&chat).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_above_every_limit_goes_as_the_portals_public_link() {
    let config: Box<dyn FnOnce(&mut wabridge::config::Config) + Send> =
        Box::new(|config| config.media.max_bytes = 1000);
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let id = app.operator(&chat, "the archive", vec![file("big.zip", "application/zip", vec![1; 5000])]);
    let received = app.customer_has(&anna, 2).await;
    app.note(&chat, "big.zip").await;
    app.settled().await;
    assert_eq!(text(&received[0]), "the archive");
    assert!(
        text(&received[1]).starts_with(&format!("big.zip: {}/~", app.portal.url())),
        "{}",
        text(&received[1])
    );
    assert_eq!(app.acknowledged(&id).len(), 1);
    assert_eq!(app.orphans().await, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_abandoned_leaves_no_file_behind() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    for name in ["live.webm", "stereo.ogg"] {
        app.operator(&chat, "", vec![file(&format!("voice {name}"), "audio/ogg", fixture(name))]);
    }
    app.customer_has(&anna, 2).await;
    app.settled().await;
    assert_eq!(app.orphans().await, Vec::<String>::new(), "the recording before its re-muxing is gone");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_answer_was_lost_is_found_by_its_status() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    app.cloud.change_faults(|faults| faults.send_next = vec![SendFault::LostAnswer]);
    app.operator(
        &chat,
        "",
        vec![file("a.jpg", "image/jpeg", jpeg(300)), file("b.pdf", "application/pdf", pdf())],
    );
    let received = app.customer_has(&anna, 2).await;
    app.settled().await;
    assert_eq!(received.iter().map(kind).collect::<Vec<_>>(), ["image", "document"]);
    assert_eq!(app.cloud.received_count(PHONE_ID, &key_of(&anna)), 2);
    app.stop().await;
}
