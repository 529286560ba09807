//! Calls: what the SIP edge and the use cases on calls tell each other. `sip` and `calls` do not know one
//! another; `app` joins them by channels of these values.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::{CallId, Direction, PhoneKey, PhoneNumberId, Secret, UserId, Wacid};

/// Where a phone's calls go: one row of the table that the SIP edge looks an INVITE up in.
#[derive(Clone, Debug)]
pub struct CallRoute {
    /// Our phone.
    pub phone: PhoneKey,
    /// Meta's id of it, as `x-wa-meta-phone-number-id` names it.
    pub phone_number_id: PhoneNumberId,
    /// Its number, E.164 digits without `+`.
    pub digits: String,
    /// `tgrp` of the Request-URI's user part, if the phone's settings at Meta carry one.
    pub tgrp: Option<String>,
    /// The host name that Meta was given for this phone: From host and digest realm toward Meta.
    pub hostname: String,
    /// The phone's SIP password, made by Meta; `None` = not read yet, digest impossible.
    pub sip_password: Option<Secret>,
    /// Name of the trunk that its calls are handed to.
    pub trunk: String,
    /// User part of the Request-URI toward the trunk.
    pub extension: String,
}

/// All routes; replaced as a whole after a change.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// One for each phone with calling at our edge.
    pub routes: Vec<CallRoute>,
}

/// Algorithms that we challenge by (RFC 7616, RFC 8760).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestAlgorithm {
    /// `MD5`.
    Md5,
    /// `SHA-256`.
    Sha256,
}

/// What a request from nowhere gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScannerAnswer {
    /// 403.
    Forbidden,
    /// Nothing.
    Silence,
}

/// A name and a password that one side of a trunk proves itself by.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// The person on WhatsApp, as far as a call tells who it is. Any part may be absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallPeer {
    /// E.164 digits without `+`.
    pub digits: Option<String>,
    /// Business-scoped user id.
    pub user_id: Option<UserId>,
    /// Display name or user name; untrusted text.
    pub name: Option<String>,
}

/// How a call came in; the head of its record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// `Inbound` = from the contact.
    pub direction: Direction,
    /// The business phone; `None` if the called number is not ours.
    pub phone: Option<PhoneKey>,
    /// The person.
    pub peer: CallPeer,
    /// Meta's id of the call, where it is known already.
    pub wacid: Option<Wacid>,
    /// Call-ID of the leg that the call came in by.
    pub sip_call_id: String,
    /// The trunk that it goes to or came from.
    pub trunk: Option<String>,
    /// Payload of the call button or of the deep link; untrusted text.
    pub payload: Option<String>,
    /// What the first leg's connection looked like.
    pub report: ContactReport,
}

/// What shows that a call is from whom it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CallProof {
    /// The digest was right.
    Digest,
    /// No digest is asked for by the settings; the sender's address is a known one.
    Address,
    /// Nothing: anybody may have sent it.
    #[default]
    Nothing,
}

impl CallProof {
    /// As in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Address => "address",
            Self::Nothing => "nothing",
        }
    }
}

/// What was seen of the other side of a call: what nobody could tell from documents. Without secrets, texts of
/// persons, and their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContactReport {
    /// What shows that it is no scanner's.
    pub proof: CallProof,
    /// Address and port of the peer.
    pub source: String,
    /// `TLSv1.3` and the like; `None` on UDP and TCP.
    pub tls_version: Option<String>,
    /// Cipher suite.
    pub cipher: Option<String>,
    /// Host name that the peer asked for.
    pub sni: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// Names of the headers of the INVITE in order, with values where it looks as none before.
    pub headers: Vec<(String, String)>,
    /// The lines of its offer, likewise.
    pub offer: Vec<String>,
}

/// Something that happened to a call. Each call begins with `Arrived` and closes with exactly one `Ended`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallMoment {
    /// It is there; the record begins.
    Arrived(Box<Arrival>),
    /// Meta's id became known later than the arrival.
    Identified(Wacid),
    /// The second leg was called.
    Forwarded {
        /// Address of the target.
        target: String,
    },
    /// The other side rings.
    Ringing,
    /// The other side has answered.
    Answered {
        /// Who: P-Asserted-Identity or `X-WA-Agent` of the trunk's 200; untrusted text.
        agent: Option<String>,
    },
    /// Something worth a line in the timeline: a re-INVITE that was answered here, a DTMF INFO that was dropped.
    Noted(String),
    /// It is over.
    Ended(CallEnd),
}

/// A moment of a call with its call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallEvent {
    /// Our id.
    pub call: CallId,
    /// What happened.
    pub moment: CallMoment,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallEnd {
    /// Who ended it.
    pub by: EndedBy,
    /// Why, as a class.
    pub cause: EndCause,
    /// SIP status of the refusal, if there was one.
    pub status: Option<u16>,
    /// Q.850 cause, if the ending side told one.
    pub q850: Option<u8>,
    /// Reason phrase and Warning of the other side; untrusted text.
    pub text: Option<String>,
    /// Seconds that Meta counted (`x-wa-meta-call-duration`).
    pub meta_seconds: Option<u32>,
}

/// Who ended a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    /// The person on WhatsApp, or Meta in their place.
    Contact,
    /// The telephone system.
    Trunk,
    /// This bridge.
    Bridge,
}

/// Why a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndCause {
    /// After it was answered, somebody hung up.
    HungUp,
    /// The caller gave up before an answer.
    Cancelled,
    /// The called side declined or was busy.
    Declined,
    /// Nobody answered in time.
    NoAnswer,
    /// The called number is not ours, or does not exist.
    UnknownNumber,
    /// The caller's digest or source was refused.
    Refused,
    /// The contact has not permitted calls.
    NoPermission,
    /// No target of the trunk could be reached.
    TrunkUnreachable,
    /// No codec or keying in common.
    Media,
    /// Too many calls.
    Overload,
    /// The longest time was over.
    TooLong,
    /// An answer or acknowledgement never came, or the connection was lost.
    Lost,
    /// The bridge was stopped.
    Stopped,
    /// Anything else that the other side refused with.
    Failed,
}

impl EndCause {
    /// Every cause.
    pub const ALL: [Self; 14] = [
        Self::HungUp,
        Self::Cancelled,
        Self::Declined,
        Self::NoAnswer,
        Self::UnknownNumber,
        Self::Refused,
        Self::NoPermission,
        Self::TrunkUnreachable,
        Self::Media,
        Self::Overload,
        Self::TooLong,
        Self::Lost,
        Self::Stopped,
        Self::Failed,
    ];

    /// Its name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Cancelled => "cancelled",
            Self::Declined => "declined",
            Self::NoAnswer => "no_answer",
            Self::UnknownNumber => "unknown_number",
            Self::Refused => "refused",
            Self::NoPermission => "no_permission",
            Self::TrunkUnreachable => "trunk_unreachable",
            Self::Media => "media",
            Self::Overload => "overload",
            Self::TooLong => "too_long",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a person may be called; asked before a call from the trunk goes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallPermission {
    /// Go ahead (also where Meta could not be asked: it refuses itself).
    Allowed,
    /// Not permitted; the sentence says how to ask for it.
    Refused(String),
}

/// Meta's "yes" is believed so long: limits and revocations are not told (whatsapp-sip facts §3.3).
const YES_FOR: TimeDelta = TimeDelta::hours(1);
/// Meta's "no" is believed so long: the person may agree at any moment.
const NO_FOR: TimeDelta = TimeDelta::minutes(1);

impl CallPermission {
    /// Until when an answer of `now` is believed; `expires`: the end of a temporary permission.
    pub fn good_until(allowed: bool, expires: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        match (allowed, expires) {
            (true, Some(expires)) => expires.min(now + YES_FOR),
            (true, None) => now + YES_FOR,
            (false, _) => now + NO_FOR,
        }
    }
}
