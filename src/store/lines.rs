//! Which phone feeds which open line.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::crud::crud;

crud!(line_bindings, LineBindingRow);

/// A phone bound to an open line.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = line_bindings, treat_none_as_null = true)]
pub struct LineBindingRow {
    /// Our id.
    pub id: String,
    /// Our id of the phone.
    pub phone_id: String,
    /// Our id of the portal.
    pub portal_id: String,
    /// Id of the open line in its portal.
    pub line_id: String,
    /// Name of the line when it was bound.
    pub line_name: String,
    /// When it was written.
    pub created_at: NaiveDateTime,
}

/// The binding of a phone.
pub fn by_phone(conn: &mut Conn, phone_id: &str) -> Result<Option<LineBindingRow>, StoreError> {
    Ok(line_bindings::table
        .filter(line_bindings::phone_id.eq(phone_id))
        .select(LineBindingRow::as_select())
        .first(conn)
        .optional()?)
}

/// The binding of an open line.
pub fn by_line(
    conn: &mut Conn,
    portal_id: &str,
    line_id: &str,
) -> Result<Option<LineBindingRow>, StoreError> {
    Ok(line_bindings::table
        .filter(line_bindings::portal_id.eq(portal_id))
        .filter(line_bindings::line_id.eq(line_id))
        .select(LineBindingRow::as_select())
        .first(conn)
        .optional()?)
}

/// Unbinds a phone. `false`: it was not bound.
pub fn unbind_phone(conn: &mut Conn, phone_id: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(line_bindings::table.filter(line_bindings::phone_id.eq(phone_id))).execute(conn)? == 1)
}
