//! Meta apps.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::crud::crud;

crud!(apps, AppRow);

/// A Meta app.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = apps, treat_none_as_null = true)]
pub struct AppRow {
    /// Our id.
    pub id: String,
    /// Name given by the administrator.
    pub name: String,
    /// Host that Meta calls; selects the app when nothing else does.
    pub site: String,
    /// Id of the app at the other side.
    pub client_id: String,
    /// Sealed app secret.
    pub client_secret_sealed: String,
    /// Sealed second secret, valid during a rotation.
    pub second_secret_sealed: Option<String>,
    /// Sealed access token.
    pub access_token_sealed: String,
    /// Sealed verify token of Meta's handshake.
    pub verify_token_sealed: String,
    /// Selector in the callback URL; no proof.
    pub api_key: String,
    /// Graph version, else the configured one.
    pub graph_version: Option<String>,
    /// Whether every raw notification is kept.
    pub save_events: bool,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}
