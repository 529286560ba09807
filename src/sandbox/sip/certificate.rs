//! Certificates that live as long as the sandbox.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate; trusted as it is.
    pub certificate: PathBuf,
    /// Its key.
    pub private_key: PathBuf,
}

/// Writes `NAME.pem` and `NAME.key` for this host.
///
/// # Errors
/// When they cannot be made or written.
pub fn write(directory: &Path, name: &str, hostname: &str) -> io::Result<Files> {
    let made = rcgen::generate_simple_self_signed(vec![hostname.to_owned()]).map_err(io::Error::other)?;
    let path = |ending: &str| directory.join(format!("{name}.{ending}"));
    let files = Files { certificate: path("pem"), private_key: path("key") };
    std::fs::write(&files.certificate, made.cert.pem())?;
    std::fs::write(&files.private_key, made.signing_key.serialize_pem())?;
    Ok(files)
}

impl Files {
    /// The certificate as DER, for who is to trust it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn der(&self) -> io::Result<Vec<u8>> {
        CertificateDer::from_pem_file(&self.certificate).map(|der| der.to_vec()).map_err(io::Error::other)
    }

    /// TLS of a server that shows it.
    pub(super) fn server(&self) -> io::Result<Arc<rustls::ServerConfig>> {
        let certificate = CertificateDer::from_pem_file(&self.certificate).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(&self.private_key).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}
