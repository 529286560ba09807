//! The doors of the panel: who comes in, who stays out, and what each may do.

use wabridge::access::Role;
use wabridge::config::Config;

use crate::support::panel::{PASSWORD, Panel, invite};
use crate::support::{Options, TestApp};

type Change = Box<dyn FnOnce(&mut Config) + Send>;

async fn bare() -> TestApp {
    TestApp::with(Options { unlinked: true, ..Options::default() }).await
}

#[tokio::test]
async fn a_link_sets_the_first_password_once_and_a_replay_is_refused_with_a_sentence() {
    let app = bare().await;
    let link = invite(&app, Role::Admin).await;
    let mut panel = Panel::new(&app);
    assert!(panel.page("/admin/login/").await.says("wabridge admin invite"));
    for (password, repeat, why) in [
        ("short", "short", "At least 12 characters"),
        ("passwordpassword", "passwordpassword", "everybody tries"),
        (PASSWORD, "something else", "not the same"),
    ] {
        let fields = [("name", "Ann <b>"), ("password", password), ("repeat", repeat)];
        let page = panel.submit(&link, &link, &fields).await;
        assert_eq!(page.status, 422, "{}", page.html);
        assert!(page.html.to_lowercase().contains(&why.to_lowercase()), "{why}: {}", page.html);
        assert!(page.says("value=\"Ann &#60;b&#62;\""), "what was typed is kept: {}", page.html);
    }
    let fields = [("name", "Ann"), ("password", PASSWORD), ("repeat", PASSWORD)];
    let done = panel.submit(&link, &link, &fields).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/admin/"));
    assert!(panel.page("/admin/").await.says("Ann"));

    let mut other = Panel::new(&app);
    let replayed = other.get(&link).await;
    assert_eq!(replayed.status, 404);
    assert!(replayed.says("used already or has expired"), "{}", replayed.html);
    let replayed = other.submit("/admin/login/", &link, &fields).await;
    assert_eq!((replayed.status, other.session.is_some()), (404, false));
    app.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_a_link_of_the_machine_and_ends_all_sessions() {
    let app = bare().await;
    let mut old = Panel::enter(&app, "Ann", Role::Admin).await;
    let mut new = Panel::enter(&app, "ANN", Role::Admin).await;
    assert_eq!(old.get("/admin/").await.status, 303);
    new.page("/admin/").await;
    // A link that the panel gave does not take over a name.
    let page =
        new.submit("/admin/administrators/", "/admin/administrators/invite", &[("role", "operator")]).await;
    let link = page.html.split("<code>").nth(1).unwrap().split("</code>").next().unwrap();
    let link = link.strip_prefix(&app.base_url).unwrap();
    let mut thief = Panel::new(&app);
    let fields = [("name", "ann"), ("password", PASSWORD), ("repeat", PASSWORD)];
    let refused = thief.submit(link, link, &fields).await;
    assert_eq!(refused.status, 422);
    assert!(refused.says("name is taken"), "{}", refused.html);
    app.stop().await;
}

#[tokio::test]
async fn wrong_passwords_are_counted_and_then_not_even_looked_at() {
    let app = bare().await;
    Panel::enter(&app, "Ann", Role::Admin).await;
    let mut panel = Panel::new(&app);
    let mut told = Vec::new();
    for _ in 0..9 {
        let fields = [("name", "ann"), ("password", "wrong wrong wrong")];
        let page = panel.submit("/admin/login/", "/admin/login/", &fields).await;
        told.push(page.status);
        assert!(page.says("value=\"ann\""), "the name is kept");
    }
    assert_eq!(told, [401, 401, 401, 401, 401, 401, 401, 401, 429]);
    let right = [("name", "Ann"), ("password", PASSWORD)];
    let late = panel.submit("/admin/login/", "/admin/login/", &right).await;
    assert_eq!(late.status, 429);
    assert!(late.says("wait ten minutes"), "{}", late.html);
    app.stop().await;
}

#[tokio::test]
async fn a_stranger_who_tries_a_name_keeps_nobody_else_out() {
    let proxy = wabridge::config::Network::parse("127.0.0.1").unwrap();
    let config: Change = Box::new(move |config| config.http.trusted_proxies = vec![proxy]);
    let app = TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await;
    Panel::enter(&app, "Ann", Role::Admin).await;
    let mut panel = Panel::new(&app);
    let csrf = panel.get("/admin/login/").await.csrf();
    let mut from = async |source: &str, password: &str| {
        let fields = [("csrf", csrf.as_str()), ("name", "Ann"), ("password", password)];
        panel.post_from("/admin/login/", &fields, &[("x-forwarded-for", source)]).await.status
    };
    for _ in 0..8 {
        assert_eq!(from("203.0.113.7", "wrong wrong wrong").await, 401);
    }
    assert_eq!(from("203.0.113.7", PASSWORD).await, 429);
    assert_eq!(from("198.51.100.1", PASSWORD).await, 303);
    app.stop().await;
}

#[tokio::test]
async fn a_name_of_more_than_60_letters_is_refused_at_both_doors() {
    let app = bare().await;
    let (fits, long) = ("ж".repeat(60), "ж".repeat(61));
    let mut panel = Panel::new(&app);
    let link = &invite(&app, Role::Admin).await;
    let refused =
        panel.submit(link, link, &[("name", &long), ("password", PASSWORD), ("repeat", PASSWORD)]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.says("1 to 60 printable characters") && refused.says(&long), "{}", refused.html);
    let taken =
        panel.submit(link, link, &[("name", &fits), ("password", PASSWORD), ("repeat", PASSWORD)]).await;
    assert_eq!(taken.status, 303);
    let mut other = Panel::new(&app);
    // Not even counted: nobody is called so.
    for _ in 0..30 {
        let fields = [("name", long.as_str()), ("password", PASSWORD)];
        assert_eq!(other.submit("/admin/login/", "/admin/login/", &fields).await.status, 401);
    }
    let fields = [("name", fits.as_str()), ("password", PASSWORD)];
    assert_eq!(other.submit("/admin/login/", "/admin/login/", &fields).await.status, 303);
    app.stop().await;
}

#[tokio::test]
async fn a_session_is_new_with_each_login_and_gone_after_the_logout() {
    let app = bare().await;
    Panel::enter(&app, "Ann", Role::Admin).await;
    let mut panel = Panel::new(&app);
    panel.get("/admin/login/").await;
    // Somebody has planted a token.
    panel.session = Some("planted-planted-planted".into());
    let fields = [("name", "Ann"), ("password", PASSWORD)];
    let page = panel.submit("/admin/login/", "/admin/login/", &fields).await;
    assert_eq!(page.location, "/admin/");
    let token = panel.session.clone().unwrap();
    assert_ne!(token, "planted-planted-planted");
    let cookie = page.headers.get("set-cookie").unwrap().to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && cookie.contains("Path=/admin"), "{cookie}");

    let out = panel.submit("/admin/", "/admin/logout/", &[]).await;
    assert_eq!((out.status, panel.session.is_some()), (303, false));
    panel.session = Some(token);
    let stale = panel.get("/admin/apps/").await;
    assert_eq!(stale.location, "/admin/login/?why=expired&next=/admin/apps/");
    assert!(panel.page(&stale.location).await.says("session has expired"));
    app.stop().await;
}

#[tokio::test]
async fn a_login_leads_nowhere_but_into_the_panel() {
    let app = bare().await;
    Panel::enter(&app, "Ann", Role::Admin).await;
    for (next, to) in [
        ("/admin/phones/", "/admin/phones/"),
        ("https://evil.example/", "/admin/"),
        ("//evil.example/", "/admin/"),
        ("/admin/..//evil.example", "/admin/"),
    ] {
        let mut panel = Panel::new(&app);
        let fields = [("name", "Ann"), ("password", PASSWORD), ("next", next)];
        let page = panel.submit("/admin/login/", "/admin/login/", &fields).await;
        assert_eq!(page.location, to, "{next}");
    }
    app.stop().await;
}

#[tokio::test]
async fn every_page_bears_a_policy_without_inline_code_and_is_kept_nowhere() {
    let app = bare().await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    for path in ["/admin/", "/admin/apps/new", "/admin/no-such-page"] {
        let page = panel.get(path).await;
        let header = |name: &str| {
            page.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.contains("script-src 'self'; style-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        assert_eq!(header("cache-control"), "no-store");
        assert!(
            !page.html.contains(" style=") && !page.html.contains("onclick") && !page.html.contains("<style")
        );
        assert!(!page.html.contains("<script>"), "{path}");
    }
    let html = panel.page("/admin/").await.html;
    for mark in ["href=\"/admin/assets/", "src=\"/admin/assets/"] {
        let name = html.split(mark).nth(1).unwrap().split('"').next().unwrap();
        let asset = panel.get(&format!("/admin/assets/{name}")).await;
        assert_eq!(asset.status, 200);
        assert!(asset.headers["cache-control"].to_str().unwrap().contains("immutable"));
        assert!(asset.headers.contains_key("etag"));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_form_of_somebody_else_is_refused_everywhere() {
    let app = TestApp::start().await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    let phone = app.phone_id();
    let all = [
        "/admin/apps/new".to_owned(),
        "/admin/apps/x/".to_owned(),
        "/admin/apps/x/delete".to_owned(),
        "/admin/apps/x/facebook".to_owned(),
        "/admin/wabas/new".to_owned(),
        "/admin/wabas/x/".to_owned(),
        "/admin/wabas/x/phones".to_owned(),
        "/admin/wabas/x/delete".to_owned(),
        format!("/admin/phones/{phone}/"),
        format!("/admin/phones/{phone}/delete"),
        format!("/admin/phones/{phone}/register"),
        format!("/admin/phones/{phone}/code"),
        format!("/admin/phones/{phone}/verify"),
        format!("/admin/phones/{phone}/profile"),
        format!("/admin/phones/{phone}/picture"),
        format!("/admin/phones/{phone}/calling"),
        format!("/admin/phones/{phone}/calling/ask"),
        "/admin/doctor/check".to_owned(),
        "/admin/doctor/repair".to_owned(),
        "/admin/templates/new".to_owned(),
        "/admin/templates/x/edit".to_owned(),
        "/admin/templates/x/test".to_owned(),
        "/admin/templates/sync".to_owned(),
        "/admin/templates/x/delete".to_owned(),
        "/admin/portal-apps/new".to_owned(),
        "/admin/portal-apps/x/".to_owned(),
        "/admin/portal-apps/x/delete".to_owned(),
        "/admin/portals/x/".to_owned(),
        "/admin/portals/x/check".to_owned(),
        "/admin/portals/x/delete".to_owned(),
        "/admin/lines/link".to_owned(),
        format!("/admin/lines/{phone}/unlink"),
        "/admin/jobs/retry".to_owned(),
        "/admin/jobs/x/retry".to_owned(),
        "/admin/jobs/x/drop".to_owned(),
        "/admin/administrators/invite".to_owned(),
        "/admin/administrators/x/role".to_owned(),
        "/admin/administrators/x/remove".to_owned(),
        "/admin/sessions/x/end".to_owned(),
        "/admin/account/language".to_owned(),
        "/admin/account/password".to_owned(),
        "/admin/login/".to_owned(),
        "/admin/logout/".to_owned(),
    ];
    let csrf = panel.page("/admin/").await.csrf();
    for action in &all {
        for token in ["", "0000", &csrf.to_uppercase()] {
            let page = panel.post(action, &[("csrf", token)]).await;
            assert_eq!(page.status, 403, "{action} {}", page.html);
        }
        let page = panel.post_from(action, &[("csrf", &csrf)], &[("origin", "https://evil.example")]).await;
        assert_eq!(page.status, 403, "{action}");
        assert!(page.says("another site"), "{}", page.html);
        let page = panel.post_from(action, &[("csrf", &csrf)], &[("sec-fetch-site", "cross-site")]).await;
        assert_eq!(page.status, 403, "{action}");
    }
    assert!(app.relay.directory.now().binding_of_phone(&phone).is_some());
    app.stop().await;
}

#[tokio::test]
async fn an_operator_looks_and_replays_and_changes_nothing() {
    let app = TestApp::start().await;
    let mut panel = Panel::enter(&app, "Oscar", Role::Operate).await;
    let phone = app.phone_id();
    for path in ["/admin/", "/admin/apps/", "/admin/messages/", "/admin/jobs/", "/admin/administrators/"] {
        panel.page(path).await;
    }
    let app_id = app.relay.directory.now().apps[0].id.to_string();
    let token = app.relay.directory.now().apps[0].verify_token.expose().to_owned();
    assert!(
        !panel.page(&format!("/admin/apps/{app_id}/")).await.says(&token),
        "secrets are for administrators"
    );
    for action in [
        format!("/admin/phones/{phone}/"),
        format!("/admin/lines/{phone}/unlink"),
        "/admin/apps/new".to_owned(),
        "/admin/administrators/invite".to_owned(),
    ] {
        let page = panel.submit("/admin/", &action, &[("role", "administrator")]).await;
        assert_eq!(page.status, 403, "{action}");
        assert!(page.says("Operators may look"), "{}", page.html);
    }
    let retried = panel.submit("/admin/jobs/", "/admin/jobs/retry", &[]).await;
    assert_eq!(retried.location, "/admin/jobs/?done=retried");
    app.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_and_the_last_administrator_stays() {
    let app = bare().await;
    let mut ann = Panel::enter(&app, "Ann", Role::Admin).await;
    let mut oscar = Panel::enter(&app, "Oscar", Role::Operate).await;
    let page = ann.page("/admin/sessions/").await;
    assert!(page.says("Oscar") && page.says("This session"));
    let end = page.html.split("action=\"/admin/sessions/").nth(1).unwrap().split('"').next().unwrap();
    let ended = ann.submit("/admin/sessions/", &format!("/admin/sessions/{end}"), &[]).await;
    assert_eq!(ended.location, "/admin/sessions/?done=revoked");
    assert_eq!(oscar.get("/admin/").await.status, 303);

    let people = ann.page("/admin/administrators/").await.html;
    let own = people.split("/admin/administrators/").find(|part| part.contains("/role")).unwrap();
    let own = own.split('/').next().unwrap().to_owned();
    let role = format!("/admin/administrators/{own}/role");
    let kept = ann.submit("/admin/administrators/", &role, &[("role", "operator")]).await;
    assert_eq!(kept.status, 409);
    assert!(kept.says("last administrator"), "{}", kept.html);
    app.stop().await;
}

#[tokio::test]
async fn the_panel_speaks_russian_to_whoever_wants_it() {
    let app = bare().await;
    let mut panel = Panel::enter(&app, "Анна", Role::Admin).await;
    let set = panel.submit("/admin/account/", "/admin/account/language", &[("language", "ru")]).await;
    assert_eq!(set.location, "/admin/account/?done=saved");
    let page = panel.page("/admin/").await;
    assert!(page.says("<html lang=\"ru\">") && page.says("Бизнес-аккаунты"), "{}", page.html);
    let fields = [
        ("name", ""),
        ("site", "https://x"),
        ("client_id", "a b"),
        ("client_secret", ""),
        ("access_token", ""),
    ];
    let faults = panel.submit("/admin/apps/new", "/admin/apps/new", &fields).await;
    assert_eq!(faults.status, 422);
    assert!(faults.says("Не должно быть пустым.") && faults.says("без схемы"), "{}", faults.html);
    app.stop().await;
}

#[tokio::test]
async fn refusals_with_names_and_numbers_in_them_are_russian_too() {
    let app = TestApp::start().await;
    let mut panel = Panel::enter(&app, "Анна", Role::Admin).await;
    panel.submit("/admin/account/", "/admin/account/language", &[("language", "ru")]).await;
    let app_form = |site: &'static str, token: &'static str| {
        let name = "и".repeat(101);
        let secret = crate::support::APP_SECRET;
        [
            ("name", if site.is_empty() { name } else { "x".to_owned() }),
            ("site", if site.is_empty() { "b.example".to_owned() } else { site.to_owned() }),
            ("client_id", crate::support::CLIENT_ID.to_owned()),
            ("client_secret", secret.to_owned()),
            ("access_token", token.to_owned()),
        ]
    };
    for (site, token, status, told) in [
        ("", "x", 422, "Не больше 100 знаков."),
        ("127.0.0.1", crate::support::ACCESS_TOKEN, 409, "Приложение с сайтом 127.0.0.1 уже есть."),
        // Meta's own words stay.
        ("b.example", "EAAG-of-nobody", 502, "Meta: ошибка 190: "),
    ] {
        let fields = app_form(site, token);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = panel.submit("/admin/apps/new", "/admin/apps/new", &fields).await;
        assert_eq!(page.status, status, "{}", page.html);
        assert!(page.says(told), "{told}: {}", page.html);
    }
    let phone = format!("/admin/phones/{}/", app.phone_id());
    let fields = [("fallback_template", "no_such_template"), ("closed_window", "moon")];
    let page = panel.submit(&phone, &phone, &fields).await;
    assert!(page.says("Одно из: tell, template, hold."), "{}", page.html);
    let fields = [
        ("fallback_template", "no_such_template"),
        ("closed_window", "tell"),
        ("system_messages", "drop"),
        ("signature", "strip"),
    ];
    let page = panel.submit(&phone, &phone, &fields).await;
    assert_eq!(page.status, 422, "{}", page.html);
    let error = page.html.split("class=\"error\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(error.chars().any(|c| ('а'..='я').contains(&c)), "{error}");
    app.stop().await;
}

#[tokio::test]
async fn over_https_the_cookies_are_the_hosts_own_and_browsers_are_told_to_stay_there() {
    let config: Change = Box::new(|config| config.public_url = "https://bridge.example".parse().unwrap());
    let app = TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await;
    let answer =
        crate::support::http_client().get(format!("{}/admin/login/", app.base_url)).send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("strict-transport-security"), "max-age=15552000");
    let cookie = header("set-cookie");
    assert!(cookie.starts_with("__Host-wabridge_visit=") && cookie.contains("; Path=/; "), "{cookie}");
    assert!(cookie.ends_with("; Secure") && !cookie.contains("Domain"), "{cookie}");
    app.stop().await;
}
