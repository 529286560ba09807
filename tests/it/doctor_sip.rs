//! The doctor's checks of calls, against edges, certificates and trunks that are good, and broken their way.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use wabridge::config::{Config, TlsFiles};
use wabridge::sandbox::cloud::{CloudOptions, SimCloud};
use wabridge::sandbox::portal::{PortalOptions, SimPortal};

use crate::doctor::{finding, look};
use crate::support::calls::{HOSTNAME, wanted, with_trunk};
use crate::support::process::{Installation, free_port};
use crate::support::{Options, PHONE_ID, TestApp, linking, listener};

type Change = Box<dyn FnOnce(&mut Config) + Send>;

/// A certificate of its own for these names.
fn certificate(folder: &TempDir, names: &[&str]) -> TlsFiles {
    let files =
        TlsFiles { certificate: folder.path().join("c.pem"), private_key: folder.path().join("k.pem") };
    let key = KeyPair::generate().unwrap();
    let params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    std::fs::write(&files.private_key, key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    files
}

/// A telephone system that answers OPTIONS with this status.
async fn pbx(status: &'static str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("sip:{};transport=udp", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let mut bytes = vec![0; 65_535];
        while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            socket.send_to(answer(&text, status, "").as_bytes(), peer).await.unwrap();
        }
    });
    uri
}

/// An answer to a request, with the headers that it must take over.
fn answer(request: &str, status: &str, more: &str) -> String {
    let taken = request.lines().filter(|line| {
        ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
    });
    let headers: String = taken.map(|line| format!("{line}\r\n")).collect();
    format!("SIP/2.0 {status}\r\n{headers}{more}Content-Length: 0\r\n\r\n")
}

/// What stands at the SIP port in place of our edge.
#[derive(Clone, Copy)]
enum Instead {
    /// A proxy of the web.
    Web,
    /// An edge that challenges and then refuses every password.
    Disbelieving,
    /// An edge that does not know the phone.
    Unknowing,
}

async fn stand_in(files: &TlsFiles, instead: Instead) -> u16 {
    let alpn: &[&[u8]] = if matches!(instead, Instead::Web) { &[b"http/1.1"] } else { &[] };
    let loaded = wabridge::tls::ReloadingCert::load(&files.certificate, &files.private_key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(wabridge::tls::server_config(loaded, alpn).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut bytes = vec![0; 65_535];
                while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                    for text in String::from_utf8_lossy(&bytes[..length]).split_inclusive("\r\n\r\n") {
                        if text.starts_with("INVITE ") {
                            let told = refusal(text, instead);
                            stream.write_all(told.as_bytes()).await.unwrap();
                        }
                    }
                }
            });
        }
    });
    port
}

fn refusal(invite: &str, instead: Instead) -> String {
    let challenge =
        "Proxy-Authenticate: Digest realm=\"sip.example.com\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";
    match instead {
        Instead::Unknowing => answer(invite, "404 Not Found", ""),
        _ if invite.contains("Proxy-Authorization:") => answer(invite, "403 Forbidden", ""),
        _ => answer(invite, "407 Proxy Authentication Required", challenge),
    }
}

fn settings(files: &TlsFiles, hostname: &str, port: u16, trunk: &str) -> String {
    format!(
        "sip.enabled = true\nsip.hostname = \"{hostname}\"\nsip.listen = \"127.0.0.1:{port}\"\n\
         sip.certificate = {:?}\nsip.private_key = {:?}\nsip.meta_ca_file = {:?}\n\
         sip.trunk_listen = \"127.0.0.1:{}\"\nsip.trunks = [{{ name = \"asterisk\", uris = [{trunk:?}] }}]\n",
        files.certificate,
        files.private_key,
        files.certificate,
        free_port()
    )
}

async fn report(home: &Installation) -> Value {
    let told = home.run(&["doctor", "--json"]).await;
    serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"))
}

fn assert_found(report: &Value, id: &str, expected: &str, words: &str) {
    let found = finding(report, id);
    assert_eq!(found["result"], expected, "{found}");
    assert!(found["reason"].as_str().unwrap().contains(words), "{found}");
    assert_eq!(found["advice"].is_string(), matches!(expected, "fail" | "warn"), "{found}");
}

#[actix_web::test]
async fn our_own_edge_takes_a_call_with_the_phones_password() {
    let (folder, trunk, port) = (TempDir::new().unwrap(), pbx("200 OK").await, free_port());
    let files = certificate(&folder, &[HOSTNAME]);
    let config: Change = Box::new(move |config| {
        with_trunk(config);
        config.sip.enabled = true;
        config.sip.listen = format!("127.0.0.1:{port}").parse().unwrap();
        config.sip.trunk_listen = "127.0.0.1:0".parse().unwrap();
        config.sip.tls = Some(files);
        config.sip.trunks[0].uris = vec![trunk];
    });
    let app = TestApp::with(Options { config: Some(config), ..Options::default() }).await;
    app.cloud.set_phone(PHONE_ID, json!({"messaging_limit": 2000}));
    app.api.put(&app.calling_path(), wanted()).await;
    app.wait_for("the edge knows the phone", async |app| {
        let report = look(app).await;
        (finding(&report, "calls.digest")["result"] == "pass").then_some(())
    })
    .await;
    let report = look(&app).await;
    for id in
        ["calls.digest", "sip.trunks", "sip.name", "sip.certificate", "calls.settings", "calls.password"]
    {
        assert_eq!(finding(&report, id)["result"], "pass", "{}", finding(&report, id));
    }
    // Nobody was called.
    assert_eq!(app.api.get("/calls").await["items"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_trunk_that_does_not_answer_is_found() {
    let folder = TempDir::new().unwrap();
    let files = certificate(&folder, &["localhost"]);
    let port = stand_in(&files, Instead::Unknowing).await;
    // Bound, and nobody reads.
    let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("sip:{};transport=udp", deaf.local_addr().unwrap());
    let home = Installation::new(&settings(&files, "localhost", port, &uri)).await;
    let told = report(&home).await;
    assert_found(&told, "sip.trunks", "fail", "asterisk (nobody answers OPTIONS)");
    assert_found(&told, "sip.reached", "pass", "is reached");
    assert_found(&told, "sip.alpn", "pass", "No protocol of the web");
    // Any answer is one.
    let home = Installation::new(&settings(&files, "localhost", port, &pbx("404 Not Found").await)).await;
    assert_found(&report(&home).await, "sip.trunks", "pass", "Every trunk answers");
}

#[tokio::test]
async fn a_proxy_of_the_web_at_the_sip_port_is_found() {
    let folder = TempDir::new().unwrap();
    let files = certificate(&folder, &["localhost"]);
    let port = stand_in(&files, Instead::Web).await;
    let home = Installation::new(&settings(&files, "localhost", port, &pbx("200 OK").await)).await;
    let told = report(&home).await;
    assert_found(&told, "sip.alpn", "fail", "speaks http/1.1, not SIP");
}

#[tokio::test]
async fn a_certificate_of_another_name_and_a_closed_port_are_found() {
    let folder = TempDir::new().unwrap();
    let files = certificate(&folder, &["other.example"]);
    let home = Installation::new(&settings(&files, "localhost", free_port(), &pbx("200 OK").await)).await;
    let told = report(&home).await;
    assert_found(&told, "sip.name", "fail", "not for localhost");
    assert_found(&told, "sip.reached", "fail", "cannot be reached from here");
    assert_found(&told, "sip.alpn", "skipped", "no connection");
    let port = stand_in(&files, Instead::Unknowing).await;
    let home = Installation::new(&settings(&files, "localhost", port, &pbx("200 OK").await)).await;
    assert_found(&report(&home).await, "sip.reached", "fail", "would not take the certificate of localhost");
}

#[tokio::test]
async fn a_certificate_file_that_is_gone_is_found() {
    let folder = TempDir::new().unwrap();
    let mut files = certificate(&folder, &["localhost"]);
    let port = stand_in(&files, Instead::Unknowing).await;
    files.private_key = PathBuf::from("/nowhere/key.pem");
    let home = Installation::new(&settings(&files, "localhost", port, &pbx("200 OK").await)).await;
    assert_found(&report(&home).await, "sip.certificate", "fail", "cannot be used");
}

#[tokio::test]
async fn an_edge_that_does_not_believe_the_phones_password_is_found() {
    let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
    let portal = SimPortal::start(listener(), listener(), PortalOptions::default()).await.unwrap();
    let (folder, trunk) = (TempDir::new().unwrap(), pbx("200 OK").await);
    let files = certificate(&folder, &[HOSTNAME]);
    let port = stand_in(&files, Instead::Disbelieving).await;
    let text = settings(&files, HOSTNAME, port, &trunk).replace("sip.enabled = true", "sip.enabled = false");
    let home = Installation::between(&cloud, &portal, &text).await;
    let bridge = home.serve().await;
    linking::prepare_cloud(&cloud);
    cloud.set_phone(PHONE_ID, json!({"messaging_limit": 2000}));
    let api = home.api().await;
    let linked = linking::link(&api, &cloud, &portal).await;
    let saved = api.put(&format!("/phones/{}/calling", linked.phone_id), wanted()).await;
    assert_eq!(saved["sip_password_known"], true, "{saved}");
    let told = async |port: u16| -> Value {
        let mut command = home.command(&["doctor", "--json"]);
        command.env("WABRIDGE_SIP__ENABLED", "true").env("WABRIDGE_SIP__LISTEN", format!("127.0.0.1:{port}"));
        let told = crate::support::process::finish(command).await;
        serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"))
    };
    assert_found(&told(port).await, "calls.digest", "fail", "refuses the phone's own password (403)");
    let unknowing = stand_in(&files, Instead::Unknowing).await;
    assert_found(&told(unknowing).await, "calls.digest", "fail", "does not know the phone");
    assert_found(&told(free_port()).await, "calls.digest", "fail", "does not answer a call");
    bridge.stop().await;
    cloud.stop().await;
    portal.stop().await;
    drop(folder);
}
