//! Media: upload, address, download, delete, and which file may be what (whatsapp facts §3).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::customer::SimMedia;
use super::errors::GraphError;
use super::faults::take;
use super::raw::hmac_hex;
use super::server::{Call, Reply};
use super::tokens::authorize;
use super::{SimCloud, multipart};

const KB: usize = 1024;
const MB: usize = 1024 * KB;
/// Types that an upload takes (facts §3.2); documents of other types see [`accepted_type`].
const LISTED: [&str; 18] = [
    "audio/aac",
    "audio/amr",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "image/jpeg",
    "image/png",
    "image/webp",
    "video/mp4",
    "video/3gpp",
    "text/plain",
    "application/pdf",
    "application/msword",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
];

/// One file of one business number.
pub(super) struct Stored {
    pub phone_number_id: String,
    pub mime: String,
    pub filename: Option<String>,
    pub bytes: Bytes,
    sha256: [u8; 32],
    until: DateTime<Utc>,
    /// Whether the bytes are what `mime` says.
    honest: bool,
}

impl Stored {
    /// A customer's file: its id works for seven days.
    pub fn inbound(phone_number_id: &str, media: &SimMedia, now: DateTime<Utc>) -> Self {
        let until = now + TimeDelta::days(7);
        Self::new(phone_number_id, &media.mime, media.filename.clone(), media.bytes.clone(), until)
    }

    fn new(phone: &str, mime: &str, filename: Option<String>, bytes: Bytes, until: DateTime<Utc>) -> Self {
        Self {
            phone_number_id: phone.to_owned(),
            mime: mime.to_owned(),
            filename,
            sha256: Sha256::digest(&bytes).into(),
            honest: is_honest(essence(mime), &bytes),
            bytes,
            until,
        }
    }

    pub fn sha256_base64(&self) -> String {
        STANDARD.encode(self.sha256)
    }

    /// Whether this number may send or read it now.
    pub fn usable(&self, phone_number_id: &str, now: DateTime<Utc>) -> bool {
        self.phone_number_id == phone_number_id && now < self.until
    }
}

/// `POST /{phone}/media`
pub(super) fn upload(cloud: &SimCloud, call: &Call, phone_id: &str) -> Result<Reply, GraphError> {
    let (strict_documents, strict_sizes) = {
        let faults = &mut cloud.state().faults;
        if take(&mut faults.upload_fail_next) {
            return Err(GraphError::coded(131_000, "Something went wrong."));
        }
        if faults.upload_refused {
            return Err(wrong_type());
        }
        (faults.strict_documents, faults.strict_sizes)
    };
    let parts = multipart::parse(&call.content_type, &call.body)
        .ok_or_else(|| GraphError::parameter("The body must be multipart/form-data."))?;
    let text = |name: &str| {
        let part = parts.iter().find(|part| part.name == name)?;
        std::str::from_utf8(&part.bytes).ok().map(str::trim)
    };
    if text("messaging_product") != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    let file = parts
        .iter()
        .find(|part| part.name == "file" && part.filename.is_some())
        .ok_or_else(|| GraphError::parameter("The parameter file is required."))?;
    let mime = text("type")
        .or(file.content_type.as_deref())
        .filter(|mime| !mime.is_empty())
        .ok_or_else(|| GraphError::parameter("The parameter type is required."))?;
    let essence = essence(mime);
    accepted_type(essence, strict_documents)?;
    let most = if strict_sizes { limit(kind_of(essence)) } else { 100 * MB };
    if file.bytes.is_empty() || file.bytes.len() > most {
        return Err(GraphError::parameter(format_args!(
            "Param file must not be empty and at most {most} bytes."
        )));
    }
    let mut state = cloud.state();
    let until = state.now(cloud.clock()) + TimeDelta::days(30);
    let id = state.rng.object_id();
    if !cloud.inner.options.quiet {
        let stored = Stored::new(phone_id, mime, file.filename.clone(), file.bytes.clone(), until);
        state.media.insert(id.clone(), stored);
    } else {
        let honest = Stored::new(phone_id, mime, None, Bytes::new(), until);
        state.media.insert(id.clone(), Stored { honest: true, ..honest });
    }
    Ok(Reply::ok(json!({ "id": id })))
}

/// `GET /{media-id}`: where it can be fetched for five minutes.
pub(super) fn lookup(cloud: &SimCloud, call: &Call, id: &str) -> Result<Reply, GraphError> {
    let state = cloud.state();
    let now = state.now(cloud.clock());
    let media = state.media.get(id).filter(|media| {
        let phone = call.query.get("phone_number_id").unwrap_or(&media.phone_number_id);
        !state.faults.media_unknown && media.usable(phone, now)
    });
    let media = media.ok_or_else(|| GraphError::no_object("get", id))?;
    Ok(Reply::ok(json!({
        "messaging_product": "whatsapp",
        "url": cloud.media_url(id, "getMedia", now),
        "mime_type": media.mime,
        "sha256": hex::encode(media.sha256),
        "file_size": media.bytes.len().to_string(),
        "id": id,
    })))
}

/// `DELETE /{media-id}`
pub(super) fn delete(cloud: &SimCloud, call: &Call, id: &str) -> Result<Reply, GraphError> {
    let mut state = cloud.state();
    let now = state.now(cloud.clock());
    let there = state.media.get(id).is_some_and(|media| {
        media.usable(call.query.get("phone_number_id").unwrap_or(&media.phone_number_id), now)
    });
    if !there {
        return Err(GraphError::no_object("delete", id));
    }
    state.media.remove(id);
    Ok(Reply::ok(json!({"success": true})))
}

/// The bytes. Without a good token, a client name, or after five minutes: 404.
pub(super) async fn download(cloud: &SimCloud, call: &Call) -> Reply {
    let (bytes, mime, slow, cut) = {
        let mut state = cloud.state();
        let id = call.query.get("mid").cloned().unwrap_or_default();
        let now = state.now(cloud.clock());
        let expiry = call.query.get("ext").map(String::as_str).unwrap_or_default();
        let fresh = expiry.parse::<i64>().is_ok_and(|until| now.timestamp() <= until);
        let signed = call.query.get("hash") == Some(&cloud.media_hash(&id, expiry));
        let allowed = authorize(&state, call).is_ok() && call.user_agent && fresh && signed;
        let found = state.media.get(&id).filter(|_| allowed && !state.faults.media_missing);
        let Some((bytes, mime)) = found.map(|media| (media.bytes.clone(), media.mime.clone())) else {
            return Reply::Other(HttpResponse::NotFound().finish());
        };
        let faults = &mut state.faults;
        if take(&mut faults.media_fail_next) {
            return Reply::Other(HttpResponse::InternalServerError().finish());
        }
        (bytes, mime, Duration::from_millis(faults.media_slow_ms), take(&mut faults.media_cut_next))
    };
    let length = bytes.len() as u64;
    let mut answer = HttpResponse::Ok();
    answer.content_type(mime);
    if slow.is_zero() && !cut {
        return Reply::Other(answer.body(bytes));
    }
    let half = bytes.len() / 2;
    let body = stream::unfold(0_u8, move |step| {
        let bytes = bytes.clone();
        async move {
            match step {
                0 => Some((Ok::<_, std::io::Error>(bytes.slice(..half)), 1)),
                1 => {
                    tokio::time::sleep(slow).await;
                    let broken = std::io::Error::other("cut by a fault");
                    Some((if cut { Err(broken) } else { Ok(bytes.slice(half..)) }, 2))
                }
                _ => None,
            }
        }
    });
    Reply::Other(answer.body(SizedStream::new(length, body)))
}

impl SimCloud {
    pub(super) fn media_url(&self, id: &str, source: &str, now: DateTime<Utc>) -> String {
        let expiry = (now + TimeDelta::minutes(5)).timestamp().to_string();
        let hash = self.media_hash(id, &expiry);
        let base = self.url();
        format!("{base}/whatsapp_business/attachments/?mid={id}&source={source}&ext={expiry}&hash={hash}")
    }

    fn media_hash(&self, id: &str, expiry: &str) -> String {
        hmac_hex(&self.inner.media_key, format!("{id} {expiry}").as_bytes())
    }
}

/// Why a file cannot go out as this kind; it then ends in 131053.
pub(super) fn refusal(kind: &str, voice: bool, media: &Stored) -> Option<&'static str> {
    let essence = essence(&media.mime);
    if !media.honest {
        return Some("the bytes are not what the type says");
    }
    let fits = match kind {
        "image" => matches!(essence, "image/jpeg" | "image/png"),
        "video" => matches!(essence, "video/mp4" | "video/3gpp"),
        "audio" => essence.starts_with("audio/") && (!voice || essence == "audio/ogg"),
        "sticker" => essence == "image/webp",
        _ => true,
    };
    if !fits {
        return Some("the type does not fit the kind of message");
    }
    let most = match kind {
        "sticker" if !is_animated(&media.bytes) => 100 * KB,
        other => limit(other),
    };
    (media.bytes.len() > most).then_some("too large")
}

fn limit(kind: &str) -> usize {
    match kind {
        "image" => 5 * MB,
        "audio" | "video" => 16 * MB,
        "sticker" => 500 * KB,
        _ => 100 * MB,
    }
}

fn kind_of(essence: &str) -> &str {
    match essence.split('/').next() {
        _ if essence == "image/webp" => "sticker",
        Some(kind @ ("image" | "audio" | "video")) => kind,
        _ => "document",
    }
}

fn accepted_type(essence: &str, strict: bool) -> Result<(), GraphError> {
    if LISTED.contains(&essence) {
        return Ok(());
    }
    match kind_of(essence) {
        "audio" => Err(GraphError::parameter(format_args!(
            "Unsupported Audio mime type {essence}. Please use one of audio/ogg; codecs=opus, audio/mpeg, \
             audio/amr, audio/mp4, audio/aac."
        ))),
        // Users report other documents going out; the published list does not have them.
        "document" if !strict => Ok(()),
        _ => Err(wrong_type()),
    }
}

fn wrong_type() -> GraphError {
    GraphError::parameter(format_args!(
        "Param file must be a file with one of the following types: {}.",
        LISTED.join(", ")
    ))
}

/// A MIME type without its parameters.
fn essence(mime: &str) -> &str {
    mime.split(';').next().unwrap_or_default().trim()
}

/// Whether content and declared type agree, as far as content shows (facts §3.2).
fn is_honest(declared: &str, bytes: &[u8]) -> bool {
    let found = infer::get(bytes).map(|kind| kind.mime_type());
    match declared {
        "audio/mp4" => matches!(found, Some("audio/m4a" | "video/mp4" | "video/x-m4v" | "audio/mp4")),
        // OPUS alone, and mono: the channel count stands nine bytes after `OpusHead`.
        "audio/ogg" => found == Some("audio/opus") && bytes.get(37) == Some(&1),
        "audio/mpeg" => found == Some(declared) || is_mpeg_frame(bytes),
        "audio/aac" | "audio/amr" | "image/jpeg" | "image/png" | "image/webp" | "application/pdf" => {
            found == Some(declared)
        }
        "video/mp4" => matches!(found, Some("video/mp4" | "video/x-m4v")),
        "video/3gpp" => bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..10) == Some(b"3g"),
        "text/plain" => found.is_none_or(|kind| kind.starts_with("text/")) && !bytes.contains(&0),
        _ => !found.is_some_and(|kind| {
            kind.starts_with("image/") || kind.starts_with("audio/") || kind.starts_with("video/")
        }),
    }
}

/// The sync word of an MPEG audio frame whose layer is set (ADTS leaves it 0).
fn is_mpeg_frame(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0)
}

/// An animated WebP has the animation bit in its extended header.
fn is_animated(bytes: &[u8]) -> bool {
    bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opus(channels: u8) -> Vec<u8> {
        let mut bytes = b"OggS".to_vec();
        bytes.resize(28, 0);
        bytes.extend_from_slice(b"OpusHead\x01");
        bytes.push(channels);
        bytes
    }

    #[test]
    fn content_decides_whether_the_type_is_true() {
        let png = b"\x89PNG\r\n\x1a\n0000".to_vec();
        let jpeg = b"\xff\xd8\xff\xe0".to_vec();
        for (declared, bytes, honest) in [
            ("image/png", png.clone(), true),
            ("image/jpeg", png.clone(), false),
            ("image/jpeg", jpeg.clone(), true),
            ("application/octet-stream", jpeg, false),
            ("application/zip", b"PK\x03\x04".to_vec(), true),
            ("audio/ogg", opus(1), true),
            ("audio/ogg", opus(2), false),
            ("audio/ogg", b"OggS".to_vec(), false),
            ("text/plain", b"hello".to_vec(), true),
            ("text/plain", b"a\0b".to_vec(), false),
            ("video/3gpp", b"\0\0\0\x14ftyp3gp5".to_vec(), true),
        ] {
            assert_eq!(is_honest(declared, &bytes), honest, "{declared}");
        }
    }

    #[test]
    fn a_kind_takes_its_types_and_sizes() {
        let stored = |mime: &str, size: usize| {
            let mut stored = Stored::new("p", mime, None, Bytes::from(vec![0; size]), DateTime::UNIX_EPOCH);
            stored.honest = true;
            stored
        };
        for (kind, voice, mime, size, refused) in [
            ("image", false, "image/jpeg", 5 * MB, false),
            ("image", false, "image/jpeg", 5 * MB + 1, true),
            ("document", false, "image/jpeg", 5 * MB + 1, false),
            ("image", false, "image/webp", 10, true),
            ("sticker", false, "image/webp", 100 * KB + 1, true),
            ("audio", true, "audio/mpeg", 10, true),
            ("audio", true, "audio/ogg; codecs=opus", 10, false),
            ("video", false, "audio/mpeg", 10, true),
        ] {
            assert_eq!(refusal(kind, voice, &stored(mime, size)).is_some(), refused, "{kind} {mime} {size}");
        }
    }
}
