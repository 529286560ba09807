//! Webhook fields other than messages: kept, and those that matter take effect.

use serde_json::{Value, json};
use wabridge::store::{chats, phones, wabas};

use crate::support::{PHONE_ID, PHONE_NUMBER, TestApp, WABA_ID, anna, notification, value_of};

async fn post(app: &TestApp, field: &str, value: Value) {
    let body = notification(vec![(field, value)]).to_string();
    assert_eq!(app.post_signed(body.as_bytes()).await, 200);
}

async fn waba(app: &TestApp) -> wabas::WabaRow {
    app.relay.db.read(wabas::list).await.unwrap().remove(0)
}

async fn phone(app: &TestApp) -> phones::PhoneRow {
    app.relay.db.read(phones::list).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_field_is_kept_and_none_is_an_error() {
    let app = TestApp::start().await;
    let fields = [
        "message_template_status_update",
        "account_alerts",
        "history",
        "calls",
        "payment_configuration_update",
        "never_heard_of",
    ];
    let changes = fields.iter().map(|field| (*field, json!({"event": "SOMETHING", "n": 1}))).collect();
    assert_eq!(app.post_signed(notification(changes).to_string().as_bytes()).await, 200);
    post(&app, "account_update", json!("not an object")).await;
    post(
        &app,
        "user_preferences",
        json!({"user_preferences": [1, {"value": "stop"}, {"wa_id": "1650", "value": 5}]}),
    )
    .await;
    post(&app, "security", json!({"display_phone_number": "000", "event": "PIN_CHANGED"})).await;
    let kept: Vec<String> = app.events().await.into_iter().map(|event| event.field).collect();
    assert_eq!(kept[..6], fields);
    assert_eq!(kept.len(), 9);
    assert!(app.portal.chats(&app.line).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_update_changes_the_state_of_the_account() {
    let app = TestApp::start().await;
    for (value, status, reason) in [
        (
            json!({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": WABA_ID}, "disconnection_info": {"reason": "PRIMARY_INACTIVITY"}}),
            "disconnected",
            Some("PARTNER_REMOVED: PRIMARY_INACTIVITY"),
        ),
        (json!({"event": "ACCOUNT_RECONNECTED"}), "active", None),
        (
            json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}]}),
            "restricted",
            Some("ACCOUNT_RESTRICTION: RESTRICTED_ADD_PHONE_NUMBER_ACTION"),
        ),
        (
            json!({"event": "VOLUME_BASED_PRICING_TIER_UPDATE"}),
            "restricted",
            Some("ACCOUNT_RESTRICTION: RESTRICTED_ADD_PHONE_NUMBER_ACTION"),
        ),
        (
            json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "May 1"}}),
            "disconnected",
            Some("DISABLED_UPDATE: DISABLE, May 1"),
        ),
        (json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}), "active", None),
    ] {
        post(&app, "account_update", value.clone()).await;
        let row = waba(&app).await;
        assert_eq!((row.status.as_str(), row.status_reason.as_deref()), (status, reason), "{value}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_says_of_a_phone_is_seen_on_the_phone() {
    let app = TestApp::start().await;
    post(&app, "phone_number_quality_update", json!({"display_phone_number": PHONE_NUMBER, "event": "FLAGGED", "current_limit": "TIER_1K", "old_limit": "TIER_10K"})).await;
    let row = phone(&app).await;
    assert_eq!((row.quality.as_deref(), row.messaging_limit.as_deref()), (Some("RED"), Some("TIER_1K")));
    post(&app, "phone_number_quality_update", json!({"display_phone_number": "+1 555-078-3881", "event": "THROUGHPUT_UPGRADE", "max_daily_conversations_per_business": "TIER_UNLIMITED"})).await;
    assert_eq!(phone(&app).await.messaging_limit.as_deref(), Some("TIER_UNLIMITED"));
    post(&app, "phone_number_name_update", json!({"display_phone_number": PHONE_NUMBER, "decision": "REJECTED", "requested_verified_name": "New", "rejection_reason": "NAME_EMPLOYEE_ISSUE"})).await;
    let row = phone(&app).await;
    assert_eq!(
        (row.name_status.as_deref(), row.display_name.as_str()),
        (Some("REJECTED: NAME_EMPLOYEE_ISSUE"), "Lucky Shrub")
    );
    post(&app, "phone_number_name_update", json!({"display_phone_number": PHONE_NUMBER, "decision": "APPROVED", "requested_verified_name": "Lucky Tree", "rejection_reason": null})).await;
    let row = phone(&app).await;
    assert_eq!((row.name_status.as_deref(), row.display_name.as_str()), (Some("APPROVED"), "Lucky Tree"));
    post(
        &app,
        "security",
        json!({"display_phone_number": PHONE_NUMBER, "event": "PIN_CHANGED", "requester": "61"}),
    )
    .await;
    assert_eq!(phone(&app).await.security_note.as_deref(), Some("PIN_CHANGED by 61"));
    assert_eq!(app.relay.directory.now().phones[0].row.display_name, "Lucky Tree");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_about_marketing_is_kept_with_the_contact() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "Hello");
    let chat = app.chat_of("Anna").await;
    app.settled().await;
    let wish = |wa_id: &str, value: &str| {
        value_of(
            PHONE_ID,
            json!({"contacts": [{"wa_id": wa_id}], "user_preferences": [
            {"wa_id": wa_id, "category": "marketing_messages", "value": value, "timestamp": 1763700000, "detail": "User asked"}]}),
        )
    };
    for (value, stopped) in [("stop", true), ("whatever", true), ("resume", false), ("stop", true)] {
        post(&app, "user_preferences", wish("16505551234", value)).await;
        let id = chat.clone();
        let row = app.relay.db.read(move |conn| chats::get(conn, &id)).await.unwrap().unwrap();
        assert_eq!(row.marketing_stopped, stopped, "{value}");
    }
    // Somebody who never wrote; the line hears of them only when they write.
    post(&app, "user_preferences", wish("1777", "stop")).await;
    assert_eq!(app.portal.chats(&app.line).len(), 1);
    app.notify(
        json!({"messages": [{"from": "1777", "id": "wamid.1", "type": "text", "text": {"body": "Hi"}}]}),
    )
    .await;
    app.settled().await;
    let row = app.message("wamid.1").await;
    let row = app.relay.db.read(move |conn| chats::get(conn, &row.chat_id)).await.unwrap().unwrap();
    assert!(row.marketing_stopped);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_speaks_of_its_own_phones_and_accounts_only() {
    use wabridge::clock::new_id;
    use wabridge::store::apps;
    let app = TestApp::start().await;
    // The account moves to an app whose secret the one that signs does not know.
    let other = new_id();
    let id = other.clone();
    let mut account = waba(&app).await;
    app.relay
        .db
        .write(move |tx| {
            let mut row = apps::list(tx.conn)?.remove(0);
            (row.id, row.site, row.client_id) = (id.clone(), "other.example".into(), "77".into());
            row.api_key = "other".into();
            apps::insert(tx.conn, &row)?;
            account.app_id = id.clone();
            wabas::update(tx.conn, &account)
        })
        .await
        .unwrap();
    app.relay.directory.reload().await.unwrap();
    let before = phone(&app).await;
    app.notify(
        json!({"messages": [{"from": "1777", "id": "wamid.1", "type": "text", "text": {"body": "Hi"}}],
        "statuses": [{"id": "wamid.2", "status": "read", "recipient_id": "1777"}],
        "message_echoes": [{"to": "1777", "id": "wamid.3", "type": "text", "text": {"body": "Hi"}}]}),
    )
    .await;
    post(&app, "account_update", json!({"event": "PARTNER_REMOVED"})).await;
    post(&app, "security", json!({"display_phone_number": PHONE_NUMBER, "event": "PIN_CHANGED"})).await;
    // Under an account that is not known here the number alone must not do it either.
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [
        {"field": "security", "value": {"display_phone_number": PHONE_NUMBER, "event": "PIN_CHANGED"}},
        {"field": "account_update", "value": {"event": "PARTNER_REMOVED", "waba_info": {"waba_id": WABA_ID}}}]}]});
    assert_eq!(app.post_signed(body.to_string().as_bytes()).await, 200);
    assert!(app.ledger().await.is_empty());
    assert_eq!(waba(&app).await.status, "active");
    assert_eq!(phone(&app).await.security_note, before.security_note);
    let foreign = app.events().await.iter().filter(|event| event.reason == "phone of another app").count();
    assert!(foreign >= 5, "{:?}", app.events().await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_with_an_id_too_long_to_store_does_not_hold_up_its_neighbours() {
    let app = TestApp::start().await;
    let long = "1".repeat(5_000);
    let value =
        json!({"user_preferences": [{"wa_id": long, "value": "stop"}, {"user_id": long, "value": "stop"}]});
    let message = json!({"contacts": [], "messages": [
        {"from": "1777", "id": "wamid.1", "type": "text", "text": {"body": "Hi"}}]});
    let body = notification(vec![
        ("user_preferences", value_of(PHONE_ID, value)),
        ("messages", value_of(PHONE_ID, message)),
    ]);
    assert_eq!(app.post_signed(body.to_string().as_bytes()).await, 200);
    assert_eq!(app.ledger().await.len(), 1);
    app.settled().await;
    app.stop().await;
}
