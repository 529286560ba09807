//! `wabridge export` and `wabridge import`: the configuration as a file, beside a running bridge.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::{build_relay, build_setup, commands};
use crate::cli::{ImportOptions, ImportSource};
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::domain::Actor;
use crate::queue::Scheduler;
use crate::setup::transfer::{Configuration, Imported};
use crate::setup::{Setup, SetupError};
use crate::store::Db;
use crate::telemetry::Metrics;

/// A file of more is none of ours.
const LARGEST: u64 = 16 * 1024 * 1024;

/// `wabridge export`
pub async fn export(config: Config) -> anyhow::Result<()> {
    let (db, writer) = commands::open(&config).await?;
    let outcome = match setup(config, db).await {
        Ok(setup) => setup.export_configuration().await.map_err(told),
        Err(error) => Err(error),
    };
    tokio::task::spawn_blocking(move || writer.close()).await?;
    commands::print(&outcome?.to_json())
}

/// `wabridge import …`
pub async fn import(config: Config, options: ImportOptions) -> anyhow::Result<()> {
    let new = match (&options.from, &options.file) {
        (Some(ImportSource::Separator(archive)), _) => {
            Configuration::from_separator(&text(&archive.file)?).map_err(told)?
        }
        (None, Some(file)) => Configuration::from_json(&text(file)?).map_err(told)?,
        (None, None) => bail!("which file?"),
    };
    let (db, writer) = commands::open(&config).await?;
    let outcome = match setup(config, db).await {
        Ok(setup) => setup.import_configuration(new).await.map_err(told),
        Err(error) => Err(error),
    };
    tokio::task::spawn_blocking(move || writer.close()).await?;
    commands::print(&report(&outcome?))
}

async fn setup(config: Config, db: Db) -> anyhow::Result<Setup> {
    let vault = super::open_vault(&config.secrets, &db).await?;
    let directory = Directory::open(db.clone(), vault).await?;
    let (scheduler, metrics) = (Scheduler::new(), Arc::new(Metrics::new()));
    let relay = build_relay(&config, &db, &directory, &Clock::System, &scheduler, &metrics)?;
    Ok(build_setup(&Arc::new(config), &relay)?.on_behalf(Actor::Command))
}

fn text(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read =
        |source: &mut dyn std::io::Read, text: &mut String| source.take(LARGEST + 1).read_to_string(text);
    if file == Path::new("-") {
        read(&mut std::io::stdin().lock(), &mut text).context("standard input cannot be read")?;
    } else {
        let mut opened =
            std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
        read(&mut opened, &mut text).with_context(|| format!("{} cannot be read", file.display()))?;
    }
    if text.len() as u64 > LARGEST {
        bail!("{} is larger than 16 MB", file.display());
    }
    Ok(text)
}

/// Every fault with its place, as faults of the settings are told.
fn told(error: SetupError) -> anyhow::Error {
    let SetupError::Invalid(faults) = &error else { return error.into() };
    let mut text = match faults.len() {
        1 => "nothing was stored, the file has a fault:".to_owned(),
        count => format!("nothing was stored, the file has {count} faults:"),
    };
    for fault in faults {
        let _ = write!(text, "\n  {} {}", fault.field, fault.message);
    }
    anyhow::anyhow!(text)
}

fn report(told: &Imported) -> String {
    let mut text = String::new();
    for (mark, list) in [("made ", &told.made), ("kept ", &told.kept), ("to do", &told.to_do)] {
        for line in list {
            let _ = writeln!(text, "{mark}  {line}");
        }
    }
    let (made, kept, left) = (told.made.len(), told.kept.len(), told.to_do.len());
    let _ = writeln!(text, "{made} made, {kept} kept as they are here, {left} to do");
    text
}
