//! Why the SIP edge cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::tls::TlsError;

/// Why the SIP edge cannot start. Each names the setting and the fault.
#[derive(Debug, Error)]
pub enum SipError {
    /// A setting that must be there with `sip.enabled`.
    #[error("{0} is missing, but sip.enabled is true")]
    Missing(&'static str),
    /// The certificate that Meta is shown, missing or wrong.
    #[error("sip.certificate and sip.private_key")]
    Certificate(#[source] Box<TlsError>),
    /// A root certificate.
    #[error("{key}")]
    Roots {
        /// The setting.
        key: String,
        /// The file and what is wrong with it.
        source: Box<TlsError>,
    },
    /// An address that cannot be listened on.
    #[error("{key}: {address} cannot be listened on")]
    Bind {
        /// The setting.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// `sip.sources_file` cannot be read.
    #[error("sip.sources_file: cannot read {}", path.display())]
    SourcesFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// `sip.sources_file` holds something else than networks.
    #[error("sip.sources_file: {}: {fault}", path.display())]
    Sources {
        /// The file.
        path: PathBuf,
        /// Line and fault.
        fault: String,
    },
    /// An address in the settings that is none.
    #[error("{key}: `{value}` is not an address that can be called")]
    Address {
        /// The setting.
        key: &'static str,
        /// What it holds.
        value: String,
    },
}
