//! The installation's configuration as one file without secrets: written, read back, and taken over from another
//! product.
//!
//! Objects are named by the ids that the clouds have for them, never by ours, so that a file fits any database.
//! Reading changes nothing that is there already: what is missing is made, what is there is kept, and all of it
//! or nothing is stored.
//!
//! | file | does |
//! | --- | --- |
//! | here | the form of the file |
//! | `export` | writes it |
//! | `check` | finds what is wrong with one, each fault with its place |
//! | `take` | makes what is missing |
//! | `todo` | says what a person still has to do |
//! | `separator` | reads the export of a separator installation |

mod check;
mod export;
mod separator;
mod take;
mod todo;

use serde::{Deserialize, Serialize};

use super::SetupError;
use crate::domain::Secret;

/// What the file says it is.
const FORMAT: &str = "wabridge configuration";
/// The form that this version writes, and the only one it reads.
const VERSION: u32 = 1;

/// The configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    format: String,
    version: u32,
    /// Lines belong to one connector: another one would begin other chats.
    connector_code: Option<String>,
    apps: Vec<AppPart>,
    wabas: Vec<WabaPart>,
    phones: Vec<PhonePart>,
    portal_apps: Vec<PortalAppPart>,
    portals: Vec<PortalPart>,
    lines: Vec<LinePart>,
    /// The file tells nothing of calls, whatever the phones had.
    #[serde(skip)]
    without_calls: bool,
}

/// Where a part stood in the file, for its faults.
type Place = String;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppPart {
    #[serde(skip)]
    place: Place,
    name: String,
    site: String,
    client_id: String,
    /// The selector in the callback address, so that Meta's webhooks go on arriving; no secret.
    api_key: Option<String>,
    graph_version: Option<String>,
    #[serde(default)]
    save_events: bool,
    #[serde(skip)]
    secrets: AppSecrets,
}

/// What only the export of another product holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct AppSecrets {
    client_secret: Option<Secret>,
    access_token: Option<Secret>,
    verify_token: Option<Secret>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WabaPart {
    #[serde(skip)]
    place: Place,
    waba_id: String,
    /// The site of its app.
    app: String,
    #[serde(default)]
    name: String,
    portfolio: Option<String>,
    /// Whether it had an access token beside its app's.
    #[serde(default)]
    own_token: bool,
    #[serde(skip)]
    access_token: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhonePart {
    #[serde(skip)]
    place: Place,
    phone_number: String,
    phone_number_id: String,
    /// Meta's id of its WABA.
    waba: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    settings: PhoneSettings,
    calling: Option<CallingPart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PhoneSettings {
    sms_service: bool,
    read_receipts: bool,
    system_messages: String,
    signature: String,
    closed_window: String,
    fallback_template: Option<String>,
    default_language: Option<String>,
    sms_to_chat: bool,
    crm_user_id: Option<String>,
    stop_words: Vec<String>,
    sms_code: Option<String>,
    chat_names: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallingPart {
    status: String,
    sip_status: String,
    hostname: Option<String>,
    port: u16,
    /// The group that the user part of Meta's addresses names (RFC 4904).
    #[serde(default)]
    tgrp: Option<String>,
    srtp_key_exchange_protocol: String,
    webhook_delivery: String,
    trunk: Option<String>,
    extension: Option<String>,
    #[serde(default)]
    crm_create: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortalAppPart {
    #[serde(skip)]
    place: Place,
    name: String,
    client_id: String,
    #[serde(skip)]
    client_secret: Option<Secret>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortalPart {
    #[serde(skip)]
    place: Place,
    member_id: String,
    /// Client id of its local application.
    portal_app: String,
    domain: String,
    #[serde(default)]
    language: String,
    default_country: Option<String>,
    alarm_user_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinePart {
    #[serde(skip)]
    place: Place,
    /// Meta's id of the phone.
    phone: String,
    /// Key of the portal.
    portal: String,
    line_id: String,
    line_name: String,
}

/// What a file has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What was made.
    pub made: Vec<String>,
    /// What was there already, and stays as it is.
    pub kept: Vec<String>,
    /// What a person still has to do.
    pub to_do: Vec<String>,
}

impl Default for PhoneSettings {
    fn default() -> Self {
        Self {
            sms_service: false,
            read_receipts: false,
            system_messages: "drop".to_owned(),
            signature: "strip".to_owned(),
            closed_window: "tell".to_owned(),
            fallback_template: None,
            default_language: None,
            sms_to_chat: false,
            crm_user_id: None,
            stop_words: Vec::new(),
            sms_code: None,
            chat_names: "own".to_owned(),
        }
    }
}

impl Configuration {
    /// Reads a file that [`Configuration::to_json`] made.
    ///
    /// # Errors
    /// [`SetupError::Invalid`] with the place of each fault.
    pub fn from_json(text: &str) -> Result<Self, SetupError> {
        let mut read: Self = parsed(text)?;
        if read.format != FORMAT || read.version != VERSION {
            let told = format!("is not \"{FORMAT}\" of version {VERSION}, the only one that is read");
            return Err(SetupError::field("format", told));
        }
        read.place();
        Ok(read)
    }

    /// Reads the export of a separator installation.
    ///
    /// # Errors
    /// [`SetupError::Invalid`] with the place of each fault.
    pub fn from_separator(text: &str) -> Result<Self, SetupError> {
        separator::read(text)
    }

    /// The file.
    pub fn to_json(&self) -> String {
        // Plain data with text keys: writing it as JSON cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Gives each part its place.
    fn place(&mut self) {
        let at = |list: &str, index: usize| format!("{list}[{index}]");
        self.apps.iter_mut().enumerate().for_each(|(index, part)| part.place = at("apps", index));
        self.wabas.iter_mut().enumerate().for_each(|(index, part)| part.place = at("wabas", index));
        self.phones.iter_mut().enumerate().for_each(|(index, part)| part.place = at("phones", index));
        self.portal_apps
            .iter_mut()
            .enumerate()
            .for_each(|(index, part)| part.place = at("portal_apps", index));
        self.portals.iter_mut().enumerate().for_each(|(index, part)| part.place = at("portals", index));
        self.lines.iter_mut().enumerate().for_each(|(index, part)| part.place = at("lines", index));
    }
}

/// JSON, or the place and kind of its first fault.
fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, SetupError> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = match error.path().to_string() {
            path if path == "." => "the file".to_owned(),
            path => path,
        };
        SetupError::field(place, format!("is not what it should be: {}", error.inner()))
    })
}
