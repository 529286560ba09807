//! Calls in the panel: the list and its search, one call's page, a phone's settings for calls, and Home.

use serde_json::json;
use wabridge::access::Role;
use wabridge::domain::call::{CallEnd, CallMoment, EndCause, EndedBy};
use wabridge::store::audit;

use crate::support::calls::{HOSTNAME, TestCall, answered, end, forwarded, with_trunk};
use crate::support::panel::{Page, Panel};
use crate::support::{Options, PHONE_ID, TestApp, anna, bob};

fn hung_up() -> CallMoment {
    CallMoment::Ended(CallEnd {
        by: EndedBy::Contact,
        cause: EndCause::HungUp,
        status: None,
        q850: Some(16),
        text: None,
        meta_seconds: Some(7),
    })
}

async fn a_call(app: &TestApp) -> TestCall {
    let mut call = app.customer_calls(&anna());
    let noted = CallMoment::Noted("a re-INVITE was answered here".into());
    app.goes_on(
        &mut call,
        vec![forwarded(), CallMoment::Ringing, answered(Some("sip:101@pbx")), noted, hung_up()],
    );
    app.call_is(&call, "ended").await;
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_listed_and_found_by_number_name_id_and_state() {
    let app = TestApp::with_calls().await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    let call = a_call(&app).await;
    let mut missed = app.agent_calls(&bob());
    app.goes_on(&mut missed, vec![forwarded(), end(EndedBy::Contact, EndCause::Declined)]);
    app.call_is(&missed, "ended").await;
    for (query, found) in [
        ("", true),
        ("q=%2B1+650-555-1234", true),
        ("q=ANNA+samp", true),
        (&format!("q={}", call.wacid.replace('+', "%2B").replace('=', "%3D")), true),
        ("q=nobody", false),
        ("q=%25", false),
        ("state=ended&direction=inbound", true),
        ("state=answered", false),
        ("direction=outbound", false),
        (&format!("phone={}", app.phone_id()), true),
        ("phone=none", false),
    ] {
        let page = panel.page(&format!("/admin/calls/?{query}")).await;
        let path = format!("/admin/calls/{}/", call.id);
        assert_eq!(page.says(&path), found, "{query}: {}", page.html);
    }
    let page = panel.page("/admin/calls/").await;
    assert!(page.says("The customer hung up") && page.says("The customer declined"), "{}", page.html);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calls_page_tells_both_legs_the_end_and_the_first_contact() {
    let app = TestApp::with_calls().await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    let call = a_call(&app).await;
    app.cloud.call_terminated(PHONE_ID, &anna(), &call.wacid, true, Some(7), &[138_021]);
    app.webhooks_taken().await;
    let path = format!("/admin/calls/{}/", call.id);
    let page = app.eventually("Meta's word is there", async || {
        let page = panel.page(&path).await;
        page.says("138021").then_some(page)
    });
    let page: Page = page.await;
    for told in [
        "The customer hung up",
        "The call arrived",
        "WhatsApp leg",
        "telephone leg",
        "Answered",
        "sip:101@pbx",
        "a re-INVITE was answered here",
        "+1.000 s",
        "Meta&#39;s webhook",
        "TLSv1.3",
        "Cipher suite",
        "Via: SIP/2.0/TLS meta",
        "Until the answer",
        "3.000 s",
        "No sound arrived at Meta",
        &call.wacid,
    ] {
        assert!(page.says(told), "{told}: {}", page.html);
    }
    assert_eq!(panel.get("/admin/calls/none/").await.status, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_shows_calls_in_the_picture_and_in_the_chart() {
    let app = TestApp::with_calls().await;
    let mut panel = Panel::enter(&app, "Ann", Role::Admin).await;
    a_call(&app).await;
    let page = panel.page("/admin/").await;
    for told in ["calls are on", "SIP edge", HOSTNAME, "asterisk", "extension 100", "calls: 1"] {
        assert!(page.says(told), "{told}: {}", page.html);
    }
    app.stop().await;
}

fn fields() -> Vec<(&'static str, &'static str)> {
    vec![
        ("status", "on"),
        ("sip.hostname", HOSTNAME),
        ("sip.port", "5061"),
        ("srtp_key_exchange_protocol", "SDES"),
        ("trunk", "asterisk"),
        ("extension", "100"),
        ("webhook_delivery", "on"),
    ]
}

fn changed(name: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields = fields();
    fields.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, old)| *old = value);
    fields
}

async fn with_trunk_only() -> (TestApp, Panel, String) {
    let app = TestApp::with(Options { config: Some(Box::new(with_trunk)), ..Options::default() }).await;
    let panel = Panel::enter(&app, "Ann", Role::Admin).await;
    let page = format!("/admin/phones/{}/", app.phone_id());
    (app, panel, page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_set_up_on_the_phones_page_and_written_at_meta() {
    let (app, mut panel, page) = with_trunk_only().await;
    let shown = panel.page(&page).await;
    assert!(shown.says("never set up") && shown.says(&format!("value=\"{HOSTNAME}\"")), "{}", shown.html);
    let act = format!("{page}calling");
    for (wrong, told) in [
        (changed("sip.port", "70000"), "Must be 1 to 65535"),
        (changed("sip.port", "many"), "Must be 1 to 65535"),
        (changed("sip.hostname", "127.0.0.1"), "Must be a DNS name"),
        (changed("extension", "1 2"), "value=\"1 2\""),
    ] {
        let answer = panel.submit(&page, &act, &wrong).await;
        assert_eq!(answer.status, 422);
        assert!(answer.says(told), "{told}: {}", answer.html);
    }
    assert!(app.cloud.calling(PHONE_ID)["sip"]["servers"].is_null(), "nothing was written");

    let saved = panel.submit(&page, &act, &fields()).await;
    assert_eq!(saved.location, format!("{page}?done=saved"), "{}", saved.html);
    assert_eq!(app.cloud.calling(PHONE_ID)["sip"]["servers"][0]["hostname"], HOSTNAME);
    let shown = panel.page(&page).await;
    for told in ["ENABLED", &format!("{HOSTNAME}:5061"), "Meta calls this bridge", "value=\"100\""] {
        assert!(shown.says(told), "{told}: {}", shown.html);
    }
    let wanted = wabridge::store::Page { limit: 100, cursor: None };
    let rows = app
        .relay
        .db
        .read(move |conn| audit::list(conn, &audit::AuditFilter::default(), &wanted))
        .await
        .unwrap();
    let entry = rows.iter().find(|row| row.action == "calling").unwrap();
    assert_eq!((entry.actor.as_str(), entry.object.as_str()), ("Ann", "phone"));
    assert!(entry.state_after.contains("\"extension\":\"100\"") && !entry.state_after.contains("v1:"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_refuses_of_calls_is_explained_with_the_way_to_metas_page() {
    let (app, mut panel, page) = with_trunk_only().await;
    app.cloud.change_faults(|faults| faults.calling_code = 138_015);
    let saved = panel.submit(&page, &format!("{page}calling"), &fields()).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    let shown = panel.page(&page).await;
    for told in ["Meta 138015", "2,000 customers", "/calling/troubleshooting\"", "something is wrong"] {
        assert!(shown.says(told), "{told}: {}", shown.html);
    }
    panel.submit("/admin/account/", "/admin/account/language", &[("language", "ru")]).await;
    assert!(panel.page(&page).await.says("не меньше 2000 клиентов"));
    panel.submit("/admin/account/", "/admin/account/language", &[("language", "en")]).await;
    app.cloud.change_faults(|faults| faults.calling_code = 0);
    assert_eq!(panel.submit(&page, &format!("{page}calling/ask"), &[]).await.status, 303);
    app.cloud.change_faults(|faults| faults.cloud_down = true);
    let told = panel.submit(&page, &format!("{page}calling"), &changed("extension", "777")).await;
    assert_eq!(told.status, 502);
    assert!(told.says("value=\"777\""), "what was typed is kept: {}", told.html);
    app.cloud.change_faults(|faults| faults.cloud_down = false);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_save_the_calls_at_once_the_second_is_told() {
    let (app, mut ann, page) = with_trunk_only().await;
    let mut bob = Panel::enter(&app, "Bob", Role::Admin).await;
    let act = format!("{page}calling");
    for (mine, theirs) in [("101", "102"), ("103", "104")] {
        // The phone's own form bears a version too; that of the calls follows it.
        let version = |page: &Page| {
            let section = page.html.split("id=\"calling\"").nth(1).unwrap().to_owned();
            section.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        let (seen_by_ann, seen_by_bob) = (ann.page(&page).await, bob.page(&page).await);
        let form = |page: &Page, extension: &'static str| {
            let mut all: Vec<(String, String)> = changed("extension", extension)
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            all.push(("version".into(), version(page)));
            all.push(("csrf".into(), page.csrf()));
            all
        };
        fn plain(all: &[(String, String)]) -> Vec<(&str, &str)> {
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        let (first, second) = (form(&seen_by_ann, mine), form(&seen_by_bob, theirs));
        assert_eq!(ann.post(&act, &plain(&first)).await.status, 303);
        let told = bob.post(&act, &plain(&second)).await;
        assert_eq!(told.status, 409);
        assert!(told.says("Somebody else has changed this meanwhile"), "{}", told.html);
        assert!(told.says(&format!("value=\"{theirs}\"")), "{}", told.html);
    }
    let stored = app.api.get(&app.calling_path()).await;
    assert_eq!(stored["extension"], json!("103"));
    app.stop().await;
}
