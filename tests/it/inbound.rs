//! What customers write, on its way into the line.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::{BatchShape, CloudOptions, SimCustomer, SimMedia};
use wabridge::sandbox::portal::{Author, LineEntry, PortalOptions};

use crate::support::{Options, PHONE_ID, PHONE_NUMBER, TestApp, anna, notification, value_of};

fn text(from: &str, wamid: &str, body: &str) -> Value {
    json!({"from": from, "id": wamid, "timestamp": "1763700000", "type": "text", "text": {"body": body}})
}

/// A portal without limits of its rate.
fn fast() -> Options {
    Options { portal: Some(PortalOptions { rate: None, ..PortalOptions::default() }), ..Options::default() }
}

fn texts(entries: &[LineEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.text.replace('\u{200b}', "")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_change_and_list_of_a_notification_is_taken() {
    let app = TestApp::with(fast()).await;
    let person = |index: usize| format!("1650555{:04}", index);
    let mut entries = Vec::new();
    for entry in 0..5 {
        let mut changes = Vec::new();
        for change in 0..4 {
            let number = |index: usize| entry * 200 + change * 50 + index;
            let messages: Vec<Value> = (0..49)
                .map(|index| {
                    let number = number(index);
                    text(&person(number % 20), &format!("wamid.{number}"), &format!("{number}"))
                })
                .collect();
            let contacts: Vec<Value> = (0..20)
                .map(|index| json!({"wa_id": person(index), "profile": {"name": format!("P{}", ["a", "b"][index % 2])}}))
                .collect();
            let value = json!({"contacts": contacts, "messages": messages,
                "statuses": [{"id": format!("wamid.other{entry}{change}"), "status": "sent",
                    "timestamp": "1763700000", "recipient_id": person(0)}],
                "errors": [{"code": 130429, "title": "Rate limit hit"}]});
            changes.push(json!({"field": "messages", "value": value_of(PHONE_ID, value)}));
        }
        entries.push(json!({"id": "104996122399160", "changes": changes}));
    }
    let body = json!({"object": "whatsapp_business_account", "entry": entries}).to_string();
    assert_eq!(app.post_signed(body.as_bytes()).await, 200);
    app.settled().await;

    let chats = app.portal.chats(&app.line);
    assert_eq!(chats.len(), 20);
    let mut shown = 0;
    for chat in &chats {
        let numbers: Vec<usize> =
            app.texts(&chat.external_id).iter().map(|text| text.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "the order of the notification holds in a chat: {numbers:?}");
        shown += numbers.len();
    }
    assert_eq!(shown, 980);
    let errors = app.events().await;
    assert_eq!(errors.iter().filter(|event| event.reason == "account error").count(), 20);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_the_cloud_arrives_whole_in_each_of_its_shapes() {
    for shape in [BatchShape::Arrays, BatchShape::Changes, BatchShape::Entries] {
        let cloud = CloudOptions { batch_shape: shape, max_batch: 1000, ..CloudOptions::default() };
        let app = TestApp::with(Options { cloud: Some(cloud), ..fast() }).await;
        app.cloud.batch_next(8);
        let bob =
            SimCustomer { user_id: Some("US.1".into()), ..SimCustomer::with_number("16505550001", "Bob B") };
        for index in 0..4 {
            app.customer_writes(&anna(), &format!("a{index}"));
            app.customer_writes(&bob, &format!("b{index}"));
        }
        let (first, second) = (app.chat_of("Anna").await, app.chat_of("Bob").await);
        assert_eq!(texts(&app.line_has(&first, 4).await), ["a0", "a1", "a2", "a3"], "{shape:?}");
        assert_eq!(texts(&app.line_has(&second, 4).await), ["b0", "b1", "b2", "b3"], "{shape:?}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_notification_is_relayed_once() {
    let app = TestApp::start().await;
    let body = |wamids: &[&str]| {
        let messages: Vec<Value> = wamids.iter().map(|wamid| text("16505551234", wamid, wamid)).collect();
        let value = json!({"contacts": [{"wa_id": "16505551234", "profile": {"name": "Anna S"}}], "messages": messages});
        notification(vec![("messages", value_of(PHONE_ID, value))]).to_string()
    };
    let first = body(&["m1", "m2", "m1"]);
    let post = || app.post_signed(first.as_bytes());
    assert_eq!(tokio::join!(post(), post(), post()), (200, 200, 200));
    // Batches overlap when Meta puts them together anew.
    for wamids in [["m2", "m3"], ["m3", "m4"], ["m1", "m4"]] {
        assert_eq!(app.post_signed(body(&wamids).as_bytes()).await, 200);
    }
    app.settled().await;
    let chat = app.chat_of("Anna").await;
    assert_eq!(app.texts(&chat), ["m1", "m2", "m3", "m4"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_and_what_changes_it_come_in_one_notification() {
    let app = TestApp::with(fast()).await;
    let sent = |messages: Vec<Value>| {
        let value = json!({"contacts": [{"wa_id": "16505551234", "profile": {"name": "Anna S"}}], "messages": messages});
        notification(vec![("messages", value_of(PHONE_ID, value))]).to_string()
    };
    let anna = "16505551234";
    let change = |wamid: &str, kind: &str, content: Value| json!({"from": anna, "id": wamid, "timestamp": "1763700000", "type": kind, kind: content});
    assert_eq!(app.post_signed(sent(vec![text(anna, "m0", "m0")]).as_bytes()).await, 200);
    let chat = app.chat_of("Anna").await;
    app.line_has(&chat, 1).await;

    // Her chat is known by now: what is plain is written with the rest of its kind, what is not sees it all the same.
    let edited =
        json!({"original_message_id": "m2", "message": {"type": "text", "text": {"body": "m2 at five"}}});
    let messages = vec![
        text(anna, "m1", "m1"),
        text(anna, "m1", "m1"),
        text(anna, "m2", "m2"),
        text(anna, "m0", "m0"),
        change("e1", "edit", edited),
        change("r1", "revoke", json!({"original_message_id": "m1"})),
        text(anna, "m3", "m3"),
    ];
    let body = sent(messages);
    let post = || app.post_signed(body.as_bytes());
    assert_eq!(tokio::join!(post(), post(), post()), (200, 200, 200));
    app.settled().await;
    let entries = app.conversation(&chat);
    let shown: Vec<(&str, bool, bool)> =
        entries.iter().map(|entry| (entry.text.as_str(), entry.edited, entry.deleted)).collect();
    let expected = [
        ("m0", false, false),
        ("m1", false, true),
        ("m2 at five\n[i](edited)[/i]", true, false),
        ("m3", false, false),
    ];
    assert_eq!(shown, expected);
    assert_eq!(app.ledger().await.len(), 6, "each is in the ledger once");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_of_nearly_four_megabytes_is_taken_whole() {
    let app = TestApp::with(fast()).await;
    let long = "x".repeat(3_900);
    let messages: Vec<Value> = (0..1000)
        .map(|number| {
            text(
                &format!("1650555{:04}", number % 50),
                &format!("wamid.{number}"),
                &format!("{number} {long}"),
            )
        })
        .collect();
    let mut body =
        notification(vec![("messages", value_of(PHONE_ID, json!({"messages": messages})))]).to_string();
    let limit = 4 * 1024 * 1024;
    assert!(body.len() < limit, "{}", body.len());
    body.push_str(&" ".repeat(limit - body.len()));
    assert_eq!(app.post_signed(body.as_bytes()).await, 200);
    app.settled().await;
    let chats = app.portal.chats(&app.line);
    assert_eq!(chats.len(), 50);
    let shown: usize = chats.iter().map(|chat| app.texts(&chat.external_id).len()).sum();
    assert_eq!(shown, 1000);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customers_text_is_shown_as_typed() {
    let app = TestApp::start().await;
    let typed = [
        (
            "[b]not bold[/b] [URL=http://evil.example]x[/URL] [br]",
            "[b]not bold[/b] [URL=http://evil.example]x[/URL] [br]",
        ),
        ("*bold* _it_ ~gone~ `code`", "[b]bold[/b] [i]it[/i] [s]gone[/s] [code]code[/code]"),
        ("2*3*4 snake_case_name", "2*3*4 snake_case_name"),
        (":f09f9880: at 10:30 #BR# end", ":f09f9880: at 10:30 #BR# end"),
        ("line\nbreak 😀 & <tag> \"q\" 'q' % + \\", "line\nbreak 😀 & <tag> \"q\" 'q' % + \\"),
        ("https://example.com/?a[0]=1&b=2", "https://example.com/?a%5B0%5D=1&b=2"),
    ];
    for (typed, _) in typed {
        app.customer_writes(&anna(), typed);
    }
    let chat = app.chat_of("Anna").await;
    let shown = texts(&app.line_has(&chat, typed.len()).await);
    for ((typed, expected), shown) in typed.iter().zip(&shown) {
        assert_eq!(shown, expected, "{typed}");
    }
    let raw = app.conversation(&chat);
    assert!(!raw[0].text.contains("[b]") && !raw[0].text.contains("[br]"), "{}", raw[0].text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_is_readable_in_the_line() {
    let app = TestApp::with(fast()).await;
    let kinds = [
        (json!({"type": "text", "text": {"body": "Hi"}}), "Hi"),
        (
            json!({"type": "location", "location": {"latitude": 55.75, "longitude": 37.61, "name": "Kremlin", "address": "Moscow"}}),
            "📍 Kremlin\nMoscow\nhttps://www.google.com/maps?q=55.75,37.61",
        ),
        (
            json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "Bob"}, "phones": [{"phone": "+1 650", "wa_id": "1650", "type": "CELL"}]}]}),
            "👤 Bob\n☎ +1 650, cell, WhatsApp",
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "yes-1", "title": "Yes"}}}),
            "🔘 Button: Yes\n[i](yes-1)[/i]",
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "p", "title": "Priority", "description": "Next day"}}}),
            "☑ Choice: Priority\nNext day\n[i](p)[/i]",
        ),
        (
            json!({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent",
                "response_json": "{\"flow_token\":\"t\",\"screen_0_Name_0\":\"Anna\",\"ok\":true}"}}}),
            "📝 Form\n• ok: yes\n• Name: Anna",
        ),
        (
            json!({"type": "button", "button": {"payload": "Unsubscribe", "text": "Unsubscribe"}}),
            "🔘 Button: Unsubscribe",
        ),
        (
            json!({"type": "order", "order": {"catalog_id": "1", "text": "Please!", "product_items": [
                {"product_retailer_id": "sku", "quantity": 2, "item_price": 30.5, "currency": "USD"}]}}),
            "🛒 Order (catalogue 1)\n• sku × 2 — 30.50 USD\nTotal: 61 USD\nPlease!",
        ),
        (
            json!({"type": "unsupported", "errors": [{"code": 131051, "title": "Message type unknown"}], "unsupported": {"type": "poll_creation"}}),
            "⚠ A message of a kind that WhatsApp does not pass on (poll, 131051).",
        ),
        (
            json!({"type": "hologram", "hologram": {"x": 1}}),
            "⚠ A message that cannot be shown here (hologram).",
        ),
        (
            json!({"type": "interactive", "errors": [{"code": 131000, "title": "Unsupported webhook payload"}]}),
            "131000, Unsupported webhook payload",
        ),
        (json!({"type": "request_welcome"}), "[i]The customer opened the chat[/i]"),
        (
            json!({"type": "text", "text": {"body": "Price?"}, "referral": {"source_url": "https://fb.me/x", "source_id": "7", "source_type": "ad", "headline": "Sale", "body": "Now"}}),
            "📣 From an ad: Sale (id 7)\nNow\nhttps://fb.me/x\nPrice?",
        ),
        (
            json!({"type": "text", "text": {"body": "fw"}, "context": {"forwarded": true}}),
            "[i]Forwarded[/i]\nfw",
        ),
        (
            json!({"type": "text", "text": {"body": "this one"}, "context": {"from": PHONE_NUMBER, "referred_product": {"catalog_id": "c", "product_retailer_id": "sku"}}}),
            "🛍 About the product: sku (catalogue c)\nthis one",
        ),
    ];
    for (message, _) in &kinds {
        app.cloud.customer_sends(PHONE_ID, &anna(), message.clone());
    }
    let chat = app.chat_of("Anna").await;
    let shown = texts(&app.line_has(&chat, kinds.len()).await);
    for ((message, expected), shown) in kinds.iter().zip(&shown) {
        assert!(shown.contains(expected), "{message}\n{shown}");
    }
    assert!(app.conversation(&chat).iter().all(|entry| entry.author == Author::Client));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_is_shown_with_its_message_and_so_is_its_removal() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "Hello");
    let chat = app.chat_of("Anna").await;
    app.portal.operator_writes(&app.line, &chat, "We *open* at nine", vec![]).unwrap();
    let wamid = app.customer_has(&anna(), 1).await[0].wamid.clone();
    app.message_is(&wamid, "delivered").await;
    let react = |emoji: &str, wamid: &str| json!({"type": "reaction", "reaction": {"message_id": wamid, "emoji": emoji}});
    app.cloud.customer_sends(PHONE_ID, &anna(), react("😮", &wamid));
    app.cloud.customer_sends(PHONE_ID, &anna(), react("", &wamid));
    app.cloud.customer_sends(PHONE_ID, &anna(), react("👍", "wamid.never-seen"));
    let shown = texts(&app.line_has(&chat, 5).await);
    let frame = "-".repeat(54);
    assert!(shown[2].starts_with(&format!("{frame}\nLucky Shrub [")), "{}", shown[2]);
    assert!(shown[2].ends_with(&format!("]\nWe [b]open[/b] at nine\n{frame}\nReaction: 😮")), "{}", shown[2]);
    assert!(shown[3].ends_with("\nReaction removed"), "{}", shown[3]);
    assert_eq!(shown[4], "Reaction: 👍 (to a message that is older or not kept here)");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_shows_what_it_answers_or_says_that_it_is_unknown() {
    let app = TestApp::start().await;
    let question = app.customer_writes(&anna(), "Do you have [b]it[/b]?");
    let chat = app.chat_of("Anna").await;
    app.line_has(&chat, 1).await;
    app.settled().await;
    let reply = |text: &str, wamid: &str| json!({"type": "text", "text": {"body": text}, "context": {"from": "16505551234", "id": wamid}});
    app.cloud.customer_sends(PHONE_ID, &anna(), reply("I mean this", &question));
    app.cloud.customer_sends(PHONE_ID, &anna(), reply("And this", "wamid.of-last-year"));
    let entries = app.line_has(&chat, 3).await;
    let frame = "-".repeat(54);
    let shown = texts(&entries);
    assert!(shown[1].starts_with(&format!("{frame}\nAnna Sample [")), "{}", shown[1]);
    assert!(
        shown[1].ends_with(&format!("UTC]\nDo you have [b]it[/b]?\n{frame}\nI mean this")),
        "{}",
        shown[1]
    );
    assert!(!entries[1].text.contains("[b]"), "the quoted text is neutralised as well");
    assert_eq!(shown[2], "[i]↩ In reply to a message that is older or not kept here[/i]\nAnd this");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_changes_the_message_in_the_line() {
    let app = TestApp::start().await;
    let original = app.customer_writes(&anna(), "at fiev");
    let edit = |original: &str, text: &str| json!({"type": "edit", "edit": {"original_message_id": original, "message": {"type": "text", "text": {"body": text}}}});
    app.cloud.customer_sends(PHONE_ID, &anna(), edit(&original, "at five"));
    app.cloud.customer_sends(PHONE_ID, &anna(), edit("wamid.of-before-the-bridge", "never seen"));
    let chat = app.chat_of("Anna").await;
    let entries = app.line_has(&chat, 2).await;
    app.settled().await;
    assert_eq!(
        texts(&entries)[1],
        "never seen\n[i](edited)[/i]",
        "what the line has not is shown as a message"
    );
    let entries = app.conversation(&chat);
    assert_eq!((entries.len(), entries[0].edited), (2, true));
    assert_eq!(entries[0].text, "at five\n[i](edited)[/i]");
    assert_eq!(app.portal.call_count("imconnector.update.messages"), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_deletes_the_message_in_the_line() {
    let app = TestApp::start().await;
    let original = app.customer_writes(&anna(), "my password is 123");
    app.customer_writes(&anna(), "oops");
    let revoke = |original: &str| json!({"type": "revoke", "revoke": {"original_message_id": original}});
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke(&original));
    app.cloud.customer_sends(PHONE_ID, &anna(), revoke("wamid.of-before-the-bridge"));
    let chat = app.chat_of("Anna").await;
    app.line_has(&chat, 3).await;
    app.settled().await;
    let entries = app.conversation(&chat);
    assert_eq!(entries.iter().map(|entry| entry.deleted).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(entries[2].text, "[i]The customer deleted a message[/i]");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_business_wrote_on_its_phone_is_shown_and_not_sent_again() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "Hello");
    let chat = app.chat_of("Anna").await;
    let echo = |id: &str, text: &str| json!({"from": PHONE_NUMBER, "to": "16505551234", "id": id, "timestamp": "1763700000", "type": "text", "text": {"body": text}});
    let echoes = json!({"contacts": [{"wa_id": "16505551234"}],
        "message_echoes": [echo("wamid.e1", "I *call* you"), echo("wamid.e2", "[b]now[/b]"), echo("wamid.e1", "I *call* you")]});
    app.cloud.post_change("104996122399160", "smb_message_echoes", value_of(PHONE_ID, echoes));
    app.line_has(&chat, 3).await;
    app.settled().await;
    let done = app.portal.wait_until(crate::support::DEADLINE, |portal| {
        portal.events_waiting() == 0
            && portal.conversation(&app.line, &chat).iter().skip(1).all(|entry| !entry.sending)
    });
    assert!(done.await, "no spinner stays: {:#?}", app.conversation(&chat));
    app.settled().await;
    let entries = app.conversation(&chat);
    assert_eq!(
        texts(&entries),
        [
            "Hello",
            "[i]Sent from the phone:[/i]\nI [b]call[/b] you",
            "[i]Sent from the phone:[/i]\n[b]now[/b]"
        ]
    );
    assert!(entries.iter().skip(1).all(|entry| entry.author == Author::Operator));
    assert!(app.cloud.received(PHONE_ID, "16505551234").is_empty(), "nothing went to WhatsApp");
    let rows: Vec<_> = app.ledger().await.into_iter().filter(|row| row.direction == "outbound").collect();
    assert_eq!(rows.len(), 2);
    for (row, entry) in rows.iter().zip(&entries[1..]) {
        assert_eq!(row.im_message_id.as_ref(), Some(&entry.im_message_id));
    }
    // What is changed or deleted on the phone is so in the line.
    let change = |id: &str, kind: &str, part: Value| json!({"from": PHONE_NUMBER, "to": "16505551234", "id": id, "type": kind, kind: part});
    let edit =
        json!({"original_message_id": "wamid.e1", "message": {"type": "text", "text": {"body": "I write"}}});
    let changes = [
        change("wamid.e3", "edit", edit),
        change("wamid.e4", "revoke", json!({"original_message_id": "wamid.e2"})),
    ];
    app.cloud.post_change(
        "104996122399160",
        "smb_message_echoes",
        value_of(PHONE_ID, json!({"message_echoes": changes})),
    );
    app.webhooks_taken().await;
    app.settled().await;
    let entries = app.conversation(&chat);
    assert_eq!(entries[1].text, "[i]Sent from the phone:[/i]\nI write\n[i](edited)[/i]");
    assert_eq!((entries.len(), entries[2].deleted), (3, true));
    // An operator who writes the very same is no echo.
    app.portal.operator_writes(&app.line, &chat, "I [b]call[/b] you", vec![]).unwrap();
    app.customer_has(&anna(), 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_of_a_file_or_of_many_messages_is_not_sent_again_either() {
    let app = TestApp::with(fast()).await;
    let media = SimMedia {
        kind: "document".into(),
        bytes: "hello".into(),
        mime: "text/plain".into(),
        filename: Some("a.txt".into()),
        ..SimMedia::default()
    };
    let wamid = app.cloud.customer_sends_media(PHONE_ID, &anna(), media);
    let chat = app.chat_of("Anna").await;
    let file = app.message(&wamid).await.payload;
    let document = serde_json::from_str::<Value>(&file).unwrap()["document"].clone();
    let card = json!({"name": {"formatted_name": "N".repeat(990)}});
    let echoes = json!({"contacts": [{"wa_id": "16505551234"}], "message_echoes": [
        {"from": PHONE_NUMBER, "to": "16505551234", "id": "wamid.e1", "type": "document", "document": document},
        {"from": PHONE_NUMBER, "to": "16505551234", "id": "wamid.e2", "type": "contacts", "contacts": vec![card; 30]}]});
    app.cloud.post_change("104996122399160", "smb_message_echoes", value_of(PHONE_ID, echoes));
    let line = app.line.clone();
    let shown = app.portal.wait_until(crate::support::DEADLINE, |portal| {
        let entries = portal.conversation(&line, &chat);
        entries.len() >= 4
            && entries.iter().skip(1).all(|entry| !entry.sending)
            && portal.events_waiting() == 0
    });
    assert!(shown.await, "{:#?}", app.conversation(&chat));
    app.settled().await;
    let entries = app.conversation(&chat);
    assert_eq!(entries.len(), 4, "the contact cards need two messages");
    assert_eq!(entries[1].files[0].name, "a.txt");
    assert!(app.cloud.received(PHONE_ID, "16505551234").is_empty(), "nothing went to WhatsApp");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_the_portal_would_cut_arrives_whole() {
    let app = TestApp::start().await;
    let long: String = (0..6000).map(|number| format!("{number} ")).collect();
    app.customer_writes(&anna(), &long);
    let chat = app.chat_of("Anna").await;
    let shown = texts(&app.line_has(&chat, 2).await).join(" ");
    assert!(shown.split_whitespace().eq(long.split_whitespace()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_in_a_group_is_kept_and_opens_no_chat() {
    let app = TestApp::start().await;
    let mut message = text("16505551234", "wamid.1", "Hi all");
    message["group_id"] = json!("group-1");
    let status =
        json!({"id": "wamid.2", "status": "read", "recipient_type": "group", "recipient_id": "group-1"});
    app.notify(json!({"messages": [message], "statuses": [status]})).await;
    app.settled().await;
    assert!(app.portal.chats(&app.line).is_empty());
    let events = app.events().await;
    assert_eq!(events.len(), 2);
    assert!(events[0].payload.contains("Hi all"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_to_somebody_new_opens_the_chat_that_the_answer_lands_in() {
    let app = TestApp::start().await;
    let echo = json!({"contacts": [{"wa_id": "16505551234", "profile": {"name": "Anna Sample"}}],
        "message_echoes": [{"from": PHONE_NUMBER, "to": "16505551234", "id": "wamid.e", "type": "text", "text": {"body": "Hi Anna"}}]});
    app.cloud.post_change("104996122399160", "smb_message_echoes", value_of(PHONE_ID, echo));
    let chat = app.chat_of("Anna").await;
    app.customer_writes(&anna(), "Hi!");
    assert_eq!(texts(&app.line_has(&chat, 2).await), ["[i]Sent from the phone:[/i]\nHi Anna", "Hi!"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_on_standby_are_shown_and_the_operator_is_told_who_answers() {
    let app = TestApp::start().await;
    let contacts = json!([{"wa_id": "16505551234", "profile": {"name": "Anna Sample"}}]);
    // Both places in which they may stand (facts §1.11).
    let flat = json!({"contacts": contacts, "messages": [text("16505551234", "wamid.1", "Are you open?")]});
    let nested = json!({"contacts": contacts, "standby": {"message_echoes": [
        {"from": PHONE_NUMBER, "to": "16505551234", "id": "wamid.2", "type": "text", "text": {"body": "Until nine."}}],
        "messages": [text("16505551234", "wamid.3", "Thanks")]}});
    for value in [flat, nested] {
        app.cloud.post_change("104996122399160", "standby", value_of(PHONE_ID, value));
    }
    let chat = app.chat_of("Anna").await;
    let entries = app.line_has(&chat, 4).await;
    let mut shown = texts(&entries);
    assert!(shown[0].contains("AI agent is answering"), "{shown:?}");
    assert_eq!(entries[0].author, Author::System);
    shown[1..].sort();
    assert_eq!(shown[1..], ["Are you open?", "Thanks", "[i]Sent by Meta's AI agent:[/i]\nUntil nine."]);
    assert!(app.cloud.received(PHONE_ID, "16505551234").is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_an_unknown_phone_is_kept_with_its_phone() {
    let app = TestApp::start().await;
    let value = value_of(
        "999",
        json!({"messages": [text("16505551234", "wamid.1", "Hello?")],
        "statuses": [{"id": "wamid.2", "status": "sent"}]}),
    );
    let known = value_of(
        PHONE_ID,
        json!({"contacts": [{"wa_id": "1650", "profile": {"name": "Bob"}}],
        "messages": [text("1650", "wamid.3", "Neighbour")]}),
    );
    let body = notification(vec![("messages", value), ("messages", known)]).to_string();
    assert_eq!(app.post_signed(body.as_bytes()).await, 200);
    let chat = app.chat_of("Bob").await;
    assert_eq!(texts(&app.line_has(&chat, 1).await), ["Neighbour"]);
    let events = app.events().await;
    assert_eq!(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["unknown phone"; 2]);
    for (event, list) in events.iter().zip(["messages", "statuses"]) {
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        assert_eq!(payload["metadata"]["phone_number_id"], "999");
        assert!(payload[list][0]["id"].is_string());
        assert_eq!(event.field, list);
    }
    assert!(app.relay.metrics.encode().contains("updates_total{kind=\"unknown_phone\"} 2"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_parts_are_kept_while_their_neighbours_go_through() {
    let app = TestApp::start().await;
    let long = "x".repeat(5_000);
    app.notify(json!({"contacts": [{"wa_id": "1650", "profile": {"name": "Bob"}}, 5],
        "messages": [7, {"type": "text", "from": "1650"}, text("1650", &long, "id too long"),
            text(&long, "wamid.0", "sender too long"), {"id": "wamid.1", "from": 1650, "type": "text", "text": {"body": "good"}},
            {"id": "wamid.2", "from": "1650", "type": "text", "text": "no object"},
            {"id": "wamid.3", "from": "1650", "type": "system", "system": {"type": "user_changed_number", "wa_id": long, "previous_user_id": long}}],
        "statuses": [null, {"id": long, "status": "sent"}]}))
    .await;
    assert_eq!(app.post_signed(b"{\"entry\": [").await, 200);
    assert_eq!(app.post_signed(b"[]").await, 200);
    let chat = app.chat_of("Bob").await;
    let shown = texts(&app.line_has(&chat, 3).await);
    assert_eq!(shown[0], "good");
    assert!(shown[1].contains("cannot be shown here (text)"), "{shown:?}");
    let events = app.events().await;
    assert_eq!(events.iter().filter(|event| event.reason == "unreadable").count(), 8);
    assert!(events.iter().any(|event| event.payload == "{\"entry\": ["));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn characters_that_a_database_does_not_take_poison_nothing() {
    let app = TestApp::start().await;
    let body = r#"{"entry":[{"id":"104996122399160","changes":[{"field":"messages","value":{
        "metadata":{"phone_number_id":"106540352242922"},
        "contacts":[{"wa_id":"1650\u00005550000","profile":{"name":"Bo\u0000b \ud83d","username":"b\ud83d\u0000"}}],
        "messages":[
            {"from":"1650\u00005550000","id":"wamid.\u00001","type":"text","text":{"body":"a\u0000b \ud83d c \ud83d\ude00"}},
            {"from":"16505550000","id":"wamid.\ud83d2","type":"te\u0000xt","text":{"body":"kept \\u0000 as typed"}},
            {"from":"16505550000","id":"wamid.3","type":"holo\u0000\ud83dgram"},
            {"from":"16505550000","id":"wamid.4","type":"text","text":{"body":"after"}}],
        "statuses":[{"id":"wamid.\u0000\ud83d","status":"failed","biz_opaque_callback_data":"a\u0000.1","errors":[{"code":1,"title":"\u0000\ud83d"}]}],
        "errors":[{"code":1,"title":"\u0000\ud83d"}]}},
        {"field":"acc\u0000ount","value":{"x":"\u0000\ud83d"}}]}]}"#;
    assert_eq!(app.post_signed(body.as_bytes()).await, 200);
    // A byte that is no UTF-8.
    let broken: Vec<u8> = notification(vec![(
        "messages",
        value_of(PHONE_ID, json!({"messages": [text("16505550000", "wamid.5", "br#ken")]})),
    )])
    .to_string()
    .bytes()
    .map(|byte| if byte == b'#' { 0xff } else { byte })
    .collect();
    assert_eq!(app.post_signed(&broken).await, 200);
    let chat = app.chat_of("Bob").await;
    let shown = texts(&app.line_has(&chat, 5).await);
    assert_eq!(shown[0], "ab \u{fffd} c 😀");
    assert_eq!(shown[1], "kept \\u0000 as typed");
    assert!(shown[2].contains("cannot be shown here (holo"), "{}", shown[2]);
    assert_eq!(shown[3], "after");
    assert_eq!(shown[4], "br\u{fffd}ken");
    app.portal.operator_writes(&app.line, &chat, "received", vec![]).unwrap();
    assert!(app.cloud.wait_until(crate::support::DEADLINE, |cloud| cloud.accepted() == 1).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_account_is_kept_for_a_person_to_see() {
    let app = TestApp::start().await;
    app.notify(json!({"errors": [{"code": 130429, "title": "Rate limit hit", "error_data": {"details": "slow down"}}]})).await;
    let events = app.events().await;
    assert_eq!((events[0].field.as_str(), events[0].reason.as_str()), ("errors", "account error"));
    assert!(events[0].payload.contains("slow down"));
    app.stop().await;
}
