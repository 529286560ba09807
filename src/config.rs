//! The effective configuration; the only reader of the environment.
//!
//! Every key, its default and its meaning stand in `config/defaults.toml`, which is embedded here: the
//! defaults are nowhere else. A value of the environment goes before one of the file, that before the
//! default. All faults are told at once.

mod clouds;
mod database;
mod doctor;
mod effective;
mod error;
mod http;
mod log;
mod network;
mod parse;
mod reader;
mod relay;
mod sip;

use std::path::{Path, PathBuf};

use toml::Table;
use url::Url;

pub use clouds::{BitrixConfig, MetaConfig};
pub use database::{DatabaseConfig, DatabaseUrl, SecretsConfig};
pub use doctor::{AlarmsConfig, DoctorConfig};
pub use error::{ConfigError, Fault};
pub use http::{HttpConfig, InternalListen, TlsFiles};
pub use log::{LogConfig, LogFormat};
pub use network::{AllowedHost, Network, OutboundConfig};
pub use relay::{MediaConfig, RelayConfig, RetentionConfig};
pub use sip::{SipConfig, SourceCheck, TrunkConfig};

use effective::Effective;
use reader::{Overrides, Reader};

const DEFAULTS: &str = include_str!("config/defaults.toml");
const PREFIX: &str = "WABRIDGE_";
const FILE: &str = "wabridge.toml";

/// Everything that is set outside the database, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the portal and administrators reach us: an origin.
    pub public_url: Url,
    /// Embedded database, media, generated key.
    pub data_dir: PathBuf,
    /// Our listeners.
    pub http: HttpConfig,
    /// Which database.
    pub database: DatabaseConfig,
    /// The key for secrets at rest.
    pub secrets: SecretsConfig,
    /// Meta's cloud.
    pub meta: MetaConfig,
    /// Bitrix24's cloud.
    pub bitrix: BitrixConfig,
    /// Fetches of addresses that users gave.
    pub outbound: OutboundConfig,
    /// How patiently messages are carried.
    pub relay: RelayConfig,
    /// Files.
    pub media: MediaConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// How often the bridge looks at itself.
    pub doctor: DoctorConfig,
    /// Whom it tells.
    pub alarms: AlarmsConfig,
    /// The edge for calls.
    pub sip: SipConfig,
    /// What is logged.
    pub log: LogConfig,
    effective: Effective,
}

impl Config {
    /// Whether people reach the bridge by https, from us or from a proxy of theirs.
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Reads `file` (if any) and the `WABRIDGE_…` variables of `env`. The texts beside the configuration
    /// are warnings about variables that are no settings.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let table = match file {
            Some(path) => read_file(path)?,
            None => Table::new(),
        };
        let overrides = overrides(env);
        let defaults = defaults();
        let mut reader = Reader::new(&overrides, &table, &defaults);
        let mut config = Self::read(&mut reader);
        reader.refuse_unknown_keys();
        let warnings = overrides
            .iter()
            .filter(|(key, _)| !reader.takes_variable(key))
            .map(|(_, (variable, _))| format!("{variable} is not a setting and is ignored"))
            .collect();
        if !reader.faults.is_empty() {
            return Err(ConfigError::Faults(reader.faults));
        }
        config.effective = reader.effective;
        Ok((config, warnings))
    }

    /// What holds, as TOML with secrets masked; values that the environment gave name their variable.
    pub fn effective_toml(&self) -> String {
        self.effective.to_toml()
    }

    /// The commented defaults.
    pub fn defaults_toml() -> &'static str {
        DEFAULTS
    }

    fn read(r: &mut Reader<'_>) -> Self {
        let public_url = r.text("public_url", parse::origin);
        let data_dir = r.text("data_dir", data_dir);
        Self {
            http: HttpConfig::read(r),
            database: DatabaseConfig::read(r, &data_dir),
            secrets: SecretsConfig::read(r, &data_dir),
            meta: MetaConfig::read(r),
            bitrix: BitrixConfig::read(r),
            outbound: OutboundConfig::read(r),
            relay: RelayConfig::read(r),
            media: MediaConfig::read(r),
            retention: RetentionConfig::read(r),
            doctor: DoctorConfig::read(r),
            alarms: AlarmsConfig::read(r),
            sip: SipConfig::read(r),
            log: LogConfig::read(r),
            public_url,
            data_dir,
            effective: Effective::default(),
        }
    }
}

impl Default for Config {
    /// The defaults alone: no file, no environment.
    fn default() -> Self {
        let (overrides, table, defaults) = (Overrides::new(), Table::new(), defaults());
        let mut reader = Reader::new(&overrides, &table, &defaults);
        let config = Self::read(&mut reader);
        Self { effective: reader.effective, ..config }
    }
}

/// The file to read: the one that was named, else `./wabridge.toml` if it is there.
pub fn find_file(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(FILE)).filter(|path| path.exists()),
    }
}

/// The `WABRIDGE_…` variables of this process.
pub fn process_env() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            problem: error.message().to_owned(),
        }
    })
}

fn overrides(env: impl Iterator<Item = (String, String)>) -> Overrides {
    env.filter_map(|(variable, text)| {
        let key = variable.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
        Some((key, (variable, text)))
    })
    .collect()
}

#[expect(clippy::expect_used, reason = "embedded text that a test parses")]
fn defaults() -> Table {
    DEFAULTS.parse().expect("the embedded defaults are TOML")
}

fn data_dir(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must name a directory".to_owned()) } else { Ok(PathBuf::from(text)) }
}

#[cfg(test)]
mod tests;
