//! Who may use the panel.

use chrono::NaiveDateTime;

use super::crud::crud;

crud!(administrators, AdministratorRow);

/// An administrator or operator of the panel.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = administrators, treat_none_as_null = true)]
pub struct AdministratorRow {
    /// Our id.
    pub id: String,
    /// As it was typed.
    pub name: String,
    /// In lower case; unique.
    pub name_key: String,
    /// Argon2id, in PHC form.
    pub password_hash: String,
    /// `administrator` or `operator`.
    pub role: String,
    /// `en` or `ru`.
    pub language: String,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}

/// The administrator whose name is spelled so in lower case.
pub fn by_name_key(conn: &mut Conn, key: &str) -> Result<Option<AdministratorRow>, StoreError> {
    Ok(administrators::table
        .filter(administrators::name_key.eq(key))
        .select(AdministratorRow::as_select())
        .first(conn)
        .optional()?)
}

/// How many there are of a role.
pub fn count_of_role(conn: &mut Conn, role: &str) -> Result<i64, StoreError> {
    Ok(administrators::table.filter(administrators::role.eq(role)).count().get_result(conn)?)
}
