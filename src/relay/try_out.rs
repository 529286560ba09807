//! Sends a template to a number of an administrator's choice, by the way that operators' messages go: the same
//! lane, the same gates, a row in the ledger. The portal did not write it, so nothing there is ticked off.

use super::Relay;
use super::whose::chat_of_number;
use crate::domain::{ChatId, PhoneKey, PhoneNumber};
use crate::queue::job::{Class, Job, Kind, OperatorItem, lane_out};
use crate::store::StoreError;
use crate::store::jobs::{self, NewJob};

impl Relay {
    /// Sends the template of a shorthand to a number. `false`: there is no such phone.
    ///
    /// # Errors
    /// A failure of the database: nothing is sent.
    pub async fn try_template(
        &self,
        phone: &PhoneKey,
        number: &PhoneNumber,
        shorthand: &str,
    ) -> Result<bool, StoreError> {
        let snapshot = self.directory.now();
        let Some(phone) = snapshot.phone(phone).cloned() else { return Ok(false) };
        let portal = snapshot.binding_of_phone(&phone.key).map(|binding| binding.portal.to_string());
        let item = OperatorItem {
            portal_id: portal.unwrap_or_default(),
            text: shorthand.to_owned(),
            ..OperatorItem::default()
        };
        let (number, now) = (number.digits().to_owned(), self.clock.now());
        self.db
            .write(move |tx| {
                let chat_id = chat_of_number(tx, &phone, &number, now)?;
                let job = NewJob {
                    kind: Kind::Send.as_str(),
                    queue: Class::Send.queue(&phone.key),
                    lane: lane_out(&ChatId::from(chat_id.as_str())),
                    dedupe_key: None,
                    payload: Job::Send { chat_id, item: item.clone() }.to_json(),
                    message_id: None,
                    not_before: None,
                };
                jobs::enqueue(tx, &job, now)?;
                Ok(true)
            })
            .await
    }
}
