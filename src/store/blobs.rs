//! Media files that lie on disk, and the links by which others may fetch them.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::{blobs, media_links};
use super::ts;

/// A file on disk.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = blobs)]
pub struct BlobRow {
    /// Its name in the store of files.
    pub id: String,
    /// Hex SHA-256 of the bytes.
    pub sha256: String,
    /// Type by content.
    pub mime: String,
    /// Name shown to people.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// When it was stored.
    pub created_at: NaiveDateTime,
}

/// Writes a file's row.
pub fn insert(conn: &mut Conn, row: &BlobRow) -> Result<(), StoreError> {
    diesel::insert_into(blobs::table).values(row).execute(conn)?;
    Ok(())
}

/// One file.
pub fn get(conn: &mut Conn, id: &str) -> Result<Option<BlobRow>, StoreError> {
    Ok(blobs::table.find(id).select(BlobRow::as_select()).first(conn).optional()?)
}

/// Several files.
pub fn get_many(conn: &mut Conn, ids: &[String]) -> Result<Vec<BlobRow>, StoreError> {
    Ok(blobs::table.filter(blobs::id.eq_any(ids)).select(BlobRow::as_select()).load(conn)?)
}

/// Makes a link to a file; `expires_at` none: as long as the file lives.
pub fn link(
    conn: &mut Conn,
    token_hash: &str,
    blob_id: &str,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::insert_into(media_links::table)
        .values((
            media_links::token_hash.eq(token_hash),
            media_links::blob_id.eq(blob_id),
            media_links::expires_at.eq(expires_at.map(ts)),
            media_links::revoked.eq(false),
            media_links::created_at.eq(ts(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// The file behind a link that is neither revoked nor expired.
pub fn by_link(conn: &mut Conn, token_hash: &str, now: DateTime<Utc>) -> Result<Option<BlobRow>, StoreError> {
    Ok(media_links::table
        .inner_join(blobs::table.on(blobs::id.eq(media_links::blob_id)))
        .filter(media_links::token_hash.eq(token_hash))
        .filter(media_links::revoked.eq(false))
        .filter(media_links::expires_at.is_null().or(media_links::expires_at.gt(ts(now))))
        .select(BlobRow::as_select())
        .first(conn)
        .optional()?)
}

/// Lets every link to a file end at `at`; an earlier end stays.
pub fn expire_links(conn: &mut Conn, blob_id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    diesel::update(
        media_links::table
            .filter(media_links::blob_id.eq(blob_id))
            .filter(media_links::expires_at.is_null().or(media_links::expires_at.gt(ts(at)))),
    )
    .set(media_links::expires_at.eq(ts(at)))
    .execute(conn)?;
    Ok(())
}

/// Revokes every link to a file.
pub fn revoke_links(conn: &mut Conn, blob_id: &str) -> Result<usize, StoreError> {
    Ok(diesel::update(media_links::table.filter(media_links::blob_id.eq(blob_id)))
        .set(media_links::revoked.eq(true))
        .execute(conn)?)
}

/// Removes the rows of files with their links; the bytes are the caller's matter.
pub fn delete(conn: &mut Conn, ids: &[String]) -> Result<(), StoreError> {
    diesel::delete(media_links::table.filter(media_links::blob_id.eq_any(ids))).execute(conn)?;
    diesel::delete(blobs::table.filter(blobs::id.eq_any(ids))).execute(conn)?;
    Ok(())
}

/// Files stored before `before`, oldest first.
pub fn older_than(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<Vec<String>, StoreError> {
    Ok(blobs::table
        .filter(blobs::created_at.lt(ts(before)))
        .order(blobs::created_at)
        .limit(limit)
        .select(blobs::id)
        .load(conn)?)
}

/// Whether a file is known.
pub fn exists(conn: &mut Conn, id: &str) -> Result<bool, StoreError> {
    Ok(get(conn, id)?.is_some())
}

/// The ids of all files.
pub fn ids(conn: &mut Conn) -> Result<std::collections::HashSet<String>, StoreError> {
    Ok(blobs::table.select(blobs::id).load::<String>(conn)?.into_iter().collect())
}
