//! Our page inside the portal: its numbers, their lines and the SMS switch, for its administrators.
//!
//! As the connector's page it bears a sealed ticket instead of a cookie: portal, user and the user's own
//! token, good for a quarter of an hour. With that token the user is asked for again before each change.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::lines::NewLink;
use super::phones::PhoneChange;
use super::proof::{refused, stored_endpoint};
use super::{Setup, SetupError};
use crate::bitrix::page::PortalPage;
use crate::directory::{Portal, Snapshot};
use crate::domain::{Actor, PortalId, Secret};

const CONTEXT: &str = "pages.settings";
const TICKET_LIFE: TimeDelta = TimeDelta::minutes(15);

/// What the page shows.
#[derive(Clone, Debug)]
pub struct SettingsPage {
    /// The portal's origin, which alone may frame the page.
    pub origin: String,
    /// Goes into the page's forms.
    pub ticket: String,
    /// The portal's numbers, and those that are free.
    pub phones: Vec<PortalPhone>,
    /// Open lines of the portal as (id, name).
    pub lines: Vec<(String, String)>,
}

/// A number on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalPhone {
    /// Our id.
    pub id: String,
    /// Number.
    pub number: String,
    /// Display name.
    pub name: String,
    /// Name of its line here.
    pub line: Option<String>,
    /// Whether it is an SMS sender in the CRM.
    pub sms_service: bool,
}

/// What an administrator of the portal changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsChange {
    /// Links a number to a line; `None` = one of its own.
    Link(String, Option<String>),
    /// Unlinks a number.
    Unlink(String),
    /// Switches the SMS service of a number.
    Sms(String, bool),
}

#[derive(Serialize, Deserialize)]
struct Ticket {
    portal: String,
    user: String,
    token: String,
    until: DateTime<Utc>,
}

impl Setup {
    /// The page for the administrator who opened it.
    pub async fn open_settings(&self, page: &PortalPage) -> Result<SettingsPage, SetupError> {
        let snapshot = self.directory.now();
        let portal = snapshot.portal_by_member(&page.member_id).filter(|portal| portal.is_active());
        let portal = portal.ok_or_else(|| refused("the application is not installed on this portal"))?;
        if !self.page_token_fits(portal, page.application_token.as_ref())
            || !self.token_is_of(portal, &page.server_endpoint, &page.auth_id).await?
        {
            return Err(refused("the page was opened with a token that is not of this portal"));
        }
        let user = self.profile_at(&stored_endpoint(portal)?, &page.auth_id).await?;
        if !user.admin {
            return Err(refused("only an administrator of the portal can change these settings"));
        }
        let ticket = Ticket {
            portal: portal.id.to_string(),
            user: user.id,
            token: page.auth_id.expose().to_owned(),
            until: self.clock.now() + TICKET_LIFE,
        };
        self.settings_page(&snapshot, portal, &ticket).await
    }

    /// Makes a change, if the user of the ticket is still an administrator.
    pub async fn change_settings(
        &self,
        ticket: &str,
        change: SettingsChange,
    ) -> Result<SettingsPage, SetupError> {
        let ticket = self.open_settings_ticket(ticket)?;
        let snapshot = self.directory.now();
        let portal_id = PortalId::from(ticket.portal.as_str());
        let portal = snapshot.portal(&portal_id).filter(|portal| portal.is_active());
        let portal = portal.ok_or_else(|| refused("the application is not installed on this portal"))?;
        let token = Secret::from(ticket.token.as_str());
        let user = self.profile_at(&stored_endpoint(portal)?, &token).await?;
        if !user.admin || user.id != ticket.user {
            return Err(refused("only an administrator of the portal can change these settings"));
        }
        let own = self.on_behalf(Actor::PortalUser(format!("{}@{}", user.id, portal.row.domain)));
        match change {
            SettingsChange::Link(phone, line) => {
                theirs(&snapshot, portal, &phone, true)?;
                let new = NewLink {
                    phone_id: phone,
                    portal_id: ticket.portal.clone(),
                    line_id: line,
                    replace: false,
                };
                own.link(new).await?;
            }
            SettingsChange::Unlink(phone) => {
                theirs(&snapshot, portal, &phone, false)?;
                own.unlink(&phone).await?;
            }
            SettingsChange::Sms(phone, on) => {
                theirs(&snapshot, portal, &phone, false)?;
                let change = PhoneChange { sms_service: Some(on), ..PhoneChange::default() };
                own.change_phone(&phone, change).await?;
            }
        }
        self.settings_page(&self.directory.now(), portal, &ticket).await
    }

    async fn settings_page(
        &self,
        snapshot: &Snapshot,
        portal: &Portal,
        ticket: &Ticket,
    ) -> Result<SettingsPage, SetupError> {
        let phones = snapshot
            .phones
            .iter()
            .filter_map(|phone| {
                let binding = snapshot.binding_of_phone(&phone.key);
                if binding.is_some_and(|binding| binding.portal != portal.id) {
                    return None;
                }
                Some(PortalPhone {
                    id: phone.key.to_string(),
                    number: format!("+{}", phone.number),
                    name: phone.row.display_name.clone(),
                    line: binding.map(|binding| binding.line_name.clone()),
                    sms_service: phone.row.sms_service,
                })
            })
            .collect();
        // Without the list a line of the number's own can still be linked.
        let lines = self.open_lines(&portal.id).await.unwrap_or_default();
        let json = Secret::new(serde_json::to_string(ticket).unwrap_or_default());
        Ok(SettingsPage {
            origin: stored_endpoint(portal)?.origin().ascii_serialization(),
            ticket: self.directory.vault().seal(&json, CONTEXT),
            phones,
            lines: lines.into_iter().map(|line| (line.id.into_string(), line.name)).collect(),
        })
    }

    fn open_settings_ticket(&self, ticket: &str) -> Result<Ticket, SetupError> {
        let stale = || refused("the page is too old; open it again");
        let json = self.directory.vault().open(ticket, CONTEXT).map_err(|_| stale())?;
        let ticket: Ticket = serde_json::from_str(json.expose()).map_err(|_| stale())?;
        if ticket.until > self.clock.now() { Ok(ticket) } else { Err(stale()) }
    }
}

/// Whether a number is linked to this portal, or (to be linked) to none.
fn theirs(snapshot: &Snapshot, portal: &Portal, phone: &str, or_free: bool) -> Result<(), SetupError> {
    let phone = snapshot.phones.iter().find(|known| known.key.as_str() == phone);
    let phone = phone.ok_or_else(|| SetupError::field("phone_id", "is no phone"))?;
    match snapshot.binding_of_phone(&phone.key) {
        Some(binding) if binding.portal == portal.id => Ok(()),
        None if or_free => Ok(()),
        _ => Err(refused("the phone is not linked to this portal")),
    }
}
