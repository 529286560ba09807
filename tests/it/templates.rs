//! Templates of an account: read whole, kept fresh by webhooks, created, edited and deleted through the API.

use serde_json::{Value, json};
use wabridge::clock::ManualClock;

use crate::support::files::Site;
use crate::support::{Options, PHONE_ID, TestApp, WABA_ID};

const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R'];

fn template(id: usize, name: &str) -> Value {
    json!({"id": format!("{}", 1_000_000_000_000_000_u64 + id as u64), "name": name, "language": "en_US",
        "status": "APPROVED", "category": "UTILITY", "parameter_format": "POSITIONAL",
        "quality_score": {"score": "GREEN", "date": 1_674_864_290},
        "components": [{"type": "BODY", "text": "Hi {{1}}, your order {{2}} is here.",
            "example": {"body_text": [["Ann", "A|7"]]}}]})
}

async fn waba(app: &TestApp) -> String {
    app.api.get("/wabas").await["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn synced(app: &TestApp) -> Value {
    app.api.post("/templates/sync", json!({})).await
}

async fn listed(app: &TestApp) -> Vec<Value> {
    app.api.get("/templates?limit=500").await["items"].as_array().unwrap().clone()
}

/// The template of this name, once it is as wished.
async fn until(app: &TestApp, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    app.wait_for(name, async |app| {
        listed(app).await.into_iter().find(|template| template["name"] == name).filter(&holds)
    })
    .await
}

fn fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_templates_is_read_and_shown_with_its_line() {
    let app = TestApp::start().await;
    for number in 0..230 {
        app.cloud.add_template(WABA_ID, template(number, &format!("order_{number:03}")));
    }
    let answer = synced(&app).await;
    assert_eq!(answer["items"], json!([{"waba_id": waba(&app).await, "templates": 230, "error": null}]));
    let templates = listed(&app).await;
    assert_eq!(templates.len(), 230);
    let one = &templates[0];
    assert_eq!(one["shorthand"], format!(r"template-{}+en_US+Ann|A\|7", one["name"].as_str().unwrap()));
    assert_eq!(
        (&one["status"], &one["category"], &one["quality"]),
        (&json!("APPROVED"), &json!("UTILITY"), &json!("GREEN"))
    );
    assert_eq!(one["components"][0]["type"], "BODY");
    let found = app.api.get("/templates?name=order_117&language=en-US&status=approved").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let page = app.api.get("/templates?limit=100").await;
    let rest = app.api.get(&format!("/templates?limit=200&cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (130, &Value::Null));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_no_longer_lists_is_gone_and_ids_stay() {
    let app = TestApp::start().await;
    app.cloud.add_template(WABA_ID, template(1, "one"));
    app.cloud.add_template(WABA_ID, template(2, "two"));
    synced(&app).await;
    let before = until(&app, "two", |_| true).await;
    app.cloud.forget_template("1000000000000001");
    synced(&app).await;
    let after = listed(&app).await;
    assert_eq!(after.len(), 1);
    assert_eq!((&after[0]["id"], &after[0]["name"]), (&before["id"], &json!("two")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_read_when_an_account_is_linked() {
    let app = TestApp::start().await;
    app.cloud.add_waba("900", "Second");
    app.cloud.add_template("900", template(1, "hello"));
    let app_id = app.api.get("/apps").await["items"][0]["id"].clone();
    let second = app.api.post("/wabas", json!({"app_id": app_id, "waba_id": "900"})).await;
    let path = format!("/templates?waba_id={}", second["id"].as_str().unwrap());
    assert_eq!(app.api.get(&path).await["items"][0]["name"], "hello");
    let (status, _) =
        app.api.call("DELETE", &format!("/wabas/{}", second["id"].as_str().unwrap()), None).await;
    assert_eq!(status, 204);
    assert_eq!(app.api.get(&path).await["items"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_linked_although_its_templates_cannot_be_read() {
    let app = TestApp::start().await;
    app.cloud.add_waba("900", "Second");
    app.cloud.add_template("900", template(1, "hello"));
    app.cloud.change_faults(|faults| faults.templates_fail = true);
    let app_id = app.api.get("/apps").await["items"][0]["id"].clone();
    let second = app.api.post("/wabas", json!({"app_id": app_id, "waba_id": "900"})).await;
    let id = second["id"].as_str().unwrap();
    let problems = app.api.get("/health").await["problems"].to_string();
    assert!(problems.contains(id) && problems.contains("80007"), "{problems}");
    app.cloud.change_faults(|faults| faults.templates_fail = false);
    let answer = app.api.post("/templates/sync", json!({"waba_id": id})).await;
    assert_eq!(answer["items"][0]["templates"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_reading_is_told_and_keeps_what_was_known() {
    let app = TestApp::start().await;
    app.cloud.add_template(WABA_ID, template(1, "one"));
    synced(&app).await;
    app.cloud.change_faults(|faults| faults.token_expired = true);
    let (status, problem) = app.api.call("POST", "/templates/sync", None).await;
    assert_eq!(status, 502, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("190"), "{problem}");
    assert_eq!(listed(&app).await.len(), 1);
    let health = app.api.get("/health").await;
    assert_eq!(health["status"], "attention");
    assert!(health["problems"][0].as_str().unwrap().contains("templates"), "{health}");
    app.cloud.change_faults(|faults| faults.token_expired = false);
    synced(&app).await;
    assert_eq!(app.api.get("/health").await["status"], "ok");
    let (status, _) = app.api.call("POST", "/templates/sync", Some(json!({"waba_id": "none"}))).await;
    assert_eq!(status, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_keep_status_quality_and_category_fresh() {
    let app = TestApp::start().await;
    app.cloud.add_template(WABA_ID, template(1, "order"));
    synced(&app).await;
    let id = "1000000000000001";
    assert!(app.cloud.decide_template(id, "PAUSED", Some("FIRST_PAUSE")));
    let paused = until(&app, "order", |template| template["status"] == "PAUSED").await;
    assert!(paused["reason"].as_str().unwrap().starts_with("FIRST_PAUSE"), "{paused}");
    // A list tells no reason for a pause: the webhook's stays.
    synced(&app).await;
    assert_eq!(until(&app, "order", |_| true).await["reason"], paused["reason"]);
    assert!(app.cloud.decide_template(id, "APPROVED", None));
    until(&app, "order", |template| template["status"] == "APPROVED" && template["reason"].is_null()).await;
    app.cloud.rate_template(id, "RED");
    until(&app, "order", |template| template["quality"] == "RED").await;

    let about = |extra: Value| {
        let mut value = json!({"message_template_id": 1_000_000_000_000_001_u64,
            "message_template_name": "order", "message_template_language": "en-US"});
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        value
    };
    let post = |field: &str, extra: Value| app.cloud.post_change(WABA_ID, field, about(extra));
    post(
        "template_category_update",
        json!({"new_category": "UTILITY", "correct_category": "MARKETING",
        "category_update_timestamp": 1_746_169_200}),
    );
    until(&app, "order", |template| template["next_category"] == "MARKETING").await;
    post("template_category_update", json!({"previous_category": "UTILITY", "new_category": "MARKETING"}));
    until(&app, "order", |template| {
        template["category"] == "MARKETING" && template["next_category"].is_null()
    })
    .await;
    // December 2025: a quality under the name of the status.
    post(
        "message_template_status_update",
        json!({"previous_quality_score": "RED", "new_quality_score": "YELLOW"}),
    );
    until(&app, "order", |template| template["quality"] == "YELLOW").await;
    assert!(app.cloud.decide_template(id, "DELETED", None));
    app.wait_for("the template is gone", async |app| listed(app).await.is_empty().then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_texts_of_a_template_come_by_webhook() {
    let app = TestApp::start().await;
    app.cloud.add_template(WABA_ID, template(1, "order"));
    synced(&app).await;
    let mut edited = template(1, "order");
    edited["components"][0]["text"] = json!("Hello {{1}}, your order {{2}} has come.");
    app.cloud.forget_template("1000000000000001");
    app.cloud.add_template(WABA_ID, edited);
    app.cloud.post_change(
        WABA_ID,
        "message_template_components_update",
        json!({"message_template_id": 1_000_000_000_000_001_u64, "message_template_name": "order",
            "message_template_language": "en-US",
            "message_template_element": "Hello {{1}}, your order {{2}} has come."}),
    );
    let is_new =
        |template: &Value| template["components"][0]["text"] == "Hello {{1}}, your order {{2}} has come.";
    until(&app, "order", is_new).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_read_again_every_six_hours() {
    let hand = ManualClock::starting_at("2026-03-02T09:00:00Z".parse().unwrap());
    let app = TestApp::with(Options { clock: Some(hand.clone()), ..Options::default() }).await;
    synced(&app).await;
    // Made elsewhere, and the webhook is lost.
    app.cloud.add_template(WABA_ID, template(7, "made_elsewhere"));
    app.wait_for("the reading of six hours later", async |app| {
        hand.advance(chrono::Duration::hours(6));
        app.relay.template_wishes.notify_one();
        let known = listed(app).await.into_iter().any(|template| template["name"] == "made_elsewhere");
        known.then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_about_an_unknown_template_makes_the_list_read_anew() {
    let app = TestApp::start().await;
    app.cloud.add_template(WABA_ID, template(7, "made_elsewhere"));
    assert!(listed(&app).await.is_empty());
    assert!(app.cloud.decide_template("1000000000000007", "APPROVED", None));
    until(&app, "made_elsewhere", |template| template["shorthand"].as_str().unwrap().contains("Ann")).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_created_reviewed_edited_and_deleted() {
    let app = TestApp::start().await;
    let waba_id = waba(&app).await;
    let new = json!({"waba_id": waba_id, "name": "order_sent", "language": "en_US", "category": "UTILITY",
        "parameter_format": "NAMED", "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Order {{number}}",
         "example": {"header_text_named_params": [{"param_name": "number", "example": "860198"}]}},
        {"type": "BODY", "text": "Thank you, {{first_name}}! Your order is on its way.",
         "example": {"body_text_named_params": [{"param_name": "first_name", "example": "Pablo"}]}},
        {"type": "FOOTER", "text": "Reply STOP to opt out"},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Stop"},
         {"type": "URL", "text": "Track", "url": "https://x.example/t/{{1}}", "example": ["https://x.example/t/1"]},
         {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550100200"},
         {"type": "COPY_CODE", "example": "25OFF"}]}]});
    let (status, created) = app.api.call("POST", "/templates", Some(new.clone())).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!((&created["status"], &created["name"]), (&json!("PENDING"), &json!("order_sent")));
    assert_eq!(app.api.call("POST", "/templates", Some(new)).await.0, 409);

    let path = format!("/templates/{}", created["id"].as_str().unwrap());
    let change = json!({"components": [{"type": "BODY", "text": "Your order is on its way."}]});
    assert_eq!(app.api.call("PATCH", &path, Some(change.clone())).await.0, 409, "it is under review");
    assert!(app.cloud.decide_template(created["template_id"].as_str().unwrap(), "APPROVED", None));
    until(&app, "order_sent", |template| template["status"] == "APPROVED").await;
    let (status, problem) = app.api.call("PATCH", &path, Some(json!({"category": "MARKETING"}))).await;
    assert_eq!((status, fields(&problem)), (422, vec!["category"]));
    let (status, edited) = app.api.call("PATCH", &path, Some(change.clone())).await;
    assert_eq!(status, 200, "{edited}");
    assert_eq!(
        (&edited["status"], &edited["shorthand"]),
        (&json!("PENDING"), &json!("template+order_sent+en_US"))
    );
    assert_eq!(app.cloud.templates(WABA_ID)[0]["components"].as_array().unwrap().len(), 1);

    // What is approved is edited once a day, what was rejected as often as one likes.
    assert!(app.cloud.decide_template(created["template_id"].as_str().unwrap(), "APPROVED", None));
    until(&app, "order_sent", |template| template["status"] == "APPROVED").await;
    let (status, problem) = app.api.call("PATCH", &path, Some(change.clone())).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("once in 24 hours"), "{problem}");
    assert!(app.cloud.decide_template(created["template_id"].as_str().unwrap(), "REJECTED", None));
    until(&app, "order_sent", |template| template["status"] == "REJECTED").await;
    assert_eq!(app.api.call("PATCH", &path, Some(change)).await.0, 200);

    assert_eq!(app.api.call("DELETE", &path, None).await.0, 204);
    assert!(app.cloud.templates(WABA_ID).is_empty());
    assert_eq!(app.api.call("GET", &path, None).await.0, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_deleted_in_one_language_or_in_all() {
    let app = TestApp::start().await;
    for (id, language) in [(1, "en_US"), (2, "de"), (3, "fr")] {
        let mut one = template(id, "hello");
        one["language"] = language.into();
        app.cloud.add_template(WABA_ID, one);
    }
    synced(&app).await;
    let of = |language: &'static str| {
        let app = &app;
        async move {
            let all = listed(app).await;
            let one = all.into_iter().find(|template| template["language"] == language).unwrap();
            one["id"].as_str().unwrap().to_owned()
        }
    };
    assert_eq!(app.api.call("DELETE", &format!("/templates/{}", of("de").await), None).await.0, 204);
    assert_eq!(listed(&app).await.len(), 2);
    let all = format!("/templates/{}?all_languages=true", of("fr").await);
    assert_eq!(app.api.call("DELETE", &all, None).await.0, 204);
    assert!(listed(&app).await.is_empty() && app.cloud.templates(WABA_ID).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_a_documented_rule_never_reaches_meta() {
    let app = TestApp::start().await;
    let waba_id = waba(&app).await;
    let body = json!([{"type": "BODY", "text": "{{1}} hello"}]);
    let wrong = json!({"waba_id": "none", "name": "Wrong Name", "language": "x", "category": "ADS", "components": body});
    let (status, problem) = app.api.call("POST", "/templates", Some(wrong)).await;
    assert_eq!(status, 422);
    assert_eq!(
        fields(&problem),
        ["waba_id", "name", "language", "category", "components[0].text", "components[0].example.body_text"]
    );
    let extra = json!({"waba_id": waba_id, "name": "x", "language": "en", "category": "UTILITY", "components": [], "x": 1});
    assert_eq!(app.api.call("POST", "/templates", Some(extra)).await.0, 422);
    assert!(app.cloud.templates(WABA_ID).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_templates_as_meta_allows_the_account_and_no_more() {
    let app = TestApp::start().await;
    let waba_id = waba(&app).await;
    let create = async |name: &str| {
        let new = json!({"waba_id": waba_id, "name": name, "language": "en", "category": "UTILITY",
            "components": [{"type": "BODY", "text": "Hello"}]});
        app.api.call("POST", "/templates", Some(new)).await
    };
    for number in 0..250 {
        app.cloud.add_template(WABA_ID, template(number, &format!("order_{number:03}")));
    }
    synced(&app).await;
    // A verified business with a name that is approved may have more.
    let (status, created) = create("one_more").await;
    assert_eq!(status, 201, "{created}");
    // Meta says how many, and what was made elsewhere counts.
    app.cloud.set_waba(WABA_ID, json!({"business_verification_status": "not_verified"}));
    let refused = async |name: &str, words: &str| {
        let (status, problem) = create(name).await;
        assert_eq!(status, 409, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    };
    refused("too_many", "the account has 251 templates, and Meta allows 250").await;
    app.cloud.add_template(WABA_ID, template(400, "made_elsewhere"));
    refused("too_many", "the account has 252 templates").await;
    // Where Meta tells no number, the states of the business and of its names do.
    app.cloud.change_faults(|faults| faults.template_counts_hidden = true);
    refused("too_many", "Meta allows 250 (6000 once the business is verified").await;
    app.cloud.set_waba(WABA_ID, json!({"business_verification_status": "verified"}));
    app.cloud.set_phone(PHONE_ID, json!({"name_status": "PENDING_REVIEW"}));
    refused("too_many", "Meta allows 250").await;
    // What is not known is Meta's to decide, in its own words.
    app.cloud.set_phone(PHONE_ID, json!({"name_status": "AVAILABLE_WITHOUT_REVIEW"}));
    let (status, problem) = create("too_many").await;
    assert_eq!(status, 502, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("reached its limit of 250 message templates"));
    assert_eq!(app.cloud.templates(WABA_ID).len(), 252);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metas_own_text_is_shown_when_it_refuses() {
    let app = TestApp::start().await;
    let new = json!({"waba_id": waba(&app).await, "name": "dense", "language": "en", "category": "UTILITY",
        "components": [{"type": "BODY", "text": "a {{1}} {{2}} {{3}} b", "example": {"body_text": [["1", "2", "3"]]}}]});
    let (status, problem) = app.api.call("POST", "/templates", Some(new)).await;
    assert_eq!(status, 502, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("This template has too many variables for its length."), "{detail}");
    assert!(listed(&app).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_of_a_media_header_is_fetched_and_uploaded() {
    let app = TestApp::start().await;
    let site =
        Site::start(vec![("/a.png", 200, PNG.to_vec()), ("/a.txt", 200, b"just a text".to_vec())]).await;
    let new = |path: &str| {
        let site = format!("{}{path}", site.url);
        let app = &app;
        async move {
            let body = json!({"waba_id": waba(app).await, "name": "picture", "language": "en", "category": "MARKETING",
                "components": [{"type": "HEADER", "format": "IMAGE", "example": {"header_url": site}},
                    {"type": "BODY", "text": "Look!"}]});
            app.api.call("POST", "/templates", Some(body)).await
        }
    };
    for wrong in ["/a.txt", "/none.png"] {
        let (status, problem) = new(wrong).await;
        assert_eq!((status, fields(&problem)), (422, vec!["components[0].example.header_url"]), "{wrong}");
    }
    let (status, created) = new("/a.png").await;
    assert_eq!(status, 201, "{created}");
    let handle = created["components"][0]["example"]["header_handle"][0].as_str().unwrap();
    assert!(handle.starts_with("4::"), "{created}");
    assert!(created["shorthand"].as_str().unwrap().contains("+file_link:https://"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_a_file_for_a_spreadsheet() {
    let app = TestApp::start().await;
    let mut one = template(1, "order");
    one["status"] = "REJECTED".into();
    one["rejected_reason"] = "=HYPERLINK(1)".into();
    app.cloud.add_template(WABA_ID, one);
    synced(&app).await;
    let (status, file) = app.api.call("GET", "/templates.csv", None).await;
    assert_eq!(status, 200);
    let text = file.as_str().unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("waba_id,name,language,status,category,reason,quality,shorthand"));
    let line = lines.next().unwrap();
    assert!(
        line.contains(
            r#",order,en_US,REJECTED,UTILITY,"'=HYPERLINK(1)",GREEN,template-order+en_US+Ann|A\|7"#
        ),
        "{line}"
    );
    app.stop().await;
}
