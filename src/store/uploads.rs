//! What Meta holds of files that we uploaded: the same content is not uploaded again while it lives.

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;

use super::db::{Conn, StoreError, on_backend};
use super::schema::uploaded_media;
use super::ts;

/// How long an upload is used: Meta keeps it for 30 days, and a send that waits must still find it.
const LIVES: Duration = Duration::days(29);

/// Meta's id of this content, uploaded by this phone, if it lives at `now`.
pub fn find(
    conn: &mut Conn,
    phone_id: &str,
    sha256: &str,
    mime: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    Ok(uploaded_media::table
        .find((phone_id, sha256, mime))
        .filter(uploaded_media::uploaded_at.gt(ts(now - LIVES)))
        .select(uploaded_media::media_id)
        .first(conn)
        .optional()?)
}

/// A content was uploaded.
pub fn remember(
    conn: &mut Conn,
    phone_id: &str,
    sha256: &str,
    mime: &str,
    media_id: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::delete(uploaded_media::table.find((phone_id, sha256, mime))).execute(conn)?;
    let values = (
        uploaded_media::phone_id.eq(phone_id),
        uploaded_media::sha256.eq(sha256),
        uploaded_media::mime.eq(mime),
        uploaded_media::media_id.eq(media_id),
        uploaded_media::uploaded_at.eq(ts(now)),
    );
    on_backend!(conn, |c| diesel::insert_into(uploaded_media::table).values(values).execute(c))?;
    Ok(())
}

/// Meta does not know the upload any more.
pub fn forget(conn: &mut Conn, phone_id: &str, media_id: &str) -> Result<(), StoreError> {
    let gone = uploaded_media::table
        .filter(uploaded_media::phone_id.eq(phone_id))
        .filter(uploaded_media::media_id.eq(media_id));
    diesel::delete(gone).execute(conn)?;
    Ok(())
}

/// Forgets what does not live any more.
pub fn forget_old(conn: &mut Conn, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let old = uploaded_media::table.filter(uploaded_media::uploaded_at.le(ts(now - LIVES)));
    Ok(diesel::delete(old).execute(conn)?)
}
