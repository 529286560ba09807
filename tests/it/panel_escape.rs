//! Names, texts and errors full of markup, quotes and right-to-left marks, on every page of the panel.

use std::collections::BTreeSet;

use serde_json::json;
use wabridge::access::Role;
use wabridge::store::{self, events, jobs};

use crate::support::panel::Panel;
use crate::support::{PHONE_ID, TestApp};

/// What somebody may call themselves.
const EVIL: &str = "\u{202e}<script>alert(1)</script>\"onmouseover='x'&`<b>`{{7*7}}\u{2066}";
const EVIL_SHORT: &str = "<img src=x onerror=alert(1)>\u{202e}\"'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_is_text_on_every_page() {
    let app = TestApp::with_calls().await;
    prepare(&app).await;
    // Inside the portal, too.
    let line = app.relay.directory.now().bindings[0].line.to_string();
    for (place, line) in [("DEFAULT", None), ("SETTING_CONNECTOR", Some(line.as_str()))] {
        let page = app.portal.open_page(app.client_id(), place, line, true).await;
        assert_eq!(page.status, 200, "{}", page.html);
        harmless(place, &page.html);
    }
    let mut panel = Panel::enter(&app, EVIL_SHORT, Role::Admin).await;
    let pages = crawl(&mut panel).await;
    assert!(pages.len() > 30, "{pages:#?}");
    app.stop().await;
}

/// Fills everything that is shown with what nobody should be able to make into markup.
async fn prepare(app: &TestApp) {
    let customer = wabridge::sandbox::cloud::SimCustomer::with_number("16505550000", EVIL);
    app.cloud.customer_sends(PHONE_ID, &customer, json!({"type": "text", "text": {"body": EVIL}}));
    app.eventually("the message is stored", async || (!app.ledger().await.is_empty()).then_some(())).await;
    app.settled().await;
    app.notify(json!({"statuses": [{"id": EVIL, "nothing": EVIL}]})).await;
    let snapshot = app.relay.directory.now();
    let (app_id, waba, phone) =
        (snapshot.apps[0].id.to_string(), snapshot.wabas[0].key.to_string(), app.phone_id().into_string());
    let (portal, now) = (app.portal_id().into_string(), app.clock.now());
    let stored = app.relay.db.write(move |tx| {
        let mut row = store::apps::get(tx.conn, &app_id)?.unwrap();
        row.name = EVIL.into();
        store::apps::update(tx.conn, &row)?;
        let mut row = store::wabas::get(tx.conn, &waba)?.unwrap();
        (row.name, row.status_reason) = (EVIL.into(), Some(EVIL.into()));
        store::wabas::update(tx.conn, &row)?;
        let mut row = store::phones::get(tx.conn, &phone)?.unwrap();
        (row.display_name, row.status, row.quality) = (EVIL.into(), Some(EVIL.into()), Some(EVIL.into()));
        (row.security_note, row.messaging_limit) = (Some(EVIL.into()), Some(EVIL.into()));
        (row.fallback_template, row.name_status) = (Some(EVIL.into()), Some(EVIL.into()));
        store::phones::update(tx.conn, &row)?;
        let mut row = store::portals::get(tx.conn, &portal)?.unwrap();
        (row.status_reason, row.scopes) = (Some(EVIL.into()), EVIL.into());
        store::portals::update(tx.conn, &row)?;
        let mut app_row = store::portal_apps::list(tx.conn)?.remove(0);
        app_row.name = EVIL.into();
        store::portal_apps::update(tx.conn, &app_row)?;
        let mut binding = store::lines::list(tx.conn)?.remove(0);
        binding.line_name = EVIL.into();
        store::lines::update(tx.conn, &binding)?;
        let evil = || Some(EVIL.to_owned());
        let mut row = store::calling::get(tx.conn, &phone)?.unwrap();
        (row.error_code, row.error_title, row.error_explanation) = (Some(1), evil(), evil());
        (row.hostname, row.trunk, row.extension, row.tgrp) = (evil(), evil(), evil(), evil());
        row.meta =
            Some(json!({"status": EVIL, "sip": {"servers": [{"hostname": EVIL, "port": EVIL}]}}).to_string());
        store::calling::put(tx.conn, &row)?;
        let call = store::calls::CallRow {
            id: "evil".into(),
            phone_id: Some(phone.clone()),
            direction: "inbound".into(),
            state: "ended".into(),
            wacid: evil(),
            sip_call_id: evil(),
            trunk: evil(),
            target: evil(),
            agent: evil(),
            peer_digits: evil(),
            peer_user_id: evil(),
            peer_name: evil(),
            payload: evil(),
            created_at: now.naive_utc(),
            ended_at: Some(now.naive_utc()),
            ended_by: Some("contact".into()),
            end_cause: Some("failed".into()),
            end_text: evil(),
            meta_status: evil(),
            meta_errors: Some(json!([{"code": 138_021, "title": EVIL}]).to_string()),
            report:
                json!({"source": EVIL, "tls_version": EVIL, "cipher": EVIL, "sni": EVIL, "user_agent": EVIL,
                           "headers": [EVIL], "offer": [EVIL], "proof": EVIL})
                .to_string(),
            timeline: json!([{"at": now, "what": EVIL, "detail": EVIL}, {"at": now, "what": "ended"}])
                .to_string(),
            ..Default::default()
        };
        store::calls::insert(tx.conn, &call)?;
        for (id, status) in [("1", "APPROVED"), ("2", "REJECTED")] {
            let text = format!("Hello {{{{1}}}} {EVIL}");
            let components = json!([
                {"type": "HEADER", "format": "TEXT", "text": EVIL},
                {"type": "BODY", "text": text, "example": {"body_text": [[EVIL]]}},
                {"type": "FOOTER", "text": EVIL},
                {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": EVIL}]},
            ]);
            let row = store::templates::TemplateRow {
                id: format!("evil-{id}"),
                waba_key: waba.clone(),
                meta_id: id.into(),
                name: format!("{EVIL}{id}"),
                language: EVIL.into(),
                status: status.into(),
                reason: evil(),
                category: EVIL.into(),
                next_category: None,
                quality: evil(),
                parameter_format: "POSITIONAL".into(),
                components: components.to_string(),
                synced_at: now.naive_utc(),
                created_at: now.naive_utc(),
                updated_at: now.naive_utc(),
                moved_from: None,
                moved_at: None,
            };
            store::templates::put(tx.conn, &row)?;
        }
        events::keep(tx.conn, events::Origin::App(&app_id), EVIL, EVIL, EVIL, now)?;
        let new = jobs::NewJob {
            kind: "note",
            queue: "line:x".into(),
            lane: "in:x".into(),
            dedupe_key: None,
            payload: json!({"text": EVIL}).to_string(),
            message_id: None,
            not_before: None,
        };
        let id = jobs::enqueue(tx, &new, now)?.unwrap();
        jobs::start(tx.conn, std::slice::from_ref(&id), "l", now)?;
        let dead = jobs::Settlement::Dead { error: EVIL.into() };
        jobs::finish(tx.conn, &id, "l", &dead, false, now).map(drop)
    });
    stored.await.unwrap();
    app.relay.directory.reload().await.unwrap();
    app.api.get("/doctor").await;
    // What the doctor found ends no alarm that is written now.
    let alarmed = app.relay.db.write(move |tx| {
        let evil = || Some(EVIL.to_owned());
        let alarm = store::alarms::AlarmRow {
            id: "evil".into(),
            check_id: EVIL.into(),
            subject_kind: "portal".into(),
            subject_id: EVIL.into(),
            subject_name: EVIL.into(),
            result: "fail".into(),
            reason_en: EVIL.into(),
            reason_ru: EVIL.into(),
            advice_en: evil(),
            advice_ru: evil(),
            opened_at: now.naive_utc(),
            closed_at: None,
        };
        store::alarms::insert(tx.conn, &alarm)
    });
    alarmed.await.unwrap();
}

/// Every page that any page leads to.
async fn crawl(panel: &mut Panel) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next =
        vec!["/admin/".to_owned(), "/admin/messages/?q=%3Cscript%3Ealert(1)%3C/script%3E%22".to_owned()];
    while let Some(path) = next.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let page = panel.get(&path).await;
        assert!(matches!(page.status, 200 | 502), "{path}: {}", page.status);
        harmless(&path, &page.html);
        for link in page.html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = link.replace("&#38;", "&").replace("&amp;", "&");
            let link = match link.strip_prefix('?') {
                Some(query) => format!("{}?{query}", path.split('?').next().unwrap()),
                None => link,
            };
            // A file for a spreadsheet is no page.
            if link.starts_with("/admin/") && !link.starts_with("/admin/assets/") && !link.ends_with(".csv") {
                next.push(link);
            }
        }
    }
    seen
}

fn harmless(path: &str, html: &str) {
    for raw in ["<script>alert", "<img src=x", "\"onmouseover", "onerror=alert(1)>"] {
        assert!(!html.contains(raw), "{path} has {raw}");
    }
    assert!(!html.contains(" onmouseover='"), "{path}");
    // A mark that turns the direction must not reach what stands beside it.
    for (at, _) in html.match_indices('\u{202e}') {
        let mut before = &html[..at];
        let (mut opened, closed) = (before.rfind('<').unwrap(), before.rfind('>').unwrap());
        // What is shown as code stands inside of what is kept apart.
        while before[opened..].starts_with("</code") || before[opened..].starts_with("<code>") {
            before = &before[..before.rfind("<code>").unwrap()];
            opened = before.rfind('<').unwrap();
        }
        let tag = &before[opened..];
        let kept_apart = ["<bdi", "<pre", "<option", "<textarea", "<p class=\"bubble", "<title"];
        let inside_a_tag = opened > closed;
        assert!(inside_a_tag || kept_apart.iter().any(|kept| tag.starts_with(kept)), "{path}: {tag}");
    }
}
