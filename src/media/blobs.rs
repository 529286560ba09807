//! Files on disk: streamed in, named by our id, durable before they are known.
//!
//! `<root>/incoming/` holds what is still being written, `<root>/<last two characters of the id>/<id>`
//! what is complete. A file is complete when `write` has answered: its bytes, its name and its folder
//! are synced.

use std::error::Error;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tempfile::TempPath;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::fetch::FetchError;
use crate::clock::new_id;
use crate::domain::{BlobId, Verdict};

/// How many first bytes are handed back for typing by content.
pub const HEAD_BYTES: usize = 8 * 1024;

const INCOMING: &str = "incoming";

/// The folder of media files.
#[derive(Clone, Debug)]
pub struct BlobStore {
    root: PathBuf,
}

/// What one write may take.
#[derive(Clone, Copy, Debug)]
pub struct WriteLimits {
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// The longest time from the first to the last byte.
    pub deadline: Duration,
}

/// A complete file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredBlob {
    /// Its new id.
    pub id: BlobId,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256_hex: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its first bytes, at most [`HEAD_BYTES`].
    pub head: Vec<u8>,
}

/// Why a file was not stored. Nothing of it remains on disk.
#[derive(Debug, Error)]
pub enum BlobError {
    /// Larger than the limit.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Slower than the limit.
    #[error("the file did not arrive within {} seconds", .deadline.as_secs())]
    TooSlow {
        /// The limit.
        deadline: Duration,
    },
    /// No room, or a quota.
    #[error("the disk is full")]
    DiskFull(#[source] io::Error),
    /// Another fault of the disk.
    #[error("the file could not be written")]
    Disk(#[source] io::Error),
    /// The side that sends the file broke off.
    #[error("the file did not arrive whole")]
    Source(#[source] Box<dyn Error + Send + Sync>),
    /// An id that is none of ours.
    #[error("not the id of a stored file")]
    Id,
}

impl BlobError {
    /// Whether the file is larger than what is taken, by our limit or by the fetcher's.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::TooLarge { .. } => true,
            Self::Source(error) => matches!(error.downcast_ref(), Some(FetchError::TooLarge { .. })),
            _ => false,
        }
    }

    /// Only a file that is too large stays so; all else may pass. A broken fetch knows its own verdict.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::TooLarge { .. } | Self::Id => Verdict::GiveUp,
            Self::TooSlow { .. } | Self::DiskFull(_) | Self::Disk(_) => Verdict::Retry,
            Self::Source(error) => error.downcast_ref().map_or(Verdict::Retry, FetchError::verdict),
        }
    }
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(error),
            _ => Self::Disk(error),
        }
    }
}

impl BlobStore {
    /// Where the files lie.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens (or makes) the folder and removes what a crash left half-written. Only for the one process
    /// that writes; others [`attach`](Self::attach).
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let store = Self::attach(root)?;
        for entry in fs::read_dir(store.incoming())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(store)
    }

    /// Opens (or makes) the folder beside a process that may be writing into it.
    pub fn attach(root: impl Into<PathBuf>) -> io::Result<Self> {
        let store = Self { root: root.into() };
        // For us alone: files of people lie in it.
        DirBuilder::new().recursive(true).mode(0o700).create(store.incoming())?;
        Ok(store)
    }

    /// Streams a file to disk. Dropping the future leaves nothing behind.
    pub async fn write<S, B, E>(&self, stream: S, limits: WriteLimits) -> Result<StoredBlob, BlobError>
    where
        S: Stream<Item = Result<B, E>>,
        B: AsRef<[u8]>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let receive = self.receive(stream, limits.max_bytes);
        match tokio::time::timeout(limits.deadline, receive).await {
            Ok(result) => result,
            Err(_) => Err(BlobError::TooSlow { deadline: limits.deadline }),
        }
    }

    /// Writes bytes that are already in memory.
    pub async fn write_bytes(&self, bytes: Vec<u8>) -> Result<StoredBlob, BlobError> {
        let store = self.clone();
        blocking(move || {
            let (mut file, temp) = store.start()?;
            file.write_all(&bytes)?;
            let id = store.finish(&file, temp)?;
            Ok(StoredBlob {
                id,
                sha256_hex: hex::encode(Sha256::digest(&bytes)),
                size: bytes.len() as u64,
                head: bytes.get(..HEAD_BYTES).unwrap_or(&bytes).to_vec(),
            })
        })
        .await
    }

    /// Where a file lies; refused for anything but an id that we made, so that no path can escape.
    pub fn path(&self, id: &BlobId) -> Result<PathBuf, BlobError> {
        let text = id.as_str();
        let ours = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match text.get(30..) {
            Some(shard) if ours => Ok(self.root.join(shard).join(text)),
            _ => Err(BlobError::Id),
        }
    }

    /// Opens a file for reading.
    pub async fn open_file(&self, id: &BlobId) -> Result<tokio::fs::File, BlobError> {
        Ok(tokio::fs::File::open(self.path(id)?).await?)
    }

    /// Reads a whole file.
    pub async fn read(&self, id: &BlobId) -> Result<Vec<u8>, BlobError> {
        Ok(tokio::fs::read(self.path(id)?).await?)
    }

    /// Removes a file; `false` if it was gone already.
    pub async fn remove(&self, id: &BlobId) -> Result<bool, BlobError> {
        match tokio::fs::remove_file(self.path(id)?).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Every complete file made before an instant (an id carries its time), with its size in bytes.
    pub async fn list(&self, made_before: DateTime<Utc>) -> Result<Vec<(BlobId, u64)>, BlobError> {
        let store = self.clone();
        blocking(move || store.walk(made_before)).await
    }

    /// Removes complete files that nobody knows and tells how many. `made_before` spares the files whose
    /// row is about to be written.
    pub async fn sweep_orphans(
        &self,
        made_before: DateTime<Utc>,
        known: impl Fn(&BlobId) -> bool,
    ) -> Result<u64, BlobError> {
        let mut removed = 0;
        for (id, _) in self.list(made_before).await? {
            if !known(&id) && self.remove(&id).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The sum of all complete files in bytes.
    pub async fn total_size(&self) -> Result<u64, BlobError> {
        Ok(self.list(DateTime::<Utc>::MAX_UTC).await?.iter().map(|(_, size)| size).sum())
    }

    async fn receive<S, B, E>(&self, stream: S, max_bytes: u64) -> Result<StoredBlob, BlobError>
    where
        S: Stream<Item = Result<B, E>>,
        B: AsRef<[u8]>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let store = self.clone();
        let (file, temp) = blocking(move || store.start()).await?;
        let mut file = tokio::fs::File::from_std(file);
        let (mut hash, mut size, mut head) = (Sha256::new(), 0_u64, Vec::new());
        let mut stream = pin!(stream);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| BlobError::Source(error.into()))?;
            let bytes = chunk.as_ref();
            size += bytes.len() as u64;
            if size > max_bytes {
                return Err(BlobError::TooLarge { limit: max_bytes });
            }
            let wanted = HEAD_BYTES - head.len();
            head.extend_from_slice(bytes.get(..wanted).unwrap_or(bytes));
            hash.update(bytes);
            file.write_all(bytes).await?;
        }
        // The last write may still be on its way to the disk, and only a flush tells how it ended.
        file.flush().await?;
        let file = file.into_std().await;
        let store = self.clone();
        let id = blocking(move || store.finish(&file, temp)).await?;
        Ok(StoredBlob { id, sha256_hex: hex::encode(hash.finalize()), size, head })
    }

    fn start(&self) -> Result<(fs::File, TempPath), BlobError> {
        Ok(tempfile::NamedTempFile::new_in(self.incoming())?.into_parts())
    }

    fn finish(&self, file: &fs::File, temp: TempPath) -> Result<BlobId, BlobError> {
        let id = BlobId::new(new_id());
        let target = self.path(&id)?;
        file.sync_all()?;
        if let Some(shard) = target.parent() {
            fs::create_dir_all(shard)?;
            temp.persist(&target).map_err(|error| error.error)?;
            sync_dir(shard)?;
            // The folder may be new, made by us or by a write beside us: nearly free if it is not.
            sync_dir(&self.root)?;
        }
        Ok(id)
    }

    fn walk(&self, made_before: DateTime<Utc>) -> Result<Vec<(BlobId, u64)>, BlobError> {
        let mut found = Vec::new();
        for shard in fs::read_dir(&self.root)? {
            let shard = shard?;
            if !shard.file_type()?.is_dir() || shard.file_name() == INCOMING {
                continue;
            }
            for entry in fs::read_dir(shard.path())? {
                let entry = entry?;
                let id = BlobId::new(entry.file_name().to_string_lossy());
                if self.path(&id).is_ok_and(|path| path == entry.path())
                    && made_at(&id).is_none_or(|made| made < made_before)
                {
                    match entry.metadata() {
                        Ok(metadata) => found.push((id, metadata.len())),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(found)
    }

    fn incoming(&self) -> PathBuf {
        self.root.join(INCOMING)
    }
}

fn made_at(id: &BlobId) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = Uuid::parse_str(id.as_str()).ok()?.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BlobError::Disk(io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests;
