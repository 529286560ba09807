//! A phone's settings for calls: written at Meta, read back, compared (whatsapp-sip facts §1).

mod wish;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::behalf::{Object, stale};
use super::doctor::Scope;
use super::{Setup, SetupError};
use crate::bitrix::telephony::{LineAdd, LineAdded, LineDelete, LineUpdate};
use crate::directory::{Phone, Portal, context};
use crate::domain::{PhoneKey, PhoneNumberId, PortalId, Secret, Verdict};
use crate::setup::portals::scope_list;
use crate::store::calling::{self, CallingRow};
use crate::whatsapp::GraphClient;
use crate::whatsapp::client::{CallingSettings, CallingWish};
use crate::whatsapp::error::{GraphError, Refusal, call_fault, rule};
pub use wish::NewCalling;

/// A phone's settings for calls.
#[derive(Clone, Debug)]
pub struct CallingState {
    /// What is stored; `None`: nothing was ever saved here.
    pub row: Option<CallingRow>,
    /// What Meta has.
    pub meta: CallingSettings,
    /// What is wrong.
    pub error: Option<CallingError>,
}

/// What is wrong with a phone's settings for calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingError {
    /// Meta's code; 0 = Meta gave none.
    pub code: i64,
    /// Meta's words, or ours where it gave none.
    pub title: String,
    /// What it means and what to do.
    pub explanation: String,
}

impl CallingError {
    fn ours(title: &str, explanation: impl Into<String>) -> Self {
        Self { code: 0, title: title.to_owned(), explanation: explanation.into() }
    }

    /// Of Meta's refusal.
    fn of(refusal: &Refusal) -> Self {
        let fault = call_fault(refusal.code);
        let prefix = format!("(#{})", refusal.code);
        let said = refusal.message.strip_prefix(&prefix).unwrap_or(&refusal.message).trim();
        let title = refusal.user_title.as_deref().unwrap_or(said);
        let title = if title.is_empty() { fault.map_or("Meta refused", |fault| fault.title) } else { title };
        let meaning = match fault {
            Some(fault) => fault.explanation,
            None if rule(refusal.code).is_some_and(|rule| rule.verdict == Verdict::Reauthorize) => {
                "Meta does not accept the access token for this. It must be valid, belong to this app and have \
                 the permission whatsapp_business_management for this account."
            }
            None => {
                "This bridge does not know this code. Try again; if it goes on, look for the code in Meta's \
                     documentation of calling."
            }
        };
        let details = refusal.details.as_deref().or(refusal.user_msg.as_deref());
        let details = details.map(|text| format!(" Meta says: {text}")).unwrap_or_default();
        Self { code: refusal.code, title: title.to_owned(), explanation: format!("{meaning}{details}") }
    }

    fn of_row(row: &CallingRow) -> Option<Self> {
        Some(Self {
            code: row.error_code?,
            title: row.error_title.clone().unwrap_or_default(),
            explanation: row.error_explanation.clone().unwrap_or_default(),
        })
    }
}

impl Setup {
    /// Writes a phone's settings at Meta, reads them back and stores them with what Meta made of them.
    ///
    /// # Errors
    /// [`SetupError::Meta`] only if Meta cannot be reached; then nothing is stored. What Meta refuses is told
    /// in [`CallingState::error`].
    pub async fn set_calling(&self, phone_id: &str, new: NewCalling) -> Result<CallingState, SetupError> {
        let (graph, token, number) = self.calling_access(phone_id)?;
        let _one_at_a_time = self.named_gate(format!("calling:{phone_id}")).lock_owned().await;
        let id = phone_id.to_owned();
        let before = self.db.read(move |conn| calling::get(conn, &id)).await?;
        if before.as_ref().is_some_and(|row| self.behalf.is_stale(row.updated_at)) {
            return Err(stale());
        }
        let params = new.user_params.clone().unwrap_or_else(|| params_at_meta(before.as_ref()));
        let mut row = self.checked(phone_id, new, before.clone())?;
        let is_on = row.status == "ENABLED" && row.sip_status == "ENABLED";
        let wish = CallingWish {
            status: row.status.clone(),
            sip_status: row.sip_status.clone(),
            keying: row.keying.clone(),
            webhook_delivery: row.webhook_delivery.clone(),
            // Switched off means that Meta forgets the server; so a new password is made the next time.
            server: row.hostname.clone().filter(|_| is_on).zip(u16::try_from(row.port).ok()),
            user_params: params.clone(),
        };
        let written = self.counted("settings", graph.set_calling(&token, &number, &wish).await);
        let refused = match written {
            Ok(()) => None,
            Err(error) => Some(told(error)?),
        };
        let (meta, unread) = self.read_calling(&graph, &token, &number).await?;
        if !is_on && refused.is_none() {
            row.sip_password_sealed = None;
        }
        self.take_in(&mut row, &meta);
        let error = refused
            .or(unread)
            .or_else(|| self.difference(&row, &meta))
            .or_else(|| is_on.then(|| other_params(&row, &meta, &params)).flatten());
        self.store_calling(&mut row, error.clone(), Some(before)).await?;
        self.show_line(phone_id).await;
        self.check_later(Scope::Phone(phone_id.to_owned()));
        Ok(CallingState { row: Some(row), meta, error })
    }

    /// A phone's settings, as Meta has them now.
    ///
    /// # Errors
    /// [`SetupError::Meta`] only if Meta cannot be reached.
    pub async fn calling(&self, phone_id: &str) -> Result<CallingState, SetupError> {
        let (graph, token, number) = self.calling_access(phone_id)?;
        let (meta, unread) = self.read_calling(&graph, &token, &number).await?;
        let id = phone_id.to_owned();
        let Some(mut row) = self.db.read(move |conn| calling::get(conn, &id)).await? else {
            return Ok(CallingState { row: None, meta, error: unread });
        };
        if let Some(error) = unread {
            return Ok(CallingState { row: Some(row), meta, error: Some(error) });
        }
        self.take_in(&mut row, &meta);
        let differs = self.difference(&row, &meta);
        // What Meta refused stays told until what is wanted is there.
        let error = differs.map(|differs| CallingError::of_row(&row).unwrap_or(differs));
        self.store_calling(&mut row, error.clone(), None).await?;
        Ok(CallingState { row: Some(row), meta, error })
    }

    /// Reads Meta's settings with the password, or without it if the token may not see it. The second part
    /// tells why nothing could be read.
    async fn read_calling(
        &self,
        graph: &GraphClient,
        token: &Secret,
        number: &PhoneNumberId,
    ) -> Result<(CallingSettings, Option<CallingError>), SetupError> {
        let first = self.counted("settings", graph.calling(token, number, true).await);
        match first {
            Ok(settings) => return Ok((settings, None)),
            Err(error) => told(error)?,
        };
        match self.counted("settings", graph.calling(token, number, false).await) {
            Ok(settings) => Ok((settings, None)),
            Err(error) => Ok((CallingSettings::default(), Some(told(error)?))),
        }
    }

    /// Takes in what only Meta knows: the password, the group of its addresses.
    fn take_in(&self, row: &mut CallingRow, meta: &CallingSettings) {
        row.meta = Some(meta.shown.to_string());
        row.checked_at = Some(self.clock.now().naive_utc());
        let Some(server) = row.hostname.as_deref().and_then(|name| meta.server(Some(name))) else { return };
        row.tgrp = server.tgrp().map(str::to_owned);
        if let Some(password) = &server.password {
            let vault = self.directory.vault();
            let known = row.sip_password_sealed.as_deref();
            let known = known.and_then(|sealed| vault.open(sealed, context::SIP_PASSWORD).ok());
            if known.as_ref().map(Secret::expose) != Some(password.expose()) {
                row.sip_password_sealed = Some(vault.seal(password, context::SIP_PASSWORD));
            }
        }
    }

    /// What Meta has otherwise than it was asked for.
    fn difference(&self, row: &CallingRow, meta: &CallingSettings) -> Option<CallingError> {
        let is_on = row.status == "ENABLED" && row.sip_status == "ENABLED";
        let mut differing = Vec::new();
        // What was never set is left out by Meta; these are its defaults.
        for (name, wanted, has, default) in [
            ("status", &row.status, &meta.status, "DISABLED"),
            ("sip.status", &row.sip_status, &meta.sip_status, "DISABLED"),
            ("srtp_key_exchange_protocol", &row.keying, &meta.keying, "DTLS"),
            ("webhook_delivery", &row.webhook_delivery, &meta.webhook_delivery, "DISABLED"),
        ] {
            let relevant = is_on || name == "status" || name == "sip.status";
            let has = has.as_deref().unwrap_or(default);
            if relevant && has != wanted {
                differing.push(format!("{name} is {has}, not {wanted}"));
            }
        }
        let host = row.hostname.as_deref().unwrap_or_default();
        let ours = meta.servers.iter().find(|server| server.hostname.eq_ignore_ascii_case(host));
        match ours {
            Some(server) if is_on && i32::from(server.port) != row.port => {
                differing.push(format!("the port is {}, not {}", server.port, row.port));
            }
            None if is_on => differing.push(format!("the server {host} is not there")),
            Some(_) if !is_on => differing.push(format!("the server {host} is still there")),
            _ => {}
        }
        if !differing.is_empty() {
            let text = format!("Meta took the settings, but has others: {}.", differing.join("; "));
            return Some(CallingError::ours("Meta has other settings", text));
        }
        if is_on && meta.servers.len() > 1 {
            return Some(CallingError::ours(
                "Another app has set a SIP server too",
                "Meta then sends parts of a call to the wrong server. Remove the other one with the access token \
                 of its own app.",
            ));
        }
        let needs_password = is_on && row.edge == "own" && self.config.sip.require_digest;
        if needs_password && row.sip_password_sealed.is_none() {
            return Some(CallingError::ours(
                "The SIP password could not be read",
                "Without it Meta's calls cannot be told from others and are refused. The system user of the \
                 access token needs the right to see it: give that user full control of the WhatsApp account, \
                 then save these settings again.",
            ));
        }
        None
    }

    /// Stores what was asked and answered; `saved`: somebody changed it, from what was there before.
    async fn store_calling(
        &self,
        row: &mut CallingRow,
        error: Option<CallingError>,
        saved: Option<Option<CallingRow>>,
    ) -> Result<(), SetupError> {
        row.error_code = error.as_ref().map(|error| error.code);
        row.error_title = error.as_ref().map(|error| error.title.clone());
        row.error_explanation = error.map(|error| error.explanation);
        let (stored, own) = (row.clone(), self.clone());
        let snapshot = self.directory.now();
        let number = snapshot.phone(&PhoneKey::from(row.phone_id.as_str())).map(|phone| phone.number.clone());
        self.db
            .write(move |tx| {
                calling::put(tx.conn, &stored)?;
                let Some(before) = &saved else { return Ok(()) };
                let name = number.as_deref().unwrap_or_default();
                let object = Object { kind: "phone", id: &stored.phone_id, name };
                let (before, after) = (before.as_ref().map(logged), logged(&stored));
                own.note(tx, "calling", object, before.as_ref(), Some(&after))
            })
            .await?;
        Ok(self.directory.reload().await?)
    }

    fn calling_access(&self, id: &str) -> Result<(GraphClient, Secret, PhoneNumberId), SetupError> {
        let snapshot = self.directory.now();
        let phone = snapshot.phone(&PhoneKey::from(id)).ok_or(SetupError::NotFound("phone"))?;
        let (graph, token, _) = self.waba_access(phone.waba_key.as_str())?;
        Ok((graph, token, phone.phone_number_id.clone()))
    }

    /// Adds the phone as a line of the telephony of its portal, or takes it away; what fails is told in the
    /// log and made good by the daily check.
    pub(super) async fn show_line(&self, phone_id: &str) {
        let snapshot = self.directory.now();
        let key = PhoneKey::from(phone_id);
        let Some(phone) = snapshot.phone(&key) else { return };
        let Some(binding) = snapshot.binding_of_phone(&key) else { return };
        let portal = snapshot.portal(&binding.portal).filter(|portal| portal.row.status == "active");
        if let Some(portal) = portal
            && let Err(error) = self.telephony_line(portal, phone).await
        {
            tracing::warn!(portal.id = %portal.id, error = %error, "the phone could not be made a line of the telephony");
        }
    }

    /// A phone with calls is a line of its portal's telephony, if the portal lets us.
    pub(super) async fn telephony_line(&self, portal: &Portal, phone: &Phone) -> Result<(), SetupError> {
        if !has_telephony(portal) {
            return Ok(());
        }
        let snapshot = self.directory.now();
        let Some(calling) = snapshot.calling(&phone.key) else { return Ok(()) };
        let number = format!("+{}", phone.number);
        if !calling.is_ours() {
            let gone = self.gateway.call(&portal.id, &LineDelete { number: &number }).await;
            return match gone {
                Err(error) if error.verdict() != Verdict::GiveUp => Err(error.into()),
                _ => Ok(()),
            };
        }
        let name = self.config.bitrix.line_name_for(&phone.number);
        let line = LineAdd { number: &number, name: &name, crm_create: calling.row.crm_create };
        if self.gateway.call(&portal.id, &line).await? == LineAdded::Before {
            self.gateway.call(&portal.id, &LineUpdate(line)).await?;
        }
        Ok(())
    }

    /// The phone leaves a portal: it is no line of its telephony any more.
    pub(super) async fn forget_telephony_line(&self, portal: &PortalId, phone: &Phone) {
        let snapshot = self.directory.now();
        let there = snapshot.portal(portal).filter(|portal| portal.row.status == "active");
        let had_line = snapshot.calling(&phone.key).is_some();
        let Some(portal) = there.filter(|portal| had_line && has_telephony(portal)) else { return };
        let number = format!("+{}", phone.number);
        if let Err(error) = self.gateway.call(&portal.id, &LineDelete { number: &number }).await {
            tracing::warn!(portal.id = %portal.id, error = %error, "a line of the telephony stays at the portal");
        }
    }
}

/// Settings as the log keeps them: what Meta tells of itself is no change of anybody.
fn logged(row: &CallingRow) -> CallingRow {
    CallingRow { meta: None, checked_at: None, ..row.clone() }
}

fn has_telephony(portal: &Portal) -> bool {
    scope_list(&portal.row.scopes).iter().any(|scope| scope == "telephony")
}

/// Meta's refusal in words, or that Meta could not be reached.
fn told(error: GraphError) -> Result<CallingError, SetupError> {
    match error.refusal() {
        Some(refusal) => Ok(CallingError::of(refusal)),
        None => Err(error.into()),
    }
}

/// What the user part of the addresses bears that Meta calls, as it was read last.
fn params_at_meta(row: Option<&CallingRow>) -> BTreeMap<String, String> {
    let shown = row.and_then(|row| serde_json::from_str(row.meta.as_deref()?).ok());
    let settings = shown.map(|shown| CallingSettings::read(&shown)).unwrap_or_default();
    match settings.server(row.and_then(|row| row.hostname.as_deref())) {
        Some(server) => server.user_params.clone(),
        // Meta has lost the server; what calls are found by is known here.
        None => {
            row.and_then(|row| row.tgrp.clone()).map(|tgrp| ("tgrp".to_owned(), tgrp)).into_iter().collect()
        }
    }
}

/// What Meta has otherwise of these.
fn other_params(
    row: &CallingRow,
    meta: &CallingSettings,
    wanted: &BTreeMap<String, String>,
) -> Option<CallingError> {
    let has = &meta.server(row.hostname.as_deref())?.user_params;
    let text = "Meta took the settings, but request_uri_user_params are others than those that were wanted.";
    (has != wanted).then(|| CallingError::ours("Meta has other settings", text))
}

/// When the settings were last compared with Meta's.
pub fn checked_at(row: &CallingRow) -> Option<DateTime<Utc>> {
    row.checked_at.map(|at| at.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_metas_code_and_words_and_gets_our_explanation() {
        let refusal = |code, message: &str| Refusal { code, message: message.into(), ..Refusal::default() };
        let error = CallingError::of(&refusal(138_015, "(#138015) Calling cannot be enabled"));
        assert_eq!((error.code, error.title.as_str()), (138_015, "Calling cannot be enabled"));
        assert!(error.explanation.contains("2,000"));
        assert!(CallingError::of(&refusal(190, "x")).explanation.contains("access token"));
        assert!(CallingError::of(&refusal(999_999, "x")).explanation.contains("does not know"));
    }
}
