//! What an attacker, a broken proxy or an odd phone sends: it is refused or kept, and nothing else happens.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wabridge::domain::Secret;
use wabridge::sandbox::cloud::SimCustomer;
use wabridge::sandbox::portal::SimPortal;
use wabridge::whatsapp::signature;

use crate::desk::{APP_SECRET, CLIENT_ID, Desk};
use crate::support::{DEADLINE, PHONE_ID, TestApp, anna, notification, value_of};

const NULL: Value = Value::Null;

impl Desk {
    /// Bytes as they are, and the status of the answer; `None` if there is none.
    async fn raw(&self, request: &[u8]) -> Option<u16> {
        let host = self.base.trim_start_matches("http://");
        let mut socket = TcpStream::connect(host).await.unwrap();
        // It may be cut before all of it is sent.
        let _ = socket.write_all(request).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let mut bytes = [0; 4096];
        while !answer.windows(2).any(|end| end == b"\r\n") {
            let read = tokio::time::timeout(DEADLINE, socket.read(&mut bytes)).await;
            let read = read.unwrap_or_else(|_| panic!("no end of {:?}", String::from_utf8_lossy(request)));
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => answer.extend_from_slice(&bytes[..count]),
            }
        }
        String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok())
    }

    async fn still_lives(&self) {
        assert_eq!(self.http.get(self.url("/healthz")).send().await.unwrap().status(), 200);
    }

    async fn signed(&self, body: &[u8]) -> u16 {
        let request = self
            .http
            .post(self.url(&format!("/api/waba/?app_id={CLIENT_ID}")))
            .header(signature::HEADER, signature::sign(&Secret::from(APP_SECRET), body));
        request.body(body.to_vec()).send().await.unwrap().status().as_u16()
    }
}

#[actix_web::test]
async fn no_trick_with_headers_proves_a_webhook() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    let body = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    let good = signature::sign(&Secret::from(APP_SECRET), body);
    let hash = good.trim_start_matches("sha256=").to_owned();
    let other = signature::sign(&Secret::from(""), body);
    for (header, value) in [
        ("x-hub-signature", good.clone()),
        ("x-hub-signature-256", hash.clone()),
        ("x-hub-signature-256", format!("sha1={hash}")),
        ("x-hub-signature-256", format!("sha256={hash}00")),
        ("x-hub-signature-256", format!("sha256={}", &hash[..62])),
        ("x-hub-signature-256", format!("sha256={}", "0".repeat(64))),
        ("x-hub-signature-256", "sha256=".to_owned()),
        ("x-hub-signature-256", String::new()),
        ("x-hub-signature-256", "sha256=✓".to_owned()),
        ("x-hub-signature-256", other.clone()),
        ("x-hub-signature-256", format!("{other}, {good}")),
    ] {
        let request = desk.http.post(desk.url(&format!("/api/waba/?app_id={CLIENT_ID}")));
        let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let status = request.header(header, value.clone()).body(body.to_vec()).send().await.unwrap().status();
        assert_eq!(status, 401, "{header}: {value:?}");
    }
    // The first of two headers counts, and only an app of its own secret.
    let request = desk.http.post(desk.url(&format!("/api/waba/?app_id={CLIENT_ID}")));
    let request = request.header(signature::HEADER, &other).header(signature::HEADER, &good);
    assert_eq!(request.body(body.to_vec()).send().await.unwrap().status(), 401);
    for selector in ["app_id=1", "api-key=", "api-key=%00", "app_id=%F0%9F%92%A9", "app_id=1'%20OR%20'1'='1"]
    {
        let request = desk.http.post(desk.url(&format!("/api/waba/?{selector}")));
        let status =
            request.header(signature::HEADER, &good).body(body.to_vec()).send().await.unwrap().status();
        assert_eq!(status, 401, "{selector}");
    }
    assert_eq!(desk.get("/events").await["items"], json!([]));
    assert_eq!(desk.signed(body).await, 200, "the signature itself was good");
    desk.close().await;
}

#[actix_web::test]
async fn broken_http_is_answered_or_cut_and_nothing_falls() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(300_000));
    for request in [
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"POST /api/waba/ HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /api/waba/ HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!".to_vec(),
        b"POST /api/waba/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nzz\r\n".to_vec(),
        b"POST /api/waba/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        b"GET /api/waba/\0 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET http://other.example/healthz HTTP/1.1\r\nhost: [::1\r\n\r\n".to_vec(),
        large.into_bytes(),
    ] {
        let status = desk.raw(&request).await;
        assert!(
            status.is_none_or(|status| (400..500).contains(&status) || status == 200),
            "{:?}: {status:?}",
            String::from_utf8_lossy(&request[..request.len().min(80)])
        );
    }
    // More is announced than may come: refused before it comes.
    let head = "POST /api/waba/ HTTP/1.1\r\nhost: x\r\ncontent-length: 4294967296\r\n\r\n";
    assert_eq!(desk.raw(head.as_bytes()).await, Some(413));
    desk.still_lives().await;
    desk.close().await;
}

#[actix_web::test]
async fn no_path_leads_out_of_its_folder_or_around_a_token() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    let token = "A".repeat(43);
    for path in [
        "/media/../secret.key".to_owned(),
        "/media/..%2f..%2fsecret.key/x".to_owned(),
        "/media/%2e%2e/%2e%2e/secret.key".to_owned(),
        format!("/media/{token}/../../secret.key"),
        format!("/media/{token}/%00"),
        format!("/media/{token}"),
        "/media//x".to_owned(),
        "/media/%00/x".to_owned(),
        "//api/v1/apps".to_owned(),
        "/api/v1/../v1/apps".to_owned(),
        "/api//v1/apps".to_owned(),
        "/API/v1/apps".to_owned(),
        "/api/v1/%2e%2e/apps".to_owned(),
        "/api/v1/openapi.json/../apps".to_owned(),
        "/api/v1//openapi.json/apps".to_owned(),
        "/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/readyz".to_owned(),
        "/metrics".to_owned(),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let status = desk.raw(request.as_bytes()).await;
        assert!(matches!(status, Some(400 | 401 | 404)), "{path}: {status:?}");
    }
    desk.close().await;
}

#[actix_web::test]
async fn ids_and_filters_of_any_bytes_are_not_found_or_named() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    let odd = ["%00", "a%00b", "%F0%9F%92%A9", "%E2%80%AE", "%FF%FE", "'%20OR%201=1--", &"9".repeat(3000)];
    for id in odd {
        for path in ["apps", "wabas", "phones", "portals", "messages", "contacts", "jobs", "events"] {
            let (status, problem) = desk.call(Method::GET, &format!("/{path}/{id}"), NULL).await;
            assert!(matches!(status.as_u16(), 400 | 404), "{path}/{id}: {status} {problem}");
        }
        for query in
            ["messages?contact=", "messages?phone_id=", "events?app_id=", "apps?cursor=", "jobs?cursor="]
        {
            let (status, problem) = desk.call(Method::GET, &format!("/{query}{id}"), NULL).await;
            assert!(matches!(status.as_u16(), 200 | 400 | 422), "{query}{id}: {status} {problem}");
        }
    }
    desk.close().await;
}

#[actix_web::test]
async fn a_field_with_characters_that_no_database_takes_is_named() {
    let desk = Desk::open().await;
    let phone = desk.make_phone().await;
    let app = desk.get("/apps").await["items"][0]["id"].as_str().unwrap().to_owned();
    let phone = phone["id"].as_str().unwrap().to_owned();
    for (method, path, body) in [
        (Method::PATCH, format!("/apps/{app}"), json!({"name": "a\0b"})),
        (Method::PATCH, format!("/apps/{app}"), json!({"site": "a\0b"})),
        (Method::PATCH, format!("/apps/{app}"), json!({"graph_version": "v2\0"})),
        (Method::PATCH, format!("/phones/{phone}"), json!({"default_language": "e\0"})),
        (Method::PATCH, format!("/phones/{phone}"), json!({"fallback_template": "e\0"})),
        (Method::PUT, format!("/phones/{phone}/line"), json!({"portal_id": "\0"})),
        (Method::POST, "/wabas".into(), json!({"app_id": "\0", "waba_id": "1"})),
        (Method::POST, "/wabas".into(), json!({"app_id": app, "waba_id": "1\0"})),
        (Method::POST, "/portal-apps".into(), json!({"name": "\0", "client_id": "x", "client_secret": "y"})),
        (Method::POST, "/portal-apps".into(), json!({"name": "a", "client_id": "x\0", "client_secret": "y"})),
    ] {
        let (status, problem) = desk.call(method.clone(), &path, body.clone()).await;
        assert!(matches!(status.as_u16(), 404 | 422), "{method} {path} {body}: {status} {problem}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = desk.http.patch(desk.url(&format!("/api/v1/apps/{app}"))).bearer_auth(&desk.token);
    assert_eq!(request.body(format!("{{\"name\":{deep}}}")).send().await.unwrap().status(), 422);
    desk.close().await;
}

#[actix_web::test]
async fn hostile_notifications_are_kept_and_the_next_one_is_taken() {
    let desk = Desk::open().await;
    desk.make_phone().await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let message = |message: Value| {
        let value =
            json!({"messages": [message], "contacts": [{"profile": {"name": "x"}, "wa_id": "16505551234"}]});
        notification(vec![("messages", value_of(PHONE_ID, value))]).to_string()
    };
    let text = |id: &str, body: &str| {
        message(json!({"from": "16505551234", "id": id, "timestamp": "1739321024", "type": "text",
                       "text": {"body": body}}))
    };
    let bodies: Vec<Vec<u8>> = vec![
        deep.clone().into_bytes(),
        deep_objects.into_bytes(),
        format!(r#"{{"object":"whatsapp_business_account","entry":{deep}}}"#).into_bytes(),
        b"\xff\xfe\x00".to_vec(),
        b"null".to_vec(),
        b"\"\\ud800\"".to_vec(),
        b"1e999999".to_vec(),
        Vec::new(),
        br#"{"object":"whatsapp_business_account","entry":{}}"#.to_vec(),
        br#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":{},"value":7}]}]}"#.to_vec(),
        text("wamid.nul\0", "a\0b").into_bytes(),
        text(&"w".repeat(100_000), "long id").into_bytes(),
        text("wamid.rtl", "\u{202e}\u{2066}abc\u{feff}\u{200b}\u{1f3f4}\u{e0067}").into_bytes(),
        message(json!({"from": "\0", "id": "wamid.from", "timestamp": "1", "type": "text", "text": {"body": "x"}}))
            .into_bytes(),
        message(json!({"from": "16505551234", "id": "wamid.time", "timestamp": "99999999999999999999",
                       "type": "text", "text": {"body": "x"}}))
        .into_bytes(),
        message(json!({"from": "16505551234", "id": "wamid.past", "timestamp": "-62135596801",
                       "type": "text", "text": {"body": "x"}}))
        .into_bytes(),
        message(json!({"from": "16505551234", "id": "wamid.kind", "timestamp": "1", "type": "a\0".repeat(5000)}))
            .into_bytes(),
        text("wamid.surrogate", "x").replace("\"x\"", "\"\\ud83d\"").into_bytes(),
    ];
    for (number, body) in bodies.iter().enumerate() {
        assert_eq!(
            desk.signed(body).await,
            200,
            "{number}: {}",
            String::from_utf8_lossy(&body[..body.len().min(90)])
        );
    }
    assert_eq!(desk.signed(text("wamid.last", "good").as_bytes()).await, 200);
    let messages = desk.get("/messages?limit=200").await;
    let ids: Vec<&str> =
        messages["items"].as_array().unwrap().iter().filter_map(|row| row["wamid"].as_str()).collect();
    for id in ["wamid.rtl", "wamid.last", "wamid.time", "wamid.past"] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
    desk.close().await;
}

#[actix_web::test]
async fn hostile_events_of_a_portal_are_refused_before_anything_is_called() {
    let desk = Desk::open().await;
    desk.installed().await;
    let calls = desk.portal.call_count("profile");
    let nested = format!("event=ONIMCONNECTORMESSAGEADD&data{}=1", "[a]".repeat(50_000));
    let many: String = (0..60_000).map(|number| format!("data[MESSAGES][{number}][a]=1&")).collect();
    for (body, form) in [
        ("", true),
        ("event", true),
        ("event=%00", true),
        ("event=ONIMCONNECTORMESSAGEADD&auth[member_id]=%00&auth[application_token]=%00", true),
        ("event[]=a&event[]=b", true),
        ("event=ONAPPUNINSTALL&auth[member_id]=x&auth[application_token]=y&data[CLEAN]=1", true),
        (
            "event=ONAPPINSTALL&auth[access_token]=a&auth[domain]=169.254.169.254&auth[client_endpoint]=http://169.254.169.254/rest/&auth[server_endpoint]=http://127.0.0.1:1/rest/&auth[member_id]=m",
            true,
        ),
        ("{\"event\":", false),
        ("[]", false),
        (nested.as_str(), true),
        (many.as_str(), true),
    ] {
        for path in ["/api/bitrix/", "/app-install/", "/api/bitrix/connector/"] {
            let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
            let request = desk.http.post(desk.url(path)).header("content-type", kind).body(body.to_owned());
            let status = request.send().await.unwrap().status().as_u16();
            assert!((400..500).contains(&status), "{path} {}: {status}", &body[..body.len().min(80)]);
        }
    }
    assert_eq!(desk.portal.call_count("profile"), calls);
    assert_eq!(desk.only_portal().await["status"], "active");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_characters_pass_both_ways_and_poison_nothing() {
    let app = TestApp::start().await;
    let anna = anna();
    let chat = app.opened(&anna).await;
    let texts = ["\u{202e}gnp.exe", "e\u{301}\u{301}\u{301}", "👩‍👩‍👧🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u{feff}", "𝕏 ﷽ שלום", "a\u{85}b"];
    for text in texts {
        app.customer_writes(&anna, text);
    }
    app.line_has(&chat, 1 + texts.len()).await;
    for (number, text) in ["\0", "a\0b", "\u{202e}abc", "[b]\0[/b]", "👍🏽"].iter().enumerate() {
        let message = [("[user_id]".to_owned(), "5".to_owned()), ("[text]".into(), (*text).to_owned())];
        app.post("ONIMCONNECTORMESSAGEADD", &chat, &format!("9{number}"), &message).await;
    }
    let received = app.customer_has(&anna, 3).await;
    assert!(received.iter().all(|message| !message.body.to_string().contains("\\u0000")), "{received:#?}");
    app.settled().await;
    assert!(app.jobs("dead").await.is_empty());
    // Ids are the portal's own; others lead nowhere.
    app.post("ONIMCONNECTORMESSAGEADD", "no\0chat", "9\0", &[("[text]".into(), "x".into())]).await;
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_name_and_file_name_run_nothing_anywhere() {
    let app = TestApp::start().await;
    let mallory = SimCustomer::with_number("16505557777", "<script>[url=x]Mallory\u{202e}[/url]");
    let evil = wabridge::sandbox::cloud::SimMedia {
        kind: "document".into(),
        bytes: b"<html><script>alert(1)</script>".to_vec().into(),
        mime: "text/html".into(),
        filename: Some("../../<b>\"\r\nx: y\0.html".into()),
        ..wabridge::sandbox::cloud::SimMedia::default()
    };
    app.cloud.customer_sends_media(PHONE_ID, &mallory, evil);
    let first = |portal: &SimPortal, line: &str| portal.chats(line).first().cloned();
    let line = app.line.clone();
    assert!(app.portal.wait_until(DEADLINE, |portal| first(portal, &line).is_some()).await);
    let chat = first(&app.portal, &line).unwrap();
    assert!(!chat.name.contains(['<', '>', '[', ']', '\u{202e}']), "{}", chat.name);
    app.settled().await;
    let entry = app.conversation(&chat.external_id).remove(0);
    let file = entry.files.first().expect("the file came");
    assert!(!file.name.contains(['/', '\\', '\r', '\n', '\0', '<', '"']), "{:?}", file.name);
    assert!(!file.mime.contains("html"), "{}", file.mime);
    app.stop().await;
}
