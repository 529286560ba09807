//! `/phones/{id}/calling`: a phone's settings for calls.

use std::collections::BTreeMap;

use actix_web::web;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Body;
use super::by::By;
use crate::http::{Problem, State};
use crate::setup::calling::{CallingState, NewCalling, checked_at};

/// What a phone's settings for calls shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SaveCalling {
    /// `ENABLED` or `DISABLED`: calls at all.
    status: String,
    #[serde(default)]
    sip: SaveSip,
    /// `SDES` (if not said) or `DTLS`.
    srtp_key_exchange_protocol: Option<String>,
    /// `ENABLED` (if not said) or `DISABLED`: whether Meta tells of calls by webhook too.
    webhook_delivery: Option<String>,
    /// Name of a trunk of the configuration; as it was, if not said.
    trunk: Option<String>,
    /// Who is called there; as it was, if not said.
    extension: Option<String>,
    /// Whether unknown callers make leads or contacts in the CRM; as it was, if not said.
    crm_create: Option<bool>,
}

/// The SIP server that Meta calls.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SaveSip {
    /// `ENABLED` or `DISABLED`; as `status`, if not said.
    status: Option<String>,
    /// `sip.hostname`, if not said; another name means another server than this bridge.
    hostname: Option<String>,
    /// 5061, if not said.
    port: Option<u32>,
    /// What Meta puts before the `@` of the addresses that it calls, as `{"tgrp": "sales"}`; calls are found by
    /// that group if their number is none of ours. As it was, if not said; `{}` removes it.
    request_uri_user_params: Option<BTreeMap<String, String>>,
}

/// A phone's settings for calls: what Meta now has, and what is ours.
#[derive(Serialize, ToSchema)]
pub(super) struct CallingView {
    status: Option<String>,
    sip: SipView,
    srtp_key_exchange_protocol: Option<String>,
    webhook_delivery: Option<String>,
    trunk: Option<String>,
    extension: Option<String>,
    /// `own`: Meta calls this bridge; `external`: another server, and this bridge ignores the phone.
    edge: Option<String>,
    crm_create: bool,
    /// Whether the SIP password that Meta made is known here.
    sip_password_known: bool,
    /// What was saved here last; differs from the above where Meta refused.
    wanted: Option<WantedView>,
    /// All that Meta tells of calls with this phone, without secrets.
    #[schema(value_type = Object)]
    meta: Value,
    checked_at: Option<DateTime<Utc>>,
    error: Option<CallingErrorView>,
}

/// The SIP side at Meta.
#[derive(Serialize, ToSchema)]
pub(super) struct SipView {
    status: Option<String>,
    hostname: Option<String>,
    port: Option<u16>,
    servers: Vec<ServerView>,
}

/// A SIP server that Meta calls.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerView {
    hostname: String,
    port: u16,
    /// Meta's id of the app that set it.
    app_id: Option<String>,
    /// What Meta puts before the `@` of the addresses that it calls.
    request_uri_user_params: BTreeMap<String, String>,
}

/// What was saved here last.
#[derive(Serialize, ToSchema)]
pub(super) struct WantedView {
    status: String,
    sip_status: String,
    hostname: Option<String>,
    port: i32,
    srtp_key_exchange_protocol: String,
    webhook_delivery: String,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct CallingErrorView {
    /// Meta's code; 0 = Meta took the call, but has something else.
    code: i64,
    /// Meta's words.
    title: String,
    /// What it means and what to do.
    explanation: String,
}

/// A phone's settings for calls, asked from Meta.
#[utoipa::path(get, path = "/api/v1/phones/{id}/calling", tag = "phones", params(("id" = String, Path)),
    responses((status = 200, body = CallingView), (status = 404, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<web::Json<CallingView>, Problem> {
    Ok(web::Json(view(state.setup.calling(&id).await?)))
}

/// Writes a phone's settings for calls at Meta, and reads them back.
#[utoipa::path(put, path = "/api/v1/phones/{id}/calling", tag = "phones", params(("id" = String, Path)), request_body = SaveCalling,
    responses((status = 200, body = CallingView), (status = 404, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn save(
    by: By,
    id: web::Path<String>,
    body: Body<SaveCalling>,
) -> Result<web::Json<CallingView>, Problem> {
    let new = body.0;
    let new = NewCalling {
        status: new.status,
        sip_status: new.sip.status,
        hostname: new.sip.hostname,
        port: new.sip.port,
        user_params: new.sip.request_uri_user_params,
        keying: new.srtp_key_exchange_protocol,
        webhook_delivery: new.webhook_delivery,
        trunk: new.trunk,
        extension: new.extension,
        crm_create: new.crm_create,
    };
    Ok(web::Json(view(by.0.set_calling(&id, new).await?)))
}

fn view(state: CallingState) -> CallingView {
    let CallingState { row, meta, error } = state;
    let server = meta.server(row.as_ref().and_then(|row| row.hostname.as_deref()));
    let sip = SipView {
        status: meta.sip_status.clone(),
        hostname: server.map(|server| server.hostname.clone()),
        port: server.map(|server| server.port),
        servers: meta
            .servers
            .iter()
            .map(|server| ServerView {
                hostname: server.hostname.clone(),
                port: server.port,
                app_id: server.app_id.clone(),
                request_uri_user_params: server.user_params.clone(),
            })
            .collect(),
    };
    CallingView {
        status: meta.status,
        sip,
        srtp_key_exchange_protocol: meta.keying,
        webhook_delivery: meta.webhook_delivery,
        trunk: row.as_ref().and_then(|row| row.trunk.clone()),
        extension: row.as_ref().and_then(|row| row.extension.clone()),
        edge: row.as_ref().map(|row| row.edge.clone()),
        crm_create: row.as_ref().is_some_and(|row| row.crm_create),
        sip_password_known: row.as_ref().is_some_and(|row| row.sip_password_sealed.is_some()),
        checked_at: row.as_ref().and_then(checked_at),
        wanted: row.map(|row| WantedView {
            status: row.status,
            sip_status: row.sip_status,
            hostname: row.hostname,
            port: row.port,
            srtp_key_exchange_protocol: row.keying,
            webhook_delivery: row.webhook_delivery,
        }),
        meta: meta.shown,
        error: error.map(|error| CallingErrorView {
            code: error.code,
            title: error.title,
            explanation: error.explanation,
        }),
    }
}
