//! The Graph API, one method a call (whatsapp-messaging facts §2, §3, §7). No retries here: a failure
//! tells its verdict and the queue decides.

mod calling;
mod diagnosis;
mod login;
mod management;
mod media;
mod messages;
mod numbers;
mod templates;
mod transport;

use std::time::Duration;

use reqwest::redirect::Policy;
use url::Url;

pub use calling::{CallPermissions, CallingSettings, CallingWish, SipServer};
pub use diagnosis::{Health, HealthEntity, HealthError, PhoneExtras, Subscription};
pub use management::{DebugToken, GranularScope, PhoneInfo, SubscribedApp, WabaInfo};
pub use media::{MediaInfo, UploadFile};
pub use messages::Accepted;
pub use numbers::BusinessProfile;
pub use templates::{CreatedTemplate, Sample, TemplateCounts};

/// Until a connection stands, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole call but for files: below it a slow send would be taken for a lost one (§2.1).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A whole upload or download of up to 100 MB. (No time-out of the client's own for silence: it would also
/// run while a request is still being uploaded.)
pub const FILE_TIMEOUT: Duration = Duration::from_secs(600);

/// The one HTTP client for Meta: named (some of Meta's hosts refuse a client without a name, §3.1), without
/// automatic redirects (they would carry the token along) and without a proxy from the environment.
///
/// # Errors
/// If the TLS configuration is not one that the client takes.
pub fn http_client(mut tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    if tls.alpn_protocols.is_empty() {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("wabridge/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Calls Meta's Graph API. Cheap to clone; the token comes with each call, as each app has its own.
#[derive(Clone, Debug)]
pub struct GraphClient {
    http: reqwest::Client,
    base: Url,
    version: String,
}

impl GraphClient {
    /// A client for `base` (`meta.graph_url`) and `version` (`v25.0`). `http` must not follow redirects by
    /// itself: build it by [`http_client`].
    pub fn new(http: reqwest::Client, base: Url, version: String) -> Self {
        Self { http, base, version }
    }

    /// The same client for an app that has its own version.
    pub fn at_version(&self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
