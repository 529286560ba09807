//! Access tokens: whose they are and whether they hold (whatsapp facts §7.2).

use std::collections::HashMap;

use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::errors::GraphError;
use super::graph::app_name;
use super::raw::hmac_hex;
use super::server::{Call, Reply};
use super::state::State;

/// Whose token a call bears.
pub(super) struct Caller {
    pub client_id: String,
    /// `{app-id}|{app-secret}` instead of a user's token.
    pub app_token: bool,
}

/// Finds the app of the call's token.
pub(super) fn authorize(state: &State, call: &Call) -> Result<Caller, GraphError> {
    let token = call.token.as_deref().filter(|token| !token.is_empty()).ok_or_else(GraphError::no_token)?;
    let (caller, secret) = owner(state, token).ok_or_else(|| GraphError::token(false))?;
    if state.faults.token_expired && !caller.app_token {
        return Err(GraphError::token(true));
    }
    let proof = call.query.get("appsecret_proof");
    let right = proof.map(|proof| *proof == hmac_hex(secret.as_bytes(), token.as_bytes()));
    match right {
        Some(false) => Err(GraphError::parameter("Invalid appsecret_proof provided in the API argument")),
        None if state.faults.require_appsecret_proof && !caller.app_token => {
            Err(GraphError::parameter("API calls from the server require an appsecret_proof argument"))
        }
        _ => Ok(caller),
    }
}

fn owner<'a>(state: &'a State, token: &str) -> Option<(Caller, &'a str)> {
    let same = |one: &str| bool::from(one.as_bytes().ct_eq(token.as_bytes()));
    state.apps.values().find_map(|app| {
        let info = &app.info;
        let app_token = same(&format!("{}|{}", info.client_id, info.client_secret));
        let caller = Caller { client_id: info.client_id.clone(), app_token };
        (app_token || same(&info.access_token)).then_some((caller, info.client_secret.as_str()))
    })
}

pub(super) fn app_token(state: &mut State, query: &HashMap<String, String>) -> Result<Reply, GraphError> {
    let text = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
    let app = state.apps.get(text("client_id")).filter(|app| app.info.client_secret == text("client_secret"));
    let app = app.ok_or_else(|| GraphError::parameter("Error validating client secret."))?;
    if let Some(code) = query.get("code") {
        return code_token(state, text("client_id"), code, text("redirect_uri"));
    }
    if text("grant_type") == "fb_exchange_token" {
        let given = text("fb_exchange_token");
        let own = owner(state, given).is_some_and(|(owner, _)| owner.client_id == text("client_id"));
        if !own {
            return Err(GraphError::token(false));
        }
        return Ok(Reply::ok(
            json!({"access_token": given, "token_type": "bearer", "expires_in": 5_183_976}),
        ));
    }
    if text("grant_type") != "client_credentials" {
        return Err(GraphError::parameter("Unsupported grant_type"));
    }
    let token = format!("{}|{}", app.info.client_id, app.info.client_secret);
    Ok(Reply::ok(json!({"access_token": token, "token_type": "bearer"})))
}

/// The code of a login (facts §7.3): works once, with the very address of the dialog.
fn code_token(state: &mut State, client_id: &str, code: &str, redirect: &str) -> Result<Reply, GraphError> {
    let known = state.codes.remove(code);
    let right = known.is_some_and(|(owner, address)| owner == client_id && address == redirect);
    let token = state.apps.get(client_id).filter(|_| right).map(|app| app.info.access_token.clone());
    let token = token.ok_or_else(|| {
        GraphError::parameter(
            "Error validating verification code. Please make sure your redirect_uri is identical.",
        )
    })?;
    Ok(Reply::ok(json!({"access_token": token, "token_type": "bearer", "expires_in": 5_183_976})))
}

/// `GET /debug_token` (facts §7.2): asked with an app token, or with a token of the same app.
pub(super) fn debug_token(state: &State, call: &Call) -> Result<Reply, GraphError> {
    let caller = authorize(state, call)?;
    let input = call.query.get("input_token").filter(|token| !token.is_empty());
    let input = input.ok_or_else(|| GraphError::parameter("(input_token) must be provided."))?;
    let owner = owner(state, input).map(|(owner, _)| owner);
    let invalid = |subcode: Option<u32>, message: &str| {
        let mut error = json!({"code": 190, "message": message});
        if let (Some(subcode), Some(error)) = (subcode, error.as_object_mut()) {
            error.insert("subcode".into(), subcode.into());
        }
        json!({"data": {"error": error, "is_valid": false, "scopes": []}})
    };
    let Some(owner) = owner else {
        return Ok(Reply::ok(invalid(None, "Invalid OAuth access token.")));
    };
    if owner.client_id != caller.client_id {
        return Err(GraphError::parameter("You must provide an app access token of this app."));
    }
    if owner.app_token {
        return Ok(Reply::ok(json!({"data": {"app_id": owner.client_id, "type": "APP",
            "application": app_name(&owner.client_id), "is_valid": true, "scopes": []}})));
    }
    if state.faults.token_expired {
        return Ok(Reply::ok(invalid(Some(463), "Error validating access token: Session has expired.")));
    }
    let otherwise = state.apps.get(&owner.client_id).map(|app| app.token.clone()).unwrap_or_default();
    let targets: Vec<&String> = state.wabas.keys().collect();
    let scopes = ["whatsapp_business_management", "whatsapp_business_messaging"];
    let granular: Vec<Value> =
        scopes.iter().map(|scope| json!({"scope": scope, "target_ids": targets})).collect();
    let mut data = json!({
        "app_id": owner.client_id,
        "type": "SYSTEM_USER",
        "application": app_name(&owner.client_id),
        "expires_at": 0,
        "data_access_expires_at": 0,
        "is_valid": true,
        "issued_at": 1_767_225_600,
        "scopes": scopes,
        "granular_scopes": granular,
        "user_id": "122100000000000001",
    });
    if let Some(data) = data.as_object_mut() {
        data.extend(otherwise);
    }
    Ok(Reply::ok(json!({ "data": data })))
}
