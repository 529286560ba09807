//! A number's registration and its business profile (whatsapp-messaging facts §7.6).

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::GraphClient;
use crate::domain::{PhoneNumberId, Secret};
use crate::whatsapp::error::GraphError;

const PROFILE_FIELDS: &str = "about,address,description,email,profile_picture_url,websites,vertical";

/// What customers see of a business. Lengths are Meta's: about 139, address and description 256, email 128,
/// two websites.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BusinessProfile {
    /// One line below the name.
    pub about: String,
    /// Postal address.
    pub address: String,
    /// What the business does.
    pub description: String,
    /// E-mail address.
    pub email: String,
    /// Web sites.
    pub websites: Vec<String>,
    /// Branch, of Meta's list.
    pub vertical: String,
    /// Where the picture is; only told.
    #[serde(skip_serializing)]
    pub profile_picture_url: Option<String>,
}

impl GraphClient {
    /// Registers a number for the Cloud API. The PIN becomes its two-step PIN, or must be the one it has.
    pub async fn register(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        pin: &Secret,
    ) -> Result<(), GraphError> {
        let body = json!({"messaging_product": "whatsapp", "pin": pin.expose()});
        let request = self.call(Method::POST, token, &[phone.as_str(), "register"])?.json(&body);
        self.success(request, token).await.map_err(|error| error.without(pin))
    }

    /// Lets Meta send a code to the number, by `SMS` or `VOICE`, in a language as `en_US`.
    pub async fn request_code(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        method: &str,
        language: &str,
    ) -> Result<(), GraphError> {
        let query = [("code_method", method), ("language", language)];
        let request = self.call(Method::POST, token, &[phone.as_str(), "request_code"])?.query(&query);
        self.success(request, token).await
    }

    /// Tells Meta the code that came to the number.
    pub async fn verify_code(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        code: &Secret,
    ) -> Result<(), GraphError> {
        let request = self.call(Method::POST, token, &[phone.as_str(), "verify_code"])?;
        self.success(request.query(&[("code", code.expose())]), token)
            .await
            .map_err(|error| error.without(code))
    }

    /// Reads the business profile.
    pub async fn profile(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
    ) -> Result<BusinessProfile, GraphError> {
        let parts = [phone.as_str(), "whatsapp_business_profile"];
        let request = self.call(Method::GET, token, &parts)?.query(&[("fields", PROFILE_FIELDS)]);
        let answer: Value = self.answer(request, token).await?;
        // Some pages of Meta's show one more level.
        let flat = answer.pointer("/data/0/business_profile").or_else(|| answer.pointer("/data/0"));
        Ok(flat.map(|flat| serde_json::from_value(flat.clone()).unwrap_or_default()).unwrap_or_default())
    }

    /// Gives the profile the picture of this handle (§3.3).
    pub async fn set_picture(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        handle: &str,
    ) -> Result<(), GraphError> {
        let body = json!({"messaging_product": "whatsapp", "profile_picture_handle": handle});
        let parts = [phone.as_str(), "whatsapp_business_profile"];
        self.success(self.call(Method::POST, token, &parts)?.json(&body), token).await
    }

    /// Writes the business profile.
    pub async fn set_profile(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        profile: &BusinessProfile,
    ) -> Result<(), GraphError> {
        let mut body = serde_json::to_value(profile).unwrap_or_default();
        if let Some(map) = body.as_object_mut() {
            map.insert("messaging_product".into(), "whatsapp".into());
        }
        let parts = [phone.as_str(), "whatsapp_business_profile"];
        self.success(self.call(Method::POST, token, &parts)?.json(&body), token).await
    }
}
