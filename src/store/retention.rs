//! Removes what is older than its time, in steps so small that nothing waits for them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::{
    alarm_notices, alarms, events, expected_echoes, jobs, messages, parked_statuses, sms_requests,
    template_changes,
};
use super::{call_permissions, calls, ts};

/// Rows that one step removes at most.
pub const STEP: i64 = 500;

/// What has a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The ledger, and with it the map of ids.
    Messages,
    /// What portals asked to be sent as SMS.
    Sms,
    /// Raw events.
    Events,
    /// Jobs that are done or dropped.
    Jobs,
    /// Statuses of messages that are not ours.
    ParkedStatuses,
    /// Echoes that never came.
    Echoes,
    /// Records of calls.
    Calls,
    /// What Meta said of permissions to call.
    CallPermissions,
    /// Who was told of alarms; goes before the alarms.
    AlarmNotices,
    /// Alarms that have ended.
    Alarms,
    /// Creations and edits of templates.
    TemplateChanges,
}

macro_rules! oldest {
    ($conn:expr, $table:ident, $column:ident, $before:expr) => {{
        let ids: Vec<String> = $table::table
            .filter($table::$column.lt(ts($before)))
            .limit(STEP)
            .select($table::id)
            .load($conn)?;
        diesel::delete($table::table.filter($table::id.eq_any(&ids))).execute($conn)?;
        ids.len()
    }};
}

/// Removes some of what is older than `before`; fewer than [`STEP`]: nothing older is left.
pub fn step(conn: &mut Conn, kind: Kind, before: DateTime<Utc>) -> Result<usize, StoreError> {
    Ok(match kind {
        Kind::Messages => oldest!(conn, messages, created_at, before),
        Kind::Sms => oldest!(conn, sms_requests, created_at, before),
        Kind::Events => oldest!(conn, events, created_at, before),
        Kind::ParkedStatuses => oldest!(conn, parked_statuses, created_at, before),
        Kind::Echoes => oldest!(conn, expected_echoes, created_at, before),
        Kind::Calls => {
            let ids = calls::older_than(conn, before, STEP)?;
            calls::delete(conn, &ids)?;
            ids.len()
        }
        Kind::CallPermissions => {
            call_permissions::sweep(conn, before)?;
            0
        }
        Kind::AlarmNotices => {
            // Those of alarms that are open stay with them.
            let ids: Vec<String> = alarm_notices::table
                .inner_join(alarms::table)
                .filter(alarms::closed_at.lt(ts(before)))
                .limit(STEP)
                .select(alarm_notices::id)
                .load(conn)?;
            diesel::delete(alarm_notices::table.filter(alarm_notices::id.eq_any(&ids))).execute(conn)?;
            ids.len()
        }
        Kind::Alarms => oldest!(conn, alarms, closed_at, before),
        Kind::TemplateChanges => oldest!(conn, template_changes, at, before),
        Kind::Jobs => {
            // Dead jobs have an end as well, but wait for a person.
            let ids: Vec<String> = jobs::table
                .filter(jobs::finished_at.lt(ts(before)))
                .filter(jobs::state.eq_any(["done", "dropped"]))
                .limit(STEP)
                .select(jobs::id)
                .load(conn)?;
            diesel::delete(jobs::table.filter(jobs::id.eq_any(&ids))).execute(conn)?;
            ids.len()
        }
    })
}
