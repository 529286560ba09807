//! The panel in a real browser: from the printed link to a chat in both directions in six actions, what every
//! page looks like, and whether everybody can use it.
//!
//! `WABRIDGE_TEST_CHROMEDRIVER` names the ChromeDriver, `WABRIDGE_TEST_AXE` the file `axe.min.js` of axe-core;
//! without them the tests say that they are skipped.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fantoccini::Client;
use fantoccini::key::Key;
use serde_json::json;
use wabridge::access::Role;
use wabridge::domain::call::{CallMoment, EndCause, EndedBy};
use wabridge::sandbox::portal::{Author, PortalOptions};

use crate::support::browser::{Browser, find, holds};
use crate::support::calls::{answered, end, forwarded};
use crate::support::panel::{PASSWORD, Panel, invite};
use crate::support::{ACCESS_TOKEN, APP_SECRET, CLIENT_ID, Options, PHONE_ID, TestApp, WABA_ID, anna};

const WIDTHS: [u32; 2] = [1280, 390];

fn skipped(what: &str) {
    // Past the harness, which would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

fn driver() -> Option<PathBuf> {
    let driver = std::env::var_os("WABRIDGE_TEST_CHROMEDRIVER").map(PathBuf::from);
    if driver.is_none() {
        skipped("the browser tests of the panel: WABRIDGE_TEST_CHROMEDRIVER is not set");
    }
    driver
}

/// Somebody who fills in forms and counts how often it takes a button.
struct Hands<'a> {
    page: &'a Client,
    actions: usize,
}

impl Hands<'_> {
    async fn type_in(&self, field: &str, text: &str) {
        let field = find(self.page, &format!("#f-{field}")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses a button that changes something: an action.
    async fn press(&mut self, button: &str) {
        find(self.page, button).await.click().await.unwrap();
        self.actions += 1;
    }

    /// Follows a link: no action.
    async fn follow(&self, link: &str) {
        find(self.page, link).await.click().await.unwrap();
    }

    async fn read(&self, element: &str) -> String {
        find(self.page, element).await.text().await.unwrap()
    }
}

#[tokio::test]
async fn from_the_printed_link_to_a_chat_in_both_directions_it_takes_six_actions() {
    let Some(driver) = driver() else { return };
    let mut app = TestApp::with(Options { unlinked: true, ..Options::default() }).await;
    let browser = Browser::open(&driver).await;
    let page = &browser.client;
    let mut hands = Hands { page, actions: 0 };

    page.goto(&format!("{}{}", app.base_url, invite(&app, Role::Admin).await)).await.unwrap();
    hands.type_in("name", "Ann").await;
    hands.type_in("password", PASSWORD).await;
    hands.type_in("repeat", PASSWORD).await;
    hands.press("main form button").await;

    hands.follow("li.next a[href='/admin/apps/new']").await;
    hands.type_in("client_id", CLIENT_ID).await;
    hands.type_in("client_secret", APP_SECRET).await;
    hands.type_in("access_token", ACCESS_TOKEN).await;
    hands.press("main form.fields button.main").await;

    // What the page shows goes into Meta's dashboard.
    let (url, token) = (hands.read("#callback-url").await, hands.read("#verify-token").await);
    app.cloud.set_callback(CLIENT_ID, &url, &token).await.unwrap();
    hands.follow("a[href^='/admin/wabas/new']").await;
    hands.type_in("waba_id", WABA_ID).await;
    hands.press("main form.fields button.main").await;
    hands.press("#choose-phones").await;

    // What the page shows goes into Bitrix24, and what that shows comes back.
    hands.follow("li.next a[href='/admin/portal-apps/new']").await;
    let (handler, install) = (hands.read("#handler-url").await, hands.read("#install-url").await);
    let scopes = hands.read(".scopes").await;
    let scopes: Vec<&str> = scopes.split_whitespace().chain(["crm", "messageservice"]).collect();
    let local = app.portal.create_local_app(&handler, &install, true, &scopes);
    hands.type_in("client_id", &local.client_id).await;
    hands.type_in("client_secret", &local.client_secret).await;
    hands.press("main form.fields button.main").await;
    find(page, "#arrival .pulse").await;
    let installed = app.portal.install(&local.client_id).await;
    assert_eq!(installed.status, Some(200), "{installed:?}");
    app.portal.finish_install(&local.client_id);

    // The page notices by itself.
    hands.press("#arrival #link-line").await;
    find(page, ".map .stop[href^='/admin/portals/']").await;
    assert_eq!(hands.actions, 6);

    app.line = app.relay.directory.now().bindings[0].line.to_string();
    app.customer_writes(&anna(), "Is the blue one in stock?");
    let chat = app.chat_of("Anna").await;
    app.line_has(&chat, 1).await;
    app.operator(&chat, "Yes, it is", Vec::new());
    app.customer_has(&anna(), 1).await;
    assert!(app.conversation(&chat).iter().any(|entry| entry.author != Author::System));
    app.settled().await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test]
async fn the_middle_of_a_picture_is_shown_before_it_becomes_the_profiles() {
    let Some(driver) = driver() else { return };
    let app = TestApp::start().await;
    let browser = Browser::open(&driver).await;
    let page = &browser.client;
    page.goto(&format!("{}{}", app.base_url, invite(&app, Role::Admin).await)).await.unwrap();
    let hands = Hands { page, actions: 0 };
    for (field, text) in [("name", "Ann"), ("password", PASSWORD), ("repeat", PASSWORD)] {
        hands.type_in(field, text).await;
    }
    hands.follow("main form button").await;
    find(page, ".numbers").await;
    page.goto(&format!("{}/admin/phones/{}/profile", app.base_url, app.phone_id())).await.unwrap();
    // A picture that is no square.
    let oblong = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/img/panel-home.png");
    find(page, "#f-picture").await.send_keys(oblong.to_str().unwrap()).await.unwrap();
    let crop = "const crop = document.querySelector('[data-picture] canvas');
        return !crop.hidden && crop.width === 640 && crop.height === 640";
    holds(page, crop, &[]).await;
    find(page, "[data-picture] button").await.click().await.unwrap();
    let shown = "return document.body.textContent.includes('see a picture')";
    holds(page, shown, &[]).await;
    browser.close().await;
    app.stop().await;
}

/// Presses a key where the focus is.
async fn key(page: &Client, key: Key) {
    let here = page.active_element().await.unwrap();
    here.send_keys(&char::from(key).to_string()).await.unwrap();
}

/// Goes on with Tab until the focus is there.
async fn tab_to(page: &Client, selector: &str) {
    for _ in 0..60 {
        key(page, Key::Tab).await;
        let there = "return document.activeElement.matches(arguments[0])";
        if page.execute(there, vec![json!(selector)]).await.unwrap() == json!(true) {
            return;
        }
    }
    panic!("{selector} is not reached with Tab");
}

#[tokio::test]
async fn the_panel_is_used_with_the_keyboard_alone() {
    let Some(driver) = driver() else { return };
    let app = TestApp::with(Options { unlinked: true, ..Options::default() }).await;
    let browser = Browser::open(&driver).await;
    let page = &browser.client;
    page.set_window_size(390, 900).await.unwrap();
    page.goto(&format!("{}{}", app.base_url, invite(&app, Role::Admin).await)).await.unwrap();
    tab_to(page, "a.skip").await;
    key(page, Key::Enter).await;
    for (field, text) in [("name", "Ann"), ("password", PASSWORD), ("repeat", PASSWORD)] {
        tab_to(page, &format!("#f-{field}")).await;
        page.active_element().await.unwrap().send_keys(text).await.unwrap();
    }
    key(page, Key::Enter).await;
    find(page, ".numbers").await;
    // The menu of a narrow page opens and closes too.
    tab_to(page, ".drawer summary").await;
    key(page, Key::Enter).await;
    tab_to(page, ".menu a[href='/admin/doctor/']").await;
    key(page, Key::Enter).await;
    find(page, "form[action='/admin/doctor/check'] button").await;
    tab_to(page, "form[action='/admin/doctor/check'] button").await;
    key(page, Key::Space).await;
    find(page, "main [role='status']").await;
    find(page, "ul.findings").await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_fits_both_widths_and_has_no_serious_fault_for_anybody() {
    let Some(driver) = driver() else { return };
    let portal = PortalOptions { rate: None, ..PortalOptions::default() };
    let app = TestApp::with_calls_and(Options { portal: Some(portal), ..Options::default() }).await;
    lived_in(&app).await;
    let axe = std::env::var_os("WABRIDGE_TEST_AXE").map(|path| std::fs::read_to_string(path).unwrap());
    if axe.is_none() {
        skipped("axe-core on the pages of the panel: WABRIDGE_TEST_AXE is not set");
    }
    let pages = pages(&app).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
    std::fs::create_dir_all(&folder).unwrap();
    let mut faults = Vec::new();
    for (scheme, argument, language) in [("light", "1", "en"), ("dark", "0", "en"), ("russian", "1", "ru")] {
        let browser =
            Browser::with(&driver, &[&format!("--blink-settings=preferredColorScheme={argument}")]).await;
        let page = &browser.client;
        let link = invite(&app, Role::Admin).await;
        page.goto(&format!("{}{link}", app.base_url)).await.unwrap();
        look(page, &folder, &format!("invite-{scheme}"), axe.as_deref(), &mut faults).await;
        let hands = Hands { page, actions: 0 };
        hands.type_in("name", "Ann").await;
        hands.type_in("password", PASSWORD).await;
        hands.type_in("repeat", PASSWORD).await;
        find(page, "main form button").await.click().await.unwrap();
        find(page, ".numbers").await;
        speaks(&app, language).await;
        for (name, path) in &pages {
            page.goto(&format!("{}{path}", app.base_url)).await.unwrap();
            find(page, "h1").await;
            look(page, &folder, &format!("{name}-{scheme}"), axe.as_deref(), &mut faults).await;
        }
        let app_page = format!("/admin/apps/{}/", app.relay.directory.now().apps[0].id);
        page.goto(&format!("{}{app_page}", app.base_url)).await.unwrap();
        find(page, "form[action$='/facebook'] button").await.click().await.unwrap();
        find(page, "#facebook-dialog").await;
        look(page, &folder, &format!("facebook-{scheme}"), axe.as_deref(), &mut faults).await;
        for (name, file) in inside(&app).await {
            page.goto(&format!("file://{}", file.path().display())).await.unwrap();
            find(page, "h1").await;
            look(page, &folder, &format!("{name}-{scheme}"), axe.as_deref(), &mut faults).await;
        }
        page.goto(&format!("{}/admin/", app.base_url)).await.unwrap();
        find(page, "form.who button").await.click().await.unwrap();
        find(page, "#f-password").await;
        look(page, &folder, &format!("login-{scheme}"), axe.as_deref(), &mut faults).await;
        browser.close().await;
    }
    assert!(faults.is_empty(), "{faults:#?}");
    app.stop().await;
}

/// Ann's pages are in this language from now on.
async fn speaks(app: &TestApp, language: &str) {
    let mut panel = Panel::new(app);
    panel.submit("/admin/login/", "/admin/login/", &[("name", "Ann"), ("password", PASSWORD)]).await;
    let set = panel.submit("/admin/account/", "/admin/account/language", &[("language", language)]).await;
    assert_eq!(set.location, "/admin/account/?done=saved", "{}", set.html);
    assert!(panel.page("/admin/").await.says(&format!("<html lang=\"{language}\"")));
}

/// The pages inside the portal, as files: they come by a form of the portal's frame.
async fn inside(app: &TestApp) -> Vec<(&'static str, tempfile::NamedTempFile)> {
    let line = app.line.clone();
    let mut pages = Vec::new();
    for (name, place, line, admin) in [
        ("inside-settings", "DEFAULT", None, true),
        ("inside-connector", "SETTING_CONNECTOR", Some(line.as_str()), true),
        ("inside-refused", "DEFAULT", None, false),
    ] {
        let page = app.portal.open_page(app.client_id(), place, line, admin).await;
        let mut file = tempfile::Builder::new().suffix(".html").tempfile().unwrap();
        file.write_all(page.html.as_bytes()).unwrap();
        pages.push((name, file));
    }
    pages
}

/// Some life for the pictures.
async fn lived_in(app: &TestApp) {
    let chat = app.opened(&anna()).await;
    app.operator(&chat, "Yes, the blue one is in stock. Shall we put it aside for you?", Vec::new());
    app.customer_has(&anna(), 1).await;
    app.customer_writes(&anna(), "Please do! I come by on Friday.");
    app.line_has(&chat, 3).await;
    let mut call = app.customer_calls(&anna());
    let end = end(EndedBy::Contact, EndCause::HungUp);
    app.goes_on(&mut call, vec![forwarded(), CallMoment::Ringing, answered(Some("sip:101@pbx")), end]);
    app.call_is(&call, "ended").await;
    for (id, name, status) in
        [("594425479261596", "order_ready", "APPROVED"), ("5", "spring_sale", "REJECTED")]
    {
        app.cloud.add_template(
            WABA_ID,
            json!({"id": id, "name": name, "language": "en_US", "status": status, "category": "UTILITY",
                   "parameter_format": "POSITIONAL", "components": [
                       {"type": "HEADER", "format": "TEXT", "text": "Good news"},
                       {"type": "BODY", "text": "Hello {{1}}, your order {{2}} is ready to be fetched.",
                        "example": {"body_text": [["Ann", "860198"]]}},
                       {"type": "FOOTER", "text": "The flower shop"},
                       {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "On my way"}]}]}),
        );
    }
    app.api.post("/templates/sync", json!({})).await;
    // Something to repair, and something to be told of.
    app.cloud.unsubscribe(WABA_ID, CLIENT_ID);
    app.cloud.set_phone(PHONE_ID, json!({"quality_rating": "YELLOW"}));
    app.api.get("/doctor").await;
    // An event that nobody expects is kept.
    app.cloud.post_change(WABA_ID, "something_new", json!({"of": "tomorrow"}));
    app.webhooks_taken().await;
    app.settled().await;
}

async fn pages(app: &TestApp) -> Vec<(&'static str, String)> {
    let snapshot = app.relay.directory.now();
    let message = app.ledger().await[0].id.clone();
    let job = app.jobs_of("message").await[0].id.clone();
    let phone = app.phone_id();
    let call = app.api.get("/calls").await["items"][0]["id"].as_str().unwrap().to_owned();
    let event = app.api.get("/events").await["items"][0]["id"].as_str().unwrap().to_owned();
    let template = app.api.get("/templates").await["items"][0]["id"].as_str().unwrap().to_owned();
    vec![
        ("home", "/admin/".into()),
        ("apps", "/admin/apps/".into()),
        ("app-new", "/admin/apps/new".into()),
        ("app", format!("/admin/apps/{}/", snapshot.apps[0].id)),
        ("wabas", "/admin/wabas/".into()),
        ("waba-new", "/admin/wabas/new".into()),
        ("waba", format!("/admin/wabas/{}/", snapshot.wabas[0].key)),
        ("phones", "/admin/phones/".into()),
        ("phone", format!("/admin/phones/{phone}/")),
        ("phone-registration", format!("/admin/phones/{phone}/registration")),
        ("phone-profile", format!("/admin/phones/{phone}/profile")),
        ("portal-apps", "/admin/portal-apps/".into()),
        ("portal-app-new", "/admin/portal-apps/new".into()),
        ("portal-app", format!("/admin/portal-apps/{}/", snapshot.portal_apps[0].id)),
        ("portals", "/admin/portals/".into()),
        ("portal", format!("/admin/portals/{}/", snapshot.portals[0].id)),
        ("lines", "/admin/lines/".into()),
        ("calls", "/admin/calls/".into()),
        ("call", format!("/admin/calls/{call}/")),
        ("templates", "/admin/templates/".into()),
        ("template", format!("/admin/templates/{template}/")),
        ("template-new", "/admin/templates/new".into()),
        ("template-edit", format!("/admin/templates/{template}/edit")),
        ("messages", "/admin/messages/".into()),
        ("message", format!("/admin/messages/{message}/")),
        ("events", "/admin/events/".into()),
        ("event", format!("/admin/events/{event}/")),
        ("jobs", "/admin/jobs/?state=".into()),
        ("job", format!("/admin/jobs/{job}/")),
        ("links", "/admin/links/?text=Hello".into()),
        ("doctor", "/admin/doctor/".into()),
        ("administrators", "/admin/administrators/".into()),
        ("sessions", "/admin/sessions/".into()),
        ("audit", "/admin/audit/".into()),
        ("account", "/admin/account/".into()),
        ("refusal", "/admin/nothing/".into()),
    ]
}

/// Takes a picture at both widths, and asks axe-core once.
async fn look(page: &Client, folder: &Path, name: &str, axe: Option<&str>, faults: &mut Vec<String>) {
    for width in WIDTHS {
        page.set_window_size(width, 900).await.unwrap();
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        holds(page, fits, &[]).await;
        let whole = "return document.documentElement.scrollHeight + outerHeight - innerHeight";
        let height = page.execute(whole, Vec::new()).await.unwrap();
        let height = u32::try_from(height.as_u64().unwrap()).unwrap().clamp(400, 6000);
        page.set_window_size(width, height).await.unwrap();
        let picture = page.screenshot().await.unwrap();
        std::fs::write(folder.join(format!("{name}-{width}.png")), picture).unwrap();
        if let Some(axe) = axe {
            page.execute(axe, Vec::new()).await.unwrap();
            let found = page.execute_async(AXE, Vec::new()).await.unwrap();
            for fault in found.as_array().unwrap_or(&vec![json!(found.to_string())]) {
                faults.push(format!("{name} at {width}: {}", fault.as_str().unwrap_or("?")));
            }
        }
    }
}

/// Serious and critical faults as sentences.
const AXE: &str = "const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(result => done(result.violations
    .filter(fault => ['serious', 'critical'].includes(fault.impact))
    .map(fault => fault.id + ': ' + fault.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | '))),
    error => done([String(error)]));";
