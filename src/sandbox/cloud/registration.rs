//! Numbers: codes, registration with a PIN, the business profile (whatsapp facts §7.6, errors §5.2).

use serde_json::{Map, Value, json};

use super::SimCloud;
use super::errors::GraphError;
use super::server::{Call, Reply};

/// The code that every simulated SMS bears.
pub(super) const CODE: &str = "123456";
const PROFILE: [&str; 7] =
    ["about", "address", "description", "email", "websites", "vertical", "profile_picture_url"];

/// `POST /{phone}/register`: the first PIN is set, a later one must be the same.
pub(super) fn register(cloud: &SimCloud, call: &Call, phone: &str) -> Result<Reply, GraphError> {
    let body = call.json()?;
    if body.get("messaging_product").and_then(Value::as_str) != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    let pin = body.get("pin").and_then(Value::as_str).unwrap_or_default().to_owned();
    if pin.len() != 6 || !pin.bytes().all(|b| b.is_ascii_digit()) {
        return Err(GraphError::parameter("Param pin must be a string with 6 digits."));
    }
    if field(cloud, phone, "code_verification_status") != json!("VERIFIED") {
        return Err(GraphError::coded(133006, "Phone number needs to be verified before registering."));
    }
    let known = cloud.state().pins.get(phone).cloned();
    if known.is_some_and(|known| known != pin) {
        return Err(GraphError::coded(133005, "Two step verification PIN Mismatch."));
    }
    cloud.state().pins.insert(phone.to_owned(), pin);
    cloud.set_phone(
        phone,
        json!({"platform_type": "CLOUD_API", "status": "CONNECTED", "is_pin_enabled": true}),
    );
    Ok(Reply::ok(json!({"success": true})))
}

/// `POST /{phone}/request_code`
pub(super) fn request_code(call: &Call) -> Result<Reply, GraphError> {
    let method = call.query.get("code_method").map(String::as_str);
    if !matches!(method, Some("SMS" | "VOICE")) {
        return Err(GraphError::parameter("Param code_method must be one of {SMS, VOICE}."));
    }
    if call.query.get("language").is_none_or(String::is_empty) {
        return Err(GraphError::parameter("The parameter language is required."));
    }
    Ok(Reply::ok(json!({"success": true})))
}

/// `POST /{phone}/verify_code`
pub(super) fn verify_code(cloud: &SimCloud, call: &Call, phone: &str) -> Result<Reply, GraphError> {
    if call.query.get("code").map(String::as_str) != Some(CODE) {
        return Err(GraphError::parameter("Code couldn't be verified."));
    }
    cloud.set_phone(phone, json!({"code_verification_status": "VERIFIED"}));
    Ok(Reply::ok(json!({"success": true})))
}

/// `GET /{phone}/whatsapp_business_profile`
pub(super) fn profile(cloud: &SimCloud, call: &Call, phone: &str) -> Reply {
    let wanted = call.query.get("fields").cloned().unwrap_or_default();
    let known = cloud.state().profiles.get(phone).cloned().unwrap_or_default();
    let mut shown: Map<String, Value> =
        known.into_iter().filter(|(key, _)| wanted.split(',').any(|field| field.trim() == key)).collect();
    shown.insert("messaging_product".into(), "whatsapp".into());
    Reply::ok(json!({"data": [shown]}))
}

/// `POST /{phone}/whatsapp_business_profile`
pub(super) fn set_profile(cloud: &SimCloud, call: &Call, phone: &str) -> Result<Reply, GraphError> {
    let body = call.json()?;
    if body.get("messaging_product").and_then(Value::as_str) != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    let about = body.get("about").and_then(Value::as_str);
    if about.is_some_and(|about| about.is_empty() || about.chars().count() > 139) {
        return Err(GraphError::parameter("Param about must be at least 1 and at most 139 characters long."));
    }
    let mut fields = body.as_object().cloned().unwrap_or_default();
    if let Some(handle) = fields.remove("profile_picture_handle") {
        let known = handle.as_str().is_some_and(|handle| handle.starts_with("4::"));
        if !known {
            return Err(GraphError::parameter("Param profile_picture_handle is not a valid handle."));
        }
        fields.insert("profile_picture_url".into(), "https://pps.example/picture.jpg".into());
    }
    let mut state = cloud.state();
    let known = state.profiles.entry(phone.to_owned()).or_default();
    known.extend(fields.into_iter().filter(|(key, _)| PROFILE.contains(&key.as_str())));
    Ok(Reply::ok(json!({"success": true})))
}

fn field(cloud: &SimCloud, phone: &str, name: &str) -> Value {
    let state = cloud.state();
    let node = state.phone(phone).map(|(_, phone)| &phone.node);
    node.and_then(|node| node.get(name)).cloned().unwrap_or_default()
}
