//! What follows from a moment of a call, written with it: the person and their window, jobs for the CRM card,
//! notes in the line.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::WindowOpened;

use crate::directory::{Phone, Portal, Snapshot};
use crate::domain::call::{CallEnd, CallMoment, EndCause};
use crate::domain::{CallId, ChatId, Direction, Language, PhoneKey};
use crate::queue::job::{self, Kind};
use crate::store::calls::{self, CallRow};
use crate::store::contacts::{self, Aliases};
use crate::store::{StoreError, Tx, call_permissions, chats, jobs};
use crate::translate::notes::{self, MissedCall, Note};

/// Scope without which there are no cards.
const TELEPHONY: &str = "telephony";

/// What a moment is written with.
pub(super) struct Around {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) opened: WindowOpened,
    pub(super) now: DateTime<Utc>,
}

/// Writes what follows. `row` is the record with the moment applied; the caller writes it afterwards.
pub(super) fn follow(
    tx: &mut Tx<'_>,
    around: &Around,
    row: &mut CallRow,
    moment: &CallMoment,
) -> Result<(), StoreError> {
    let (snapshot, now) = (&*around.snapshot, around.now);
    let Some(phone) = row.phone_id.as_deref().and_then(|id| snapshot.phone(&PhoneKey::from(id))) else {
        return Ok(());
    };
    let call = CallId::from(row.id.as_str());
    if proves(moment) || matches!(moment, CallMoment::Identified(_)) {
        calls::adopt(tx.conn, row)?;
    }
    if proves(moment) && row.chat_id.is_none() {
        begin(tx, around, phone, row)?;
    }
    let has_card = row.chat_id.is_some() && card_portal(snapshot, &phone.key).is_some();
    match moment {
        CallMoment::Answered { agent: Some(_) } if has_card && row.peer_digits.is_some() => {
            jobs::enqueue(tx, &job::card(Kind::CallAnswered, &phone.key, &call), now)?;
        }
        CallMoment::Ended(end) => {
            if row.chat_id.is_some() && row.peer_digits.is_some() {
                jobs::enqueue(tx, &job::card(Kind::CallFinish, &phone.key, &call), now)?;
            }
            missed(tx, snapshot, phone, row, end, now)?;
            if end.cause == EndCause::NoPermission {
                for person in [&row.peer_digits, &row.peer_user_id].into_iter().flatten() {
                    call_permissions::forget(tx.conn, phone.key.as_str(), person)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether the call is believed to be what it says: the edge goes on with none that failed its checks, and
/// what was refused at once must not open anybody's window.
fn proves(moment: &CallMoment) -> bool {
    match moment {
        CallMoment::Forwarded { .. } | CallMoment::Ringing | CallMoment::Answered { .. } => true,
        CallMoment::Ended(end) => {
            !matches!(end.cause, EndCause::UnknownNumber | EndCause::Refused | EndCause::Overload)
        }
        CallMoment::Arrived(_) | CallMoment::Identified(_) | CallMoment::Noted(_) => false,
    }
}

/// The person is found or made, as for a message; a call of theirs opens the window; the CRM is told.
fn begin(tx: &mut Tx<'_>, around: &Around, phone: &Phone, row: &mut CallRow) -> Result<(), StoreError> {
    let (snapshot, now) = (&*around.snapshot, around.now);
    let aliases =
        Aliases { user_id: row.peer_user_id.clone(), wa_id: row.peer_digits.clone(), others: Vec::new() };
    let name = row.peer_name.as_deref();
    let contact = contacts::resolve(tx.conn, phone.waba_key.as_str(), &aliases, name, None, now)?;
    let Some(contact) = contact else { return Ok(()) };
    let chat = chats::open(tx.conn, &contact, phone.key.as_str(), now)?;
    (row.contact_id, row.chat_id) = (Some(contact), Some(chat.clone()));
    let inbound = row.direction == Direction::Inbound.as_str();
    if inbound {
        chats::contact_called(tx.conn, &chat, row.created_at.and_utc().min(now))?;
        (around.opened)(tx, &phone.key, &chat, now)?;
    }
    let call = CallId::from(row.id.as_str());
    if row.peer_digits.is_some() {
        if card_portal(snapshot, &phone.key).is_some() {
            jobs::enqueue(tx, &job::card(Kind::CallRegister, &phone.key, &call), now)?;
        }
    } else if let (true, Some(language)) = (inbound, line_language(snapshot, &phone.key)) {
        let text = notes::text(&Note::CallWithoutNumber, language);
        let note = job::note(&phone.key, &ChatId::from(chat), &format!("call:{call}"), text);
        jobs::enqueue(tx, &note, now)?;
    }
    Ok(())
}

/// A customer's call that nobody answered is told in the line.
fn missed(
    tx: &mut Tx<'_>,
    snapshot: &Snapshot,
    phone: &Phone,
    row: &CallRow,
    end: &CallEnd,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let inbound = row.direction == Direction::Inbound.as_str();
    let (Some(chat), true, None) = (&row.chat_id, inbound, row.answered_at) else { return Ok(()) };
    let Some(language) = line_language(snapshot, &phone.key) else { return Ok(()) };
    let why = match end.cause {
        EndCause::Cancelled => MissedCall::GaveUp,
        EndCause::NoAnswer => MissedCall::NoAnswer,
        EndCause::Declined => MissedCall::Declined,
        _ => MissedCall::NotConnected,
    };
    let text = notes::text(&Note::MissedCall(why), language);
    let note = job::note(&phone.key, &ChatId::from(chat.as_str()), &format!("missed:{}", row.id), text);
    jobs::enqueue(tx, &note, now).map(drop)
}

/// The language of notes in the line of a phone; `None`: it has no line.
fn line_language(snapshot: &Snapshot, phone: &PhoneKey) -> Option<Language> {
    portal_of(snapshot, phone).map(|portal| portal.language)
}

fn portal_of<'a>(snapshot: &'a Snapshot, phone: &PhoneKey) -> Option<&'a Portal> {
    snapshot.portal(&snapshot.binding_of_phone(phone)?.portal)
}

/// The portal that shows the calls of a phone: where its line is, if the portal lets us.
pub(super) fn card_portal<'a>(snapshot: &'a Snapshot, phone: &PhoneKey) -> Option<&'a Portal> {
    portal_of(snapshot, phone).filter(|portal| portal.is_active() && has_scope(portal, TELEPHONY))
}

/// Whether a portal granted a scope.
pub(super) fn has_scope(portal: &Portal, scope: &str) -> bool {
    portal.row.scopes.split(',').any(|granted| granted.trim().eq_ignore_ascii_case(scope))
}
