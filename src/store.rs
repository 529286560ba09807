//! The database: the only place with queries.
//!
//! [`db`] holds the way in (one writer that commits in groups, a few readers); beside it stands a file per
//! aggregate with plain functions over a connection. Rows carry text ids; callers wrap them.

pub mod administrators;
pub mod advisory;
pub mod alarms;
pub mod apps;
pub mod audit;
pub mod blobs;
pub mod call_cards;
pub mod call_permissions;
pub mod calling;
pub mod calls;
pub mod chats;
pub mod contacts;
mod crud;
pub mod db;
pub mod events;
pub mod held;
pub mod invites;
pub mod jobs;
mod later;
pub mod limits;
pub mod lines;
pub mod messages;
pub mod migrate;
pub mod people;
pub mod phones;
pub mod portal_apps;
pub mod portals;
pub mod retention;
pub mod schema;
pub mod sessions;
pub mod sms;
pub mod statuses;
pub mod template_changes;
pub mod templates;
pub mod tokens;
pub mod uploads;
pub mod vault;
pub mod wabas;
mod writer;

pub use db::{Conn, Db, DbUrl, StoreError, Tx};

use chrono::{DateTime, NaiveDateTime, Utc};

/// The form in which both engines keep an instant.
pub(crate) fn ts(at: DateTime<Utc>) -> NaiveDateTime {
    at.naive_utc()
}

diesel::define_sql_function! {
    /// In lower case; SQLite knows only those of Latin letters.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// What `LIKE` finds these words by, in lower case; `\` keeps its signs from meaning more.
pub(crate) fn pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    for c in words.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// A page of a list: at most this many rows, after the row with this id.
#[derive(Clone, Debug)]
pub struct Page {
    /// At most this many rows.
    pub limit: i64,
    /// Rows after (or, newest first, before) the row with this id.
    pub cursor: Option<String>,
}
