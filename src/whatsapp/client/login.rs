//! Facebook's login by hand (whatsapp-messaging facts §7.3): a code becomes a token, that one a long-lived one.

use serde::Deserialize;

use super::{CALL_TIMEOUT, GraphClient};
use crate::domain::Secret;
use crate::whatsapp::error::GraphError;

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
}

impl GraphClient {
    /// Exchanges the code of a login, which works once; `redirect_uri` must be the very one of the dialog.
    pub async fn exchange_code(
        &self,
        client_id: &str,
        client_secret: &Secret,
        redirect_uri: &str,
        code: &Secret,
    ) -> Result<Secret, GraphError> {
        let query = [("redirect_uri", redirect_uri), ("code", code.expose())];
        self.token(client_id, client_secret, &query, code).await
    }

    /// Exchanges a user's token of an hour or two for one of about 60 days.
    pub async fn long_lived(
        &self,
        client_id: &str,
        client_secret: &Secret,
        token: &Secret,
    ) -> Result<Secret, GraphError> {
        let query = [("grant_type", "fb_exchange_token"), ("fb_exchange_token", token.expose())];
        self.token(client_id, client_secret, &query, token).await
    }

    async fn token(
        &self,
        client_id: &str,
        client_secret: &Secret,
        query: &[(&str, &str)],
        secret: &Secret,
    ) -> Result<Secret, GraphError> {
        let address = self.address(&["oauth", "access_token"])?;
        let own = [("client_id", client_id), ("client_secret", client_secret.expose())];
        let request = self.http.get(address).query(&own).query(query).timeout(CALL_TIMEOUT);
        let answer: Result<TokenAnswer, _> = self.answer(request, secret).await;
        Ok(answer.map_err(|error| error.without(client_secret))?.access_token)
    }
}
