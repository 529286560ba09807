//! Reads at the portals what the checks of portals and lines judge.

use std::time::Duration;

use super::finding::{Check, Finding, Kind, Repair, Subject, russian, words};
use super::portal;
use crate::bitrix::error::CallError;
use crate::bitrix::events::EventGet;
use crate::bitrix::imconnector::{ConnectorList, Status};
use crate::bitrix::messageservice::SenderList;
use crate::bitrix::method::Method;
use crate::bitrix::openlines::ConfigGet;
use crate::bitrix::users::{AppInfoGet, ScopeGet};
use crate::directory::{Binding, Portal, Snapshot};
use crate::domain::PortalId;
use crate::setup::Setup;
use crate::setup::portals::missing_scopes;

/// How often a call that the portal's limits hold back is tried again.
const PATIENCE: usize = 4;
const SHORT_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Setup {
    pub(super) async fn examine_portal(&self, snapshot: &Snapshot, own: &Portal) -> Vec<Finding> {
        let subject = Subject { kind: Kind::Portal, id: own.id.to_string(), name: own.row.domain.clone() };
        let mut found = vec![portal::stored(&subject, &own.row.status, own.row.status_reason.as_deref())];
        let token = Check("portal.token", &subject);
        if let Some(why) = &own.broken {
            found.push(token.fail(
                words(
                    format!("A stored secret cannot be read: {why}."),
                    format!("Сохранённый секрет не читается: {}.", russian(&why)),
                ),
                words(
                    "Let an administrator open the application in Bitrix24: that brings new tokens.",
                    "Пусть администратор откроет приложение в Битрикс24: это даст новые токены.",
                ),
            ));
            return found;
        }
        let info = match self.patient_call(&own.id, &AppInfoGet).await {
            Ok(info) => info,
            Err(error) => {
                found.push(not_answered(token, &error));
                return found;
            }
        };
        found.push(token.pass(words("Bitrix24 takes our token.", "Битрикс24 принимает наш токен.")));
        found.extend(portal::application(&subject, &info));
        let granted = match self.patient_call(&own.id, &ScopeGet).await {
            Ok(scopes) => scopes.join(","),
            Err(_) => own.row.scopes.clone(),
        };
        let senders = senders_of(snapshot, own);
        found.push(portal::scopes(&subject, &missing_scopes(&granted, !senders.is_empty())));
        found.push(match self.patient_call(&own.id, &EventGet).await {
            Ok(bound) => {
                portal::event_bindings(&subject, &bound, self.handler_url().as_str(), Self::is_our_handler)
            }
            Err(error) => not_answered(Check("portal.events", &subject), &error),
        });
        found.push(match self.patient_call(&own.id, &ConnectorList).await {
            Ok(known) => portal::connector(&subject, &known, &self.config.bitrix.connector_code),
            Err(error) => {
                not_answered(Check("portal.connector", &subject), &error).repaired_by(Repair::PortalConnector)
            }
        });
        found.push(match senders.is_empty() {
            true => portal::senders(&subject, &[], &[]),
            false => match self.patient_call(&own.id, &SenderList).await {
                Ok(known) => portal::senders(&subject, &known, &senders),
                Err(error) => not_answered(Check("portal.senders", &subject), &error),
            },
        });
        found
    }

    pub(super) async fn examine_line(&self, snapshot: &Snapshot, own: &Binding) -> Vec<Finding> {
        let subject = Subject { kind: Kind::Line, id: own.phone.to_string(), name: own.line_name.clone() };
        let check = Check("line.exists", &subject);
        if !snapshot.portal(&own.portal).is_some_and(|portal| portal.is_active() && portal.broken.is_none()) {
            return vec![check.skipped(words("The portal does not work.", "Портал не работает."))];
        }
        let config = match self.patient_call(&own.portal, &ConfigGet { line: &own.line }).await {
            Ok(config) => config,
            Err(error) => return vec![not_answered(check, &error)],
        };
        let connector = &self.config.bitrix.connector_code;
        let status = self.patient_call(&own.portal, &Status { connector, line: &own.line }).await;
        portal::line(&subject, config.as_ref(), status.ok().as_ref())
    }

    /// A call that waits for the portal's limits: what others have used up at the portal says nothing of it.
    async fn patient_call<M: Method>(&self, portal: &PortalId, method: &M) -> Result<M::Output, CallError> {
        for _ in 0..PATIENCE {
            let wait = match self.gateway.call(portal, method).await {
                Err(CallError::Throttled { wait }) if wait <= LONGEST_WAIT => wait,
                Err(error) if error.is_rate_limit() && error.code() == "QUERY_LIMIT_EXCEEDED" => SHORT_WAIT,
                outcome => return outcome,
            };
            tokio::time::sleep(wait).await;
        }
        self.gateway.call(portal, method).await
    }
}

/// Codes of the phones that are to be SMS senders of a portal.
fn senders_of(snapshot: &Snapshot, own: &Portal) -> Vec<String> {
    let linked = snapshot.bindings.iter().filter(|binding| binding.portal == own.id);
    let phones = linked.filter_map(|binding| snapshot.phone(&binding.phone));
    phones.filter(|phone| phone.row.sms_service).map(crate::directory::Phone::sender_code).collect()
}

/// The portal did not show what the check is about.
fn not_answered(check: Check<'_>, error: &CallError) -> Finding {
    let refused = matches!(error, CallError::Refused { .. }) && !error.is_rate_limit();
    if !refused {
        return check.unknown(words(
            format!("Bitrix24 cannot be asked now: {error}."),
            format!("Сейчас Битрикс24 не отвечает: {}.", russian(&error)),
        ));
    }
    let advice = match error.code() {
        "INSUFFICIENT_SCOPE" | "ERROR_METHOD_NOT_FOUND" => words(
            "Grant the missing scopes to the local application, and open it in Bitrix24 again.",
            "Выдайте локальному приложению недостающие права и откройте его в Битрикс24 снова.",
        ),
        _ => words(
            "Let an administrator open the application in Bitrix24 again.",
            "Пусть администратор снова откроет приложение в Битрикс24.",
        ),
    };
    check.fail(
        words(format!("Bitrix24 refuses: {error}."), format!("Битрикс24 отказывает: {}.", russian(&error))),
        advice,
    )
}
