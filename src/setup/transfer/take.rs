//! Makes what is missing of a configuration: everything in one transaction, or nothing.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    AppPart, Configuration, Imported, LinePart, PhonePart, PortalAppPart, PortalPart, WabaPart, check, todo,
};
use crate::clock::new_id;
use crate::directory::context;
use crate::domain::{PhoneNumber, Secret};
use crate::secrets::random_token;
use crate::setup::behalf::Object;
use crate::setup::phones::{blank, changed};
use crate::setup::{Setup, SetupError};
use crate::store::apps::{self, AppRow};
use crate::store::lines::{self, LineBindingRow};
use crate::store::phones::{self, PhoneRow};
use crate::store::portal_apps::{self, PortalAppRow};
use crate::store::portals::{self, PortalRow};
use crate::store::wabas::{self, WabaRow};
use crate::store::{Conn, StoreError, Tx, calling};

/// Why a portal that was read from a file does not work yet.
const NOT_INSTALLED: &str =
    "the portal came by an import; the application is not installed on it from here yet";

/// What is stored already.
pub(super) struct Stored {
    pub(super) apps: Vec<AppRow>,
    pub(super) wabas: Vec<WabaRow>,
    pub(super) phones: Vec<PhoneRow>,
    pub(super) portal_apps: Vec<PortalAppRow>,
    pub(super) portals: Vec<PortalRow>,
    pub(super) lines: Vec<LineBindingRow>,
}

impl Stored {
    fn read(conn: &mut Conn) -> Result<Self, StoreError> {
        Ok(Self {
            apps: apps::list(conn)?,
            wabas: wabas::list(conn)?,
            phones: phones::list(conn)?,
            portal_apps: portal_apps::list(conn)?,
            portals: portals::list(conn)?,
            lines: lines::list(conn)?,
        })
    }

    /// Whether the line feeds from another phone than this.
    pub(super) fn line_of_another(&self, phone: &str, portal: &str, line: &str) -> bool {
        let Some(portal) = self.portals.iter().find(|row| row.member_id == portal) else { return false };
        let bound = self.lines.iter().find(|row| row.portal_id == portal.id && row.line_id == line);
        let own = self.phones.iter().find(|row| row.phone_number_id == phone);
        bound.is_some_and(|bound| own.is_none_or(|own| own.id != bound.phone_id))
    }
}

impl Setup {
    /// Makes what is missing here of a configuration; what is here already stays as it is.
    ///
    /// # Errors
    /// [`SetupError::Invalid`] with every fault and its place; then nothing is stored.
    pub async fn import_configuration(&self, new: Configuration) -> Result<Imported, SetupError> {
        let own = self.clone();
        let outcome = self.db.write(move |tx| {
            let stored = Stored::read(tx.conn)?;
            // Looked at in the same transaction: nobody makes meanwhile what is missing now.
            if let Err(error) = check::check(&own, &new, &stored) {
                return Ok(Err(error));
            }
            let mut taking = Taking { setup: &own, tx, ids: Ids::of(&stored), told: Imported::default() };
            taking.all(&new)?;
            let mut told = taking.told;
            told.to_do = todo::of(&own, &new, &told);
            Ok(Ok(told))
        });
        let told = outcome.await??;
        self.directory.reload().await?;
        Ok(told)
    }
}

/// Our ids by the names that the clouds have.
#[derive(Default)]
struct Ids {
    apps: HashMap<String, String>,
    wabas: HashMap<String, String>,
    phones: HashMap<String, String>,
    portal_apps: HashMap<String, String>,
    portals: HashMap<String, String>,
    /// Phones that are linked.
    lines: HashMap<String, String>,
}

impl Ids {
    fn of(stored: &Stored) -> Self {
        let pair = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        Self {
            apps: stored.apps.iter().map(|row| pair(&row.site, &row.id)).collect(),
            wabas: stored.wabas.iter().map(|row| pair(&row.waba_id, &row.id)).collect(),
            phones: stored.phones.iter().map(|row| pair(&row.phone_number_id, &row.id)).collect(),
            portal_apps: stored.portal_apps.iter().map(|row| pair(&row.client_id, &row.id)).collect(),
            portals: stored.portals.iter().map(|row| pair(&row.member_id, &row.id)).collect(),
            lines: stored.lines.iter().map(|row| pair(&row.phone_id, &row.id)).collect(),
        }
    }
}

struct Taking<'a, 'b> {
    setup: &'a Setup,
    tx: &'a mut Tx<'b>,
    ids: Ids,
    told: Imported,
}

impl Taking<'_, '_> {
    fn all(&mut self, new: &Configuration) -> Result<(), StoreError> {
        new.apps.iter().try_for_each(|part| self.app(part))?;
        new.wabas.iter().try_for_each(|part| self.waba(part))?;
        new.phones.iter().try_for_each(|part| self.phone(part))?;
        new.portal_apps.iter().try_for_each(|part| self.portal_app(part))?;
        new.portals.iter().try_for_each(|part| self.portal(part))?;
        new.lines.iter().try_for_each(|part| self.line(part))
    }

    fn app(&mut self, part: &AppPart) -> Result<(), StoreError> {
        let name = format!("app {}", part.site);
        if self.ids.apps.contains_key(&part.site) {
            return self.kept(name);
        }
        let (vault, now) = (self.setup.directory.vault(), self.setup.clock.now().naive_utc());
        let seal = |secret: &Option<Secret>, place| vault.seal(&secret.clone().unwrap_or_default(), place);
        let verify_token = part.secrets.verify_token.clone().unwrap_or_else(|| Secret::new(random_token(24)));
        let row = AppRow {
            id: new_id(),
            name: part.name.trim().to_owned(),
            site: part.site.clone(),
            client_id: part.client_id.clone(),
            client_secret_sealed: seal(&part.secrets.client_secret, context::APP_SECRET),
            second_secret_sealed: None,
            access_token_sealed: seal(&part.secrets.access_token, context::APP_TOKEN),
            verify_token_sealed: vault.seal(&verify_token, context::VERIFY_TOKEN),
            api_key: part.api_key.clone().unwrap_or_else(|| random_token(24)),
            graph_version: part.graph_version.clone(),
            save_events: part.save_events,
            created_at: now,
            updated_at: now,
        };
        apps::insert(self.tx.conn, &row)?;
        self.ids.apps.insert(part.site.clone(), row.id.clone());
        self.made(name, Object { kind: "app", id: &row.id, name: &row.name }, &row)
    }

    fn waba(&mut self, part: &WabaPart) -> Result<(), StoreError> {
        let name = format!("WABA {}", part.waba_id);
        if self.ids.wabas.contains_key(&part.waba_id) {
            return self.kept(name);
        }
        let (vault, now) = (self.setup.directory.vault(), self.setup.clock.now().naive_utc());
        let token = part.access_token.as_ref().map(|token| vault.seal(token, context::WABA_TOKEN));
        let row = WabaRow {
            id: new_id(),
            app_id: id_in(&self.ids.apps, &part.app)?,
            waba_id: part.waba_id.clone(),
            access_token_sealed: token,
            name: if part.name.is_empty() { part.waba_id.clone() } else { part.name.clone() },
            // The doctor sees what Meta has, and repairs it.
            subscribed: false,
            status: "active".to_owned(),
            status_reason: None,
            portfolio: part.portfolio.clone(),
            created_at: now,
            updated_at: now,
        };
        wabas::insert(self.tx.conn, &row)?;
        self.ids.wabas.insert(part.waba_id.clone(), row.id.clone());
        self.made(name, Object { kind: "waba", id: &row.id, name: &row.name }, &row)
    }

    fn phone(&mut self, part: &PhonePart) -> Result<(), StoreError> {
        let name = format!("phone {}", part.phone_number);
        if self.ids.phones.contains_key(&part.phone_number_id) {
            return self.kept(name);
        }
        let now = self.setup.clock.now().naive_utc();
        let number = PhoneNumber::parse(&part.phone_number).map_err(corrupt)?;
        let plain = PhoneRow {
            waba_key: id_in(&self.ids.wabas, &part.waba)?,
            phone_number: number.digits().to_owned(),
            phone_number_id: part.phone_number_id.clone(),
            display_name: part.display_name.clone(),
            sms_code: part.settings.sms_code.clone(),
            chat_names: part.settings.chat_names.clone(),
            ..blank(now)
        };
        let row = changed(&check::settings_change(part), plain).map_err(corrupt)?;
        phones::insert(self.tx.conn, &row)?;
        self.ids.phones.insert(part.phone_number_id.clone(), row.id.clone());
        if let Some(calling) = &part.calling {
            let settings = check::calling_row(self.setup, &row.id, calling).map_err(corrupt)?;
            calling::put(self.tx.conn, &settings)?;
        }
        self.made(name, Object { kind: "phone", id: &row.id, name: &row.phone_number }, &row)
    }

    fn portal_app(&mut self, part: &PortalAppPart) -> Result<(), StoreError> {
        let name = format!("local application {}", part.client_id);
        if self.ids.portal_apps.contains_key(&part.client_id) {
            return self.kept(name);
        }
        let now = self.setup.clock.now().naive_utc();
        let secret = part.client_secret.clone().unwrap_or_default();
        let row = PortalAppRow {
            id: new_id(),
            name: part.name.trim().to_owned(),
            client_id: part.client_id.clone(),
            client_secret_sealed: self.setup.directory.vault().seal(&secret, context::PORTAL_APP_SECRET),
            created_at: now,
            updated_at: now,
        };
        portal_apps::insert(self.tx.conn, &row)?;
        self.ids.portal_apps.insert(part.client_id.clone(), row.id.clone());
        self.made(name, Object { kind: "portal_app", id: &row.id, name: &row.name }, &row)
    }

    fn portal(&mut self, part: &PortalPart) -> Result<(), StoreError> {
        let name = format!("portal {}", part.domain);
        if self.ids.portals.contains_key(&part.member_id) {
            return self.kept(name);
        }
        let (vault, now) = (self.setup.directory.vault(), self.setup.clock.now().naive_utc());
        let row = PortalRow {
            id: new_id(),
            member_id: part.member_id.clone(),
            portal_app_id: id_in(&self.ids.portal_apps, &part.portal_app)?,
            domain: part.domain.trim().to_owned(),
            // Nothing is called before an installation is proven; it brings the addresses.
            client_endpoint: String::new(),
            server_endpoint: String::new(),
            access_token_sealed: vault.seal(&Secret::default(), context::PORTAL_ACCESS),
            access_expires_at: now,
            refresh_token_sealed: vault.seal(&Secret::default(), context::PORTAL_REFRESH),
            application_token_sealed: None,
            sms_secret_sealed: vault.seal(&Secret::new(random_token(32)), context::SMS_SECRET),
            user_id: String::new(),
            scopes: String::new(),
            status: "uninstalled".to_owned(),
            status_reason: Some(NOT_INSTALLED.to_owned()),
            language: if part.language.is_empty() { "en".to_owned() } else { part.language.clone() },
            default_country: part.default_country.clone(),
            region: None,
            alarm_user_id: part.alarm_user_id.clone(),
            created_at: now,
            updated_at: now,
        };
        portals::insert(self.tx.conn, &row)?;
        self.ids.portals.insert(part.member_id.clone(), row.id.clone());
        self.made(name, Object { kind: "portal", id: &row.id, name: &row.domain }, &row)
    }

    fn line(&mut self, part: &LinePart) -> Result<(), StoreError> {
        let phone = id_in(&self.ids.phones, &part.phone)?;
        if self.ids.lines.contains_key(&phone) {
            return self.kept(format!("line of the phone {}", part.phone));
        }
        let row = LineBindingRow {
            id: new_id(),
            phone_id: phone.clone(),
            portal_id: id_in(&self.ids.portals, &part.portal)?,
            line_id: part.line_id.clone(),
            line_name: part.line_name.trim().to_owned(),
            created_at: self.setup.clock.now().naive_utc(),
        };
        lines::insert(self.tx.conn, &row)?;
        self.ids.lines.insert(phone, row.id.clone());
        let name = format!("line {} ({})", row.line_name, row.line_id);
        self.made(name, Object { kind: "line", id: &row.phone_id, name: &row.line_name }, &row)
    }

    fn kept(&mut self, name: String) -> Result<(), StoreError> {
        self.told.kept.push(name);
        Ok(())
    }

    fn made<R: Serialize>(&mut self, name: String, object: Object<'_>, row: &R) -> Result<(), StoreError> {
        self.setup.note(self.tx, "import", object, None, Some(row))?;
        self.told.made.push(name);
        Ok(())
    }
}

/// What was checked a moment ago is not so: nothing is stored.
fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

fn id_in(ids: &HashMap<String, String>, name: &str) -> Result<String, StoreError> {
    ids.get(name).cloned().ok_or_else(|| corrupt(format!("{name} is not known")))
}
