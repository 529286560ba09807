//! What makes a portal ready (bitrix24 facts §10): connector, events, linked lines, SMS senders. Every step
//! may be repeated, so the whole is repeated after an update, at start, and after a failure.

use super::{Setup, SetupError};
use crate::bitrix::events::{self, EVENTS, EventBind, EventGet, EventUnbind};
use crate::bitrix::imconnector::Register;
use crate::bitrix::openlines::ConfigGet;
use crate::bitrix::users::AppInfoGet;
use crate::domain::PortalId;
use crate::queue::Class;
use crate::store::lines;

/// Name of the connector in the contact center.
const CONNECTOR_NAME: &str = "WhatsApp";

impl Setup {
    /// Sets a portal up, alone; waits while another set-up of it runs.
    pub async fn set_up(&self, id: &PortalId) -> Result<(), SetupError> {
        let member_id = {
            let snapshot = self.directory.now();
            snapshot.portal(id).ok_or(SetupError::NotFound("portal"))?.member_id.clone()
        };
        let _one_at_a_time = self.gate(&member_id).lock_owned().await;
        self.sequence(id).await
    }

    /// Sets every installed portal up again: what was broken off goes on, what the portal lost comes back.
    /// For the start and once a day.
    pub async fn check_portals(&self) {
        let snapshot = self.directory.now();
        for portal in snapshot.portals.iter() {
            let due =
                matches!(portal.row.status.as_str(), "installing" | "active") && portal.broken.is_none();
            if due && let Err(error) = self.set_up(&portal.id).await {
                tracing::warn!(portal.id = %portal.id, error = %error, "the portal could not be checked");
            }
        }
    }

    /// The steps; the caller holds the portal's gate.
    pub(super) async fn sequence(&self, id: &PortalId) -> Result<(), SetupError> {
        match self.steps(id).await {
            Ok(left) => {
                self.edit_portal(id, move |row| {
                    // A refusal of the tokens on the way has the last word.
                    if row.status == "installing" || row.status == "active" {
                        row.status = "active".to_owned();
                        row.status_reason = left.clone();
                    }
                })
                .await?;
                self.resume(id);
                Ok(())
            }
            Err(error) => {
                let reason = format!("the set-up is not finished: {error}");
                self.edit_portal(id, move |row| {
                    if row.status == "installing" {
                        row.status_reason = Some(reason.clone());
                    }
                })
                .await?;
                Err(error)
            }
        }
    }

    /// What is left undone without keeping chats from working is given back as a reason.
    async fn steps(&self, id: &PortalId) -> Result<Option<String>, SetupError> {
        self.register_connector(id).await?;
        self.bind_events(id).await?;
        self.restore_lines(id).await?;
        let left = self.restore_senders(id).await?;
        let info = self.gateway.call(id, &AppInfoGet).await?;
        if let Some(license) = &info.license {
            self.gateway.set_license(id, license);
        }
        let known = self.directory.now().portal(id).and_then(|portal| portal.row.region.clone());
        if info.region.is_some() && info.region != known {
            self.edit_portal(id, move |row| row.region.clone_from(&info.region)).await?;
        }
        Ok(left)
    }

    /// Registers our connector.
    pub(super) async fn register_connector(&self, id: &PortalId) -> Result<(), SetupError> {
        let register = Register {
            id: &self.config.bitrix.connector_code,
            name: CONNECTOR_NAME,
            placement_handler: &self.connector_url(),
            // Each phone decides for itself; what is not wanted is dropped here.
            system_messages: true,
        };
        Ok(self.gateway.call(id, &register).await?)
    }

    /// Binds each event once, to our address.
    pub(super) async fn bind_events(&self, id: &PortalId) -> Result<(), SetupError> {
        let handler = self.handler_url().to_string();
        let bound = self.gateway.call(id, &EventGet).await?;
        // The address may have changed since: the path tells our own.
        let (stale, missing) = events::plan(&bound, &EVENTS, &handler, Self::is_our_handler);
        for binding in stale {
            self.gateway.call(id, &EventUnbind { binding }).await?;
        }
        for event in missing {
            self.gateway.call(id, &EventBind { event, handler: &handler }).await?;
        }
        Ok(())
    }

    /// Switches the linked lines on again; a line that is gone is unlinked.
    async fn restore_lines(&self, id: &PortalId) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        for binding in snapshot.bindings.iter().filter(|binding| binding.portal == *id) {
            let Some(phone) = snapshot.phone(&binding.phone) else { continue };
            if self.gateway.call(id, &ConfigGet { line: &binding.line }).await?.is_some() {
                self.switch_on(id, &binding.line, phone).await?;
                if let Some(portal) = snapshot.portal(id) {
                    self.telephony_line(portal, phone).await?;
                }
            } else {
                tracing::warn!(portal.id = %id, line = %binding.line, "a linked line is gone; it is unlinked");
                let phone = binding.phone.to_string();
                self.db.write(move |tx| lines::unbind_phone(tx.conn, &phone)).await?;
            }
        }
        Ok(())
    }

    /// Lets what waits for the portal's lines run.
    /// What waits for Meta is tried again at once: somebody mended an app, a WABA or a phone.
    pub(super) fn resume_phones(&self) {
        for phone in &self.directory.now().phones {
            for class in [Class::Send, Class::Media] {
                self.scheduler.resume(&class.queue(&phone.key));
            }
        }
    }

    fn resume(&self, id: &PortalId) {
        self.scheduler.resume(&Class::portal_queue(id));
        let snapshot = self.directory.now();
        for binding in snapshot.bindings.iter().filter(|binding| binding.portal == *id) {
            for class in [Class::Line, Class::Call] {
                self.scheduler.resume(&class.queue(&binding.phone));
            }
        }
    }
}
