//! The listeners of a whole bridge: HTTPS of its own, metrics on the public one, a proxy before it, a busy disk.

use std::path::Path;

use serde_json::{Value, json};
use wabridge::config::{Config, HttpConfig, InternalListen, Network, TlsFiles};
use wabridge::domain::Secret;
use wabridge::store::StoreError;
use wabridge::whatsapp::signature;

use crate::support::api::Api;
use crate::support::{
    ACCESS_TOKEN, APP_SECRET, CLIENT_ID, Options, PHONE_ID, TestApp, anna, http_client, notification,
    value_of,
};

type Change = Box<dyn FnOnce(&mut Config) + Send>;

/// A bridge that is linked to nothing, with other settings of `[http]`.
async fn bridge(change: impl FnOnce(&mut HttpConfig) + Send + 'static) -> TestApp {
    let config: Change = Box::new(|config| change(&mut config.http));
    TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await
}

fn app_at(site: &str) -> Value {
    json!({"name": "Test", "site": site, "client_id": CLIENT_ID, "client_secret": APP_SECRET,
           "access_token": ACCESS_TOKEN})
}

/// A notification that the app proves, for a phone that is not set up.
fn webhook(http: &reqwest::Client, base: &str) -> reqwest::RequestBuilder {
    let value = json!({"messages": [{"from": "16505551234", "id": "wamid.1", "timestamp": "1739321024",
                                     "type": "text", "text": {"body": "Hello"}}]});
    let body = notification(vec![("messages", value_of(PHONE_ID, value))]).to_string();
    let proof = signature::sign(&Secret::from(APP_SECRET), body.as_bytes());
    http.post(format!("{base}/api/waba/")).header(signature::HEADER, proof).body(body)
}

/// A new self-signed certificate for this machine, in place of what was there.
fn write_certificate(folder: &Path) -> TlsFiles {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("cert.pem"), private_key: folder.join("key.pem") };
    // As renewal tools do: the whole file at once.
    for (path, text) in [
        (&files.private_key, key.serialize_pem()),
        (&files.certificate, params.self_signed(&key).unwrap().pem()),
    ] {
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }
    files
}

/// A client that trusts this certificate and no other of its name.
fn client_of(files: &TlsFiles) -> reqwest::Client {
    let tls = wabridge::tls::client_config(Some(&files.certificate)).unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_speaks_https_itself_and_takes_a_renewed_certificate_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_certificate(folder.path());
    let named = files.clone();
    let app = bridge(move |http| http.tls = Some(named)).await;
    let base = app.base_url.replace("http://", "https://");
    let health = format!("{base}/healthz");
    let client = client_of(&files);
    assert_eq!(client.get(&health).send().await.unwrap().text().await.unwrap(), "ok\n");
    assert!(http_client().get(&health).send().await.is_err(), "nobody else trusts the certificate");
    assert!(http_client().get(format!("{}/healthz", app.base_url)).send().await.is_err(), "no HTTP there");

    let api = Api::over(client.clone(), &base, app.api.token());
    assert_eq!(api.call("POST", "/apps", Some(app_at("127.0.0.1"))).await.0, 201);
    assert_eq!(webhook(&client, &base).send().await.unwrap().status(), 200);

    let renewed = write_certificate(folder.path());
    // A client of its own each time: a connection that lives keeps the certificate of its handshake.
    app.eventually("the renewed certificate is shown", async || {
        let answer = client_of(&renewed).get(&health).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200, "connections go on");
    std::fs::write(&renewed.certificate, "no certificate").unwrap();
    assert_eq!(webhook(&client, &base).send().await.unwrap().status(), 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_on_the_public_listener_want_a_token() {
    let app = bridge(|http| http.internal_listen = InternalListen::Public).await;
    let http = http_client();
    for path in ["/metrics", "/readyz"] {
        let address = format!("{}{path}", app.base_url);
        assert_eq!(http.get(&address).send().await.unwrap().status(), 401, "{path}");
        let wrong = http.get(&address).bearer_auth("wab_wrong").send().await.unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
        let answer = http.get(&address).bearer_auth(app.api.token()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(!answer.text().await.unwrap().is_empty());
    }
    // Everything else is as it was.
    for (path, status) in [("/healthz", 200), ("/nowhere", 404), ("/metrics/", 404), ("/api/v1/nowhere", 401)]
    {
        let answer = http.get(format!("{}{path}", app.base_url)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_trusted_proxy_says_which_host_was_called() {
    for trusted in [true, false] {
        let proxies = if trusted { "127.0.0.0/8" } else { "10.0.0.0/8" };
        let app = bridge(move |http| http.trusted_proxies = vec![Network::parse(proxies).unwrap()]).await;
        app.api.post("/apps", app_at("bridge.example")).await;
        // Host, X-Forwarded-Host, whether the app is found.
        for (host, forwarded, found) in [
            ("inside.example", Some("bridge.example"), trusted),
            ("inside.example", Some("Bridge.Example:8443, other.example"), trusted),
            ("bridge.example", Some("other.example"), !trusted),
            ("bridge.example", None, true),
            ("inside.example", None, false),
        ] {
            let mut request = webhook(&http_client(), &app.base_url).header("host", host);
            if let Some(forwarded) = forwarded {
                request = request.header("x-forwarded-host", forwarded);
            }
            let status = request.send().await.unwrap().status();
            assert_eq!(status, if found { 200 } else { 401 }, "{trusted} {host} {forwarded:?}");
        }
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_of_writes_answers_503_and_the_webhook_comes_again() {
    let app = TestApp::start().await;
    let (held, release) = crate::store::hold_writer(&app).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2100 {
        let db = app.relay.db.clone();
        waiting.spawn(async move { db.write_or_busy(|_| Ok(())).await });
    }
    // A refusal comes at once; what has its place in the queue does not answer.
    let refused = waiting.join_next().await.unwrap().unwrap();
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    let value = json!({"statuses": [{"id": "wamid.x", "status": "sent", "timestamp": "1739321024",
                                     "recipient_id": "16505551234"}]});
    let body = notification(vec![("messages", value_of(PHONE_ID, value))]).to_string();
    assert_eq!(app.post_signed(body.as_bytes()).await, 503);
    let refused = http_client()
        .post(format!("{}/api/waba/?app_id={CLIENT_ID}", app.base_url))
        .header(signature::HEADER, signature::sign(&Secret::from(APP_SECRET), body.as_bytes()))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    app.customer_writes(&anna(), "Hello");
    app.eventually("the cloud's own webhook was refused", async || {
        let encoded = app.relay.metrics.encode();
        let busy = encoded.lines().find(|line| line.contains("outcome=\"busy\""))?;
        (busy.rsplit(' ').next()?.parse::<u64>().ok()? >= 3).then_some(())
    })
    .await;
    release.send(()).unwrap();
    held.await.unwrap();
    app.shown(1).await;
    let rest = waiting.join_all().await;
    assert!(rest.iter().all(|outcome| matches!(outcome, Ok(()) | Err(StoreError::Busy))), "{rest:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_directory_is_for_us_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("of/the/bridge");
    let inner = data.clone();
    let config: Change = Box::new(move |config| config.data_dir = inner);
    let app = TestApp::with(Options { config: Some(config), unlinked: true, ..Options::default() }).await;
    for made in [data.clone(), folder.path().join("of")] {
        assert_eq!(
            std::fs::metadata(&made).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            made.display()
        );
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("media")), 0o700);
    // Also where the directory is not: it may be one that others can look into.
    if let wabridge::config::DatabaseUrl::Sqlite(file) = &app.config.database.url {
        for file in [file.clone(), file.with_extension("db-wal")] {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    app.stop().await;
}
