//! The page over HTTP: who may come in, and what a click does. Drawing is tried in a browser.

use std::net::TcpListener;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::cloud::CloudOptions;
use crate::sandbox::portal::PortalOptions;

const WABA: &str = "524126980791429";
const PHONE: &str = "106540352242922";
const MARIA: &str = "15550101234";
const OMAR: &str = "US.13491208655302741918";
const DEADLINE: Duration = Duration::from_secs(20);

struct Rig {
    page: SandboxPage,
    cloud: SimCloud,
    portal: SimPortal,
    http: reqwest::Client,
    /// `http://127.0.0.1:PORT`
    origin: String,
    /// The same with the path that holds the token.
    base: String,
}

async fn rig() -> Rig {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let cloud = SimCloud::start(bind(), CloudOptions::default()).await.unwrap();
    cloud.add_waba(WABA, "Shop");
    cloud.add_phone(WABA, PHONE, "+1 631-555-5555", "Shop");
    let portal = SimPortal::start(bind(), bind(), PortalOptions::default()).await.unwrap();
    let scene = Scene {
        phone_number_id: PHONE.to_owned(),
        line_id: portal.add_line("separator_16315555555"),
        customers: vec![
            SimCustomer::with_number(MARIA, "Maria Lopez"),
            SimCustomer::with_user_id(OMAR, "Omar Haddad"),
        ],
        bridge_url: "http://127.0.0.1:1".to_owned(),
        telephony: None,
        bridge: None,
    };
    let page = SandboxPage::start(bind(), cloud.clone(), portal.clone(), scene).await.unwrap();
    let address = page.address();
    let (origin, token) = address.split_once("/?token=").unwrap();
    let (origin, base) = (origin.to_owned(), format!("{origin}/s/{token}/"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()
        .unwrap();
    Rig { page, cloud, portal, http, origin, base }
}

impl Rig {
    async fn act(&self, action: Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}do", self.base)).json(&action).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ok(&self, action: Value) -> String {
        let (status, body) = self.act(action).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// The first event of this name whose data holds the condition.
    async fn event(&self, name: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let answer = self.http.get(format!("{}events", self.base)).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
        let mut stream = answer.bytes_stream();
        let mut text = String::new();
        let find = async {
            while let Some(chunk) = stream.next().await {
                text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
                while let Some((event, rest)) = text.split_once("\n\n") {
                    let data = event.strip_prefix(&format!("event: {name}\ndata: "));
                    let data: Option<Value> = data.map(|data| serde_json::from_str(data).unwrap());
                    text = rest.to_owned();
                    if let Some(data) = data.filter(&mut wanted) {
                        return data;
                    }
                }
            }
            panic!("the stream ended");
        };
        tokio::time::timeout(DEADLINE, find).await.expect("no such event")
    }

    async fn stop(self) {
        self.page.stop().await;
        self.cloud.stop().await;
        self.portal.stop().await;
    }
}

#[tokio::test]
async fn the_printed_address_leads_to_the_page_and_its_files() {
    let rig = rig().await;
    let answer = rig.http.get(rig.page.address()).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(format!("{}{}", rig.origin, answer.headers()["location"].to_str().unwrap()), rig.base);
    for (path, kind) in [("", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")] {
        let answer = rig.http.get(format!("{}{path}", rig.base)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(kind));
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"));
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    }
    rig.stop().await;
}

#[test]
fn the_page_needs_nothing_inline_and_nothing_from_elsewhere() {
    let html = include_str!("page.html");
    assert!(!html.contains("style=") && !html.contains("<style") && !html.contains(" onclick"));
    assert_eq!(html.matches("<script").count(), 1);
    let names = html.replace("http://www.w3.org/2000/svg", "").replace("https://example.com/pay", "");
    assert!(!names.contains("http://") && !names.contains("https://"));
    assert!(!include_str!("page.css").contains("url("));
    let script = include_str!("page.js");
    for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
        assert!(!script.contains(word), "{word}");
    }
}

#[tokio::test]
async fn without_the_token_nothing_is_answered() {
    let rig = rig().await;
    let wrong = rig.base.replace(&rig.page.desk.token, &"0".repeat(32));
    for url in [
        format!("{}/", rig.origin),
        format!("{}/?token=", rig.origin),
        format!("{}/s/", rig.origin),
        format!("{}/elsewhere", rig.origin),
        wrong.clone(),
        format!("{wrong}events"),
    ] {
        assert_eq!(rig.http.get(&url).send().await.unwrap().status(), 403, "{url}");
    }
    let say = json!({"do": "say", "customer": MARIA, "text": "Hi"});
    assert_eq!(rig.http.post(format!("{wrong}do")).json(&say).send().await.unwrap().status(), 403);
    assert!(rig.cloud.thread(PHONE, MARIA).is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn foreign_names_and_foreign_pages_are_refused() {
    let rig = rig().await;
    let own = rig.origin.trim_start_matches("http://").to_owned();
    let port = own.rsplit(':').next().unwrap();
    for (header, value, status) in [
        ("host", "sandbox.example.com".to_owned(), 403),
        ("host", format!("127.0.0.1.example.com:{port}"), 403),
        ("host", "127.0.0.1:1".to_owned(), 403),
        ("host", format!("localhost:{port}"), 200),
        ("origin", "http://example.com".to_owned(), 403),
        ("origin", "null".to_owned(), 403),
        ("origin", format!("https://{own}"), 403),
        ("origin", rig.origin.clone(), 200),
        ("sec-fetch-site", "cross-site".to_owned(), 403),
        ("sec-fetch-site", "same-site".to_owned(), 403),
        ("sec-fetch-site", "same-origin".to_owned(), 200),
    ] {
        let say = json!({"do": "say", "customer": MARIA, "text": "Hi"});
        let request = rig.http.post(format!("{}do", rig.base)).json(&say).header(header, &value);
        assert_eq!(request.send().await.unwrap().status(), status, "{header}: {value}");
    }
    let form = rig.http.post(format!("{}do", rig.base)).header("content-type", "text/plain").body("{}");
    assert_eq!(form.send().await.unwrap().status(), 415);
    let file = rig.http.post(format!("{}file?customer={MARIA}&kind=image", rig.base)).body("x");
    assert_eq!(file.send().await.unwrap().status(), 415);
    rig.stop().await;
}

#[tokio::test]
async fn the_page_is_for_loopback_alone() {
    let rig = rig().await;
    let scene = rig.page.desk.scene.clone();
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = SandboxPage::start(everywhere, rig.cloud.clone(), rig.portal.clone(), scene).await;
    assert_eq!(refused.err().unwrap().kind(), io::ErrorKind::InvalidInput);
    rig.stop().await;
}

#[tokio::test]
async fn what_a_customer_writes_is_in_the_next_snapshot() {
    let rig = rig().await;
    let id = rig.ok(json!({"do": "say", "customer": MARIA, "text": "Hello"})).await;
    let reply = rig.ok(json!({"do": "say", "customer": MARIA, "text": "Two", "reply_to": id})).await;
    let state = rig.event("state", |state| state["customers"][0]["messages"][1]["id"] == reply).await;
    let maria = &state["customers"][0];
    assert_eq!((&maria["name"], &maria["detail"]), (&json!("Maria Lopez"), &json!("+15550101234")));
    assert_eq!(maria["messages"][0]["text"], "Hello");
    assert_eq!(maria["messages"][1]["quote"]["text"], "Hello");
    assert!(maria["window_until"].is_string());
    assert_eq!(state["customers"][1]["detail"], "no number");
    // Who opens the page later gets the snapshot at once, though nothing changes any more.
    rig.event("state", |state| state["customers"][0]["messages"][1]["id"] == reply).await;
    let sent = rig.cloud.thread(PHONE, MARIA).remove(1).body;
    assert_eq!(sent["context"], json!({"id": id, "from": MARIA}));
    rig.stop().await;
}

#[tokio::test]
async fn every_sample_goes_out_in_the_shape_of_the_webhook() {
    let rig = rig().await;
    let html = include_str!("page.html");
    let names = html.split("data-sample=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut count = 0;
    for name in names {
        rig.ok(json!({"do": "sample", "customer": OMAR, "name": name})).await;
        count += if name == "burst" { 20 } else { 1 };
    }
    let thread = rig.cloud.thread(PHONE, OMAR);
    assert_eq!(thread.len(), count);
    for message in thread {
        let kind = message.body["type"].as_str().unwrap();
        assert!(message.body[kind].is_object() || message.body[kind].is_array(), "{}", message.body);
        assert_eq!(message.body["from_user_id"], OMAR);
        assert!(message.body.get("from").is_none());
    }
    rig.stop().await;
}

#[tokio::test]
async fn edits_deletions_and_reactions_bear_the_message_they_are_about() {
    let rig = rig().await;
    let id = rig.ok(json!({"do": "say", "customer": MARIA, "text": "Helo"})).await;
    rig.ok(json!({"do": "edit", "customer": MARIA, "message": id, "text": "Hello"})).await;
    rig.ok(json!({"do": "react", "customer": MARIA, "message": id, "emoji": "👍"})).await;
    rig.ok(json!({"do": "react", "customer": MARIA, "message": id, "emoji": ""})).await;
    rig.ok(json!({"do": "delete", "customer": MARIA, "message": id})).await;
    let bodies: Vec<Value> = rig.cloud.thread(PHONE, MARIA).into_iter().map(|message| message.body).collect();
    let edit = json!({"original_message_id": id, "message": {"type": "text", "text": {"body": "Hello"}}});
    assert_eq!(bodies[1]["edit"], edit);
    assert_eq!(bodies[2]["reaction"], json!({"message_id": id, "emoji": "👍"}));
    assert_eq!(bodies[3]["reaction"], json!({"message_id": id}));
    assert_eq!(bodies[4]["revoke"], json!({"original_message_id": id}));
    let (status, _) = rig.act(json!({"do": "edit", "customer": MARIA, "message": "none", "text": "x"})).await;
    assert_eq!(status, 422);
    rig.stop().await;
}

#[tokio::test]
async fn a_file_goes_in_and_comes_back_without_being_a_page() {
    let rig = rig().await;
    let upload = |kind: &str, mime: &str, bytes: &'static [u8]| {
        let url = format!("{}file?customer={MARIA}&kind={kind}&name=a.html&text=Look", rig.base);
        rig.http.post(url).header("x-sandbox", "1").header("content-type", mime).body(bytes).send()
    };
    for (kind, mime, shown) in [
        ("document", "text/html", "application/octet-stream"),
        ("document", "image/svg+xml", "application/octet-stream"),
        ("image", "image/jpeg", "image/jpeg"),
    ] {
        let answer: Value = upload(kind, mime, b"0123456789").await.unwrap().json().await.unwrap();
        let id = answer["id"].as_str().unwrap();
        let found = rig.event("state", |state| {
            state["customers"][0]["messages"].as_array().unwrap().iter().any(|message| message["id"] == id)
        });
        let state = found.await;
        let message = state["customers"][0]["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(message["text"], "Look");
        let url = format!("{}{}", rig.base, message["media"]["url"].as_str().unwrap());
        let whole = rig.http.get(&url).send().await.unwrap();
        assert_eq!(
            (whole.status().as_u16(), &whole.headers()["content-type"]),
            (200, &shown.parse().unwrap())
        );
        assert_eq!(whole.headers()["content-security-policy"], "default-src 'none'; sandbox");
        assert_eq!(whole.headers()["x-content-type-options"], "nosniff");
        let part = rig.http.get(&url).header("range", "bytes=2-4").send().await.unwrap();
        assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
        assert_eq!(part.bytes().await.unwrap(), "234");
    }
    assert_eq!(upload("program", "text/plain", b"x").await.unwrap().status(), 422);
    assert_eq!(upload("image", "image/png", b"").await.unwrap().status(), 422);
    rig.stop().await;
}

#[tokio::test]
async fn switches_change_their_simulator_and_all_go_off_at_once() {
    let rig = rig().await;
    rig.ok(json!({"do": "cloud_faults", "change": {"token_expired": true, "send": {"internal": 1}}})).await;
    rig.ok(json!({"do": "cloud_once", "fault": "lost_answer"})).await;
    rig.ok(json!({"do": "fail_next", "code": 131_047})).await;
    rig.ok(json!({"do": "portal_faults", "change": {"down": true, "random": {"query_limit": 1}}})).await;
    rig.ok(json!({"do": "portal_once", "fault": "item_fails"})).await;
    let (cloud, portal) = (rig.cloud.faults(), rig.portal.faults());
    assert!(cloud.token_expired && cloud.send.len() == 1 && cloud.send_next.len() == 1);
    assert_eq!((cloud.fail_next, cloud.fail_code), (1, 131_047));
    assert!(portal.down && portal.random.len() == 1 && portal.planned.len() == 1);
    for wrong in [json!({"no_such": true}), json!({"token_expired": "maybe"})] {
        assert_eq!(rig.act(json!({"do": "cloud_faults", "change": wrong})).await.0, 422);
    }
    rig.ok(json!({"do": "calm"})).await;
    assert_eq!(rig.cloud.faults(), Default::default());
    assert_eq!(rig.portal.faults(), Default::default());
    rig.stop().await;
}

#[tokio::test]
async fn every_switch_of_the_page_is_one_of_the_simulators() {
    let rig = rig().await;
    let html = include_str!("page.html");
    let mut seen = 0;
    for group in html.split("<details").skip(1) {
        let side = if group.contains("data-side=\"cloud\"") { "cloud" } else { "portal" };
        let group = group.split("</details>").next().unwrap();
        for row in group.split("class=\"fault\"").skip(1) {
            let of = |name: &str| {
                let rest = row.split('>').next()?.split(&format!("data-{name}=\"")).nth(1)?;
                rest.split('"').next().map(str::to_owned)
            };
            let change = match (of("key"), of("send"), of("random"), of("count")) {
                (Some(key), ..) => {
                    let on = of("on").map_or(json!(true), |on| serde_json::from_str(&on).unwrap());
                    json!({ key: on })
                }
                (_, Some(send), ..) => json!({"send": {send: 1}}),
                (_, _, Some(random), _) => json!({"random": {random: 1}}),
                (.., Some(count)) => json!({ count: 1 }),
                _ => panic!("a switch of nothing: {row}"),
            };
            rig.ok(json!({"do": format!("{side}_faults"), "change": change})).await;
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
    rig.stop().await;
}

#[tokio::test]
async fn a_crossing_is_shown_and_its_body_can_be_opened() {
    let rig = rig().await;
    let url = format!("{}/v25.0/{PHONE}/messages", rig.cloud.url());
    let send = json!({"messaging_product": "whatsapp", "to": MARIA, "text": {"body": "Hi"}});
    rig.http.post(url).bearer_auth("wrong").json(&send).send().await.unwrap();
    let line = rig.event("strip", |line| line["way"] == "meta-out").await;
    assert_eq!(line["name"], "POST /…2922/messages");
    assert_eq!((&line["good"], &line["note"]), (&json!(false), &json!("code 190")));
    let number = line["n"].as_u64().unwrap();
    let body = rig.http.get(format!("{}strip/{number}", rig.base)).send().await.unwrap();
    assert_eq!(body.json::<Value>().await.unwrap()["body"]["text"]["body"], "Hi");
    let gone = rig.http.get(format!("{}strip/99", rig.base)).send().await.unwrap();
    assert_eq!(gone.status(), 404);
    rig.stop().await;
}

#[tokio::test]
async fn stopping_ends_open_streams() {
    let rig = rig().await;
    let answer = rig.http.get(format!("{}events", rig.base)).send().await.unwrap();
    let mut stream = answer.bytes_stream();
    assert!(stream.next().await.is_some());
    tokio::time::timeout(DEADLINE, rig.page.stop()).await.unwrap();
    let end = async { while stream.next().await.is_some_and(|chunk| chunk.is_ok()) {} };
    tokio::time::timeout(DEADLINE, end).await.unwrap();
}
