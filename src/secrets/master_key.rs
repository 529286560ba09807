//! The master key: given as text, or kept in a file that is made on the first start.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use thiserror::Error;

use crate::config::SecretsConfig;
use crate::domain::Secret;

const KEY_BYTES: usize = 32;

/// 32 bytes that everything sealed depends on. Never shown.
#[derive(Clone)]
pub struct MasterKey([u8; KEY_BYTES]);

/// Why there is no master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// Neither hex nor base64 of 32 bytes.
    #[error("{origin} must hold 32 bytes in hex or base64 (`openssl rand -hex 32` makes one)")]
    Form {
        /// Setting or file.
        origin: String,
    },
    /// Others could read it.
    #[error(
        "the key file {} can be read by others (mode {mode:03o}): run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not there although something was sealed with it.
    #[error(
        "the database holds secrets, and the key file {} that opens them is missing: put it back, or give the key \
         by secrets.master_key or secrets.master_key_path (a backup of the database does not hold it)",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file can be neither read nor made.
    #[error("cannot {verb} the key file {}", path.display())]
    Io {
        /// `read` or `make`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl MasterKey {
    /// The key of the settings: `secrets.master_key`, else the file, which is made if it is not there.
    pub fn from_config(config: &SecretsConfig) -> Result<Self, MasterKeyError> {
        match &config.master_key {
            Some(text) => Self::parse(text),
            None => Self::from_file(&config.master_key_path),
        }
    }

    /// As [`MasterKey::from_config`], but a file that is not there is an error.
    pub fn known(config: &SecretsConfig) -> Result<Self, MasterKeyError> {
        let path = &config.master_key_path;
        match &config.master_key {
            Some(text) => Self::parse(text),
            None => read(path).map_err(|error| match error {
                MasterKeyError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    MasterKeyError::Missing { path: path.clone() }
                }
                error => error,
            }),
        }
    }

    /// Reads 64 hex digits or base64 of 32 bytes.
    pub fn parse(text: &Secret) -> Result<Self, MasterKeyError> {
        decode(text.expose()).ok_or_else(|| MasterKeyError::Form { origin: "secrets.master_key".to_owned() })
    }

    /// Reads the file, or makes it with mode 0600. Wider permissions are refused.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        match read(path) {
            Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        make(path).map_err(|source| MasterKeyError::Io { verb: "make", path: path.to_owned(), source })?;
        read(path)
    }

    /// The key itself.
    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(••••)")
    }
}

fn read(path: &Path) -> Result<MasterKey, MasterKeyError> {
    let io = |source| MasterKeyError::Io { verb: "read", path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::Permissions { path: path.to_owned(), mode });
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let form = || MasterKeyError::Form { origin: format!("the key file {}", path.display()) };
    decode(&text).ok_or_else(form)
}

/// Whole or not at all: two first starts at once end with one key.
fn make(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{}", hex::encode(super::random_bytes::<KEY_BYTES>()))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        _ => {}
    }
    std::fs::File::open(directory)?.sync_all()
}

fn decode(text: &str) -> Option<MasterKey> {
    let text = text.trim();
    let from_base64 =
        || [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|e| e.decode(text).ok());
    let bytes = hex::decode(text).ok().or_else(from_base64)?;
    bytes.try_into().ok().map(MasterKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base64_give_the_same_key() {
        let hex = "ff".repeat(KEY_BYTES);
        for text in
            [hex.as_str(), &STANDARD.encode([255; KEY_BYTES]), &URL_SAFE_NO_PAD.encode([255; KEY_BYTES])]
        {
            assert_eq!(MasterKey::parse(&Secret::from(text)).unwrap().0, [255; KEY_BYTES]);
        }
        for wrong in ["", "ff", "password", &"ff".repeat(33)] {
            let error = MasterKey::parse(&Secret::from(wrong)).unwrap_err();
            assert!(error.to_string().starts_with("secrets.master_key must hold 32 bytes"));
        }
    }

    #[test]
    fn the_first_start_makes_a_key_that_only_we_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/secret.key");
        let made = MasterKey::from_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::from_file(&path).unwrap().0, made.0);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        MasterKey::from_file(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let text = MasterKey::from_file(&path).unwrap_err().to_string();
        assert!(text.contains("mode 640") && text.contains("chmod 600"), "{text}");
    }

    #[test]
    fn a_damaged_key_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        MasterKey::from_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(matches!(MasterKey::from_file(&path), Err(MasterKeyError::Form { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
