//! Why somebody is not let in.

use thiserror::Error;

use crate::store::StoreError;

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

/// Why the panel's door stays shut, or its administrators stay as they are.
#[derive(Debug, Error)]
pub enum PanelError {
    /// The link of an invitation was used, has ended or never was.
    #[error("this link was used already or has expired; ask for a new one")]
    BadLink,
    /// Wrong name or password; which of both is not told.
    #[error("name or password are wrong")]
    WrongLogin,
    /// Too many tries.
    #[error("too many tries; wait ten minutes")]
    TooMany,
    /// A field of the input, and why it is not taken.
    #[error("{1}")]
    Field(&'static str, &'static str),
    /// Nobody could administer the bridge any more.
    #[error("this is the last administrator; invite another one first")]
    LastAdministrator,
    /// There is no such administrator or session.
    #[error("this does not exist any more")]
    Gone,
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
}
