//! The fetcher against real servers on this machine.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::media::{BlobStore, WriteLimits};

/// A server that answers a path with the given bytes and then closes, or says no more after `HANG`.
struct Fake {
    port: u16,
    asked: Arc<AtomicUsize>,
    last_request: Arc<std::sync::Mutex<String>>,
}

impl Fake {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, last_request) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let fake = Self { port, asked: Arc::clone(&asked), last_request: Arc::clone(&last_request) };
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = String::new();
                let mut buffer = [0; 4096];
                while !request.contains("\r\n\r\n") {
                    let count = socket.read(&mut buffer).await.unwrap_or(0);
                    if count == 0 {
                        break;
                    }
                    request.push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
                asked.fetch_add(1, Ordering::SeqCst);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                *last_request.lock().unwrap() = request;
                let text = answer(&path);
                let (said, hangs) =
                    text.strip_suffix("HANG").map_or((text.as_str(), false), |said| (said, true));
                let _ = socket.write_all(said.as_bytes()).await;
                if hangs {
                    let _ = socket.read(&mut buffer).await;
                }
            }
        });
        fake
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn rules(allowed: &[&str]) -> FetchRules {
    FetchRules {
        allowed_hosts: allowed.iter().map(|text| text.parse().unwrap()).collect(),
        allow_private: false,
        max_bytes: 1000,
        timeout: Duration::from_secs(5),
        max_redirects: 3,
    }
}

fn fetcher(rules: FetchRules) -> Fetcher {
    Fetcher::new(rules, crate::media::test_tls()).unwrap()
}

async fn read(fetched: Fetched) -> Result<Vec<u8>, FetchError> {
    let mut body = fetched.body;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

/// The error of a fetch that must not succeed.
async fn refused(fetcher: &Fetcher, url: &str) -> FetchError {
    match fetcher.get(url).await {
        Ok(_) => panic!("{url} was fetched"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_file_comes_with_its_type_and_name() {
    let fake = Fake::start(|_| {
        "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-disposition: attachment; filename*=UTF-8''%D0%B0.png\r\n\
         content-length: 3\r\nconnection: close\r\n\r\nabc"
            .to_owned()
    })
    .await;
    let fetched = fetcher(rules(&["127.0.0.0/8"])).get(&fake.url("/f#img.png")).await.unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("image/png"));
    assert_eq!(fetched.name.as_deref(), Some("а.png"));
    assert_eq!(fetched.length, Some(3));
    assert_eq!(read(fetched).await.unwrap(), b"abc");
    let request = fake.last_request.lock().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /f http/1.1"), "{request}");
    assert!(request.contains(&format!("user-agent: {USER_AGENT}")), "{request}");
}

#[tokio::test]
async fn private_addresses_are_refused_unless_allowed() {
    let fake = Fake::start(|_| ok("secret")).await;
    let port = fake.port;
    let closed = fetcher(rules(&[]));
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fe80::1]/".to_owned(),
    ] {
        let error = refused(&closed, &url).await;
        assert!(matches!(error, FetchError::Forbidden { .. }), "{url}: {error:?}");
        assert_eq!(error.verdict(), Verdict::GiveUp);
    }
    assert_eq!(fake.asked(), 0);
    for rule in ["localhost", "127.0.0.1"] {
        let fetched = fetcher(rules(&[rule])).get(&format!("http://localhost:{port}/")).await.unwrap();
        assert_eq!(read(fetched).await.unwrap(), b"secret");
    }
    let open = fetcher(FetchRules { allow_private: true, ..rules(&[]) });
    assert!(open.get(&fake.url("/")).await.is_ok());
    assert!(matches!(refused(&open, "http://169.254.1.1/").await, FetchError::Forbidden { .. }));
}

#[tokio::test]
async fn a_name_that_rebinds_between_two_answers_of_the_dns_gains_nothing() {
    let fake = Fake::start(|_| ok("secret")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // First a permitted range, then this machine: a check apart from the connection would be fooled.
    let lookup: Lookup = Arc::new(move |_| {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        let ip: IpAddr = if first { [127, 0, 0, 1] } else { [169, 254, 1, 1] }.into();
        Box::pin(async move { Ok(vec![ip]) })
    });
    let fetcher = Fetcher::with_lookup(rules(&["127.0.0.1"]), crate::media::test_tls(), lookup).unwrap();
    let url = format!("http://rebind.example:{}/", fake.port);
    assert_eq!(read(fetcher.get(&url).await.unwrap()).await.unwrap(), b"secret");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(matches!(refused(&fetcher, &url).await, FetchError::Forbidden { .. }));
    assert_eq!(fake.asked(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_the_permitted_are_tried() {
    let fake = Fake::start(|_| ok("fine")).await;
    let lookup: Lookup = Arc::new(|_| {
        let found = ["169.254.169.254", "10.0.0.1", "127.0.0.1"].map(|ip| ip.parse().unwrap()).to_vec();
        Box::pin(async move { Ok(found) })
    });
    let fetcher = Fetcher::with_lookup(rules(&["127.0.0.1"]), crate::media::test_tls(), lookup).unwrap();
    let fetched = fetcher.get(&format!("http://mixed.example:{}/", fake.port)).await.unwrap();
    assert_eq!(read(fetched).await.unwrap(), b"fine");
}

#[tokio::test]
async fn redirects_are_followed_and_each_is_checked() {
    let fake = Fake::start(|path| match path {
        "/start" => redirect("/next?a=1"),
        "/next?a=1" => redirect("end"),
        "/end" => ok("end"),
        "/metadata" => redirect("http://169.254.169.254/"),
        "/file" => redirect("file:///etc/passwd"),
        "/user" => redirect("http://user@example.com/"),
        "/nowhere" => "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
        _ => redirect("/loop"),
    })
    .await;
    let fetcher = fetcher(rules(&["127.0.0.1"]));
    let fetched = fetcher.get(&fake.url("/start")).await.unwrap();
    assert_eq!(fetched.final_url.path(), "/end");
    assert_eq!(read(fetched).await.unwrap(), b"end");
    assert!(matches!(refused(&fetcher, &fake.url("/metadata")).await, FetchError::Forbidden { .. }));
    assert!(matches!(refused(&fetcher, &fake.url("/file")).await, FetchError::Scheme));
    assert!(matches!(refused(&fetcher, &fake.url("/user")).await, FetchError::UserInfo));
    assert!(matches!(refused(&fetcher, &fake.url("/nowhere")).await, FetchError::Redirects));
    let before = fake.asked();
    assert!(matches!(refused(&fetcher, &fake.url("/loop")).await, FetchError::Redirects));
    assert_eq!(fake.asked() - before, 4);
}

#[tokio::test]
async fn what_is_no_web_address_is_refused() {
    let fetcher = fetcher(rules(&[]));
    for url in ["ftp://example.com/", "file:///etc/passwd", "data:text/plain,x", "gopher://example.com/"] {
        assert!(matches!(refused(&fetcher, url).await, FetchError::Scheme), "{url}");
    }
    assert!(matches!(refused(&fetcher, "http://u:p@example.com/").await, FetchError::UserInfo));
    assert!(matches!(refused(&fetcher, "/relative").await, FetchError::Invalid(_)));
}

#[tokio::test]
async fn size_and_time_are_limited() {
    let fake = Fake::start(|path| match path {
        "/declared" => "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n".to_owned(),
        "/undeclared" => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(1001)),
        "/exact" => ok(&"x".repeat(1000)),
        "/stalled" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nHANG".to_owned(),
        _ => "HANG".to_owned(),
    })
    .await;
    let generous = fetcher(rules(&["127.0.0.1"]));
    assert!(matches!(refused(&generous, &fake.url("/declared")).await, FetchError::TooLarge { limit: 1000 }));
    let fetched = generous.get(&fake.url("/undeclared")).await.unwrap();
    assert!(matches!(read(fetched).await, Err(FetchError::TooLarge { .. })));
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let limits = WriteLimits { max_bytes: u64::MAX, deadline: Duration::from_secs(5) };
    let fetched = generous.get(&fake.url("/undeclared")).await.unwrap();
    assert_eq!(store.write(fetched.body, limits).await.unwrap_err().verdict(), Verdict::GiveUp);
    assert_eq!(read(generous.get(&fake.url("/exact")).await.unwrap()).await.unwrap().len(), 1000);

    let hasty = fetcher(FetchRules { timeout: Duration::from_millis(100), ..rules(&["127.0.0.1"]) });
    let stalled = hasty.get(&fake.url("/stalled")).await.unwrap();
    assert!(matches!(read(stalled).await, Err(FetchError::TimedOut { .. })));
    let silent = refused(&hasty, &fake.url("/silent")).await;
    assert!(matches!(silent, FetchError::TimedOut { .. }), "{silent:?}");
    assert_eq!(silent.verdict(), Verdict::Retry);
}

#[tokio::test]
async fn the_status_decides_whether_to_come_back() {
    let fake = Fake::start(|path| {
        let status = path.trim_start_matches('/');
        format!("HTTP/1.1 {status} X\r\nretry-after: 7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    })
    .await;
    let fetcher = fetcher(rules(&["127.0.0.1"]));
    for (status, verdict) in [
        ("404", Verdict::GiveUp),
        ("403", Verdict::GiveUp),
        ("429", Verdict::RetryAfter(Duration::from_secs(7))),
        ("503", Verdict::RetryAfter(Duration::from_secs(7))),
        ("500", Verdict::Retry),
    ] {
        assert_eq!(refused(&fetcher, &fake.url(&format!("/{status}"))).await.verdict(), verdict, "{status}");
    }
}

#[tokio::test]
async fn no_error_shows_the_address_beyond_its_host() {
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("no such host")) }));
    let unresolved = Fetcher::with_lookup(rules(&[]), crate::media::test_tls(), lookup).unwrap();
    let error = refused(&unresolved, "https://portal.example/f?SIGN=secret").await;
    assert!(matches!(&error, FetchError::Unresolved { host, .. } if host == "portal.example"), "{error:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let closed =
        refused(&fetcher(rules(&["127.0.0.1"])), &format!("http://127.0.0.1:{port}/?SIGN=secret")).await;
    assert!(matches!(closed, FetchError::Transport(_)), "{closed:?}");
    for error in [error, closed] {
        assert_eq!(error.verdict(), Verdict::Retry);
        assert!(!format!("{error:?}").contains("secret"));
    }
}
