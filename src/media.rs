//! Media files: on disk, typed by content, fetched with care, served by unguessable links.
//!
//! A file comes in through [`fetch`] (an address that a user gave) or [`download`] (an answer of Meta),
//! lies in [`blobs`], is typed by [`mod@sniff`], sent as what [`mod@classify`] says (voice after [`voice`]) and
//! handed to the portal by a token of [`link`] through the HTTP layer. Rows about files are the store's.

pub mod address;
pub mod blobs;
pub mod classify;
pub mod disposition;
pub mod download;
pub mod fetch;
pub mod link;
pub mod name;
pub mod sniff;
pub mod types;
pub mod voice;

pub use blobs::{BlobError, BlobStore, StoredBlob, WriteLimits};
pub use classify::{Details, SendAs, classify};
pub use fetch::{FetchError, FetchRules, Fetched, Fetcher};
pub use sniff::{FileType, sniff};

/// A TLS configuration for tests, whose servers speak plain HTTP or show their own certificate.
#[cfg(test)]
pub(crate) fn test_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let roots = rustls::RootCertStore::empty();
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}
