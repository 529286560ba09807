//! Webhook fields other than messages: those that take effect here.

use chrono::{DateTime, Utc};

use super::template_news;
use super::whose::clean;
use crate::domain::WabaId;
use crate::store::calls::{self, MetaError, MetaReport};
use crate::store::contacts::{self, Aliases};
use crate::store::phones::{self, PhoneRow};
use crate::store::{StoreError, Tx, calling, chats, wabas};
use crate::whatsapp::notification::{
    CallReport, ErrorBody, FieldChange, FieldUpdate, PhoneSettings, UserPreference,
};

/// A change of a field, ready to be applied.
pub struct Change(FieldUpdate);

impl Change {
    /// Takes it as it came.
    pub fn new(update: FieldUpdate) -> Self {
        Self(update)
    }

    /// Name of the field.
    pub fn field(&self) -> &str {
        &self.0.field
    }

    /// Whether templates may have to be read anew.
    pub fn is_about_templates(&self) -> bool {
        matches!(self.0.change, FieldChange::Template { .. })
    }

    /// The value as JSON text.
    pub fn raw(&self) -> &str {
        &self.0.raw
    }
}

/// Applies a change to WABAs and phones of these apps only, which are those of whom it was signed. `true`:
/// apps, WABAs or phones changed.
pub fn apply(
    tx: &mut Tx<'_>,
    apps: &[String],
    change: &Change,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let update = &change.0;
    match &update.change {
        FieldChange::AccountUpdate { event, ban_state, detail } => {
            let Some(waba) = update.waba_id.as_ref() else { return Ok(false) };
            let Some(mut row) = wabas::by_waba_id(tx.conn, waba.as_str())? else { return Ok(false) };
            if !apps.contains(&row.app_id) {
                return Ok(false);
            }
            let Some(status) = account_status(event, ban_state.as_deref()) else { return Ok(false) };
            tracing::warn!(waba.id = %waba, event, status, "Meta changed the state of an account");
            row.status = status.to_owned();
            row.status_reason = (status != "active").then(|| {
                detail.as_ref().map_or_else(|| event.clone(), |detail| format!("{event}: {detail}"))
            });
            row.updated_at = now.naive_utc();
            wabas::update(tx.conn, &row)
        }
        FieldChange::PhoneNumberQuality {
            display_phone_number,
            event,
            current_limit,
            max_daily_conversations,
            ..
        } => {
            let limit = max_daily_conversations.clone().or_else(|| current_limit.clone());
            change_phone(tx, apps, display_phone_number, now, |phone| {
                match event.as_str() {
                    "FLAGGED" | "DOWNGRADE" => phone.quality = Some("RED".into()),
                    "UNFLAGGED" => phone.quality = Some("GREEN".into()),
                    _ => {}
                }
                if limit.is_some() {
                    phone.messaging_limit = limit.clone();
                }
            })
        }
        FieldChange::PhoneNumberName {
            display_phone_number,
            decision,
            requested_verified_name,
            rejection_reason,
        } => change_phone(tx, apps, display_phone_number, now, |phone| {
            phone.name_status = Some(match rejection_reason {
                Some(reason) => format!("{decision}: {reason}"),
                None => decision.clone(),
            });
            if let (true, Some(name)) = (decision == "APPROVED", requested_verified_name) {
                phone.display_name = name.clone();
            }
        }),
        FieldChange::Security { display_phone_number, event, requester } => {
            tracing::warn!(event, "Meta reports a security event of a phone");
            change_phone(tx, apps, display_phone_number, now, |phone| {
                phone.security_note = Some(match requester {
                    Some(requester) => format!("{event} by {requester}"),
                    None => event.clone(),
                });
            })
        }
        FieldChange::UserPreference(preferences) => {
            for preference in preferences {
                apply_preference(tx, apps, update, preference, now)?;
            }
            Ok(false)
        }
        FieldChange::Calls(reports) => {
            let Some(phone) = phone_of(tx, apps, update)? else { return Ok(false) };
            for report in reports {
                calls::reported(tx.conn, &phone.id, &told(report, now))?;
            }
            Ok(false)
        }
        FieldChange::PhoneSettings(settings) => {
            let Some(phone) = phone_of(tx, apps, update)? else { return Ok(false) };
            settings_changed(tx, &phone, settings, now)
        }
        FieldChange::Template { template, news } => {
            if let Some(waba) = update.waba_id.as_ref() {
                template_news::apply(tx, apps, waba, template, news, now)?;
            }
            Ok(false)
        }
        FieldChange::BusinessCapability { max_daily_conversations } => {
            let Some(waba) = update.waba_id.as_ref() else { return Ok(false) };
            limit_of_account(tx, apps, waba, max_daily_conversations, now)
        }
        FieldChange::Other => Ok(false),
    }
}

/// What Meta tells of a call, in the words of the record.
fn told(report: &CallReport, now: DateTime<Utc>) -> MetaReport {
    let person = &report.person;
    let error = |error: &ErrorBody| MetaError {
        code: error.code,
        title: clean(if error.title.is_empty() { &error.message } else { &error.title }),
        details: error.details.as_deref().map(clean),
    };
    MetaReport {
        wacid: clean(report.wacid.as_str()),
        event: clean(&report.event),
        direction: report.direction,
        digits: person.wa_id.as_ref().map(|id| clean(id.as_str())),
        user_id: person.user_id.as_ref().map(|id| clean(id.as_str())),
        name: person.name.as_deref().map(clean),
        at: report.timestamp.unwrap_or(now),
        status: report.status.as_deref().map(clean),
        seconds: report.duration,
        started_at: report.started_at,
        ended_at: report.ended_at,
        payload: report.payload.as_deref().map(clean),
        errors: report.errors.iter().map(error).collect(),
    }
}

/// Somebody changed a number's settings for calls at Meta: what Meta has now is shown, our wish stays.
fn settings_changed(
    tx: &mut Tx<'_>,
    phone: &PhoneRow,
    settings: &PhoneSettings,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(mut row) = calling::get(tx.conn, &phone.id)? else { return Ok(false) };
    let meta = row.meta.as_deref().and_then(|meta| serde_json::from_str(meta).ok());
    let mut meta: serde_json::Value = meta.unwrap_or_else(|| serde_json::json!({}));
    let mut set = |path: &[&str], value: &Option<String>| {
        let Some(value) = value else { return };
        let mut place = &mut meta;
        for key in path {
            if !place.is_object() {
                *place = serde_json::json!({});
            }
            let Some(map) = place.as_object_mut() else { return };
            place = map.entry(*key).or_insert(serde_json::Value::Null);
        }
        *place = clean(value).into();
    };
    set(&["status"], &settings.status);
    set(&["sip", "status"], &settings.sip_status);
    set(&["srtp_key_exchange_protocol"], &settings.keying);
    let differs = [
        (&settings.status, &row.status),
        (&settings.sip_status, &row.sip_status),
        (&settings.keying, &row.keying),
    ]
    .into_iter()
    .any(|(meta, ours)| meta.as_ref().is_some_and(|meta| meta != ours));
    if differs {
        tracing::warn!(phone.id = phone.phone_number_id, "Meta's settings for calls were changed elsewhere");
        row.error_code = Some(0);
        row.error_title = Some("Changed at Meta".to_owned());
        row.error_explanation = Some(
            "Somebody changed the settings of this number at Meta, so that they are not what was saved here. \
             Save them here again, or here as they are there."
                .to_owned(),
        );
    }
    row.meta = Some(meta.to_string());
    row.checked_at = Some(now.naive_utc());
    row.updated_at = now.naive_utc();
    calling::put(tx.conn, &row)?;
    Ok(true)
}

/// The phone that a field names by its id, if it is one of these apps'.
fn phone_of(tx: &mut Tx<'_>, apps: &[String], update: &FieldUpdate) -> Result<Option<PhoneRow>, StoreError> {
    let phone = match update.phone_number_id.as_ref() {
        Some(id) => phones::by_phone_number_id(tx.conn, id.as_str())?,
        None => None,
    };
    match phone {
        Some(phone) if is_of(tx, apps, &phone)? => Ok(Some(phone)),
        _ => Ok(None),
    }
}

/// State of a WABA after an account event; `None`: it says nothing of the state.
fn account_status(event: &str, ban_state: Option<&str>) -> Option<&'static str> {
    match (event, ban_state) {
        ("PARTNER_REMOVED" | "ACCOUNT_DELETED" | "ACCOUNT_OFFBOARDED" | "PARTNER_APP_UNINSTALLED", _) => {
            Some("disconnected")
        }
        ("DISABLED_UPDATE", Some("DISABLE")) => Some("disconnected"),
        ("DISABLED_UPDATE", Some("REINSTATE")) => Some("active"),
        ("DISABLED_UPDATE", Some(_)) | ("ACCOUNT_RESTRICTION" | "ACCOUNT_VIOLATION", _) => Some("restricted"),
        ("ACCOUNT_RECONNECTED" | "PARTNER_ADDED" | "PARTNER_APP_INSTALLED", _) => Some("active"),
        _ => None,
    }
}

fn change_phone(
    tx: &mut Tx<'_>,
    apps: &[String],
    number: &str,
    now: DateTime<Utc>,
    change: impl FnOnce(&mut PhoneRow),
) -> Result<bool, StoreError> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    // Digits are not unique, and another app may have them too. Such changes are rare, so all are looked at.
    for mut row in phones::list(tx.conn)?.into_iter().filter(|row| row.phone_number == digits) {
        if is_of(tx, apps, &row)? {
            change(&mut row);
            row.updated_at = now.naive_utc();
            return phones::update(tx.conn, &row);
        }
    }
    Ok(false)
}

/// The messaging limit of a portfolio, told for an account: it holds for all its phones.
fn limit_of_account(
    tx: &mut Tx<'_>,
    apps: &[String],
    waba: &WabaId,
    limit: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(waba) = wabas::by_waba_id(tx.conn, waba.as_str())? else { return Ok(false) };
    if !apps.contains(&waba.app_id) {
        return Ok(false);
    }
    let mut changed = false;
    for mut row in phones::list(tx.conn)?.into_iter().filter(|row| row.waba_key == waba.id) {
        row.messaging_limit = Some(limit.to_owned());
        row.updated_at = now.naive_utc();
        changed |= phones::update(tx.conn, &row)?;
    }
    Ok(changed)
}

fn is_of(tx: &mut Tx<'_>, apps: &[String], phone: &PhoneRow) -> Result<bool, StoreError> {
    Ok(wabas::get(tx.conn, &phone.waba_key)?.is_some_and(|waba| apps.contains(&waba.app_id)))
}

fn apply_preference(
    tx: &mut Tx<'_>,
    apps: &[String],
    update: &FieldUpdate,
    preference: &UserPreference,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let stopped = match preference.value.as_str() {
        "stop" => true,
        "resume" | "signup" => false,
        _ => return Ok(()),
    };
    let Some(phone) = phone_of(tx, apps, update)? else { return Ok(()) };
    let aliases = Aliases {
        others: preference.person.parent_user_id.iter().map(|id| id.to_string()).collect(),
        user_id: preference.person.user_id.as_ref().map(|id| id.to_string()),
        wa_id: preference.person.wa_id.as_ref().map(|id| id.to_string()),
    };
    let Some(contact) = contacts::resolve(tx.conn, &phone.waba_key, &aliases, None, None, now)? else {
        return Ok(());
    };
    // The wish stands from the first contact on, also if the person never wrote.
    chats::open(tx.conn, &contact, &phone.id, now)?;
    chats::set_marketing_stopped(tx.conn, &contact, stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_events_tell_the_state_of_the_waba() {
        assert_eq!(account_status("PARTNER_REMOVED", None), Some("disconnected"));
        assert_eq!(account_status("DISABLED_UPDATE", Some("DISABLE")), Some("disconnected"));
        assert_eq!(account_status("DISABLED_UPDATE", Some("SCHEDULE_FOR_DISABLE")), Some("restricted"));
        assert_eq!(account_status("DISABLED_UPDATE", Some("REINSTATE")), Some("active"));
        assert_eq!(account_status("VOLUME_BASED_PRICING_TIER_UPDATE", None), None);
    }
}
