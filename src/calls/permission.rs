//! Whether a person may be called: Meta is asked, and its answer believed for a while.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Calls;
use crate::domain::PhoneKey;
use crate::domain::call::{CallPeer, CallPermission};
use crate::store::call_permissions::{self, PermissionRow};

/// A call waits no longer for Meta's answer: then it goes out, and Meta refuses it itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// May this person be called from this phone?
#[derive(Debug)]
pub struct Question {
    /// Our phone.
    pub phone: PhoneKey,
    /// Who is to be called.
    pub peer: CallPeer,
    /// Where the answer goes.
    pub reply: oneshot::Sender<CallPermission>,
}

impl Calls {
    pub(super) async fn answer_one(&self, question: Question) {
        let Question { phone, peer, reply } = question;
        let asked = tokio::time::timeout(PATIENCE, self.permission(&phone, &peer));
        let answer = asked.await.unwrap_or(CallPermission::Allowed);
        // Nobody waits any more: the caller gave up.
        let _ = reply.send(answer);
    }

    /// Whether a person may be called. What cannot be found out is allowed: Meta refuses itself.
    pub async fn permission(&self, phone: &PhoneKey, peer: &CallPeer) -> CallPermission {
        let person = peer.digits.as_deref().or(peer.user_id.as_ref().map(|id| id.as_str()));
        let Some(person) = person.map(str::to_owned) else { return CallPermission::Allowed };
        let (now, key, who) = (self.clock.now(), phone.to_string(), person.clone());
        let known = self.db.read(move |conn| call_permissions::fresh(conn, &key, &who, now)).await;
        if let Ok(Some(row)) = known {
            return told(&row);
        }
        let snapshot = self.directory.now();
        let Some(channel) = snapshot.channel(phone).filter(|channel| channel.broken().is_none()) else {
            return CallPermission::Allowed;
        };
        let graph = match &channel.app.graph_version {
            Some(version) => self.graph.at_version(version),
            None => self.graph.clone(),
        };
        let id = &channel.phone.phone_number_id;
        let asked =
            graph.call_permissions(channel.token(), id, peer.digits.as_deref(), peer.user_id.as_ref());
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(phone.id = %id, error = %error, "Meta does not say whether a person may be called");
                return CallPermission::Allowed;
            }
        };
        let Some(allowed) = answer.allows() else { return CallPermission::Allowed };
        let now = self.clock.now();
        let row = PermissionRow {
            phone_id: phone.to_string(),
            person,
            allowed,
            can_ask: answer.can_ask.unwrap_or(true),
            good_until: CallPermission::good_until(allowed, answer.expires_at, now).naive_utc(),
        };
        let permission = told(&row);
        if let Err(error) = self.db.write(move |tx| call_permissions::put(tx.conn, &row)).await {
            tracing::warn!(error = %error, "a permission to call is not remembered");
        }
        permission
    }
}

fn told(row: &PermissionRow) -> CallPermission {
    if row.allowed {
        return CallPermission::Allowed;
    }
    // In a SIP reason: plain ASCII, short.
    let how = if row.can_ask {
        "Send a call permission request (inside the 24-hour window, or by a template) and call when it is \
         accepted"
    } else {
        "A request cannot be sent now: at most one in 24 hours and two in 7 days"
    };
    CallPermission::Refused(format!("The customer has not permitted calls. {how}"))
}
