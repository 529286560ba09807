//! WhatsApp Business Accounts.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::crud::crud;

crud!(wabas, WabaRow);

/// A WhatsApp Business Account.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = wabas, treat_none_as_null = true)]
pub struct WabaRow {
    /// Our id.
    pub id: String,
    /// Our id of its Meta app.
    pub app_id: String,
    /// Meta's id.
    pub waba_id: String,
    /// Sealed access token.
    pub access_token_sealed: Option<String>,
    /// Name given by the administrator.
    pub name: String,
    /// Whether the app is subscribed to it.
    pub subscribed: bool,
    /// State, as checked by the schema.
    pub status: String,
    /// Why it is in this state.
    pub status_reason: Option<String>,
    /// Meta's id of the business portfolio whose messaging limit it shares.
    pub portfolio: Option<String>,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}

/// The WABA that Meta names so.
pub fn by_waba_id(conn: &mut Conn, waba_id: &str) -> Result<Option<WabaRow>, StoreError> {
    Ok(wabas::table.filter(wabas::waba_id.eq(waba_id)).select(WabaRow::as_select()).first(conn).optional()?)
}
