//! The pages of the panel, over HTTP: from nothing to a linked line, forms with faults, the ledger, dead
//! letters, links, the audit log, and the page inside the portal.

use serde_json::{Value, json};
use wabridge::access::Role;
use wabridge::store::{audit, jobs};

use crate::support::panel::{Page, Panel};
use crate::support::{
    ACCESS_TOKEN, APP_SECRET, CLIENT_ID, Options, PHONE_ID, PHONE_NUMBER, TestApp, WABA_ID, anna,
};

async fn bare() -> (TestApp, Panel) {
    let app = TestApp::with(Options { unlinked: true, ..Options::default() }).await;
    let panel = Panel::enter(&app, "Ann", Role::Admin).await;
    (app, panel)
}

async fn linked() -> (TestApp, Panel) {
    let app = TestApp::start().await;
    let panel = Panel::enter(&app, "Ann", Role::Admin).await;
    (app, panel)
}

fn app_form() -> Vec<(&'static str, &'static str)> {
    vec![
        ("name", "Test"),
        ("site", "127.0.0.1"),
        ("client_id", CLIENT_ID),
        ("client_secret", APP_SECRET),
        ("access_token", ACCESS_TOKEN),
        ("graph_version", ""),
    ]
}

async fn audit_of(app: &TestApp) -> Vec<audit::AuditRow> {
    let page = wabridge::store::Page { limit: 1000, cursor: None };
    let filter = audit::AuditFilter::default();
    app.relay.db.read(move |conn| audit::list(conn, &filter, &page)).await.unwrap()
}

#[tokio::test]
async fn an_app_shows_callback_url_and_verify_token_once_meta_has_taken_its_token() {
    let (app, mut panel) = bare().await;
    let new = panel.page("/admin/apps/new").await;
    assert!(new.says("value=\"127.0.0.1\""), "the site is known already");
    let saved = panel.submit("/admin/apps/new", "/admin/apps/new", &app_form()).await;
    assert!(saved.location.ends_with("?done=created"), "{} {}", saved.status, saved.html);
    let page = panel.page(&saved.location).await;
    let known = app.relay.directory.now().apps[0].clone();
    assert!(page.says(&format!("<code id=\"verify-token\">{}</code>", known.verify_token.expose())));
    assert!(page.says(&format!("/api/waba/?api-key={}</code>", known.api_key)), "{}", page.html);
    for secret in [APP_SECRET, ACCESS_TOKEN] {
        assert!(!page.says(secret), "what was stored is not shown again");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_form_tells_every_fault_and_keeps_what_was_typed() {
    let (app, mut panel) = bare().await;
    let fields = [
        ("name", "Kept <i>"),
        ("site", "https://bridge.example/x"),
        ("client_id", "no id"),
        ("client_secret", "typed-secret"),
        ("access_token", ""),
        ("graph_version", "25"),
        ("save_events", "on"),
    ];
    let page = panel.submit("/admin/apps/new", "/admin/apps/new", &fields).await;
    assert_eq!(page.status, 422);
    for told in [
        "Must be a host name",
        "Must be an id without spaces",
        "Must not be empty",
        "Must be a version of the Graph API",
        "value=\"Kept &#60;i&#62;\"",
        "value=\"https://bridge.example/x\"",
        "value=\"typed-secret\"",
        "id=\"f-save_events\" checked",
    ] {
        assert!(page.says(told), "{told}: {}", page.html);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_meta_refuses_is_told_and_not_half_stored() {
    let (app, mut panel) = bare().await;
    let mut fields = app_form();
    fields[4].1 = "EAAG-of-nobody";
    let page = panel.submit("/admin/apps/new", "/admin/apps/new", &fields).await;
    assert_eq!(page.status, 502, "{}", page.html);
    assert!(page.says("Meta:") && page.says("value=\"Test\""), "{}", page.html);
    assert!(app.relay.directory.now().apps.is_empty());

    panel.submit("/admin/apps/new", "/admin/apps/new", &app_form()).await;
    let id = app.relay.directory.now().apps[0].id.to_string();
    let fields = [("app_id", id.as_str()), ("waba_id", "999999999999999")];
    let page = panel.submit("/admin/wabas/new", "/admin/wabas/new", &fields).await;
    assert_eq!(page.status, 502, "{}", page.html);
    assert!(app.relay.directory.now().wabas.is_empty());
    assert!(audit_of(&app).await.iter().all(|row| row.object != "waba"));
    app.stop().await;
}

#[tokio::test]
async fn numbers_are_chosen_from_a_list() {
    let (app, mut panel) = bare().await;
    app.cloud.add_phone(WABA_ID, "106540352242923", "+1 555-078-3882", "Lucky Two");
    panel.submit("/admin/apps/new", "/admin/apps/new", &app_form()).await;
    let id = app.relay.directory.now().apps[0].id.to_string();
    let fields = [("app_id", id.as_str()), ("waba_id", WABA_ID)];
    let saved = panel.submit("/admin/wabas/new", "/admin/wabas/new", &fields).await;
    let waba = saved.location.trim_end_matches("?done=created").to_owned();
    let page = panel.page(&waba).await;
    assert!(page.says("+1 555-078-3881") && page.says("Lucky Two"), "{}", page.html);
    let choose = format!("{waba}phones");
    let none = panel.submit(&waba, &choose, &[]).await;
    assert!(none.says("Tick at least one number"), "{}", none.html);
    let value = format!("{PHONE_ID}:{PHONE_NUMBER}");
    let chosen = panel.submit(&waba, &choose, &[("phone", &value)]).await;
    assert_eq!(chosen.location, "/admin/?done=created", "{}", chosen.html);
    assert_eq!(app.relay.directory.now().phones[0].number, PHONE_NUMBER);
    assert!(panel.page(&waba).await.says("is used here"));
    let wrong = panel.submit(&waba, &choose, &[("phone", "106540352242923:1000000")]).await;
    assert_eq!(wrong.status, 422);
    app.stop().await;
}

#[tokio::test]
async fn of_two_administrators_who_save_at_once_the_second_is_told() {
    let (app, mut ann) = linked().await;
    let mut bob = Panel::enter(&app, "Bob", Role::Admin).await;
    let path = format!("/admin/phones/{}/", app.phone_id());
    let (seen_by_ann, seen_by_bob) = (ann.page(&path).await, bob.page(&path).await);
    let form = |page: &Page, language: &'static str| {
        let fields = [
            ("csrf", page.csrf()),
            ("version", page.hidden("version")),
            ("closed_window", "tell".into()),
            ("system_messages", "drop".into()),
            ("signature", "keep".into()),
            ("default_language", language.into()),
        ];
        fields.map(|(name, value): (&str, String)| (name, value))
    };
    let send = |fields: &[(&'static str, String)]| -> Vec<(&'static str, String)> { fields.to_vec() };
    let first = send(&form(&seen_by_ann, "en_US"));
    let first: Vec<(&str, &str)> = first.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(ann.post(&path, &first).await.status, 303);
    let second = send(&form(&seen_by_bob, "de"));
    let second: Vec<(&str, &str)> = second.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let told = bob.post(&path, &second).await;
    assert_eq!(told.status, 409);
    assert!(
        told.says("Somebody else has changed this meanwhile") && told.says("value=\"de\""),
        "{}",
        told.html
    );
    let row = app.relay.directory.now().phones[0].row.clone();
    assert_eq!((row.default_language.as_deref(), row.signature.as_str()), (Some("en_US"), "keep"));
    app.stop().await;
}

#[tokio::test]
async fn the_audit_log_names_panel_and_api_and_hides_secrets() {
    let (app, mut panel) = linked().await;
    let id = app.relay.directory.now().apps[0].id.to_string();
    let path = format!("/admin/apps/{id}/");
    let version = panel.page(&path).await.hidden("version");
    let fields = [
        ("version", version.as_str()),
        ("name", "Renamed"),
        ("site", "127.0.0.1"),
        ("access_token", ACCESS_TOKEN),
    ];
    assert_eq!(panel.submit(&path, &path, &fields).await.status, 303);
    let rows = audit_of(&app).await;
    let change = rows.iter().find(|row| row.object == "app" && row.action == "change").unwrap();
    assert_eq!((change.actor_kind.as_str(), change.actor.as_str()), ("administrator", "Ann"));
    let (before, after): (Value, Value) = (
        serde_json::from_str(&change.state_before).unwrap(),
        serde_json::from_str(&change.state_after).unwrap(),
    );
    assert_eq!((&before["name"], &after["name"]), (&json!("Test"), &json!("Renamed")));
    assert_eq!(after["access_token"], json!("••••"));
    let by_api: Vec<(&str, &str)> = rows
        .iter()
        .filter(|row| row.actor_kind == "token" && row.actor == "test")
        .map(|row| (row.object.as_str(), row.action.as_str()))
        .collect();
    for made in [
        ("app", "create"),
        ("waba", "create"),
        ("phone", "create"),
        ("portal_app", "create"),
        ("line", "link"),
    ] {
        assert!(by_api.contains(&made), "{made:?} in {by_api:?}");
    }
    let page = panel.page("/admin/audit/").await;
    assert!(page.says("Renamed") && !page.says(ACCESS_TOKEN) && !page.says(APP_SECRET) && !page.says("v1:"));
    app.stop().await;
}

#[tokio::test]
async fn a_message_is_found_by_number_text_wamid_and_state_and_tells_its_way() {
    let (app, mut panel) = linked().await;
    let chat = app.opened(&anna()).await;
    app.operator(&chat, "Your order has left the house", Vec::new());
    app.customer_has(&anna(), 1).await;
    app.settled().await;
    let wamid = app.ledger().await[0].wamid.clone().unwrap();
    for (query, found) in [
        ("q=5551234", true),
        ("q=%2B1+650-555-1234", true),
        ("q=anna", true),
        ("q=ORDER+has", true),
        ("q=100%25", false),
        ("q=nobody", false),
        ("status=failed", false),
        ("direction=outbound", true),
    ] {
        let page = panel.page(&format!("/admin/messages/?{query}")).await;
        assert_eq!(page.says("Your order has left"), found, "{query}: {}", page.html);
    }
    let page =
        panel.page(&format!("/admin/messages/?q={}", wamid.replace('=', "%3D").replace('+', "%2B"))).await;
    assert!(page.says("Good morning") && !page.says("Your order"), "{}", page.html);
    let id = app.ledger().await[0].id.clone();
    let page = panel.page(&format!("/admin/messages/{id}/")).await;
    for told in ["Received from Meta", "Stored", "Translated and taken by Bitrix24", "Good morning", &wamid] {
        assert!(page.says(told), "{told}: {}", page.html);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_looked_at_run_again_or_given_up_with_a_reason() {
    let app = TestApp::with(Options { leaves_jobs: true, ..Options::default() }).await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    let now = app.clock.now();
    let dead = app.relay.db.write(move |tx| {
        let mut ids = Vec::new();
        for number in 0..2 {
            let new = jobs::NewJob {
                kind: "note",
                queue: "line:nobody".into(),
                lane: format!("in:nobody{number}"),
                dedupe_key: None,
                payload: json!({"text": "hello", "access_token": "secret-token"}).to_string(),
                message_id: None,
                not_before: Some(now + chrono::Duration::hours(1)),
            };
            let id = jobs::enqueue(tx, &new, now)?.unwrap();
            jobs::start(tx.conn, std::slice::from_ref(&id), "lease", now + chrono::Duration::hours(1))?;
            let settlement = jobs::Settlement::Dead { error: "the portal said <no>".into() };
            jobs::finish(tx.conn, &id, "lease", &settlement, false, now)?;
            ids.push(id);
        }
        Ok(ids)
    });
    let dead = dead.await.unwrap();
    let page = panel.page("/admin/jobs/").await;
    assert!(page.says("the portal said &#60;no&#62;") && page.says("Run all again"), "{}", page.html);
    let path = format!("/admin/jobs/{}/", dead[0]);
    let page = panel.page(&path).await;
    assert!(page.says("hello") && !page.says("secret-token"), "{}", page.html);
    let drop = format!("{path}drop");
    let told = panel.submit(&path, &drop, &[("reason", " ")]).await;
    assert_eq!(told.status, 422);
    let dropped = panel.submit(&path, &drop, &[("reason", "wrong <number>")]).await;
    assert_eq!(dropped.location, "/admin/jobs/?done=dropped");
    assert!(panel.page(&path).await.says("wrong &#60;number&#62;"));
    let again = panel.submit(&path, &format!("{path}retry"), &[]).await;
    assert_eq!(again.status, 409, "what was given up is not run again");
    let home = panel.page("/admin/").await;
    assert!(home.says("dead letters"));
    let other = panel
        .submit(
            &format!("/admin/jobs/{}/", dead[1]),
            &format!("/admin/jobs/{}/drop", dead[1]),
            &[("reason", "x")],
        )
        .await;
    assert_eq!(other.status, 303);
    app.stop().await;
}

#[tokio::test]
async fn links_qr_and_the_button_bear_the_text_as_text() {
    let (app, mut panel) = linked().await;
    let page = panel.page("/admin/links/?text=Hi+%3Cb%3E+%26+%22you%22&label=%3C%2Fscript%3E%3Cb%3E&color=teal&size=compact&radius=3").await;
    assert!(
        page.says(&format!("https://wa.me/{PHONE_NUMBER}?text=Hi%20%3Cb%3E%20%26%20%22you%22")),
        "{}",
        page.html
    );
    assert!(page.says("<svg") && page.says(&format!("https://wa.me/call/{PHONE_NUMBER}")));
    assert!(!page.says("</script><b>"), "{}", page.html);
    let address = page.html.split("<script src=\"/button/").nth(1).unwrap().split('"').next().unwrap();
    let mut stranger = Panel::new(&app);
    let script =
        stranger.get(&format!("/button/{}", address.replace("&#38;", "&").replace("&amp;", "&"))).await;
    assert_eq!(script.status, 200);
    assert!(script.html.contains("\\u003c/script>") && !script.html.contains("</script"), "{}", script.html);
    assert!(
        script.html.contains("borderRadius:'3px'") && script.html.contains("6px 12px"),
        "{}",
        script.html
    );
    assert_eq!(stranger.get("/button/nothing.js").await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_number_is_verified_registered_and_gets_a_profile() {
    let (app, mut panel) = linked().await;
    app.cloud.set_phone(PHONE_ID, json!({"code_verification_status": "NOT_VERIFIED", "status": "PENDING"}));
    let phone = format!("/admin/phones/{}", app.phone_id());
    let page = format!("{phone}/registration");
    let early = panel.submit(&page, &format!("{phone}/register"), &[("pin", "212834")]).await;
    assert_eq!(early.status, 502);
    assert!(early.says("133006"), "{}", early.html);
    assert_eq!(panel.submit(&page, &format!("{phone}/register"), &[("pin", "12")]).await.status, 422);
    let asked =
        panel.submit(&page, &format!("{phone}/code"), &[("method", "SMS"), ("code_language", "en_US")]).await;
    assert!(asked.location.ends_with("?done=sent"), "{}", asked.html);
    assert_eq!(panel.submit(&page, &format!("{phone}/verify"), &[("code", "000000")]).await.status, 502);
    assert_eq!(panel.submit(&page, &format!("{phone}/verify"), &[("code", "123456")]).await.status, 303);
    assert_eq!(panel.submit(&page, &format!("{phone}/register"), &[("pin", "212834")]).await.status, 303);
    assert_eq!(app.relay.directory.now().phones[0].row.status.as_deref(), Some("CONNECTED"));
    let again = panel.submit(&page, &format!("{phone}/register"), &[("pin", "999999")]).await;
    assert!(again.says("133005") && !again.html.contains("999999 "), "{}", again.html);

    let profile = format!("{phone}/profile");
    let fields = [
        ("about", "Plants & <pots>"),
        ("description", "We sell"),
        ("email", "no-address"),
        ("websites", "ftp://x"),
        ("vertical", "RETAIL"),
    ];
    let told = panel.submit(&profile, &profile, &fields).await;
    assert_eq!(told.status, 422);
    assert!(
        told.says("e-mail address") && told.says("at most two addresses") && told.says("ftp://x"),
        "{}",
        told.html
    );
    let fields = [
        ("about", "Plants & <pots>"),
        ("email", "hello@shop.example"),
        ("websites", "https://shop.example\nhttps://two.example"),
        ("vertical", "RETAIL"),
    ];
    assert_eq!(panel.submit(&profile, &profile, &fields).await.status, 303);
    // Somebody who saw the profile as it was before does not overwrite what was saved meanwhile.
    let mut late = fields.to_vec();
    late.push(("version", "of-before"));
    let told = panel.submit(&profile, &profile, &late).await;
    assert_eq!(told.status, 409, "{}", told.html);
    assert!(told.says("Somebody else has changed this meanwhile"), "{}", told.html);
    let token = panel.page(&profile).await.csrf();
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x40\0\0\x01\x40".to_vec();
    picture.resize(400, 7);
    let path = format!("{phone}/picture");
    assert_eq!(panel.send(&path, &token, b"GIF89a".to_vec()).await.0, 422);
    assert_eq!(panel.send(&path, "", picture.clone()).await.0, 403);
    let mut oblong = picture.clone();
    oblong[23] = 0;
    let (status, told) = panel.send(&path, &token, oblong).await;
    assert_eq!(status, 422);
    assert!(told.contains("square"), "{told}");
    assert_eq!(panel.send(&path, &token, picture).await.0, 204);
    assert!(panel.page(&profile).await.says("see a picture"));
    let page = panel.page(&profile).await;
    assert!(page.says("Plants &#38; &#60;pots&#62;") && page.says("https://two.example"), "{}", page.html);
    app.stop().await;
}

#[tokio::test]
async fn an_administrator_of_the_portal_links_switches_and_unlinks_inside_it() {
    let (app, _) = linked().await;
    let http = crate::support::http_client();
    let opened = app.portal.open_page(app.client_id(), "DEFAULT", None, true).await;
    assert_eq!(opened.status, 200);
    assert!(opened.html.contains(PHONE_NUMBER) && opened.html.contains("Unlink"), "{}", opened.html);
    let header =
        |name: &str| opened.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let policy = header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors http") && policy.contains("script-src 'none'"), "{policy}");
    assert_eq!(header("set-cookie"), None);
    let hidden = |html: &str, name: &str| {
        let mark = format!("name=\"{name}\" value=\"");
        html.split(&mark).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let act = async |html: &str, change: &str| {
        let form = [
            ("ticket", hidden(html, "ticket")),
            ("origin", hidden(html, "origin")),
            ("lang", "en".into()),
            ("phone_id", hidden(html, "phone_id")),
            ("change", change.to_owned()),
            ("line_id", String::new()),
        ];
        let answer = http.post(format!("{}/app-settings/", app.base_url)).form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, html) = act(&opened.html, "sms_on").await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("Saved.") && app.relay.directory.now().phones[0].row.sms_service);
    let (_, html) = act(&html, "unlink").await;
    assert!(html.contains("not linked to a line"), "{html}");
    assert!(app.relay.directory.now().bindings.is_empty());
    let (_, html) = act(&html, "link").await;
    assert!(html.contains("Unlink") && !app.relay.directory.now().bindings.is_empty(), "{html}");
    let rows = audit_of(&app).await;
    assert!(rows.iter().any(|row| row.actor_kind == "portal_user" && row.action == "link"));

    let forged = html.replacen("name=\"ticket\" value=\"", "name=\"ticket\" value=\"x", 1);
    let (status, refused) = act(&forged, "unlink").await;
    assert_eq!(status, 403);
    assert!(refused.contains("open it again"), "{refused}");
    let operator = app.portal.open_page(app.client_id(), "DEFAULT", None, false).await;
    assert!(!operator.html.contains("ticket"), "{}", operator.html);
    let outside = http.get(format!("{}/app-settings/", app.base_url)).send().await.unwrap();
    assert!(outside.text().await.unwrap().contains("opens inside Bitrix24"));
    app.stop().await;
}

#[tokio::test]
async fn a_stream_sends_the_part_again_when_it_changed_and_ends_with_the_bridge() {
    use futures_util::StreamExt as _;
    let (app, panel) = linked().await;
    let http = crate::support::http_client();
    let answer = http
        .get(format!("{}/admin/live/home", app.base_url))
        .header("cookie", format!("wabridge_session={}", panel.session.clone().unwrap()))
        .send()
        .await
        .unwrap();
    let mut chunks = answer.bytes_stream();
    let first = chunks.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("event: part\ndata: <div class=\"numbers\">"));
    app.cloud.set_phone(PHONE_ID, json!({}));
    let phone = app.phone_id();
    app.relay
        .db
        .write(move |tx| {
            let mut row = wabridge::store::phones::get(tx.conn, phone.as_str())?.unwrap();
            row.status = Some("FLAGGED".into());
            wabridge::store::phones::update(tx.conn, &row)
        })
        .await
        .unwrap();
    app.relay.directory.reload().await.unwrap();
    let second =
        tokio::time::timeout(crate::support::DEADLINE, chunks.next()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&second).contains("flagged"));
    app.stop().await;
    while let Some(Ok(_)) = chunks.next().await {}
}

#[tokio::test]
async fn the_token_of_an_app_may_come_from_facebook() {
    let (app, mut panel) = bare().await;
    let mut fields = app_form();
    fields[4].1 = "";
    fields.push(("facebook", "1"));
    let page = panel.submit("/admin/apps/new", "/admin/apps/new", &fields).await;
    assert_eq!(page.status, 200, "{}", page.html);
    let dialog =
        page.html.split("href=\"https://www.facebook.com/").nth(1).unwrap().split('"').next().unwrap();
    let dialog = format!("https://www.facebook.com/{}", dialog.replace("&#38;", "&"));
    let dialog: reqwest::Url = dialog.parse().unwrap();
    assert_eq!(dialog.path(), "/v25.0/dialog/oauth");
    let asked = |name: &str| {
        dialog.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
    };
    let (state, redirect) = (asked("state"), asked("redirect_uri"));
    assert_eq!(redirect, format!("{}/facebook/", app.base_url));
    assert!(asked("scope").contains("whatsapp_business_messaging"));
    let back = |state: &str, code: &str| format!("/facebook/?code={code}&state={state}#_=_");

    // Somebody else's session cannot use it, and neither can a made-up state.
    let code = app.cloud.login_code(CLIENT_ID, &redirect);
    let mut bob = Panel::enter(&app, "Bob", Role::Admin).await;
    let made_up = bob.get(&format!("/admin/facebook/?code={code}&state=made-up")).await;
    assert_eq!(made_up.status, 403);
    assert!(made_up.says("was not asked for"), "{}", made_up.html);

    let mut stranger = Panel::new(&app);
    let landing = stranger.page(&back(&state, &code)).await;
    let next = landing.html.split("url=").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    assert!(next.starts_with("/admin/facebook/?"), "{next}");
    let done = panel.page(&next).await;
    assert!(done.says("has its token from Facebook") && done.says(WABA_ID), "{}", done.html);
    assert_eq!(app.relay.directory.now().apps[0].access_token.expose(), ACCESS_TOKEN);
    assert_eq!(panel.get(&next).await.status, 403, "a replay is refused");

    let denied = panel.get("/admin/facebook/?error=access_denied&error_description=%3Cb%3Eno&state=x").await;
    assert!(denied.says("gave no permission") && denied.says("&#60;b&#62;no"), "{}", denied.html);
    app.stop().await;
}

#[tokio::test]
async fn a_template_shows_its_state_its_bubble_and_the_line_that_sends_it() {
    let (app, mut panel) = linked().await;
    app.cloud.add_template(
        WABA_ID,
        json!({"id": "594425479261596", "name": "order_ready", "language": "en_US", "status": "APPROVED",
               "category": "UTILITY", "parameter_format": "POSITIONAL",
               "components": [{"type": "BODY", "text": "Hello {{1}}, order {{2}} is ready.",
                               "example": {"body_text": [["Pablo", "860198"]]}}]}),
    );
    let synced = panel.submit("/admin/templates/", "/admin/templates/sync", &[]).await;
    assert_eq!(synced.location, "/admin/templates/?done=saved", "{}", synced.html);
    let list = panel.page("/admin/templates/?status=APPROVED").await;
    assert!(list.says("order_ready") && list.says("approved"), "{}", list.html);
    let path = list.html.split("href=\"/admin/templates/").find(|part| part.contains("order_ready")).unwrap();
    let path = format!("/admin/templates/{}", path.split('"').next().unwrap());
    let page = panel.page(&path).await;
    assert!(page.says("Hello Pablo, order 860198 is ready."), "{}", page.html);
    let page = panel.page(&format!("{path}?v=Ann+%3Cb%3E&v=7")).await;
    assert!(page.says("Hello Ann &#60;b&#62;, order 7 is ready."), "{}", page.html);
    assert!(page.says("template-order_ready+en_US+Ann &#60;b&#62;|7"), "{}", page.html);
    let file = panel.page("/admin/templates.csv").await;
    assert!(file.says("order_ready,en_US,APPROVED"), "{}", file.html);
    let gone = panel.submit(&path, &format!("{path}delete"), &[]).await;
    assert_eq!(gone.location, "/admin/templates/?done=deleted");
    assert!(audit_of(&app).await.iter().any(|row| row.object == "template" && row.action == "delete"));
    app.stop().await;
}
