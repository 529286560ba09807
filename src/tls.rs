//! TLS configurations from certificate paths. The crypto provider (ring) is always given to the builder,
//! never taken from or put into the process.

mod certificate;
mod expiry;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;

pub use certificate::ReloadingCert;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file cannot be read, or is none.
    #[error("cannot read {what} {}", path.display())]
    Pem {
        /// `the certificate`, `the private key` or `the root certificate`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A PEM file without a certificate in it.
    #[error("there is no certificate in {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or are of a kind that we do not speak.
    #[error("the certificate {} cannot be used with its private key", path.display())]
    Pair {
        /// The certificate.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A certificate of another name than the one that others call us by.
    #[error("the certificate {} is not for {name}", path.display())]
    Name {
        /// The certificate.
        path: PathBuf,
        /// The name.
        name: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A new certificate that nobody would take any more.
    #[error("the certificate {} has expired on {}", path.display(), end.date_naive())]
    Expired {
        /// The certificate.
        path: PathBuf,
        /// Its end.
        end: DateTime<Utc>,
    },
    /// A root certificate that is none.
    #[error("the root certificate {} cannot be used", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// rustls and its provider do not fit together.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// TLS toward others: trusts the roots of the system and Mozilla's, and those of `extra_ca`. ALPN is left
/// to the caller.
pub fn client_config(extra_ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra_ca {
        for certificate in read_chain("the root certificate", path)? {
            roots.add(certificate).map_err(|source| TlsError::Root { path: path.to_owned(), source })?;
        }
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// TLS for our listeners, with a certificate that can be reloaded; `alpn` as `[b"h2", b"http/1.1"]`.
pub fn server_config(certificate: Arc<ReloadingCert>, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read_chain(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { what, path: path.to_owned(), source };
    let chain =
        CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if chain.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(chain) }
}

#[cfg(test)]
mod tests;
