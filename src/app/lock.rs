//! Being the only one that serves a database: a file lock beside the embedded one, an advisory lock on
//! PostgreSQL, where further ones stand by.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::store::DbUrl;
use crate::store::advisory::AdvisoryLock;

/// Between tries of a bridge that stands by.
const STANDBY_RETRY: Duration = Duration::from_secs(2);

/// Held as long as the bridge serves.
pub enum Lock {
    /// A lock on a file.
    File(#[expect(dead_code, reason = "held, never read")] File),
    /// A session of the database.
    Advisory(#[expect(dead_code, reason = "held, never read")] AdvisoryLock),
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
                        tracing::warn!(error = %error, "the database is not there yet; waiting")
                    }
                    Err(_) => {}
                }
                told = true;
                tokio::time::sleep(STANDBY_RETRY).await;
            }
        }
    }
}
