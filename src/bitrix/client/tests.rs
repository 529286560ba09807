//! The client against a small real server.

use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::domain::Verdict;

pub(crate) fn test_http() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    http_client(tls).unwrap()
}

type Seen = mpsc::UnboundedSender<(Head, String)>;
/// Path and headers of a request.
pub(crate) type Head = (String, Vec<(String, String)>);

/// A server that answers each path in its own way and tells what it was asked.
pub(crate) async fn fake(answer: fn(&str) -> HttpResponse) -> (Url, mpsc::UnboundedReceiver<(Head, String)>) {
    let (seen, asked) = mpsc::unbounded_channel();
    let handler = move |request: HttpRequest, body: String, seen: web::Data<Seen>| async move {
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let path = request.uri().to_string();
        seen.send(((path.clone(), headers), body)).ok();
        if path.ends_with("never") {
            futures_util::future::pending::<()>().await;
        }
        answer(&path)
    };
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::new(seen.clone())).default_service(web::to(handler))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    (Url::parse(&format!("http://{address}/rest/")).unwrap(), asked)
}

fn answers(path: &str) -> HttpResponse {
    match path.trim_start_matches("/rest/") {
        "profile" => HttpResponse::Ok().json(json!({"result": {"ID": "1"}, "total": "3", "next": 50,
            "time": {"operating": 1.5, "operating_reset_at": 1_773_760_000}})),
        "moved" => HttpResponse::Found().insert_header(("Location", "https://new.example/rest/moved")).finish(),
        "busy" => HttpResponse::ServiceUnavailable()
            .json(json!({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"})),
        "html" => HttpResponse::InternalServerError().content_type("text/html").body("<html>oops</html>"),
        "expired" => HttpResponse::Ok().json(json!({"error": "expired_token"})),
        "newer" => HttpResponse::BadRequest().json(json!({"error": {"code": "X_Y", "message": "m"}})),
        "empty" => HttpResponse::Ok().json(json!({})),
        "batch" => HttpResponse::Ok().json(json!({"result": {
            "result": {"a": [1], "n": null}, "result_error": {"b": {"error": "error_core", "error_description": "d"}},
            "result_total": [], "result_next": [],
            "result_time": {"a": {"operating": "2.5", "operating_reset_at": 7}}}})),
        _ => HttpResponse::NotFound().json(json!({"error": "ERROR_METHOD_NOT_FOUND"})),
    }
}

async fn outcome(method: &str) -> Result<Answer, CallError> {
    let (endpoint, _asked) = fake(answers).await;
    RestClient::new(test_http()).call(&endpoint, &Secret::from("token"), method, &json!({})).await
}

#[actix_web::test]
async fn a_call_is_a_json_post_with_the_token_in_a_header() {
    let (endpoint, mut asked) = fake(answers).await;
    let client = RestClient::new(test_http());
    let bare = Url::parse(endpoint.as_str().trim_end_matches('/')).unwrap();
    let answer = client.call(&bare, &Secret::from("token"), "profile", &json!({"LINE": 107})).await.unwrap();
    assert_eq!(answer.result, json!({"ID": "1"}));
    assert_eq!((answer.total, answer.next), (Some(3), Some(50)));
    assert_eq!((answer.operating, answer.operating_reset_at), (Some(1.5), Some(1_773_760_000)));
    let ((path, headers), body) = asked.recv().await.unwrap();
    assert_eq!((path.as_str(), body.as_str()), ("/rest/profile", r#"{"LINE":107}"#));
    for (name, value) in [
        ("authorization", "Bearer token"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", concat!("wabridge/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{name}: {headers:?}");
    }
}

#[actix_web::test]
async fn a_renamed_portal_is_told_and_not_followed() {
    let error = outcome("moved").await.unwrap_err();
    assert!(error.surely_not_executed());
    let CallError::Moved { location } = error else { panic!("{error:?}") };
    assert_eq!(location.as_str(), "https://new.example/rest/moved");
}

#[actix_web::test]
async fn refusals_are_found_whatever_their_status() {
    let busy = outcome("busy").await.unwrap_err();
    assert!(matches!(&busy, CallError::Refused { http: 503, code, .. } if code == "QUERY_LIMIT_EXCEEDED"));
    assert!(busy.surely_not_executed() && busy.is_rate_limit());
    let expired = outcome("expired").await.unwrap_err();
    assert!(expired.is_token_expired(), "{expired:?}");
    assert_eq!(outcome("newer").await.unwrap_err().code(), "X_Y");
    assert_eq!(outcome("no.such").await.unwrap_err().code(), "ERROR_METHOD_NOT_FOUND");
}

#[actix_web::test]
async fn an_html_error_page_leaves_doubt() {
    let error = outcome("html").await.unwrap_err();
    assert!(matches!(error, CallError::Unreadable { http: 500 }), "{error:?}");
    assert!(!error.surely_not_executed());
    assert!(matches!(outcome("empty").await, Err(CallError::Shape { .. })));
}

#[actix_web::test]
async fn an_answer_that_never_comes_leaves_doubt() {
    let (endpoint, _asked) = fake(answers).await;
    let client = RestClient::new(test_http()).with_timeout(Duration::from_millis(100));
    let error = client.call(&endpoint, &Secret::from("t"), "never", &json!({})).await.unwrap_err();
    assert!(matches!(error, CallError::Transport { in_doubt: true, .. }), "{error:?}");
    assert_eq!(error.verdict(), Verdict::Retry);
}

#[actix_web::test]
async fn a_connection_that_breaks_after_the_call_leaves_doubt() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Url::parse(&format!("http://{}/rest/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
    });
    let client = RestClient::new(test_http());
    let error = client.call(&endpoint, &Secret::from("t"), "profile", &json!({})).await.unwrap_err();
    assert!(matches!(error, CallError::Transport { in_doubt: true, .. }), "{error:?}");
    assert!(!error.surely_not_executed());
}

#[actix_web::test]
async fn nobody_at_the_address_leaves_no_doubt() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = Url::parse(&format!("http://127.0.0.1:{port}/rest/")).unwrap();
    let client = RestClient::new(test_http());
    let error = client.call(&endpoint, &Secret::from("t"), "profile", &json!({})).await.unwrap_err();
    assert!(matches!(error, CallError::Transport { in_doubt: false, .. }), "{error:?}");
}

#[actix_web::test]
async fn a_batch_brings_an_outcome_for_each_command() {
    let (endpoint, mut asked) = fake(answers).await;
    let command =
        |key: &str, params| Command { key: key.into(), method: "imconnector.status".into(), params };
    let mut commands = vec![
        command("a", json!({"LINE": 1, "X": [{"y": "ä"}]})),
        command("b", json!({})),
        command("n", json!({})),
    ];
    commands.extend((0..48).map(|index| command(&format!("k{index}"), json!({}))));
    let answers = RestClient::new(test_http()).batch(&endpoint, &Secret::from("t"), &commands).await.unwrap();
    assert_eq!(answers.len(), 51);
    assert_eq!(answers["a"].as_ref().unwrap().result, json!([1]));
    assert_eq!(answers["a"].as_ref().unwrap().operating, Some(2.5));
    assert_eq!(answers["n"].as_ref().unwrap().result, Value::Null);
    assert_eq!(answers["b"].as_ref().unwrap_err().code(), "ERROR_CORE");
    assert!(matches!(answers["k0"], Err(CallError::Shape { .. })));
    assert_eq!(answers["k47"].as_ref().unwrap_err().code(), "ERROR_BATCH_LENGTH_EXCEEDED");
    let (_, body) = asked.recv().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["cmd"].as_object().unwrap().len(), 50);
    assert_eq!(body["cmd"]["a"], "imconnector.status?LINE=1&X%5B0%5D%5By%5D=%C3%A4");
    assert_eq!(body["cmd"]["b"], "imconnector.status");
}
