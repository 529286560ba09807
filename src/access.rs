//! Who may do what: tokens of the API; administrators of the panel, their invitations and sessions.
//!
//! Tokens, links and session cookies are stored as hashes, passwords as argon2id. Whoever is invited by the
//! command line on the machine may also set a new password for a name that exists: that is how an
//! administrator who forgot it comes back in.

mod administrators;
mod error;
pub mod forms;
mod invites;
mod password;
mod sessions;
mod throttle;
mod tokens;

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::store::Db;

pub use error::{AccessError, PanelError};
pub use invites::{INVITE_MINUTES, invite};
pub use sessions::{LoggedIn, Login, Visitor};
pub use tokens::{NewToken, authenticate, create, list, revoke};

/// Passwords that are tried at the same time: each takes 19 MiB and some milliseconds.
const HASHES_AT_ONCE: usize = 2;

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

    /// The role of the panel by this name.
    pub fn of_panel(text: &str) -> Option<Self> {
        [Self::Operate, Self::Admin].into_iter().find(|role| role.panel_name() == text)
    }

    /// The name in the panel: an operator looks and replays, an administrator does everything.
    pub fn panel_name(self) -> &'static str {
        match self {
            Self::Read | Self::Operate => "operator",
            Self::Admin => "administrator",
        }
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

/// The doors of the panel: administrators, invitations, sessions.
#[derive(Clone)]
pub struct Access {
    db: Db,
    clock: Clock,
    throttle: Arc<Mutex<throttle::Throttle>>,
    hashing: Arc<Semaphore>,
}

impl Access {
    /// The doors of this database.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, throttle: Arc::default(), hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }
}
