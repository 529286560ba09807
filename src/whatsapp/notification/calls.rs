//! Fields about calls (whatsapp-sip facts §1.7, §5.2): `calls`, and the settings of a number.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Text, elements, object, read};
use super::person::{Contacts, Person};
use super::updates::{errors, too_long};
use super::{ErrorBody, Wacid};
use crate::domain::{Direction, PhoneNumberId};

/// What Meta tells of a call; it may come twice and in any order.
#[derive(Clone, PartialEq, Debug)]
pub struct CallReport {
    /// Meta's id of the call.
    pub wacid: Wacid,
    /// `call_created`, `terminate`, `connect`.
    pub event: String,
    /// Who called; `None` if it cannot be told.
    pub direction: Option<Direction>,
    /// The customer.
    pub person: Person,
    /// When.
    pub timestamp: Option<DateTime<Utc>>,
    /// `COMPLETED`, `FAILED`.
    pub status: Option<String>,
    /// When it was picked up.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Seconds.
    pub duration: Option<u32>,
    /// Payload of the call button or link.
    pub payload: Option<String>,
    /// What went wrong.
    pub errors: Vec<ErrorBody>,
}

/// What of a number's settings for calls has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PhoneSettings {
    /// The number.
    pub phone_number_id: PhoneNumberId,
    /// `ENABLED`, `DISABLED`.
    pub status: Option<String>,
    /// `ENABLED`, `DISABLED`.
    pub sip_status: Option<String>,
    /// `SDES`, `DTLS`.
    pub keying: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Value<'a> {
    #[serde(borrow)]
    contacts: Option<&'a RawValue>,
    #[serde(borrow)]
    calls: Option<&'a RawValue>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    direction: Text<'a>,
    #[serde(borrow)]
    from: Text<'a>,
    #[serde(borrow)]
    from_user_id: Text<'a>,
    #[serde(borrow)]
    from_parent_user_id: Text<'a>,
    #[serde(borrow)]
    to: Text<'a>,
    #[serde(borrow)]
    to_user_id: Text<'a>,
    #[serde(borrow)]
    to_parent_user_id: Text<'a>,
    #[serde(borrow)]
    timestamp: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    start_time: Text<'a>,
    #[serde(borrow)]
    end_time: Text<'a>,
    #[serde(borrow)]
    duration: Text<'a>,
    #[serde(borrow)]
    cta_payload: Text<'a>,
    #[serde(borrow)]
    deeplink_payload: Text<'a>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

/// The calls of a value; elements without an id are passed over (the field as a whole is kept).
pub(super) fn reports(raw: &RawValue) -> Vec<CallReport> {
    let value: Value = object(Some(raw));
    let calls = elements(value.calls);
    let mut contacts = Contacts::read(value.contacts);
    contacts.alone_with(calls.len());
    let alone = calls.len() == 1;
    let report = |raw: &RawValue| {
        let call: Call = read(raw)?;
        let wacid: Wacid = call.id.id()?;
        let direction = match call.direction.as_str() {
            Some("USER_INITIATED") => Some(Direction::Inbound),
            Some("BUSINESS_INITIATED") => Some(Direction::Outbound),
            _ => None,
        };
        let person = match direction {
            Some(Direction::Outbound) => Person::of_ids(&call.to, &call.to_user_id, &call.to_parent_user_id),
            Some(Direction::Inbound) => {
                Person::of_ids(&call.from, &call.from_user_id, &call.from_parent_user_id)
            }
            // Without a direction the contact alone tells who is the customer.
            None => Person::default(),
        };
        let person = contacts.complete(person);
        if too_long(wacid.as_str()) || person.ids().any(too_long) {
            return None;
        }
        let mut errors = errors(call.errors);
        if alone && errors.is_empty() {
            errors = super::updates::errors(value.errors);
        }
        Some(CallReport {
            wacid,
            event: call.event.owned().unwrap_or_default(),
            direction,
            person,
            timestamp: call.timestamp.time(),
            status: call.status.owned(),
            started_at: call.start_time.time(),
            ended_at: call.end_time.time(),
            duration: call.duration.integer().and_then(|seconds| u32::try_from(seconds).ok()),
            payload: call.cta_payload.owned().or_else(|| call.deeplink_payload.owned()),
            errors,
        })
    };
    calls.into_iter().filter_map(report).collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SettingsValue<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    phone_number_id: Text<'a>,
    #[serde(borrow)]
    phone_number_settings: Option<&'a RawValue>,
    #[serde(borrow)]
    calling: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Calling<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    srtp_key_exchange_protocol: Text<'a>,
    #[serde(borrow)]
    sip: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sip<'a> {
    #[serde(borrow)]
    status: Text<'a>,
}

/// The settings of a number; `None`: the value speaks of something else. `phone`: of its metadata.
pub(super) fn settings(phone: Option<&PhoneNumberId>, raw: &RawValue) -> Option<PhoneSettings> {
    let value: SettingsValue = object(Some(raw));
    if value.kind.as_str() != Some("phone_number_settings") {
        return None;
    }
    let nested: SettingsValue = object(value.phone_number_settings);
    let id = nested.phone_number_id.id().or_else(|| value.phone_number_id.id()).or_else(|| phone.cloned())?;
    let calling: Calling = object(nested.calling.or(value.calling));
    Some(PhoneSettings {
        phone_number_id: id,
        status: calling.status.owned(),
        sip_status: object::<Sip>(calling.sip).status.owned(),
        keying: calling.srtp_key_exchange_protocol.owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_end_of_a_call_is_read_with_its_errors() {
        let value = raw(
            r#"{"contacts":[{"profile":{"name":"Anna","username":"@anna"},"wa_id":"16505551234","user_id":"US.13"}],
            "calls":[{"id":"wacid.X=","event":"terminate","direction":"USER_INITIATED","from":"16505551234",
            "to":"15550783881","timestamp":"1700000000","status":"COMPLETED","start_time":"1700000001",
            "end_time":1700000031,"duration":30,"errors":[{"code":138021,"title":"t","error_data":"d"}]},
            {"event":"terminate"}, 5]}"#,
        );
        let reports = reports(&value);
        assert_eq!(reports.len(), 1);
        let report = &reports[0];
        assert_eq!((report.event.as_str(), report.direction), ("terminate", Some(Direction::Inbound)));
        assert_eq!(report.person.username.as_deref(), Some("anna"));
        assert_eq!((report.duration, report.errors[0].code), (Some(30), 138_021));
        assert_eq!(report.ended_at.unwrap().timestamp(), 1_700_000_031);
    }

    #[test]
    fn a_call_of_somebody_without_a_number_is_theirs() {
        let value = raw(r#"{"contacts":[{"profile":{"name":"Anna"},"user_id":"US.13"}],
            "calls":[{"id":"w","event":"call_created","direction":"USER_INITIATED","from":"","timestamp":null}]}"#);
        assert_eq!(reports(&value)[0].person.user_id.as_ref().unwrap().as_str(), "US.13");
        for odd in ["5", "[]", "{}", r#"{"calls":5}"#, r#"{"calls":[{"id":""}]}"#] {
            assert!(reports(&raw(odd)).is_empty(), "{odd}");
        }
    }

    #[test]
    fn settings_of_a_number_are_found_at_either_depth() {
        let nested = r#"{"type":"phone_number_settings","phone_number_settings":{"phone_number_id":"1",
            "calling":{"status":"ENABLED","sip":{"status":"DISABLED"},"srtp_key_exchange_protocol":"DTLS"}}}"#;
        let settings_of = |text: &str, phone: Option<&PhoneNumberId>| settings(phone, &raw(text));
        let read = settings_of(nested, None).unwrap();
        assert_eq!((read.sip_status.as_deref(), read.keying.as_deref()), (Some("DISABLED"), Some("DTLS")));
        let flat = r#"{"type":"phone_number_settings","calling":{"status":"DISABLED"}}"#;
        let phone = PhoneNumberId::new("2");
        assert_eq!(settings_of(flat, Some(&phone)).unwrap().status.as_deref(), Some("DISABLED"));
        assert_eq!(settings_of(flat, None), None);
        assert_eq!(settings_of(r#"{"type":"x","phone_number_id":"1"}"#, None), None);
    }
}
