//! What can be wrong with a configuration, told all at once.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no configuration to start with.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The named file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no TOML. The line itself is not shown: it may hold a secret.
    #[error("the configuration file {} is not valid TOML: line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// Keys that are unknown or hold what they must not: all of them.
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
}

/// One key and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Dotted, as `http.listen` or `sip.trunks[0].uris`.
    pub key: String,
    /// Where the value came from, if that is not the file.
    pub variable: Option<String>,
    /// In words, with the remedy; never a secret.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "{} (from {variable}): {}", self.key, self.problem),
            None => write!(f, "{}: {}", self.key, self.problem),
        }
    }
}

fn list(faults: &[Fault]) -> String {
    if let [fault] = faults {
        return format!("wrong configuration: {fault}");
    }
    let mut text = format!("wrong configuration, {} faults:", faults.len());
    for fault in faults {
        text.push_str("\n  ");
        text.push_str(&fault.to_string());
    }
    text
}
