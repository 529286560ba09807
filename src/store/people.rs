//! A person's right to be forgotten: everything that is kept of a contact goes.

use diesel::prelude::*;

use super::db::{Conn, StoreError};
use super::schema::{
    chats, contact_aliases, contacts, expected_echoes, jobs, limit_uses, messages, sms_requests,
};
use super::{blobs, call_permissions, calls, held, sms};

/// Every lane in which something may wait that concerns a contact: of their chats, of their files, of what the CRM sent
/// them, and of their calls.
pub fn lanes(conn: &mut Conn, contact_id: &str) -> Result<Vec<String>, StoreError> {
    let chat_ids = chats_of(conn, contact_id)?;
    let requests: Vec<String> = sms_requests::table
        .filter(sms_requests::chat_id.eq_any(&chat_ids))
        .select(sms_requests::id)
        .load(conn)?;
    let files: Vec<String> = messages::table
        .filter(messages::chat_id.eq_any(&chat_ids))
        .filter(messages::media_state.is_not_null())
        .select(messages::id)
        .load(conn)?;
    let (numbers, user_ids) = aliases(conn, contact_id)?;
    let calls = calls::of_person(conn, contact_id, &numbers, &user_ids)?;
    let of_chats =
        chat_ids.iter().flat_map(|id| [format!("in:{id}"), format!("out:{id}"), format!("ack:{id}")]);
    let of_requests = requests.iter().flat_map(|id| [sms::lane(id), sms::comment_lane(id)]);
    let of_files = files.iter().map(|id| format!("media:{id}"));
    let of_calls = calls.iter().map(|call| format!("call:{}", call.id));
    Ok(of_chats.chain(of_requests).chain(of_files).chain(of_calls).collect())
}

/// Removes a contact with aliases, chats, messages and their jobs. Returns the files that were theirs, whose
/// rows and links are gone and whose bytes the caller removes; `None`: no such contact.
pub fn erase(conn: &mut Conn, contact_id: &str) -> Result<Option<Vec<String>>, StoreError> {
    let known: i64 = contacts::table.filter(contacts::id.eq(contact_id)).count().get_result(conn)?;
    if known == 0 {
        return Ok(None);
    }
    let chat_ids = chats_of(conn, contact_id)?;
    let theirs: Vec<(String, Option<String>)> = messages::table
        .filter(messages::chat_id.eq_any(&chat_ids))
        .select((messages::id, messages::blob_id))
        .load(conn)?;
    let (message_ids, files): (Vec<String>, Vec<Option<String>>) = theirs.into_iter().unzip();
    let mut files: Vec<String> = files.into_iter().flatten().collect();
    files.extend(held::forget(conn, &chat_ids)?);
    for some in lanes(conn, contact_id)?.chunks(500) {
        diesel::delete(jobs::table.filter(jobs::lane.eq_any(some))).execute(conn)?;
    }
    diesel::delete(sms_requests::table.filter(sms_requests::chat_id.eq_any(&chat_ids))).execute(conn)?;
    for some in message_ids.chunks(500) {
        diesel::delete(jobs::table.filter(jobs::message_id.eq_any(some))).execute(conn)?;
    }
    diesel::delete(expected_echoes::table.filter(expected_echoes::chat_id.eq_any(&chat_ids)))
        .execute(conn)?;
    diesel::delete(messages::table.filter(messages::chat_id.eq_any(&chat_ids))).execute(conn)?;
    erase_calls(conn, contact_id)?;
    diesel::delete(chats::table.filter(chats::contact_id.eq(contact_id))).execute(conn)?;
    let ids: Vec<String> = contact_aliases::table
        .filter(contact_aliases::contact_id.eq(contact_id))
        .select(contact_aliases::value)
        .load(conn)?;
    diesel::delete(limit_uses::table.filter(limit_uses::person.eq_any(&ids))).execute(conn)?;
    diesel::delete(contact_aliases::table.filter(contact_aliases::contact_id.eq(contact_id)))
        .execute(conn)?;
    diesel::delete(contacts::table.find(contact_id)).execute(conn)?;
    blobs::delete(conn, &files)?;
    Ok(Some(files))
}

fn chats_of(conn: &mut Conn, contact_id: &str) -> Result<Vec<String>, StoreError> {
    Ok(chats::table.filter(chats::contact_id.eq(contact_id)).select(chats::id).load(conn)?)
}

/// Calls of a contact go with their cards and jobs, and with what Meta said of their permission.
fn erase_calls(conn: &mut Conn, contact_id: &str) -> Result<(), StoreError> {
    let (numbers, user_ids) = aliases(conn, contact_id)?;
    let theirs = calls::of_person(conn, contact_id, &numbers, &user_ids)?;
    let ids: Vec<String> = theirs.into_iter().map(|call| call.id).collect();
    calls::delete(conn, &ids)?;
    call_permissions::forget_people(conn, &[numbers, user_ids].concat())
}

/// Numbers and user ids by which a contact is known.
pub fn aliases(conn: &mut Conn, contact_id: &str) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let all = super::contacts::aliases(conn, contact_id)?;
    let (user_ids, numbers): (Vec<_>, Vec<_>) = all.into_iter().partition(|(kind, _)| kind == "user_id");
    let value = |(_, value)| value;
    Ok((numbers.into_iter().map(value).collect(), user_ids.into_iter().map(value).collect()))
}
