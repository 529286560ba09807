//! Tokens and the OAuth server (bitrix24 facts §2.4).

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Inner;
use super::rest::text;
use super::state::{Refresh, State, Token};

/// Life of an access token, in seconds.
pub(super) const ACCESS_S: i64 = 3_600;
/// Life of a refresh token, in days.
const REFRESH_DAYS: i64 = 180;
/// A token for events is reused while it lasts at least so long, in seconds.
const EVENT_TOKEN_LEFT_S: i64 = 1_800;

/// A pair for one user of one application.
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) expires: DateTime<Utc>,
}

pub(super) fn secret() -> String {
    format!(
        "{}{}",
        Uuid::new_v4().simple(),
        &Uuid::new_v4().simple().to_string().get(..18).unwrap_or_default()
    )
}

impl State {
    /// A new pair; the old ones stay as they are.
    pub(super) fn issue_pair(&mut self, now: DateTime<Utc>, client_id: &str, user_id: u64) -> Pair {
        let (access, expires) = self.issue_access(now, client_id, user_id);
        let refresh = secret();
        let row = Refresh {
            client_id: client_id.to_owned(),
            user_id,
            expires: now + Duration::days(REFRESH_DAYS),
            replaced: None,
        };
        self.refresh.insert(refresh.clone(), row);
        Pair { access, refresh, expires }
    }

    /// The token that events in the name of this user carry.
    pub(super) fn event_token(
        &mut self,
        now: DateTime<Utc>,
        client_id: &str,
        user: u64,
    ) -> (String, DateTime<Utc>) {
        let key = (client_id.to_owned(), user);
        if let Some(access) = self.event_tokens.get(&key)
            && let Some(token) = self.tokens.get(access)
            && token.expires > now + Duration::seconds(EVENT_TOKEN_LEFT_S)
        {
            return (access.clone(), token.expires);
        }
        let (access, expires) = self.issue_access(now, client_id, user);
        self.event_tokens.insert(key, access.clone());
        (access, expires)
    }

    fn issue_access(&mut self, now: DateTime<Utc>, client_id: &str, user_id: u64) -> (String, DateTime<Utc>) {
        let expires = now + Duration::seconds(ACCESS_S);
        let access = secret();
        self.tokens.insert(access.clone(), Token { client_id: client_id.to_owned(), user_id, expires });
        (access, expires)
    }
}

/// `/oauth/token/` with `grant_type=refresh_token`, by GET or POST: a flat answer without `result`.
pub(super) fn token(inner: &Inner, parameters: &Map<String, Value>) -> (u16, Value) {
    let answer = refresh(inner, parameters);
    let outcome = answer.as_ref().map_or_else(|(status, error)| (*status, Some(*error)), |_| (200, None));
    inner.note_call("oauth.token", json!({"status": outcome.0, "error": outcome.1}));
    match answer {
        Ok(body) => (200, body),
        // The server often gives no description.
        Err((status, error)) => (status, json!({"error": error})),
    }
}

fn refresh(inner: &Inner, parameters: &Map<String, Value>) -> Result<Value, (u16, &'static str)> {
    let get = |key: &str| parameters.get(key).and_then(text).unwrap_or_default();
    if get("grant_type") != "refresh_token" {
        return Err((400, "invalid_request"));
    }
    let now = inner.options.clock.now();
    let mut state = inner.state();
    if state.faults.wrong_client {
        return Err((200, "wrong_client"));
    }
    if state.faults.refresh_refused {
        return Err((400, "invalid_grant"));
    }
    let client_id = get("client_id");
    let app = state.apps.get(&client_id).ok_or((200, "wrong_client"))?;
    if app.client_secret != get("client_secret") {
        return Err((401, "invalid_client"));
    }
    if !app.installed {
        return Err((401, "NOT_INSTALLED"));
    }
    let scope = app.scopes.join(",");
    let grace = Duration::from_std(inner.options.refresh_grace).unwrap_or_default();
    let row = state.refresh.get_mut(&get("refresh_token")).ok_or((400, "invalid_grant"))?;
    let good = row.client_id == client_id
        && row.expires > now
        && row.replaced.is_none_or(|replaced| now < replaced + grace);
    if !good {
        return Err((400, "invalid_grant"));
    }
    row.replaced.get_or_insert(now);
    let user_id = row.user_id;
    let pair = state.issue_pair(now, &client_id, user_id);
    Ok(json!({
        "access_token": pair.access, "refresh_token": pair.refresh,
        "expires": pair.expires.timestamp(), "expires_in": ACCESS_S, "scope": scope,
        "domain": inner.oauth_host(), "server_endpoint": inner.server_endpoint(),
        "client_endpoint": format!("{}/rest/", inner.url(&state)),
        "member_id": inner.options.member_id, "status": "L", "user_id": user_id,
    }))
}

/// `/rest/app.info` of the OAuth server: whose token this is.
pub(super) fn app_info(
    inner: &Inner,
    bearer: Option<String>,
    parameters: &Map<String, Value>,
) -> (u16, Value) {
    let token = bearer
        .or_else(|| ["auth", "access_token"].into_iter().find_map(|key| parameters.get(key).and_then(text)));
    let answer = describe(inner, &token.unwrap_or_default());
    let error = answer.as_ref().err().copied();
    inner.note_call(
        "oauth.app.info",
        json!({"status": if error.is_some() { 401 } else { 200 }, "error": error}),
    );
    match answer {
        Ok(result) => (200, result),
        Err(error) => (401, json!({"error": error})),
    }
}

fn describe(inner: &Inner, token: &str) -> Result<Value, &'static str> {
    let now = inner.options.clock.now();
    let state = inner.state();
    let token = state.tokens.get(token).ok_or("invalid_token")?;
    if token.expires <= now {
        return Err("expired_token");
    }
    let app = state.apps.get(&token.client_id).filter(|app| app.installed).ok_or("NOT_INSTALLED")?;
    let scope = app.scopes.join(",");
    Ok(json!({"result": {
        "client_id": token.client_id, "user_id": token.user_id, "scope": scope,
        "expires": token.expires.timestamp(), "member_id": inner.options.member_id,
        "install": {
            "installed": app.finished, "version": "1", "status": "L", "scope": scope,
            "domain": state.domain, "uri": inner.url(&state),
            "client_endpoint": format!("{}/rest/", inner.url(&state)),
            "member_id": inner.options.member_id, "member_type": "",
        },
    }}))
}

impl Inner {
    pub(super) fn oauth_host(&self) -> &str {
        self.oauth_url.strip_prefix("http://").unwrap_or(&self.oauth_url)
    }

    /// `http://OAUTH/rest/`
    pub(super) fn server_endpoint(&self) -> String {
        format!("{}/rest/", self.oauth_url)
    }
}
