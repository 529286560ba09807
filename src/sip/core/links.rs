//! The connections: their framers, and which of them may be closed for being silent or slow.

use std::collections::HashMap;

use super::framing::Framer;
use super::io::{ConnId, Link, Moment};
use super::request::Source;
use super::timers::TimerId;

/// A connection.
#[derive(Debug)]
pub struct LinkState {
    /// What is known of it.
    pub link: Link,
    /// Cuts its bytes.
    pub framer: Framer,
    /// When it last brought or took a message.
    pub active: Moment,
    /// Looks at it when it may have been silent for too long.
    pub idle: Option<TimerId>,
    /// Runs while a message is under way.
    pub slow: Option<TimerId>,
    /// Whether it brought a call that was proven, wherever it comes from.
    pub is_proven: bool,
}

/// All connections.
#[derive(Default, Debug)]
pub struct Links {
    list: HashMap<ConnId, LinkState>,
}

impl Links {
    /// A new one.
    pub fn open(&mut self, link: Link, now: Moment, idle: TimerId) {
        let conn = link.conn;
        let state = LinkState {
            link,
            framer: Framer::default(),
            active: now,
            idle: Some(idle),
            slow: None,
            is_proven: false,
        };
        self.list.insert(conn, state);
    }

    /// One is gone.
    pub fn close(&mut self, conn: ConnId) -> Option<LinkState> {
        self.list.remove(&conn)
    }

    /// Whether it can be sent over.
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.list.contains_key(&conn)
    }

    /// One of them.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut LinkState> {
        self.list.get_mut(&conn)
    }

    /// What is known of one.
    pub fn get(&self, conn: ConnId) -> Option<&Link> {
        self.list.get(&conn).map(|state| &state.link)
    }

    /// Whether it brought a call that was proven.
    pub fn is_proven(&self, conn: ConnId) -> bool {
        self.list.get(&conn).is_some_and(|state| state.is_proven)
    }

    /// Where what comes over it comes from.
    pub fn source(&self, conn: ConnId) -> Option<Source> {
        let link = self.get(conn)?;
        Some(Source { peer: link.peer, origin: link.origin, transport: link.transport, conn: Some(conn) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }
}
