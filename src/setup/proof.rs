//! Who stands behind what a portal posts. Nothing in it is signed: its token is shown to an OAuth server of
//! the allow-list, and nobody else is called before that server has named one of our applications
//! (bitrix24 facts §2.2, §2.4). The portal's address is the one that the server names.

use std::sync::PoisonError;

use url::Url;

use super::install::Claim;
use super::{Setup, SetupError};
use crate::bitrix::method::Method as _;
use crate::bitrix::oauth::{self, AppInfo};
use crate::bitrix::users::{Profile, ProfileGet};
use crate::directory::{Portal, PortalApp};
use crate::domain::{MemberId, Secret};

/// What is true of a claim.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The application that the token belongs to.
    pub app: PortalApp,
    /// The OAuth server's REST address.
    pub server: Url,
    /// The portal's REST address.
    pub endpoint: Url,
    /// For calls.
    pub access_token: Secret,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// For the next refresh; may be empty.
    pub refresh_token: Secret,
    /// Granted scopes, comma separated.
    pub scope: Option<String>,
    /// The token's user.
    pub user: Profile,
}

impl Setup {
    /// Proves a claim, or says why it is not believed.
    pub(super) async fn prove(&self, claim: &Claim) -> Result<Proven, SetupError> {
        let (server, info, app) =
            self.ask_servers(&claim.server_endpoint, &claim.access_token, &claim.member_id).await?;
        let mut access_token = claim.access_token.clone();
        let mut refresh_token = claim.refresh_token.clone();
        let mut expires_in = claim.expires_in;
        let mut scope = info.scope.or_else(|| claim.scope.clone());
        let endpoint = match (info.client_endpoint, info.member_id) {
            (Some(endpoint), Some(_)) => endpoint,
            // The server does not say whose token it is; what it answers to a refresh always does.
            _ => {
                if refresh_token.is_empty() {
                    return Err(refused("the OAuth server does not name the portal of this token"));
                }
                let tokens = oauth::refresh(
                    self.gateway.rest(),
                    &server,
                    &app.client_id,
                    &app.client_secret,
                    &refresh_token,
                )
                .await?;
                if tokens.member_id != claim.member_id {
                    return Err(refused("the token belongs to another portal"));
                }
                (access_token, refresh_token) = (tokens.access_token, tokens.refresh_token);
                expires_in = tokens.expires_in;
                scope = tokens.scope.or(scope);
                tokens.client_endpoint
            }
        };
        if endpoint.scheme() != "https" && !self.config.outbound.allow_private_networks {
            return Err(refused("the portal's address is no https"));
        }
        let user = self.profile_at(&endpoint, &access_token).await?;
        Ok(Proven { app, server, endpoint, access_token, expires_in, refresh_token, scope, user })
    }

    /// Whether a token is one of this portal and its application; asked before an unknown
    /// `application_token` is pinned.
    pub(super) async fn token_is_of(
        &self,
        portal: &Portal,
        server_endpoint: &str,
        token: &Secret,
    ) -> Result<bool, SetupError> {
        let (_, info, app) = self.ask_servers(server_endpoint, token, &portal.member_id).await?;
        if app.id != portal.portal_app_id {
            return Ok(false);
        }
        if info.member_id.is_some() {
            return Ok(true);
        }
        // The server does not say which portal: only that portal takes the token.
        let endpoint = stored_endpoint(portal)?;
        Ok(self.profile_at(&endpoint, token).await.is_ok())
    }

    /// The user of a token at the portal's own address.
    pub(super) async fn profile_at(&self, endpoint: &Url, token: &Secret) -> Result<Profile, SetupError> {
        let params = ProfileGet.params();
        let outcome = self.gateway.rest().call(endpoint, token, ProfileGet::NAME, &params).await;
        Ok(ProfileGet.settle(outcome)?)
    }

    /// Whose token it is, if claims that nothing proves have not been too many lately.
    async fn ask_servers(
        &self,
        server_endpoint: &str,
        token: &Secret,
        member_id: &MemberId,
    ) -> Result<(Url, AppInfo, PortalApp), SetupError> {
        let known = self.directory.now().portal_by_member(member_id).is_some();
        let who = if known { member_id.as_str() } else { "" };
        let budget = || self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if !budget().take(who, self.clock.now()) {
            return Err(SetupError::TooMany(
                "too many claims that nothing proves were posted; try again in a minute".to_owned(),
            ));
        }
        let (server, info) = self.ask_server(server_endpoint, token).await?;
        let app = self.named_app(&info, member_id)?;
        budget().give_back(who);
        Ok((server, info, app))
    }

    async fn ask_server(&self, server_endpoint: &str, token: &Secret) -> Result<(Url, AppInfo), SetupError> {
        let servers = if server_endpoint.trim().is_empty() {
            self.gateway.servers().all()
        } else {
            let server = self.gateway.servers().check(server_endpoint);
            vec![
                server
                    .ok_or_else(|| refused("the OAuth server is not on the list of bitrix.oauth_servers"))?,
            ]
        };
        let mut failure = refused("no OAuth server is configured");
        for server in servers {
            match oauth::app_info(self.gateway.rest(), &server, token).await {
                Ok(info) => return Ok((server, info)),
                Err(error) if error.code().is_empty() => failure = error.into(),
                Err(error) => {
                    tracing::debug!(error = %error, "the OAuth server does not know a posted token");
                    failure = refused("the OAuth server does not know this token");
                }
            }
        }
        Err(failure)
    }

    fn named_app(&self, info: &AppInfo, member_id: &MemberId) -> Result<PortalApp, SetupError> {
        if info.member_id.as_ref().is_some_and(|named| named != member_id) {
            return Err(refused("the token belongs to another portal"));
        }
        let snapshot = self.directory.now();
        let app = info
            .client_id
            .as_ref()
            .and_then(|client_id| snapshot.portal_apps.iter().find(|app| app.client_id == *client_id));
        app.cloned().ok_or_else(|| {
            refused(
                "the token belongs to no application that is set up here; add it with its client id first",
            )
        })
    }
}

/// The address at which the portal was proven to be.
pub(super) fn stored_endpoint(portal: &Portal) -> Result<Url, SetupError> {
    Url::parse(&portal.row.client_endpoint)
        .map_err(|_| SetupError::Conflict("the portal's stored address is no URL; install again".to_owned()))
}

pub(super) fn refused(why: &str) -> SetupError {
    SetupError::Refused(why.to_owned())
}
