//! Names, texts and errors full of markup, quotes and right-to-left marks, on every page of the panel.

use std::collections::BTreeSet;

use serde_json::json;
use wabridge::access::Role;
use wabridge::store::{self, events, jobs};

use crate::support::panel::Panel;
use crate::support::{PHONE_ID, TestApp};

/// What somebody may call themselves.
const EVIL: &str = "\u{202e}<script>alert(1)</script>\"onmouseover='x'&{{7*7}}\u{2066}";
const EVIL_SHORT: &str = "<img src=x onerror=alert(1)>\u{202e}\"'";

#[tokio::test]
async fn what_others_write_is_text_on_every_page() {
    let app = TestApp::start().await;
    prepare(&app).await;
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
            if link.starts_with("/admin/") && !link.starts_with("/admin/assets/") {
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
        let before = &html[..at];
        let (opened, closed) = (before.rfind('<').unwrap(), before.rfind('>').unwrap());
        let tag = &before[opened..];
        let kept_apart = ["<bdi", "<pre", "<option", "<textarea", "<p class=\"bubble", "<title"];
        let inside_a_tag = opened > closed;
        assert!(inside_a_tag || kept_apart.iter().any(|kept| tag.starts_with(kept)), "{path}: {tag}");
    }
}
