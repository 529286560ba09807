//! What Meta says of how things are set up: where an app's webhooks go, whether its secret is right, the health
//! of a number and of an account (whatsapp-messaging facts §1.4, §7.2, §7.5, §7.6). And the calls that put it right.

use hmac::{Hmac, Mac as _};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::GraphClient;
use crate::domain::{PhoneNumberId, Secret, WabaId};
use crate::whatsapp::error::GraphError;

const OBJECT: &str = "whatsapp_business_account";

/// Where an app's webhooks of WhatsApp go, and which.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscription {
    /// The address.
    pub callback_url: String,
    /// Whether Meta uses it.
    pub active: bool,
    /// Names of the fields that are ticked.
    pub fields: Vec<String>,
}

/// Whether messages can be sent, for each object on the way.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Health {
    /// `AVAILABLE`, `LIMITED`, `BLOCKED`: the worst of all.
    pub can_send_message: Option<String>,
    /// The objects.
    pub entities: Vec<HealthEntity>,
}

/// One object on the way of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthEntity {
    /// `PHONE_NUMBER`, `MESSAGE_TEMPLATE`, `WABA`, `BUSINESS`, `APP`.
    pub entity_type: String,
    /// Its id.
    pub id: String,
    /// `AVAILABLE`, `LIMITED`, `BLOCKED`.
    pub can_send_message: String,
    /// Meta's own words, where it is limited.
    pub additional_info: Vec<String>,
    /// What is wrong, where it is blocked.
    pub errors: Vec<HealthError>,
}

/// Why an object is blocked, in Meta's own words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthError {
    /// Meta's code.
    pub error_code: i64,
    /// What it is.
    pub error_description: String,
    /// What Meta advises.
    pub possible_solution: String,
}

/// What of a number is asked for the doctor alone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PhoneExtras {
    /// `TIER_250` …: people that may be written to first in a day.
    pub whatsapp_business_manager_messaging_limit: Option<String>,
    /// Whether it has a two-step PIN.
    pub is_pin_enabled: Option<bool>,
}

#[derive(Deserialize)]
struct Subscriptions {
    #[serde(default)]
    data: Vec<SubscriptionWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SubscriptionWire {
    object: String,
    callback_url: String,
    active: bool,
    fields: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HealthAnswer {
    health_status: Health,
}

impl GraphClient {
    /// Where the app's webhooks of WhatsApp go; `None` if nowhere.
    pub async fn subscription(
        &self,
        app_id: &str,
        app_secret: &Secret,
    ) -> Result<Option<Subscription>, GraphError> {
        let app_token = app_token(app_id, app_secret);
        let request = self.call(Method::GET, &app_token, &[app_id, "subscriptions"])?;
        let answer: Subscriptions =
            self.answer(request, &app_token).await.map_err(|error| error.without(app_secret))?;
        let ours = answer.data.into_iter().find(|one| one.object == OBJECT);
        Ok(ours.map(|wire| Subscription {
            callback_url: wire.callback_url,
            active: wire.active,
            fields: wire.fields.iter().filter_map(field_name).collect(),
        }))
    }

    /// Tells Meta where the app's webhooks go and which fields are wanted. Meta makes its handshake with the
    /// address before it answers.
    pub async fn set_subscription(
        &self,
        app_id: &str,
        app_secret: &Secret,
        callback_url: &str,
        verify_token: &Secret,
        fields: &[String],
    ) -> Result<(), GraphError> {
        let app_token = app_token(app_id, app_secret);
        let body = json!({
            "object": OBJECT,
            "callback_url": callback_url,
            "verify_token": verify_token.expose(),
            "fields": fields.join(","),
            "include_values": "true",
        });
        let request = self.call(Method::POST, &app_token, &[app_id, "subscriptions"])?.json(&body);
        let outcome = self.success(request, &app_token).await;
        outcome.map_err(|error| error.without(app_secret).without(verify_token))
    }

    /// Asks for the app with a proof by its secret: only the secret of the app that made the token is taken.
    pub async fn prove_secret(
        &self,
        app_id: &str,
        app_secret: &Secret,
        token: &Secret,
    ) -> Result<(), GraphError> {
        let proof = appsecret_proof(app_secret, token);
        let query = [("fields", "id"), ("appsecret_proof", proof.as_str())];
        let request = self.call(Method::GET, token, &[app_id])?.query(&query);
        self.answer::<Value>(request, token).await.map(drop)
    }

    /// The health of a number, account or template, by its id.
    pub async fn health(&self, token: &Secret, id: &str) -> Result<Health, GraphError> {
        let request = self.call(Method::GET, token, &[id])?.query(&[("fields", "health_status")]);
        Ok(self.answer::<HealthAnswer>(request, token).await?.health_status)
    }

    /// A number's limit and whether it has a PIN.
    pub async fn phone_extras(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
    ) -> Result<PhoneExtras, GraphError> {
        let fields = "whatsapp_business_manager_messaging_limit,is_pin_enabled";
        let request = self.call(Method::GET, token, &[phone.as_str()])?.query(&[("fields", fields)]);
        self.answer(request, token).await
    }

    /// Whether the account's templates can be read.
    pub async fn reads_templates(&self, token: &Secret, waba: &WabaId) -> Result<(), GraphError> {
        let request = self.call(Method::GET, token, &[waba.as_str(), "message_templates"])?;
        self.answer::<Value>(request.query(&[("limit", "1")]), token).await.map(drop)
    }

    /// Removes a number's own webhook address.
    pub async fn clear_override(&self, token: &Secret, phone: &PhoneNumberId) -> Result<(), GraphError> {
        let body = json!({"webhook_configuration": {"override_callback_uri": ""}});
        self.success(self.call(Method::POST, token, &[phone.as_str()])?.json(&body), token).await
    }
}

fn app_token(app_id: &str, app_secret: &Secret) -> Secret {
    Secret::new(format!("{app_id}|{}", app_secret.expose()))
}

/// Lower hex HMAC-SHA256 of the token, with the secret as key (§7.2).
fn appsecret_proof(app_secret: &Secret, token: &Secret) -> String {
    match Hmac::<Sha256>::new_from_slice(app_secret.expose().as_bytes()) {
        Ok(mut mac) => {
            mac.update(token.expose().as_bytes());
            hex::encode(mac.finalize().into_bytes())
        }
        // HMAC takes a key of any length.
        Err(_) => String::new(),
    }
}

/// A field is an object with a name; older answers had the bare name.
fn field_name(field: &Value) -> Option<String> {
    field.as_str().or_else(|| field.get("name")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_the_hmac_of_the_token() {
        let proof = appsecret_proof(
            &Secret::from("test_app_secret"),
            &Secret::from(r#"{"object":"whatsapp_business_account","entry":[]}"#),
        );
        assert_eq!(proof, "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756");
    }

    #[test]
    fn fields_are_read_in_both_spellings() {
        assert_eq!(field_name(&json!({"name": "messages", "version": "v25.0"})).as_deref(), Some("messages"));
        assert_eq!(field_name(&json!("messages")).as_deref(), Some("messages"));
        assert_eq!(field_name(&json!(1)), None);
    }
}
