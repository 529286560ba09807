//! Sends: answers, refusals, the window, faults.

use super::*;
use crate::clock::ManualClock;
use chrono::TimeDelta;

fn template() -> Value {
    json!({"id": "1", "name": "order", "language": "en_US", "status": "APPROVED", "category": "UTILITY",
        "parameter_format": "POSITIONAL", "components": [{"type": "BODY", "text": "Hi {{1}}, {{2}}"}]})
}

fn template_send(count: usize) -> Value {
    let parameters = vec![json!({"type": "text", "text": "x"}); count];
    json!({"name": "order", "language": {"code": "en_US"}, "components": [{"type": "body", "parameters": parameters}]})
}

#[tokio::test]
async fn an_accepted_send_is_answered_and_shown_in_the_form_of_the_facts() {
    let world = World::with_open_window().await;
    let (status, answer) = world.send_text("Hi").await;
    assert_eq!(status, 200);
    assert_like("send_text_answer", &answer);
    assert_eq!(answer["contacts"][0]["input"], "+16505551234");
    assert_eq!(answer["contacts"][0]["wa_id"], NUMBER);
    let shown = world.cloud.received(PHONE, NUMBER);
    assert_eq!(shown[0].wamid, answer["messages"][0]["id"]);
    assert_eq!((shown[0].to.as_str(), &shown[0].body["text"]["body"]), ("+16505551234", &json!("Hi")));

    world.cloud.add_template(WABA, template());
    let (_, answer) = world.send("template", template_send(2)).await;
    assert_like("send_template_answer", &answer);

    let body = json!({"messaging_product": "whatsapp", "recipient": "US.13491208655302741918", "text": {"body": "x"}});
    let hidden = SimCustomer::with_user_id("US.99", "Nobody's number");
    world.cloud.customer_sends(PHONE, &hidden, json!({"type": "text", "text": {"body": "x"}}));
    let to_hidden = json!({"recipient": "US.99", "messaging_product": "whatsapp", "text": {"body": "y"}});
    let path = format!("{PHONE}/messages");
    for body in [body, to_hidden] {
        let (status, answer) = world.graph("POST", &path, Some(body)).await;
        assert_eq!(status, 200);
        assert_like("send_user_id_answer", &answer);
    }
    world.cloud.stop().await;
}

#[tokio::test]
async fn every_post_is_a_new_message() {
    let world = World::with_open_window().await;
    let (_, one) = world.send_text("same").await;
    let (_, two) = world.send_text("same").await;
    assert_ne!(one["messages"][0]["id"], two["messages"][0]["id"]);
    assert_eq!(world.texts(), ["same", "same"]);
    world.cloud.stop().await;
}

#[tokio::test]
async fn refusals_bear_the_status_and_code_of_the_facts() {
    let world = World::with_open_window().await;
    let path = format!("{PHONE}/messages");
    let text = json!({"messaging_product": "whatsapp", "to": "+16505551234", "text": {"body": "x"}});

    let (status, answer) = world.graph_as("wrong", "POST", &path, Some(text.clone())).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(190)));
    world.cloud.change_faults(|faults| faults.token_expired = true);
    let (status, answer) = world.graph("POST", &path, Some(text.clone())).await;
    assert_eq!(status, 401);
    assert_like("error_token", &answer);
    world.cloud.set_faults(Faults::default());

    let (status, answer) = world.graph("POST", "999/messages", Some(text.clone())).await;
    assert_eq!(
        (status, &answer["error"]["code"], &answer["error"]["error_subcode"]),
        (400, &json!(100), &json!(33))
    );
    assert_like("error_no_object", &answer);

    let (status, answer) = world.graph("POST", &path, Some(json!({"messaging_product": "whatsapp"}))).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(131008)));
    assert_like("error_parameter", &answer);

    let (_, answer) = world.send("image", json!({"id": "5"})).await;
    assert_eq!(answer["error"]["code"], 100);
    let (_, answer) = world.send("audio", json!({"id": "5", "caption": "no"})).await;
    assert_eq!(answer["error"]["code"], 100);
    let own = json!({"messaging_product": "whatsapp", "to": "+15550783881", "text": {"body": "x"}});
    assert_eq!(world.graph("POST", &path, Some(own)).await.1["error"]["code"], 131021);
    let (status, answer) = world.send("template", template_send(2)).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!(132001)));
    world.cloud.add_template(WABA, template());
    assert_eq!(world.send("template", template_send(1)).await.1["error"]["code"], 132000);
    world.cloud.set_phone(PHONE, json!({"platform_type": "NOT_APPLICABLE"}));
    assert_eq!(world.send_text("x").await.1["error"]["code"], 133010);
    assert!(world.cloud.received(PHONE, NUMBER).is_empty());
    world.cloud.stop().await;
}

#[tokio::test]
async fn statuses_follow_in_order_and_reading_is_the_customers() {
    let world = World::with_open_window().await;
    let (_, answer) = world.send_text("Hi").await;
    world.until(|callback| callback.statuses().len() == 2).await;
    assert_eq!(world.cloud.customer_reads(PHONE, NUMBER), 1);
    world.until(|callback| callback.statuses().len() == 3).await;
    assert_eq!(world.callback.statuses(), ["sent", "delivered", "read"]);
    let all = world.callback.elements("statuses");
    assert!(all.iter().all(|status| status["id"] == answer["messages"][0]["id"]));
    assert_like("status_sent", &all[0]);
    assert_like("status_sent", &all[1]);
    assert_like("status_read", &all[2]);
    assert_eq!(all[0]["biz_opaque_callback_data"], "outbox:42");
    let value = &world.callback.all()[0].json()["entry"][0]["changes"][0]["value"];
    assert_eq!(value["contacts"][0]["wa_id"], NUMBER);
    assert!(value["contacts"][0]["profile"].get("username").is_none(), "no username with `sent`");
    assert_eq!(world.cloud.customer_reads(PHONE, NUMBER), 0);
    world.cloud.stop().await;
}

#[tokio::test]
async fn free_text_outside_the_window_is_accepted_and_fails_later() {
    let start = "2026-03-01T10:00:00Z".parse().unwrap();
    let manual = ManualClock::starting_at(start);
    let clock = Clock::Manual(manual.clone());
    let world = World::with(CloudOptions { clock, ..CloudOptions::default() }).await;
    world.cloud.customer_sends(PHONE, &World::customer(), json!({"type": "text", "text": {"body": "Hi"}}));
    manual.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    world.send_text("in time").await;
    world.until(|callback| callback.statuses().len() == 2).await;
    world.cloud.advance_time(TimeDelta::seconds(1));
    world.cloud.add_template(WABA, template());
    assert_eq!(world.send_text("too late").await.0, 200);
    assert_eq!(world.send("template", template_send(2)).await.0, 200);
    world.until(|callback| callback.statuses().len() == 5).await;
    assert_eq!(world.callback.statuses(), ["sent", "delivered", "failed", "sent", "delivered"]);
    let failed = &world.callback.elements("statuses")[2];
    assert_like("status_failed", failed);
    assert_eq!(failed["errors"][0]["code"], 131047);
    assert_eq!(world.texts(), ["in time"]);
    // A message of the customer opens it again.
    world.cloud.customer_sends(PHONE, &World::customer(), json!({"type": "text", "text": {"body": "Again"}}));
    world.send_text("now").await;
    assert_eq!(world.texts(), ["in time", "now"]);
    world.cloud.close_window(PHONE, NUMBER);
    world.send_text("closed by hand").await;
    assert_eq!(world.texts(), ["in time", "now"]);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_number_that_is_not_on_whatsapp_fails_and_an_alias_answers_with_its_own_id() {
    let world = World::with_open_window().await;
    world.cloud.not_on_whatsapp("+49 30 1234567");
    let send = |to: &str| json!({"messaging_product": "whatsapp", "to": to, "text": {"body": "x"}});
    let path = format!("{PHONE}/messages");
    assert_eq!(world.graph("POST", &path, Some(send("+49 30 1234567"))).await.0, 200);
    world.until(|callback| callback.statuses() == ["failed"]).await;
    assert_eq!(world.callback.elements("statuses")[0]["errors"][0]["code"], 131026);

    world.cloud.alias_number("+55 11 98765-4321", "551187654321");
    let (_, answer) = world.graph("POST", &path, Some(send("+55 11 98765-4321"))).await;
    assert_eq!(answer["contacts"][0]["wa_id"], "551187654321");
    // Without `+` the business's own country code is put before a number that nobody has.
    let (_, answer) = world.graph("POST", &path, Some(send("6505550000"))).await;
    assert_eq!(answer["contacts"][0]["wa_id"], "16505550000");
    let (_, answer) = world.graph("POST", &path, Some(send(NUMBER))).await;
    assert_eq!(answer["contacts"][0]["wa_id"], NUMBER);
    world.cloud.stop().await;
}

#[tokio::test]
async fn faults_of_a_send_answer_or_close_as_set() {
    use SendFault::*;
    let world = World::with_open_window().await;
    let next = vec![Internal, Unavailable, Throughput, PairRate, WindowAtOnce];
    world.cloud.change_faults(|faults| faults.send_next = next);
    for expected in [(500, 131000), (503, 2), (429, 130429), (400, 131056), (400, 131047)] {
        let (status, answer) = world.send_text("x").await;
        assert_eq!((status, answer["error"]["code"].as_u64().unwrap()), expected);
        if expected.1 == 130429 {
            assert_like("error_throughput", &answer);
        }
    }
    world.cloud.change_faults(|faults| faults.send_next = vec![Html]);
    let url = format!("{}/v25.0/{PHONE}/messages", world.cloud.url());
    let body = json!({"messaging_product": "whatsapp", "to": "+16505551234", "text": {"body": "x"}});
    let post = || world.http.post(&url).bearer_auth(TOKEN).json(&body).send();
    let answer = post().await.unwrap();
    assert_eq!(answer.status(), 500);
    assert!(answer.json::<Value>().await.is_err());
    assert_eq!(world.cloud.accepted(), 0);

    world.cloud.change_faults(|faults| faults.send_next = vec![Dropped, LostAnswer]);
    assert!(post().await.is_err());
    assert_eq!(world.cloud.accepted(), 0);
    assert!(post().await.is_err());
    assert_eq!(world.cloud.accepted(), 1);
    world.until(|callback| callback.statuses().len() == 2).await;
    world.cloud.change_faults(|faults| faults.cloud_down = true);
    assert!(post().await.is_err());
    world.cloud.change_faults(|faults| faults.cloud_down = false);
    assert_eq!(post().await.unwrap().status(), 200);
    world.cloud.stop().await;
}

#[tokio::test]
async fn dice_fall_by_their_seed() {
    let mut counts = Vec::new();
    for _ in 0..2 {
        let world = World::with(CloudOptions { seed: 7, ..CloudOptions::default() }.unlimited()).await;
        world.cloud.meet_for_test();
        world.cloud.change_faults(|faults| {
            faults.send = [(SendFault::Internal, 0.5)].into();
        });
        let mut statuses = Vec::new();
        for n in 0..20 {
            statuses.push(world.send_text(&n.to_string()).await.0);
        }
        assert!(statuses.contains(&200) && statuses.contains(&500));
        counts.push(statuses);
        world.cloud.stop().await;
    }
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test]
async fn the_pair_rate_and_the_throughput_hold() {
    let clock = Clock::Manual(ManualClock::starting_at("2026-03-01T10:00:00Z".parse().unwrap()));
    let options = CloudOptions { clock, pair_burst: Some(3), throughput: Some(5), ..CloudOptions::default() };
    let world = World::with(options).await;
    world.cloud.meet_for_test();
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(world.send_text("x").await.1["error"]["code"].as_u64().unwrap_or(0));
    }
    assert_eq!(codes, [0, 0, 0, 131056, 131056, 130429]);
    world.cloud.advance_time(TimeDelta::seconds(6));
    assert_eq!(world.send_text("x").await.0, 200);
    assert_eq!(world.send_text("x").await.1["error"]["code"], 131056);
    world.cloud.stop().await;
}

#[tokio::test]
async fn reading_marks_a_message_of_the_customer_and_reactions_need_one() {
    let world = World::new().await;
    let text = json!({"type": "text", "text": {"body": "Hi"}});
    let first = world.cloud.customer_sends(PHONE, &World::customer(), text.clone());
    let second = world.cloud.customer_sends(PHONE, &World::customer(), text);
    let path = format!("{PHONE}/messages");
    let mark = |wamid: &str| {
        json!({"messaging_product": "whatsapp", "status": "read", "message_id": wamid,
        "typing_indicator": {"type": "text"}})
    };
    let (status, answer) = world.graph("POST", &path, Some(mark(&second))).await;
    assert_eq!(status, 200);
    assert_like("success", &answer);
    let thread = world.cloud.thread(PHONE, NUMBER);
    assert!(thread.iter().all(|message| message.status == SimStatus::Read));
    assert_eq!(world.graph("POST", &path, Some(mark("wamid.none"))).await.1["error"]["code"], 131009);

    world.send("reaction", json!({"message_id": first, "emoji": "👍"})).await;
    world.send("reaction", json!({"message_id": "wamid.none", "emoji": "👍"})).await;
    world.until(|callback| callback.statuses().len() == 2).await;
    assert_eq!(world.callback.statuses(), ["sent", "failed"]);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_quiet_cloud_counts_and_keeps_nothing() {
    let world = World::with(CloudOptions { quiet: true, ..CloudOptions::default() }).await;
    world.cloud.meet_for_test();
    assert_like("send_text_answer", &world.send_text("x").await.1);
    assert_eq!(world.cloud.accepted(), 1);
    assert!(world.cloud.thread(PHONE, NUMBER).is_empty());
    world.cloud.stop().await;
}

#[tokio::test]
async fn statuses_wait_a_while_after_the_answer() {
    let world = World::with_status_delay(Duration::from_millis(30)).await;
    for _ in 0..3 {
        world.send_text("x").await;
    }
    world.until(|callback| callback.statuses().len() == 6).await;
    assert_eq!(world.callback.statuses(), ["sent", "delivered"].repeat(3));
    world.cloud.stop().await;
}
