//! Credentials of local applications.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::crud::crud;

crud!(portal_apps, PortalAppRow);

/// A local application of a portal.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = portal_apps, treat_none_as_null = true)]
pub struct PortalAppRow {
    /// Our id.
    pub id: String,
    /// Name given by the administrator.
    pub name: String,
    /// Id of the app at the other side.
    pub client_id: String,
    /// Sealed app secret.
    pub client_secret_sealed: String,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}
