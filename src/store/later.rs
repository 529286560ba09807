//! Messages that wait for the end of the transaction, those that came in and those that the portal took, so that
//! what is written of many becomes a few statements.
//!
//! Each statement is a round trip to PostgreSQL and there is one writer: a thousand messages, each with its job
//! and its chat's window, are three thousand waits one by one. What stands here is not seen by the statements of
//! the same transaction before [`Tx::catch_up`]; the writer catches up before every request that is not of the
//! intake, and before it commits.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text, Timestamp};

use super::db::{Conn, StoreError};
use super::jobs::{FreshJob, NewJob};
use super::messages::{FreshMessage, NewMessage};
use super::schema::{jobs, messages};
use super::writer::Tx;
use super::{chats, messages as ledger, ts};

/// Rows of one statement: PostgreSQL takes 65,535 values, and a message has 19.
const ROWS: usize = 1000;

/// What waits.
#[derive(Default)]
pub(super) struct Later {
    arrived: Vec<Arrived>,
    relayed: Vec<Relayed>,
}

/// A message that the portal took.
struct Relayed {
    id: String,
    portal_id: String,
    im_chat_id: Option<String>,
    body: Option<String>,
    at: DateTime<Utc>,
}

/// A message that came in, with what hangs on it.
struct Arrived {
    message: FreshMessage,
    wrote_at: DateTime<Utc>,
    chat_id: String,
    wamid: String,
    jobs: Vec<FreshJob>,
}

impl Tx<'_> {
    /// Writes a message of a contact of a known chat with its jobs and the chat's window, unless the message is
    /// known already; together with the others of this transaction.
    pub fn arrives_later(
        &mut self,
        message: &NewMessage<'_>,
        wrote_at: DateTime<Utc>,
        jobs_of: impl FnOnce(&str) -> Vec<NewJob>,
        now: DateTime<Utc>,
    ) {
        let fresh = FreshMessage::new(message, now);
        let jobs = jobs_of(&fresh.id);
        let jobs = jobs.into_iter().map(|job| FreshJob::new(job, self.next_seq(), now)).collect();
        let wamid = message.wamid.unwrap_or_default().to_owned();
        let chat_id = message.chat_id.to_owned();
        self.later.arrived.push(Arrived { message: fresh, wrote_at, chat_id, wamid, jobs });
    }

    /// The portal took a message; `body` is its readable text, if it is another than before. Written together with
    /// the others of this transaction.
    ///
    /// # Errors
    /// As [`Tx::catch_up`].
    pub fn relayed_later(
        &mut self,
        id: &str,
        portal_id: &str,
        im_chat_id: Option<&str>,
        body: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if self.later.relayed.iter().any(|other| other.id == id) {
            // One statement changes a row once.
            self.catch_up()?;
        }
        self.later.relayed.push(Relayed {
            id: id.to_owned(),
            portal_id: portal_id.to_owned(),
            im_chat_id: im_chat_id.map(str::to_owned),
            body: body.map(|body| body.replace('\0', "")),
            at: now,
        });
        Ok(())
    }

    /// Writes what waits; to be called before a statement that must see it.
    ///
    /// # Errors
    /// A refused statement: the transaction is lost.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        let Later { mut arrived, relayed } = std::mem::take(self.later);
        write_relayed(self.conn, &relayed)?;
        if arrived.is_empty() {
            return Ok(());
        }
        let fresh = write_messages(self.conn, &arrived)?;
        arrived.retain(|one| fresh.contains(&one.message.id));
        write_windows(self.conn, &arrived)?;
        let jobs = arrived.into_iter().flat_map(|one| one.jobs).collect::<Vec<_>>();
        write_jobs(self.conn, &jobs)?;
        for job in &jobs {
            self.announce(job.offer());
        }
        Ok(())
    }
}

// On SQLite a statement is no round trip, and the one of a single row is prepared already: there each of these goes
// row by row.

/// As [`ledger::relayed`] says.
fn write_relayed(conn: &mut Conn, relayed: &[Relayed]) -> Result<(), StoreError> {
    let Conn::Postgres(conn) = conn else {
        return relayed.iter().try_for_each(|one| {
            let (im_chat_id, body) = (one.im_chat_id.as_deref(), one.body.as_deref());
            ledger::relayed(conn, &one.id, &one.portal_id, im_chat_id, body, one.at)
        });
    };
    for some in relayed.chunks(ROWS) {
        let ids: Vec<&str> = some.iter().map(|one| one.id.as_str()).collect();
        let portals: Vec<&str> = some.iter().map(|one| one.portal_id.as_str()).collect();
        let chats: Vec<Option<&str>> = some.iter().map(|one| one.im_chat_id.as_deref()).collect();
        let bodies: Vec<Option<&str>> = some.iter().map(|one| one.body.as_deref()).collect();
        let times: Vec<NaiveDateTime> = some.iter().map(|one| ts(one.at)).collect();
        diesel::sql_query(
            "UPDATE messages SET portal_id = took.portal, relayed_at = took.at, \
             state = CASE WHEN messages.state = 'pending' THEN 'accepted' ELSE messages.state END, \
             im_chat_id = COALESCE(took.chat, messages.im_chat_id), body = COALESCE(took.body, messages.body) \
             FROM unnest($1, $2, $3, $4, $5) AS took (id, portal, chat, body, at) WHERE messages.id = took.id",
        )
        .bind::<Array<Text>, _>(ids)
        .bind::<Array<Text>, _>(portals)
        .bind::<Array<Nullable<Text>>, _>(chats)
        .bind::<Array<Nullable<Text>>, _>(bodies)
        .bind::<Array<Timestamp>, _>(times)
        .execute(conn)?;
    }
    Ok(())
}

/// The ids of those that were not known.
fn write_messages(conn: &mut Conn, arrived: &[Arrived]) -> Result<HashSet<String>, StoreError> {
    let mut fresh = HashSet::with_capacity(arrived.len());
    match conn {
        Conn::Sqlite(conn) => {
            for Arrived { message, .. } in arrived {
                let insert = diesel::insert_into(messages::table).values(message).on_conflict_do_nothing();
                if insert.execute(conn)? == 1 {
                    fresh.insert(message.id.clone());
                }
            }
        }
        Conn::Postgres(conn) => {
            for some in arrived.chunks(ROWS) {
                let rows: Vec<&FreshMessage> = some.iter().map(|one| &one.message).collect();
                let insert = diesel::insert_into(messages::table).values(rows).on_conflict_do_nothing();
                fresh.extend(insert.returning(messages::id).get_results::<String>(conn)?);
            }
        }
    }
    Ok(fresh)
}

fn write_jobs(conn: &mut Conn, rows: &[FreshJob]) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(conn) => {
            for row in rows {
                diesel::insert_into(jobs::table).values(row).execute(conn)?;
            }
        }
        Conn::Postgres(conn) => {
            for some in rows.chunks(ROWS) {
                diesel::insert_into(jobs::table).values(some).execute(conn)?;
            }
        }
    }
    Ok(())
}

/// As [`chats::contact_wrote`] says, for the newest message of each chat.
fn write_windows(conn: &mut Conn, arrived: &[Arrived]) -> Result<(), StoreError> {
    let mut newest: HashMap<&str, &Arrived> = HashMap::new();
    for one in arrived {
        let known = newest.entry(&one.chat_id).or_insert(one);
        if known.wrote_at <= one.wrote_at {
            *known = one;
        }
    }
    let Conn::Postgres(conn) = conn else {
        return newest
            .into_values()
            .try_for_each(|one| chats::contact_wrote(conn, &one.chat_id, &one.wamid, one.wrote_at));
    };
    let newest: Vec<&Arrived> = newest.into_values().collect();
    let ids: Vec<&str> = newest.iter().map(|one| one.chat_id.as_str()).collect();
    let wamids: Vec<&str> = newest.iter().map(|one| one.wamid.as_str()).collect();
    let times: Vec<NaiveDateTime> = newest.iter().map(|one| ts(one.wrote_at)).collect();
    let ends: Vec<NaiveDateTime> = newest.iter().map(|one| ts(chats::window_after(one.wrote_at))).collect();
    diesel::sql_query(
        "UPDATE chats SET last_inbound_at = wrote.at, last_inbound_wamid = wrote.wamid, \
         window_until = wrote.until, window_closed = FALSE \
         FROM unnest($1, $2, $3, $4) AS wrote (id, wamid, at, until) \
         WHERE chats.id = wrote.id AND (chats.last_inbound_at IS NULL OR chats.last_inbound_at <= wrote.at)",
    )
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Text>, _>(wamids)
    .bind::<Array<Timestamp>, _>(times)
    .bind::<Array<Timestamp>, _>(ends)
    .execute(conn)?;
    Ok(())
}
