//! Sending and read marks (whatsapp-messaging facts §2.1, §2.6).

use reqwest::Method;
use serde_json::{Value, json};

use super::GraphClient;
use crate::domain::{PhoneNumberId, Secret, UserId, WaId, Wamid};
use crate::whatsapp::error::GraphError;
use crate::whatsapp::outgoing::OutgoingMessage;

/// Meta has taken a message; that is not yet delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Its id.
    pub wamid: Wamid,
    /// The number as WhatsApp has it, which may differ from the one that was given.
    pub wa_id: Option<WaId>,
    /// The person's business-scoped id.
    pub user_id: Option<UserId>,
    /// Only for templates: `accepted`, `held_for_quality_assessment`, `paused`.
    pub message_status: Option<String>,
}

impl GraphClient {
    /// Sends a message from a phone.
    ///
    /// # Errors
    /// Look at [`GraphError::in_doubt`] before sending again: there is no idempotency key.
    pub async fn send(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        message: &OutgoingMessage,
    ) -> Result<Accepted, GraphError> {
        let request = self.call(Method::POST, token, &[phone.as_str(), "messages"])?.json(&message.to_json());
        // By hand: a success is never to be lost over a key that we do not need.
        let answer: Value = self.answer(request, token).await?;
        let text = |path: &str| answer.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(Accepted {
            wamid: text("/messages/0/id")
                .map(Wamid::from)
                .ok_or(GraphError::Unreadable { http: 200, retry_after: None })?,
            wa_id: text("/contacts/0/wa_id").map(WaId::from),
            user_id: text("/contacts/0/user_id").map(UserId::from),
            message_status: text("/messages/0/message_status").map(str::to_owned),
        })
    }

    /// Shows the person that this message and all before it were read; at most 30 days back.
    pub async fn mark_read(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        wamid: &Wamid,
    ) -> Result<(), GraphError> {
        let body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": wamid});
        let request = self.call(Method::POST, token, &[phone.as_str(), "messages"])?.json(&body);
        self.success(request, token).await
    }
}
