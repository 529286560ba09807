//! The portal as an HTTP client: pulling the files that a connector names (bitrix24 facts §3.8).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, USER_AGENT};
use serde_json::{Value, json};

use super::Inner;
use super::state::LineFile;

/// Only the last characters of a name are kept.
const NAME_CHARS: usize = 50;

/// A client for loopback: no proxy, no trusted roots (the simulated world speaks plain HTTP).
pub(super) fn client(redirects: reqwest::redirect::Policy) -> io::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(redirects)
        .connect_timeout(Duration::from_secs(30))
        .timeout(Duration::from_secs(60))
        .build()
        .map_err(io::Error::other)
}

/// Pulls one file: GET without authentication, at most five redirects, must end in 200.
/// `None` = failed, which the portal tells nobody.
pub(super) async fn pull(inner: &Inner, url: &str, name: Option<&str>) -> Option<LineFile> {
    let answer = inner.puller.get(url).header(USER_AGENT, "Bitrix Connector Client").send().await;
    let (status, file) = match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let final_path = answer.url().path().to_owned();
            let headers = answer.headers().clone();
            let body = if status == 200 { answer.bytes().await.ok() } else { None };
            (Some(status), body.map(|bytes| file_of(inner, &headers, &final_path, name, &bytes)))
        }
        Err(_) => (None, None),
    };
    inner.observe(|| {
        json!({"kind": "pull", "status": status, "taken": file.is_some(),
               "name": file.as_ref().map(|file| file.name.as_str()), "bytes": file.as_ref().map(|f| f.size)})
    });
    file
}

fn file_of(inner: &Inner, headers: &HeaderMap, path: &str, name: Option<&str>, bytes: &[u8]) -> LineFile {
    let header =
        |which| headers.get(which).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
    let mime = header(CONTENT_TYPE).unwrap_or("application/octet-stream");
    let mime = mime.split(';').next().unwrap_or(mime).trim().to_ascii_lowercase();
    let given = name.filter(|name| !name.is_empty()).map(str::to_owned);
    let mut name = given
        .or_else(|| header(CONTENT_DISPOSITION).and_then(disposition_name))
        .unwrap_or_else(|| last_segment(path));
    if !name.contains('.')
        && let Some(extension) = extension_of(&mime)
    {
        name = format!("{name}.{extension}");
    }
    let kept: Arc<[u8]> = if inner.options.quiet { Arc::from([]) } else { Arc::from(bytes) };
    LineFile { name: shortened(&name), mime, size: bytes.len(), bytes: kept }
}

fn disposition_name(value: &str) -> Option<String> {
    if let Some((_, name)) = value.split_once("filename*=") {
        let name = name.rsplit("''").next().unwrap_or(name);
        let name = name.split(';').next().unwrap_or(name).trim();
        return Some(percent_decode_str(name).decode_utf8_lossy().into_owned());
    }
    let (_, name) = value.split_once("filename=")?;
    let name = name.split(';').next().unwrap_or(name).trim().trim_matches('"');
    (!name.is_empty()).then(|| name.to_owned())
}

fn last_segment(path: &str) -> String {
    let segment = path.rsplit('/').next().unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn shortened(name: &str) -> String {
    let skip = name.chars().count().saturating_sub(NAME_CHARS);
    name.chars().skip(skip).collect()
}

fn extension_of(mime: &str) -> Option<&'static str> {
    Some(match mime {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "video/mp4" => "mp4",
        "video/3gpp" => "3gp",
        "audio/ogg" => "ogg",
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        "audio/amr" => "amr",
        "audio/aac" => "aac",
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        _ => return None,
    })
}

/// The url of `files[i]` or of `picture`.
pub(super) fn url_of(value: &Value) -> Option<&str> {
    value.get("url").and_then(Value::as_str).filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_fifty_characters_of_a_name_are_kept() {
        let long = format!("{}.pdf", "я".repeat(80));
        let kept = shortened(&long);
        assert_eq!(kept.chars().count(), 50);
        assert!(kept.ends_with(".pdf"));
    }

    #[test]
    fn a_name_is_taken_from_content_disposition() {
        for (header, name) in [
            ("attachment; filename=\"a b.pdf\"; x=1", Some("a b.pdf")),
            ("attachment; filename*=utf-8''%D1%8F.pdf", Some("я.pdf")),
            ("inline", None),
        ] {
            assert_eq!(disposition_name(header).as_deref(), name);
        }
    }
}
