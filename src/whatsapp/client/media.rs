//! Files: address, download, upload (whatsapp-messaging facts §3.1).

use std::path::Path;

use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::fs::File;
use url::Url;

use super::transport::accepted;
use super::{FILE_TIMEOUT, GraphClient};
use crate::domain::{MediaId, PhoneNumberId, Secret};
use crate::whatsapp::error::GraphError;

/// Redirects that a download follows.
const MAX_REDIRECTS: usize = 5;

/// What Meta says of a media file. The address lives five minutes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaInfo {
    /// Where to fetch it, with the token: a secret, never logged.
    pub url: Url,
    /// Declared type, perhaps with parameters (`audio/ogg; codecs=opus`).
    pub mime: String,
    /// Hexadecimal here (base64 in webhooks).
    pub sha256: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
}

/// A file to upload.
#[derive(Clone, Copy, Debug)]
pub struct UploadFile<'a> {
    /// Where it lies.
    pub path: &'a Path,
    /// What its bytes are; Meta looks for itself (131053).
    pub mime: &'a str,
    /// Its name. What the person sees is the name in the message, not this one.
    pub filename: &'a str,
}

#[derive(Deserialize)]
struct InfoWire {
    url: Url,
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    file_size: Value,
}

#[derive(Deserialize)]
struct Uploaded {
    id: String,
}

impl GraphClient {
    /// Where a media file can be fetched for the next five minutes. `phone` makes Meta check that the file
    /// belongs to it.
    pub async fn media_url(
        &self,
        token: &Secret,
        media: &MediaId,
        phone: Option<&PhoneNumberId>,
    ) -> Result<MediaInfo, GraphError> {
        let mut request = self.call(Method::GET, token, &[media.as_str()])?;
        if let Some(phone) = phone {
            request = request.query(&[("phone_number_id", phone.as_str())]);
        }
        let wire: InfoWire = self.answer(request, token).await?;
        Ok(MediaInfo {
            url: wire.url,
            mime: wire.mime_type,
            sha256: wire.sha256.filter(|text| !text.is_empty()),
            size: wire.file_size.as_u64().or_else(|| wire.file_size.as_str()?.parse().ok()),
        })
    }

    /// Fetches a media file; the body is still to be read, with a limit of the caller's.
    ///
    /// The token goes to `allowed_hosts` (a host, or `.domain` for all below it; only by https) and to the
    /// host of the Graph API; the first address must be one of those. Redirects to other hosts are followed
    /// without the token.
    ///
    /// # Errors
    /// A 404 means that the address has run out: ask for a new one.
    pub async fn download(
        &self,
        token: &Secret,
        url: &Url,
        allowed_hosts: &[String],
    ) -> Result<Response, GraphError> {
        if !self.may_see_token(url, allowed_hosts) {
            return Err(forbidden(url));
        }
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.http.get(url.clone()).timeout(FILE_TIMEOUT);
            if self.may_see_token(&url, allowed_hosts) {
                request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
            }
            let response = request.send().await.map_err(GraphError::transport)?;
            if !response.status().is_redirection() {
                return accepted(response, token).await;
            }
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = target.and_then(|target| url.join(target).ok()).ok_or(GraphError::Address)?;
            if url.scheme() != "https" && url.scheme() != self.base.scheme() {
                return Err(forbidden(&url));
            }
        }
        Err(GraphError::TooManyRedirects)
    }

    /// Uploads a file, streamed from the disk; the id is good for 30 days and for this phone only.
    pub async fn upload(
        &self,
        token: &Secret,
        phone: &PhoneNumberId,
        file: UploadFile<'_>,
    ) -> Result<MediaId, GraphError> {
        let opened = File::open(file.path).await.map_err(GraphError::File)?;
        let length = opened.metadata().await.map_err(GraphError::File)?.len();
        let part = Part::stream_with_length(Body::from(opened), length)
            .file_name(plain_name(file.filename))
            .mime_str(file.mime)
            .map_err(GraphError::transport)?;
        let form = Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", file.mime.to_owned())
            .part("file", part);
        let request = self.call(Method::POST, token, &[phone.as_str(), "media"])?;
        let request = request.timeout(FILE_TIMEOUT).multipart(form);
        let uploaded: Uploaded = self.answer(request, token).await?;
        Ok(MediaId::new(uploaded.id))
    }

    fn may_see_token(&self, url: &Url, allowed_hosts: &[String]) -> bool {
        let Some(host) = url.host_str() else { return false };
        if self.base.host_str() == Some(host) && self.base.scheme() == url.scheme() {
            return true;
        }
        url.scheme() == "https" && allowed_hosts.iter().any(|allowed| matches_host(allowed, host))
    }
}

fn matches_host(allowed: &str, host: &str) -> bool {
    let allowed = allowed.trim().to_ascii_lowercase();
    match allowed.strip_prefix('.') {
        Some("") => false,
        Some(_) => host.ends_with(&allowed),
        None => !allowed.is_empty() && host == allowed,
    }
}

fn forbidden(url: &Url) -> GraphError {
    GraphError::ForbiddenHost { host: url.host_str().unwrap_or("no host").to_owned() }
}

/// The upload's own name in plain ASCII: other letters would go out in a form (`filename*`) that not every
/// reader of multipart knows.
fn plain_name(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .collect();
    // The end bears the extension.
    let tail = plain.len().saturating_sub(100);
    match plain.get(tail..).unwrap_or_default() {
        "" => "file".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_exactly_or_below_a_dotted_domain() {
        let cases = [
            (".fbsbx.com", "lookaside.fbsbx.com", true),
            (".fbsbx.com", "evilfbsbx.com", false),
            (".fbsbx.com", "fbsbx.com.evil.example", false),
            ("scontent.whatsapp.net", "scontent.whatsapp.net", true),
            ("whatsapp.net", "scontent.whatsapp.net", false),
            (".FBSBX.com", "lookaside.fbsbx.com", true),
            (".", "evil.example.", false),
            ("", "", false),
        ];
        for (allowed, host, expected) in cases {
            assert_eq!(matches_host(allowed, host), expected, "{allowed} {host}");
        }
    }

    #[test]
    fn names_of_uploads_are_plain() {
        assert_eq!(plain_name("offer.pdf"), "offer.pdf");
        assert_eq!(plain_name("Счёт \"1\".pdf"), "______1_.pdf");
        assert_eq!(plain_name(""), "file");
        assert!(plain_name(&format!("{}.pdf", "x".repeat(300))).ends_with("x.pdf"));
    }
}
