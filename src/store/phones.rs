//! Business phones and their settings.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::crud::crud;

crud!(phones, PhoneRow);

/// A business phone.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = phones, treat_none_as_null = true)]
pub struct PhoneRow {
    /// Our id.
    pub id: String,
    /// Our id of its WABA.
    pub waba_key: String,
    /// Digits without +.
    pub phone_number: String,
    /// Meta's id.
    pub phone_number_id: String,
    /// Verified name at Meta.
    pub display_name: String,
    /// State, as checked by the schema.
    pub status: Option<String>,
    /// Quality rating at Meta.
    pub quality: Option<String>,
    /// Messaging limit at Meta.
    pub messaging_limit: Option<String>,
    /// State of the display name at Meta.
    pub name_status: Option<String>,
    /// Last security event that Meta reported.
    pub security_note: Option<String>,
    /// Whether it is an SMS sender in the CRM.
    pub sms_service: bool,
    /// Whether an operator's reply marks the last inbound message read.
    pub read_receipts: bool,
    /// `drop` or `send`.
    pub system_messages: String,
    /// `strip` or `keep`.
    pub signature: String,
    /// `tell`, `template` or `hold`.
    pub closed_window: String,
    /// Template for a closed window.
    pub fallback_template: Option<String>,
    /// Language of templates.
    pub default_language: Option<String>,
    /// Whether a sent SMS shows in the line.
    pub sms_to_chat: bool,
    /// Portal user who stands for this phone.
    pub crm_user_id: Option<String>,
    /// Languages (`en,ru`) whose words like STOP end marketing messages to whoever wrote them.
    pub stop_words: String,
    /// Code under which portals know it as an SMS sender, if that is not our own.
    pub sms_code: Option<String>,
    /// `own` or `number`: how its chats are named toward the portal.
    pub chat_names: String,
    /// The business profile as it was last written or accepted here; JSON.
    pub profile: Option<String>,
    /// Throughput level at Meta.
    pub throughput: Option<String>,
    /// Whether the WhatsApp Business app has the number as well.
    pub on_business_app: bool,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
}

/// The phone that Meta names so.
pub fn by_phone_number_id(conn: &mut Conn, id: &str) -> Result<Option<PhoneRow>, StoreError> {
    Ok(phones::table
        .filter(phones::phone_number_id.eq(id))
        .select(PhoneRow::as_select())
        .first(conn)
        .optional()?)
}

/// Keeps the business profile as it is to be.
pub fn set_profile(conn: &mut Conn, id: &str, profile: &str) -> Result<bool, StoreError> {
    Ok(diesel::update(phones::table.find(id)).set(phones::profile.eq(profile)).execute(conn)? == 1)
}

/// The phone with these digits.
pub fn by_number(conn: &mut Conn, digits: &str) -> Result<Option<PhoneRow>, StoreError> {
    Ok(phones::table
        .filter(phones::phone_number.eq(digits))
        .select(PhoneRow::as_select())
        .first(conn)
        .optional()?)
}
