//! The CRM's SMS provider: what a portal wants sent is stored with its job, sent in the lane of the contact's
//! chat, and its states go back.
//!
//! | file | does |
//! | --- | --- |
//! | here | takes a request in |
//! | `send` | decides what the customer gets |
//! | `progress` | follows the ledger, and writes down what the portal is to be told |
//! | [`report`] | tells it |

pub(super) mod progress;
pub mod report;
pub(super) mod send;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::Relay;
use super::whose::chat_of_number;
use crate::bitrix::messageservice::{CrmOwner, SmsPost};
use crate::directory::{Phone, Portal, Snapshot};
use crate::domain::{ChatId, Language, PhoneNumber, SmsState};
use crate::queue::job::{Class, Job, Kind, lane_out};
use crate::store::jobs::{self, NewJob};
use crate::store::sms::{self, NewSms};
use crate::store::{StoreError, Tx};
use crate::translate::crm_number;
use crate::translate::sms_notes::{LONGEST_SMS, SmsRefusal, refusal};

/// What became of a request at the door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// It will be sent.
    Taken,
    /// It was known already.
    Repeated,
    /// It will not be sent, for this reason; the portal is told that it failed.
    Refused(String),
}

/// Where a request goes.
struct Placed {
    phone: Phone,
    number: PhoneNumber,
}

/// Stores a request whose handler's secret was right.
///
/// # Errors
/// A failure of the database: nothing is stored.
pub async fn receive(relay: &Relay, portal: &Portal, post: SmsPost) -> Result<Receipt, StoreError> {
    let now = relay.clock.now();
    let snapshot = relay.directory.now();
    let configured = relay.settings.default_country.as_deref();
    let phone = snapshot.phones.iter().find(|phone| phone.sender_code() == post.code).cloned();
    let placed = match &phone {
        Some(phone) => place(&snapshot, portal, phone, &post, configured),
        None => Err(SmsRefusal::UnknownSender { code: post.code.clone() }),
    };
    let (portal_id, language) = (portal.id.to_string(), portal.language);
    relay
        .db
        .write(move |tx| store(tx, &portal_id, language, phone.as_ref(), &post, placed.as_ref(), now))
        .await
}

fn place(
    snapshot: &Snapshot,
    portal: &Portal,
    phone: &Phone,
    post: &SmsPost,
    configured: Option<&str>,
) -> Result<Placed, SmsRefusal> {
    let binding = snapshot.binding_of_phone(&phone.key).filter(|binding| binding.portal == portal.id);
    binding.ok_or(SmsRefusal::NotLinked)?;
    if !phone.row.sms_service {
        return Err(SmsRefusal::SwitchedOff);
    }
    if post.body.trim().is_empty() {
        return Err(SmsRefusal::Empty);
    }
    let length = post.body.chars().count();
    if length > LONGEST_SMS {
        return Err(SmsRefusal::TooLong { length });
    }
    let country = country_of(portal, phone, configured);
    let number = crm_number::parse(&post.to, country.as_deref())
        .map_err(|fault| SmsRefusal::Number { text: post.to.clone(), fault })?;
    Ok(Placed { phone: phone.clone(), number })
}

/// Where numbers without country code belong: as set for the portal or for all, else where the portal is
/// licensed, else what its address tells, else the phone's country.
fn country_of(portal: &Portal, phone: &Phone, configured: Option<&str>) -> Option<String> {
    let set = portal.row.default_country.as_deref().or(configured).map(str::to_owned);
    set.or_else(|| portal.row.region.clone())
        .or_else(|| crm_number::region_of(&portal.row.domain).map(str::to_owned))
        .or_else(|| crm_number::country_of(&phone.number))
}

fn store(
    tx: &mut Tx<'_>,
    portal_id: &str,
    language: Language,
    phone: Option<&Phone>,
    post: &SmsPost,
    placed: Result<&Placed, &SmsRefusal>,
    now: DateTime<Utc>,
) -> Result<Receipt, StoreError> {
    let owners = owners_json(&post.owners);
    let new = NewSms {
        portal_id,
        message_id: &post.message_id,
        code: &post.code,
        phone_id: phone.map(|phone| phone.key.as_str()),
        recipient: &post.to,
        number: placed.ok().map(|placed| placed.number.digits()),
        body: &post.body,
        author: post.author.as_deref(),
        owners: &owners,
    };
    let Some(id) = sms::insert(tx.conn, &new, now)? else { return Ok(Receipt::Repeated) };
    match placed {
        Ok(placed) => {
            send_later(tx, &id, placed, now)?;
            Ok(Receipt::Taken)
        }
        Err(fault) => {
            let reason = refusal(fault, language);
            if let Some(row) = sms::get(tx.conn, &id)? {
                progress::refused(tx, &row, &reason, language, now)?;
            }
            Ok(Receipt::Refused(reason))
        }
    }
}

fn send_later(tx: &mut Tx<'_>, id: &str, placed: &Placed, now: DateTime<Utc>) -> Result<(), StoreError> {
    let chat_id = chat_of_number(tx, &placed.phone, placed.number.digits(), now)?;
    let job = NewJob {
        kind: Kind::Sms.as_str(),
        queue: Class::Send.queue(&placed.phone.key),
        lane: lane_out(&ChatId::from(chat_id.as_str())),
        dedupe_key: None,
        payload: Job::Sms { chat_id: chat_id.clone() }.to_json(),
        message_id: None,
        not_before: None,
    };
    match jobs::enqueue(tx, &job, now)? {
        Some(job_id) => sms::placed(tx.conn, id, &chat_id, &job_id),
        None => Ok(()),
    }
}

fn owners_json(owners: &[CrmOwner]) -> String {
    let owners: Vec<_> = owners.iter().map(|owner| json!({"kind": owner.kind, "id": owner.id})).collect();
    json!(owners).to_string()
}

/// What the portal is told of a request next, as a job.
fn status_job(portal_id: &str, request_id: &str) -> NewJob {
    NewJob {
        kind: Kind::SmsStatus.as_str(),
        queue: Class::portal_queue(&portal_id.into()),
        lane: sms::lane(request_id),
        dedupe_key: None,
        payload: Job::SmsStatus { request_id: request_id.to_owned() }.to_json(),
        message_id: None,
        not_before: None,
    }
}

/// Whether a state is worth telling: the portal takes what it handed over for queued.
fn is_told(state: SmsState) -> bool {
    state != SmsState::Queued
}
