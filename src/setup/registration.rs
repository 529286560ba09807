//! A number at Meta: proven by a code, registered with a PIN; and what customers see of the business.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::behalf::{Object, stale};
use super::doctor::Scope;
use super::validate::{self, Faults};
use super::{Setup, SetupError};
use crate::domain::{PhoneNumberId, Secret};
use crate::store::phones::{self, PhoneRow};
use crate::whatsapp::GraphClient;
use crate::whatsapp::client::BusinessProfile;

/// Branches that Meta knows.
pub const VERTICALS: [&str; 22] = [
    "OTHER",
    "AUTO",
    "BEAUTY",
    "APPAREL",
    "EDU",
    "ENTERTAIN",
    "EVENT_PLAN",
    "FINANCE",
    "GROCERY",
    "GOVT",
    "HOTEL",
    "HEALTH",
    "NONPROFIT",
    "PROF_SERVICES",
    "RETAIL",
    "TRAVEL",
    "RESTAURANT",
    "ALCOHOL",
    "ONLINE_GAMBLING",
    "PHYSICAL_GAMBLING",
    "OTC_DRUGS",
    "UNDEFINED",
];

/// What it takes to call Meta for a number.
pub(super) struct PhoneAccess {
    pub(super) row: PhoneRow,
    pub(super) graph: GraphClient,
    pub(super) token: Secret,
    pub(super) phone: PhoneNumberId,
}

impl Setup {
    /// Registers a number with its two-step PIN; Meta's state of it is read again.
    pub async fn register_phone(&self, id: &str, pin: &Secret) -> Result<(), SetupError> {
        if !is_digits(pin.expose(), 6..=6) {
            return Err(SetupError::field("pin", "must be six digits"));
        }
        let PhoneAccess { row, graph, token, phone } = self.phone_access(id).await?;
        self.counted("register", graph.register(&token, &phone, pin).await)?;
        self.note_phone(&row, "register", None).await?;
        self.read_phone_again(&row, &graph, &token, &phone).await
    }

    /// Lets Meta send a code to the number.
    pub async fn request_code(&self, id: &str, method: &str, language: &str) -> Result<(), SetupError> {
        let mut faults = Faults::default();
        let method = faults.check("method", validate::one_of(method, &["SMS", "VOICE"]));
        let language = faults.check("code_language", validate::text(language, 10));
        faults.done()?;
        let PhoneAccess { row, graph, token, phone } = self.phone_access(id).await?;
        self.counted("request_code", graph.request_code(&token, &phone, &method, &language).await)?;
        self.note_phone(&row, "code", None).await
    }

    /// Tells Meta the code that came.
    pub async fn verify_code(&self, id: &str, code: &Secret) -> Result<(), SetupError> {
        if !is_digits(code.expose(), 4..=8) {
            return Err(SetupError::field("code", "must be the digits of the code"));
        }
        let PhoneAccess { row, graph, token, phone } = self.phone_access(id).await?;
        self.counted("verify_code", graph.verify_code(&token, &phone, code).await)?;
        self.note_phone(&row, "verify", None).await?;
        self.read_phone_again(&row, &graph, &token, &phone).await
    }

    /// The business profile as Meta has it.
    pub async fn profile(&self, id: &str) -> Result<BusinessProfile, SetupError> {
        let PhoneAccess { graph, token, phone, .. } = self.phone_access(id).await?;
        Ok(self.counted("profile", graph.profile(&token, &phone).await)?)
    }

    /// Changes the business profile at Meta, where alone it is kept; `seen` is the [`profile_mark`] of what
    /// somebody had before their eyes.
    pub async fn change_profile(
        &self,
        id: &str,
        profile: BusinessProfile,
        seen: Option<String>,
    ) -> Result<(), SetupError> {
        let mut faults = Faults::default();
        for (field, text, most) in [
            ("about", &profile.about, 139),
            ("address", &profile.address, 256),
            ("description", &profile.description, 256),
            ("email", &profile.email, 128),
        ] {
            if text.chars().count() > most {
                faults.add(field, format!("must be at most {most} characters"));
            }
        }
        if profile.about.trim().is_empty() {
            faults.add("about", "must not be empty");
        }
        if !profile.email.is_empty() && !profile.email.contains('@') {
            faults.add("email", "must be an e-mail address");
        }
        let is_site = |site: &String| {
            url::Url::parse(site).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
                && site.len() <= 256
        };
        if profile.websites.len() > 2 || !profile.websites.iter().all(is_site) {
            faults.add("websites", "must be at most two addresses that begin with https://");
        }
        faults.check("vertical", validate::one_of(&profile.vertical, &VERTICALS));
        faults.done()?;
        let PhoneAccess { row, graph, token, phone } = self.phone_access(id).await?;
        let before = self.counted("profile", graph.profile(&token, &phone).await)?;
        if seen.is_some_and(|seen| seen != profile_mark(&before)) {
            return Err(stale());
        }
        self.counted("set_profile", graph.set_profile(&token, &phone, &profile).await)?;
        self.keep_profile(&row.id, &profile).await?;
        self.note_phone(&row, "profile", Some((json!(before), json!(profile)))).await
    }

    /// The profile as it is to be from now on: what others make of it is found by the doctor.
    pub(super) async fn keep_profile(&self, id: &str, profile: &BusinessProfile) -> Result<(), SetupError> {
        let (id, text) = (id.to_owned(), json!(profile).to_string());
        self.db.write(move |tx| phones::set_profile(tx.conn, &id, &text)).await?;
        Ok(self.directory.reload().await?)
    }

    /// Writes the profile that was last written or accepted here once more.
    pub(super) async fn restore_profile(&self, id: &str) -> Result<(), SetupError> {
        let PhoneAccess { row, graph, token, phone } = self.phone_access(id).await?;
        let known =
            row.profile.as_deref().and_then(|text| serde_json::from_str::<BusinessProfile>(text).ok());
        let known = known.ok_or(SetupError::NotFound("profile of this phone"))?;
        Ok(self.counted("set_profile", graph.set_profile(&token, &phone, &known).await)?)
    }

    pub(super) async fn phone_access(&self, id: &str) -> Result<PhoneAccess, SetupError> {
        let row = self.phone(id).await?;
        let (graph, token, _) = self.waba_access(&row.waba_key)?;
        let phone = PhoneNumberId::from(row.phone_number_id.as_str());
        Ok(PhoneAccess { row, graph, token, phone })
    }

    async fn read_phone_again(
        &self,
        row: &PhoneRow,
        graph: &GraphClient,
        token: &Secret,
        phone: &PhoneNumberId,
    ) -> Result<(), SetupError> {
        let info = self.counted("phone", graph.phone(token, phone).await)?;
        let id = row.id.clone();
        self.db
            .write(move |tx| {
                let Some(mut row) = phones::get(tx.conn, &id)? else { return Ok(false) };
                row.status = info.status.clone();
                row.quality = info.quality_rating.clone().or(row.quality);
                row.name_status = info.name_status.clone().or(row.name_status);
                phones::update(tx.conn, &row)
            })
            .await?;
        self.directory.reload().await?;
        self.check_later(Scope::Phone(row.id.clone()));
        Ok(())
    }

    /// Writes down what was done to a number at Meta, and lets it be checked.
    pub(super) async fn note_phone(
        &self,
        row: &PhoneRow,
        action: &'static str,
        change: Option<(serde_json::Value, serde_json::Value)>,
    ) -> Result<(), SetupError> {
        self.check_later(Scope::Phone(row.id.clone()));
        let (own, row) = (self.clone(), row.clone());
        let (before, after) = change.unzip();
        let noted = self.db.write(move |tx| {
            let object = Object { kind: "phone", id: &row.id, name: &row.phone_number };
            own.note(tx, action, object, before.as_ref(), after.as_ref())
        });
        Ok(noted.await?)
    }
}

/// What tells a profile from a changed one.
pub fn profile_mark(profile: &BusinessProfile) -> String {
    // Plain data with text keys: writing it as JSON cannot fail. The picture's address, which changes by
    // itself, is left out there.
    let json = serde_json::to_string(profile).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}

fn is_digits(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}
