//! A certificate that follows its files.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, expiry, provider, read_chain};

/// The certificate of a listener. New handshakes take what [`ReloadingCert::reload_if_changed`] read
/// last; a bad new pair never replaces a good old one.
#[derive(Debug)]
pub struct ReloadingCert {
    certificate: PathBuf,
    private_key: PathBuf,
    /// The name that others call us by, where it is checked.
    name: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<CertifiedKey>,
    /// Of the files as they were last tried, good or bad.
    seen: Stamp,
}

/// What tells a file from its successor, for certificate and key.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl ReloadingCert {
    /// Reads certificate chain and private key, both PEM.
    pub fn load(certificate: &Path, private_key: &Path) -> Result<Arc<Self>, TlsError> {
        Self::begin(certificate, private_key, None)
    }

    /// Reads a pair that must be for this name, now and after each change.
    pub fn load_for(certificate: &Path, private_key: &Path, name: &str) -> Result<Arc<Self>, TlsError> {
        Self::begin(certificate, private_key, Some(name))
    }

    fn begin(certificate: &Path, private_key: &Path, name: Option<&str>) -> Result<Arc<Self>, TlsError> {
        let seen = stamp(certificate, private_key);
        let current = read(certificate, private_key)?;
        if let Some(name) = name {
            check_name(certificate, &current, name)?;
        }
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            private_key: private_key.to_owned(),
            name: name.map(str::to_owned),
            state: Mutex::new(State { current, seen }),
        }))
    }

    /// Looks at the files and reads them if they have changed: `true` = the new pair is in use. An error
    /// is told once for each state of the files; the old pair stays in use, also in place of one that is of
    /// another name or expired at `now`. Reads files: keep it off async threads.
    pub fn reload_if_changed(&self, now: DateTime<Utc>) -> Result<bool, TlsError> {
        let found = stamp(&self.certificate, &self.private_key);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.seen == found {
            return Ok(false);
        }
        state.seen = found;
        let new = read(&self.certificate, &self.private_key)?;
        if let Some(name) = &self.name {
            check_name(&self.certificate, &new, name)?;
        }
        match new.cert.first().and_then(|leaf| expiry::not_after(leaf)) {
            Some(end) if end <= now => {
                return Err(TlsError::Expired { path: self.certificate.clone(), end });
            }
            _ => state.current = new,
        }
        Ok(true)
    }

    /// Whether the certificate in use is for this name, as those who call us check it.
    pub fn check_name(&self, name: &str) -> Result<(), TlsError> {
        check_name(&self.certificate, &self.current(), name)
    }

    /// When the certificate in use expires; `None` if that cannot be read.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        expiry::not_after(self.current().cert.first()?)
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).current)
    }
}

impl ResolvesServerCert for ReloadingCert {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn check_name(path: &Path, pair: &CertifiedKey, name: &str) -> Result<(), TlsError> {
    let wrong = |source| TlsError::Name { path: path.to_owned(), name: name.to_owned(), source };
    let empty = || TlsError::Empty { path: path.to_owned() };
    let certificate = ParsedCertificate::try_from(pair.cert.first().ok_or_else(empty)?).map_err(wrong)?;
    let server = ServerName::try_from(name)
        .map_err(|_| wrong(rustls::Error::General("this is no host name".to_owned())))?;
    verify_server_name(&certificate, &server).map_err(wrong)
}

fn read(certificate: &Path, private_key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = read_chain("the certificate", certificate)?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|source| TlsError::Pem {
        what: "the private key",
        path: private_key.to_owned(),
        source,
    })?;
    let pair = CertifiedKey::from_der(chain, key, &provider())
        .map_err(|source| TlsError::Pair { path: certificate.to_owned(), source })?;
    Ok(Arc::new(pair))
}

fn stamp(certificate: &Path, private_key: &Path) -> Stamp {
    let of = |metadata: Metadata| (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    [certificate, private_key].map(|path| std::fs::metadata(path).ok().map(of))
}
