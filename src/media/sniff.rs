//! What a file is: by its bytes first, by what was declared second.
//!
//! Meta sniffs too and refuses a declared type that the bytes do not bear out (131053,
//! whatsapp-messaging facts §3.2), and what the portal shows inline must be what it says.

use super::name::extension_of;
use super::types::{extension_for, mime_for};

/// OGG with Opus, as Meta wants it named in an upload.
pub const OGG_OPUS: &str = "audio/ogg; codecs=opus";
/// Nothing better is known.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// The type of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileType {
    /// MIME type in lower case; without parameters, but for [`OGG_OPUS`].
    pub mime: String,
    /// The extension that its name should have, without the dot.
    pub extension: String,
}

impl FileType {
    /// A MIME type with its usual extension, or `fallback_extension`.
    pub fn new(mime: &str, fallback_extension: &str) -> Self {
        let extension = extension_for(mime).unwrap_or(fallback_extension);
        Self { mime: mime.to_owned(), extension: extension.to_owned() }
    }

    /// The MIME type without parameters.
    pub fn essence(&self) -> &str {
        strip(&self.mime)
    }
}

/// Types a file by its first bytes (8 KiB are enough), the declared MIME type and its name.
///
/// A declared type that bytes can prove (a JPEG, an MP4, a PDF) is not believed when they do not.
pub fn sniff(head: &[u8], declared_mime: Option<&str>, name: Option<&str>) -> FileType {
    let declared = declared_mime.map(|mime| canonical(strip(mime))).filter(|mime| is_mime(mime));
    let extension = name.and_then(extension_of);
    let by_name = extension.as_deref().and_then(mime_for);
    let claims = [declared.as_deref(), by_name];

    if let Some(mime) = by_container(head, claims).or_else(|| by_magic(head, claims)) {
        return FileType::new(&mime, extension.as_deref().unwrap_or("bin"));
    }
    if let Some(text) = by_text(head, claims) {
        let own = extension.filter(|own| mime_for(own).is_none_or(|mime| mime == text));
        return match own {
            Some(own) => FileType { mime: text, extension: own },
            None => FileType::new(&text, "txt"),
        };
    }
    let believed = claims.into_iter().flatten().find(|mime| !is_provable(mime) && *mime != OCTET_STREAM);
    let own = extension.unwrap_or_else(|| "bin".to_owned());
    match believed {
        Some(mime) => FileType::new(mime, &own),
        // Bytes that tell nothing keep the extension that they came with.
        None => FileType { mime: OCTET_STREAM.to_owned(), extension: own },
    }
}

fn strip(mime: &str) -> &str {
    mime.split(';').next().unwrap_or_default().trim()
}

fn canonical(mime: &str) -> String {
    let mime = mime.to_ascii_lowercase();
    let same = match mime.as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "audio/mp3" | "audio/x-mp3" | "audio/mpeg3" => "audio/mpeg",
        "audio/m4a" | "audio/x-m4a" => "audio/mp4",
        "audio/x-wav" | "audio/wave" => "audio/wav",
        "audio/x-aac" | "audio/aacp" => "audio/aac",
        "audio/opus" | "application/ogg" => "audio/ogg",
        "application/x-pdf" => "application/pdf",
        "application/x-zip-compressed" => "application/zip",
        _ => return mime,
    };
    same.to_owned()
}

fn is_mime(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 100 && text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// Containers of which the first bytes do not yet tell what is inside.
fn by_container(head: &[u8], claims: [Option<&str>; 2]) -> Option<String> {
    let mime = if head.starts_with(b"OggS") {
        ogg(head)
    } else if head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        matroska(head, claims)
    } else if head.get(4..8) == Some(b"ftyp") {
        iso_media(head, claims)?
    } else {
        return None;
    };
    Some(mime.to_owned())
}

fn ogg(head: &[u8]) -> &'static str {
    let segments = usize::from(head.get(26).copied().unwrap_or(0));
    let first_packet = head.get(27 + segments..).unwrap_or_default();
    if first_packet.starts_with(b"OpusHead") {
        OGG_OPUS
    } else if first_packet.starts_with(b"\x80theora") || first_packet.starts_with(b"fishead") {
        "video/ogg"
    } else {
        "audio/ogg"
    }
}

fn matroska(head: &[u8], claims: [Option<&str>; 2]) -> &'static str {
    // The element CodecID (0x86), its length in one byte, then `V_…` or `A_…`.
    let has = |kind: u8| head.windows(4).any(|w| matches!(w, [0x86, _, k, b'_'] if *k == kind));
    let audio = !has(b'V') && (has(b'A') || claims_kind(claims, "audio/"));
    let webm = head.get(..64).unwrap_or(head).windows(4).any(|w| w == b"webm");
    match (webm, audio) {
        (true, true) => "audio/webm",
        (true, false) => "video/webm",
        (false, true) => "audio/x-matroska",
        (false, false) => "video/x-matroska",
    }
}

fn iso_media(head: &[u8], claims: [Option<&str>; 2]) -> Option<&'static str> {
    let brand = head.get(8..12)?;
    // A handler box: `hdlr`, version and flags, four reserved bytes, then the kind of track.
    let has = |kind: &[u8]| {
        head.windows(16).any(|w| w.starts_with(b"hdlr") && w.get(12..).is_some_and(|rest| rest == kind))
    };
    let audio = !has(b"vide") && (has(b"soun") || claims_kind(claims, "audio/"));
    Some(match brand {
        b"M4A " | b"M4B " | b"M4P " => "audio/mp4",
        b"qt  " => "video/quicktime",
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => "image/heic",
        b"avif" | b"avis" => "image/avif",
        b"crx " => "image/x-canon-cr3",
        b"jp2 " => "image/jp2",
        [b'3', b'g', ..] if audio => "audio/3gpp",
        [b'3', b'g', ..] => "video/3gpp",
        _ if audio => "audio/mp4",
        _ => "video/mp4",
    })
}

fn claims_kind(claims: [Option<&str>; 2], kind: &str) -> bool {
    claims.into_iter().flatten().next().is_some_and(|mime| mime.starts_with(kind))
}

fn by_magic(head: &[u8], claims: [Option<&str>; 2]) -> Option<String> {
    if let Some(mime) = mpeg_audio(head) {
        return Some(mime.to_owned());
    }
    if head.starts_with(b"#!AMR") {
        let narrow = head.starts_with(b"#!AMR\n");
        return Some(if narrow { "audio/amr" } else { "audio/amr-wb" }.to_owned());
    }
    let found = infer::get(head)?.mime_type();
    let mime = match found {
        "audio/x-flac" => "audio/flac",
        "audio/m4a" => "audio/mp4",
        "image/heif" => "image/heic",
        // Two weak marks of `infer`; text of its own kind is judged by `by_text`.
        "video/quicktime" if head.get(4..8) != Some(b"moov") && head.get(4..8) != Some(b"mdat") => {
            return None;
        }
        "application/octet-stream" | "text/html" | "text/xml" | "text/x-shellscript" => return None,
        _ => return Some(within(canonical(found), claims)),
    };
    Some(mime.to_owned())
}

/// Office files are archives: which kind is told by the claim when the archive's start does not.
fn within(found: String, claims: [Option<&str>; 2]) -> String {
    let archive = match found.as_str() {
        "application/zip" => ZIP_BASED,
        "application/x-ole-storage"
        | "application/msword"
        | "application/vnd.ms-excel"
        | "application/vnd.ms-powerpoint" => OLE_BASED,
        _ => return found,
    };
    let claimed = claims.into_iter().flatten().find(|mime| archive.iter().any(|part| mime.contains(part)));
    claimed.map_or(found, str::to_owned)
}

/// MP3 by ID3 tag or frame header, AAC by ADTS header (`infer` knows only the commonest of them).
fn mpeg_audio(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"ID3") {
        return Some("audio/mpeg");
    }
    let [0xFF, second, third, ..] = *head else { return None };
    let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
    let (bitrate, rate) = (third >> 4, (third >> 2) & 3);
    match (second & 0xE0, layer) {
        (0xE0, 0) if second & 0xF0 == 0xF0 && (third >> 2) & 0xF < 13 => Some("audio/aac"),
        (0xE0, 1) if version != 1 && bitrate != 0xF && rate != 3 => Some("audio/mpeg"),
        _ => None,
    }
}

fn by_text(head: &[u8], claims: [Option<&str>; 2]) -> Option<String> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let claimed = claims.into_iter().flatten().find(|mime| is_text(mime));
    if head.is_empty() || !is_readable(head, claimed.is_some()) {
        return None;
    }
    let start = String::from_utf8_lossy(head.get(..1024).unwrap_or(head)).trim_start().to_ascii_lowercase();
    let marked = start.starts_with('<');
    if marked && start.contains("<svg") {
        return Some("image/svg+xml".to_owned());
    }
    let html = ["<!doctype html", "<html", "<head", "<body", "<script", "<iframe", "<div", "<table"];
    if html.iter().any(|tag| start.starts_with(tag)) || (marked && start.contains("<html")) {
        return Some("text/html".to_owned());
    }
    if start.starts_with("<?xml") {
        return Some("text/xml".to_owned());
    }
    let plain = claimed.filter(|mime| !matches!(*mime, "text/html" | "image/svg+xml" | "text/xml"));
    Some(plain.unwrap_or("text/plain").to_owned())
}

fn is_text(mime: &str) -> bool {
    mime.starts_with("text/")
        || matches!(mime, "application/json" | "application/xml" | "image/svg+xml" | "application/rtf")
}

/// UTF-8 (perhaps cut in the last character) without control bytes; other encodings if text was claimed.
fn is_readable(head: &[u8], claimed: bool) -> bool {
    let utf16 = head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]);
    if utf16 {
        return claimed;
    }
    let control = |b: &u8| (*b < 0x20 && !b"\t\n\r\x0c\x1b".contains(b)) || *b == 0x7F;
    if head.iter().any(control) {
        return false;
    }
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => claimed || (error.error_len().is_none() && error.valid_up_to() > 0),
    }
}

/// Whether the bytes of such a file would have shown it.
fn is_provable(mime: &str) -> bool {
    PROVABLE.contains(&mime)
        || ZIP_BASED.iter().chain(OLE_BASED).any(|part| mime.contains(part))
        || is_text(mime)
}

const PROVABLE: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/heic",
    "image/avif",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "audio/amr",
    "audio/aac",
    "audio/wav",
    "audio/flac",
    "audio/webm",
    "video/mp4",
    "video/3gpp",
    "video/webm",
    "video/quicktime",
    "video/x-matroska",
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/vnd.rar",
    "application/x-7z-compressed",
];
const ZIP_BASED: &[&str] = &[
    "openxmlformats",
    "oasis.opendocument",
    "epub+zip",
    "android.package-archive",
    "java-archive",
    "macroenabled",
];
const OLE_BASED: &[&str] = &["msword", "ms-excel", "ms-powerpoint", "ms-outlook"];

#[cfg(test)]
mod tests;
