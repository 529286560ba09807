//! The doctor's rounds beside the bridge, and `wabridge doctor`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{build_relay, build_setup, commands, open_vault};
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::domain::Language;
use crate::queue::Scheduler;
use crate::setup::Setup;
use crate::setup::doctor::{Finding, Look, Outcome};
use crate::store::Db;
use crate::telemetry::Metrics;

/// After the start: what begins together comes to rest first.
const FIRST: Duration = Duration::from_secs(30);
/// Between two looks for alarms to tell, also of those that another process wrote.
const LOOK: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Checks everything again and again, and each changed object soon after its change, until `stop`.
pub async fn run(setup: Arc<Setup>, interval: Duration, stop: CancellationToken) {
    let mut due = Instant::now() + FIRST;
    loop {
        let look = tokio::select! {
            () = stop.cancelled() => return,
            scope = setup.next_check() => Look::at(scope),
            () = tokio::time::sleep_until(due) => {
                due = Instant::now() + interval;
                Look::cheap()
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            found = setup.examine(&look) => {
                let failed = found.iter().filter(|finding| finding.outcome == Outcome::Fail).count();
                tracing::debug!(checks = found.len(), failed, "the doctor has looked");
            }
        }
    }
}

/// Tells people of alarms until `stop`.
pub async fn tell(setup: Arc<Setup>, stop: CancellationToken) {
    loop {
        let told = tokio::select! {
            () = stop.cancelled() => return,
            told = setup.tell_alarms() => told,
        };
        let next = told.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "alarms could not be read");
            None
        });
        let wait = next.map(|next| (next - setup.clock.now()).to_std().unwrap_or_default());
        tokio::select! {
            () = stop.cancelled() => return,
            () = setup.alarm_rings() => {}
            () = tokio::time::sleep(wait.unwrap_or(LOOK).clamp(PAUSE, LOOK)) => {}
        }
    }
}

/// `wabridge doctor`: looks once, beside a running bridge; an error if anything fails.
pub async fn command(config: Config, json: bool) -> anyhow::Result<()> {
    let (db, writer) = commands::open(&config).await?;
    let outcome = examine(config, db).await;
    tokio::task::spawn_blocking(move || writer.close()).await?;
    let found = outcome?;
    let told = if json { crate::http::report_json(&found, Clock::System.now()) } else { report(&found) };
    commands::print(&told)?;
    match found.iter().filter(|finding| finding.outcome == Outcome::Fail).count() {
        0 => Ok(()),
        1 => bail!("1 check failed"),
        failed => bail!("{failed} checks failed"),
    }
}

async fn examine(config: Config, db: Db) -> anyhow::Result<Vec<Finding>> {
    let vault = open_vault(&config.secrets, &db).await?;
    let directory = Directory::open(db.clone(), vault).await?;
    let (scheduler, metrics) = (Scheduler::new(), Arc::new(Metrics::new()));
    let relay = build_relay(&config, &db, &directory, &Clock::System, &scheduler, &metrics)?;
    let setup = build_setup(&Arc::new(config), &relay)?;
    let found = setup.examine(&Look { beside: true, ..Look::full() }).await;
    relay.gateway.close().await;
    Ok(found)
}

/// The findings for a terminal.
fn report(found: &[Finding]) -> String {
    let mut text = String::new();
    let mut subject = None;
    for finding in found {
        if subject != Some(&finding.subject) {
            subject = Some(&finding.subject);
            let (kind, name) = (finding.subject.kind.as_str(), &finding.subject.name);
            let _ = writeln!(text, "\n{kind} {name}");
        }
        let reason = finding.reason.get(Language::En);
        let _ = writeln!(text, "  {:<8} {:<24} {reason}", mark(finding.outcome), finding.id);
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "           → {}", advice.get(Language::En));
        }
        if let Some(repair) = finding.repair {
            let pin = if repair.wants_pin() { r#", "pin": "…""# } else { "" };
            let (repair, id) = (repair.as_str(), &finding.subject.id);
            let _ = writeln!(
                text,
                "           → the bridge repairs it: on the panel's page Doctor, or by POST /api/v1/doctor/repair \
                 {{\"repair\": \"{repair}\", \"subject_id\": \"{id}\"{pin}}}"
            );
        }
    }
    let count = |outcome| found.iter().filter(|finding| finding.outcome == outcome).count();
    let _ = writeln!(
        text,
        "\n{} passed, {} failed, {} warnings, {} unknown, {} skipped",
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::Warn),
        count(Outcome::Unknown),
        count(Outcome::Skipped)
    );
    text.trim_start().to_owned()
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fail => "FAIL",
        Outcome::Warn => "WARN",
        other => other.as_str(),
    }
}
