//! What the doctor finds: one answer of one check about one thing.

use std::fmt;

use crate::domain::Language;
use crate::setup::said;

/// A sentence in each language that the bridge speaks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Words {
    /// English.
    pub en: String,
    /// Russian.
    pub ru: String,
}

impl Words {
    /// The sentence in a language.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ru => &self.ru,
        }
    }
}

/// A sentence in both languages.
pub(super) fn words(en: impl Into<String>, ru: impl Into<String>) -> Words {
    Words { en: en.into(), ru: ru.into() }
}

/// What somebody else says, in Russian where we know it; to stand inside a sentence.
pub(super) fn russian(told: &impl fmt::Display) -> String {
    let told = told.to_string();
    let known = said::in_russian(&told).unwrap_or(told);
    known.strip_suffix('.').unwrap_or(&known).to_owned()
}

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// All is well.
    Pass,
    /// It could not be looked at, since something before it is missing.
    Skipped,
    /// Nobody tells.
    Unknown,
    /// It works, and will not for long, or not as it should.
    Warn,
    /// It does not work.
    Fail,
}

impl Outcome {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    /// Whether a person should look.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Warn | Self::Fail)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of thing a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// The bridge itself.
    Bridge,
    /// A Meta app.
    App,
    /// A WhatsApp Business Account.
    Waba,
    /// A business phone.
    Phone,
    /// A portal.
    Portal,
    /// The line of a phone; its id is the phone's.
    Line,
}

impl Kind {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::App => "app",
            Self::Waba => "waba",
            Self::Phone => "phone",
            Self::Portal => "portal",
            Self::Line => "line",
        }
    }
}

/// What a finding is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subject {
    /// The kind of thing.
    pub kind: Kind,
    /// Our id of it.
    pub id: String,
    /// Its name for people.
    pub name: String,
}

/// What we can put right ourselves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Repair {
    /// Tells Meta our callback address and the fields.
    AppSubscription,
    /// Subscribes the app to the account; other addresses of that account's webhooks are removed.
    WabaSubscription,
    /// Removes the number's own webhook address.
    PhoneOverride,
    /// Registers the number; wants its PIN.
    PhoneRegistration,
    /// Writes our settings for calls at Meta once more.
    PhoneCalling,
    /// Writes the business profile at Meta that was last written or accepted here.
    PhoneProfile,
    /// Binds each event once, to our address.
    PortalEvents,
    /// Registers the connector.
    PortalConnector,
    /// Registers the SMS senders.
    PortalSenders,
    /// Switches the connector on.
    LineConnector,
}

impl Repair {
    /// Every repair.
    pub const ALL: [Self; 10] = [
        Self::AppSubscription,
        Self::WabaSubscription,
        Self::PhoneOverride,
        Self::PhoneRegistration,
        Self::PhoneCalling,
        Self::PhoneProfile,
        Self::PortalEvents,
        Self::PortalConnector,
        Self::PortalSenders,
        Self::LineConnector,
    ];

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppSubscription => "app.subscription",
            Self::WabaSubscription => "waba.subscription",
            Self::PhoneOverride => "phone.override",
            Self::PhoneRegistration => "phone.registration",
            Self::PhoneCalling => "phone.calling",
            Self::PhoneProfile => "phone.profile",
            Self::PortalEvents => "portal.events",
            Self::PortalConnector => "portal.connector",
            Self::PortalSenders => "portal.senders",
            Self::LineConnector => "line.connector",
        }
    }

    /// The kind of object that it changes, for the audit log.
    pub(super) fn object(self) -> &'static str {
        match self {
            Self::AppSubscription => "app",
            Self::WabaSubscription => "waba",
            Self::PhoneOverride | Self::PhoneRegistration | Self::PhoneCalling | Self::PhoneProfile => {
                "phone"
            }
            Self::PortalEvents | Self::PortalConnector | Self::PortalSenders => "portal",
            Self::LineConnector => "line",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|repair| repair.as_str() == text)
    }

    /// Whether it wants the number's six digits.
    pub fn wants_pin(self) -> bool {
        self == Self::PhoneRegistration
    }
}

/// One answer of one check about one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The check; stable.
    pub id: &'static str,
    /// About what.
    pub subject: Subject,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: Words,
    /// What to do.
    pub advice: Option<Words>,
    /// What we can do.
    pub repair: Option<Repair>,
}

impl Finding {
    /// The same, and we can put it right.
    pub(super) fn repaired_by(self, repair: Repair) -> Self {
        Self { repair: Some(repair), ..self }
    }
}

/// A check about something, before it has ended.
#[derive(Clone, Copy)]
pub(super) struct Check<'a>(pub &'static str, pub &'a Subject);

impl Check<'_> {
    /// All is well.
    pub(super) fn pass(self, reason: Words) -> Finding {
        self.end(Outcome::Pass, reason, None)
    }

    /// It does not work.
    pub(super) fn fail(self, reason: Words, advice: Words) -> Finding {
        self.end(Outcome::Fail, reason, Some(advice))
    }

    /// It works, but.
    pub(super) fn warn(self, reason: Words, advice: Words) -> Finding {
        self.end(Outcome::Warn, reason, Some(advice))
    }

    /// Nobody tells.
    pub(super) fn unknown(self, reason: Words) -> Finding {
        self.end(Outcome::Unknown, reason, None)
    }

    /// Something before it is missing.
    pub(super) fn skipped(self, reason: Words) -> Finding {
        self.end(Outcome::Skipped, reason, None)
    }

    fn end(self, outcome: Outcome, reason: Words, advice: Option<Words>) -> Finding {
        Finding { id: self.0, subject: self.1.clone(), outcome, reason, advice, repair: None }
    }
}
