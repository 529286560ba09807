//! The Graph API beside sending: finds who answers; accounts, numbers and templates (whatsapp facts §4.1, §7).

use serde_json::{Map, Value, json};

use super::account::map;
use super::errors::GraphError;
use super::server::{Call, Reply};
use super::state::State;
use super::tokens::authorize;
use super::{SimCloud, calling, media, registration, subscriptions, templates, tokens};

/// The version that fields are subscribed with.
pub(super) const VERSION: &str = "v25.0";
const PHONE_DEFAULT: &str = "verified_name,code_verification_status,display_phone_number,quality_rating,\
                             platform_type,throughput,webhook_configuration,last_onboarded_time,id";
const WABA_DEFAULT: &str = "id,name,timezone_id,message_template_namespace";
const TEMPLATE_DEFAULT: &str = "name,parameter_format,components,language,status,category,id,quality_score,rejected_reason,correct_category";

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
            return tokens::app_token(state, &call.query);
        }
        if (method, segments.as_slice()) == ("GET", &["debug_token"]) {
            return tokens::debug_token(state, call);
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
        } else if object.starts_with("upload:") {
            Kind::Upload
        } else if templates::manage::find(&state, object).is_some() {
            Kind::Template
        } else {
            Kind::Media
        }
    };
    match (known, method, edge) {
        (Kind::App, "GET", None) => Ok(Reply::ok(json!({"id": object, "name": app_name(object)}))),
        (Kind::App, _, Some("subscriptions")) => {
            subscriptions::app_subscriptions(cloud, call, &caller, object).await
        }
        (Kind::Waba, "GET", None) => {
            let state = cloud.state();
            let node = state.wabas.get(object).map(|waba| waba.node.clone()).unwrap_or_default();
            let node = with_health(node, "WABA", object);
            pick(&node, call.query.get("fields"), WABA_DEFAULT, "WhatsAppBusinessAccount").map(Reply::ok)
        }
        (Kind::Waba, _, Some("subscribed_apps")) => {
            subscriptions::waba_subscriptions(cloud, call, &caller, object).await
        }
        (Kind::Waba, "GET", Some("phone_numbers")) => phone_numbers(cloud, call, object),
        (Kind::App, "POST", Some("uploads")) | (Kind::Upload, _, None) => templates::upload(cloud, call),
        (Kind::Waba, "GET", Some("message_templates")) => listed_templates(cloud, call, object),
        (Kind::Waba, "POST", Some("message_templates")) => templates::manage::create(cloud, call, object),
        (Kind::Waba, "DELETE", Some("message_templates")) => templates::manage::delete(cloud, call, object),
        (Kind::Template, "POST", None) => templates::manage::edit(cloud, call, object),
        (Kind::Template, "GET", None) => {
            let node = templates::manage::find(&cloud.state(), object).map(|(_, node)| map(node));
            pick(&node.unwrap_or_default(), None, TEMPLATE_DEFAULT, "MessageTemplate").map(Reply::ok)
        }
        (Kind::Phone, "GET", None) => {
            let node = phone_node(&cloud.state(), object, &caller.client_id);
            pick(&node, call.query.get("fields"), PHONE_DEFAULT, "WhatsAppBusinessPhoneNumber").map(Reply::ok)
        }
        (Kind::Phone, "POST", None) => subscriptions::phone_override(cloud, call, object).await,
        (Kind::Phone, "GET", Some("settings")) => calling::read(cloud, call, &caller, object),
        (Kind::Phone, "POST", Some("settings")) => calling::write(cloud, call, &caller, object),
        (Kind::Phone, "GET", Some("call_permissions")) => calling::permissions(cloud, call, object),
        (Kind::Phone, "POST", Some("calls")) => Err(calling::start_by_graph(cloud, object)),
        (Kind::Phone, "POST", Some("media")) => media::upload(cloud, call, object),
        (Kind::Phone, "POST", Some("register")) => registration::register(cloud, call, object),
        (Kind::Phone, "POST", Some("request_code")) => registration::request_code(call),
        (Kind::Phone, "POST", Some("verify_code")) => registration::verify_code(cloud, call, object),
        (Kind::Phone, "GET", Some("whatsapp_business_profile")) => {
            Ok(registration::profile(cloud, call, object))
        }
        (Kind::Phone, "POST", Some("whatsapp_business_profile")) => {
            registration::set_profile(cloud, call, object)
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
    Template,
    Upload,
    /// Or nothing.
    Media,
}

pub(super) fn app_name(client_id: &str) -> String {
    format!("App {client_id}")
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
fn listed_templates(cloud: &SimCloud, call: &Call, waba_id: &str) -> Result<Reply, GraphError> {
    let state = cloud.state();
    if state.faults.templates_fail {
        return Err(GraphError::coded(80_007, "There have been too many calls to this account."));
    }
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
    let mut reply = page(cloud, call, &nodes, TEMPLATE_DEFAULT, "MessageTemplate")?;
    let wanted = call.query.get("summary").filter(|_| !state.faults.template_counts_hidden);
    if let (Some(wanted), Reply::Json(_, Value::Object(answer))) = (wanted, &mut reply) {
        let counts = templates::manage::counts(&state, waba_id);
        let told = wanted
            .split(',')
            .filter_map(|key| Some((key.trim().to_owned(), counts.get(key.trim())?.clone())));
        answer.insert("summary".into(), Value::Object(told.collect()));
    }
    Ok(reply)
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
