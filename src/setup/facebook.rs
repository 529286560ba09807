//! “Connect with Facebook”: the token of an app comes from Facebook's login instead of being pasted.
//!
//! What was typed waits here for Facebook's answer, for ten minutes and in memory alone. The `state` that
//! comes back is 256 random bits, good once, and only in the session that began.

use std::collections::HashMap;
use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::apps::{AppChange, NewApp};
use super::proof::refused;
use super::validate::{self, Faults};
use super::{Setup, SetupError};
use crate::domain::Secret;
use crate::secrets::random_token;
use crate::store::apps::AppRow;

const DIALOG: &str = "https://www.facebook.com/";
const SCOPES: &str = "business_management,whatsapp_business_management,whatsapp_business_messaging";
const LIFE: TimeDelta = TimeDelta::minutes(10);
/// Logins that wait at once; the oldest gives way.
const MOST: usize = 100;

/// Logins that wait for Facebook.
#[derive(Debug, Default)]
pub(super) struct Logins(HashMap<String, Pending>);

#[derive(Clone, Debug)]
struct Pending {
    what: LoginFor,
    session: String,
    until: DateTime<Utc>,
}

/// What the token is for.
#[derive(Clone, Debug)]
pub enum LoginFor {
    /// An app to be set up; its token is not looked at.
    New(Box<NewApp>),
    /// An app that exists, by our id.
    App(String),
}

/// What a login brought.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The app, with its new token.
    pub app: AppRow,
    /// Meta's ids of the accounts that the token is good for.
    pub wabas: Vec<String>,
}

impl Setup {
    /// Where Facebook sends people back to; must be listed among the “Valid OAuth Redirect URIs”.
    pub fn facebook_redirect(&self) -> Url {
        self.public("/facebook/")
    }

    /// The address of Facebook's dialog, for this session.
    pub async fn begin_facebook(&self, session: &str, what: LoginFor) -> Result<Url, SetupError> {
        let (client_id, version) = match &what {
            LoginFor::New(new) => {
                let mut faults = Faults::default();
                faults.check("name", validate::text(&new.name, 100));
                faults.check("site", validate::site(&new.site));
                let client_id = faults.check("client_id", validate::cloud_id(&new.client_id));
                faults.check("client_secret", validate::secret(new.client_secret.expose()));
                faults.done()?;
                (client_id, new.graph_version.clone())
            }
            LoginFor::App(id) => {
                let row = self.app(id).await?;
                (row.client_id, row.graph_version)
            }
        };
        let version = version.unwrap_or_else(|| self.config.meta.graph_version.clone());
        let (state, now) = (random_token(32), self.clock.now());
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.0.retain(|_, pending| pending.until > now);
        if logins.0.len() >= MOST {
            let oldest = logins.0.iter().min_by_key(|(_, pending)| pending.until).map(|(key, _)| key.clone());
            oldest.map(|key| logins.0.remove(&key));
        }
        logins.0.insert(state.clone(), Pending { what, session: session.to_owned(), until: now + LIFE });
        drop(logins);
        let mut dialog = Url::parse(DIALOG).map_err(|_| refused("Facebook's address is no URL"))?;
        dialog.set_path(&format!("/{version}/dialog/oauth"));
        dialog
            .query_pairs_mut()
            .append_pair("client_id", &client_id)
            .append_pair("redirect_uri", self.facebook_redirect().as_str())
            .append_pair("state", &state)
            .append_pair("response_type", "code")
            .append_pair("scope", SCOPES);
        Ok(dialog)
    }

    /// Facebook has sent the administrator back: the code becomes the app's token.
    pub async fn finish_facebook(
        &self,
        session: &str,
        state: &str,
        code: &Secret,
    ) -> Result<Connected, SetupError> {
        let now = self.clock.now();
        let pending = {
            let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
            logins.0.remove(state).filter(|pending| pending.session == session && pending.until > now)
        };
        let pending =
            pending.ok_or_else(|| refused("this answer of Facebook was not asked for, or too long ago"))?;
        let (client_id, secret, version) = self.login_keys(&pending.what)?;
        let graph = self.graph_at(version.as_deref());
        let redirect = self.facebook_redirect();
        let exchanged = graph.exchange_code(&client_id, &secret, redirect.as_str(), code).await;
        let short = self.counted("exchange_code", exchanged)?;
        let token = self.counted("long_lived", graph.long_lived(&client_id, &secret, &short).await)?;
        let told = self.counted("debug_token", graph.debug_token(&client_id, &secret, &token).await)?;
        let mut wabas: Vec<String> = told
            .granular_scopes
            .into_iter()
            .filter(|scope| scope.scope.starts_with("whatsapp_business"))
            .flat_map(|scope| scope.target_ids.unwrap_or_default())
            .collect();
        wabas.sort_unstable();
        wabas.dedup();
        let app = match pending.what {
            LoginFor::New(new) => self.create_app(NewApp { access_token: token, ..*new }).await?.0,
            LoginFor::App(id) => {
                let change = AppChange { access_token: Some(token), ..AppChange::default() };
                self.change_app(&id, change).await?
            }
        };
        Ok(Connected { app, wabas })
    }

    fn login_keys(&self, what: &LoginFor) -> Result<(String, Secret, Option<String>), SetupError> {
        match what {
            LoginFor::New(new) => Ok((
                new.client_id.trim().to_owned(),
                Secret::new(new.client_secret.expose().trim()),
                new.graph_version.clone(),
            )),
            LoginFor::App(id) => {
                let snapshot = self.directory.now();
                let app = snapshot.apps.iter().find(|app| app.id.as_str() == id);
                let app = app.ok_or(SetupError::NotFound("app"))?;
                let secret = app.secrets.first().cloned().ok_or_else(|| {
                    SetupError::field("client_secret", "must be entered again: it is broken")
                })?;
                Ok((app.client_id.clone(), secret, app.graph_version.clone()))
            }
        }
    }
}
