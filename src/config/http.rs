//! `[http]`: our listeners.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::network::Network;
use super::parse;
use super::reader::Reader;

/// `[http]`.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Public listener.
    pub listen: SocketAddr,
    /// Where metrics and readiness are answered.
    pub internal_listen: InternalListen,
    /// To serve HTTPS directly.
    pub tls: Option<TlsFiles>,
    /// Proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections served at once, over all.
    pub max_connections: usize,
}

/// Where `/metrics` and `/readyz` are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InternalListen {
    /// Nowhere.
    Off,
    /// On the public listener, with an API token.
    Public,
    /// On a listener of its own.
    At(SocketAddr),
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Chain, our own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

impl HttpConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let listen = r.text("http.listen", parse::socket);
        let internal_listen = r.text("http.internal_listen", internal_listen);
        if internal_listen == InternalListen::At(listen) && listen.port() != 0 {
            r.fault("http.internal_listen", "is the address of http.listen; write \"same\" to share it");
        }
        Self {
            listen,
            internal_listen,
            trusted_proxies: r.list("http.trusted_proxies", Network::parse),
            max_connections: r.whole("http.max_connections", 1..=1_000_000).try_into().unwrap_or(usize::MAX),
            tls: tls_files(r, "http.tls"),
        }
    }
}

/// `section.certificate` and `section.private_key`: both or neither.
pub(super) fn tls_files(r: &mut Reader<'_>, section: &str) -> Option<TlsFiles> {
    let (certificate_key, private_key_key) =
        (format!("{section}.certificate"), format!("{section}.private_key"));
    match (r.path(&certificate_key), r.path(&private_key_key)) {
        (Some(certificate), Some(private_key)) => Some(TlsFiles { certificate, private_key }),
        (Some(_), None) => {
            r.fault(&private_key_key, format!("is missing, but {certificate_key} is set"));
            None
        }
        (None, Some(_)) => {
            r.fault(&certificate_key, format!("is missing, but {private_key_key} is set"));
            None
        }
        (None, None) => None,
    }
}

fn internal_listen(text: &str) -> Result<InternalListen, String> {
    match text {
        "" => Ok(InternalListen::Off),
        "same" => Ok(InternalListen::Public),
        _ => parse::socket(text)
            .map(InternalListen::At)
            .map_err(|problem| format!("{problem}; or \"same\", or \"\" for none")),
    }
}
