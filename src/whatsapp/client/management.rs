//! Tokens, accounts, subscriptions, numbers (whatsapp-messaging facts §7.2, §7.5, §7.6).

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{CALL_TIMEOUT, GraphClient};
use crate::domain::{PhoneNumberId, Secret, WabaId};
use crate::whatsapp::error::GraphError;

const PAGE: usize = 100;
/// Pages of a list at most: more is a server that turns in circles.
const MAX_PAGES: usize = 100;
const WABA_FIELDS: &str = "id,name,timezone_id,currency,account_review_status,business_verification_status";
const PHONE_FIELDS: &str = "id,display_phone_number,verified_name,status,quality_rating,name_status,\
    code_verification_status,platform_type,account_mode,throughput,is_on_biz_app,webhook_configuration,\
    whatsapp_business_manager_messaging_limit";

/// What a token is good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugToken {
    /// Whether Meta takes it at all.
    pub is_valid: bool,
    /// Meta's id of the app that it belongs to.
    pub app_id: Option<String>,
    /// `SYSTEM_USER`, `USER` …
    pub kind: Option<String>,
    /// `None` = never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Permissions.
    pub scopes: Vec<String>,
    /// Permissions limited to some accounts.
    pub granular_scopes: Vec<GranularScope>,
    /// Code and text of what is wrong with it.
    pub error: Option<(i64, String)>,
}

/// A permission and the accounts that it holds for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GranularScope {
    /// `whatsapp_business_messaging` …
    pub scope: String,
    /// Ids of accounts; `None` = all.
    pub target_ids: Option<Vec<String>>,
}

/// A WhatsApp Business Account.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct WabaInfo {
    /// Its id.
    pub id: WabaId,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its currency.
    #[serde(default)]
    pub currency: Option<String>,
    /// `APPROVED` …
    #[serde(default)]
    pub account_review_status: Option<String>,
    /// `verified` …
    #[serde(default)]
    pub business_verification_status: Option<String>,
}

/// An app that gets an account's notifications.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SubscribedApp {
    /// Meta's id of the app.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Where this account's notifications go instead of the app's own address.
    pub override_callback_uri: Option<String>,
}

/// A business phone. States are Meta's raw words: their lists differ between its pages.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct PhoneInfo {
    /// Its id.
    pub id: PhoneNumberId,
    /// Formatted (`+1 631-555-5555`): compare by digits.
    #[serde(default)]
    pub display_phone_number: Option<String>,
    /// The name that people see.
    #[serde(default)]
    pub verified_name: Option<String>,
    /// `CONNECTED`, or something that wants attention.
    #[serde(default)]
    pub status: Option<String>,
    /// `GREEN`, `YELLOW`, `RED`, `NA`, `UNKNOWN`.
    #[serde(default)]
    pub quality_rating: Option<String>,
    /// `APPROVED` …
    #[serde(default)]
    pub name_status: Option<String>,
    /// `VERIFIED` …
    #[serde(default)]
    pub code_verification_status: Option<String>,
    /// `CLOUD_API`, `ON_PREMISE`, `NOT_APPLICABLE` (not registered).
    #[serde(default)]
    pub platform_type: Option<String>,
    /// `LIVE`, `SANDBOX`.
    #[serde(default)]
    pub account_mode: Option<String>,
    /// Whether the WhatsApp Business app shares the number.
    #[serde(default)]
    pub is_on_biz_app: Option<bool>,
    /// `TIER_250` … `TIER_UNLIMITED`: people that may be written to first within 24 hours (§6.2).
    #[serde(default, rename = "whatsapp_business_manager_messaging_limit")]
    pub messaging_limit: Option<String>,
    /// `throughput.level` and `webhook_configuration`, as they stand.
    #[serde(default)]
    throughput: Value,
    #[serde(default)]
    webhook_configuration: Value,
}

impl PhoneInfo {
    /// Whether it can send.
    pub fn is_connected(&self) -> bool {
        self.status.as_deref() == Some("CONNECTED")
    }

    /// `STANDARD`, `HIGH`, `NOT_APPLICABLE`.
    pub fn throughput_level(&self) -> Option<&str> {
        self.throughput.get("level").and_then(Value::as_str)
    }

    /// Where its notifications go: its own address, else its account's, else the app's (§1.4).
    pub fn callback_url(&self) -> Option<&str> {
        ["phone_number", "whatsapp_business_account", "application"]
            .into_iter()
            .filter_map(|key| self.webhook_configuration.get(key).and_then(Value::as_str))
            .find(|url| !url.is_empty())
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    data: TokenWire,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenWire {
    is_valid: bool,
    app_id: Value,
    #[serde(rename = "type")]
    kind: Option<String>,
    expires_at: Option<i64>,
    scopes: Vec<String>,
    granular_scopes: Vec<GranularScope>,
    error: Value,
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    paging: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SubscribedWire {
    whatsapp_business_api_data: AppWire,
    override_callback_uri: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AppWire {
    id: Value,
    name: Option<String>,
}

impl GraphClient {
    /// Asks what a token is good for, in the name of the app (`app_id|app_secret`).
    pub async fn debug_token(
        &self,
        app_id: &str,
        app_secret: &Secret,
        token: &Secret,
    ) -> Result<DebugToken, GraphError> {
        let app_token = Secret::new(format!("{app_id}|{}", app_secret.expose()));
        let query = [("input_token", token.expose()), ("access_token", app_token.expose())];
        let request = self.http.get(self.address(&["debug_token"])?).query(&query).timeout(CALL_TIMEOUT);
        let answer: TokenAnswer =
            self.answer(request, token).await.map_err(|error| error.without(app_secret))?;
        let wire = answer.data;
        let error = wire.error.as_object().map(|error| {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
            let text = error.get("message").and_then(Value::as_str).unwrap_or_default();
            (code, text.replace(token.expose(), "••••"))
        });
        Ok(DebugToken {
            is_valid: wire.is_valid,
            app_id: id_text(&wire.app_id),
            kind: wire.kind,
            expires_at: wire
                .expires_at
                .filter(|seconds| *seconds > 0)
                .and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            scopes: wire.scopes,
            granular_scopes: wire.granular_scopes,
            error,
        })
    }

    /// Reads an account.
    pub async fn waba(&self, token: &Secret, waba: &WabaId) -> Result<WabaInfo, GraphError> {
        let request = self.call(Method::GET, token, &[waba.as_str()])?.query(&[("fields", WABA_FIELDS)]);
        self.answer(request, token).await
    }

    /// Subscribes the token's app to an account: without it nothing arrives. A repeat changes nothing but
    /// for an address that overrides the app's, which it removes (§1.4).
    pub async fn subscribe(&self, token: &Secret, waba: &WabaId) -> Result<(), GraphError> {
        let request = self.call(Method::POST, token, &[waba.as_str(), "subscribed_apps"])?.json(&json!({}));
        self.success(request, token).await
    }

    /// Takes the token's app off an account.
    pub async fn unsubscribe(&self, token: &Secret, waba: &WabaId) -> Result<(), GraphError> {
        let request = self.call(Method::DELETE, token, &[waba.as_str(), "subscribed_apps"])?;
        self.success(request, token).await
    }

    /// The apps that get an account's notifications.
    pub async fn subscribed_apps(
        &self,
        token: &Secret,
        waba: &WabaId,
    ) -> Result<Vec<SubscribedApp>, GraphError> {
        let wires: Vec<SubscribedWire> = self.list(token, &[waba.as_str(), "subscribed_apps"], &[]).await?;
        Ok(wires
            .into_iter()
            .map(|wire| SubscribedApp {
                id: id_text(&wire.whatsapp_business_api_data.id).unwrap_or_default(),
                name: wire.whatsapp_business_api_data.name,
                override_callback_uri: wire.override_callback_uri.filter(|uri| !uri.is_empty()),
            })
            .collect())
    }

    /// The numbers of an account.
    pub async fn phone_numbers(&self, token: &Secret, waba: &WabaId) -> Result<Vec<PhoneInfo>, GraphError> {
        self.list(token, &[waba.as_str(), "phone_numbers"], &[("fields", PHONE_FIELDS)]).await
    }

    /// Reads a number.
    pub async fn phone(&self, token: &Secret, phone: &PhoneNumberId) -> Result<PhoneInfo, GraphError> {
        let request = self.call(Method::GET, token, &[phone.as_str()])?.query(&[("fields", PHONE_FIELDS)]);
        self.answer(request, token).await
    }

    /// Every page of a list, by `cursors.after`: `paging.next` has the token in it and is never followed.
    ///
    /// # Errors
    /// A list that turns in circles is none.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        token: &Secret,
        parts: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, GraphError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut request = self.call(Method::GET, token, parts)?.query(query);
            request = request.query(&[("limit", PAGE)]);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let page: Page<T> = self.answer(request, token).await?;
            let (count, paging) = (page.data.len(), page.paging);
            items.extend(page.data);
            let next = paging.pointer("/cursors/after").and_then(Value::as_str).map(str::to_owned);
            let more = count >= PAGE || paging.get("next").is_some_and(Value::is_string);
            if count == 0 || !more || next.is_none() {
                return Ok(items);
            }
            if next == after {
                break;
            }
            after = next;
        }
        Err(GraphError::Unreadable { http: 200, retry_after: None })
    }

    /// Meta's id of the business portfolio that owns an account; `None` if Meta does not tell.
    pub async fn portfolio(&self, token: &Secret, waba: &WabaId) -> Result<Option<String>, GraphError> {
        let request =
            self.call(Method::GET, token, &[waba.as_str()])?.query(&[("fields", "owner_business_info")]);
        let answer: Value = self.answer(request, token).await?;
        Ok(answer.pointer("/owner_business_info/id").and_then(id_text))
    }
}

pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
