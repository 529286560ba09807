//! `Content-Disposition`, written and read (RFC 6266, RFC 5987).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Everything but the characters that need no escape in a path segment and in `filename*`.
pub const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const INLINE_IMAGES: &[&str] =
    &["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "image/heic"];

/// The header for a file: `inline` only for raster images, audio, video and PDF, else `attachment`.
pub fn content_disposition(mime: &str, name: &str) -> String {
    let essence = mime.split(';').next().unwrap_or_default().trim();
    let inline = INLINE_IMAGES.contains(&essence)
        || essence.starts_with("audio/")
        || essence.starts_with("video/")
        || essence == "application/pdf";
    let kind = if inline { "inline" } else { "attachment" };
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(name, STRICT);
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

/// The file name in a header's value: `filename*` first, then `filename`, quoted or not, percent-encoded
/// or raw UTF-8. Not yet safe: pass it through [`super::name::safe_name`].
pub fn disposition_name(value: &[u8]) -> Option<String> {
    let value = String::from_utf8_lossy(value);
    let (mut plain, mut extended) = (None, None);
    for (key, value) in parameters(&value) {
        match key.as_str() {
            "filename*" => extended = extended.or_else(|| decode_extended(&value)),
            "filename" => plain = plain.or(Some(value)),
            _ => {}
        }
    }
    extended.or(plain.map(|name| decode_plain(&name))).filter(|name| !name.trim().is_empty())
}

fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?.trim();
    let _language = parts.next()?;
    let bytes: Vec<u8> = percent_decode(parts.next()?.as_bytes()).collect();
    if charset.eq_ignore_ascii_case("utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.into_iter().map(char::from).collect())
    } else {
        None
    }
}

/// Some servers percent-encode the plain parameter too.
fn decode_plain(name: &str) -> String {
    let decoded = percent_decode(name.as_bytes()).decode_utf8();
    match decoded {
        Ok(decoded) if name.contains('%') && decoded.chars().all(|c| !c.is_control()) => decoded.into_owned(),
        _ => name.to_owned(),
    }
}

/// `key=value` pairs after the kind; a quoted value may hold `;` and escaped quotes.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches(|c: char| c == ';' || c.is_whitespace()).to_ascii_lowercase();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        found.push((key, value));
        rest = next;
    }
    found
}

fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_sound_video_and_pdf_are_inline() {
        for mime in ["image/jpeg", "audio/ogg; codecs=opus", "video/mp4", "application/pdf"] {
            assert!(content_disposition(mime, "a").starts_with("inline;"), "{mime}");
        }
        for mime in ["image/svg+xml", "text/html", "text/plain", "application/octet-stream", ""] {
            assert!(content_disposition(mime, "a").starts_with("attachment;"), "{mime}");
        }
    }

    #[test]
    fn a_name_survives_in_every_alphabet_and_cannot_break_the_header() {
        assert_eq!(
            content_disposition("text/plain", "Счёт \"5\"\r\n.txt"),
            "attachment; filename=\"____ _5___.txt\"; \
             filename*=UTF-8''%D0%A1%D1%87%D1%91%D1%82%20%225%22%0D%0A.txt"
        );
        let name = "Ünïcode; a=\"b\".pdf";
        let header = content_disposition("application/pdf", name);
        assert_eq!(disposition_name(header.as_bytes()).as_deref(), Some(name));
    }

    #[test]
    fn names_of_other_servers_are_read() {
        for (header, expected) in [
            ("attachment; filename=plain.txt", Some("plain.txt")),
            ("attachment; filename=\"a;b.txt\"; size=3", Some("a;b.txt")),
            ("attachment; FileName=\"q\\\"q.txt\"", Some("q\"q.txt")),
            ("attachment; filename=\"x.txt\"; filename*=utf-8''%D0%B0.txt", Some("а.txt")),
            ("attachment; filename*=iso-8859-1'en'%E9.txt", Some("é.txt")),
            ("attachment; filename*=koi8-r''%C1; filename=b.txt", Some("b.txt")),
            ("attachment; filename=\"%D0%B0.txt\"", Some("а.txt")),
            ("attachment; filename=\"100%.txt\"", Some("100%.txt")),
            ("inline; filename=\"отчёт.pdf\"", Some("отчёт.pdf")),
            ("attachment; filename=\"unclosed", Some("unclosed")),
            ("attachment; filename=\"\"", None),
            ("attachment", None),
            ("", None),
        ] {
            assert_eq!(disposition_name(header.as_bytes()).as_deref(), expected, "{header}");
        }
    }
}
