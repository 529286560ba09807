//! Webhook fields other than messages (whatsapp-messaging facts §1.10). Those that the bridge acts on or
//! shows are read; all others are kept as they are.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::calls::{self, CallReport, PhoneSettings};
use super::lenient::{Text, elements, object};
use super::person::{Contacts, Person};
use super::template_fields::{self, TemplateNews, TemplateRef};
use super::updates::too_long;
use crate::domain::{PhoneNumberId, WabaId};

/// A change of a field other than messages.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldUpdate {
    /// The account: of `waba_info` where there is one (entries about partners bear the business's id
    /// instead), else of the entry.
    pub waba_id: Option<WabaId>,
    /// The phone, where the value has metadata; others name it by number inside [`FieldChange`].
    pub phone_number_id: Option<PhoneNumberId>,
    /// Name of the field, `unknown` if none stood there.
    pub field: String,
    /// What it says.
    pub change: FieldChange,
    /// The value as JSON text (for a group message: that message).
    pub raw: String,
}

/// What a field says, as far as we read it.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldChange {
    /// `account_update`.
    AccountUpdate {
        /// `PARTNER_REMOVED`, `DISABLED_UPDATE` …
        event: String,
        /// `ban_info.waba_ban_state`: `DISABLE`, `REINSTATE`, `SCHEDULE_FOR_DISABLE`.
        ban_state: Option<String>,
        /// What its extra object tells, for people to read.
        detail: Option<String>,
    },
    /// `phone_number_quality_update`.
    PhoneNumberQuality {
        /// The number, bare digits.
        display_phone_number: String,
        /// `ONBOARDING`, `THROUGHPUT_UPGRADE`; formerly `FLAGGED` and the like.
        event: String,
        /// Messaging limit before.
        old_limit: Option<String>,
        /// Messaging limit now.
        current_limit: Option<String>,
        /// `TIER_…` or a number.
        max_daily_conversations: Option<String>,
    },
    /// `phone_number_name_update`.
    PhoneNumberName {
        /// The number, bare digits.
        display_phone_number: String,
        /// `APPROVED`, `DEFERRED`, `PENDING`, `REJECTED`.
        decision: String,
        /// The name asked for.
        requested_verified_name: Option<String>,
        /// Why not.
        rejection_reason: Option<String>,
    },
    /// `security`.
    Security {
        /// The number, bare digits.
        display_phone_number: String,
        /// `PIN_CHANGED`, `PIN_RESET_REQUEST`, `PIN_REQUEST_SUCCESS`.
        event: String,
        /// Meta's id of the user who asked.
        requester: Option<String>,
    },
    /// Any of the fields about templates.
    Template {
        /// Which template.
        template: TemplateRef,
        /// What is told of it.
        news: TemplateNews,
    },
    /// `business_capability_update`.
    BusinessCapability {
        /// People that may be written to first within 24 hours: a number, -1 for no limit, or `TIER_…`.
        max_daily_conversations: String,
    },
    /// `user_preferences`.
    UserPreference(Vec<UserPreference>),
    /// `calls`.
    Calls(Vec<CallReport>),
    /// `account_settings_update` of a number.
    PhoneSettings(PhoneSettings),
    /// Anything else.
    Other,
}

/// A person's wish about marketing messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserPreference {
    /// Whose.
    pub person: Person,
    /// `marketing_messages`.
    pub category: String,
    /// `stop`, `resume`, `signup`.
    pub value: String,
    /// Meta's sentence about it.
    pub detail: Option<String>,
    /// Since when.
    pub timestamp: Option<DateTime<Utc>>,
}

impl FieldChange {
    /// Whether the account cannot be used from now on: its phones' lines are disconnected.
    pub fn disconnects(&self) -> bool {
        match self {
            Self::AccountUpdate { event, ban_state, .. } => {
                matches!(event.as_str(), "PARTNER_REMOVED" | "ACCOUNT_DELETED" | "ACCOUNT_OFFBOARDED")
                    || ban_state.as_deref() == Some("DISABLE")
            }
            _ => false,
        }
    }

    /// Whether a disconnected account can be used again.
    pub fn reconnects(&self) -> bool {
        match self {
            Self::AccountUpdate { event, ban_state, .. } => {
                event == "ACCOUNT_RECONNECTED" || ban_state.as_deref() == Some("REINSTATE")
            }
            _ => false,
        }
    }
}

/// The account and phone that a value speaks of.
#[derive(Clone, Copy, Default)]
pub(super) struct Scope<'a> {
    pub(super) waba_id: Option<&'a WabaId>,
    pub(super) phone_number_id: Option<&'a PhoneNumberId>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    display_phone_number: Text<'a>,
    #[serde(borrow)]
    old_limit: Text<'a>,
    #[serde(borrow)]
    current_limit: Text<'a>,
    #[serde(borrow)]
    max_daily_conversations_per_business: Text<'a>,
    #[serde(borrow)]
    decision: Text<'a>,
    #[serde(borrow)]
    requested_verified_name: Text<'a>,
    #[serde(borrow)]
    rejection_reason: Text<'a>,
    #[serde(borrow)]
    requester: Text<'a>,
    #[serde(borrow)]
    contacts: Option<&'a RawValue>,
    #[serde(borrow)]
    user_preferences: Option<&'a RawValue>,
    #[serde(borrow)]
    waba_info: Option<&'a RawValue>,
    #[serde(borrow)]
    ban_info: Option<&'a RawValue>,
    #[serde(borrow)]
    violation_info: Option<&'a RawValue>,
    #[serde(borrow)]
    restriction_info: Option<&'a RawValue>,
    #[serde(borrow)]
    disconnection_info: Option<&'a RawValue>,
}

/// The small objects inside an `account_update`, in one: their keys do not clash.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Extra<'a> {
    #[serde(borrow)]
    waba_id: Text<'a>,
    #[serde(borrow)]
    waba_ban_state: Text<'a>,
    #[serde(borrow)]
    waba_ban_date: Text<'a>,
    #[serde(borrow)]
    violation_type: Text<'a>,
    #[serde(borrow)]
    restriction_type: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Preference<'a> {
    #[serde(borrow)]
    wa_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    parent_user_id: Text<'a>,
    #[serde(borrow)]
    category: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    detail: Text<'a>,
    #[serde(borrow)]
    timestamp: Text<'a>,
}

pub(super) fn read(scope: Scope, field: &str, raw: &RawValue) -> FieldUpdate {
    let wire: Wire = object(Some(raw));
    let text = |text: &Text| text.owned().unwrap_or_default();
    let display_phone_number = text(&wire.display_phone_number);
    let mut update = other(scope, field, raw);
    update.change = match field {
        "account_update" => {
            if let Some(waba_id) = object::<Extra>(wire.waba_info).waba_id.id() {
                update.waba_id = Some(waba_id);
            }
            account_update(&wire)
        }
        "phone_number_quality_update" => FieldChange::PhoneNumberQuality {
            display_phone_number,
            event: text(&wire.event),
            old_limit: wire.old_limit.owned(),
            current_limit: wire.current_limit.owned(),
            max_daily_conversations: wire.max_daily_conversations_per_business.owned(),
        },
        "phone_number_name_update" => FieldChange::PhoneNumberName {
            display_phone_number,
            decision: text(&wire.decision),
            requested_verified_name: wire.requested_verified_name.owned(),
            rejection_reason: wire.rejection_reason.owned(),
        },
        "security" => FieldChange::Security {
            display_phone_number,
            event: text(&wire.event),
            requester: wire.requester.owned(),
        },
        "user_preferences" => FieldChange::UserPreference(preferences(&wire)),
        "calls" => match calls::reports(raw) {
            reports if reports.is_empty() => FieldChange::Other,
            reports => FieldChange::Calls(reports),
        },
        "account_settings_update" => match calls::settings(scope.phone_number_id, raw) {
            Some(settings) => {
                update.phone_number_id = Some(settings.phone_number_id.clone());
                FieldChange::PhoneSettings(settings)
            }
            None => FieldChange::Other,
        },
        "business_capability_update" => match wire.max_daily_conversations_per_business.owned() {
            Some(max_daily_conversations) => FieldChange::BusinessCapability { max_daily_conversations },
            None => FieldChange::Other,
        },
        _ => template_fields::read(field, raw).unwrap_or(FieldChange::Other),
    };
    update
}

pub(super) fn other(scope: Scope, field: &str, raw: &RawValue) -> FieldUpdate {
    FieldUpdate {
        waba_id: scope.waba_id.cloned(),
        phone_number_id: scope.phone_number_id.cloned(),
        field: field.to_owned(),
        change: FieldChange::Other,
        raw: raw.get().to_owned(),
    }
}

fn account_update(wire: &Wire) -> FieldChange {
    let ban: Extra = object(wire.ban_info);
    let violation: Extra = object(wire.violation_info);
    let disconnection: Extra = object(wire.disconnection_info);
    let restrictions: Vec<Extra> =
        elements(wire.restriction_info).into_iter().map(|raw| object(Some(raw))).collect();
    let mut details: Vec<&str> =
        [&violation.violation_type, &disconnection.reason, &ban.waba_ban_state, &ban.waba_ban_date]
            .into_iter()
            .filter_map(Text::as_str)
            .collect();
    details.extend(restrictions.iter().filter_map(|restriction| restriction.restriction_type.as_str()));
    FieldChange::AccountUpdate {
        event: wire.event.owned().unwrap_or_default(),
        ban_state: ban.waba_ban_state.owned(),
        detail: Some(details.join(", ")).filter(|detail| !detail.is_empty()),
    }
}

fn preferences(wire: &Wire) -> Vec<UserPreference> {
    let list = elements(wire.user_preferences);
    let mut contacts = Contacts::read(wire.contacts);
    contacts.alone_with(list.len());
    list.into_iter()
        .filter_map(|raw| {
            let preference: Preference = object(Some(raw));
            let person = Person::of_ids(&preference.wa_id, &preference.user_id, &preference.parent_user_id);
            let person = contacts.complete(person);
            // It could never be stored, and what came with it would come again for days.
            if person.ids().any(too_long) {
                return None;
            }
            Some(UserPreference {
                person,
                category: preference.category.owned().unwrap_or_default(),
                value: preference.value.owned().unwrap_or_default(),
                detail: preference.detail.owned(),
                timestamp: preference.timestamp.time(),
            })
        })
        .collect()
}
