//! `/messages`: the ledger.

use std::collections::{BTreeSet, HashMap};

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{List, Paging, utc};
use crate::domain::{DeliveryState, PhoneNumber};
use crate::http::{Problem, State};
use crate::store::messages::{self, LedgerFilter, MessageRow};
use crate::store::sms::{self, SmsRow};
use crate::store::{Conn, StoreError, chats, contacts};

/// What of the ledger is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Our id of the phone.
    phone_id: Option<String>,
    /// Our id of the contact, or its number, or its user id.
    contact: Option<String>,
    /// `pending`, `accepted`, `sent`, `delivered`, `read`, `played` or `failed`.
    status: Option<String>,
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageView {
    id: String,
    chat_id: String,
    contact_id: Option<String>,
    phone_id: String,
    /// `inbound` = from the contact.
    direction: String,
    kind: String,
    /// Meta's id.
    wamid: Option<String>,
    portal_id: Option<String>,
    im_chat_id: Option<String>,
    /// The portal's id.
    im_message_id: Option<String>,
    /// Which part of the operator's message.
    part: i32,
    status: String,
    text: String,
    /// The message of the CRM's SMS provider that it is.
    sms: Option<SmsRef>,
    media_state: Option<String>,
    /// It was sent again after doubt.
    maybe_twice: bool,
    error: Option<ErrorView>,
    created_at: DateTime<Utc>,
    /// The portal took it.
    relayed_at: Option<DateTime<Utc>>,
    /// Meta took it.
    accepted_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
}

/// The CRM's message behind a WhatsApp message.
#[derive(Serialize, ToSchema)]
pub(super) struct SmsRef {
    /// Our id of the request, see `/sms`.
    id: String,
    /// The portal's id.
    message_id: String,
    /// The sender that was picked.
    sender: String,
    /// What the portal was told last.
    reported: Option<String>,
}

/// Why a message failed.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorView {
    /// Meta's code.
    code: Option<i32>,
    text: Option<String>,
}

/// The ledger, newest first.
#[utoipa::path(get, path = "/api/v1/messages", tag = "messages", params(Wanted, Paging),
    responses((status = 200, body = List<MessageView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    state: web::Data<State>,
    wanted: web::Query<Wanted>,
    paging: web::Query<Paging>,
) -> Result<web::Json<List<MessageView>>, Problem> {
    let page = paging.page()?;
    let limit = page.limit;
    let Wanted { phone_id, contact, status } = wanted.into_inner();
    let status = status.map(|status| {
        DeliveryState::parse(&status).ok_or_else(|| Problem::field("status", "is not a delivery state"))
    });
    let mut filter = LedgerFilter { phone_id, state: status.transpose()?, ..LedgerFilter::default() };
    let wabas: Vec<String> = state.directory.now().wabas.iter().map(|waba| waba.key.to_string()).collect();
    let found = state.db.read(move |conn| {
        if let Some(contact) = contact {
            match find_contact(conn, &wabas, &contact)? {
                Some(id) => filter.contact_id = Some(id),
                None => return Ok((Vec::new(), Beside::default())),
            }
        }
        let rows = messages::list(conn, &filter, &page)?;
        let beside = beside(conn, &rows)?;
        Ok((rows, beside))
    });
    let (rows, beside) = found.await?;
    Ok(List::of(rows, limit, |row| &row.id, |row| view(row, &beside)))
}

/// One message.
#[utoipa::path(get, path = "/api/v1/messages/{id}", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = MessageView), (status = 404, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<MessageView>, Problem> {
    let found = state.db.read(move |conn| match messages::get(conn, &id)? {
        Some(row) => {
            let beside = beside(conn, std::slice::from_ref(&row))?;
            Ok(Some((row, beside)))
        }
        None => Ok(None),
    });
    let (row, beside) = found.await?.ok_or_else(|| Problem::not_found("message"))?;
    Ok(web::Json(view(row, &beside)))
}

pub(super) fn find_contact(
    conn: &mut Conn,
    wabas: &[String],
    wanted: &str,
) -> Result<Option<String>, StoreError> {
    if let Some(row) = contacts::get(conn, wanted)? {
        return Ok(Some(row.id));
    }
    let digits = PhoneNumber::parse(wanted).ok();
    let number = digits.as_ref().map_or(wanted, PhoneNumber::digits);
    for waba in wabas {
        for (kind, value) in [("wa_id", number), ("user_id", wanted), ("phone", number)] {
            if let Some(id) = contacts::by_alias(conn, waba, kind, value)? {
                return Ok(Some(id));
            }
        }
    }
    Ok(None)
}

/// What is shown beside the rows of the ledger: contacts by chat, requests of the CRM by job.
#[derive(Default)]
struct Beside {
    contacts: HashMap<String, String>,
    requests: HashMap<String, SmsRow>,
}

fn beside(conn: &mut Conn, rows: &[MessageRow]) -> Result<Beside, StoreError> {
    let distinct = |ids: &mut dyn Iterator<Item = &String>| -> Vec<String> {
        ids.collect::<BTreeSet<_>>().into_iter().cloned().collect()
    };
    let chat_ids = distinct(&mut rows.iter().map(|row| &row.chat_id));
    let job_ids = distinct(&mut rows.iter().filter_map(|row| row.job_id.as_ref()));
    let chats = chats::get_many(conn, &chat_ids)?;
    let requests = sms::of_jobs(conn, &job_ids)?;
    Ok(Beside {
        contacts: chats.into_iter().map(|chat| (chat.id, chat.contact_id)).collect(),
        requests: requests.into_iter().filter_map(|row| Some((row.job_id.clone()?, row))).collect(),
    })
}

fn view(row: MessageRow, beside: &Beside) -> MessageView {
    let failed = row.error_code.is_some() || row.error_text.is_some();
    let request = row.job_id.as_ref().and_then(|job| beside.requests.get(job));
    let sms = request.map(|request| SmsRef {
        id: request.id.clone(),
        message_id: request.message_id.clone(),
        sender: request.code.clone(),
        reported: request.reported.clone(),
    });
    MessageView {
        sms,
        contact_id: beside.contacts.get(&row.chat_id).cloned(),
        error: failed.then_some(ErrorView { code: row.error_code, text: row.error_text }),
        created_at: utc(row.created_at),
        relayed_at: row.relayed_at.map(utc),
        accepted_at: row.accepted_at.map(utc),
        sent_at: row.sent_at.map(utc),
        delivered_at: row.delivered_at.map(utc),
        read_at: row.read_at.map(utc),
        failed_at: row.failed_at.map(utc),
        id: row.id,
        chat_id: row.chat_id,
        phone_id: row.phone_id,
        direction: row.direction,
        kind: row.kind,
        wamid: row.wamid,
        portal_id: row.portal_id,
        im_chat_id: row.im_chat_id,
        im_message_id: row.im_message_id,
        part: row.part,
        status: row.state,
        text: row.body,
        media_state: row.media_state,
        maybe_twice: row.maybe_twice,
    }
}
