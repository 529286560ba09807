//! What is written when Meta took, refused or never judged a part of an operator's message.

use chrono::{DateTime, Utc};

use super::parts::Part;
use super::sender::{Outgoing, WINDOW_CLOSED};
use super::sms::progress;
use super::{held, statuses, templates};
use crate::directory::Snapshot;
use crate::domain::{ChatId, DeliveryState, UserId, WaId};
use crate::queue::job::{self, Class, Job, Kind, OperatorItem, lane_out};
use crate::queue::worker::Settled;
use crate::store::jobs::{self, JobRow, NewJob};
use crate::store::messages::{self as ledger, MessageRow};
use crate::store::{StoreError, Tx, chats, contacts};
use crate::translate::notes::{self, Note};
use crate::whatsapp::client::Accepted;
use crate::whatsapp::message::WireError;

/// Written in one transaction, again if that fails.
pub(super) type Effects = Box<dyn FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send>;

/// What is written when Meta took a part.
pub(super) fn acceptance(
    outgoing: &Outgoing,
    row: &MessageRow,
    accepted: Accepted,
    now: DateTime<Utc>,
) -> Effects {
    let (row_id, phone) = (row.id.clone(), outgoing.phone.clone());
    let (snapshot, contact) = (outgoing.snapshot.clone(), outgoing.chat.contact_id.clone());
    let request = outgoing.sms.clone();
    let part = Part::from_json(&row.payload).ok();
    let is_shown = of_portal(outgoing).is_some() && part.as_ref().is_some_and(Part::is_template);
    let masked = part.and_then(Part::without_password);
    // Those are attached already.
    let aliases: Vec<String> =
        [&outgoing.person.wa_id, &outgoing.person.user_id].into_iter().flatten().cloned().collect();
    let row = row.clone();
    let (chat, has_file) = (ChatId::from(row.chat_id.as_str()), row.blob_id.is_some());
    Box::new(move |tx| {
        let wamid = accepted.wamid.as_str();
        // Erased while the call was out: nobody is there to be told, or to be known by an alias.
        let known = ledger::accepted(tx.conn, &row_id, phone.as_str(), wamid, now)?;
        if let Some(part) = &masked {
            ledger::replan(tx.conn, &row_id, part.kind(), part.body(), &part.to_json())?;
        }
        if let Some(request) = request.as_ref().filter(|_| known) {
            progress::accepted(tx, request, &row, &snapshot, now)?;
        }
        let Some(phone) = snapshot.phone(&phone) else { return Ok(()) };
        if is_shown {
            jobs::enqueue(tx, &job::show(&phone.key, &chat, &row_id, has_file), now)?;
        }
        // The number that Meta answers with may differ from the one that was asked for (facts §8.2).
        for (kind, value) in [
            ("wa_id", accepted.wa_id.as_ref().map(WaId::as_str)),
            ("user_id", accepted.user_id.as_ref().map(UserId::as_str)),
        ] {
            if let Some(value) = value.filter(|value| known && !aliases.iter().any(|has| has == value)) {
                contacts::add_alias(tx.conn, phone.waba_key.as_str(), kind, value, &contact, now)?;
            }
        }
        statuses::apply_parked(tx, phone, statuses::language_of(&snapshot, phone), wamid, now)
    })
}

/// What is written when Meta refused a part: the row, and a note in the line.
pub(super) fn refusal(
    outgoing: &Outgoing,
    row: &MessageRow,
    code: Option<i64>,
    error: WireError,
    now: DateTime<Utc>,
) -> Effects {
    let (row_id, chat, phone) = (row.id.clone(), outgoing.chat.clone(), outgoing.phone.clone());
    let (snapshot, is_sms) = (outgoing.snapshot.clone(), outgoing.sms.is_some());
    let job_id = row.job_id.clone().unwrap_or_default();
    // One note is enough where the refusal of one part stands for the others.
    let told = code.is_some() || error.code.is_none();
    Box::new(move |tx| {
        let text = error.title.as_deref().unwrap_or_default();
        ledger::failed(tx.conn, &row_id, error.code, text, now)?;
        if error.code == Some(WINDOW_CLOSED) {
            chats::closed_as_seen(tx.conn, &chat)?;
        }
        let Some(phone) = snapshot.phone(&phone) else { return Ok(()) };
        let language = statuses::language_of(&snapshot, phone);
        if is_sms {
            progress::moved(tx, &job_id, language, now)?;
        }
        if !told || (is_sms && !phone.row.sms_to_chat) {
            return Ok(());
        }
        let mut note = notes::failure(&error, language);
        if error.code == Some(WINDOW_CLOSED) {
            let (lines, more) = held::choices(&templates::of_waba(tx.conn, phone.waba_key.as_str())?);
            note.push_str(&notes::choices(&lines, more, language));
        }
        let note = job::note(&phone.key, &ChatId::from(chat.id.as_str()), &row_id, note);
        jobs::enqueue(tx, &note, now)?;
        Ok(())
    })
}

/// An operator's template waits for the messaging limit: the line is told, once.
pub(super) fn limit_told(
    settled: Settled,
    outgoing: Outgoing,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Settled {
    if outgoing.item.is_none() {
        return settled;
    }
    let key = format!("limit:{}", settled.job.row.id);
    settled.with(move |tx| {
        let Some(phone) = outgoing.snapshot.phone(&outgoing.phone) else { return Ok(()) };
        let language = statuses::language_of(&outgoing.snapshot, phone);
        let text = notes::text(&Note::LimitReached { until }, language);
        let chat = ChatId::from(outgoing.chat.id.as_str());
        jobs::enqueue(tx, &job::note(&phone.key, &chat, &key, text), now)?;
        Ok(())
    })
}

/// A job that ended without Meta's verdict: its parts failed, and the line is told.
pub(super) fn given_up(settled: Settled, outgoing: Outgoing, now: DateTime<Utc>) -> Settled {
    let (job_id, attempts) = (settled.job.row.id.clone(), settled.job.row.attempts);
    // A job that dies again after a replay is told again.
    let key = format!("dead:{job_id}:{}", settled.job.row.lane_seq);
    settled.with(move |tx| {
        let (mut accepted_any, mut in_doubt) = (false, None);
        for row in ledger::of_job(tx.conn, &job_id)? {
            accepted_any |= row.wamid.is_some();
            if row.wamid.is_none() && row.delivery() != DeliveryState::Failed {
                if row.send_started {
                    in_doubt = Some(in_doubt.unwrap_or(false) || row.repeats > 0);
                }
                ledger::failed(tx.conn, &row.id, None, ledger::GIVEN_UP, now)?;
            }
        }
        if accepted_any {
            after_acceptance(tx, &outgoing, now)?;
        }
        let Some(phone) = outgoing.snapshot.phone(&outgoing.phone) else { return Ok(()) };
        let language = statuses::language_of(&outgoing.snapshot, phone);
        if outgoing.sms.is_some() {
            progress::given_up(tx, &job_id, language, now)?;
            if !phone.row.sms_to_chat {
                return Ok(());
            }
        }
        let attempts = u32::try_from(attempts).unwrap_or(0) + 1;
        let note = match in_doubt {
            Some(repeated) => Note::InDoubt { repeated },
            None => Note::Dead { attempts },
        };
        let text = notes::text(&note, language);
        let chat = ChatId::from(outgoing.chat.id.as_str());
        jobs::enqueue(tx, &job::note(&phone.key, &chat, &key, text), now)?;
        Ok(())
    })
}

/// A job of a chat that is dead because its runs were broken off again and again, by whatever in it: parts that
/// Meta never judged failed, and the line is told.
pub(super) fn broken_off(
    snapshot: &Snapshot,
    tx: &mut Tx<'_>,
    dead: &JobRow,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let attempts = u32::try_from(dead.attempts).unwrap_or(0);
    let note = match Kind::parse(&dead.kind) {
        Some(Kind::Send | Kind::Sms) => Note::Dead { attempts },
        Some(Kind::Message | Kind::File | Kind::Update | Kind::Delete) => Note::NotShown { attempts },
        _ => return Ok(()),
    };
    for part in ledger::of_job(tx.conn, &dead.id)? {
        if part.wamid.is_none() && part.delivery() != DeliveryState::Failed {
            ledger::failed(tx.conn, &part.id, None, ledger::GIVEN_UP, now)?;
        }
    }
    // The payload may be what broke the run: the lane's name tells the chat as well.
    let chat = dead.lane.split_once(':').map(|(_, chat)| ChatId::from(chat));
    let phone = Class::of_queue(&dead.queue).and_then(|(_, phone)| snapshot.phone(&phone.into()));
    let (Some(chat), Some(phone)) = (chat, phone) else { return Ok(()) };
    let language = statuses::language_of(snapshot, phone);
    if dead.kind == Kind::Sms.as_str() {
        progress::given_up(tx, &dead.id, language, now)?;
        if !phone.row.sms_to_chat {
            return Ok(());
        }
    }
    let text = notes::text(&note, language);
    let key = format!("dead:{}:{}", dead.id, dead.lane_seq);
    jobs::enqueue(tx, &job::note(&phone.key, &chat, &key, text), now)?;
    Ok(())
}

/// The operator's message, if the portal has it: a test of the panel's is none.
fn of_portal(outgoing: &Outgoing) -> Option<&OperatorItem> {
    outgoing.item.as_ref().filter(|item| !item.im_message_id.is_empty())
}

/// Meta has the last part: the portal's spinner goes, and the contact's message is marked read.
pub(super) fn after_acceptance(
    tx: &mut Tx<'_>,
    outgoing: &Outgoing,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(item) = of_portal(outgoing) else { return Ok(()) };
    let chat = ChatId::from(outgoing.chat.id.as_str());
    let acknowledge = Job::Acknowledge {
        chat_id: outgoing.chat.id.clone(),
        portal_id: item.portal_id.clone(),
        im_chat_id: item.im_chat_id.clone(),
        im_message_id: item.im_message_id.clone(),
    };
    let mut acknowledge = job::to_line(Kind::Acknowledge, &outgoing.phone, &chat, None, &acknowledge);
    // Of its own lane: a tick does not wait for what the contact writes meanwhile.
    acknowledge.lane = format!("ack:{chat}");
    acknowledge.dedupe_key = Some(format!("acknowledge:{}:{}", item.portal_id, item.im_message_id));
    jobs::enqueue(tx, &acknowledge, now)?;
    let read_receipts = outgoing.snapshot.phone(&outgoing.phone).is_some_and(|phone| phone.row.read_receipts);
    if let (true, Some(wamid)) = (read_receipts, &outgoing.chat.last_inbound_wamid) {
        let job = NewJob {
            kind: Kind::MarkRead.as_str(),
            queue: Class::Send.queue(&outgoing.phone),
            lane: lane_out(&chat),
            dedupe_key: Some(format!("read:{}:{wamid}", outgoing.phone)),
            payload: Job::MarkRead { wamid: wamid.clone() }.to_json(),
            message_id: None,
            not_before: None,
        };
        jobs::enqueue(tx, &job, now)?;
    }
    Ok(())
}
