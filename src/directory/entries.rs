//! The entries of the directory: rows with typed ids and opened secrets.

use chrono::{DateTime, Utc};

use crate::domain::{
    AppId, Language, LineId, MemberId, PhoneKey, PhoneNumberId, PortalAppId, PortalId, Secret, WabaId,
    WabaKey,
};
use crate::secrets::Vault;
use crate::store::apps::AppRow;
use crate::store::calling::CallingRow;
use crate::store::lines::LineBindingRow;
use crate::store::phones::PhoneRow;
use crate::store::portal_apps::PortalAppRow;
use crate::store::portals::PortalRow;
use crate::store::wabas::WabaRow;

/// Places of sealed secrets, bound into their encryption so that one cannot be moved to another's place.
pub mod context {
    /// `apps.client_secret_sealed` and `apps.second_secret_sealed`.
    pub const APP_SECRET: &str = "apps.client_secret";
    /// `apps.access_token_sealed`.
    pub const APP_TOKEN: &str = "apps.access_token";
    /// `apps.verify_token_sealed`.
    pub const VERIFY_TOKEN: &str = "apps.verify_token";
    /// `wabas.access_token_sealed`.
    pub const WABA_TOKEN: &str = "wabas.access_token";
    /// `portal_apps.client_secret_sealed`.
    pub const PORTAL_APP_SECRET: &str = "portal_apps.client_secret";
    /// `portals.access_token_sealed`.
    pub const PORTAL_ACCESS: &str = "portals.access_token";
    /// `portals.refresh_token_sealed`.
    pub const PORTAL_REFRESH: &str = "portals.refresh_token";
    /// `portals.application_token_sealed`.
    pub const APPLICATION_TOKEN: &str = "portals.application_token";
    /// `portals.sms_secret_sealed`.
    pub const SMS_SECRET: &str = "portals.sms_secret";
    /// `phone_calling.sip_password_sealed`.
    pub const SIP_PASSWORD: &str = "phone_calling.sip_password";
}

/// Why an object cannot work: one of its stored secrets cannot be opened.
pub type Broken = Option<String>;

struct Opener<'a> {
    vault: &'a Vault,
    broken: Broken,
}

impl Opener<'_> {
    fn open(&mut self, sealed: &str, context: &str) -> Secret {
        match self.vault.open(sealed, context) {
            Ok(secret) => secret,
            Err(error) => {
                let reason = format!("{context} cannot be decrypted: {error}");
                tracing::error!(reason, "a stored secret cannot be opened; enter it again");
                self.broken.get_or_insert(reason);
                Secret::default()
            }
        }
    }
}

/// A Meta app.
#[derive(Clone, Debug)]
pub struct App {
    /// Our id.
    pub id: AppId,
    /// Host that selects it.
    pub site: String,
    /// Meta's id.
    pub client_id: String,
    /// App secrets, the newest first; two during a rotation.
    pub secrets: Vec<Secret>,
    /// Access token.
    pub access_token: Secret,
    /// Verify token of the handshake.
    pub verify_token: Secret,
    /// Selector in the callback URL.
    pub api_key: String,
    /// Graph version, else the configured one.
    pub graph_version: Option<String>,
    /// Whether every notification is kept.
    pub save_events: bool,
    /// Why it cannot work.
    pub broken: Broken,
}

impl App {
    pub(super) fn open(row: AppRow, vault: &Vault) -> Self {
        let mut opener = Opener { vault, broken: None };
        let second = row.second_secret_sealed.as_deref();
        let secrets: Vec<Secret> = std::iter::once(row.client_secret_sealed.as_str())
            .chain(second)
            .map(|sealed| opener.open(sealed, context::APP_SECRET))
            .filter(|secret| !secret.is_empty())
            .collect();
        Self {
            access_token: opener.open(&row.access_token_sealed, context::APP_TOKEN),
            verify_token: opener.open(&row.verify_token_sealed, context::VERIFY_TOKEN),
            secrets,
            id: AppId::from(row.id),
            site: row.site,
            client_id: row.client_id,
            api_key: row.api_key,
            graph_version: row.graph_version,
            save_events: row.save_events,
            broken: opener.broken,
        }
    }
}

/// A WhatsApp Business Account.
#[derive(Clone, Debug)]
pub struct Waba {
    /// Our id.
    pub key: WabaKey,
    /// Its app.
    pub app_id: AppId,
    /// Meta's id.
    pub waba_id: WabaId,
    /// Its own access token, else the app's.
    pub access_token: Option<Secret>,
    /// Meta's id of the portfolio whose messaging limit it shares.
    pub portfolio: Option<String>,
    /// Why it cannot work.
    pub broken: Broken,
}

impl Waba {
    pub(super) fn open(row: WabaRow, vault: &Vault) -> Self {
        let mut opener = Opener { vault, broken: None };
        let access_token = row.access_token_sealed.map(|sealed| opener.open(&sealed, context::WABA_TOKEN));
        Self {
            key: WabaKey::from(row.id),
            app_id: AppId::from(row.app_id),
            waba_id: WabaId::from(row.waba_id),
            access_token,
            portfolio: row.portfolio,
            broken: opener.broken,
        }
    }

    /// Under which its sends count against the messaging limit: its portfolio, else itself alone.
    pub fn limit_key(&self) -> &str {
        self.portfolio.as_deref().unwrap_or(self.key.as_str())
    }
}

/// A business phone.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Our id.
    pub key: PhoneKey,
    /// Its WABA.
    pub waba_key: WabaKey,
    /// Meta's id.
    pub phone_number_id: PhoneNumberId,
    /// Digits without `+`.
    pub number: String,
    /// Settings and what Meta said of it.
    pub row: PhoneRow,
}

impl From<PhoneRow> for Phone {
    fn from(row: PhoneRow) -> Self {
        Self {
            key: PhoneKey::from(row.id.as_str()),
            waba_key: WabaKey::from(row.waba_key.as_str()),
            phone_number_id: PhoneNumberId::from(row.phone_number_id.as_str()),
            number: row.phone_number.clone(),
            row,
        }
    }
}

impl Phone {
    /// The key under which portals know it as an SMS sender; stable, since their robots are set to it.
    pub fn sender_code(&self) -> String {
        self.row.sms_code.clone().unwrap_or_else(|| format!("wa_{}", self.number))
    }
}

/// A phone with what it takes to call Meta for it.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    /// The phone.
    pub phone: &'a Phone,
    /// Its WABA.
    pub waba: &'a Waba,
    /// Its app.
    pub app: &'a App,
}

impl Channel<'_> {
    /// The token of the WABA, else of the app.
    pub fn token(&self) -> &Secret {
        self.waba.access_token.as_ref().unwrap_or(&self.app.access_token)
    }

    /// Why it cannot be used.
    pub fn broken(&self) -> Option<&str> {
        self.app.broken.as_deref().or(self.waba.broken.as_deref())
    }
}

/// A local application of a portal.
#[derive(Clone, Debug)]
pub struct PortalApp {
    /// Our id.
    pub id: PortalAppId,
    /// Bitrix24's id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Why it cannot work.
    pub broken: Broken,
}

impl PortalApp {
    pub(super) fn open(row: PortalAppRow, vault: &Vault) -> Self {
        let mut opener = Opener { vault, broken: None };
        Self {
            client_secret: opener.open(&row.client_secret_sealed, context::PORTAL_APP_SECRET),
            id: PortalAppId::from(row.id),
            client_id: row.client_id,
            broken: opener.broken,
        }
    }
}

/// A Bitrix24 account with our installation on it.
#[derive(Clone, Debug)]
pub struct Portal {
    /// Our id.
    pub id: PortalId,
    /// Its key.
    pub member_id: MemberId,
    /// Its application.
    pub portal_app_id: PortalAppId,
    /// Access token.
    pub access_token: Secret,
    /// When that ends.
    pub access_expires_at: DateTime<Utc>,
    /// Refresh token.
    pub refresh_token: Secret,
    /// What every event must bear, once known.
    pub application_token: Option<Secret>,
    /// Path secret of the SMS handler.
    pub sms_secret: Secret,
    /// Language of notes.
    pub language: Language,
    /// Everything else, as stored.
    pub row: PortalRow,
    /// Why it cannot work.
    pub broken: Broken,
}

impl Portal {
    pub(super) fn open(row: PortalRow, vault: &Vault) -> Self {
        let mut opener = Opener { vault, broken: None };
        let token = row.application_token_sealed.as_deref();
        Self {
            id: PortalId::from(row.id.as_str()),
            member_id: MemberId::from(row.member_id.as_str()),
            portal_app_id: PortalAppId::from(row.portal_app_id.as_str()),
            access_token: opener.open(&row.access_token_sealed, context::PORTAL_ACCESS),
            access_expires_at: row.access_expires_at.and_utc(),
            refresh_token: opener.open(&row.refresh_token_sealed, context::PORTAL_REFRESH),
            application_token: token.map(|sealed| opener.open(sealed, context::APPLICATION_TOKEN)),
            sms_secret: opener.open(&row.sms_secret_sealed, context::SMS_SECRET),
            language: Language::from_code(&row.language),
            broken: opener.broken,
            row,
        }
    }

    /// Whether calls and events are for this portal at all.
    pub fn is_active(&self) -> bool {
        self.row.status != "uninstalled"
    }
}

/// Which phone feeds which open line.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The phone.
    pub phone: PhoneKey,
    /// The portal.
    pub portal: PortalId,
    /// The line there.
    pub line: LineId,
    /// Name of the line when it was bound.
    pub line_name: String,
}

impl From<LineBindingRow> for Binding {
    fn from(row: LineBindingRow) -> Self {
        Self {
            phone: PhoneKey::from(row.phone_id),
            portal: PortalId::from(row.portal_id),
            line: LineId::from(row.line_id),
            line_name: row.line_name,
        }
    }
}

/// How a phone is set up for calls.
#[derive(Clone, Debug)]
pub struct Calling {
    /// The phone.
    pub phone: PhoneKey,
    /// Its SIP password; `None` = not read yet, or it cannot be opened.
    pub sip_password: Option<Secret>,
    /// Everything else, as stored.
    pub row: CallingRow,
    /// Why it cannot work.
    pub broken: Broken,
}

impl Calling {
    pub(super) fn open(row: CallingRow, vault: &Vault) -> Self {
        let mut opener = Opener { vault, broken: None };
        let sealed = row.sip_password_sealed.as_deref();
        let password = sealed.map(|sealed| opener.open(sealed, context::SIP_PASSWORD));
        Self {
            phone: PhoneKey::from(row.phone_id.as_str()),
            sip_password: password.filter(|password| !password.is_empty()),
            broken: opener.broken,
            row,
        }
    }

    /// Whether calls come at all.
    pub fn is_enabled(&self) -> bool {
        self.row.status == "ENABLED" && self.row.sip_status == "ENABLED"
    }

    /// Whether they come to this bridge.
    pub fn is_ours(&self) -> bool {
        self.is_enabled() && self.row.edge == "own"
    }
}
