//! The pages inside the portal: calls and SIP there, the connector's page with all settings of the numbers, and
//! what happens to whoever may not.

use wabridge::store::calling;

use crate::support::calls::{HOSTNAME, with_trunk};
use crate::support::{Options, PHONE_ID, TestApp};

async fn with_trunk_only() -> TestApp {
    TestApp::with(Options { config: Some(Box::new(with_trunk)), ..Options::default() }).await
}

fn hidden(html: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    html.split(&mark).nth(1).unwrap_or_default().split('"').next().unwrap().to_owned()
}

async fn save(app: &TestApp, html: &str, fields: &[(&str, &str)]) -> (u16, String) {
    // The forms of the numbers bear the ticket of the settings.
    let part = html.split("action=\"/app-settings/\"").nth(1).unwrap();
    let mut form = vec![
        ("ticket", hidden(part, "ticket")),
        ("origin", hidden(part, "origin")),
        ("lang", hidden(part, "lang")),
        ("phone_id", hidden(part, "phone_id")),
        ("change", "calling".to_owned()),
    ];
    form.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let http = crate::support::http_client();
    let answer = http.post(format!("{}/app-settings/", app.base_url)).form(&form).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_of_the_portal_sets_calls_up_with_hostname_and_port() {
    let app = with_trunk_only().await;
    let opened = app.portal.open_page(app.client_id(), "DEFAULT", None, true).await;
    assert!(opened.html.contains("Calls and SIP: off") && opened.html.contains(HOSTNAME), "{}", opened.html);
    let (status, html) =
        save(&app, &opened.html, &[("calls", "on"), ("port", "x"), ("extension", "7 7")]).await;
    assert_eq!(status, 422, "{html}");
    assert!(html.contains("Must be 1 to 65535") && html.contains("value=\"7 7\""), "{html}");
    let wanted = [("calls", "on"), ("hostname", HOSTNAME), ("port", "5062"), ("extension", "200")];
    let (status, html) = save(&app, &html, &wanted).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("Saved.") && html.contains("Calls and SIP: on") && html.contains("5062"), "{html}");
    let server = &app.cloud.calling(PHONE_ID)["sip"]["servers"][0];
    assert_eq!((&server["hostname"], &server["port"]), (&HOSTNAME.into(), &5062.into()));
    let id = app.phone_id().to_string();
    let row = app.relay.db.read(move |conn| calling::get(conn, &id)).await.unwrap().unwrap();
    assert_eq!((row.trunk.as_deref(), row.extension.as_deref()), (Some("asterisk"), Some("200")));

    app.cloud.change_faults(|faults| faults.calling_code = 138_015);
    let (status, html) = save(&app, &html, &wanted).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("Meta 138015") && html.contains("2,000 customers"), "{html}");
    assert!(html.contains("Meta did not take these settings") && !html.contains("Saved."), "{html}");
    app.cloud.change_faults(|faults| faults.calling_code = 0);
    let forged = html.replacen("name=\"ticket\" value=\"", "name=\"ticket\" value=\"x", 1);
    let (status, refused) = save(&app, &forged, &wanted).await;
    assert_eq!(status, 403, "{refused}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connectors_page_has_all_settings_of_the_numbers_too() {
    let app = with_trunk_only().await;
    let line = app.relay.directory.now().bindings[0].line.to_string();
    let opened = app.portal.open_page(app.client_id(), "SETTING_CONNECTOR", Some(&line), true).await;
    assert_eq!(opened.status, 200, "{}", opened.html);
    for told in ["All settings of the numbers", "SMS service of the CRM", "Calls and SIP: off", "Unlink"] {
        assert!(opened.html.contains(told), "{told}: {}", opened.html);
    }
    let wanted = [("calls", "on"), ("hostname", HOSTNAME), ("port", "5061"), ("extension", "200")];
    let (status, html) = save(&app, &opened.html, &wanted).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("Saved."), "{html}");
    let user = app.portal.open_page(app.client_id(), "SETTING_CONNECTOR", Some(&line), false).await;
    assert!(user.html.contains("nly an administrator of the portal") && !user.html.contains("ticket"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_openings_of_the_pages_are_refused_with_a_sentence() {
    let app = with_trunk_only().await;
    let http = crate::support::http_client();
    let member = app.portal.member_id().to_owned();
    let open = async |path: &str, member: &str, options: &str, language: &str| {
        let form = [
            ("DOMAIN", "portal.example"),
            ("AUTH_ID", "made-up"),
            ("member_id", member),
            ("LANG", language),
            ("PLACEMENT", "SETTING_CONNECTOR"),
            ("PLACEMENT_OPTIONS", options),
        ];
        let answer = http.post(format!("{}{path}", app.base_url)).form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let connector = "/api/bitrix/connector/";
    let line = r#"{"CONNECTOR":"wabridge","LINE":"1"}"#;
    for (path, member, options, told) in [
        ("/app-settings/", "forged", "{}", "application is not installed on this portal"),
        ("/app-settings/", member.as_str(), "{}", "does not know this token"),
        (connector, "forged", line, "application is not installed on this portal"),
        (connector, &member, line, "does not know this token"),
        (connector, &member, "{}", "names no line"),
        (connector, &member, "[[[", "names no line"),
        (connector, &member, r#"{"CONNECTOR":"other","LINE":"1"}"#, "another connector"),
    ] {
        let (status, html) = open(path, member, options, "en").await;
        assert_eq!(status, 403, "{path} {options}: {html}");
        assert!(html.contains(told) && !html.contains("ticket"), "{told}: {html}");
    }
    let (_, html) = open(connector, &member, "{}", "ru").await;
    assert!(html.contains("Портал не назвал линию"), "in the portal's language: {html}");
    let user = app.portal.open_page(app.client_id(), "DEFAULT", None, false).await;
    assert!(user.html.contains("Only an administrator of the portal"), "{}", user.html);
    app.stop().await;
}
