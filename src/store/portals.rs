//! Bitrix24 accounts with our installation on them.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::crud::crud;

crud!(portals, PortalRow);

/// A Bitrix24 account.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = portals, treat_none_as_null = true)]
pub struct PortalRow {
    /// Our id.
    pub id: String,
    /// Key of the Bitrix24 account.
    pub member_id: String,
    /// Our id of its application.
    pub portal_app_id: String,
    /// Host of the portal now.
    pub domain: String,
    /// Where its REST is.
    pub client_endpoint: String,
    /// Where its OAuth server's REST is.
    pub server_endpoint: String,
    /// Sealed access token.
    pub access_token_sealed: String,
    /// When the access token ends.
    pub access_expires_at: NaiveDateTime,
    /// Sealed refresh token.
    pub refresh_token_sealed: String,
    /// Sealed application token, once known.
    pub application_token_sealed: Option<String>,
    /// Sealed path secret of the SMS handler.
    pub sms_secret_sealed: String,
    /// The installing administrator.
    pub user_id: String,
    /// Granted scopes, by comma.
    pub scopes: String,
    /// State, as checked by the schema.
    pub status: String,
    /// Why it is in this state.
    pub status_reason: Option<String>,
    /// The portal's language.
    pub language: String,
    /// ISO-2 country of numbers without a code.
    pub default_country: Option<String>,
    /// Where it is licensed, ISO-2, as it says itself.
    pub region: Option<String>,
    /// Portal user who is told of alarms.
    pub alarm_user_id: Option<String>,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}

/// The portal with this key.
pub fn by_member_id(conn: &mut Conn, member_id: &str) -> Result<Option<PortalRow>, StoreError> {
    Ok(portals::table
        .filter(portals::member_id.eq(member_id))
        .select(PortalRow::as_select())
        .first(conn)
        .optional()?)
}
