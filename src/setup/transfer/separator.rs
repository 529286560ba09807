//! Reads the JSON export of a separator installation (docs/import.md): rows of its tables with its own column names,
//! joined by its own keys.
//!
//! Running chats and robots go on, since everything that portals know stays: the code of the connector, the ids of
//! lines, the codes of SMS senders (its site, `_` and the digits), and the names of chats (`+` and the number).

use serde::Deserialize;

use super::{
    AppPart, AppSecrets, Configuration, FORMAT, LinePart, PhonePart, PhoneSettings, PortalAppPart,
    PortalPart, VERSION, WabaPart, parsed,
};
use crate::domain::Secret;
use crate::setup::SetupError;
use crate::setup::validate::Faults;

/// How the encrypted columns of a newer separator begin, if the database was read past the product.
const ENCRYPTED: &str = "gAAAAA";

#[derive(Deserialize)]
struct Export {
    /// The version of the form.
    separator: u32,
    apps: Vec<App>,
    wabas: Vec<Waba>,
    phones: Vec<Phone>,
    #[serde(default)]
    portal_apps: Vec<PortalApp>,
    #[serde(default)]
    portals: Vec<Portal>,
    #[serde(default)]
    lines: Vec<Line>,
}

/// A row of `waba_app`.
#[derive(Deserialize)]
struct App {
    id: Key,
    name: Option<String>,
    site: Option<String>,
    client_id: String,
    client_secret: Option<Secret>,
    access_token: Option<Secret>,
    verify_token: Option<Secret>,
    #[serde(default)]
    events: bool,
}

/// A row of `waba_waba`.
#[derive(Deserialize)]
struct Waba {
    id: Key,
    app: Option<Key>,
    waba_id: String,
    access_token: Option<Secret>,
}

/// A row of `waba_phone`.
#[derive(Deserialize)]
struct Phone {
    id: Key,
    waba: Option<Key>,
    phone: Option<String>,
    phone_id: String,
    line: Option<Key>,
    #[serde(default)]
    sms_service: bool,
    #[serde(default)]
    chat_from_sms: bool,
    /// Else made of the site of the portal's application and the digits.
    sms_code: Option<String>,
}

/// A row of `bitrix_app`.
#[derive(Deserialize)]
struct PortalApp {
    id: Key,
    name: Option<String>,
    site: Option<String>,
    client_id: String,
    client_secret: Option<Secret>,
}

/// A row of `bitrix_bitrix`, with the application that serves its lines.
#[derive(Deserialize)]
struct Portal {
    id: Key,
    portal_app: Option<Key>,
    member_id: Option<String>,
    domain: String,
}

/// A row of `bitrix_line`, with the code of its connector.
#[derive(Deserialize)]
struct Line {
    id: Key,
    portal: Option<Key>,
    line_id: Key,
    name: Option<String>,
    connector: Option<String>,
}

/// A key of a row: a number or a UUID.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Reads an export, or tells each fault with the row that has it.
pub(super) fn read(text: &str) -> Result<Configuration, SetupError> {
    let export: Export = parsed(text)?;
    let mut faults = Faults::default();
    if export.separator != 1 {
        faults.add("separator", "must be 1, the only form that is read");
    }
    let new = Configuration {
        format: FORMAT.to_owned(),
        version: VERSION,
        connector_code: connector(&export, &mut faults),
        apps: export.apps.iter().enumerate().map(|(at, row)| app(at, row, &mut faults)).collect(),
        wabas: export.wabas.iter().enumerate().map(|(at, row)| waba(at, row, &export, &mut faults)).collect(),
        phones: export
            .phones
            .iter()
            .enumerate()
            .map(|(at, row)| phone(at, row, &export, &mut faults))
            .collect(),
        portal_apps: export
            .portal_apps
            .iter()
            .enumerate()
            .map(|(at, row)| portal_app(at, row, &mut faults))
            .collect(),
        portals: export
            .portals
            .iter()
            .enumerate()
            .map(|(at, row)| portal(at, row, &export, &mut faults))
            .collect(),
        lines: lines(&export, &mut faults),
        without_calls: true,
    };
    faults.done()?;
    Ok(new)
}

/// The code of the one connector that the lines of the phones have.
fn connector(export: &Export, faults: &mut Faults) -> Option<String> {
    let mut found: Option<String> = None;
    for (at, line) in used_lines(export) {
        let Some(code) = line.connector.as_deref().map(str::to_lowercase) else { continue };
        match &found {
            Some(first) if *first != code => faults.add(
                &place("lines", at, &line.id, "connector"),
                format!("is {code}, and the lines before have {first}: this bridge has one connector"),
            ),
            _ => found = Some(code),
        }
    }
    found
}

fn app(at: usize, row: &App, faults: &mut Faults) -> AppPart {
    let place_of = |field| place("apps", at, &row.id, field);
    let site = row.site.clone().unwrap_or_default();
    let mut secret = |field, secret: &Option<Secret>| readable(secret, &place_of(field), faults);
    AppPart {
        place: row_place("apps", at, &row.id),
        name: row.name.clone().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| site.clone()),
        site,
        client_id: row.client_id.clone(),
        api_key: None,
        // Its column holds a version that Meta has ended long ago; ours is newer.
        graph_version: None,
        save_events: row.events,
        secrets: AppSecrets {
            client_secret: secret("client_secret", &row.client_secret),
            access_token: secret("access_token", &row.access_token),
            verify_token: secret("verify_token", &row.verify_token),
        },
    }
}

fn waba(at: usize, row: &Waba, export: &Export, faults: &mut Faults) -> WabaPart {
    let place_of = |field| place("wabas", at, &row.id, field);
    let app = export.apps.iter().find(|app| Some(&app.id) == row.app.as_ref());
    if app.is_none() {
        faults.add(&place_of("app"), format!("names no app of the file ({})", shown(row.app.as_ref())));
    }
    let access_token = readable(&row.access_token, &place_of("access_token"), faults);
    WabaPart {
        place: row_place("wabas", at, &row.id),
        waba_id: row.waba_id.clone(),
        app: app.and_then(|app| app.site.clone()).unwrap_or_default(),
        name: String::new(),
        portfolio: None,
        own_token: access_token.is_some(),
        access_token,
    }
}

fn phone(at: usize, row: &Phone, export: &Export, faults: &mut Faults) -> PhonePart {
    let waba = export.wabas.iter().find(|waba| Some(&waba.id) == row.waba.as_ref());
    if waba.is_none() {
        let told = format!("names no WABA of the file ({})", shown(row.waba.as_ref()));
        faults.add(&place("phones", at, &row.id, "waba"), told);
    }
    if row.line.is_some() && line_of(row, export).is_none() {
        let told = format!("names no line of the file ({})", shown(row.line.as_ref()));
        faults.add(&place("phones", at, &row.id, "line"), told);
    }
    let number = row.phone.clone().unwrap_or_default();
    PhonePart {
        place: row_place("phones", at, &row.id),
        phone_number_id: row.phone_id.clone(),
        waba: waba.map(|waba| waba.waba_id.clone()).unwrap_or_default(),
        display_name: String::new(),
        settings: PhoneSettings {
            sms_service: row.sms_service,
            sms_to_chat: row.chat_from_sms,
            sms_code: row.sms_code.clone().or_else(|| sender_code(row, export)),
            chat_names: "number".to_owned(),
            ..PhoneSettings::default()
        },
        phone_number: number,
        // It knows neither trunk nor extension of this bridge.
        calling: None,
    }
}

fn portal_app(at: usize, row: &PortalApp, faults: &mut Faults) -> PortalAppPart {
    PortalAppPart {
        place: row_place("portal_apps", at, &row.id),
        name: row
            .name
            .clone()
            .filter(|name| !name.trim().is_empty())
            .unwrap_or_else(|| row.client_id.clone()),
        client_id: row.client_id.clone(),
        client_secret: readable(
            &row.client_secret,
            &place("portal_apps", at, &row.id, "client_secret"),
            faults,
        ),
    }
}

fn portal(at: usize, row: &Portal, export: &Export, faults: &mut Faults) -> PortalPart {
    let place_of = |field| place("portals", at, &row.id, field);
    let app = export.portal_apps.iter().find(|app| Some(&app.id) == row.portal_app.as_ref());
    if app.is_none() {
        let told = format!("names no application of the file ({})", shown(row.portal_app.as_ref()));
        faults.add(&place_of("portal_app"), told);
    }
    let member_id = row.member_id.clone().filter(|id| !id.is_empty());
    if member_id.is_none() {
        faults.add(
            &place_of("member_id"),
            "is missing; open the application in the portal once, then export again",
        );
    }
    PortalPart {
        place: row_place("portals", at, &row.id),
        member_id: member_id.unwrap_or_default(),
        portal_app: app.map(|app| app.client_id.clone()).unwrap_or_default(),
        domain: row.domain.clone(),
        language: String::new(),
        default_country: None,
        alarm_user_id: None,
    }
}

/// The lines that phones use.
fn lines(export: &Export, faults: &mut Faults) -> Vec<LinePart> {
    let mut lines = Vec::new();
    for row in &export.phones {
        let Some((at, line)) = line_of(row, export) else { continue };
        let portal = portal_of(line, export);
        if portal.is_none() {
            let told = format!("names no portal of the file ({})", shown(line.portal.as_ref()));
            faults.add(&place("lines", at, &line.id, "portal"), told);
        }
        lines.push(LinePart {
            place: row_place("lines", at, &line.id),
            phone: row.phone_id.clone(),
            portal: portal.and_then(|portal| portal.member_id.clone()).unwrap_or_default(),
            line_id: line.line_id.to_string(),
            line_name: line
                .name
                .clone()
                .filter(|name| !name.trim().is_empty())
                .unwrap_or_else(|| format!("separator_{}", digits(row))),
        });
    }
    lines
}

fn used_lines(export: &Export) -> impl Iterator<Item = (usize, &Line)> {
    let used = |line: &Line| export.phones.iter().any(|phone| phone.line.as_ref() == Some(&line.id));
    export.lines.iter().enumerate().filter(move |(_, line)| used(line))
}

fn line_of<'a>(phone: &Phone, export: &'a Export) -> Option<(usize, &'a Line)> {
    export.lines.iter().enumerate().find(|(_, line)| Some(&line.id) == phone.line.as_ref())
}

fn portal_of<'a>(line: &Line, export: &'a Export) -> Option<&'a Portal> {
    export.portals.iter().find(|portal| Some(&portal.id) == line.portal.as_ref())
}

/// The code under which its portal knows a phone as an SMS sender.
fn sender_code(phone: &Phone, export: &Export) -> Option<String> {
    let (_, line) = line_of(phone, export)?;
    let portal = portal_of(line, export)?;
    let app = export.portal_apps.iter().find(|app| Some(&app.id) == portal.portal_app.as_ref())?;
    Some(format!("{}_{}", app.site.as_deref()?, digits(phone)))
}

fn digits(phone: &Phone) -> String {
    phone.phone.as_deref().unwrap_or_default().chars().filter(char::is_ascii_digit).collect()
}

/// A secret; an encrypted one is none.
fn readable(secret: &Option<Secret>, place: &str, faults: &mut Faults) -> Option<Secret> {
    let secret = secret.clone().filter(|secret| !secret.expose().trim().is_empty())?;
    if secret.expose().starts_with(ENCRYPTED) {
        faults.add(
            place,
            "is still encrypted; leave it out, or export by the command of docs/import.md that opens it",
        );
        return None;
    }
    Some(secret)
}

fn row_place(list: &str, at: usize, id: &Key) -> String {
    format!("{list}[{at}] (id {id})")
}

fn place(list: &str, at: usize, id: &Key, field: &str) -> String {
    format!("{}.{field}", row_place(list, at, id))
}

fn shown(key: Option<&Key>) -> String {
    key.map_or_else(|| "nothing".to_owned(), Key::to_string)
}
