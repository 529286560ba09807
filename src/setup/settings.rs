//! Our page inside the portal: its numbers, their lines, the SMS switch and calls, for its administrators.
//!
//! As the connector's page it bears a sealed ticket instead of a cookie: portal, user and the user's own
//! token, good for a quarter of an hour. With that token the user is asked for again before each change.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::calling::NewCalling;
use super::lines::NewLink;
use super::phones::PhoneChange;
use super::proof::{refused, stored_endpoint};
use super::{Setup, SetupError};
use crate::bitrix::page::PortalPage;
use crate::directory::{Portal, Snapshot};
use crate::domain::{Actor, PortalId, Secret};
use crate::store::calling::CallingRow;

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
    /// Names of the telephone systems that this bridge knows.
    pub trunks: Vec<String>,
    /// The name that Meta calls this bridge by, if it takes calls.
    pub sip_hostname: Option<String>,
}

/// A number on the page.
#[derive(Clone, Debug)]
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
    /// How its calls are set, if they ever were.
    pub calling: Option<CallingRow>,
}

/// What an administrator of the portal changes.
#[derive(Clone, Debug)]
pub enum SettingsChange {
    /// Links a number to a line; `None` = one of its own.
    Link(String, Option<String>),
    /// Unlinks a number.
    Unlink(String),
    /// Switches the SMS service of a number.
    Sms(String, bool),
    /// Writes the settings for calls of a number, unless they were changed since somebody saw them.
    Calling(String, Box<NewCalling>, Option<NaiveDateTime>),
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

    /// Makes a change, if the user of the ticket is still an administrator. The page that follows stands beside
    /// why the change was not made, where it can be mended on the page.
    pub async fn change_settings(
        &self,
        ticket: &str,
        change: SettingsChange,
    ) -> Result<(SettingsPage, Option<SetupError>), SetupError> {
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
        let done = own.make(&snapshot, portal, change).await;
        let wrong = match done {
            Ok(()) => None,
            Err(error @ (SetupError::Refused(_) | SetupError::NotFound(_) | SetupError::Store(_))) => {
                return Err(error);
            }
            Err(error) => Some(error),
        };
        Ok((self.settings_page(&self.directory.now(), portal, &ticket).await?, wrong))
    }

    /// The settings page for an administrator who was just asked for.
    pub(super) async fn settings_for(
        &self,
        portal: &Portal,
        user: &str,
        token: &Secret,
    ) -> Result<SettingsPage, SetupError> {
        let ticket = Ticket {
            portal: portal.id.to_string(),
            user: user.to_owned(),
            token: token.expose().to_owned(),
            until: self.clock.now() + TICKET_LIFE,
        };
        self.settings_page(&self.directory.now(), portal, &ticket).await
    }

    async fn make(
        &self,
        snapshot: &Snapshot,
        portal: &Portal,
        change: SettingsChange,
    ) -> Result<(), SetupError> {
        match change {
            SettingsChange::Link(phone, line) => {
                theirs(snapshot, portal, &phone, true)?;
                let new = NewLink {
                    phone_id: phone,
                    portal_id: portal.id.to_string(),
                    line_id: line,
                    replace: false,
                };
                self.link(new).await.map(drop)
            }
            SettingsChange::Unlink(phone) => {
                theirs(snapshot, portal, &phone, false)?;
                self.unlink(&phone).await
            }
            SettingsChange::Sms(phone, on) => {
                theirs(snapshot, portal, &phone, false)?;
                let change = PhoneChange { sms_service: Some(on), ..PhoneChange::default() };
                self.change_phone(&phone, change).await.map(drop)
            }
            SettingsChange::Calling(phone, mut new, seen) => {
                theirs(snapshot, portal, &phone, false)?;
                // Where there is one telephone system, nobody has to choose.
                if let ([only], None) = (self.config.sip.trunks.as_slice(), &new.trunk) {
                    new.trunk = Some(only.name.clone());
                }
                self.having_seen(seen).set_calling(&phone, *new).await.map(drop)
            }
        }
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
                    calling: snapshot.calling(&phone.key).map(|calling| calling.row.clone()),
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
            trunks: self.config.sip.trunks.iter().map(|trunk| trunk.name.clone()).collect(),
            sip_hostname: self.config.sip.hostname.clone(),
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
