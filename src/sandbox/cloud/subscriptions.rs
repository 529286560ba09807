//! Which app hears of what, and where (whatsapp facts §1.4, §7.5).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::errors::GraphError;
use super::graph::{VERSION, app_name};
use super::server::{Call, Reply};
use super::state::Subscription;
use super::tokens::Caller;
use super::{SimCloud, webhooks};

/// Fields of a subscription that names none (facts §1.10).
const FIELDS: [&str; 18] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "business_capability_update",
    "history",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "messaging_handovers",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "standby",
    "template_category_update",
    "user_preferences",
];

/// `/{app-id}/subscriptions` (facts §7.5), with the app token only.
pub(super) async fn app_subscriptions(
    cloud: &SimCloud,
    call: &Call,
    caller: &Caller,
    app_id: &str,
) -> Result<Reply, GraphError> {
    if caller.client_id != app_id || !caller.app_token {
        return Err(GraphError::parameter("This method must be called with an app access_token."));
    }
    let given = arguments(call)?;
    match call.method.as_str() {
        "GET" => {
            let state = cloud.state();
            let app = state.apps.get(app_id).ok_or_else(|| GraphError::no_object("get", app_id))?;
            let fields: Vec<Value> = match &app.fields {
                Some(fields) => fields.iter().map(|name| json!({"name": name, "version": VERSION})).collect(),
                None => FIELDS.iter().map(|name| json!({"name": name, "version": VERSION})).collect(),
            };
            let data = app.info.callback_url.as_ref().map(|url| {
                json!({"object": "whatsapp_business_account", "callback_url": url, "active": !app.inactive, "fields": fields})
            });
            Ok(Reply::ok(json!({"data": data.into_iter().collect::<Vec<_>>()})))
        }
        "POST" => {
            if given.get("object").map(String::as_str) != Some("whatsapp_business_account") {
                return Err(GraphError::parameter("(object) must be whatsapp_business_account here."));
            }
            let text = |key: &str| given.get(key).map(String::as_str).unwrap_or_default();
            let (url, verify) = (text("callback_url"), text("verify_token"));
            verify_callback(cloud, url, verify).await?;
            let fields =
                given.get("fields").map(|list| list.split(',').map(|f| f.trim().to_owned()).collect());
            if let Some(app) = cloud.state().apps.get_mut(app_id) {
                app.info.callback_url = Some(url.to_owned());
                verify.clone_into(&mut app.info.verify_token);
                app.fields = fields;
                app.inactive = false;
                app.outbox.wake();
            }
            Ok(Reply::ok(json!({"success": true})))
        }
        "DELETE" => {
            if let Some(app) = cloud.state().apps.get_mut(app_id) {
                app.info.callback_url = None;
            }
            Ok(Reply::ok(json!({"success": true})))
        }
        _ => Err(GraphError::no_object("put", app_id)),
    }
}

/// `/{waba-id}/subscribed_apps` (facts §1.4, §7.5): the token's app is the one.
pub(super) async fn waba_subscriptions(
    cloud: &SimCloud,
    call: &Call,
    caller: &Caller,
    waba_id: &str,
) -> Result<Reply, GraphError> {
    let given = arguments(call)?;
    let client_id = &caller.client_id;
    match call.method.as_str() {
        "GET" => {
            let state = cloud.state();
            let entries = state.wabas.get(waba_id).map(|waba| waba.subscribed.as_slice()).unwrap_or_default();
            let data: Vec<Value> = entries.iter().map(subscribed_app).collect();
            Ok(Reply::ok(json!({ "data": data })))
        }
        "POST" => {
            let url = given.get("override_callback_uri").filter(|url| !url.is_empty()).cloned();
            if let Some(url) = &url {
                verify_callback(cloud, url, given.get("verify_token").map_or("", String::as_str)).await?;
            }
            cloud.subscribe(waba_id, client_id);
            if let Some(waba) = cloud.state().wabas.get_mut(waba_id)
                && let Some(entry) = waba.subscribed.iter_mut().find(|entry| entry.client_id == *client_id)
            {
                entry.override_url = url;
            }
            Ok(Reply::ok(json!({"success": true})))
        }
        "DELETE" => {
            if let Some(waba) = cloud.state().wabas.get_mut(waba_id) {
                waba.subscribed.retain(|entry| entry.client_id != *client_id);
            }
            Ok(Reply::ok(json!({"success": true})))
        }
        _ => Err(GraphError::no_object("put", waba_id)),
    }
}

fn subscribed_app(entry: &Subscription) -> Value {
    let id = &entry.client_id;
    let link = format!("https://www.facebook.com/games/?app_id={id}");
    let mut out = json!({"whatsapp_business_api_data": {"id": id, "name": app_name(id), "link": link}});
    if let (Some(url), Some(out)) = (&entry.override_url, out.as_object_mut()) {
        out.insert("override_callback_uri".into(), url.as_str().into());
    }
    out
}

async fn verify_callback(cloud: &SimCloud, url: &str, verify_token: &str) -> Result<(), GraphError> {
    if url.is_empty() || url.len() > 200 {
        return Err(GraphError::parameter("The callback URL must have 1 to 200 characters."));
    }
    webhooks::handshake(cloud, url, verify_token).await.map_err(|reason| {
        GraphError::coded(2200, format!("Callback verification failed with the following errors: {reason}"))
    })
}

/// `POST /{phone}` with `webhook_configuration` (facts §1.4).
pub(super) async fn phone_override(cloud: &SimCloud, call: &Call, id: &str) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let Some(configuration) = body.get("webhook_configuration") else {
        return Err(GraphError::parameter("Invalid parameter"));
    };
    let text = |key: &str| configuration.get(key).and_then(Value::as_str).unwrap_or_default();
    let url = text("override_callback_uri");
    if !url.is_empty() {
        verify_callback(cloud, url, text("verify_token")).await?;
    }
    let mut state = cloud.state();
    let index = state.phone_index.get(id).copied();
    if let Some(phone) = index.and_then(|index| state.phones.get_mut(index)) {
        phone.override_url = (!url.is_empty()).then(|| url.to_owned());
    }
    Ok(Reply::ok(json!({"success": true})))
}

/// Arguments from the query, a JSON body or a form, the later over the earlier.
fn arguments(call: &Call) -> Result<HashMap<String, String>, GraphError> {
    let mut all = call.query.clone();
    if call.content_type.starts_with("application/x-www-form-urlencoded") {
        all.extend(url::form_urlencoded::parse(&call.body).into_owned());
    } else if !call.body.is_empty() {
        for (key, value) in super::account::map(call.json()?) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            all.insert(key, text);
        }
    }
    Ok(all)
}
