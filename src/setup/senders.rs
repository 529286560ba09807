//! Phones as SMS senders of a portal's CRM (bitrix24 facts §6): registered while the phone is linked there and
//! its `sms_service` is on. The portal forgets them with each update of the application.

use tokio::sync::OwnedMutexGuard;

use super::{Setup, SetupError};
use crate::bitrix::error::CallError;
use crate::bitrix::messageservice::{Sender, SenderAdd, SenderDelete, SenderList, SenderUpdate};
use crate::directory::{Phone, Portal};
use crate::domain::{PortalId, Verdict};
use crate::store::phones::PhoneRow;

/// The scope that senders need.
pub const SMS_SCOPE: &str = "messageservice";

impl Setup {
    /// Registers the senders that a portal should have and deletes the others of ours. A portal that does not
    /// let us is no reason to leave the rest of its set-up undone; the reason is given back.
    pub(super) async fn restore_senders(&self, id: &PortalId) -> Result<Option<String>, SetupError> {
        // Lines that are gone may have been unlinked just now.
        self.directory.reload().await?;
        let snapshot = self.directory.now();
        let Some(portal) = snapshot.portal(id) else { return Ok(None) };
        let wanted: Vec<Phone> = snapshot
            .phones
            .iter()
            .filter(|phone| phone.row.sms_service)
            .filter(|phone| snapshot.binding_of_phone(&phone.key).is_some_and(|b| b.portal == *id))
            .cloned()
            .collect();
        match self.exchange_senders(portal, &wanted).await {
            Ok(()) => Ok(None),
            // The lack of a right that nobody needs is no harm.
            Err(error) if wanted.is_empty() && error.verdict() == Verdict::Reauthorize => Ok(None),
            Err(error) => {
                tracing::warn!(portal.id = %id, error = %error, "the SMS senders are not registered");
                Ok(Some(not_registered(&error)))
            }
        }
    }

    /// A phone was linked to a portal: it becomes a sender there if it is to be one. If that fails, the reason
    /// stands at the portal, and the daily check tries again.
    pub(super) async fn sender_follows(&self, portal: &Portal, phone: &Phone) -> Result<(), SetupError> {
        if !phone.row.sms_service {
            return Ok(());
        }
        let reason = self.add_sender(portal, phone).await.err().map(|error| error.to_string());
        if let Some(reason) = &reason {
            tracing::warn!(portal.id = %portal.id, reason, "a linked phone is not an SMS sender yet");
        }
        self.edit_portal(&portal.id, move |row| {
            if row.status == "active" {
                row.status_reason = reason.clone();
            }
        })
        .await
    }

    /// A phone's `sms_service` is about to be as in `row`: makes it true at the portal, if the phone is linked
    /// to one. What is given back keeps other set-ups of that portal away until the change is stored.
    pub(super) async fn switch_sender(
        &self,
        row: &PhoneRow,
    ) -> Result<Option<OwnedMutexGuard<()>>, SetupError> {
        let snapshot = self.directory.now();
        let Some(phone) = snapshot.phone(&row.id.as_str().into()) else { return Ok(None) };
        let portal =
            snapshot.binding_of_phone(&phone.key).and_then(|binding| snapshot.portal(&binding.portal));
        let portal = portal.filter(|portal| portal.row.status == "active");
        let Some(portal) = portal.filter(|_| phone.row.sms_service != row.sms_service) else {
            return Ok(None);
        };
        let Some(one_at_a_time) = self.begin(&portal.member_id) else {
            return Err(SetupError::Conflict(
                "a set-up of this portal runs; try again when it is done".to_owned(),
            ));
        };
        match row.sms_service {
            true => self.add_sender(portal, phone).await?,
            false => self.remove_sender(&portal.id, phone).await?,
        }
        Ok(Some(one_at_a_time))
    }

    async fn exchange_senders(&self, portal: &Portal, wanted: &[Phone]) -> Result<(), CallError> {
        let known = self.gateway.call(&portal.id, &SenderList).await?;
        for phone in wanted {
            self.register(portal, phone, known.contains(&phone.sender_code())).await?;
        }
        let codes: Vec<String> = wanted.iter().map(Phone::sender_code).collect();
        for code in known.iter().filter(|code| !codes.contains(code)) {
            self.gateway.call(&portal.id, &SenderDelete { code }).await?;
        }
        Ok(())
    }

    /// Makes a phone a sender of a portal.
    pub(super) async fn add_sender(&self, portal: &Portal, phone: &Phone) -> Result<(), SetupError> {
        let known = async {
            let known = self.gateway.call(&portal.id, &SenderList).await?;
            self.register(portal, phone, known.contains(&phone.sender_code())).await
        };
        known.await.map_err(|error| SetupError::Portal(not_registered(&error)))
    }

    /// A phone is no sender of a portal any more. A portal that is gone has none.
    pub(super) async fn remove_sender(&self, portal: &PortalId, phone: &Phone) -> Result<(), SetupError> {
        let code = phone.sender_code();
        match self.gateway.call(portal, &SenderDelete { code: &code }).await {
            Err(error) if error.is_uninstalled() || is_scope(&error) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// The same where nothing may depend on it.
    pub(super) async fn remove_sender_if_any(&self, portal: &PortalId, phone: &Phone) {
        if phone.row.sms_service
            && let Err(error) = self.remove_sender(portal, phone).await
        {
            tracing::warn!(portal.id = %portal, phone.id = %phone.key, error = %error, "an SMS sender stays registered until the next check");
        }
    }

    async fn register(&self, portal: &Portal, phone: &Phone, known: bool) -> Result<(), CallError> {
        let handler = self.public(&format!("/api/bitrix/sms/{}/", portal.sms_secret.expose()));
        let (code, name) = (phone.sender_code(), format!("WhatsApp +{}", phone.number));
        let sender = Sender {
            code: &code,
            name: &name,
            description: &phone.row.display_name,
            handler: handler.as_str(),
        };
        if !known && self.gateway.call(&portal.id, &SenderAdd(sender.clone())).await? {
            return Ok(());
        }
        self.gateway.call(&portal.id, &SenderUpdate(sender)).await
    }
}

fn is_scope(error: &CallError) -> bool {
    matches!(error.code(), "INSUFFICIENT_SCOPE" | "ERROR_METHOD_NOT_FOUND")
}

fn not_registered(error: &CallError) -> String {
    let advice = match is_scope(error) {
        true => "; grant the application the scope messageservice in Bitrix24 and install it again",
        false => "",
    };
    format!("the SMS senders are not registered: {error}{advice}")
}
