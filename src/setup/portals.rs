//! Portals: what is set of them, and what they lack.

use super::behalf::{Change, Object};
use super::doctor::Scope;
use super::senders::SMS_SCOPE;
use super::validate::{self, Faults};
use super::{Setup, SetupError};
use crate::bitrix::imconnector::Unregister;
use crate::directory::{Phone, Portal, Snapshot};
use crate::domain::PortalId;
use crate::store::Page;
use crate::store::portals::{self, PortalRow};

/// Scopes without which chats do not work (bitrix24 facts §9).
pub const NEEDED_SCOPES: [&str; 3] = ["imopenlines", "imconnector", "im"];

/// What of a portal changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PortalChange {
    /// ISO-2 country of numbers without a code.
    pub default_country: Option<Option<String>>,
    /// Portal user who is told of alarms.
    pub alarm_user_id: Option<Option<String>>,
}

impl Setup {
    /// Changes a portal's settings.
    pub async fn change_portal(&self, id: &str, change: PortalChange) -> Result<PortalRow, SetupError> {
        let mut faults = Faults::default();
        let country =
            change.default_country.map(|country| country.as_deref().map(validate::country).transpose());
        let country = country.map(|country| faults.check("default_country", country));
        let user = change.alarm_user_id.map(|user| user.as_deref().map(validate::user_id).transpose());
        let user = user.map(|user| faults.check("alarm_user_id", user));
        faults.done()?;
        let (key, now, own) = (id.to_owned(), self.clock.now().naive_utc(), self.clone());
        // Read and written in one transaction: tokens may be rotated meanwhile.
        let row = self
            .db
            .write(move |tx| {
                let Some(before) = portals::get(tx.conn, &key)? else { return Ok(Change::Gone) };
                if own.behalf.is_stale(before.updated_at) {
                    return Ok(Change::Stale);
                }
                let mut row = before.clone();
                row.default_country = country.clone().unwrap_or(row.default_country);
                row.alarm_user_id = user.clone().unwrap_or(row.alarm_user_id);
                row.updated_at = now;
                portals::update(tx.conn, &row)?;
                own.note(tx, "change", object(&row), Some(&before), Some(&row))?;
                Ok(Change::Done(row))
            })
            .await?
            .done("portal")?;
        self.directory.reload().await?;
        self.check_later(Scope::Portal(row.id.clone()));
        Ok(row)
    }

    /// Forgets a portal to which no phone is bound; our connector there is removed if it still answers.
    pub async fn delete_portal(&self, id: &str) -> Result<(), SetupError> {
        let row = self.portal(id).await?;
        let portal = PortalId::from(id);
        let snapshot = self.directory.now();
        if snapshot.bindings.iter().any(|binding| binding.portal == portal) {
            return Err(SetupError::Conflict(
                "phones are linked to lines of this portal; unlink them first".to_owned(),
            ));
        }
        if snapshot.portal(&portal).is_some_and(Portal::is_active) {
            let unregister = Unregister { id: &self.config.bitrix.connector_code };
            if let Err(error) = self.gateway.call(&portal, &unregister).await {
                tracing::warn!(portal.id = id, error = %error, "our connector could not be removed from the portal");
            }
        }
        let own = self.clone();
        self.db
            .write(move |tx| {
                portals::delete(tx.conn, &row.id)?;
                own.note(tx, "delete", object(&row), Some(&row), None)
            })
            .await?;
        self.directory.reload().await?;
        self.check_later(Scope::All);
        Ok(())
    }

    /// A portal.
    pub async fn portal(&self, id: &str) -> Result<PortalRow, SetupError> {
        let id = id.to_owned();
        self.db.read(move |conn| portals::get(conn, &id)).await?.ok_or(SetupError::NotFound("portal"))
    }

    /// A page of portals.
    pub async fn portals(&self, page: Page) -> Result<Vec<PortalRow>, SetupError> {
        Ok(self.db.read(move |conn| portals::page(conn, &page)).await?)
    }

    /// Writes a change of a portal's row in one transaction, and reads the directory again.
    pub(super) async fn edit_portal(
        &self,
        id: &PortalId,
        edit: impl Fn(&mut PortalRow) + Send + 'static,
    ) -> Result<(), SetupError> {
        let (id, now) = (id.to_string(), self.clock.now().naive_utc());
        self.db
            .write(move |tx| {
                if let Some(mut row) = portals::get(tx.conn, &id)? {
                    edit(&mut row);
                    row.updated_at = now;
                    portals::update(tx.conn, &row)?;
                }
                Ok(())
            })
            .await?;
        Ok(self.directory.reload().await?)
    }
}

fn object(row: &PortalRow) -> Object<'_> {
    Object { kind: "portal", id: &row.id, name: &row.domain }
}

/// Scopes as a list.
pub fn scope_list(scopes: &str) -> Vec<String> {
    scopes.split(',').map(|scope| scope.trim().to_lowercase()).filter(|scope| !scope.is_empty()).collect()
}

/// Which of the needed scopes were not granted; `sms`: a phone is to be an SMS sender there.
pub fn missing_scopes(scopes: &str, sms: bool) -> Vec<String> {
    let granted = scope_list(scopes);
    let needed = NEEDED_SCOPES.iter().chain(sms.then_some(&SMS_SCOPE));
    needed.filter(|needed| !granted.iter().any(|scope| scope == *needed)).map(|s| (*s).to_owned()).collect()
}

/// The needed scopes that a portal did not grant, those of its SMS senders among them.
pub fn lacks(snapshot: &Snapshot, portal: &Portal) -> Vec<String> {
    // A phone that is a sender there, or will be once it is linked.
    let is_sender = |phone: &Phone| {
        let binding = snapshot.binding_of_phone(&phone.key);
        phone.row.sms_service && binding.is_none_or(|binding| binding.portal == portal.id)
    };
    missing_scopes(&portal.row.scopes, snapshot.phones.iter().any(is_sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_scopes_are_named() {
        assert_eq!(missing_scopes("imopenlines, IM,crm", false), ["imconnector"]);
        assert!(missing_scopes("im,imconnector,imopenlines", false).is_empty());
        assert_eq!(missing_scopes("", false).len(), 3);
        assert_eq!(missing_scopes("im,imconnector,imopenlines", true), ["messageservice"]);
    }
}
