//! The thinnest path through all layers, both ways.

use crate::support::{TestApp, anna};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_text_reaches_the_line_and_the_reply_comes_back() {
    let app = TestApp::start().await;
    let anna = anna();
    app.customer_writes(&anna, "Hello *there* [b]x[/b]");
    let chat = app.chat_of("Anna").await;
    let shown = app.line_has(&chat, 1).await;
    assert_eq!(shown[0].text.replace('\u{200b}', ""), "Hello [b]there[/b] [b]x[/b]");
    let id = app.portal.operator_writes(&app.line, &chat, "Good [b]day[/b]", vec![]).unwrap();
    let received = app.customer_has(&anna, 1).await;
    assert_eq!(received[0].body["text"]["body"], "Good *day*");
    app.settled().await;
    let entry = app.conversation(&chat).into_iter().find(|entry| entry.im_message_id == id).unwrap();
    assert!(!entry.sending, "the spinner is gone");
    assert_eq!(entry.connector_mids, vec![received[0].wamid.clone()]);
    app.stop().await;
}
