//! Facts about handshakes and reloads, with real ones over memory.

use std::io::{Read as _, Write as _};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::*;

const NAME: &str = "bridge.example.com";

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.write(2100);
        files
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Writes a new self-signed pair that expires with this year.
    fn write(&self, year: i32) {
        self.write_for(NAME, year);
    }

    fn write_for(&self, name: &str, year: i32) {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(self.certificate(), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
    }

    fn load(&self) -> Result<Arc<ReloadingCert>, TlsError> {
        ReloadingCert::load(&self.certificate(), &self.key())
    }
}

fn reload(certificate: &ReloadingCert) -> Result<bool, TlsError> {
    certificate.reload_if_changed(crate::clock::Clock::System.now())
}

/// Shakes hands over memory; answers the protocol that both chose.
fn handshake(client: ClientConfig, server: Arc<ServerConfig>) -> Result<Option<Vec<u8>>, rustls::Error> {
    let name = ServerName::try_from(NAME).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(server)?;
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    server.writer().write_all(b"hello").unwrap();
    wire.clear();
    server.write_tls(&mut wire).unwrap();
    client.read_tls(&mut wire.as_slice()).unwrap();
    client.process_new_packets()?;
    let mut text = [0; 5];
    client.reader().read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
    Ok(client.alpn_protocol().map(<[u8]>::to_vec))
}

#[test]
fn a_client_trusts_the_extra_root_only_if_it_is_named() {
    let files = Files::new();
    let server = server_config(files.load().unwrap(), &[b"h2", b"http/1.1"]).unwrap();
    let mut trusting = client_config(Some(&files.certificate())).unwrap();
    trusting.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert_eq!(handshake(trusting, Arc::clone(&server)).unwrap().unwrap(), b"http/1.1");
    assert!(handshake(client_config(None).unwrap(), server).is_err());
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart() {
    let files = Files::new();
    let certificate = files.load().unwrap();
    let server = server_config(Arc::clone(&certificate), &[]).unwrap();
    assert!(!reload(&certificate).unwrap());
    assert_eq!(certificate.expires().unwrap().to_rfc3339(), "2100-12-31T00:00:00+00:00");

    files.write(2040);
    assert!(reload(&certificate).unwrap());
    assert_eq!(certificate.expires().unwrap().to_rfc3339(), "2040-12-31T00:00:00+00:00");
    assert!(handshake(client_config(Some(&files.certificate())).unwrap(), server).is_ok());
}

#[test]
fn a_bad_new_pair_leaves_the_old_one_in_use_and_is_told_once() {
    let files = Files::new();
    let root = files.directory.path().join("root.pem");
    std::fs::copy(files.certificate(), &root).unwrap();
    let certificate = files.load().unwrap();
    let server = server_config(Arc::clone(&certificate), &[]).unwrap();

    std::fs::write(files.key(), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(reload(&certificate), Err(TlsError::Pair { .. })));
    assert!(!reload(&certificate).unwrap());
    std::fs::remove_file(files.certificate()).unwrap();
    assert!(matches!(reload(&certificate), Err(TlsError::Pem { .. })));
    assert!(handshake(client_config(Some(&root)).unwrap(), server).is_ok());

    files.write(2040);
    assert!(reload(&certificate).unwrap());
}

#[test]
fn a_new_pair_of_another_name_or_an_expired_one_does_not_replace_a_good_one() {
    let files = Files::new();
    let certificate = ReloadingCert::load_for(&files.certificate(), &files.key(), NAME).unwrap();
    files.write_for("other.example.com", 2050);
    let error = reload(&certificate).unwrap_err();
    assert!(matches!(&error, TlsError::Name { name, .. } if name == NAME), "{error}");
    files.write(2020);
    let error = reload(&certificate).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("2020-12-31"), "{error}");
    assert!(!reload(&certificate).unwrap(), "it is told once");
    assert_eq!(certificate.expires().unwrap().to_rfc3339(), "2100-12-31T00:00:00+00:00");
    files.write(2040);
    assert!(reload(&certificate).unwrap());
}

#[test]
fn files_that_hold_nothing_are_named() {
    let files = Files::new();
    std::fs::write(files.certificate(), "").unwrap();
    let text = files.load().unwrap_err().to_string();
    assert!(text.contains("cert.pem"), "{text}");
    assert!(client_config(Some(&files.directory.path().join("none.pem"))).is_err());
}
