//! Templates: listed in pages, created, edited, reviewed, deleted, and what a send of one must hold.

use super::*;
use chrono::TimeDelta;

use crate::clock::ManualClock;

fn body(text: &str) -> Value {
    json!({"type": "BODY", "text": text, "example": {"body_text": [["x", "y"]]}})
}

fn new(name: &str, components: Value) -> Value {
    json!({"name": name, "language": "en_US", "category": "UTILITY", "components": components})
}

async fn create(world: &World, template: Value) -> (u16, Value) {
    world.graph("POST", &format!("{WABA}/message_templates"), Some(template)).await
}

fn value_of(world: &World, field: &str) -> Value {
    let posts = world.callback.all();
    let changes = posts.iter().flat_map(|post| {
        post.json()["entry"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|e| e["changes"].as_array().unwrap().clone())
            .collect::<Vec<_>>()
    });
    changes.filter(|change| change["field"] == field).last().unwrap()["value"].clone()
}

#[tokio::test]
async fn a_template_is_created_reviewed_edited_and_deleted() {
    let world = World::new().await;
    let (status, answer) =
        create(&world, new("order", json!([body("Hello {{1}}, order {{2}} is here.")]))).await;
    assert_eq!(status, 200);
    assert_like("template_created", &answer);
    let id = answer["id"].as_str().unwrap().to_owned();
    let change = json!({"components": [body("Dear {{1}}, order {{2}} is here.")]});
    assert_eq!(world.graph("POST", &id, Some(change.clone())).await.0, 400, "it is under review");

    assert!(world.cloud.decide_template(&id, "APPROVED", None));
    world.until(|callback| !callback.all().is_empty()).await;
    assert_like("template_status_update", &value_of(&world, "message_template_status_update"));
    let (status, answer) = world.graph("POST", &id, Some(change)).await;
    assert_eq!((status, answer), (200, json!({"success": true})));
    world.until(|callback| callback.all().len() == 2).await;
    assert_like("template_components_update", &value_of(&world, "message_template_components_update"));
    world.cloud.rate_template(&id, "YELLOW");
    world.until(|callback| callback.all().len() == 3).await;
    assert_like("template_quality_update", &value_of(&world, "message_template_quality_update"));

    let (_, node) = world.graph("GET", &id, None).await;
    assert_eq!((&node["status"], &node["quality_score"]["score"]), (&json!("PENDING"), &json!("YELLOW")));
    let path = format!("{WABA}/message_templates?name=order&hsm_id={id}");
    assert_eq!(world.graph("DELETE", &path, None).await, (200, json!({"success": true})));
    assert_eq!(world.graph("DELETE", &path, None).await.0, 400);
    world.cloud.stop().await;
}

#[tokio::test]
async fn templates_are_listed_in_the_form_of_the_facts() {
    let world = World::new().await;
    let mut listed = sample("templates")["data"][0].clone();
    world.cloud.add_template(WABA, listed.clone());
    let (_, page) = world.graph("GET", &format!("{WABA}/message_templates"), None).await;
    assert_like("templates", &json!({"data": page["data"], "paging": sample("templates")["paging"]}));
    listed["name"] = "other".into();
    world.cloud.add_template(WABA, listed);
    let (_, page) = world.graph("GET", &format!("{WABA}/message_templates?limit=1"), None).await;
    assert_like("templates", &page);
    let (_, page) = world.graph("GET", &format!("{WABA}/message_templates?name=oth"), None).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    world.cloud.stop().await;
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_a_text_for_people() {
    let world = World::new().await;
    for (template, subcode) in [
        (new("Wrong Name", json!([body("x")])), 2_388_042),
        (new("a", json!([body("{{1}} first")])), 2_388_299),
        (new("a", json!([body("a {{1}} {{2}} {{3}} b")])), 2_388_293),
        (new("a", json!([body(&"x".repeat(1025))])), 2_388_040),
        (new("a", json!([body("x"), {"type": "FOOTER", "text": "{{1}}"}])), 2_388_073),
        (
            new(
                "a",
                json!([body("x"), {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::no"]}}]),
            ),
            2_388_273,
        ),
    ] {
        let (status, answer) = create(&world, template.clone()).await;
        assert_eq!((status, &answer["error"]["error_subcode"]), (400, &json!(subcode)), "{template}");
        assert_like("error_template", &answer);
    }
    assert_eq!(create(&world, new("a", json!([body("x")]))).await.0, 200);
    assert_eq!(create(&world, new("a", json!([body("x")]))).await.1["error"]["error_subcode"], 2_388_024);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_sample_is_uploaded_in_two_steps() {
    let world = World::new().await;
    let open = format!("{APP}/uploads?file_name=a.png&file_length=3&file_type=image/png");
    let (status, session) = world.graph("POST", &open, None).await;
    assert_eq!(status, 200);
    assert_like("upload_session", &session);
    let url = format!("{}/v25.0/{}", world.cloud.url(), session["id"].as_str().unwrap());
    let upload =
        world.http.post(url).header("Authorization", format!("OAuth {TOKEN}")).header("file_offset", "0");
    let handle: Value = upload.body("abc").send().await.unwrap().json().await.unwrap();
    assert_like("upload_handle", &handle);
    let header = json!({"type": "HEADER", "format": "IMAGE", "example": {"header_handle": [handle["h"]]}});
    assert_eq!(create(&world, new("a", json!([header, body("x")]))).await.0, 200);
    let wrong = format!("{APP}/uploads?file_name=a.gif&file_length=3&file_type=image/gif");
    assert_eq!(world.graph("POST", &wrong, None).await.0, 400);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_send_must_hold_what_its_template_wants() {
    let world = World::with_open_window().await;
    world.cloud.add_template(
        WABA,
        json!({"id": "1", "name": "full", "language": "en", "status": "APPROVED",
        "category": "UTILITY", "parameter_format": "NAMED", "components": [
        {"type": "HEADER", "format": "DOCUMENT"}, {"type": "BODY", "text": "Hi {{name}}."},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Yes"},
            {"type": "URL", "text": "Site", "url": "https://x.example/{{1}}"}]}]}),
    );
    let send = |components: Value| {
        let template = json!({"name": "full", "language": {"code": "en"}, "components": components});
        world.send("template", template)
    };
    let text = |name: &str, text: &str| json!({"type": "body", "parameters": [{"type": "text", "parameter_name": name, "text": text}]});
    let image = json!({"type": "header", "parameters": [{"type": "image", "image": {"id": "5"}}]});
    let button = |index: &str, kind: &str| json!({"type": "button", "sub_type": kind, "index": index, "parameters": [{"type": "text", "text": "a"}]});
    for (components, code) in
        [(json!([text("name", "Ann")]), 132_012), (json!([image, text("name", "Ann")]), 132_012)]
    {
        assert_eq!(send(components.clone()).await.1["error"]["code"], code, "{components}");
    }
    // Without its header the rest is tried on a template that has none.
    world.cloud.add_template(WABA, json!({"id": "2", "name": "plain", "language": "en", "status": "APPROVED",
        "category": "UTILITY", "parameter_format": "NAMED", "components": [{"type": "BODY", "text": "Hi {{name}}."},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Yes"},
            {"type": "URL", "text": "Site", "url": "https://x.example/{{1}}"}]}]}));
    let send = |components: Value| {
        let template = json!({"name": "plain", "language": {"code": "en"}, "components": components});
        world.send("template", template)
    };
    for (components, code) in [
        (json!([button("1", "url")]), 132_000),
        (json!([text("other", "Ann"), button("1", "url")]), 132_012),
        (json!([text("name", "Ann")]), 131_008),
        (json!([text("name", "Ann"), button("0", "url")]), 132_018),
        (json!([text("name", "Ann"), button("7", "url")]), 132_018),
        (json!([text("name", "a\nb"), button("1", "url")]), 100),
        (json!([text("name", &"x".repeat(1100)), button("1", "url")]), 132_005),
    ] {
        assert_eq!(send(components.clone()).await.1["error"]["code"], code, "{components}");
    }
    assert_eq!(send(json!([text("name", "Ann"), button("1", "url")])).await.0, 200);
    for (status, code) in
        [("PAUSED", 132_015), ("DISABLED", 132_016), ("PENDING", 132_001), ("IN_APPEAL", 132_001)]
    {
        world.cloud.decide_template("2", status, None);
        let (_, answer) = send(json!([text("name", "Ann"), button("1", "url")])).await;
        assert_eq!(answer["error"]["code"], code, "{status}");
    }
    world.cloud.stop().await;
}

#[tokio::test]
async fn people_beyond_the_tier_fail_until_a_day_has_passed() {
    let manual = ManualClock::starting_at("2026-03-01T10:00:00Z".parse().unwrap());
    let clock = Clock::Manual(manual.clone());
    let world = World::with(CloudOptions { clock, ..CloudOptions::default().unlimited() }).await;
    world.cloud.set_phone(PHONE, json!({"whatsapp_business_manager_messaging_limit": "TIER_50"}));
    world.cloud.add_template(
        WABA,
        json!({"id": "1", "name": "hi", "language": "en", "status": "APPROVED",
        "category": "UTILITY", "components": [{"type": "BODY", "text": "Hi."}]}),
    );
    let send = async |number: u32| {
        let body = json!({"messaging_product": "whatsapp", "to": format!("+1650555{number:04}"), "type": "template",
            "template": {"name": "hi", "language": {"code": "en"}}});
        assert_eq!(world.graph("POST", &format!("{PHONE}/messages"), Some(body)).await.0, 200);
    };
    for number in 0..50 {
        send(number).await;
    }
    send(7).await;
    assert_eq!(world.cloud.first_writes(WABA), 50);
    send(99).await;
    world
        .until(|callback| callback.elements("statuses").iter().any(|status| status["status"] == "failed"))
        .await;
    let failed =
        world.callback.elements("statuses").into_iter().find(|status| status["status"] == "failed").unwrap();
    assert_eq!(failed["errors"][0]["code"], 131_048);
    manual.advance(TimeDelta::hours(24));
    send(99).await;
    assert_eq!(world.cloud.first_writes(WABA), 1);
    world.cloud.stop().await;
}
