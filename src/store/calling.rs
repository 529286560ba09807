//! How phones are set up for calls: our wish, and what Meta said of it when it was last asked.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::Serialize;

use super::db::{Conn, StoreError};
use super::schema::phone_calling;

/// A phone's settings for calls.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = phone_calling, primary_key(phone_id), treat_none_as_null = true)]
pub struct CallingRow {
    /// Our id of the phone.
    pub phone_id: String,
    /// `ENABLED` or `DISABLED`: calls at all.
    pub status: String,
    /// `ENABLED` or `DISABLED`: calls by SIP.
    pub sip_status: String,
    /// Host name of the SIP server that Meta was given.
    pub hostname: Option<String>,
    /// Its port.
    pub port: i32,
    /// `SDES` or `DTLS`.
    pub keying: String,
    /// `ENABLED` or `DISABLED`: webhooks about calls.
    pub webhook_delivery: String,
    /// Name of the trunk that calls are handed to.
    pub trunk: Option<String>,
    /// User part of the address there.
    pub extension: Option<String>,
    /// `own`: Meta calls this bridge; `external`: another server.
    pub edge: String,
    /// Group name in the user part of Meta's addresses.
    pub tgrp: Option<String>,
    /// Whether a call from an unknown number makes a lead or contact in the CRM.
    pub crm_create: bool,
    /// The SIP password that Meta made, sealed.
    pub sip_password_sealed: Option<String>,
    /// `calling` as Meta last told it, without secrets; JSON.
    pub meta: Option<String>,
    /// Meta's code of the refusal that stands; 0 = it took the call and did something else.
    pub error_code: Option<i64>,
    /// Meta's words.
    pub error_title: Option<String>,
    /// Ours.
    pub error_explanation: Option<String>,
    /// When Meta was last asked.
    pub checked_at: Option<NaiveDateTime>,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}

/// The settings of a phone.
pub fn get(conn: &mut Conn, phone_id: &str) -> Result<Option<CallingRow>, StoreError> {
    Ok(phone_calling::table.find(phone_id).select(CallingRow::as_select()).first(conn).optional()?)
}

/// The settings of all phones that have any.
pub fn list(conn: &mut Conn) -> Result<Vec<CallingRow>, StoreError> {
    Ok(phone_calling::table.select(CallingRow::as_select()).order(phone_calling::phone_id).load(conn)?)
}

/// Writes the settings of a phone, new or known.
pub fn put(conn: &mut Conn, row: &CallingRow) -> Result<(), StoreError> {
    let changed = diesel::update(phone_calling::table.find(&row.phone_id)).set(row).execute(conn)?;
    if changed == 0 {
        diesel::insert_into(phone_calling::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// Forgets the settings of a phone. `false`: there were none.
pub fn delete(conn: &mut Conn, phone_id: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(phone_calling::table.find(phone_id)).execute(conn)? == 1)
}
