//! The Graph API beside sending: tokens, accounts, numbers, subscriptions (whatsapp facts §7).

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

use super::errors::GraphError;
use super::raw::hmac_hex;
use super::server::{Call, Reply};
use super::state::{State, Subscription};
use super::{SimCloud, media, webhooks};

/// The version that fields are subscribed with.
const VERSION: &str = "v25.0";
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
const PHONE_DEFAULT: &str = "verified_name,code_verification_status,display_phone_number,quality_rating,\
                             platform_type,throughput,webhook_configuration,last_onboarded_time,id";
const WABA_DEFAULT: &str = "id,name,timezone_id,message_template_namespace";
const TEMPLATE_DEFAULT: &str = "name,parameter_format,components,language,status,category,id";

/// Fields that a node may be asked for and may lack (facts §7.6).
const MAY_LACK: [&str; 11] = [
    "certificate",
    "conversational_automation",
    "country_code",
    "country_dial_code",
    "host_platform",
    "is_preverified_number",
    "new_name_status",
    "quality_score",
    "rejected_reason",
    "status",
    "last_onboarded_time",
];

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

/// Answers every call but sends and downloads.
pub(super) async fn answer(cloud: &SimCloud, call: &Call) -> Result<Reply, GraphError> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    {
        let state = &mut *cloud.state();
        let probability = state.faults.graph_internal;
        if state.dice.chance(probability) {
            return Err(GraphError::coded(1, "An unknown error occurred.").with_status(500));
        }
        if (method, segments.as_slice()) == ("GET", &["oauth", "access_token"]) {
            return app_token(state, &call.query);
        }
        if (method, segments.as_slice()) == ("GET", &["debug_token"]) {
            return debug_token(state, call);
        }
    }
    let caller = authorize(&cloud.state(), call)?;
    let (object, edge) = match segments.as_slice() {
        [object] => (*object, None),
        [object, edge] => (*object, Some(*edge)),
        _ => return Err(GraphError::parameter("Unknown path components")),
    };
    let known = {
        let state = cloud.state();
        if state.apps.contains_key(object) {
            Kind::App
        } else if state.wabas.contains_key(object) {
            Kind::Waba
        } else if state.phone_index.contains_key(object) {
            Kind::Phone
        } else {
            Kind::Media
        }
    };
    match (known, method, edge) {
        (Kind::App, "GET", None) => Ok(Reply::ok(json!({"id": object, "name": app_name(object)}))),
        (Kind::App, _, Some("subscriptions")) => app_subscriptions(cloud, call, &caller, object).await,
        (Kind::Waba, "GET", None) => {
            let state = cloud.state();
            let node = state.wabas.get(object).map(|waba| waba.node.clone()).unwrap_or_default();
            let node = with_health(node, "WABA", object);
            pick(&node, call.query.get("fields"), WABA_DEFAULT, "WhatsAppBusinessAccount").map(Reply::ok)
        }
        (Kind::Waba, _, Some("subscribed_apps")) => waba_subscriptions(cloud, call, &caller, object).await,
        (Kind::Waba, "GET", Some("phone_numbers")) => phone_numbers(cloud, call, object),
        (Kind::Waba, "GET", Some("message_templates")) => templates(cloud, call, object),
        (Kind::Phone, "GET", None) => {
            let node = phone_node(&cloud.state(), object, &caller.client_id);
            pick(&node, call.query.get("fields"), PHONE_DEFAULT, "WhatsAppBusinessPhoneNumber").map(Reply::ok)
        }
        (Kind::Phone, "POST", None) => phone_override(cloud, call, object).await,
        (Kind::Phone, "POST", Some("media")) => media::upload(cloud, call, object),
        (Kind::Phone, "POST", Some("register")) => {
            cloud.set_phone(object, json!({"platform_type": "CLOUD_API", "status": "CONNECTED"}));
            Ok(Reply::ok(json!({"success": true})))
        }
        (Kind::Media, "GET", None) => media::lookup(cloud, call, object),
        (Kind::Media, "DELETE", None) => media::delete(cloud, call, object),
        _ => Err(GraphError::no_object(&method.to_lowercase(), object)),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    App,
    Waba,
    Phone,
    /// Or nothing.
    Media,
}

fn app_name(client_id: &str) -> String {
    format!("App {client_id}")
}

fn app_token(state: &State, query: &HashMap<String, String>) -> Result<Reply, GraphError> {
    let text = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
    let app = state.apps.get(text("client_id")).filter(|app| app.info.client_secret == text("client_secret"));
    let app = app.ok_or_else(|| GraphError::parameter("Error validating client secret."))?;
    if text("grant_type") != "client_credentials" {
        return Err(GraphError::parameter("Unsupported grant_type"));
    }
    let token = format!("{}|{}", app.info.client_id, app.info.client_secret);
    Ok(Reply::ok(json!({"access_token": token, "token_type": "bearer"})))
}

/// `GET /debug_token` (facts §7.2): asked with an app token, or with a token of the same app.
fn debug_token(state: &State, call: &Call) -> Result<Reply, GraphError> {
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
    let targets: Vec<&String> = state.wabas.keys().collect();
    let scopes = ["whatsapp_business_management", "whatsapp_business_messaging"];
    let granular: Vec<Value> =
        scopes.iter().map(|scope| json!({"scope": scope, "target_ids": targets})).collect();
    Ok(Reply::ok(json!({"data": {
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
    }})))
}

/// `/{app-id}/subscriptions` (facts §7.5), with the app token only.
async fn app_subscriptions(
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
                json!({"object": "whatsapp_business_account", "callback_url": url, "active": true, "fields": fields})
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
async fn waba_subscriptions(
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

/// `GET /{waba-id}/phone_numbers` in pages.
fn phone_numbers(cloud: &SimCloud, call: &Call, waba_id: &str) -> Result<Reply, GraphError> {
    let state = cloud.state();
    let client = "";
    let nodes: Vec<Map<String, Value>> = state
        .phones
        .iter()
        .filter(|phone| phone.waba_id == waba_id)
        .map(|phone| phone_node(&state, &phone.id, client))
        .collect();
    page(cloud, call, &nodes, PHONE_DEFAULT, "WhatsAppBusinessPhoneNumber")
}

/// `GET /{waba-id}/message_templates` in pages, filtered by name, status and language.
fn templates(cloud: &SimCloud, call: &Call, waba_id: &str) -> Result<Reply, GraphError> {
    let state = cloud.state();
    let all = state.wabas.get(waba_id).map(|waba| waba.templates.as_slice()).unwrap_or_default();
    let matches = |template: &Value| {
        ["name", "status", "language", "category"].iter().all(|key| {
            let own = template.get(key).and_then(Value::as_str).unwrap_or_default();
            call.query.get(*key).is_none_or(|wanted| {
                if *key == "name" { own.contains(wanted.as_str()) } else { own == wanted }
            })
        })
    };
    let nodes: Vec<Map<String, Value>> =
        all.iter().filter(|template| matches(template)).filter_map(|t| t.as_object().cloned()).collect();
    page(cloud, call, &nodes, TEMPLATE_DEFAULT, "MessageTemplate")
}

fn page(
    cloud: &SimCloud,
    call: &Call,
    nodes: &[Map<String, Value>],
    default: &str,
    kind: &str,
) -> Result<Reply, GraphError> {
    let number = |key: &str| call.query.get(key).map(|text| text.parse::<usize>());
    let limit = match number("limit") {
        None => 25,
        Some(Ok(limit)) if limit > 0 => limit.min(100),
        Some(_) => return Err(GraphError::parameter("(limit) must be a positive number.")),
    };
    let start = match call.query.get("after") {
        None => 0,
        Some(cursor) => uncursor(cursor)
            .ok_or_else(|| GraphError::parameter("(after) is not a cursor of this list."))?
            .saturating_add(1),
    };
    let mut data = Vec::new();
    for node in nodes.iter().skip(start).take(limit) {
        // A template may lack what another has; a phone never lacks what it is asked for.
        let fields = call.query.get("fields").filter(|_| kind != "MessageTemplate");
        data.push(pick(node, fields, default, kind)?);
    }
    if data.is_empty() {
        return Ok(Reply::ok(json!({ "data": data })));
    }
    let last = start + data.len() - 1;
    let mut paging = json!({"cursors": {"before": cursor(start), "after": cursor(last)}});
    if last + 1 < nodes.len()
        && let Some(paging) = paging.as_object_mut()
    {
        // Meta's own `next` holds the access token too: nobody should follow it.
        let path = call.segments.join("/");
        let after = cursor(last);
        let next =
            format!("{}/{VERSION}/{path}?access_token=redacted&limit={limit}&after={after}", cloud.url());
        paging.insert("next".into(), next.into());
    }
    Ok(Reply::ok(json!({"data": data, "paging": paging})))
}

fn cursor(index: usize) -> String {
    hex::encode(format!("cursor{index}"))
}

fn uncursor(cursor: &str) -> Option<usize> {
    String::from_utf8(hex::decode(cursor).ok()?).ok()?.strip_prefix("cursor")?.parse().ok()
}

/// The number with what is worked out: callbacks and health.
fn phone_node(state: &State, id: &str, client_id: &str) -> Map<String, Value> {
    let Some((_, phone)) = state.phone(id) else { return Map::new() };
    let waba = state.wabas.get(&phone.waba_id);
    let entry = waba
        .and_then(|waba| waba.subscribed.iter().find(|e| client_id.is_empty() || e.client_id == client_id));
    let owner = entry.map_or(client_id, |entry| entry.client_id.as_str());
    let application = state.apps.get(owner).and_then(|app| app.info.callback_url.clone());
    let mut configuration = Map::new();
    for (key, url) in [
        ("phone_number", phone.override_url.clone()),
        ("whatsapp_business_account", entry.and_then(|entry| entry.override_url.clone())),
        ("application", application),
    ] {
        if let Some(url) = url {
            configuration.insert(key.into(), url.into());
        }
    }
    let mut node = phone.node.clone();
    node.insert("webhook_configuration".into(), Value::Object(configuration));
    with_health(node, "PHONE_NUMBER", id)
}

fn with_health(mut node: Map<String, Value>, kind: &str, id: &str) -> Map<String, Value> {
    node.entry("health_status").or_insert_with(|| {
        json!({"can_send_message": "AVAILABLE",
            "entities": [{"entity_type": kind, "id": id, "can_send_message": "AVAILABLE"}]})
    });
    node
}

/// `POST /{phone}` with `webhook_configuration` (facts §1.4).
async fn phone_override(cloud: &SimCloud, call: &Call, id: &str) -> Result<Reply, GraphError> {
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

/// The asked fields of a node; `id` always. An unknown name is an error, as in the Graph API.
fn pick(
    node: &Map<String, Value>,
    fields: Option<&String>,
    default: &str,
    kind: &str,
) -> Result<Value, GraphError> {
    let asked = fields.map(String::as_str).filter(|fields| !fields.is_empty());
    let mut out = Map::new();
    for name in names(asked.unwrap_or(default)) {
        match node.get(name) {
            Some(value) => {
                out.insert(name.to_owned(), value.clone());
            }
            None if asked.is_some() && !MAY_LACK.contains(&name) => {
                return Err(GraphError::parameter(format_args!(
                    "Tried accessing nonexisting field ({name}) on node type ({kind})"
                )));
            }
            None => {}
        }
    }
    if let Some(id) = node.get("id") {
        out.insert("id".into(), id.clone());
    }
    Ok(Value::Object(out))
}

/// Top-level names of a field list: `a,b{c,d},e.limit(1)` → a, b, e.
fn names(fields: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = fields.split(|c| {
        depth += match c {
            '{' | '(' => 1,
            '}' | ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts
        .filter_map(|part| part.split(['{', '.', '(']).next())
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_fields_are_asked_by_their_first_name() {
        assert_eq!(names("id,throughput{level}, a.limit(1){x,y},b"), ["id", "throughput", "a", "b"]);
    }

    #[test]
    fn cursors_are_opaque_and_come_back() {
        assert_eq!(uncursor(&cursor(41)), Some(41));
        assert_eq!(uncursor("41"), None);
    }
}
