//! The one guarded fetcher for addresses that a user (or the portal for a user) gave.
//!
//! A name is resolved once, by us, and the connection goes to an address that passed
//! [`AddressRules`]; an answer of the DNS that changes between check and connection has no moment to act
//! in. Redirects are followed by hand and each target passes the same checks. No cookie, no
//! credential and no referrer is ever sent.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use thiserror::Error;
use tokio_util::bytes::Bytes;
use url::{Host, Url};

use super::address::{AddressRules, HostRule};
use super::disposition::disposition_name;
use crate::domain::Verdict;

/// How the bridge names itself to other servers.
pub const USER_AGENT: &str = concat!("wabridge/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a fetch may do.
#[derive(Clone, Debug)]
pub struct FetchRules {
    /// What is allowed inside private networks (`outbound.allowed_hosts`).
    pub allowed_hosts: Vec<HostRule>,
    /// All private addresses (`outbound.allow_private_networks`, tests only).
    pub allow_private: bool,
    /// The largest answer in bytes.
    pub max_bytes: u64,
    /// The longest time to the head of the answer, redirects included, and again for the body.
    pub timeout: Duration,
    /// How many redirects are followed.
    pub max_redirects: u8,
}

/// Fetches addresses under [`FetchRules`].
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    rules: Arc<FetchRules>,
    addresses: Arc<AddressRules>,
}

/// The body of an answer; ends with an error beyond the limits.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>;

/// A successful answer, its body still to be read.
pub struct Fetched {
    /// The body, limited in size and time.
    pub body: Body,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// The name in `Content-Disposition`, not yet made safe.
    pub name: Option<String>,
    /// `Content-Length`, if it was told.
    pub length: Option<u64>,
    /// The address after all redirects.
    pub final_url: Url,
}

/// Why nothing was fetched. No variant shows more of the address than its host: the rest may be a secret.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Not an address.
    #[error("this is not a valid address")]
    Invalid(#[source] url::ParseError),
    /// Not http or https, or without a host.
    #[error("only http and https addresses are fetched")]
    Scheme,
    /// `user:password@` in the address.
    #[error("an address with a user name in it is not fetched")]
    UserInfo,
    /// A private or reserved address.
    #[error("{host} is inside a private or reserved network; outbound.allowed_hosts can open it")]
    Forbidden {
        /// The host.
        host: String,
    },
    /// No such name.
    #[error("the name {host} could not be resolved")]
    Unresolved {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A redirect without a target, or too many.
    #[error("the address redirects too often or nowhere")]
    Redirects,
    /// An answer other than 2xx.
    #[error("the server answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Larger than allowed.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Slower than allowed.
    #[error("the server did not answer within {} seconds", .limit.as_secs())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The connection failed.
    #[error("the connection failed")]
    Transport(#[source] reqwest::Error),
}

impl FetchError {
    /// Whether to come back: what the address or the rules forbid stays so, the network may heal.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Status { retry_after: Some(wait), status: 429 | 503 } => Verdict::RetryAfter(*wait),
            Self::Status { status: 408 | 425 | 429 | 500.., .. } => Verdict::Retry,
            Self::Unresolved { .. } | Self::TimedOut { .. } | Self::Transport(_) => Verdict::Retry,
            _ => Verdict::GiveUp,
        }
    }
}

impl Fetcher {
    /// A fetcher that trusts what `tls` trusts. Proxies of the environment are not used.
    pub fn new(rules: FetchRules, tls: rustls::ClientConfig) -> Result<Self, FetchError> {
        Self::with_lookup(rules, tls, Arc::new(|host| Box::pin(lookup(host))))
    }

    fn with_lookup(rules: FetchRules, tls: rustls::ClientConfig, lookup: Lookup) -> Result<Self, FetchError> {
        let addresses = Arc::new(AddressRules {
            allowed: rules.allowed_hosts.clone(),
            allow_private: rules.allow_private,
        });
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(GuardedResolver { addresses: Arc::clone(&addresses), lookup })
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT.min(rules.timeout))
            // A kept connection would outlive the check of its address.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(transport)?;
        Ok(Self { client, rules: Arc::new(rules), addresses })
    }

    /// Fetches an address, following redirects.
    pub async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        let limit = self.rules.timeout;
        let head = tokio::time::timeout(limit, self.follow(url)).await;
        let (response, final_url) = head.map_err(|_| FetchError::TimedOut { limit })??;
        let length = response.content_length();
        if length.is_some_and(|length| length > self.rules.max_bytes) {
            return Err(FetchError::TooLarge { limit: self.rules.max_bytes });
        }
        let header = |name| response.headers().get(name);
        Ok(Fetched {
            content_type: header(CONTENT_TYPE)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            name: header(CONTENT_DISPOSITION).and_then(|value| disposition_name(value.as_bytes())),
            length,
            final_url,
            body: limited(response, self.rules.max_bytes, limit),
        })
    }

    async fn follow(&self, url: &str) -> Result<(reqwest::Response, Url), FetchError> {
        let mut url = Url::parse(url.trim()).map_err(FetchError::Invalid)?;
        for _ in 0..=self.rules.max_redirects {
            self.check(&url)?;
            // The limit of the client covers the body too.
            let request = self.client.get(url.clone()).timeout(self.rules.timeout);
            let response = request.send().await.map_err(|error| self.send_error(error))?;
            match response.status().as_u16() {
                200..=299 => return Ok((response, url)),
                301 | 302 | 303 | 307 | 308 => {
                    let target = response.headers().get(LOCATION).ok_or(FetchError::Redirects)?;
                    let target = String::from_utf8_lossy(target.as_bytes());
                    url = url.join(&target).map_err(FetchError::Invalid)?;
                }
                status => {
                    return Err(FetchError::Status { status, retry_after: retry_after(response.headers()) });
                }
            }
        }
        Err(FetchError::Redirects)
    }

    /// Everything that can be said without the DNS; a literal address never comes to the resolver.
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::UserInfo);
        }
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(FetchError::Scheme),
        };
        if self.addresses.permits(&literal.to_string(), literal) {
            Ok(())
        } else {
            Err(FetchError::Forbidden { host: literal.to_string() })
        }
    }

    fn send_error(&self, error: reqwest::Error) -> FetchError {
        if error.is_timeout() {
            return FetchError::TimedOut { limit: self.rules.timeout };
        }
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(inner) = cause {
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                return refusal.as_error();
            }
            cause = inner.source();
        }
        transport(error)
    }
}

/// The error without the address, which may hold a signature.
fn transport(error: reqwest::Error) -> FetchError {
    FetchError::Transport(error.without_url())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn limited(response: reqwest::Response, max_bytes: u64, limit: Duration) -> Body {
    let mut left = Some(max_bytes);
    Box::pin(response.bytes_stream().map(move |chunk| match chunk {
        Ok(bytes) => {
            left = left.and_then(|left| left.checked_sub(bytes.len() as u64));
            left.map(|_| bytes).ok_or(FetchError::TooLarge { limit: max_bytes })
        }
        Err(error) if error.is_timeout() => Err(FetchError::TimedOut { limit }),
        Err(error) => Err(transport(error)),
    }))
}

type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

async fn lookup(host: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
}

/// Resolves a name and lets only permitted addresses through to the connector.
struct GuardedResolver {
    addresses: Arc<AddressRules>,
    lookup: Lookup,
}

/// Why the resolver gave no address; found again in the chain of causes of reqwest's error.
#[derive(Debug, Error)]
enum Refusal {
    #[error("{0} has no permitted address")]
    Forbidden(String),
    #[error("{0} could not be resolved")]
    Unresolved(String, #[source] io::Error),
}

impl Refusal {
    fn as_error(&self) -> FetchError {
        match self {
            Self::Forbidden(host) => FetchError::Forbidden { host: host.clone() },
            Self::Unresolved(host, error) => FetchError::Unresolved {
                host: host.clone(),
                source: io::Error::new(error.kind(), error.to_string()),
            },
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let (addresses, found) = (Arc::clone(&self.addresses), (self.lookup)(host.clone()));
        Box::pin(async move {
            let found = match found.await {
                Ok(found) => found,
                Err(error) => return Err(Refusal::Unresolved(host, error).into()),
            };
            let permitted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|ip| addresses.permits(&host, *ip))
                .map(|ip| SocketAddr::new(ip, 0))
                .collect();
            if permitted.is_empty() {
                return Err(Refusal::Forbidden(host).into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
