//! A person's rights: everything that is kept of them, in one document, or gone.

use serde_json::{Value, json};

use super::behalf::Object;
use super::{Setup, SetupError};
use crate::domain::BlobId;
use crate::store::calls::{self, CallRow};
use crate::store::contacts::{self, ContactRow};
use crate::store::held::{self, HeldRow};
use crate::store::messages::MessageRow;
use crate::store::sms::{self, SmsRow};
use crate::store::{Page, blobs, chats, messages, people};

/// A person with every alias as (kind, value).
#[derive(Clone, Debug)]
pub struct Person {
    /// The person.
    pub row: ContactRow,
    /// `user_id`, `wa_id` and `phone`, the newest last.
    pub aliases: Vec<(String, String)>,
}

impl Setup {
    /// A person.
    pub async fn contact(&self, id: &str) -> Result<Person, SetupError> {
        let id = id.to_owned();
        let found = self
            .db
            .read(move |conn| match contacts::get(conn, &id)? {
                Some(row) => Ok(Some(Person { aliases: contacts::aliases(conn, &id)?, row })),
                None => Ok(None),
            })
            .await?;
        found.ok_or(SetupError::NotFound("contact"))
    }

    /// A page of people.
    pub async fn contacts(&self, page: Page) -> Result<Vec<Person>, SetupError> {
        let read = self.db.read(move |conn| {
            let rows = contacts::page(conn, &page)?;
            rows.into_iter()
                .map(|row| Ok(Person { aliases: contacts::aliases(conn, &row.id)?, row }))
                .collect::<Result<Vec<_>, crate::store::StoreError>>()
        });
        Ok(read.await?)
    }

    /// Everything that is kept of a person, as JSON.
    pub async fn export_contact(&self, id: &str) -> Result<Value, SetupError> {
        let person = self.contact(id).await?;
        let id = id.to_owned();
        let (threads, files, calls) = self
            .db
            .read(move |conn| {
                let mut threads = Vec::new();
                let mut ids = Vec::new();
                for chat in chats::of_contact(conn, &id)? {
                    let rows = messages::of_chat(conn, &chat.id)?;
                    ids.extend(rows.iter().filter_map(|row| row.blob_id.clone()));
                    let requests = sms::of_chat(conn, &chat.id)?;
                    let waiting = held::of_chat(conn, &chat.id)?;
                    threads.push((chat, rows, requests, waiting));
                }
                let (numbers, user_ids) = people::aliases(conn, &id)?;
                let calls = calls::of_person(conn, &id, &numbers, &user_ids)?;
                Ok((threads, blobs::get_many(conn, &ids)?, calls))
            })
            .await?;
        let chats: Vec<Value> = threads
            .iter()
            .map(|(chat, rows, requests, waiting)| {
                json!({
                    "id": chat.id, "phone_id": chat.phone_id, "created_at": time(chat.created_at),
                    "last_inbound_at": chat.last_inbound_at.map(time),
                    "marketing_stopped": chat.marketing_stopped,
                    "messages": rows.iter().map(message).collect::<Vec<_>>(),
                    "sms": requests.iter().map(request).collect::<Vec<_>>(),
                    "held": waiting.iter().map(held_text).collect::<Vec<_>>(),
                })
            })
            .collect();
        let media: Vec<Value> = files
            .iter()
            .map(|file| json!({"id": file.id, "name": file.name, "mime": file.mime, "size": file.size, "sha256": file.sha256}))
            .collect();
        let aliases: Vec<Value> =
            person.aliases.iter().map(|(kind, value)| json!({"kind": kind, "value": value})).collect();
        Ok(json!({
            "contact": {
                "id": person.row.id, "waba_id": person.row.waba_key, "name": person.row.name,
                "username": person.row.username, "created_at": time(person.row.created_at), "aliases": aliases,
            },
            "chats": chats,
            "media": media,
            "calls": calls.iter().map(call).collect::<Vec<_>>(),
        }))
    }

    /// Erases a person: messages, media, aliases, and what waits to be sent. `forget` drops what others
    /// keep of chats in memory; it runs inside the transaction, so that nothing written after uses it.
    pub async fn erase_contact(
        &self,
        id: &str,
        forget: impl Fn() + Send + 'static,
    ) -> Result<(), SetupError> {
        let (key, own) = (id.to_owned(), self.clone());
        let (lanes, files) = self
            .db
            .write(move |tx| {
                let lanes = people::lanes(tx.conn, &key)?;
                let files = people::erase(tx.conn, &key)?;
                if files.is_some() {
                    // The name is what is to be forgotten.
                    let object = Object { kind: "contact", id: &key, name: "" };
                    own.note::<Value>(tx, "erase", object, None, None)?;
                }
                forget();
                Ok((lanes, files))
            })
            .await?;
        let files = files.ok_or(SetupError::NotFound("contact"))?;
        lanes.iter().for_each(|lane| self.scheduler.forget(lane));
        for file in files {
            // The row is gone: what stays on disk is swept as an orphan.
            if let Err(error) = self.blobs.remove(&BlobId::from(file)).await {
                tracing::warn!(error = %error, "a file of an erased contact could not be removed yet");
            }
        }
        Ok(())
    }
}

fn time(at: chrono::NaiveDateTime) -> String {
    at.and_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn call(row: &CallRow) -> Value {
    json!({
        "id": row.id, "wacid": row.wacid, "sip_call_id": row.sip_call_id, "phone_id": row.phone_id,
        "direction": row.direction, "number": row.peer_digits, "user_id": row.peer_user_id,
        "name": row.peer_name, "payload": row.payload, "agent": row.agent, "created_at": time(row.created_at),
        "answered_at": row.answered_at.map(time), "ended_at": row.ended_at.map(time),
        "end_cause": row.end_cause, "ended_by": row.ended_by,
    })
}

fn message(row: &MessageRow) -> Value {
    let payload: Value =
        serde_json::from_str(&row.payload).unwrap_or_else(|_| Value::String(row.payload.clone()));
    json!({
        "id": row.id, "direction": row.direction, "kind": row.kind, "wamid": row.wamid,
        "im_message_id": row.im_message_id, "status": row.state, "text": row.body, "payload": payload,
        "media_id": row.blob_id, "created_at": time(row.created_at), "sent_at": row.sent_at.map(time),
        "delivered_at": row.delivered_at.map(time), "read_at": row.read_at.map(time),
        "failed_at": row.failed_at.map(time), "error": row.error_text,
    })
}

fn held_text(row: &HeldRow) -> Value {
    json!({"id": row.id, "text": row.body, "held_at": time(row.created_at)})
}

fn request(row: &SmsRow) -> Value {
    json!({
        "id": row.id, "message_id": row.message_id, "sender": row.code, "recipient": row.recipient,
        "text": row.body, "status": row.state, "reason": row.reason, "created_at": time(row.created_at),
    })
}
