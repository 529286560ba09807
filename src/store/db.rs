//! The way to the database: one writer that commits in groups (see [`super::writer`]), a few readers, both engines.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::{PgConnection, SqliteConnection};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};

use super::writer::{self, Asked};
pub use super::writer::{OnCommit, Tx, WriterThread};

/// Connections that read beside the writer.
const READERS: usize = 4;

/// A connection to either engine.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// Embedded SQLite.
    Sqlite(SqliteConnection),
    /// PostgreSQL.
    Postgres(PgConnection),
}

/// Runs one body for each engine, for the statements that the common connection lacks.
macro_rules! on_backend {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::store::db::Conn::Sqlite($c) => $body,
            $crate::store::db::Conn::Postgres($c) => $body,
        }
    };
}
pub(crate) use on_backend;

/// What can go wrong on the way to the disk.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The statement failed.
    #[error("the database refused a statement")]
    Query(#[source] Arc<diesel::result::Error>),
    /// The database cannot be reached or opened.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Too many writes wait already.
    #[error("the database has more writes waiting than it can take")]
    Busy,
    /// A stored value cannot be read.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// A stored secret cannot be opened.
    #[error("a stored secret cannot be opened: {0}")]
    Sealed(String),
}

impl StoreError {
    /// Whether a row with the same unique key is there already.
    pub fn is_taken(&self) -> bool {
        self.database_kind().is_some_and(|kind| matches!(kind, DatabaseErrorKind::UniqueViolation))
    }

    /// Whether other rows hang on the one that was to go.
    pub fn is_in_use(&self) -> bool {
        self.database_kind().is_some_and(|kind| matches!(kind, DatabaseErrorKind::ForeignKeyViolation))
    }

    fn database_kind(&self) -> Option<&DatabaseErrorKind> {
        match self {
            Self::Query(source) => match source.as_ref() {
                diesel::result::Error::DatabaseError(kind, _) => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What the engines say when it is not the statement's fault, for want of a code in what diesel tells: no
/// space, no disk, no server, a writer elsewhere.
const OUTAGES: [&str; 11] = [
    "disk is full",
    "disk I/O error",
    "unable to open database file",
    "database is locked",
    "readonly database",
    "No space left on device",
    "could not extend file",
    "terminating connection",
    "server closed the connection",
    "no connection to the server",
    "the database system is",
];

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        let outage = match &error {
            Error::DatabaseError(Kind::Unknown, told) => {
                OUTAGES.iter().any(|words| told.message().contains(words))
            }
            Error::DatabaseError(kind, _) => matches!(
                kind,
                Kind::ClosedConnection
                    | Kind::UnableToSendCommand
                    | Kind::ReadOnlyTransaction
                    | Kind::SerializationFailure
            ),
            _ => false,
        };
        if outage { Self::Unavailable(error.to_string()) } else { Self::Query(Arc::new(error)) }
    }
}

impl StoreError {
    /// Whether the same may well succeed later: the database is away, full or busy.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy)
    }
}

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DbUrl {
    /// A file of the embedded engine.
    Sqlite(PathBuf),
    /// A PostgreSQL URL.
    Postgres(String),
}

impl DbUrl {
    /// Reads `sqlite:PATH` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        match url.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))),
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Postgres(url.to_owned()))
            }
            None => Err(StoreError::Unavailable(
                "database.url begins with neither sqlite: nor postgres://".into(),
            )),
        }
    }

    /// Opens a connection that may write.
    pub fn open(&self) -> Result<Conn, StoreError> {
        let failed = |e: diesel::ConnectionError| StoreError::Unavailable(e.to_string());
        match self {
            Self::Sqlite(path) => {
                make_for_us_alone(path);
                let mut conn = SqliteConnection::establish(&path.to_string_lossy()).map_err(failed)?;
                // FULL: "accepted" means on disk, also after a power cut.
                conn.batch_execute(
                    "PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
                     PRAGMA foreign_keys=ON; PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;",
                )?;
                Ok(Conn::Sqlite(conn))
            }
            Self::Postgres(url) => {
                let mut conn = PgConnection::establish(url).map_err(failed)?;
                // A transaction whose client has vanished would hold its locks for as long as the network hides it.
                conn.batch_execute("SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '60s'")?;
                Ok(Conn::Postgres(conn))
            }
        }
    }
}

/// Makes the file before SQLite would, so that nobody else can read it: the log beside it takes its permissions.
/// What is wrong with the place is told when it is opened.
///
/// A file that is there must not be opened: with the end of any handle the process loses all its locks on it
/// (POSIX), and the next program that looks into the database would take itself for the last one, and away the log.
fn make_for_us_alone(path: &Path) {
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

/// The database.
#[derive(Clone)]
pub struct Db {
    url: DbUrl,
    writer: mpsc::Sender<Asked>,
    readers: Arc<Readers>,
}

struct Readers {
    permits: Semaphore,
    idle: Mutex<Vec<Conn>>,
}

impl Db {
    /// Opens the database (whose schema must be there, see [`super::migrate`]) and starts the writer.
    pub fn start(url: DbUrl, on_commit: OnCommit) -> Result<(Self, WriterThread), StoreError> {
        let (writer, thread) = writer::start(url.clone(), on_commit)?;
        let readers = Arc::new(Readers { permits: Semaphore::new(READERS), idle: Mutex::new(Vec::new()) });
        Ok((Self { url, writer, readers }, thread))
    }

    /// Where the database is.
    pub fn url(&self) -> &DbUrl {
        &self.url
    }

    /// Runs `body` in a transaction on the writer and returns once it is on disk. `body` may run twice
    /// (see the module), so it takes its input by reference.
    pub async fn write<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (op, answer) = writer::op(body, false);
        self.writer.send(Asked::Write(op)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// As [`Db::write`], but a full queue is refused at once with [`StoreError::Busy`].
    pub async fn write_or_busy<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.ask_or_busy(body, false).await
    }

    /// As [`Db::write_or_busy`], for a `body` that calls [`Tx::catch_up`] before each statement that must see what
    /// came in before in the same transaction (see [`super::later`]).
    pub async fn take_in<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.ask_or_busy(body, true).await
    }

    async fn ask_or_busy<T, F>(&self, body: F, intake: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (op, answer) = writer::op(body, intake);
        self.writer.try_send(Asked::Write(op)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.map_err(|_| gone())?
    }

    /// Runs `body` on a reading connection.
    pub async fn read<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let _permit = self.readers.permits.acquire().await.map_err(|_| gone())?;
        let (url, readers) = (self.url.clone(), self.readers.clone());
        let run = move || {
            let idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut conn = match idle {
                Some(conn) => conn,
                None => open_reader(&url)?,
            };
            let outcome = body(&mut conn);
            let mut idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
            match &outcome {
                // Most likely the server was restarted: what lies idle is as broken as this one.
                Err(StoreError::Unavailable(_)) => idle.clear(),
                _ => idle.push(conn),
            }
            drop(idle);
            outcome
        };
        tokio::task::spawn_blocking(run).await.map_err(|_| gone())?
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the database is closed".into())
}

fn open_reader(url: &DbUrl) -> Result<Conn, StoreError> {
    let mut conn = url.open()?;
    if let Conn::Sqlite(sqlite) = &mut conn {
        // Half a megabyte of pages each, not two: the system's own cache holds the file too.
        sqlite.batch_execute("PRAGMA query_only=ON; PRAGMA cache_size=-512;")?;
    }
    Ok(conn)
}

/// Copies an embedded database into `target` while others use it.
pub fn backup_sqlite(source: &Path, target: &Path) -> Result<(), StoreError> {
    let mut conn = SqliteConnection::establish(&source.to_string_lossy())
        .map_err(|e| StoreError::Unavailable(e.to_string()))?;
    conn.batch_execute(&format!("PRAGMA busy_timeout={}", Duration::from_secs(10).as_millis()))?;
    diesel::sql_query("VACUUM INTO ?")
        .bind::<diesel::sql_types::Text, _>(target.to_string_lossy().into_owned())
        .execute(&mut conn)?;
    Ok(())
}
