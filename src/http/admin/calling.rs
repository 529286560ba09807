//! Calls and SIP of a phone: the section on its page. What is saved is written at Meta and read back there.

use actix_web::{HttpResponse, web};
use serde_json::Value;

use super::form::{Fault, Field, Form, version};
use super::list::{Badge, Cell, Tone, time};
use super::phones;
use super::refusal::Refusal;
use super::texts::Say;
use super::visit::{Visit, go};
use crate::directory::Calling;
use crate::domain::PhoneKey;
use crate::http::State;
use crate::setup::calling::NewCalling;
use crate::store::calling::CallingRow;
use crate::store::phones::PhoneRow;

type Answer = Result<HttpResponse, Refusal>;

/// Where Meta tells what its errors of calls mean.
const TROUBLESHOOTING: &str =
    "https://developers.facebook.com/documentation/business-messaging/whatsapp/calling/troubleshooting";
/// Where Meta calls, if nothing else is said.
const PORT: &str = "5061";
/// The version of settings that were never saved: whoever saves them meanwhile was first.
const NEVER: &str = "0";

/// The section, ready to be drawn.
pub(super) struct Section {
    pub(super) state: Badge,
    pub(super) facts: Vec<(String, Cell)>,
    pub(super) fields: Vec<Field>,
    pub(super) version: String,
    /// What is wrong at Meta.
    pub(super) error: Option<MetaError>,
    /// Why the form was not taken.
    pub(super) fault: Fault,
    /// Whether Meta was ever asked.
    pub(super) is_saved: bool,
    pub(super) no_trunks: bool,
}

/// What Meta refuses, and what it means.
pub(super) struct MetaError {
    pub(super) title: String,
    pub(super) explanation: String,
    pub(super) href: &'static str,
}

/// `POST /admin/phones/{id}/calling`
pub(super) async fn change(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    form: Form,
) -> Answer {
    let saved = match wish(&form) {
        Ok(wish) => visit.setup(&state).having_seen(form.seen()).set_calling(&id, wish).await,
        Err(sentence) => Err(crate::setup::SetupError::field("sip.port", sentence)),
    };
    match saved {
        // What Meta did not take stands in the section.
        Ok(saved) => {
            let done = if saved.error.is_some() { "" } else { "saved" };
            Ok(go(format!("/admin/phones/{id}/"), done))
        }
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.phone(&id).await?;
            let section = section(&visit.say, &state, &row, Some(&form), fault);
            Ok(phones::with_calling(&visit, &state, &row, section))
        }
    }
}

/// `POST /admin/phones/{id}/calling/ask`: what Meta has now.
pub(super) async fn ask(visit: Visit, state: web::Data<State>, id: web::Path<String>, _form: Form) -> Answer {
    match state.setup.calling(&id).await {
        Ok(_) => Ok(go(format!("/admin/phones/{id}/"), "")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.phone(&id).await?;
            let section = section(&visit.say, &state, &row, None, fault);
            Ok(phones::with_calling(&visit, &state, &row, section))
        }
    }
}

/// The section of a phone; `typed`: what was not taken and is to be mended.
pub(super) fn section(
    say: &Say,
    state: &State,
    phone: &PhoneRow,
    typed: Option<&Form>,
    mut fault: Fault,
) -> Section {
    let snapshot = state.directory.now();
    let known = snapshot.calling(&PhoneKey::from(phone.id.as_str()));
    let row = known.map(|known| &known.row);
    let stored = stored(state, row);
    let mut fields = fields(say, state, typed.unwrap_or(&stored));
    fault.mark(&mut fields);
    Section {
        state: badge(say, known),
        facts: row.map(|row| facts(say, row)).unwrap_or_default(),
        fields,
        version: typed.unwrap_or(&stored).get("version").to_owned(),
        error: row.and_then(|row| error_of(say, row)),
        fault,
        is_saved: row.is_some(),
        no_trunks: state.config.sip.trunks.is_empty(),
    }
}

/// What Meta refuses of a phone's settings, in the reader's language as far as it is known.
pub(in crate::http) fn explained(say: &Say, row: &CallingRow) -> Option<(String, String)> {
    let code = row.error_code?;
    let said = row.error_title.as_deref().unwrap_or_default();
    let title = if code == 0 { say.said(said) } else { format!("Meta {code}: {said}") };
    let text = row.error_explanation.as_deref().unwrap_or_default();
    Some((title, say.said(text)))
}

fn error_of(say: &Say, row: &CallingRow) -> Option<MetaError> {
    let (title, explanation) = explained(say, row)?;
    Some(MetaError { title, explanation, href: TROUBLESHOOTING })
}

fn wish(form: &Form) -> Result<NewCalling, &'static str> {
    let switch = |name: &str| if form.ticked(name) { "ENABLED" } else { "DISABLED" }.to_owned();
    let port = form.option("sip.port").map(|port| port.parse::<u32>());
    Ok(NewCalling {
        status: switch("status"),
        sip_status: None,
        hostname: form.option("sip.hostname"),
        port: port.transpose().map_err(|_| "must be 1 to 65535")?,
        keying: form.option("srtp_key_exchange_protocol"),
        webhook_delivery: Some(switch("webhook_delivery")),
        trunk: form.option("trunk"),
        extension: form.option("extension"),
        crm_create: Some(form.ticked("crm_create")),
        // What a script has set stays.
        user_params: None,
    })
}

fn stored(state: &State, row: Option<&CallingRow>) -> Form {
    let mut form = Form::default();
    let own = state.config.sip.hostname.as_deref().unwrap_or_default();
    let only = match state.config.sip.trunks.as_slice() {
        [one] => one.name.as_str(),
        _ => "",
    };
    let Some(row) = row else {
        form.put("sip.hostname", own);
        form.put("sip.port", PORT);
        form.put("srtp_key_exchange_protocol", "SDES");
        form.put("webhook_delivery", "on");
        form.put("trunk", only);
        form.put("version", NEVER);
        return form;
    };
    let ticked = |on: bool| if on { "on" } else { "" };
    form.put("status", ticked(row.status == "ENABLED" && row.sip_status == "ENABLED"));
    form.put("sip.hostname", row.hostname.as_deref().unwrap_or(own));
    form.put("sip.port", &row.port.to_string());
    form.put("srtp_key_exchange_protocol", &row.keying);
    form.put("webhook_delivery", ticked(row.webhook_delivery == "ENABLED"));
    form.put("trunk", row.trunk.as_deref().unwrap_or(only));
    form.put("extension", row.extension.as_deref().unwrap_or_default());
    form.put("crm_create", ticked(row.crm_create));
    form.put("version", &version(row.updated_at));
    form
}

fn fields(say: &Say, state: &State, form: &Form) -> Vec<Field> {
    let keyings = ["SDES", "DTLS"].map(|word| (word.to_owned(), say.word("keying", word))).to_vec();
    let mut trunks = vec![(String::new(), say.t("calling.no_trunk").to_owned())];
    trunks.extend(state.config.sip.trunks.iter().map(|trunk| (trunk.name.clone(), trunk.name.clone())));
    let text = |name: &'static str| Field::text(say, name, form.get(name));
    vec![
        Field::check(say, "status", form.ticked("status")),
        text("sip.hostname"),
        text("sip.port"),
        Field::choice(say, "srtp_key_exchange_protocol", form.get("srtp_key_exchange_protocol"), keyings)
            .required(),
        Field::choice(say, "trunk", form.get("trunk"), trunks),
        text("extension"),
        Field::check(say, "webhook_delivery", form.ticked("webhook_delivery")),
        Field::check(say, "crm_create", form.ticked("crm_create")),
    ]
}

fn badge(say: &Say, known: Option<&Calling>) -> Badge {
    match known {
        None => Badge::new(Tone::Calm, say.t("calling.never")),
        Some(calling) if calling.broken.is_some() || calling.row.error_code.is_some() => {
            Badge::new(Tone::Bad, say.t("calling.wrong"))
        }
        Some(calling) if calling.is_enabled() => Badge::new(Tone::Good, say.t("calling.on")),
        Some(_) => Badge::new(Tone::Calm, say.t("calling.off")),
    }
}

/// What Meta has, as it was last asked.
fn facts(say: &Say, row: &CallingRow) -> Vec<(String, Cell)> {
    let meta: Value =
        row.meta.as_deref().and_then(|meta| serde_json::from_str(meta).ok()).unwrap_or_default();
    let word = |path: &str| meta.pointer(path).and_then(Value::as_str).unwrap_or("—").to_owned();
    let servers = meta.pointer("/sip/servers").and_then(Value::as_array);
    let server = |server: &Value| {
        let host = server.get("hostname").and_then(Value::as_str).unwrap_or_default();
        let port = server.get("port").map(ToString::to_string).unwrap_or_default();
        format!("{host}:{}", port.trim_matches('"'))
    };
    let servers: Vec<String> = servers.into_iter().flatten().map(server).collect();
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let known = |is: bool| Cell::Text(say.t(if is { "calling.known" } else { "calling.unknown" }).to_owned());
    let mut facts = vec![
        fact("calling.at_meta", Cell::Text(word("/status"))),
        fact("calling.sip_at_meta", Cell::Text(word("/sip/status"))),
        fact(
            "calling.servers",
            Cell::Code(if servers.is_empty() { "—".to_owned() } else { servers.join(", ") }),
        ),
        fact("calling.keying_at_meta", Cell::Text(word("/srtp_key_exchange_protocol"))),
        fact("calling.password", known(row.sip_password_sealed.is_some())),
        fact("calling.edge", Cell::Text(say.word("edge", &row.edge))),
    ];
    if let Some(tgrp) = &row.tgrp {
        facts.push(fact("calling.tgrp", Cell::Code(tgrp.clone())));
    }
    if let Some(at) = row.checked_at {
        facts.push(fact("calling.checked", Cell::Time(time(at))));
    }
    facts
}
