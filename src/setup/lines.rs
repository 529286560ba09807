//! Which phone feeds which open line of a portal.

use super::behalf::Object;
use super::doctor::Scope;
use super::{Setup, SetupError};
use crate::bitrix::imconnector::{Activate, ConnectorDataSet};
use crate::bitrix::openlines::{ConfigAdd, ConfigGet, ConfigList, LINES_PER_PAGE, LineConfig, find_by_name};
use crate::clock::new_id;
use crate::directory::{Phone, Portal};
use crate::domain::{LineId, PhoneKey, PortalId};
use crate::queue::Class;
use crate::store::lines::{self, LineBindingRow};

/// Pages of lines at most.
const MAX_PAGES: usize = 50;

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Our id of the phone.
    pub phone_id: String,
    /// Our id of the portal.
    pub portal_id: String,
    /// The line there; `None` = the one named by `bitrix.line_name`, found or made.
    pub line_id: Option<String>,
    /// Whether another phone of that line gives way.
    pub replace: bool,
}

/// A phone and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The line.
    pub line_id: LineId,
    /// Its name.
    pub line_name: String,
}

impl Setup {
    /// Links a phone to a line: found or made, switched on, described, stored. What waited for a line runs.
    pub async fn link(&self, new: NewLink) -> Result<Linked, SetupError> {
        let snapshot = self.directory.now();
        let phone =
            snapshot.phone(&PhoneKey::from(new.phone_id.as_str())).ok_or(SetupError::NotFound("phone"))?;
        let portal = snapshot
            .portal(&PortalId::from(new.portal_id.trim()))
            .ok_or_else(|| SetupError::field("portal_id", "is not the id of a portal"))?;
        ready(portal)?;
        let Some(_one_link) = self.begin_phone(&phone.key) else { return Err(link_runs()) };
        let Some(_one_at_a_time) = self.begin(&portal.member_id) else {
            return Err(SetupError::Conflict(
                "a set-up of this portal runs; try again when it is done".to_owned(),
            ));
        };
        let line = self.find_line(portal, phone, new.line_id.as_deref()).await?;
        // Read under the gate, where no other link of this portal is made.
        let bound = self.directory.now();
        if let Some(other) = bound.binding_of_line(&portal.id, &line.id)
            && other.phone != phone.key
            && !new.replace
        {
            return Err(SetupError::Conflict(format!(
                "the line {} belongs to another phone already",
                line.id
            )));
        }
        self.switch_on(&portal.id, &line.id, phone).await?;
        let displaced = bound
            .binding_of_line(&portal.id, &line.id)
            .filter(|other| other.phone != phone.key)
            .and_then(|other| bound.phone(&other.phone));
        self.store_link(portal, phone, &line).await?;
        if let Some(other) = displaced {
            self.remove_sender_if_any(&portal.id, other).await;
        }
        self.sender_follows(portal, phone).await?;
        if let Some(old) = bound.binding_of_phone(&phone.key)
            && old.portal != portal.id
        {
            self.remove_sender_if_any(&old.portal, phone).await;
        }
        if let Some(old) = bound.binding_of_phone(&phone.key)
            && (old.portal != portal.id || old.line != line.id)
            && let Err(error) = self.switch_off(&old.portal, &old.line).await
        {
            tracing::warn!(portal.id = %old.portal, line = %old.line, error = %error, "the former line stays switched on");
        }
        if let Some(old) = bound.binding_of_phone(&phone.key)
            && old.portal != portal.id
        {
            self.forget_telephony_line(&old.portal, phone).await;
        }
        self.show_line(phone.key.as_str()).await;
        for class in [Class::Line, Class::Call] {
            self.scheduler.resume(&class.queue(&phone.key));
        }
        self.check_later(Scope::Phone(phone.key.to_string()));
        Ok(Linked { line_id: line.id, line_name: line.name })
    }

    /// Unlinks a phone: the connector is switched off on its line, then the link is gone.
    pub async fn unlink(&self, phone_id: &str) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        let phone = snapshot.phone(&PhoneKey::from(phone_id)).ok_or(SetupError::NotFound("phone"))?;
        let Some(_one_link) = self.begin_phone(&phone.key) else { return Err(link_runs()) };
        let snapshot = self.directory.now();
        let binding =
            snapshot.binding_of_phone(&phone.key).ok_or(SetupError::NotFound("line of this phone"))?;
        let portal = snapshot.portal(&binding.portal).filter(|portal| portal.row.status == "active");
        if let Some(portal) = portal {
            let Some(_one_at_a_time) = self.begin(&portal.member_id) else {
                return Err(SetupError::Conflict(
                    "a set-up of this portal runs; try again when it is done".to_owned(),
                ));
            };
            if phone.row.sms_service {
                self.remove_sender(&binding.portal, phone).await?;
            }
            self.switch_off(&binding.portal, &binding.line).await?;
            self.forget_telephony_line(&binding.portal, phone).await;
        }
        let (key, own) = (phone_id.to_owned(), self.clone());
        self.db
            .write(move |tx| {
                let Some(row) = lines::by_phone(tx.conn, &key)? else { return Ok(()) };
                lines::unbind_phone(tx.conn, &key)?;
                own.note(tx, "unlink", object(&row), Some(&row), None)
            })
            .await?;
        self.directory.reload().await?;
        self.check_later(Scope::Phone(phone_id.to_owned()));
        Ok(())
    }

    /// The open lines of a portal, by id.
    pub async fn open_lines(&self, portal: &PortalId) -> Result<Vec<LineConfig>, SetupError> {
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let lines = self.gateway.call(portal, &ConfigList { offset: page * LINES_PER_PAGE }).await?;
            let last = lines.len() < LINES_PER_PAGE;
            all.extend(lines);
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// The portal switched our connector off on a line: whoever did it, unless it was us.
    pub async fn line_switched_off(
        &self,
        portal: &PortalId,
        connector: &str,
        line: &LineId,
    ) -> Result<(), SetupError> {
        let ours = connector.eq_ignore_ascii_case(&self.config.bitrix.connector_code);
        if !ours || self.was_our_switch_off(portal, line) {
            return Ok(());
        }
        self.line_gone(portal, line).await
    }

    /// A line of the portal is gone, maybe not one of ours.
    pub async fn line_gone(&self, portal: &PortalId, line: &LineId) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        let Some(binding) = snapshot.binding_of_line(portal, line) else { return Ok(()) };
        tracing::warn!(portal.id = %portal, line = %line, "the portal switched a linked line off; it is unlinked");
        let key = binding.phone.to_string();
        self.db.write(move |tx| lines::unbind_phone(tx.conn, &key)).await?;
        if let Some(phone) = snapshot.phone(&binding.phone) {
            self.remove_sender_if_any(portal, phone).await;
        }
        self.directory.reload().await?;
        // Only now: a look that still sees the link would end the alarm.
        if let Some(phone) = snapshot.phone(&binding.phone) {
            self.line_is_lost(&snapshot, phone, &binding.line_name).await;
        }
        Ok(())
    }

    /// Switches the connector on and says what it is; in this order (bitrix24 facts §3.4).
    pub(super) async fn switch_on(
        &self,
        portal: &PortalId,
        line: &LineId,
        phone: &Phone,
    ) -> Result<(), SetupError> {
        let connector = &self.config.bitrix.connector_code;
        self.gateway.call(portal, &Activate { connector, line, active: true }).await?;
        let (url, number) = (format!("https://wa.me/{}", phone.number), format!("+{}", phone.number));
        let name = if phone.row.display_name.is_empty() { &number } else { &phone.row.display_name };
        let data = ConnectorDataSet { connector, line, id: phone.phone_number_id.as_str(), url: &url, name };
        Ok(self.gateway.call(portal, &data).await?)
    }

    async fn switch_off(&self, portal: &PortalId, line: &LineId) -> Result<(), SetupError> {
        self.expect_switch_off(portal, line);
        let connector = &self.config.bitrix.connector_code;
        let outcome = self.gateway.call(portal, &Activate { connector, line, active: false }).await;
        match outcome {
            Err(error) => {
                if error.surely_not_executed() {
                    self.was_our_switch_off(portal, line);
                }
                if error.is_uninstalled() { Ok(()) } else { Err(error.into()) }
            }
            Ok(()) => Ok(()),
        }
    }

    async fn find_line(
        &self,
        portal: &Portal,
        phone: &Phone,
        wanted: Option<&str>,
    ) -> Result<LineConfig, SetupError> {
        if let Some(wanted) = wanted {
            let line = LineId::new(wanted.trim());
            let known = !line.as_str().is_empty() && line.as_str().bytes().all(|b| b.is_ascii_digit());
            let found = match known {
                true => self.gateway.call(&portal.id, &ConfigGet { line: &line }).await?,
                false => None,
            };
            return found.ok_or_else(|| SetupError::field("line_id", "is not an open line of this portal"));
        }
        let name = self.config.bitrix.line_name_for(&phone.number);
        for page in 0..MAX_PAGES {
            let list = ConfigList { offset: page * LINES_PER_PAGE };
            let lines = self.gateway.call(&portal.id, &list).await?;
            if let Some(line) = find_by_name(&lines, &name) {
                return Ok(line.clone());
            }
            if lines.len() < LINES_PER_PAGE {
                break;
            }
        }
        let operators = [portal.row.user_id.clone()];
        let id = self.gateway.call(&portal.id, &ConfigAdd { name: &name, operators: &operators }).await?;
        Ok(LineConfig { id, name, active: true })
    }

    async fn store_link(&self, portal: &Portal, phone: &Phone, line: &LineConfig) -> Result<(), SetupError> {
        let row = LineBindingRow {
            id: new_id(),
            phone_id: phone.key.to_string(),
            portal_id: portal.id.to_string(),
            line_id: line.id.to_string(),
            line_name: line.name.clone(),
            created_at: self.clock.now().naive_utc(),
        };
        let own = self.clone();
        self.db
            .write(move |tx| {
                let before = lines::by_phone(tx.conn, &row.phone_id)?;
                if let Some(other) = lines::by_line(tx.conn, &row.portal_id, &row.line_id)? {
                    lines::delete(tx.conn, &other.id)?;
                }
                lines::unbind_phone(tx.conn, &row.phone_id)?;
                lines::insert(tx.conn, &row)?;
                own.note(tx, "link", object(&row), before.as_ref(), Some(&row))
            })
            .await?;
        Ok(self.directory.reload().await?)
    }
}

fn object(row: &LineBindingRow) -> Object<'_> {
    Object { kind: "line", id: &row.phone_id, name: &row.line_name }
}

fn link_runs() -> SetupError {
    SetupError::Conflict("this phone is being linked or unlinked; try again when that is done".to_owned())
}

fn ready(portal: &Portal) -> Result<(), SetupError> {
    let why = match portal.row.status.as_str() {
        "active" => return Ok(()),
        "installing" => "the portal's set-up is not finished",
        "reauthorize" => "the portal refuses our tokens; an administrator has to open the application again",
        _ => "the application is not installed on this portal any more",
    };
    let reason = portal.row.status_reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    Err(SetupError::Conflict(format!("{why}{reason}")))
}
