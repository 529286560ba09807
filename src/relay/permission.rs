//! A person's answer to the request to be called: what is remembered of it (whatsapp-sip facts §5.3).

use chrono::{DateTime, Utc};

use super::whose::clean;
use crate::domain::call::CallPermission;
use crate::store::call_permissions::{self, PermissionRow};
use crate::store::{StoreError, Tx};
use crate::whatsapp::message::{Content, WireMessage};
use crate::whatsapp::notification::Person;

/// Remembers the answer, if this message is one.
pub(super) fn answered(
    tx: &mut Tx<'_>,
    phone_id: &str,
    person: &Person,
    raw: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // Most messages are none: a look at the text is cheaper than parsing each of them here.
    if !raw.contains("call_permission_reply") {
        return Ok(());
    }
    let Ok(Content::CallPermission { response, permanent, expires }) =
        WireMessage::parse(raw).map(|wire| wire.content)
    else {
        return Ok(());
    };
    let allowed = match response.as_str() {
        "accept" => true,
        "reject" => false,
        _ => return Ok(()),
    };
    let expires = expires.filter(|_| !permanent);
    let number = person.wa_id.as_ref().map(|id| id.as_str());
    let user_id = person.user_id.as_ref().map(|id| id.as_str());
    for id in [number, user_id].into_iter().flatten() {
        let row = PermissionRow {
            phone_id: phone_id.to_owned(),
            person: clean(id),
            allowed: allowed && expires.is_none_or(|expires| expires > now),
            can_ask: true,
            good_until: CallPermission::good_until(allowed, expires, now).naive_utc(),
        };
        call_permissions::put(tx.conn, &row)?;
    }
    Ok(())
}
