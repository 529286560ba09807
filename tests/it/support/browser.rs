//! A Chromium of our own, driven by its ChromeDriver.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::listener;

pub const DEADLINE: Duration = Duration::from_secs(30);
/// Chromium without what calls home.
const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,1040",
];

pub async fn find(page: &Client, selector: &str) -> fantoccini::elements::Element {
    let found = page.wait().at_most(DEADLINE).for_element(Locator::Css(selector)).await;
    found.unwrap_or_else(|error| panic!("{selector}: {error}"))
}

/// Waits until a script answers true.
pub async fn holds(page: &Client, script: &str, arguments: &[Value]) {
    let held = async {
        while page.execute(script, arguments.to_vec()).await.unwrap() != json!(true) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, held).await.unwrap_or_else(|_| panic!("never: {script} {arguments:?}"));
}

/// Waits until one of these elements shows exactly this text.
pub async fn shows(page: &Client, selector: &str, text: &str) {
    let script =
        "return [...document.querySelectorAll(arguments[0])].some(node => node.textContent === arguments[1])";
    holds(page, script, &[json!(selector), json!(text)]).await;
}

/// Waits until one of these elements shows all of these words.
pub async fn says(page: &Client, selector: &str, words: &[&str]) {
    let script = "return [...document.querySelectorAll(arguments[0])]
        .some(node => arguments[1].every(words => node.textContent.includes(words)))";
    holds(page, script, &[json!(selector), json!(words)]).await;
}

/// Clicks, again if the page has just drawn the element anew.
pub async fn press(page: &Client, selector: &str) {
    let pressed = async { while find(page, selector).await.click().await.is_err() {} };
    tokio::time::timeout(DEADLINE, pressed).await.unwrap_or_else(|_| panic!("{selector} cannot be clicked"));
}

/// Writes and sends.
pub async fn write(page: &Client, field: &str, text: &str) {
    find(page, field).await.send_keys(&format!("{text}{}", char::from(Key::Enter))).await.unwrap();
}

/// Waits until the browser has decoded the picture.
pub async fn is_drawn(page: &Client, selector: &str) {
    let script = "return [...document.querySelectorAll(arguments[0])].some(image => image.naturalWidth > 0)";
    holds(page, script, &[json!(selector)]).await;
}

/// A ChromeDriver of our own with one session.
pub struct Browser {
    pub client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn open(program: &Path) -> Self {
        Self::with(program, &[]).await
    }

    /// With further arguments.
    pub async fn with(program: &Path, further: &[&str]) -> Self {
        let port = listener().local_addr().unwrap().port();
        let mut driver = Command::new(program)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({"goog:chromeOptions": {"args": arguments}});
        let up = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let up = tokio::time::timeout(DEADLINE, up).await;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let session = builder.capabilities(wanted.as_object().unwrap().clone());
        let client = session.connect(&format!("http://127.0.0.1:{port}")).await;
        match (up, client) {
            (Ok(()), Ok(client)) => Self { client, driver, _profile: profile },
            (_, failed) => {
                let _ = driver.kill();
                panic!("no browser: {:?}", failed.err());
            }
        }
    }

    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
