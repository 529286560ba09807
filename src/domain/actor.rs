//! Who makes a change.

/// Who makes a change of the installation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Actor {
    /// The bridge itself, because a cloud told it something.
    #[default]
    Bridge,
    /// A command on the machine.
    Command,
    /// An administrator or operator of the panel, by name.
    Administrator(String),
    /// Whoever has this token of the API, by the token's name.
    Token(String),
    /// A user of a portal, as `user@portal`.
    PortalUser(String),
}

impl Actor {
    /// The name of the kind in the audit log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Command => "command",
            Self::Administrator(_) => "administrator",
            Self::Token(_) => "token",
            Self::PortalUser(_) => "portal_user",
        }
    }

    /// The name of this one.
    pub fn name(&self) -> &str {
        match self {
            Self::Bridge => "wabridge",
            Self::Command => "command line",
            Self::Administrator(name) | Self::Token(name) | Self::PortalUser(name) => name,
        }
    }
}
