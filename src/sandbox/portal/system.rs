//! System methods and event bindings (bitrix24 facts §2.3, §2.5).

use chrono::SecondsFormat;
use serde_json::{Value, json};
use url::Url;

use super::Inner;
use super::rest::{Args, Caller, Reply, RestError, fail, missing};
use super::state::{Binding, User};

/// Events by the scope that offers them; an empty scope is basic.
const EVENTS: &[(&str, &str)] = &[
    ("ONAPPINSTALL", ""),
    ("ONAPPUNINSTALL", ""),
    ("ONAPPUPDATE", ""),
    ("ONAPPPAYMENT", ""),
    ("ONAPPTEST", ""),
    ("ONAPPMETHODCONFIRM", ""),
    ("ONIMCONNECTORMESSAGEADD", "imopenlines"),
    ("ONIMCONNECTORMESSAGEUPDATE", "imopenlines"),
    ("ONIMCONNECTORMESSAGEDELETE", "imopenlines"),
    ("ONIMCONNECTORDIALOGSTART", "imopenlines"),
    ("ONIMCONNECTORDIALOGFINISH", "imopenlines"),
    ("ONIMCONNECTORSTATUSDELETE", "imopenlines"),
    ("ONIMCONNECTORLINEDELETE", "imopenlines"),
    ("ONOPENLINEMESSAGEADD", "imopenlines"),
    ("ONOPENLINEMESSAGEUPDATE", "imopenlines"),
    ("ONOPENLINEMESSAGEDELETE", "imopenlines"),
    ("ONSESSIONSTART", "imopenlines"),
    ("ONSESSIONFINISH", "imopenlines"),
    ("ONEXTERNALCALLSTART", "telephony"),
    ("ONEXTERNALCALLBACKSTART", "telephony"),
];

/// Users on a page of `user.get`.
const PAGE: usize = 50;

pub(super) fn call(inner: &Inner, caller: &Caller, method: &str, args: &Args) -> Result<Reply, RestError> {
    match method {
        "app.info" => Ok(app_info(inner, caller).into()),
        "profile" => Ok(profile(inner, caller).into()),
        "scope" => Ok(scopes(inner, caller).into()),
        "server.time" => {
            Ok(json!(inner.options.clock.now().to_rfc3339_opts(SecondsFormat::Secs, false)).into())
        }
        "user.get" => Ok(users(inner, args)),
        "event.bind" => bind(inner, caller, args).map(Reply::from),
        "event.get" => Ok(bindings(inner, caller).into()),
        "event.unbind" => unbind(inner, caller, args).map(Reply::from),
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

fn app_info(inner: &Inner, caller: &Caller) -> Value {
    let state = inner.state();
    let installed = state.apps.get(&caller.client_id).is_some_and(|app| app.live());
    json!({
        "ID": "1", "CODE": caller.client_id, "VERSION": "1", "STATUS": "L", "INSTALLED": installed,
        "PAYMENT_EXPIRED": if state.faults.payment_expired { "Y" } else { "N" }, "DAYS": null,
        "LANGUAGE_ID": inner.options.language,
        "LICENSE": format!("{}_{}", inner.options.license_region, inner.options.license),
        "LICENSE_TYPE": inner.options.license,
        "LICENSE_FAMILY": inner.options.license,
    })
}

fn profile(inner: &Inner, caller: &Caller) -> Value {
    let state = inner.state();
    let user = state.users.get(&caller.user_id).cloned().unwrap_or_default();
    json!({
        "ID": user.id.to_string(), "ADMIN": user.admin, "NAME": user.name, "LAST_NAME": user.last_name,
        "PERSONAL_GENDER": "", "TIME_ZONE": "", "TIME_ZONE_OFFSET": 0,
    })
}

fn scopes(inner: &Inner, caller: &Caller) -> Value {
    let state = inner.state();
    json!(state.apps.get(&caller.client_id).map(|app| app.scopes.clone()).unwrap_or_default())
}

fn users(inner: &Inner, args: &Args) -> Reply {
    let state = inner.state();
    let filter = args.get("FILTER").as_object().cloned().unwrap_or_default();
    let wanted = |key: &str, actual: &str| {
        let given = filter.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        given.and_then(|(_, value)| super::rest::text(value)).is_none_or(|wanted| wanted == actual)
    };
    let id = args.text("ID");
    let staff: Vec<&User> = state
        .users
        .values()
        .filter(|user| user.xml_id.is_none())
        .filter(|user| id.as_ref().is_none_or(|id| *id == user.id.to_string()))
        .filter(|user| wanted("ID", &user.id.to_string()) && wanted("UF_PHONE_INNER", &user.inner_phone))
        .collect();
    let start = args.int("START").and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
    let page: Vec<Value> = staff
        .iter()
        .skip(start)
        .take(PAGE)
        .map(|user| {
            json!({"ID": user.id.to_string(), "ACTIVE": true, "NAME": user.name,
                   "LAST_NAME": user.last_name, "UF_PHONE_INNER": user.inner_phone, "USER_TYPE": "employee"})
        })
        .collect();
    let next = (start + PAGE < staff.len()).then_some((start + PAGE) as u64);
    Reply { result: Value::Array(page), total: Some(staff.len() as u64), next }
}

fn bind(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let event = args.required("EVENT")?.to_uppercase();
    let handler = args.required("HANDLER")?;
    check_handler(&handler)?;
    let mut state = inner.state();
    let granted = state.apps.get(&caller.client_id).map(|app| app.scopes.clone()).unwrap_or_default();
    let offered = EVENTS.iter().any(|(name, scope)| {
        *name == event && (scope.is_empty() || granted.iter().any(|granted| granted == scope))
    });
    if !offered {
        return Err(fail(400, "ERROR_EVENT_NOT_FOUND", "Event not found"));
    }
    let auth_type = match args.int("AUTH_TYPE") {
        Some(other) if other != caller.user_id && !caller.admin && other != 0 => {
            return Err(fail(403, "ACCESS_DENIED", "Access denied!"));
        }
        Some(given) => given,
        // A handler that a non-administrator binds is tied to that user.
        None if caller.admin => 0,
        None => caller.user_id,
    };
    let same = |binding: &Binding| {
        binding.client_id == caller.client_id
            && binding.event == event
            && binding.handler == handler
            && binding.auth_type == auth_type
    };
    if state.bindings.iter().any(same) {
        return Err(fail(400, "ERROR_CORE", "Unable to set event handler: Handler already binded"));
    }
    let id = state.new_id();
    let client_id = caller.client_id.clone();
    state.bindings.push(Binding { id, client_id, event, handler, auth_type });
    Ok(json!(true))
}

/// The check at bind: http or https and a host with a dot.
pub(super) fn check_handler(handler: &str) -> Result<(), RestError> {
    let wrong = || fail(400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL");
    let url = Url::parse(handler).map_err(|_| wrong())?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(fail(400, "ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol"));
    }
    if url.host_str().is_some_and(|host| host.contains('.')) { Ok(()) } else { Err(wrong()) }
}

fn bindings(inner: &Inner, caller: &Caller) -> Value {
    let state = inner.state();
    let mine = state.bindings.iter().filter(|binding| binding.client_id == caller.client_id);
    mine.map(|binding| {
        json!({"event": binding.event, "handler": binding.handler,
               "auth_type": binding.auth_type.to_string(), "offline": 0})
    })
    .collect()
}

fn unbind(inner: &Inner, caller: &Caller, args: &Args) -> Result<Value, RestError> {
    let event = args.text("EVENT").ok_or_else(|| missing("EVENT"))?.to_uppercase();
    let (handler, auth_type) = (args.text("HANDLER"), args.int("AUTH_TYPE"));
    let mut state = inner.state();
    let before = state.bindings.len();
    state.bindings.retain(|binding| {
        binding.client_id != caller.client_id
            || binding.event != event
            || handler.as_ref().is_some_and(|handler| *handler != binding.handler)
            || auth_type.is_some_and(|user| user != binding.auth_type)
    });
    Ok(json!({"count": before - state.bindings.len()}))
}
