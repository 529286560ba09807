//! Being the only one that serves a database: a file lock beside the embedded one, an advisory lock on
//! PostgreSQL, where further ones stand by.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use crate::store::DbUrl;
use crate::store::advisory::AdvisoryLock;

/// Between tries of a bridge that stands by.
const STANDBY_RETRY: Duration = Duration::from_secs(2);
/// Between two looks whether the lock is still ours.
const WATCH: Duration = Duration::from_secs(1);

/// Held as long as the bridge serves.
pub enum Lock {
    /// A lock on a file.
    File(#[expect(dead_code, reason = "held, never read")] File),
    /// A session of the database.
    Advisory(AdvisoryLock),
}

/// Watches that this stays the only one that serves, until `stop`; then it gives the lock back, to be held
/// until the last write. The session that holds an advisory lock
/// ends with its server; then it is taken again, unless somebody else was faster.
///
/// # Errors
/// Somebody else serves the database now.
pub async fn watch(lock: Lock, url: DbUrl, stop: CancellationToken) -> anyhow::Result<Option<Lock>> {
    let mut advisory = match lock {
        Lock::File(_) => {
            stop.cancelled().await;
            return Ok(Some(lock));
        }
        Lock::Advisory(lock) => Some(lock),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(advisory.map(Lock::Advisory)),
            () = tokio::time::sleep(WATCH) => {}
        }
        let (held, url) = (advisory.take(), url.clone());
        let look = move || match held.map(AdvisoryLock::still_held) {
            Some(Some(lock)) => Ok(Some(lock)),
            _ => AdvisoryLock::try_acquire(&url),
        };
        match tokio::task::spawn_blocking(look).await? {
            Ok(Some(lock)) => advisory = Some(lock),
            Ok(None) => bail!("another wabridge serves this database now; this one stops"),
            Err(error) => tracing::warn!(error = %error, "the database is away; so is the lock on it"),
        }
    }
}

/// Waits on PostgreSQL until the other one is gone; refuses at once on the embedded database.
pub async fn acquire(url: &DbUrl, data_dir: &Path) -> anyhow::Result<Lock> {
    match url {
        DbUrl::Sqlite(path) => {
            let name = path.with_extension("lock");
            let file = File::create(&name).with_context(|| {
                format!("the lock {} cannot be made in {}", name.display(), data_dir.display())
            })?;
            match file.try_lock() {
                Ok(()) => Ok(Lock::File(file)),
                Err(TryLockError::WouldBlock) => {
                    bail!("another wabridge serves {} already; stop it first", path.display())
                }
                Err(TryLockError::Error(error)) => Err(error).context("the database cannot be locked"),
            }
        }
        DbUrl::Postgres(_) => {
            let mut told = false;
            loop {
                let url = url.clone();
                match tokio::task::spawn_blocking(move || AdvisoryLock::try_acquire(&url)).await? {
                    Ok(Some(lock)) => return Ok(Lock::Advisory(lock)),
                    Ok(None) if !told => tracing::info!("another wabridge serves this database; standing by"),
                    Ok(None) => {}
                    Err(error) if !told => {
                        let source = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(error = %error, source, "the database is not there yet; waiting");
                    }
                    Err(_) => {}
                }
                told = true;
                tokio::time::sleep(STANDBY_RETRY).await;
            }
        }
    }
}
