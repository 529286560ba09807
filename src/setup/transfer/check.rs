//! What is wrong with a configuration before anything of it is stored: in itself, with the settings of this
//! installation, and beside what is stored already.

use std::collections::HashMap;

use super::take::Stored;
use super::{CallingPart, Configuration, PhonePart};
use crate::domain::PhoneNumber;
use crate::setup::calling::NewCalling;
use crate::setup::phones::{PhoneChange, blank, changed};
use crate::setup::validate::{self, Faults};
use crate::setup::{Setup, SetupError};
use crate::store::calling::CallingRow;

/// Longest code of an SMS sender (bitrix24 facts §6).
const LONGEST_CODE: usize = 128;

/// What is wrong with a configuration, beside what is stored.
pub(super) fn check(setup: &Setup, new: &Configuration, stored: &Stored) -> Result<(), SetupError> {
    let mut faults = Faults::default();
    connector(setup, new, &mut faults);
    apps(new, stored, &mut faults);
    wabas(new, stored, &mut faults);
    phones(setup, new, stored, &mut faults);
    portals(new, stored, &mut faults);
    lines(new, stored, &mut faults);
    faults.done()
}

fn connector(setup: &Setup, new: &Configuration, faults: &mut Faults) {
    let ours = &setup.config.bitrix.connector_code;
    if let Some(code) = new.connector_code.as_ref().filter(|code| !code.eq_ignore_ascii_case(ours)) {
        faults.add(
            "connector_code",
            format!(
                "is {code}, and this installation has {ours}: running chats would not go on; set \
                 bitrix.connector_code = \"{code}\" in the configuration file first"
            ),
        );
    }
}

fn apps(new: &Configuration, stored: &Stored, faults: &mut Faults) {
    let (mut sites, mut keys) = (Once::default(), Once::default());
    for part in &new.apps {
        let at = |field: &str| format!("{}.{field}", part.place);
        faults.check(&at("name"), validate::text(&part.name, 100));
        faults.check(&at("client_id"), validate::cloud_id(&part.client_id));
        let site = faults.check(&at("site"), plain_site(&part.site));
        sites.note(&site, &at("site"), faults);
        let version = part.graph_version.as_deref().map(validate::graph_version).transpose();
        faults.check(&at("graph_version"), version);
        if let Some(key) = &part.api_key {
            let key = faults.check(&at("api_key"), validate::cloud_id(key));
            keys.note(&key, &at("api_key"), faults);
            if stored.apps.iter().any(|row| row.api_key == key && row.site != part.site) {
                faults.add(&at("api_key"), "belongs to another app here");
            }
        }
        for (field, secret) in [
            ("client_secret", &part.secrets.client_secret),
            ("access_token", &part.secrets.access_token),
            ("verify_token", &part.secrets.verify_token),
        ] {
            if let Some(secret) = secret {
                faults.check(&at(field), validate::secret(secret.expose()));
            }
        }
    }
}

fn wabas(new: &Configuration, stored: &Stored, faults: &mut Faults) {
    let mut ids = Once::default();
    for part in &new.wabas {
        let at = |field: &str| format!("{}.{field}", part.place);
        let id = faults.check(&at("waba_id"), validate::cloud_id(&part.waba_id));
        ids.note(&id, &at("waba_id"), faults);
        let known = new.apps.iter().any(|app| app.site == part.app)
            || stored.apps.iter().any(|row| row.site == part.app);
        if !known {
            faults.add(&at("app"), format!("names no app ({})", shown(&part.app)));
        }
        if !part.name.is_empty() {
            faults.check(&at("name"), validate::text(&part.name, 200));
        }
        let portfolio = part.portfolio.as_deref().map(validate::cloud_id).transpose();
        faults.check(&at("portfolio"), portfolio);
        if let Some(token) = &part.access_token {
            faults.check(&at("access_token"), validate::secret(token.expose()));
        }
    }
}

fn phones(setup: &Setup, new: &Configuration, stored: &Stored, faults: &mut Faults) {
    let (mut ids, mut numbers, mut codes) = (Once::default(), Once::default(), Once::default());
    for part in &new.phones {
        let at = |field: &str| format!("{}.{field}", part.place);
        let id = faults.check(&at("phone_number_id"), validate::cloud_id(&part.phone_number_id));
        ids.note(&id, &at("phone_number_id"), faults);
        match PhoneNumber::parse(&part.phone_number) {
            Ok(number) => numbers.note(number.digits(), &at("phone_number"), faults),
            Err(error) => faults.add(&at("phone_number"), error.to_string()),
        }
        let known = new.wabas.iter().any(|waba| waba.waba_id == part.waba)
            || stored.wabas.iter().any(|row| row.waba_id == part.waba);
        if !known {
            faults.add(&at("waba"), format!("names no WABA ({})", shown(&part.waba)));
        }
        if !part.display_name.is_empty() {
            faults.check(&at("display_name"), validate::text(&part.display_name, 512));
        }
        within(faults, &at("settings"), changed(&settings_change(part), blank(Default::default())));
        let names = validate::one_of(&part.settings.chat_names, &["own", "number"]);
        faults.check(&at("settings.chat_names"), names);
        if let Some(code) = &part.settings.sms_code {
            let code = faults.check(&at("settings.sms_code"), sender_code(code));
            codes.note(&code, &at("settings.sms_code"), faults);
            let taken = |id: &str, other: &Option<String>| {
                *id != part.phone_number_id && *other == Some(code.clone())
            };
            if stored.phones.iter().any(|row| taken(&row.phone_number_id, &row.sms_code)) {
                faults.add(&at("settings.sms_code"), "belongs to another phone here");
            }
        }
        if let Some(calling) = &part.calling {
            within(faults, &at("calling"), calling_row(setup, "", calling));
        }
    }
}

fn portals(new: &Configuration, stored: &Stored, faults: &mut Faults) {
    let (mut clients, mut members) = (Once::default(), Once::default());
    for part in &new.portal_apps {
        let at = |field: &str| format!("{}.{field}", part.place);
        faults.check(&at("name"), validate::text(&part.name, 100));
        let id = faults.check(&at("client_id"), validate::cloud_id(&part.client_id));
        clients.note(&id, &at("client_id"), faults);
        if let Some(secret) = &part.client_secret {
            faults.check(&at("client_secret"), validate::secret(secret.expose()));
        }
    }
    for part in &new.portals {
        let at = |field: &str| format!("{}.{field}", part.place);
        let id = faults.check(&at("member_id"), validate::cloud_id(&part.member_id));
        members.note(&id, &at("member_id"), faults);
        faults.check(&at("domain"), validate::text(&part.domain, 253));
        let known = new.portal_apps.iter().any(|app| app.client_id == part.portal_app)
            || stored.portal_apps.iter().any(|row| row.client_id == part.portal_app);
        if !known {
            faults
                .add(&at("portal_app"), format!("names no local application ({})", shown(&part.portal_app)));
        }
        let country = part.default_country.as_deref().map(validate::country).transpose();
        faults.check(&at("default_country"), country);
        let user = part.alarm_user_id.as_deref().map(validate::user_id).transpose();
        faults.check(&at("alarm_user_id"), user);
    }
}

fn lines(new: &Configuration, stored: &Stored, faults: &mut Faults) {
    let (mut phones, mut places) = (Once::default(), Once::default());
    for part in &new.lines {
        let at = |field: &str| format!("{}.{field}", part.place);
        let known = new.phones.iter().any(|phone| phone.phone_number_id == part.phone)
            || stored.phones.iter().any(|row| row.phone_number_id == part.phone);
        if !known {
            faults.add(&at("phone"), format!("names no phone ({})", shown(&part.phone)));
        }
        let known = new.portals.iter().any(|portal| portal.member_id == part.portal)
            || stored.portals.iter().any(|row| row.member_id == part.portal);
        if !known {
            faults.add(&at("portal"), format!("names no portal ({})", shown(&part.portal)));
        }
        let digits = !part.line_id.is_empty() && part.line_id.bytes().all(|b| b.is_ascii_digit());
        if !digits || part.line_id.len() > 18 {
            faults.add(&at("line_id"), "must be the number of an open line");
        }
        faults.check(&at("line_name"), validate::text(&part.line_name, 255));
        phones.note(&part.phone, &at("phone"), faults);
        places.note(&format!("{} of {}", part.line_id, part.portal), &at("line_id"), faults);
        if stored.line_of_another(&part.phone, &part.portal, &part.line_id) {
            faults.add(&at("line_id"), "belongs to another phone here");
        }
    }
}

/// The settings of a part, as an administrator would enter them.
pub(super) fn settings_change(part: &PhonePart) -> PhoneChange {
    let settings = part.settings.clone();
    PhoneChange {
        sms_service: Some(settings.sms_service),
        read_receipts: Some(settings.read_receipts),
        system_messages: Some(settings.system_messages),
        signature: Some(settings.signature),
        closed_window: Some(settings.closed_window),
        fallback_template: Some(settings.fallback_template),
        default_language: Some(settings.default_language),
        sms_to_chat: Some(settings.sms_to_chat),
        crm_user_id: Some(settings.crm_user_id),
        stop_words: Some(settings.stop_words),
    }
}

/// The settings for calls of a part, as a row.
pub(super) fn calling_row(setup: &Setup, phone: &str, part: &CallingPart) -> Result<CallingRow, SetupError> {
    let part = part.clone();
    let wanted = NewCalling {
        status: part.status,
        sip_status: Some(part.sip_status),
        hostname: part.hostname,
        port: Some(u32::from(part.port)),
        user_params: Some(part.tgrp.iter().map(|tgrp| ("tgrp".to_owned(), tgrp.clone())).collect()),
        keying: Some(part.srtp_key_exchange_protocol),
        webhook_delivery: Some(part.webhook_delivery),
        trunk: part.trunk,
        extension: part.extension,
        crm_create: Some(part.crm_create),
    };
    Ok(CallingRow { tgrp: part.tgrp, ..setup.checked(phone, wanted, None)? })
}

/// Sites are compared as they are written, so they are written as we write them.
fn plain_site(text: &str) -> Result<String, String> {
    let site = validate::site(text)?;
    if site == text { Ok(site) } else { Err(format!("must be written as {site}")) }
}

fn sender_code(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    if (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be lower case letters, digits, . - and _ only, {LONGEST_CODE} at most"))
    }
}

/// Faults of an inner form, with its place before their fields.
fn within<T>(faults: &mut Faults, place: &str, outcome: Result<T, SetupError>) {
    if let Err(SetupError::Invalid(inner)) = outcome {
        for fault in inner {
            faults.add(&format!("{place}.{}", fault.field), fault.message);
        }
    }
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

/// What may stand in a list once, with its first place.
#[derive(Default)]
struct Once(HashMap<String, String>);

impl Once {
    fn note(&mut self, value: &str, place: &str, faults: &mut Faults) {
        if value.is_empty() {
            return;
        }
        match self.0.get(value) {
            Some(first) => faults.add(place, format!("is the same as {first}")),
            None => drop(self.0.insert(value.to_owned(), place.to_owned())),
        }
    }
}
