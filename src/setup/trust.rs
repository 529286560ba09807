//! Which portal an event comes from: `member_id` and `application_token` are compared with what is stored,
//! in constant time (bitrix24 facts §2.3).

use std::sync::PoisonError;

use subtle::ConstantTimeEq as _;

use super::proof::refused;
use super::{Setup, SetupError};
use crate::bitrix::event::EventAuth;
use crate::directory::{Portal, context};
use crate::domain::{MemberId, Secret};

impl Setup {
    /// The portal that an event is proven to come from.
    pub async fn trusted_portal(&self, auth: &EventAuth) -> Result<Portal, SetupError> {
        let (Some(member_id), Some(token)) = (&auth.member_id, &auth.application_token) else {
            return Err(
                self.distrust(auth.member_id.as_ref(), "an event without member_id or application_token")
            );
        };
        let snapshot = self.directory.now();
        let Some(portal) = snapshot.portal_by_member(member_id) else {
            return Err(self.distrust(Some(member_id), "an event of a portal that is not installed here"));
        };
        match &portal.application_token {
            Some(known) if same(known, token) => Ok(portal.clone()),
            Some(_) => Err(self.distrust(Some(member_id), "an event with a wrong application_token")),
            None => self.pin(portal, auth, token).await,
        }
    }

    /// The portal whose SMS handler has this secret in its path; `token` and `member_id` are compared where the
    /// portal sends them (bitrix24 facts §6.2: robots have neither).
    pub fn portal_of_sms(
        &self,
        secret: &str,
        token: Option<&Secret>,
        member_id: Option<&MemberId>,
    ) -> Result<Portal, SetupError> {
        let (snapshot, given) = (self.directory.now(), Secret::from(secret));
        let portal = snapshot.portals.iter().find(|portal| same(&portal.sms_secret, &given));
        let Some(portal) = portal.filter(|portal| portal.is_active()) else {
            return Err(self.distrust(None, "an SMS with an unknown secret"));
        };
        if !self.page_token_fits(portal, token) {
            return Err(self.distrust(Some(&portal.member_id), "an SMS with a wrong application_token"));
        }
        if member_id.is_some_and(|member_id| *member_id != portal.member_id) {
            return Err(self.distrust(Some(&portal.member_id), "an SMS of another portal"));
        }
        Ok(portal.clone())
    }

    /// Whether a page's `APPLICATION_TOKEN`, if it has one, is the portal's.
    pub(super) fn page_token_fits(&self, portal: &Portal, token: Option<&Secret>) -> bool {
        match (&portal.application_token, token) {
            (Some(known), Some(token)) => same(known, token),
            _ => true,
        }
    }

    /// The first event of an application whose token we were never told.
    async fn pin(&self, portal: &Portal, auth: &EventAuth, token: &Secret) -> Result<Portal, SetupError> {
        let unproven = "an event with an unknown application_token that nothing proves";
        let Some(access_token) = &auth.access_token else {
            return Err(self.distrust(Some(&portal.member_id), unproven));
        };
        let server = auth.server_endpoint.as_deref().unwrap_or(&portal.row.server_endpoint);
        match self.token_is_of(portal, server, access_token).await {
            Ok(true) => {}
            Ok(false) | Err(SetupError::Refused(_)) => {
                return Err(self.distrust(Some(&portal.member_id), unproven));
            }
            Err(error) => return Err(error),
        }
        let sealed = self.directory.vault().seal(token, context::APPLICATION_TOKEN);
        self.edit_portal(&portal.id, move |row| {
            // Another event may have pinned it meanwhile.
            row.application_token_sealed.get_or_insert_with(|| sealed.clone());
        })
        .await?;
        tracing::info!(portal.id = %portal.id, "the portal's application_token is proven and pinned");
        let snapshot = self.directory.now();
        let pinned = snapshot
            .portal(&portal.id)
            .filter(|portal| portal.application_token.as_ref().is_some_and(|known| same(known, token)));
        pinned.cloned().ok_or_else(|| refused(unproven))
    }

    /// Logs a refusal once and gives it as an error; once for all portals that we do not know, since a stranger can
    /// name as many as he likes.
    fn distrust(&self, member_id: Option<&MemberId>, why: &'static str) -> SetupError {
        let snapshot = self.directory.now();
        let installed = member_id.filter(|id| snapshot.portal_by_member(id).is_some());
        let key = format!("{} {why}", installed.map(MemberId::as_str).unwrap_or_default());
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        if is_new {
            let named: String =
                member_id.map(MemberId::as_str).unwrap_or_default().chars().take(64).collect();
            tracing::warn!(portal.member_id = named, "{why} is refused; further ones are not logged");
        }
        refused(why)
    }
}

fn same(known: &Secret, given: &Secret) -> bool {
    !known.is_empty() && bool::from(known.expose().as_bytes().ct_eq(given.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_token_proves_nothing() {
        assert!(same(&Secret::from("a"), &Secret::from("a")));
        assert!(!same(&Secret::from("a"), &Secret::from("ab")));
        assert!(!same(&Secret::default(), &Secret::default()));
    }
}
