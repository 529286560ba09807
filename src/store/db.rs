//! The way to the database: one writer that commits in groups, a few readers, both engines.
//!
//! Every write goes through one thread. What waits at the same moment is put into one transaction, so
//! that one flush to disk serves many webhooks. If one request of a group fails, the group is rolled back
//! and replayed request by request: one bad request cannot fail its neighbours.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::{Connection, PgConnection, SqliteConnection};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::jobs::Offer;
use super::later::Arrived;
use super::schema::jobs;

/// Requests that may wait for the writer before new ones are refused.
const WRITE_QUEUE: usize = 2048;
/// Requests that share one transaction at most.
const GROUP_MAX: usize = 256;
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
                conn.batch_execute("SET TIME ZONE 'UTC'")?;
                Ok(Conn::Postgres(conn))
            }
        }
    }
}

/// Makes the file before SQLite would, so that nobody else can read it: the log beside it takes its permissions.
/// What is wrong with the place is told when it is opened.
fn make_for_us_alone(path: &Path) {
    let _ = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
}

/// A transaction in the writer: the connection, the order of lanes, the jobs to announce after commit.
pub struct Tx<'a> {
    /// The connection, inside the transaction.
    pub conn: &'a mut Conn,
    seq: &'a mut i64,
    offers: &'a mut Vec<Offer>,
    pub(super) later: &'a mut Vec<Arrived>,
}

impl Tx<'_> {
    /// The next place in the order of commit.
    pub fn next_seq(&mut self) -> i64 {
        *self.seq += 1;
        *self.seq
    }

    /// Announces a job once this transaction is on disk.
    pub fn announce(&mut self, offer: Offer) {
        self.offers.push(offer);
    }
}

/// Called on the writer's thread after each commit, in the order of commits, before anybody is answered: with
/// the jobs that are now on disk, and the number of requests that shared the transaction.
pub type OnCommit = Arc<dyn Fn(Vec<Offer>, usize) + Send + Sync>;

trait WriteOp: Send {
    /// Whether it is of the intake: it knows what waits for the end of the transaction.
    fn is_intake(&self) -> bool;
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Op<T, F> {
    body: F,
    out: Option<T>,
    intake: bool,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> WriteOp for Op<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn is_intake(&self) -> bool {
        self.intake
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.out = Some((self.body)(tx)?);
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let out = self.out.ok_or_else(|| StoreError::Unavailable("the write did not run".into()));
        // Nobody listens any more if the caller has gone; the write stands all the same.
        let _ = self.reply.send(outcome.and(out));
    }
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

/// What the writer is asked.
enum Asked {
    Write(Box<dyn WriteOp>),
    Close,
}

/// The writer's thread.
pub struct WriterThread {
    thread: std::thread::JoinHandle<()>,
    ask: mpsc::Sender<Asked>,
}

impl WriterThread {
    /// Lets the writer do what waits, and end. Later writes are refused. Blocks.
    pub fn close(self) {
        let _ = self.ask.blocking_send(Asked::Close);
        let _ = self.thread.join();
    }
}

impl Db {
    /// Opens the database (whose schema must be there, see [`super::migrate`]) and starts the writer.
    pub fn start(url: DbUrl, on_commit: OnCommit) -> Result<(Self, WriterThread), StoreError> {
        let mut conn = url.open()?;
        let seq = jobs::table.select(diesel::dsl::max(jobs::lane_seq)).first::<Option<i64>>(&mut conn)?;
        let (sender, receiver) = mpsc::channel(WRITE_QUEUE);
        let writer = Writer { url: url.clone(), conn: Some(conn), seq: seq.unwrap_or(0), on_commit };
        let thread = std::thread::Builder::new()
            .name("db-writer".into())
            .spawn(move || writer.run(receiver))
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let readers = Arc::new(Readers { permits: Semaphore::new(READERS), idle: Mutex::new(Vec::new()) });
        let ask = sender.clone();
        Ok((Self { url, writer: sender, readers }, WriterThread { thread, ask }))
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
        let (reply, answer) = oneshot::channel();
        let op = Box::new(Op { body, out: None, intake: false, reply });
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
        let (reply, answer) = oneshot::channel();
        let op: Box<dyn WriteOp> = Box::new(Op { body, out: None, intake, reply });
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
        sqlite.batch_execute("PRAGMA query_only=ON")?;
    }
    Ok(conn)
}

struct Writer {
    url: DbUrl,
    conn: Option<Conn>,
    seq: i64,
    on_commit: OnCommit,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Asked>) {
        while let Some(Asked::Write(first)) = receiver.blocking_recv() {
            let (mut group, mut closing) = (vec![first], false);
            while group.len() < GROUP_MAX && !closing {
                match receiver.try_recv() {
                    Ok(Asked::Write(op)) => group.push(op),
                    Ok(Asked::Close) => closing = true,
                    Err(_) => break,
                }
            }
            self.commit_group(group);
            if closing {
                return;
            }
        }
    }

    fn commit_group(&mut self, mut group: Vec<Box<dyn WriteOp>>) {
        match self.transaction(&mut group) {
            Ok(()) => group.into_iter().for_each(|op| op.reply(Ok(()))),
            Err(error) if group.len() == 1 => group.into_iter().for_each(|op| op.reply(Err(error.clone()))),
            Err(error) if matches!(error, StoreError::Unavailable(_)) => {
                group.into_iter().for_each(|op| op.reply(Err(error.clone())));
            }
            Err(_) => {
                for op in group {
                    let mut alone = vec![op];
                    let outcome = self.transaction(&mut alone);
                    alone.into_iter().for_each(|op| op.reply(outcome.clone()));
                }
            }
        }
    }

    /// A connection inside a transaction. One that cannot begin is broken, as after a restart of the server;
    /// nothing was written by then, so a new one is tried.
    fn begin(&mut self) -> Result<Conn, StoreError> {
        if let Some(mut conn) = self.conn.take()
            && begin(&mut conn).is_ok()
        {
            return Ok(conn);
        }
        let mut conn = self.url.open()?;
        begin(&mut conn)?;
        Ok(conn)
    }

    fn transaction(&mut self, group: &mut [Box<dyn WriteOp>]) -> Result<(), StoreError> {
        let mut conn = self.begin()?;
        let seq_before = self.seq;
        let (mut offers, mut later) = (Vec::new(), Vec::new());
        let mut tx = Tx { conn: &mut conn, seq: &mut self.seq, offers: &mut offers, later: &mut later };
        let run = || {
            for op in group.iter_mut() {
                if !op.is_intake() {
                    tx.catch_up()?;
                }
                op.run(&mut tx)?;
            }
            tx.catch_up()
        };
        // Whatever it was, it is rolled back; and the only writer must live on.
        let ran = std::panic::catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(StoreError::Corrupt("a write ended in a panic".into())));
        let outcome = ran.and_then(|()| conn.batch_execute("COMMIT").map_err(StoreError::from));
        match outcome {
            Ok(()) => {
                self.conn = Some(conn);
                // What waited was announced later than its place in the lane says.
                offers.sort_by_key(|offer| offer.seq);
                (self.on_commit)(offers, group.len());
                Ok(())
            }
            Err(error) => {
                self.seq = seq_before;
                if conn.batch_execute("ROLLBACK").is_ok() {
                    self.conn = Some(conn);
                }
                Err(error)
            }
        }
    }
}

fn begin(conn: &mut Conn) -> Result<(), StoreError> {
    let statement = match &conn {
        // A deferred transaction that reads and then writes fails at once when another process writes.
        Conn::Sqlite(_) => "BEGIN IMMEDIATE",
        Conn::Postgres(_) => "BEGIN",
    };
    conn.batch_execute(statement).map_err(|e| StoreError::Unavailable(e.to_string()))
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
