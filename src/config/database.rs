//! `[database]` and `[secrets]`: what is kept, and the key to it.

use std::path::{Path, PathBuf};

use super::reader::Reader;
use crate::domain::Secret;

/// `[database]`.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Which database.
    pub url: DatabaseUrl,
}

/// Which database, by the scheme of `database.url`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseUrl {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A `postgres://` address as it was given: it may hold a password.
    Postgres(Secret),
}

/// `[secrets]`: where the key for secrets at rest comes from.
#[derive(Clone, Debug)]
pub struct SecretsConfig {
    /// 32 bytes in hex or base64; goes before the file.
    pub master_key: Option<Secret>,
    /// The file that holds the key, made on the first start.
    pub master_key_path: PathBuf,
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH`, `postgres://…` or `postgresql://…`. The error never repeats the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" || path.contains(['?', '#']) {
                return Err("sqlite: is followed by the path of a file, without parameters".to_owned());
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::from(text)));
        }
        Err("must begin with sqlite: or postgres://".to_owned())
    }
}

impl DatabaseConfig {
    pub(super) fn read(r: &mut Reader<'_>, data_dir: &Path) -> Self {
        const KEY: &str = "database.url";
        let embedded = DatabaseUrl::Sqlite(data_dir.join("wabridge.db"));
        let url = match r.secret(KEY).map(|text| DatabaseUrl::parse(text.expose())) {
            Some(Ok(url)) => url,
            Some(Err(problem)) => {
                r.fault(KEY, problem);
                embedded
            }
            None => embedded,
        };
        if let DatabaseUrl::Sqlite(path) = &url {
            r.show(KEY, format!("sqlite:{}", path.display()).into());
        }
        Self { url }
    }
}

impl SecretsConfig {
    pub(super) fn read(r: &mut Reader<'_>, data_dir: &Path) -> Self {
        let master_key = r.secret("secrets.master_key");
        let master_key_path =
            r.path("secrets.master_key_path").unwrap_or_else(|| data_dir.join("secret.key"));
        r.show("secrets.master_key_path", master_key_path.display().to_string().into());
        Self { master_key, master_key_path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_chooses_the_database() {
        for (text, path) in [("sqlite:./a.db", "./a.db"), ("sqlite:///var/a.db", "/var/a.db")] {
            assert_eq!(DatabaseUrl::parse(text), Ok(DatabaseUrl::Sqlite(path.into())));
        }
        assert!(matches!(DatabaseUrl::parse("postgres://u:p@h/n"), Ok(DatabaseUrl::Postgres(_))));
        for wrong in ["mysql://u:hunter2@h/n", "", "sqlite:", "sqlite::memory:", "a.db"] {
            let problem = DatabaseUrl::parse(wrong).unwrap_err();
            assert!(!problem.contains("hunter2"));
        }
    }
}
