//! The client against a small server that answers as the fact sheet says.

use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::*;
use crate::domain::{MediaId, PhoneNumberId, Secret, UserId, Verdict, WaId, WabaId, Wamid};
use crate::whatsapp::{GraphError, OutgoingContent, OutgoingMessage, Recipient};

/// A request as it came in.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    query: String,
    authorization: Option<String>,
    user_agent: Option<String>,
    body: Vec<u8>,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answer = dyn Fn(&Seen) -> HttpResponse + Send + Sync;

/// A real server on a free port; stopped on drop.
struct FakeGraph {
    base: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: ServerHandle,
}

impl FakeGraph {
    fn answering(answer: impl Fn(&Seen) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(answer), None)
    }

    fn with_tls(tls: rustls::ServerConfig, answer: Arc<Answer>) -> Self {
        Self::start(answer, Some(tls))
    }

    fn start(answer: Arc<Answer>, tls: Option<rustls::ServerConfig>) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (shared, scheme) = (seen.clone(), if tls.is_some() { "https" } else { "http" });
        let server = HttpServer::new(move || {
            let (seen, answer) = (shared.clone(), answer.clone());
            App::new().app_data(web::PayloadConfig::new(1 << 20)).default_service(web::to(
                move |request: HttpRequest, body: web::Bytes| {
                    let header = |name| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
                    let one = Seen {
                        method: request.method().to_string(),
                        path: request.path().to_owned(),
                        query: request.query_string().to_owned(),
                        authorization: header("authorization"),
                        user_agent: header("user-agent"),
                        body: body.to_vec(),
                    };
                    seen.lock().unwrap().push(one.clone());
                    let answer = answer(&one);
                    async move { answer }
                },
            ))
        })
        .workers(1)
        .disable_signals();
        let server = match tls {
            None => server.bind("127.0.0.1:0"),
            Some(tls) => server.bind_rustls_0_23("127.0.0.1:0", tls),
        }
        .unwrap();
        let port = server.addrs()[0].port();
        let running = server.run();
        let handle = running.handle();
        tokio::spawn(running);
        let host = if scheme == "https" { "localhost" } else { "127.0.0.1" };
        Self { base: format!("{scheme}://{host}:{port}").parse().unwrap(), seen, server: handle }
    }

    fn client(&self) -> GraphClient {
        client_for(self.base.clone())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

impl Drop for FakeGraph {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

fn client_for(base: Url) -> GraphClient {
    GraphClient::new(http_client(client_tls(RootCertStore::empty())).unwrap(), base, "v25.0".into())
}

fn client_tls(roots: RootCertStore) -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn ok(body: Value) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

fn status(code: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(code).unwrap())
}

fn token() -> Secret {
    Secret::new("EAAGtoken")
}

fn phone() -> PhoneNumberId {
    PhoneNumberId::new("106540352242922")
}

fn hello() -> OutgoingMessage {
    OutgoingMessage {
        to: Recipient::Phone(WaId::new("16505551234")),
        content: OutgoingContent::Text { body: "Hi".into(), preview_url: false },
        context: None,
        opaque: "job-1".into(),
    }
}

#[tokio::test]
async fn a_send_goes_out_named_and_with_its_token() {
    let graph = FakeGraph::answering(|_| {
        ok(json!({"messaging_product": "whatsapp",
            "contacts": [{"input": "+16505551234", "wa_id": "16505551234", "user_id": "US.1"}],
            "messages": [{"id": "wamid.HBgL", "message_status": "accepted"}]}))
    });
    let accepted = graph.client().send(&token(), &phone(), &hello()).await.unwrap();
    assert_eq!(
        accepted,
        Accepted {
            wamid: Wamid::new("wamid.HBgL"),
            wa_id: Some(WaId::new("16505551234")),
            user_id: Some(UserId::new("US.1")),
            message_status: Some("accepted".into()),
        }
    );
    let seen = graph.only();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v25.0/106540352242922/messages"));
    assert_eq!(seen.authorization.as_deref(), Some("Bearer EAAGtoken"));
    assert!(seen.user_agent.unwrap().starts_with("wabridge/"));
    assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), hello().to_json());
}

#[tokio::test]
async fn an_app_may_have_its_own_version_and_ids_stay_one_segment() {
    let graph = FakeGraph::answering(|_| ok(json!({"success": true})));
    let client = graph.client().at_version("v23.0");
    client.mark_read(&token(), &PhoneNumberId::new("../me?x"), &Wamid::new("wamid.IN")).await.unwrap();
    let seen = graph.only();
    assert_eq!(seen.path, "/v23.0/..%2Fme%3Fx/messages");
    assert_eq!(
        seen.json(),
        json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.IN"})
    );
}

#[tokio::test]
async fn a_bare_success_of_a_send_is_no_loss() {
    let graph = FakeGraph::answering(|_| ok(json!({"contacts": null, "messages": [{"id": "wamid.A"}]})));
    let accepted = graph.client().send(&token(), &phone(), &hello()).await.unwrap();
    assert_eq!((accepted.wamid.as_str(), accepted.wa_id), ("wamid.A", None));
}

#[tokio::test]
async fn a_refusal_tells_code_verdict_and_no_doubt() {
    let cases = [
        (400, 131_047, Verdict::GiveUp),
        (401, 190, Verdict::Reauthorize),
        (500, 131_000, Verdict::Retry),
        (503, 2, Verdict::Retry),
        (429, 130_429, Verdict::RetryAfter(Duration::from_secs(9))),
    ];
    for (http, code, verdict) in cases {
        let graph = FakeGraph::answering(move |_| {
            status(http).insert_header(("Retry-After", if http == 429 { "9" } else { "" })).json(json!({
                "error": {"code": code, "message": "bad EAAGtoken", "error_data": {"details": "because"}}}))
        });
        let error = graph.client().send(&token(), &phone(), &hello()).await.unwrap_err();
        assert_eq!((error.http(), error.code()), (Some(http), Some(code)));
        assert_eq!(error.verdict(), verdict, "{error}");
        assert!(!error.in_doubt(), "{error}");
        assert!(!error.to_string().contains("EAAGtoken"), "{error}");
        assert_eq!(error.refusal().and_then(|refusal| refusal.details.as_deref()), Some("because"));
    }
}

#[tokio::test]
async fn an_edge_that_fails_without_a_code_leaves_doubt() {
    let graph = FakeGraph::answering(|_| status(502).body("<html>Bad Gateway</html>"));
    let error = graph.client().send(&token(), &phone(), &hello()).await.unwrap_err();
    assert!(matches!(error, GraphError::Unreadable { http: 502, .. }), "{error:?}");
    assert!(error.in_doubt());
    assert_eq!(error.verdict(), Verdict::Retry);

    let graph = FakeGraph::answering(|_| ok(json!({"messages": []})));
    let error = graph.client().send(&token(), &phone(), &hello()).await.unwrap_err();
    assert!(error.in_doubt(), "a success without id: {error:?}");
}

#[tokio::test]
async fn a_refused_connection_leaves_no_doubt_and_a_broken_one_does() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let breaking = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut some = [0; 64];
        let _ = socket.read(&mut some).await.unwrap();
    });
    let client = client_for(base);
    let error = client.send(&token(), &phone(), &hello()).await.unwrap_err();
    assert!(matches!(error, GraphError::Transport { in_doubt: true, .. }), "{error:?}");
    assert_eq!(error.verdict(), Verdict::Retry);
    assert!(!format!("{error:?}").contains("127.0.0.1"), "{error:?}");

    // The listener is gone with its task.
    breaking.await.unwrap();
    let error = client.send(&token(), &phone(), &hello()).await.unwrap_err();
    assert!(matches!(error, GraphError::Transport { in_doubt: false, .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_that_fits_no_header_gives_up() {
    let graph = FakeGraph::answering(|_| ok(json!({})));
    let error = graph.client().send(&Secret::new("a\nb"), &phone(), &hello()).await.unwrap_err();
    assert!(matches!(error, GraphError::Unsendable(_)), "{error:?}");
    assert!(graph.seen().is_empty());
}

#[tokio::test]
async fn a_media_file_is_asked_for_and_fetched_with_the_token() {
    let graph = FakeGraph::answering(|seen| match seen.path.as_str() {
        "/v25.0/777" => ok(json!({"messaging_product": "whatsapp", "id": "777", "mime_type": "image/jpeg",
            "url": "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1", "sha256": "ab",
            "file_size": "303833"})),
        _ => HttpResponse::Ok().content_type("image/jpeg").body("bytes"),
    });
    let client = graph.client();
    let info = client.media_url(&token(), &MediaId::new("777"), Some(&phone())).await.unwrap();
    assert_eq!(
        (info.mime.as_str(), info.size, info.sha256.as_deref()),
        ("image/jpeg", Some(303_833), Some("ab"))
    );
    assert_eq!(info.url.host_str(), Some("lookaside.fbsbx.com"));
    assert_eq!(graph.only().query, "phone_number_id=106540352242922");

    let url = graph.base.join("/file").unwrap();
    let response = client.download(&token(), &url, &[]).await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), "bytes");
    assert_eq!(graph.seen()[1].authorization.as_deref(), Some("Bearer EAAGtoken"));
}

#[tokio::test]
async fn the_token_is_not_taken_to_a_foreign_host() {
    // "localhost" is another host than the Graph API's "127.0.0.1", though the same machine.
    let foreign = FakeGraph::answering(|_| HttpResponse::Ok().body("bytes"));
    let mut target = foreign.base.join("/cdn").unwrap();
    target.set_host(Some("localhost")).unwrap();
    let location = target.to_string();
    let graph = FakeGraph::answering(move |_| {
        HttpResponse::Found().insert_header(("Location", location.clone())).finish()
    });
    let client = graph.client();
    let url = graph.base.join("/file").unwrap();
    let response = client.download(&token(), &url, &[]).await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), "bytes");
    assert_eq!(graph.only().authorization.as_deref(), Some("Bearer EAAGtoken"));
    assert_eq!(foreign.only().authorization, None);

    let error = client.download(&token(), &target, &[]).await.unwrap_err();
    assert!(matches!(error, GraphError::ForbiddenHost { .. }), "{error:?}");
    // Allowed by name, but the token does not travel in the clear.
    let error = client.download(&token(), &target, &["localhost".into()]).await.unwrap_err();
    assert!(matches!(error, GraphError::ForbiddenHost { .. }), "{error:?}");
    assert_eq!(foreign.seen().len(), 1);
}

#[tokio::test]
async fn redirects_end_after_five() {
    let graph =
        FakeGraph::answering(|_| HttpResponse::Found().insert_header(("Location", "/again")).finish());
    let url = graph.base.join("/file").unwrap();
    let error = graph.client().download(&token(), &url, &[]).await.unwrap_err();
    assert!(matches!(error, GraphError::TooManyRedirects), "{error:?}");
    assert_eq!(graph.seen().len(), 6);

    let graph = FakeGraph::answering(|_| {
        HttpResponse::Found().insert_header(("Location", "ftp://example.com/x")).finish()
    });
    let url = graph.base.join("/file").unwrap();
    let error = graph.client().download(&token(), &url, &[]).await.unwrap_err();
    assert!(matches!(error, GraphError::ForbiddenHost { .. }), "{error:?}");
}

#[tokio::test]
async fn an_address_that_has_run_out_is_a_404() {
    let graph = FakeGraph::answering(|_| status(404).body("gone"));
    let url = graph.base.join("/file").unwrap();
    let error = graph.client().download(&token(), &url, &[]).await.unwrap_err();
    assert_eq!(error.http(), Some(404));
}

#[tokio::test]
async fn an_upload_is_a_form_with_type_and_name() {
    let graph = FakeGraph::answering(|_| ok(json!({"id": "1037543291543636"})));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blob");
    std::fs::write(&path, b"OggS-bytes").unwrap();
    let file = UploadFile { path: &path, mime: "audio/ogg; codecs=opus", filename: "voice note.ogg" };
    let id = graph.client().upload(&token(), &phone(), file).await.unwrap();
    assert_eq!(id, MediaId::new("1037543291543636"));
    let seen = graph.only();
    assert_eq!(seen.path, "/v25.0/106540352242922/media");
    let body = String::from_utf8(seen.body).unwrap();
    for part in [
        "name=\"messaging_product\"\r\n\r\nwhatsapp\r\n",
        "name=\"type\"\r\n\r\naudio/ogg; codecs=opus\r\n",
        "name=\"file\"; filename=\"voice_note.ogg\"\r\nContent-Type: audio/ogg; codecs=opus\r\n",
        "OggS-bytes",
    ] {
        assert!(body.contains(part), "{part:?} in {body}");
    }
}

#[tokio::test]
async fn an_upload_of_nothing_or_of_no_type_gives_up() {
    let client = client_for("http://127.0.0.1:9".parse().unwrap());
    let missing = UploadFile { path: "/nonexistent/file".as_ref(), mime: "image/png", filename: "a.png" };
    let error = client.upload(&token(), &phone(), missing).await.unwrap_err();
    assert!(matches!(error, GraphError::File(_)), "{error:?}");
    let untyped = UploadFile { path: "/dev/null".as_ref(), mime: "no type", filename: "a" };
    let error = client.upload(&token(), &phone(), untyped).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::GiveUp, "{error:?}");
}

#[tokio::test]
async fn a_token_is_examined_in_the_name_of_its_app() {
    let graph = FakeGraph::answering(|_| {
        ok(json!({"data": {"app_id": "42", "type": "SYSTEM_USER", "expires_at": 0, "is_valid": true,
            "scopes": ["whatsapp_business_management"],
            "granular_scopes": [{"scope": "whatsapp_business_messaging", "target_ids": ["102"]},
                {"scope": "whatsapp_business_management"}]}}))
    });
    let answer = graph.client().debug_token("42", &Secret::new("app"), &token()).await.unwrap();
    assert!(answer.is_valid);
    assert_eq!((answer.app_id.as_deref(), answer.kind.as_deref()), (Some("42"), Some("SYSTEM_USER")));
    assert_eq!(answer.expires_at, None);
    assert_eq!(answer.granular_scopes[0].target_ids, Some(vec!["102".to_owned()]));
    assert_eq!(answer.granular_scopes[1].target_ids, None);
    let seen = graph.only();
    assert_eq!(seen.query, "input_token=EAAGtoken&access_token=42%7Capp");

    let graph = FakeGraph::answering(|_| {
        ok(json!({"data": {"is_valid": false, "scopes": [],
            "error": {"code": 190, "message": "The token EAAGtoken has expired", "subcode": 463}}}))
    });
    let answer = graph.client().debug_token("42", &Secret::new("app"), &token()).await.unwrap();
    assert_eq!(answer.error, Some((190, "The token •••• has expired".to_owned())));
}

#[tokio::test]
async fn accounts_are_read_and_subscribed() {
    let graph = FakeGraph::answering(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/v25.0/102") => ok(json!({"id": "102", "name": "Lucky Shrub", "currency": "USD"})),
        ("GET", _) => ok(json!({"data": [
            {"whatsapp_business_api_data": {"id": "42", "name": "ours", "link": "https://example.com"},
                "override_callback_uri": "https://example.com/hook"},
            {"whatsapp_business_api_data": {"id": 43}}]})),
        _ => ok(json!({"success": true})),
    });
    let (client, waba) = (graph.client(), WabaId::new("102"));
    assert_eq!(client.waba(&token(), &waba).await.unwrap().name.as_deref(), Some("Lucky Shrub"));
    client.subscribe(&token(), &waba).await.unwrap();
    client.unsubscribe(&token(), &waba).await.unwrap();
    let apps = client.subscribed_apps(&token(), &waba).await.unwrap();
    assert_eq!(apps.iter().map(|app| app.id.as_str()).collect::<Vec<_>>(), ["42", "43"]);
    assert_eq!(apps[0].override_callback_uri.as_deref(), Some("https://example.com/hook"));
    let told: Vec<_> = graph.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    let expected = ["GET /v25.0/102", "POST /v25.0/102/subscribed_apps", "DELETE /v25.0/102/subscribed_apps"];
    assert_eq!(told[..3], expected);
}

#[tokio::test]
async fn a_subscription_that_is_not_confirmed_is_an_error() {
    let graph = FakeGraph::answering(|_| ok(json!({"success": false})));
    assert!(graph.client().subscribe(&token(), &WabaId::new("102")).await.is_err());
}

#[tokio::test]
async fn numbers_are_listed_page_by_page_without_following_next() {
    let graph = FakeGraph::answering(|seen| {
        let after = seen.query.split('&').find_map(|pair| pair.strip_prefix("after="));
        match after {
            None => ok(json!({"data": [{"id": "1", "display_phone_number": "+1 631-555-5555",
                    "status": "CONNECTED", "throughput": {"level": "STANDARD"},
                    "webhook_configuration": {"application": "https://example.com/a"}}],
                "paging": {"cursors": {"before": "x", "after": "QVE="},
                    "next": "http://127.0.0.1:9/leak?access_token=EAAGtoken"}})),
            Some(_) => ok(json!({"data": [{"id": "2"}], "paging": {"cursors": {"after": "end"}}})),
        }
    });
    let phones = graph.client().phone_numbers(&token(), &WabaId::new("102")).await.unwrap();
    assert_eq!(phones.iter().map(|phone| phone.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert!(phones[0].is_connected() && !phones[1].is_connected());
    assert_eq!(phones[0].throughput_level(), Some("STANDARD"));
    assert_eq!(phones[0].callback_url(), Some("https://example.com/a"));
    let seen = graph.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].query.contains("limit=100&after=QVE%3D"), "{}", seen[1].query);
}

#[tokio::test]
async fn a_number_is_read() {
    let graph = FakeGraph::answering(|_| {
        ok(json!({"id": "106540352242922", "display_phone_number": "+1 555-078-3881",
            "quality_rating": "GREEN", "status": "FLAGGED", "is_on_biz_app": true, "new_key": [1]}))
    });
    let info = graph.client().phone(&token(), &phone()).await.unwrap();
    assert_eq!(info.id, phone());
    assert_eq!((info.status.as_deref(), info.is_on_biz_app), (Some("FLAGGED"), Some(true)));
    assert!(graph.only().query.starts_with("fields=id%2Cdisplay_phone_number"));
}

#[tokio::test]
async fn over_tls_the_client_speaks_http_2_and_checks_the_certificate() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let graph = FakeGraph::with_tls(tls, Arc::new(|_: &Seen| HttpResponse::Ok().body("bytes")));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting =
        GraphClient::new(http_client(client_tls(roots)).unwrap(), graph.base.clone(), "v25.0".into());
    let url = graph.base.join("/file").unwrap();
    let response = trusting.download(&token(), &url, &[]).await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);

    let error = graph.client().send(&token(), &phone(), &hello()).await.unwrap_err();
    assert!(!error.in_doubt(), "{error:?}");
}
