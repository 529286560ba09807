//! The doctor: walks every link of the chain and tells of each whether it holds, why not, and what to do.
//!
//! A check has a stable id, is about one [`Subject`] and ends in one [`Finding`]. What a check thinks of what was
//! read are pure functions (`token`, `app`, `waba`, `phone`, `calling`, `portal`, `bridge`, `certificate`, `public`, `sip`);
//! `read_meta`, `read_portal`, `read_bridge` and `read_sip` fetch it. [`Setup::examine`] runs checks now, [`Setup::last_findings`] gives what
//! was found last, [`Setup::repair`] puts right what we can. After each change of an object its own checks run in
//! the background: [`Setup::check_later`] notes the wish, and a task of the app takes it by
//! [`Setup::next_check`].

mod app;
mod bridge;
mod calling;
mod certificate;
mod finding;
mod memory;
mod phone;
mod portal;
mod public;
mod read_bridge;
mod read_meta;
mod read_portal;
mod read_sip;
mod repair;
mod sip;
mod token;
mod waba;

use futures_util::future::join_all;

pub use finding::{Finding, Kind, Outcome, Repair, Subject, Words};
pub use memory::{Memory, Remembered};
pub use repair::RepairWish;

use super::Setup;
use crate::directory::{Phone, Snapshot};
use crate::domain::AppId;

/// The fields of webhooks that an app is to tick at Meta; the first is what chats live on.
pub fn webhook_fields(has_calls: bool) -> Vec<&'static str> {
    app::fields(has_calls).collect()
}

/// Which checks run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Every one.
    All,
    /// Those of the bridge itself.
    Bridge,
    /// Those of an app, by our id.
    App(String),
    /// Those of a WABA.
    Waba(String),
    /// Those of a phone and its line.
    Phone(String),
    /// Those of a portal and its lines.
    Portal(String),
}

impl Scope {
    fn has(&self, kind: Kind, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Bridge => kind == Kind::Bridge,
            Self::App(own) => kind == Kind::App && own == id,
            Self::Waba(own) => kind == Kind::Waba && own == id,
            Self::Phone(own) => matches!(kind, Kind::Phone | Kind::Line) && own == id,
            Self::Portal(own) => kind == Kind::Portal && own == id,
        }
    }
}

/// How the doctor looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// At what.
    pub scope: Scope,
    /// Also by calls to our own public address, one of them of 3 MB.
    pub thorough: bool,
    /// From a process beside the running bridge, which does not count what that one counts.
    pub beside: bool,
}

impl Look {
    /// Everything, thoroughly, in the running bridge.
    pub fn full() -> Self {
        Self { scope: Scope::All, thorough: true, beside: false }
    }

    /// The cheap checks of everything, as they run again and again.
    pub fn cheap() -> Self {
        Self { thorough: false, ..Self::full() }
    }

    /// Everything about one thing.
    pub fn at(scope: Scope) -> Self {
        Self { scope, ..Self::full() }
    }
}

impl Setup {
    /// Runs checks, remembers what they found, and raises and ends alarms. Findings stand in the order bridge, apps, WABAs, phones,
    /// portals, lines.
    pub async fn examine(&self, look: &Look) -> Vec<Finding> {
        let snapshot = self.directory.now();
        let wants = |kind, id: &str| look.scope.has(kind, id);
        let mut found = Vec::new();
        if wants(Kind::Bridge, "") {
            found.extend(self.examine_bridge(look).await);
        }
        let apps = snapshot.apps.iter().filter(|app| wants(Kind::App, app.id.as_str()));
        found.extend(join_all(apps.map(|app| self.examine_app(&snapshot, app, look))).await.concat());
        let wabas = snapshot.wabas.iter().filter(|waba| wants(Kind::Waba, waba.key.as_str()));
        found.extend(join_all(wabas.map(|waba| self.examine_waba(&snapshot, waba))).await.concat());
        let phones = snapshot.phones.iter().filter(|phone| wants(Kind::Phone, phone.key.as_str()));
        found.extend(join_all(phones.map(|phone| self.examine_phone(&snapshot, phone, look))).await.concat());
        // One after the other: each portal has its own rate, which is meant for messages.
        for portal in snapshot.portals.iter().filter(|portal| wants(Kind::Portal, portal.id.as_str())) {
            found.extend(self.examine_portal(&snapshot, portal).await);
        }
        let lines = snapshot.bindings.iter().filter(|binding| {
            wants(Kind::Line, binding.phone.as_str()) || wants(Kind::Portal, binding.portal.as_str())
        });
        for binding in lines {
            found.extend(self.examine_line(&snapshot, binding).await);
        }
        self.doctor.remember(&look.scope, &found, self.clock.now());
        match self.settle_alarms(&snapshot, &found, look.scope == Scope::All).await {
            Ok(()) => self.tell_of_found_database(&snapshot, &found).await,
            Err(error) => {
                tracing::warn!(error = %error, "alarms could not be written");
                self.tell_of_lost_database(&snapshot, &found).await;
            }
        }
        found
    }

    /// What the doctor found last, in the order of [`Setup::examine`], each with the time; empty before the
    /// first look.
    pub fn last_findings(&self) -> Vec<Remembered> {
        self.doctor.last()
    }

    /// The portal took a phone's line away: told at once, to whoever it belonged to before. The phone's own check ends
    /// the alarm when it is linked again.
    pub(super) async fn line_is_lost(&self, before: &Snapshot, phone: &Phone, line: &str) {
        let found = phone::line_lost(&phone_subject(phone), line);
        if let Err(error) = self.settle_alarms(before, &[found], false).await {
            tracing::warn!(error = %error, "an alarm could not be written");
        }
    }

    /// Lets the checks of one thing run soon, in the background, if anything is checked there.
    pub fn check_later(&self, scope: Scope) {
        if self.config.doctor.interval.is_some() {
            self.doctor.want(scope);
        }
    }

    /// Notes that Meta told us something for an app, proven by its signature.
    pub fn webhook_seen(&self, app: &AppId) {
        self.doctor.hear(app, self.clock.now());
    }

    /// Waits for the next wish of [`Setup::check_later`].
    pub async fn next_check(&self) -> Scope {
        self.doctor.next().await
    }

    /// Whether an address is that of our event handler, wherever it was once.
    pub(super) fn is_our_handler(url: &str) -> bool {
        url::Url::parse(url).is_ok_and(|url| url.path().trim_end_matches('/') == "/api/bitrix")
    }
}

fn phone_subject(phone: &Phone) -> Subject {
    Subject { kind: Kind::Phone, id: phone.key.to_string(), name: format!("+{}", phone.number) }
}
