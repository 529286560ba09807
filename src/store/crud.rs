//! The five statements that every configured object needs, written once.

/// Generates `get`, `list`, `page`, `insert`, `update`, `delete` for a table whose key is `id`.
macro_rules! crud {
    ($table:ident, $row:ident) => {
        use diesel::prelude::*;

        use $crate::store::Page;
        use $crate::store::db::{Conn, StoreError};
        use $crate::store::schema::$table;

        /// The row with this id.
        pub fn get(conn: &mut Conn, id: &str) -> Result<Option<$row>, StoreError> {
            Ok($table::table.find(id).select($row::as_select()).first(conn).optional()?)
        }

        /// Every row, oldest first.
        pub fn list(conn: &mut Conn) -> Result<Vec<$row>, StoreError> {
            Ok($table::table.select($row::as_select()).order($table::id).load(conn)?)
        }

        /// A page of rows, oldest first.
        pub fn page(conn: &mut Conn, page: &Page) -> Result<Vec<$row>, StoreError> {
            let mut query =
                $table::table.select($row::as_select()).order($table::id).limit(page.limit).into_boxed();
            if let Some(cursor) = &page.cursor {
                query = query.filter($table::id.gt(cursor.clone()));
            }
            Ok(query.load(conn)?)
        }

        /// Writes a new row.
        pub fn insert(conn: &mut Conn, row: &$row) -> Result<(), StoreError> {
            diesel::insert_into($table::table).values(row).execute(conn)?;
            Ok(())
        }

        /// Writes every column of a known row. `false`: there is no such row.
        pub fn update(conn: &mut Conn, row: &$row) -> Result<bool, StoreError> {
            Ok(diesel::update($table::table.find(&row.id)).set(row).execute(conn)? == 1)
        }

        /// Removes a row. `false`: there was none.
        pub fn delete(conn: &mut Conn, id: &str) -> Result<bool, StoreError> {
            Ok(diesel::delete($table::table.find(id)).execute(conn)? == 1)
        }
    };
}
pub(crate) use crud;
