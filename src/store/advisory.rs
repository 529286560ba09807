//! The lock by which one bridge among several on the same PostgreSQL is the one that serves.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::db::{Conn, DbUrl, StoreError};

/// `wabridge` as a number; any constant does.
const KEY: i64 = 0x7761_6272_6964;
/// The lock of a process that was killed ends with its session, but what it had sent to be committed may still
/// be on its way in another one. It is waited for: jobs must not appear after ours were read, at places that
/// we have given away.
const AWAIT_COMMITS: &str = "DO $$ BEGIN IF to_regclass('jobs') IS NOT NULL THEN \
                             LOCK TABLE jobs IN SHARE MODE; END IF; END $$";

/// Held as long as its session lives.
pub struct AdvisoryLock(PgConnection);

impl AdvisoryLock {
    /// The lock again, if its session still lives.
    pub fn still_held(mut self) -> Option<Self> {
        diesel::sql_query("SELECT 1").execute(&mut self.0).is_ok().then_some(self)
    }

    /// `None`: somebody else holds it.
    pub fn try_acquire(url: &DbUrl) -> Result<Option<Self>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Bool)]
            got: bool,
        }
        let Conn::Postgres(mut conn) = url.open()? else { return Ok(None) };
        let row: Row = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS got")
            .bind::<BigInt, _>(KEY)
            .get_result(&mut conn)?;
        if !row.got {
            return Ok(None);
        }
        conn.batch_execute(AWAIT_COMMITS)?;
        Ok(Some(Self(conn)))
    }
}
