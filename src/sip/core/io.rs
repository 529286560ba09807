//! What goes into the endpoint and what comes out of it.

use std::fmt;
use std::net::SocketAddr;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::call::{CallEvent, CallPeer, CallPermission, RouteTable};
use crate::domain::{CallId, PhoneKey};

/// A point in time: how long the driver has been running. Only differences count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(pub Duration);

/// A TCP or TLS connection, numbered by the driver; a number is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// Bytes for the wire; cheap to clone, since what may be repeated is kept.
pub type Packet = Arc<[u8]>;

/// How SIP travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// Datagrams, between us and trunks only.
    Udp,
    /// A plain connection, between us and trunks only.
    Tcp,
    /// TLS: Meta always, trunks by setting.
    Tls,
}

/// Where a datagram or connection came in, and what its address says about the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The TLS listener for Meta; the peer is in Meta's networks, or the check is off.
    Meta,
    /// The TLS listener; the peer is elsewhere, and the setting says `warn`.
    Stranger,
    /// The TLS listener; the peer is elsewhere, and the setting says `enforce`. (The driver may as well close
    /// such a connection itself; in-dialog requests over it are taken all the same.)
    Refused,
    /// The listener for trunks, or a connection that we dialled to one. The index of the trunk in
    /// [`EndpointConfig::trunks`](super::EndpointConfig::trunks) whose address the peer has; `None` = of no
    /// trunk.
    Trunk(Option<usize>),
}

impl Origin {
    /// Whether the address is of somebody whom calls are expected from.
    pub fn is_known(self) -> bool {
        matches!(self, Self::Meta | Self::Trunk(Some(_)))
    }
}

/// What is known of a connection when it is ready for messages.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number.
    pub conn: ConnId,
    /// TCP or TLS.
    pub transport: Transport,
    /// The peer.
    pub peer: SocketAddr,
    /// Which side.
    pub origin: Origin,
    /// The target that was dialled; `None` = the peer connected to us.
    pub dialled: Option<Target>,
    /// `TLSv1.3` and the like.
    pub tls_version: Option<String>,
    /// Cipher suite.
    pub cipher: Option<String>,
    /// Host name that the peer asked for.
    pub sni: Option<String>,
}

/// Which roots verify the certificate of a target that is dialled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trust {
    /// Meta: public roots and `sip.meta_ca_file`.
    Meta,
    /// The trunk of this index: public roots and its `tls_ca_file`.
    Trunk(usize),
}

/// A place to send to that is not a connection yet. The driver resolves the host, keeps one connection for
/// each equal target and uses it as long as it lives (UDP: sends from the socket of the trunk listener).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Name or address, IPv6 without brackets; also the name that the certificate must have (and SNI).
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Whose it is.
    pub trust: Trust,
}

/// Where a packet goes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum To {
    /// Over this connection; if it is gone, the packet is dropped (`Closed` has told or will tell).
    Conn(ConnId),
    /// To this address, from the socket of the trunk listener.
    Datagram(SocketAddr),
    /// Over a connection to this target, dialled if there is none; [`Input::Unreachable`] if that fails.
    Target(Target),
}

/// What the driver tells the endpoint.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is ready: accepted and its TLS handshake done, or dialled for a [`To::Target`].
    Opened(Link),
    /// Bytes of a connection, cut anywhere: framing is done in here. Give what one read returned.
    Received {
        /// The connection.
        conn: ConnId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// One datagram, on the socket of the trunk listener.
    Datagram {
        /// Who sent it.
        peer: SocketAddr,
        /// The trunk that has this address.
        trunk: Option<usize>,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// A connection is gone, whoever closed it.
    Closed {
        /// Its number.
        conn: ConnId,
    },
    /// A target could not be dialled (name, refused, TLS, deadline), or its UDP address is unreachable.
    Unreachable {
        /// As it was in [`To::Target`].
        target: Target,
        /// Why, for the call record; no secrets.
        reason: String,
    },
    /// Nothing but that time has passed: [`Endpoint::next_timer`](super::Endpoint::next_timer) was reached.
    Timeout,
    /// The routes, all of them; running calls keep theirs.
    Routes(RouteTable),
    /// The answer to [`Output::AskPermission`].
    Permission {
        /// Which call.
        call: CallId,
        /// Whether the person may be called.
        answer: CallPermission,
    },
    /// Take no more calls; those that run go on.
    Drain,
    /// Take no more calls and hang up those that run; poll the outputs, then give the BYEs a moment.
    Stop,
}

/// What the endpoint wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send this.
    Send {
        /// Where.
        to: To,
        /// What.
        bytes: Packet,
    },
    /// Close this connection, once what was sent over it before is flushed.
    Close {
        /// Its number.
        conn: ConnId,
    },
    /// Something happened to a call.
    Call(CallEvent),
    /// May this person be called? Answer with [`Input::Permission`] within five seconds; after that the call
    /// is placed, and Meta decides.
    AskPermission {
        /// The call that waits.
        call: CallId,
        /// Our phone.
        phone: PhoneKey,
        /// Who is to be called.
        peer: CallPeer,
    },
    /// Something to count or log that belongs to no call.
    Notice(Notice),
}

/// Something that belongs to no call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A request was refused or dropped as a scanner's.
    Scanner {
        /// Its address.
        peer: SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// An INVITE was taken from an address outside Meta's networks (`sip.source_check = "warn"`).
    Stranger {
        /// Its address.
        peer: SocketAddr,
    },
    /// Something that is no SIP was received.
    Malformed {
        /// Its address.
        peer: SocketAddr,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A target of a trunk changed its state.
    TrunkState {
        /// Name of the trunk.
        trunk: String,
        /// Address of the target.
        target: String,
        /// Up or down.
        up: bool,
    },
    /// Calls were refused because there are too many.
    Overload {
        /// The phone whose limit is reached.
        phone: PhoneKey,
    },
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Transport {
    /// Whether packets arrive once and in order: such transactions repeat nothing.
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// As in a Via.
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// As in a `transport` parameter.
    pub fn param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port, transport) = (&self.host, self.port, self.transport.param());
        if host.contains(':') {
            write!(f, "[{host}]:{port};transport={transport}")
        } else {
            write!(f, "{host}:{port};transport={transport}")
        }
    }
}
