//! Who may use the API: tokens, stored as hashes, each with a role.

mod tokens;

use thiserror::Error;

use crate::store::StoreError;

pub use tokens::{NewToken, authenticate, create, list, revoke};

/// What a token may do; each role includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Look.
    Read,
    /// Retry, drop and cancel.
    Operate,
    /// Everything.
    Admin,
}

impl Role {
    /// The name in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Operate, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// Why somebody has no access, or a token cannot be made.
#[derive(Debug, Error)]
pub enum AccessError {
    /// No token, an unknown or an expired one.
    #[error("a valid token is needed: Authorization: Bearer TOKEN")]
    Unknown,
    /// The name is taken.
    #[error("a token of this name exists already")]
    NameTaken,
    /// The name is empty or too long, or the life of the token is not 1 to 36500 days.
    #[error("{0}")]
    Invalid(&'static str),
    /// The database failed.
    #[error("the tokens cannot be read or written")]
    Store(#[from] StoreError),
}
