//! Files of templates' headers that Meta holds already: the same content is uploaded once while it lives.
//!
//! Nothing here may stop a send: what cannot be read or written costs an upload more.

use super::Relay;
use super::parts::Part;
use crate::domain::MediaId;
use crate::store::messages::MessageRow;
use crate::store::{blobs, uploads};

impl Relay {
    /// Meta's id of the content of a message's file, if this phone has uploaded it lately.
    pub(super) async fn uploaded_before(&self, row: &MessageRow, mime: &str) -> Option<MediaId> {
        let (blob_id, phone) = (row.blob_id.clone()?, row.phone_id.clone());
        let (mime, now) = (mime.to_owned(), self.clock.now());
        let found = self.db.read(move |conn| {
            let Some(blob) = blobs::get(conn, &blob_id)? else { return Ok(None) };
            uploads::find(conn, &phone, &blob.sha256, &mime, now)
        });
        found.await.ok().flatten().map(MediaId::from)
    }

    /// Meta has the content of a message's file.
    pub(super) async fn remember_upload(&self, row: &MessageRow, mime: &str, id: &MediaId) {
        let Some(blob_id) = row.blob_id.clone() else { return };
        let (phone, mime, id, now) = (row.phone_id.clone(), mime.to_owned(), id.clone(), self.clock.now());
        let written = self.db.write(move |tx| match blobs::get(tx.conn, &blob_id)? {
            Some(blob) => uploads::remember(tx.conn, &phone, &blob.sha256, &mime, id.as_str(), now),
            None => Ok(()),
        });
        if let Err(error) = written.await {
            tracing::info!(error = %error, "an upload is not remembered");
        }
    }

    /// Meta does not know the upload of a part any more.
    pub(super) async fn forget_upload(&self, row: &MessageRow, part: &Part) {
        let Some(id) = part.uploaded().cloned() else { return };
        let phone = row.phone_id.clone();
        if let Err(error) = self.db.write(move |tx| uploads::forget(tx.conn, &phone, id.as_str())).await {
            tracing::info!(error = %error, "an upload that is gone is not forgotten");
        }
    }
}
