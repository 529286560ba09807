//! Templates in the panel: written, previewed, handed in, edited, and sent to try them out.

use serde_json::{Value, json};
use wabridge::access::Role;
use wabridge::store::audit;

use crate::support::panel::Panel;
use crate::support::{TestApp, WABA_ID, anna};

const NEW: &str = "/admin/templates/new";

async fn linked() -> (TestApp, Panel) {
    let app = TestApp::start().await;
    let panel = Panel::enter(&app, "Ann", Role::Admin).await;
    (app, panel)
}

fn fields<'a>(waba: &'a str, body: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("waba_id", waba),
        ("name", "order_here"),
        ("language", "en_US"),
        ("category", "UTILITY"),
        ("parameter_format", "POSITIONAL"),
        ("header_format", "TEXT"),
        ("header_text", "Your order"),
        ("header_sample", ""),
        ("body", body),
        ("body_samples", "Ann\n860198"),
        ("footer", "The shop"),
        ("button_kind", "QUICK_REPLY"),
        ("button_text", "Thanks"),
        ("button_value", ""),
        ("button_sample", ""),
        ("button_kind", "URL"),
        ("button_text", "See it"),
        ("button_value", "https://shop.example/{{1}}"),
        ("button_sample", "https://shop.example/7"),
    ]
}

async fn stored(app: &TestApp) -> Vec<Value> {
    app.api.get("/templates").await["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_template_is_written_previewed_and_handed_in() {
    let (app, mut panel) = linked().await;
    let waba = app.relay.directory.now().wabas[0].key.to_string();
    let wrong = panel.submit(NEW, NEW, &fields(&waba, "{{1}}, your order {{2}} is here.")).await;
    assert_eq!(wrong.status, 422);
    for told in
        ["A variable must not be at the start", "value=\"order_here\"", "value=\"The shop\"", "860198"]
    {
        assert!(wrong.says(told), "{told}: {}", wrong.html);
    }
    let mut look = fields(&waba, "Hello {{1}}, your order {{2}} is here.");
    look.push(("look", "1"));
    let preview = panel.submit(NEW, NEW, &look).await;
    assert_eq!(preview.status, 200);
    assert!(preview.says("Hello Ann, your order 860198 is here."), "{}", preview.html);
    assert!(stored(&app).await.is_empty(), "a look hands nothing in");
    let sent = panel.submit(NEW, NEW, &fields(&waba, "Hello {{1}}, your order {{2}} is here.")).await;
    assert!(sent.location.ends_with("?done=handed_in"), "{} {}", sent.status, sent.html);
    let all = stored(&app).await;
    assert_eq!((&all[0]["name"], &all[0]["category"]), (&json!("order_here"), &json!("UTILITY")));
    let components = all[0]["components"].as_array().unwrap();
    assert_eq!(components.len(), 4, "{components:#?}");
    assert_eq!(components[1]["example"]["body_text"], json!([["Ann", "860198"]]));
    assert_eq!(components[3]["buttons"][1]["url"], "https://shop.example/{{1}}");
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_metas_own_json_is_told_at_its_field_with_the_place() {
    let (app, mut panel) = linked().await;
    let waba = app.relay.directory.now().wabas[0].key.to_string();
    let json = r#"[{"type": "BODY", "text": "{{1}} at the start"}, {"type": "FOOTER", "text": ""}]"#;
    let mut fields = vec![("as_json", "on"), ("waba_id", waba.as_str()), ("name", "order_here")];
    fields.extend([("language", "en"), ("category", "UTILITY"), ("components", json)]);
    let page = panel.submit(NEW, NEW, &fields).await;
    assert_eq!(page.status, 422, "{}", page.html);
    let field = page.html.split("id=\"f-components\"").nth(1).unwrap().split("</div>").next().unwrap();
    for told in ["aria-invalid", "components[0].text: a variable", "components[1].text: must not be empty"] {
        assert!(field.to_lowercase().contains(told), "{told}: {field}");
    }
    fields.retain(|(name, _)| *name != "components");
    fields.push(("components", "no list"));
    let page = panel.submit(NEW, NEW, &fields).await;
    let field = page.html.split("id=\"f-components\"").nth(1).unwrap().split("</div>").next().unwrap();
    assert!(field.contains("Must be a list in JSON"), "{field}");
    app.stop().await;
}

#[tokio::test]
async fn a_template_is_edited_with_what_it_had_and_the_second_editor_is_told() {
    let (app, mut panel) = linked().await;
    app.cloud.add_template(
        WABA_ID,
        json!({"id": "594425479261596", "name": "order_ready", "language": "en_US", "status": "APPROVED",
               "category": "UTILITY", "parameter_format": "POSITIONAL",
               "components": [{"type": "BODY", "text": "Hello {{1}}, it is ready.",
                               "example": {"body_text": [["Pablo"]]}}]}),
    );
    panel.submit("/admin/templates/", "/admin/templates/sync", &[]).await;
    let id = stored(&app).await[0]["id"].as_str().unwrap().to_owned();
    let page = format!("/admin/templates/{id}/edit");
    let shown = panel.page(&page).await;
    assert!(shown.says("Hello {{1}}, it is ready.") && shown.says("Pablo"), "{}", shown.html);
    assert!(!shown.says("id=\"f-category\""), "of an approved template it cannot change");
    let version = shown.hidden("version");
    let edit = [
        ("version", version.as_str()),
        ("body", "Hello {{1}}, it waits for you."),
        ("body_samples", "Pablo"),
        ("header_format", ""),
        ("footer", ""),
    ];
    let saved = panel.submit(&page, &page, &edit).await;
    assert!(saved.location.ends_with("?done=handed_in"), "{} {}", saved.status, saved.html);
    assert_eq!(stored(&app).await[0]["components"][0]["text"], "Hello {{1}}, it waits for you.");
    let told = panel.submit(&page, &page, &edit).await;
    assert_eq!(told.status, 409, "{}", told.html);
    assert!(told.says("Somebody else has changed this meanwhile"), "{}", told.html);
    app.stop().await;
}

#[tokio::test]
async fn a_test_goes_to_a_number_by_the_ordinary_way_once_it_is_confirmed() {
    let (app, mut panel) = linked().await;
    app.cloud.add_template(
        WABA_ID,
        json!({"id": "594425479261596", "name": "order_ready", "language": "en_US", "status": "APPROVED",
               "category": "UTILITY", "parameter_format": "POSITIONAL",
               "components": [{"type": "BODY", "text": "Hello {{1}}, order {{2}} is ready.",
                               "example": {"body_text": [["Pablo", "860198"]]}}]}),
    );
    panel.submit("/admin/templates/", "/admin/templates/sync", &[]).await;
    let id = stored(&app).await[0]["id"].as_str().unwrap().to_owned();
    let (page, act) = (format!("/admin/templates/{id}/"), format!("/admin/templates/{id}/test"));
    let phone = app.phone_id().to_string();
    let mut test = vec![("phone", phone.as_str()), ("to", "+1 650 555 1234"), ("v", "Ann"), ("v", "7")];
    let unconfirmed = panel.submit(&page, &act, &test).await;
    assert_eq!(unconfirmed.status, 422);
    assert!(unconfirmed.says("goes out for real") && unconfirmed.says("+1 650 555 1234"));
    test.push(("confirm", "on"));
    let mut wrong = test.clone();
    wrong[1].1 = "call me";
    let told = panel.submit(&page, &act, &wrong).await;
    assert!(told.status == 422 && told.says("Must be a number in international form"), "{}", told.html);
    assert!(app.ledger().await.is_empty(), "nothing was sent");

    for count in 1..=2 {
        let sent = panel.submit(&page, &act, &test).await;
        assert_eq!(sent.location, "/admin/messages/?q=16505551234&done=sent", "{}", sent.html);
        let received = app.customer_has(&anna(), count).await;
        assert_eq!(received[count - 1].body["template"]["name"], "order_ready");
    }
    app.settled().await;
    let found = panel.page("/admin/messages/?q=16505551234&done=sent").await;
    assert!(found.says("Hello Ann, order 7 is ready.") && found.says("Sent."), "{}", found.html);
    assert!(app.jobs_of("acknowledge").await.is_empty(), "the portal did not write it");
    let wanted = wabridge::store::Page { limit: 100, cursor: None };
    let filter = audit::AuditFilter::default();
    let rows = app.relay.db.read(move |conn| audit::list(conn, &filter, &wanted)).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.action == "test" && row.object == "template").count(), 2);
    app.stop().await;
}
