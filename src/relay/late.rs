//! A free text that Meta had taken and then refused, by a status, because the window was closed: it follows
//! the phone's setting as one does that was stopped before.
//!
//! The whole message is planned once more, by a job whose key is that of the job that sent it: however many
//! parts of it fail, and however often Meta says so, that happens once.

use chrono::{DateTime, Utc};

use crate::directory::Phone;
use crate::domain::ChatId;
use crate::queue::job::{Class, Job, Kind, lane_out};
use crate::store::jobs::{self, NewJob};
use crate::store::messages::MessageRow;
use crate::store::{StoreError, Tx, sms};

/// Numbers of parts of one message begin so far apart, each time that it is planned.
const PARTS: i32 = 10_000;

/// Whether the message goes another way, so that its failure is not told.
pub(super) fn follows_setting(
    tx: &mut Tx<'_>,
    phone: &Phone,
    message: &MessageRow,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(job_id) = message.job_id.as_deref().filter(|_| message.kind != "template") else {
        return Ok(false);
    };
    let Some(sent) = jobs::get(tx.conn, job_id)? else { return Ok(false) };
    let carried = phone.row.fallback_template.is_some();
    let (kind, again) = match Job::from_json(&sent.payload) {
        Ok(Job::Send { chat_id, mut item }) => {
            let follows = match phone.row.closed_window.as_str() {
                "hold" => true,
                "template" => carried,
                _ => false,
            };
            if !follows {
                return Ok(false);
            }
            // The rows of the first time stay in the ledger.
            item.first_part += PARTS;
            (Kind::Send, Job::Send { chat_id, item })
        }
        Ok(Job::Sms { chat_id }) if carried => (Kind::Sms, Job::Sms { chat_id }),
        _ => return Ok(false),
    };
    let job = NewJob {
        kind: kind.as_str(),
        queue: Class::Send.queue(&phone.key),
        lane: lane_out(&ChatId::from(message.chat_id.as_str())),
        dedupe_key: Some(format!("closed:{job_id}")),
        payload: again.to_json(),
        message_id: None,
        not_before: None,
    };
    let Some(new_id) = jobs::enqueue(tx, &job, now)? else { return Ok(true) };
    if let Some(request) = sms::of_job(tx.conn, job_id)? {
        sms::placed(tx.conn, &request.id, &message.chat_id, &new_id)?;
    }
    tracing::info!(
        job.id = job_id,
        "Meta knew the window closed only afterwards; the phone's setting decides"
    );
    Ok(true)
}
