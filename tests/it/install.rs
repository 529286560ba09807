//! Our application on a portal: installed, trusted, linked, removed.

use reqwest::Method;
use serde_json::{Value, json};
use wabridge::bitrix::events::EVENTS;

use crate::desk::{Desk, NUMBER};

const NULL: Value = Value::Null;

impl Desk {
    async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let answer = self.http.post(self.url(path)).form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The phone's path and the portal, linked to a new line.
    async fn linked(&self) -> (String, Value, Value) {
        let phone = self.make_phone().await;
        let (_, portal) = self.installed().await;
        let path = format!("/phones/{}/line", phone["id"].as_str().unwrap());
        let (status, line) = self.call(Method::PUT, &path, json!({"portal_id": portal["id"]})).await;
        assert_eq!(status, 200, "{line}");
        (path, portal, line)
    }
}

#[actix_web::test]
async fn an_application_without_pages_installs_itself() {
    let desk = Desk::open().await;
    let (client_id, portal) = desk.installed().await;
    assert_eq!((&portal["status"], &portal["missing_scopes"]), (&json!("active"), &json!([])));
    assert_eq!(portal["member_id"], desk.portal.member_id());
    assert_eq!(portal["domain"], desk.portal.domain());
    let bindings = desk.portal.event_bindings();
    assert_eq!(bindings.len(), EVENTS.len(), "{bindings:#?}");
    assert_eq!(desk.portal.connectors().len(), 1);

    desk.portal.install(&client_id).await;
    assert_eq!(desk.only_portal().await["id"], portal["id"], "a repeat renews the same portal");
    assert_eq!(desk.portal.event_bindings().len(), EVENTS.len(), "each event is bound exactly once");
    desk.close().await;
}

#[actix_web::test]
async fn an_application_with_pages_is_finished_by_its_page() {
    let desk = Desk::open().await;
    let client_id = desk.make_portal_app(true).await;
    let visitor = desk.portal.open_page(&client_id, "DEFAULT", None, false).await;
    assert_eq!(visitor.status, 403, "an operator cannot install: {}", visitor.html);
    let outcome = desk.portal.install(&client_id).await;
    assert_eq!(outcome.status, Some(200), "{}", outcome.html);
    assert!(outcome.html.contains("BX24.installFinish()"), "{}", outcome.html);
    desk.portal.finish_install(&client_id);
    assert_eq!(desk.only_portal().await["status"], "active");
    let again = desk.portal.open_page(&client_id, "DEFAULT", None, true).await;
    assert!(!again.html.contains("installFinish"), "said twice it would open the page for ever");

    let page = desk.portal.open_page(&client_id, "DEFAULT", None, false).await;
    assert_eq!(page.status, 200);
    assert!(!page.html.contains("installFinish"), "a visitor finishes nothing");
    let header =
        |name: &str| page.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let policy = header("content-security-policy").unwrap();
    let origin = desk.portal.url();
    assert!(policy.contains(&format!("frame-ancestors {}", origin.trim_end_matches('/'))), "{policy}");
    assert_eq!((header("set-cookie"), header("x-frame-options")), (None, None));
    desk.close().await;
}

#[actix_web::test]
async fn a_forged_installation_changes_nothing_and_calls_nobody_else() {
    let desk = Desk::open().await;
    desk.make_portal_app(false).await;
    let oauth = format!("{}/rest/", desk.portal.oauth_url());
    let evil = crate::support::listener();
    let stranger = format!("http://{}/rest/", evil.local_addr().unwrap());
    for server in [oauth.as_str(), stranger.as_str(), ""] {
        let form = [
            ("event", "ONAPPINSTALL"),
            ("data[VERSION]", "1"),
            ("auth[access_token]", "forged"),
            ("auth[refresh_token]", "forged"),
            ("auth[domain]", "127.0.0.1"),
            ("auth[client_endpoint]", &stranger),
            ("auth[server_endpoint]", server),
            ("auth[member_id]", desk.portal.member_id()),
            ("auth[application_token]", "forged"),
        ];
        for path in ["/api/bitrix/", "/app-install/"] {
            let (status, text) = desk.post_form(path, &form).await;
            assert_eq!(status, 403, "{server}: {text}");
        }
    }
    assert_eq!(desk.get("/portals").await["items"], json!([]));
    evil.set_nonblocking(true).unwrap();
    assert!(evil.accept().is_err(), "the address in the POST was called");
    assert_eq!(desk.portal.call_count("profile"), 0);
    desk.close().await;
}

#[actix_web::test]
async fn forged_claims_do_not_make_us_call_the_oauth_server_at_will() {
    let desk = Desk::open().await;
    desk.installed().await;
    let claim = |member: String| {
        let server = format!("{}/rest/", desk.portal.oauth_url());
        [
            ("event", "ONAPPINSTALL".to_owned()),
            ("auth[access_token]", "forged".to_owned()),
            ("auth[refresh_token]", "forged".to_owned()),
            ("auth[server_endpoint]", server),
            ("auth[member_id]", member),
            ("auth[application_token]", "forged".to_owned()),
        ]
    };
    let mut statuses = Vec::new();
    for number in 0..40 {
        let form = claim(format!("{number:032x}"));
        let form: Vec<_> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        statuses.push(desk.post_form("/api/bitrix/", &form).await.0);
    }
    assert!(statuses[..30].iter().all(|status| *status == 403), "{statuses:?}");
    assert!(statuses[30..].iter().all(|status| *status == 429), "{statuses:?}");
    // Who is installed here does not pay for strangers.
    let client_id = desk.get("/portal-apps").await["items"][0]["client_id"].as_str().unwrap().to_owned();
    assert_eq!(desk.portal.install(&client_id).await.status, Some(200));
    desk.close().await;
}

#[actix_web::test]
async fn an_application_that_is_not_set_up_here_is_refused() {
    let desk = Desk::open().await;
    let handler = desk.url("/api/bitrix/");
    let sim = desk.portal.create_local_app(&handler, &handler, false, &["imopenlines"]);
    assert_eq!(desk.portal.install(&sim.client_id).await.status, Some(403));
    assert_eq!(desk.portal.call_count("profile"), 0, "only the OAuth server is asked");
    desk.close().await;
}

#[actix_web::test]
async fn an_event_needs_the_portals_own_token() {
    let desk = Desk::open().await;
    let (client_id, portal) = desk.installed().await;
    let token = desk.portal.application_token(&client_id).unwrap();
    let member = desk.portal.member_id().to_owned();
    let post = |member: String, token: String| {
        let desk = &desk;
        async move {
            let form = [
                ("event", "ONAPPUNINSTALL"),
                ("data[CLEAN]", "0"),
                ("auth[member_id]", member.as_str()),
                ("auth[application_token]", token.as_str()),
            ];
            desk.post_form("/api/bitrix/", &form).await.0
        }
    };
    assert_eq!(post(member.clone(), "wrong".into()).await, 403);
    assert_eq!(post("0".repeat(32), token.clone()).await, 403);
    assert_eq!(post(member.clone(), String::new()).await, 403);
    assert_eq!(desk.only_portal().await["status"], "active");
    assert_eq!(post(member, token).await, 200);
    let gone = desk.only_portal().await;
    assert_eq!((&gone["status"], &gone["id"]), (&json!("uninstalled"), &portal["id"]));
    desk.portal.install(&client_id).await;
    assert_eq!(desk.only_portal().await["status"], "active", "it may come back");
    desk.close().await;
}

#[actix_web::test]
async fn an_unknown_application_token_is_pinned_once_it_is_proven() {
    let desk = Desk::open().await;
    let (client_id, portal) = desk.installed().await;
    let id = portal["id"].as_str().unwrap().to_owned();
    desk.state
        .db
        .write(move |tx| {
            let mut row = wabridge::store::portals::get(tx.conn, &id)?.unwrap();
            row.application_token_sealed = None;
            wabridge::store::portals::update(tx.conn, &row)
        })
        .await
        .unwrap();
    desk.state.directory.reload().await.unwrap();
    let (member, token) =
        (desk.portal.member_id().to_owned(), desk.portal.application_token(&client_id).unwrap());
    let form = |access: &str| {
        vec![
            ("event".to_owned(), "ONIMCONNECTORLINEDELETE".to_owned()),
            ("data".to_owned(), "1".to_owned()),
            ("auth[member_id]".to_owned(), member.clone()),
            ("auth[application_token]".to_owned(), token.clone()),
            ("auth[access_token]".to_owned(), access.to_owned()),
        ]
    };
    let post = |form: Vec<(String, String)>| desk.http.post(desk.url("/api/bitrix/")).form(&form).send();
    assert_eq!(post(form("forged")).await.unwrap().status(), 403);
    let access = {
        let snapshot = desk.state.directory.now();
        snapshot.portals[0].access_token.expose().to_owned()
    };
    assert_eq!(post(form(&access)).await.unwrap().status(), 200);
    assert!(desk.state.directory.now().portals[0].application_token.is_some());
    assert_eq!(post(form("not needed any more")).await.unwrap().status(), 200);
    desk.close().await;
}

#[actix_web::test]
async fn a_phone_gets_a_line_of_its_own() {
    let desk = Desk::open().await;
    let (path, portal, line) = desk.linked().await;
    let digits = NUMBER.trim_start_matches('+');
    assert_eq!((&line["line_name"], &line["active"]), (&json!(format!("separator_{digits}")), &json!(true)));
    let lines = desk.portal.lines().len();
    let (status, again) = desk.call(Method::PUT, &path, json!({"portal_id": portal["id"]})).await;
    assert_eq!((status.as_u16(), &again["line_id"]), (200, &line["line_id"]), "a repeat finds the same line");
    assert_eq!(desk.portal.lines().len(), lines);
    assert_eq!(desk.get(&path).await["line_id"], line["line_id"]);

    let other = desk.portal.add_line("Sales");
    let (status, moved) =
        desk.call(Method::PUT, &path, json!({"portal_id": portal["id"], "line_id": other})).await;
    assert_eq!((status.as_u16(), &moved["line_name"]), (200, &json!("Sales")));
    let body = json!({"portal_id": portal["id"], "line_id": "99999"});
    let (status, problem) = desk.call(Method::PUT, &path, body).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!("line_id")), "{problem}");

    assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 204);
    assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 404);
    desk.close().await;
}

#[actix_web::test]
async fn one_call_at_a_time_sets_up_a_portals_lines() {
    let desk = Desk::open().await;
    let (path, portal, _) = desk.linked().await;
    let body = json!({"portal_id": portal["id"]});
    let calls = (0..6).map(|_| desk.call(Method::PUT, &path, body.clone()));
    let statuses: Vec<u16> =
        futures_util::future::join_all(calls).await.iter().map(|(status, _)| status.as_u16()).collect();
    assert!(statuses.contains(&200) && statuses.contains(&409), "{statuses:?}");
    desk.close().await;
}

#[actix_web::test]
async fn a_portal_that_fails_leaves_no_link() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    let (_, portal) = desk.installed().await;
    let path = format!("/phones/{}/line", phone["id"].as_str().unwrap());
    desk.portal.change_faults(|faults| faults.down = true);
    let (status, problem) = desk.call(Method::PUT, &path, json!({"portal_id": portal["id"]})).await;
    assert_eq!(status, 502, "{problem}");
    assert_eq!(desk.call(Method::GET, &path, NULL).await.0, 404);
    desk.close().await;
}

#[actix_web::test]
async fn what_the_portal_switches_off_is_unlinked() {
    let desk = Desk::open().await;
    let (path, portal, line) = desk.linked().await;
    let connector = desk.state.config.bitrix.connector_code.clone();
    desk.portal.disconnect(&connector, line["line_id"].as_str().unwrap());
    desk.until(&path, |status, _| *status == 404).await;
    let (_, line) = desk.call(Method::PUT, &path, json!({"portal_id": portal["id"]})).await;
    assert!(desk.portal.delete_line(line["line_id"].as_str().unwrap()));
    desk.until(&path, |status, _| *status == 404).await;
    desk.close().await;
}

#[actix_web::test]
async fn our_own_switch_off_does_not_undo_a_new_link() {
    let desk = Desk::open().await;
    let (path, portal, line) = desk.linked().await;
    for _ in 0..3 {
        assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 204);
        let (status, again) = desk.call(Method::PUT, &path, json!({"portal_id": portal["id"]})).await;
        assert_eq!((status.as_u16(), &again["line_id"]), (200, &line["line_id"]));
    }
    let quiet =
        desk.portal.wait_until(std::time::Duration::from_secs(10), |portal| portal.events_waiting() == 0);
    assert!(quiet.await, "the events of the switch-offs are delivered");
    assert_eq!(desk.call(Method::GET, &path, NULL).await.0, 200);
    desk.close().await;
}

#[actix_web::test]
async fn an_administrator_picks_a_phone_on_the_connectors_page() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    let (client_id, _) = desk.installed().await;
    let line = desk.portal.add_line("Support");
    let refused = desk.portal.open_page(&client_id, "SETTING_CONNECTOR", Some(&line), false).await;
    assert_eq!(refused.status, 403, "an operator sees no phones: {}", refused.html);
    assert!(!refused.html.contains(NUMBER));
    let page = desk.portal.open_page(&client_id, "SETTING_CONNECTOR", Some(&line), true).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(page.html.contains(NUMBER) && !page.html.contains("<script"), "{}", page.html);
    let ticket = page.html.split("name=\"ticket\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let id = phone["id"].as_str().unwrap();
    let forged = [("ticket", "v1:AAAA"), ("phone_id", id)];
    assert_eq!(desk.post_form("/api/bitrix/connector/", &forged).await.0, 403);
    let form = [("ticket", ticket), ("phone_id", id), ("lang", "ru")];
    let (status, html) = desk.post_form("/api/bitrix/connector/", &form).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("Сохранено"), "{html}");
    let shown = desk.get(&format!("/phones/{id}/line")).await;
    assert_eq!((&shown["line_id"], &shown["line_name"]), (&json!(line), &json!("Support")));
    desk.close().await;
}

#[actix_web::test]
async fn an_update_sets_everything_up_again() {
    let desk = Desk::open().await;
    let (path, _, line) = desk.linked().await;
    let client_id = desk.get("/portal-apps").await["items"][0]["client_id"].as_str().unwrap().to_owned();
    desk.portal.update_app(&client_id);
    let all = desk.portal.wait_until(std::time::Duration::from_secs(20), |portal| {
        portal.events_waiting() == 0 && portal.event_bindings().len() == EVENTS.len()
    });
    assert!(all.await, "{:#?}", desk.portal.event_bindings());
    assert_eq!(desk.get(&path).await["line_id"], line["line_id"]);
    desk.close().await;
}

#[actix_web::test]
async fn settings_of_a_portal_are_checked() {
    let desk = Desk::open().await;
    let (_, portal) = desk.installed().await;
    let path = format!("/portals/{}", portal["id"].as_str().unwrap());
    let change = json!({"default_country": "de", "alarm_user_id": "7"});
    let (status, changed) = desk.call(Method::PATCH, &path, change).await;
    assert_eq!((status.as_u16(), &changed["default_country"]), (200, &json!("DE")));
    let (status, problem) = desk.call(Method::PATCH, &path, json!({"default_country": "Germany"})).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!("default_country")));
    assert_eq!(desk.call(Method::DELETE, &path, NULL).await.0, 204);
    assert_eq!(desk.get("/portals").await["items"], json!([]));
    assert!(desk.portal.connectors().is_empty(), "our connector is gone from the portal");
    desk.close().await;
}
