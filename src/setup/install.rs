//! Our application comes to a portal, is updated there, and goes.
//!
//! Both ways in end here: the event of an application without pages, and the page that an administrator's
//! browser opens. What is posted is a [`Claim`]; it changes nothing until it is proven.

use chrono::TimeDelta;
use url::Url;

use super::doctor::Scope;
use super::proof::refused;
use super::{Proven, Setup, SetupError};
use crate::bitrix::event::{EventAuth, EventBody, PortalEvent};
use crate::bitrix::page::PortalPage;
use crate::bitrix::users::AppInfoGet;
use crate::clock::new_id;
use crate::directory::{Portal, context};
use crate::domain::{MemberId, PortalId, Secret};
use crate::secrets::random_token;
use crate::store::lines;
use crate::store::portals::{self, PortalRow};

/// What a POST says of itself.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The portal's key.
    pub member_id: MemberId,
    /// The OAuth server's REST address; empty = any of the list.
    pub server_endpoint: String,
    /// Of the user behind the POST.
    pub access_token: Secret,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// Of the same user; may be empty.
    pub refresh_token: Secret,
    /// What events will bear.
    pub application_token: Option<Secret>,
    /// Granted scopes, comma separated.
    pub scope: Option<String>,
    /// Language of portal or user.
    pub language: Option<String>,
}

impl Claim {
    /// The claim of an event; `None` if it lacks the portal or a token.
    pub fn of_event(event: &PortalEvent) -> Option<Self> {
        let EventAuth { member_id, access_token, refresh_token, application_token, .. } = &event.auth;
        let language = match &event.body {
            EventBody::Install { language, .. } | EventBody::Update { language, .. } => language.clone(),
            _ => None,
        };
        Some(Self {
            member_id: member_id.clone()?,
            server_endpoint: event.auth.server_endpoint.clone().unwrap_or_default(),
            access_token: access_token.clone()?,
            expires_in: event.auth.expires_in.unwrap_or(3600),
            refresh_token: refresh_token.clone().unwrap_or_default(),
            application_token: application_token.clone(),
            scope: event.auth.scope.clone(),
            language,
        })
    }

    /// The claim of a page in the portal's iframe.
    pub fn of_page(page: &PortalPage) -> Self {
        Self {
            member_id: page.member_id.clone(),
            server_endpoint: page.server_endpoint.clone(),
            access_token: page.auth_id.clone(),
            expires_in: page.auth_expires,
            refresh_token: page.refresh_id.clone(),
            application_token: page.application_token.clone(),
            scope: page.scope.clone(),
            language: Some(page.lang.clone()).filter(|lang| !lang.is_empty()),
        }
    }
}

/// What came of opening the application.
#[derive(Clone, Debug)]
pub enum Opened {
    /// The portal is installed, or was before.
    Installed {
        /// Our id of it.
        portal: PortalId,
        /// The portal still waits for the page to say that it is finished. Said twice, it would open the
        /// page again and again.
        finish: bool,
    },
    /// The user is no administrator, and the portal is installed already.
    Visitor(PortalId),
}

impl Setup {
    /// Installs on the portal of a claim: proven, by an administrator, stored, set up. A repeat renews what
    /// is stored. If the portal is stored but its set-up fails, it stays `installing` with the reason, and
    /// [`Setup::check_portals`] goes on with it.
    pub async fn install(&self, claim: Claim) -> Result<PortalId, SetupError> {
        let proven = self.prove(&claim).await?;
        self.install_proven(claim, proven).await
    }

    /// The application was opened in the portal: an administrator installs it unless it runs already,
    /// anybody else is told how it stands.
    pub async fn open(&self, claim: Claim, reinstall: bool) -> Result<Opened, SetupError> {
        let proven = self.prove(&claim).await?;
        let snapshot = self.directory.now();
        let known = snapshot.portal_by_member(&claim.member_id);
        let runs = known.filter(|portal| portal.row.status == "active" && portal.broken.is_none());
        match runs {
            Some(portal) if !proven.user.admin => Ok(Opened::Visitor(portal.id.clone())),
            Some(portal) if !reinstall && portal.portal_app_id == proven.app.id => {
                self.opened(portal.id.clone()).await
            }
            _ => self.opened(self.install_proven(claim, proven).await?).await,
        }
    }

    async fn opened(&self, portal: PortalId) -> Result<Opened, SetupError> {
        let finish = !self.gateway.call(&portal, &AppInfoGet).await?.installed;
        Ok(Opened::Installed { portal, finish })
    }

    /// The application was updated: handlers may be gone, and there may be a new application_token.
    pub async fn update(&self, event: &PortalEvent) -> Result<(), SetupError> {
        match Claim::of_event(event).filter(|claim| !claim.refresh_token.is_empty()) {
            Some(claim) => self.install(claim).await.map(drop),
            None => {
                let portal = self.trusted_portal(&event.auth).await?;
                self.set_up(&portal.id).await
            }
        }
    }

    /// The application was removed: all work for the portal stops and its tokens are dropped. Links to
    /// lines wait for a new installation, unless the data is to be wiped.
    pub async fn uninstall(&self, portal: &Portal, clean: bool) -> Result<(), SetupError> {
        let vault = self.directory.vault();
        let access = vault.seal(&Secret::default(), context::PORTAL_ACCESS);
        let refresh = vault.seal(&Secret::default(), context::PORTAL_REFRESH);
        if clean {
            self.unlink_all(&portal.id).await?;
        }
        self.edit_portal(&portal.id, move |row| {
            row.status = "uninstalled".to_owned();
            row.status_reason = Some("the application was removed from the portal".to_owned());
            row.access_token_sealed = access.clone();
            row.refresh_token_sealed = refresh.clone();
        })
        .await?;
        tracing::info!(portal.id = %portal.id, clean, "the application was removed from the portal");
        self.check_later(Scope::Portal(portal.id.to_string()));
        Ok(())
    }

    async fn install_proven(&self, claim: Claim, proven: Proven) -> Result<PortalId, SetupError> {
        if !proven.user.admin {
            return Err(refused("only an administrator of the portal can install the application"));
        }
        if proven.refresh_token.is_empty() {
            return Err(refused("the installation brings no refresh token"));
        }
        let _one_at_a_time = self.gate(&claim.member_id).lock_owned().await;
        let id = self.store_portal(claim, proven).await?;
        tracing::info!(portal.id = %id, "the application is installed on the portal");
        let outcome = self.sequence(&id).await;
        self.check_later(Scope::Portal(id.to_string()));
        outcome.map(|()| id)
    }

    async fn store_portal(&self, claim: Claim, proven: Proven) -> Result<PortalId, SetupError> {
        let vault = self.directory.vault();
        let (now, member_id) = (self.clock.now(), claim.member_id.to_string());
        let fresh = PortalRow {
            id: new_id(),
            member_id: member_id.clone(),
            portal_app_id: proven.app.id.to_string(),
            domain: host_of(&proven.endpoint),
            client_endpoint: proven.endpoint.to_string(),
            server_endpoint: proven.server.to_string(),
            access_token_sealed: vault.seal(&proven.access_token, context::PORTAL_ACCESS),
            access_expires_at: (now + TimeDelta::seconds(proven.expires_in.clamp(0, 86_400))).naive_utc(),
            refresh_token_sealed: vault.seal(&proven.refresh_token, context::PORTAL_REFRESH),
            application_token_sealed: claim
                .application_token
                .filter(|token| !token.is_empty())
                .map(|token| vault.seal(&token, context::APPLICATION_TOKEN)),
            sms_secret_sealed: vault.seal(&Secret::new(random_token(32)), context::SMS_SECRET),
            user_id: proven.user.id,
            scopes: proven.scope.unwrap_or_default(),
            status: "installing".to_owned(),
            status_reason: None,
            language: claim.language.unwrap_or_else(|| "en".to_owned()),
            default_country: None,
            region: None,
            alarm_user_id: None,
            created_at: now.naive_utc(),
            updated_at: now.naive_utc(),
        };
        let keep_sms_secret = {
            let snapshot = self.directory.now();
            snapshot.portal_by_member(&claim.member_id).is_some_and(|portal| !portal.sms_secret.is_empty())
        };
        let id = self
            .db
            .write(move |tx| {
                let Some(known) = portals::by_member_id(tx.conn, &member_id)? else {
                    portals::insert(tx.conn, &fresh)?;
                    return Ok(fresh.id.clone());
                };
                let mut row = PortalRow {
                    id: known.id,
                    default_country: known.default_country,
                    region: known.region,
                    alarm_user_id: known.alarm_user_id,
                    created_at: known.created_at,
                    ..fresh.clone()
                };
                if keep_sms_secret {
                    row.sms_secret_sealed = known.sms_secret_sealed;
                }
                // Older portals do not tell it: the one that is known holds for the same application.
                if row.application_token_sealed.is_none() && row.portal_app_id == known.portal_app_id {
                    row.application_token_sealed = known.application_token_sealed;
                }
                portals::update(tx.conn, &row)?;
                Ok(row.id)
            })
            .await?;
        self.directory.reload().await?;
        Ok(PortalId::new(id))
    }

    async fn unlink_all(&self, portal: &PortalId) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        let phones: Vec<String> = snapshot
            .bindings
            .iter()
            .filter(|binding| binding.portal == *portal)
            .map(|binding| binding.phone.to_string())
            .collect();
        self.db
            .write(move |tx| {
                phones.iter().try_for_each(|phone| lines::unbind_phone(tx.conn, phone).map(drop))
            })
            .await?;
        Ok(())
    }
}

/// Host, and port where it is not the usual one.
fn host_of(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
