//! Alarms: a finding that turns bad is told once, and its recovery once.
//!
//! What the doctor finds is compared with the alarms that are open, and who is to be told is written in the same
//! transaction. [`Setup::tell_alarms`] tells them, again and again until they have taken it: a user of each
//! portal concerned (`alarm_user_id`), and the outgoing webhook of `[alarms]`. That the database takes nothing is told
//! without it (`unwritten`).

mod unwritten;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::doctor::{Finding, Kind, Outcome};
use super::{Setup, SetupError};
use crate::bitrix::notify::NotifySystem;
use crate::clock::new_id;
use crate::directory::{Portal, Snapshot};
use crate::domain::{Language, Verdict};
use crate::store::alarms::{self, AlarmRow, NoticeRow};
use crate::store::{Page, StoreError};

/// Warnings that people are told of; failures are told of all.
const WARNINGS: [&str; 13] = [
    "meta.templates.state",
    "meta.templates.category",
    "meta.token.expiry",
    "meta.phone.quality",
    "meta.phone.status",
    "meta.phone.security",
    "meta.waba.status",
    "meta.waba.health",
    "meta.phone.health",
    "bridge.queue.dead",
    "bridge.disk",
    "sip.certificate",
    "bridge.certificate",
];
/// Not told of by itself: it stays as it is while somebody sets the bridge up.
const QUIET: [&str; 1] = ["bridge.public.address"];
/// Told at once at most.
const BATCH: i64 = 50;
/// Tries of one notice: with the pauses below a week and a half.
const TRIES: i32 = 250;
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
const POST_PATIENCE: Duration = Duration::from_secs(15);
/// Header of the webhook's signature.
const SIGNATURE: &str = "X-Wabridge-Signature";

impl Setup {
    /// Compares findings with the open alarms, and writes what began and what ended. `all`: everything was looked
    /// at, so an alarm about what was not found is about what is gone; it ends without a word.
    pub(super) async fn settle_alarms(
        &self,
        snapshot: &Snapshot,
        found: &[Finding],
        all: bool,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let judged: Vec<Judged> = found
            .iter()
            .filter_map(|finding| {
                Some(Judged { ends: ends(finding)?, to: self.who(snapshot, finding), row: row(finding, now) })
            })
            .collect();
        let there: HashSet<(&'static str, String)> =
            found.iter().map(|finding| (finding.subject.kind.as_str(), finding.subject.id.clone())).collect();
        let changed = self
            .db
            .write(move |tx| {
                let open = alarms::open(tx.conn)?;
                let mut changed = 0;
                let gone = |known: &&AlarmRow| {
                    !there.iter().any(|(kind, id)| *kind == known.subject_kind && *id == known.subject_id)
                };
                for known in open.iter().filter(|_| all).filter(gone) {
                    alarms::close(tx.conn, &known.id, now)?;
                }
                for one in &judged {
                    let known = open.iter().find(|known| same(known, &one.row));
                    let (alarm_id, event) = match (known, one.ends) {
                        (None, false) => {
                            alarms::insert(tx.conn, &one.row)?;
                            (&one.row.id, "opened")
                        }
                        (Some(known), true) if alarms::close(tx.conn, &known.id, now)? => {
                            (&known.id, "closed")
                        }
                        _ => continue,
                    };
                    changed += 1;
                    for portal_id in &one.to {
                        alarms::add_notice(tx.conn, &notice(alarm_id, event, portal_id.clone(), now))?;
                    }
                }
                Ok(changed)
            })
            .await?;
        if changed > 0 {
            self.doctor.ring();
        }
        Ok(())
    }

    /// Alarms, newest first.
    pub async fn alarms(&self, only_open: bool, page: Page) -> Result<Vec<AlarmRow>, SetupError> {
        Ok(self.db.read(move |conn| alarms::list(conn, only_open, &page)).await?)
    }

    /// Tells whoever is to be told by now. Gives when the next is due.
    pub async fn tell_alarms(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let now = self.clock.now();
        let due = self.db.read(move |conn| alarms::due(conn, now, BATCH)).await?;
        let mut by_portal: BTreeMap<String, Vec<(NoticeRow, AlarmRow)>> = BTreeMap::new();
        for (notice, alarm) in due {
            match notice.portal_id.clone() {
                Some(portal) => by_portal.entry(portal).or_default().push((notice, alarm)),
                None => {
                    let outcome = self.post_alarm(&notice, &alarm).await;
                    self.settle_notice(&notice, outcome).await?;
                }
            }
        }
        for (portal, notices) in by_portal {
            let outcome = self.notify_portal(&portal, &notices).await;
            for (notice, _) in &notices {
                self.settle_notice(notice, outcome.clone()).await?;
            }
        }
        self.db.read(alarms::next_due).await
    }

    /// Waits until there may be something to tell.
    pub async fn alarm_rings(&self) {
        self.doctor.rung().await;
    }

    /// Who is told of a finding: the portals that it concerns, and the webhook (`None`).
    fn who(&self, snapshot: &Snapshot, finding: &Finding) -> Vec<Option<String>> {
        let portals = snapshot.portals.iter().filter(|portal| {
            portal.row.alarm_user_id.is_some() && portal.is_active() && concerns(snapshot, finding, portal)
        });
        let webhook = self.config.alarms.webhook_url.is_some().then_some(None);
        portals.map(|portal| Some(portal.id.to_string())).chain(webhook).collect()
    }

    /// One notice in the portal for all that is due there.
    async fn notify_portal(&self, portal: &str, notices: &[(NoticeRow, AlarmRow)]) -> Result<(), Refusal> {
        let snapshot = self.directory.now();
        let portal = snapshot.portal(&portal.into()).filter(|portal| portal.is_active());
        let Some((portal, user)) =
            portal.and_then(|portal| Some((portal, portal.row.alarm_user_id.as_deref()?)))
        else {
            return Err(Refusal { why: "nobody is to be told there any more".to_owned(), last: true });
        };
        let lines: Vec<String> =
            notices.iter().map(|(notice, alarm)| line(notice, alarm, portal.language)).collect();
        let message = lines.join("\n");
        let outcome = self.gateway.call(&portal.id, &NotifySystem { user, message: &message }).await;
        outcome.map_err(|error| Refusal {
            last: error.is_uninstalled() || error.verdict() == Verdict::GiveUp,
            why: error.to_string(),
        })
    }

    async fn post_alarm(&self, notice: &NoticeRow, alarm: &AlarmRow) -> Result<(), Refusal> {
        let (url, secret) = match (&self.config.alarms.webhook_url, &self.config.alarms.webhook_secret) {
            (Some(url), Some(secret)) => (url.clone(), secret),
            _ => return Err(Refusal { why: "no webhook is set any more".to_owned(), last: true }),
        };
        let body = json!({
            "id": notice.id,
            "event": if notice.event == "opened" { "alarm.opened" } else { "alarm.closed" },
            "alarm": {
                "id": alarm.id,
                "check": alarm.check_id,
                "subject": {"kind": alarm.subject_kind, "id": alarm.subject_id, "name": alarm.subject_name},
                "result": alarm.result,
                "reason": alarm.reason_en,
                "advice": alarm.advice_en,
                "opened_at": alarm.opened_at.and_utc(),
                "closed_at": alarm.closed_at.map(|at| at.and_utc()),
            },
        })
        .to_string();
        let request = self
            .probe
            .post(url)
            .header("content-type", "application/json")
            .header(SIGNATURE, signature(secret.expose().as_bytes(), body.as_bytes()))
            .timeout(POST_PATIENCE)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(Refusal { why: format!("HTTP {}", answer.status().as_u16()), last: false }),
            Err(error) => Err(Refusal { why: error.without_url().to_string(), last: false }),
        }
    }

    async fn settle_notice(
        &self,
        notice: &NoticeRow,
        outcome: Result<(), Refusal>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (state, error) = match outcome {
            Ok(()) => ("told", None),
            Err(refusal) if refusal.last || notice.attempts + 1 >= TRIES => ("given_up", Some(refusal.why)),
            Err(refusal) => ("waiting", Some(refusal.why)),
        };
        if let Some(why) = &error {
            tracing::warn!(alarm.id = notice.alarm_id, state, why, "somebody could not be told of an alarm");
        }
        let (id, next) = (notice.id.clone(), now + pause(notice.attempts));
        self.db.write(move |tx| alarms::settle(tx.conn, &id, state, next, error.as_deref())).await
    }
}

struct Judged {
    row: AlarmRow,
    ends: bool,
    to: Vec<Option<String>>,
}

/// Why somebody could not be told.
#[derive(Clone)]
struct Refusal {
    why: String,
    /// There is no use in trying again.
    last: bool,
}

/// Whether a finding ends its alarm (`true`) or begins one (`false`); `None` = it says nothing of it.
fn ends(finding: &Finding) -> Option<bool> {
    if QUIET.contains(&finding.id) {
        return None;
    }
    match finding.outcome {
        Outcome::Pass => Some(true),
        Outcome::Fail => Some(false),
        Outcome::Warn if WARNINGS.contains(&finding.id) => Some(false),
        _ => None,
    }
}

/// Portals are told of what is theirs, and of what they share.
fn concerns(snapshot: &Snapshot, finding: &Finding, portal: &Portal) -> bool {
    let subject = finding.subject.id.as_str();
    let mut phones =
        snapshot.bindings.iter().filter(|binding| binding.portal == portal.id).map(|binding| &binding.phone);
    match finding.subject.kind {
        Kind::Bridge => true,
        Kind::Portal => portal.id.as_str() == subject,
        Kind::Phone | Kind::Line => phones.any(|phone| phone.as_str() == subject),
        Kind::Waba | Kind::App => phones.any(|phone| {
            snapshot.channel(phone).is_some_and(|channel| {
                channel.waba.key.as_str() == subject || channel.app.id.as_str() == subject
            })
        }),
    }
}

fn row(finding: &Finding, now: DateTime<Utc>) -> AlarmRow {
    AlarmRow {
        id: new_id(),
        check_id: finding.id.to_owned(),
        subject_kind: finding.subject.kind.as_str().to_owned(),
        subject_id: finding.subject.id.clone(),
        subject_name: finding.subject.name.clone(),
        result: if finding.outcome == Outcome::Fail { "fail" } else { "warn" }.to_owned(),
        reason_en: finding.reason.en.clone(),
        reason_ru: finding.reason.ru.clone(),
        advice_en: finding.advice.as_ref().map(|advice| advice.en.clone()),
        advice_ru: finding.advice.as_ref().map(|advice| advice.ru.clone()),
        opened_at: now.naive_utc(),
        closed_at: None,
    }
}

fn same(one: &AlarmRow, other: &AlarmRow) -> bool {
    one.check_id == other.check_id
        && one.subject_kind == other.subject_kind
        && one.subject_id == other.subject_id
}

fn notice(alarm_id: &str, event: &str, portal_id: Option<String>, now: DateTime<Utc>) -> NoticeRow {
    NoticeRow {
        id: new_id(),
        alarm_id: alarm_id.to_owned(),
        event: event.to_owned(),
        portal_id,
        state: "waiting".to_owned(),
        attempts: 0,
        not_before: now.naive_utc(),
        last_error: None,
        created_at: now.naive_utc(),
    }
}

/// An alarm as a line of a notice, in BBCode.
fn line(notice: &NoticeRow, alarm: &AlarmRow, language: Language) -> String {
    let (reason, advice) = match language {
        Language::En => (&alarm.reason_en, &alarm.advice_en),
        Language::Ru => (&alarm.reason_ru, &alarm.advice_ru),
    };
    let plain = |text: &str| text.replace('[', "(").replace(']', ")");
    let name = plain(&alarm.subject_name);
    if notice.event == "closed" {
        return match language {
            Language::En => format!("WhatsApp, {name}: well again. It was: {}", plain(reason)),
            Language::Ru => format!("WhatsApp, {name}: снова в порядке. Было: {}", plain(reason)),
        };
    }
    let advice = advice.as_deref().map(|advice| format!(" {}", plain(advice))).unwrap_or_default();
    format!("[b]WhatsApp, {name}:[/b] {}{advice}", plain(reason))
}

/// 1 s, 2 s, 4 s … up to an hour.
fn pause(attempts: i32) -> TimeDelta {
    let doubled = 2_i32.checked_pow(u32::try_from(attempts).unwrap_or_default()).unwrap_or(i32::MAX);
    FIRST_PAUSE.checked_mul(doubled).map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

fn signature(secret: &[u8], body: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mut mac) => {
            mac.update(body);
            format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
        }
        // HMAC takes a key of any length.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::doctor::{Subject, Words};
    use super::*;

    fn finding(id: &'static str, outcome: Outcome) -> Finding {
        let subject = Subject { kind: Kind::Phone, id: "1".into(), name: "[b]x".into() };
        let reason = Words { en: "Low.".into(), ru: "Низкое.".into() };
        Finding { id, subject, outcome, reason: reason.clone(), advice: Some(reason), repair: None }
    }

    #[test]
    fn people_are_told_of_failures_and_of_some_warnings() {
        for (id, outcome, expected) in [
            ("meta.app.fields", Outcome::Fail, Some(false)),
            ("meta.app.fields", Outcome::Warn, None),
            ("meta.phone.quality", Outcome::Warn, Some(false)),
            ("meta.phone.quality", Outcome::Unknown, None),
            ("meta.phone.quality", Outcome::Skipped, None),
            ("meta.phone.quality", Outcome::Pass, Some(true)),
            ("bridge.public.address", Outcome::Fail, None),
        ] {
            assert_eq!(ends(&finding(id, outcome)), expected, "{id} {outcome}");
        }
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        assert_eq!([0, 1, 2, 11, 12, 200].map(|n| pause(n).num_seconds()), [1, 2, 4, 2048, 3600, 3600]);
    }

    #[test]
    fn a_line_bears_no_foreign_markup() {
        let now = DateTime::from_timestamp(0, 0).unwrap();
        let alarm = row(&finding("a", Outcome::Fail), now);
        let opened = line(&notice("1", "opened", None, now), &alarm, Language::Ru);
        assert_eq!(opened, "[b]WhatsApp, (b)x:[/b] Низкое. Низкое.");
        let closed = line(&notice("1", "closed", None, now), &alarm, Language::En);
        assert_eq!(closed, "WhatsApp, (b)x: well again. It was: Low.");
    }
}
