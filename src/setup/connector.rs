//! The connector's settings inside the portal: an administrator picks a phone for a line (bitrix24 facts §3.9).
//!
//! What the page posts back bears a sealed ticket: portal, line, user and the user's own token, good for a
//! quarter of an hour. With that token the user is asked for again before anything changes.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::lines::NewLink;
use super::proof::{refused, stored_endpoint};
use super::settings::SettingsPage;
use super::{Setup, SetupError};
use crate::bitrix::page::PortalPage;
use crate::directory::{Portal, Snapshot};
use crate::domain::{Actor, LineId, PortalId, Secret};

const CONTEXT: &str = "pages.connector";
const TICKET_LIFE: TimeDelta = TimeDelta::minutes(15);

/// What the page shows.
#[derive(Clone, Debug)]
pub struct ConnectorPage {
    /// The portal's origin, which alone may frame the page.
    pub origin: String,
    /// The line.
    pub line: LineId,
    /// Goes into the page's form.
    pub ticket: String,
    /// Every phone set up here.
    pub phones: Vec<PhoneChoice>,
    /// The portal's numbers with their other settings.
    pub settings: SettingsPage,
}

/// A phone to pick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneChoice {
    /// Our id.
    pub id: String,
    /// Number and name.
    pub label: String,
    /// Where it is linked.
    pub place: Place,
}

/// Where a phone is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Free,
    /// To the line of the page.
    Here,
    /// To another line of the same portal.
    OtherLine(String),
    /// To another portal, from where it is not taken.
    OtherPortal,
}

#[derive(Serialize, Deserialize)]
struct Ticket {
    portal: String,
    line: String,
    user: String,
    token: String,
    until: DateTime<Utc>,
}

impl Setup {
    /// The page for the administrator who opened it.
    pub async fn open_connector(&self, page: &PortalPage) -> Result<ConnectorPage, SetupError> {
        let options = page.connector_options().ok_or_else(|| refused("the portal names no line"))?;
        if !options.connector.eq_ignore_ascii_case(&self.config.bitrix.connector_code) {
            return Err(refused("the page was opened for another connector"));
        }
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
            return Err(refused("only an administrator of the portal can link phones"));
        }
        let ticket = Ticket {
            portal: portal.id.to_string(),
            line: options.line.to_string(),
            user: user.id,
            token: page.auth_id.expose().to_owned(),
            until: self.clock.now() + TICKET_LIFE,
        };
        self.page_of(&snapshot, portal, &ticket).await
    }

    /// Links the phone that was picked, if the user of the ticket is still an administrator.
    pub async fn pick_phone(&self, ticket: &str, phone_id: &str) -> Result<ConnectorPage, SetupError> {
        let ticket = self.open_ticket(ticket)?;
        let snapshot = self.directory.now();
        let portal =
            snapshot.portal(&PortalId::from(ticket.portal.as_str())).filter(|portal| portal.is_active());
        let portal = portal.ok_or_else(|| refused("the application is not installed on this portal"))?;
        let token = Secret::from(ticket.token.as_str());
        let user = self.profile_at(&stored_endpoint(portal)?, &token).await?;
        if !user.admin || user.id != ticket.user {
            return Err(refused("only an administrator of the portal can link phones"));
        }
        let phone = snapshot.phones.iter().find(|phone| phone.key.as_str() == phone_id);
        let phone = phone.ok_or_else(|| SetupError::field("phone_id", "is no phone"))?;
        if snapshot.binding_of_phone(&phone.key).is_some_and(|binding| binding.portal != portal.id) {
            return Err(SetupError::Conflict("the phone is linked to another portal".to_owned()));
        }
        let own = self.on_behalf(Actor::PortalUser(format!("{}@{}", user.id, portal.row.domain)));
        own.link(NewLink {
            phone_id: phone_id.to_owned(),
            portal_id: ticket.portal.clone(),
            line_id: Some(ticket.line.clone()),
            replace: true,
        })
        .await?;
        self.page_of(&self.directory.now(), portal, &ticket).await
    }

    async fn page_of(
        &self,
        snapshot: &Snapshot,
        portal: &Portal,
        ticket: &Ticket,
    ) -> Result<ConnectorPage, SetupError> {
        let line = LineId::from(ticket.line.as_str());
        let place = |phone: &crate::directory::Phone| match snapshot.binding_of_phone(&phone.key) {
            None => Place::Free,
            Some(binding) if binding.portal != portal.id => Place::OtherPortal,
            Some(binding) if binding.line == line => Place::Here,
            Some(binding) => Place::OtherLine(binding.line_name.clone()),
        };
        let phones = snapshot
            .phones
            .iter()
            .map(|phone| PhoneChoice {
                id: phone.key.to_string(),
                label: format!("+{} {}", phone.number, phone.row.display_name).trim().to_owned(),
                place: place(phone),
            })
            .collect();
        // A ticket is plain data with text keys: writing it as JSON cannot fail.
        let json = Secret::new(serde_json::to_string(ticket).unwrap_or_default());
        Ok(ConnectorPage {
            origin: stored_endpoint(portal)?.origin().ascii_serialization(),
            line,
            ticket: self.directory.vault().seal(&json, CONTEXT),
            phones,
            settings: self.settings_for(portal, &ticket.user, &Secret::from(ticket.token.as_str())).await?,
        })
    }

    fn open_ticket(&self, ticket: &str) -> Result<Ticket, SetupError> {
        let stale = || refused("the page is too old; open it again");
        let json = self.directory.vault().open(ticket, CONTEXT).map_err(|_| stale())?;
        let ticket: Ticket = serde_json::from_str(json.expose()).map_err(|_| stale())?;
        if ticket.until > self.clock.now() { Ok(ticket) } else { Err(stale()) }
    }
}
