//! Who writes: people with and without a number, whose ids come later, change, or pass to others.

use serde_json::{Value, json};
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::sandbox::portal::Author;
use wabridge::store::{contacts, people};

use crate::support::{DEADLINE, PHONE_ID, TestApp, anna};

fn from(ids: &[(&str, &str)], wamid: &str, body: &str) -> Value {
    let mut message = json!({"id": wamid, "type": "text", "text": {"body": body}});
    for (key, id) in ids {
        message[*key] = json!(id);
    }
    message
}

fn system(ids: &[(&str, &str)], wamid: &str, system: Value) -> Value {
    let mut message = from(ids, wamid, "");
    message["type"] = json!("system");
    message["system"] = system;
    message
}

async fn write(app: &TestApp, messages: Vec<Value>) {
    app.notify(json!({"messages": messages})).await;
    app.settled().await;
}

/// The texts of each chat of the line, in the order of first contact; system notes as `*`.
fn chats(app: &TestApp) -> Vec<Vec<String>> {
    let mut chats = app.portal.chats(&app.line);
    chats.sort_by_key(|chat| chat.chat_id.parse::<u64>().unwrap());
    let shown = |chat: &str| {
        let entries = app.conversation(chat).into_iter();
        entries.map(|entry| if entry.author == Author::System { "*".into() } else { entry.text }).collect()
    };
    chats.iter().map(|chat| shown(&chat.external_id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_without_a_number_is_relayed_both_ways() {
    let app = TestApp::start().await;
    let carla = SimCustomer::with_user_id("CO.12345678901234567890", "Carla");
    app.customer_writes(&carla, "Hola");
    let chat = app.chat_of("Carla").await;
    assert_eq!(app.line_has(&chat, 1).await[0].text, "Hola");
    assert_eq!(app.portal.chats(&app.line)[0].phone, "");
    app.portal.operator_writes(&app.line, &chat, "Buenas", vec![]).unwrap();
    let received = app.customer_has(&carla, 1).await;
    assert_eq!(received[0].body["recipient"], "CO.12345678901234567890");
    app.message_is(&received[0].wamid, "delivered").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_comes_later_attaches_to_the_same_chat() {
    for (first, second) in [("from_user_id", "from"), ("from", "from_user_id")] {
        let app = TestApp::start().await;
        let id = |key: &'static str| (key, if key == "from" { "573001112233" } else { "CO.1" });
        write(&app, vec![from(&[id(first)], "1", "one")]).await;
        write(&app, vec![from(&[id(first), id(second)], "2", "both")]).await;
        write(&app, vec![from(&[id(second)], "3", "the other alone")]).await;
        write(&app, vec![from(&[id(first)], "4", "the first again")]).await;
        assert_eq!(chats(&app), [["one", "both", "the other alone", "the first again"]]);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_known_by_a_parent_id_alone_is_nobody_else() {
    let app = TestApp::start().await;
    let one = ("from_parent_user_id", "US.ENT.1");
    let two = ("from_parent_user_id", "US.ENT.2");
    for round in 0..2 {
        write(&app, vec![from(&[one], &format!("1{round}"), "I am one")]).await;
        write(&app, vec![from(&[two], &format!("2{round}"), "I am two")]).await;
    }
    write(&app, vec![from(&[one, ("from_user_id", "US.1")], "3", "one with an id")]).await;
    write(&app, vec![from(&[("from_user_id", "US.1")], "4", "one by the id")]).await;
    assert_eq!(
        chats(&app),
        [vec!["I am one", "I am one", "one with an id", "one by the id"], vec!["I am two", "I am two"]]
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_in_one_notification_stay_two_whatever_contacts_it_lists() {
    let app = TestApp::start().await;
    let messages =
        vec![from(&[("from", "1650")], "1", "by number"), from(&[("from_user_id", "US.9")], "2", "by id")];
    let contacts = json!([{"user_id": "US.9", "profile": {"name": "Nine"}}]);
    app.notify(json!({"contacts": contacts, "messages": messages})).await;
    app.settled().await;
    let mut shown = chats(&app);
    shown.sort();
    assert_eq!(shown, [["by id"], ["by number"]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_number_goes_on_in_the_same_chat() {
    let app = TestApp::start().await;
    let old = ("from", "16505551234");
    write(&app, vec![from(&[old], "1", "old number")]).await;
    let change = json!({"type": "user_changed_number", "wa_id": "12195555358", "body": "User A changed from 16505551234 to 12195555358"});
    // The word about the change and the next message, which bears the new number only, in one notification.
    write(&app, vec![system(&[old], "2", change), from(&[("from", "12195555358")], "3", "new number")]).await;
    write(&app, vec![from(&[("from", "12195555358")], "4", "and again")]).await;
    assert_eq!(chats(&app), [["old number", "*", "new number", "and again"]]);
    let chat = app.portal.chats(&app.line)[0].external_id.clone();
    let note = app.conversation(&chat)[1].text.clone();
    assert!(note.contains("number has changed") && note.contains("+12195555358"), "{note}");
    app.portal.operator_writes(&app.line, &chat, "Still me?", vec![]).unwrap();
    assert!(app.cloud.wait_until(DEADLINE, |cloud| cloud.accepted() == 1).await);
    app.settled().await;
    assert_eq!(app.cloud.thread(PHONE_ID, "12195555358").len(), 1, "answers go to the new number");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_number_brings_its_new_user_id_along() {
    let app = TestApp::start().await;
    let old = [("from", "16505551234"), ("from_user_id", "US.OLD")];
    write(&app, vec![from(&old, "1", "old")]).await;
    let change = json!({"type": "user_changed_number", "wa_id": "12195555358", "user_id": "US.NEW", "previous_user_id": "US.OLD"});
    write(&app, vec![system(&[("from", "16505551234")], "2", change)]).await;
    write(&app, vec![from(&[("from_user_id", "US.NEW")], "3", "by the new id alone")]).await;
    write(&app, vec![from(&[("from", "12195555358")], "4", "by the new number alone")]).await;
    assert_eq!(chats(&app), [["old", "*", "by the new id alone", "by the new number alone"]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_user_id_goes_on_in_the_same_chat() {
    let app = TestApp::start().await;
    // Whether `from_user_id` of the word about it is the old or the new one, is not known.
    for (round, sender) in [(0, "CO.OLD"), (1, "CO.NEW1")] {
        let id = |name: &str| format!("{name}{round}");
        let (old, new) = (if round == 0 { "CO.OLD" } else { "CO.NEW0" }, format!("CO.NEW{round}"));
        write(&app, vec![from(&[("from_user_id", old)], &id("1"), "old")]).await;
        let change = json!({"type": "user_changed_user_id", "user_id": new, "previous_user_id": old});
        write(&app, vec![system(&[("from_user_id", sender)], &id("2"), change)]).await;
        write(&app, vec![from(&[("from_user_id", &new)], &id("3"), "new")]).await;
    }
    assert_eq!(chats(&app), [["old", "*", "new", "old", "*", "new"]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_was_given_away_leads_to_its_new_owner() {
    let app = TestApp::start().await;
    let (mine, theirs) = (("from", "16505551234"), ("from", "12195555358"));
    write(&app, vec![from(&[theirs], "1", "the owner of before")]).await;
    write(&app, vec![from(&[mine], "2", "me")]).await;
    write(&app, vec![from(&[theirs], "3", "the owner of before")]).await;
    age_contacts(&app).await;
    let change = json!({"type": "user_changed_number", "wa_id": "12195555358"});
    write(&app, vec![system(&[mine], "4", change), from(&[theirs], "5", "me again")]).await;
    write(&app, vec![from(&[theirs], "6", "and again")]).await;
    assert_eq!(
        chats(&app),
        [vec!["the owner of before", "the owner of before"], vec!["me", "*", "me again", "and again"]]
    );
    // Nobody can be reached in the other chat any more, and the operator is told.
    let chat = app.portal.chats(&app.line).into_iter().map(|chat| chat.external_id).min().unwrap();
    app.portal.operator_writes(&app.line, &chat, "Hello?", vec![]).unwrap();
    let entries = app.line_has(&chat, 4).await;
    assert_eq!(entries[3].author, Author::System);
    assert_eq!(app.cloud.accepted(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_keeps_the_number_when_the_word_about_it_comes_late() {
    let app = TestApp::start().await;
    let (old, new) = (("from", "16505551234"), ("from", "12195555358"));
    write(&app, vec![from(&[old], "1", "old")]).await;
    write(&app, vec![from(&[new], "2", "new")]).await;
    write(&app, vec![system(&[old], "3", json!({"type": "user_changed_number", "wa_id": "12195555358"}))])
        .await;
    write(&app, vec![from(&[new], "4", "new again")]).await;
    assert_eq!(chats(&app), [vec!["old", "*"], vec!["new", "new again"]]);
    let chat = app.portal.chats(&app.line).into_iter().map(|chat| chat.external_id).max().unwrap();
    app.portal.operator_writes(&app.line, &chat, "Yes?", vec![]).unwrap();
    assert!(app.cloud.wait_until(DEADLINE, |cloud| cloud.accepted() == 1).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_who_writes_again_is_somebody_new() {
    // Also when another process erased them, which cannot tell the running bridge.
    for told in [true, false] {
        let app = TestApp::start().await;
        app.customer_writes(&anna(), "Forget me");
        let before = app.chat_of("Anna").await;
        app.settled().await;
        let page = wabridge::store::Page { limit: 10, cursor: None };
        let contact = app.relay.db.read(move |conn| contacts::page(conn, &page)).await.unwrap().remove(0);
        app.relay.db.write(move |tx| people::erase(tx.conn, &contact.id)).await.unwrap().unwrap();
        if told {
            app.relay.forget_known_chats();
        }
        write(&app, vec![from(&[("from", "16505551234")], "wamid.again", "It is me again")]).await;
        let shown = chats(&app);
        assert_eq!(shown, [["Forget me"], ["It is me again"]]);
        assert!(app.ledger().await.iter().all(|row| row.chat_id != before));
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_new_in_many_notifications_at_once_has_one_chat() {
    let app = TestApp::start().await;
    let posts = (0..20).map(|index| {
        let ids: &[(&str, &str)] = match index % 3 {
            0 => &[("from", "16505551234")],
            1 => &[("from", "16505551234"), ("from_user_id", "US.1")],
            _ => &[("from_user_id", "US.1"), ("from", "16505551234")],
        };
        app.notify(json!({"messages": [from(ids, &format!("wamid.{index}"), "Hi")]}))
    });
    futures_util::future::join_all(posts).await;
    app.settled().await;
    assert_eq!(chats(&app), [vec!["Hi"; 20]]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_at_the_portal_is_never_rewritten() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "one");
    let chat = app.chat_of("Anna").await;
    app.settled().await;
    let renamed = SimCustomer {
        user_id: Some("US.1".into()),
        username: Some("@anna".into()),
        ..SimCustomer::with_number("16505551234", "Queen Anna")
    };
    for index in 0..5 {
        app.customer_writes(&renamed, &format!("{index}"));
    }
    app.cloud.customer_sends(
        PHONE_ID,
        &renamed,
        json!({"type": "system", "system": {"type": "user_changed_number", "wa_id": "12195555358"}}),
    );
    app.customer_writes(&SimCustomer::with_number("12195555358", "Anna Again"), "new number");
    app.line_has(&chat, 8).await;
    app.settled().await;
    let known = app.portal.chats(&app.line);
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].profile_rewrites, 0);
    assert_eq!(known[0].client, ("Anna".to_owned(), "Sample".to_owned()));
    assert_eq!(known[0].phone, "+16505551234");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_fits_the_rules_of_the_portal() {
    let app = TestApp::start().await;
    let names = [
        ("🔥 Ivan [b]2024[/b] 🚀", "", ("Ivan", "b b")),
        ("Donaudampfschifffahrtsgesellschaft mbH", "", ("Donaudampfschifffahrtsges", "mbH")),
        ("~", "@sheena.nelson", ("sheena", "nelson")),
        ("", "", ("WhatsApp", "Guest")),
    ];
    for (index, (name, username, _)) in names.iter().enumerate() {
        let customer = SimCustomer {
            username: Some(username.to_string()).filter(|name| !name.is_empty()),
            ..SimCustomer::with_number(&format!("1650555000{index}"), name)
        };
        app.customer_writes(&customer, "Hi");
    }
    app.webhooks_taken().await;
    app.settled().await;
    let mut chats = app.portal.chats(&app.line);
    chats.sort_by_key(|chat| chat.phone.clone());
    for (chat, (name, _, expected)) in chats.iter().zip(names) {
        assert_eq!((chat.client.0.as_str(), chat.client.1.as_str()), expected, "{name}");
    }
    app.stop().await;
}

/// Makes everybody known for a week.
async fn age_contacts(app: &TestApp) {
    let week = chrono::TimeDelta::days(7);
    let before = (app.clock.now() - week).naive_utc();
    app.relay
        .db
        .write(move |tx| {
            use diesel::prelude::*;
            use wabridge::store::schema::contacts;
            diesel::update(contacts::table).set(contacts::created_at.eq(before)).execute(tx.conn)?;
            Ok(())
        })
        .await
        .unwrap();
}
