//! Just enough of multipart/form-data (RFC 7578) to take an upload.

use actix_web::web::Bytes;
use memchr::memmem;

/// One part of a form.
pub(super) struct Part {
    pub name: String,
    pub filename: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Bytes,
}

/// Splits a body; `None` if it is not a well-formed form.
pub(super) fn parse(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let (essence, _) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(content_type, "boundary")?;
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let first = delimiter.get(2..)?;
    if !body.starts_with(first.as_bytes()) {
        return None;
    }
    let mut parts = Vec::new();
    let mut at = first.len();
    loop {
        let rest = body.get(at..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let rest = rest.strip_prefix(b"\r\n")?;
        let start = at + 2;
        let end = start + finder.find(rest)?;
        parts.push(part(&body.slice(start..end))?);
        at = end + delimiter.len();
    }
}

fn part(raw: &Bytes) -> Option<Part> {
    let split = memmem::find(raw, b"\r\n\r\n")?;
    let head = std::str::from_utf8(raw.get(..split)?).ok()?;
    let mut part =
        Part { name: String::new(), filename: None, content_type: None, bytes: raw.slice(split + 4..) };
    for line in head.split("\r\n") {
        let (key, value) = line.split_once(':')?;
        if key.eq_ignore_ascii_case("content-disposition") {
            part.name = parameter(value, "name")?;
            part.filename = parameter(value, "filename");
        } else if key.eq_ignore_ascii_case("content-type") {
            part.content_type = Some(value.trim().to_owned());
        }
    }
    Some(part)
}

/// A parameter of a header value, quoted or not. Values with a `;` in quotes are read whole.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value;
    while let Some(at) = rest.find(';') {
        rest = rest.get(at + 1..)?.trim_start();
        let Some((key, tail)) = rest.split_once('=') else { continue };
        let found = key.trim().eq_ignore_ascii_case(name);
        if let Some(quoted) = tail.strip_prefix('"') {
            let mut text = String::new();
            let mut escaped = false;
            let mut after = quoted.len();
            for (index, c) in quoted.char_indices() {
                match c {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        after = index + 1;
                        break;
                    }
                    _ => {
                        escaped = false;
                        text.push(c);
                    }
                }
            }
            if found {
                return Some(text);
            }
            rest = quoted.get(after..)?;
        } else {
            let text = tail.split(';').next()?.trim();
            if found {
                return Some(text.to_owned());
            }
            rest = tail;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_split_into_its_parts() {
        let body = Bytes::from_static(
            b"--X\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\ntext/plain\r\n--X\r\n\
              Content-Disposition: form-data; name=\"file\"; filename=\"a; \\\"b.txt\"\r\nContent-Type: text/plain\r\n\r\n\
              one\r\n--\r\ntwo\r\n--X--\r\n",
        );
        let parts = parse("multipart/form-data; boundary=X", &body).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].name.as_str(), &parts[0].bytes[..]), ("type", &b"text/plain"[..]));
        assert_eq!(parts[1].filename.as_deref(), Some("a; \"b.txt"));
        assert_eq!(&parts[1].bytes[..], b"one\r\n--\r\ntwo");
    }

    #[test]
    fn what_is_not_a_form_is_none() {
        for (kind, body) in [
            ("application/json", "{}"),
            ("multipart/form-data", "--X--"),
            ("multipart/form-data; boundary=X", "no"),
            ("multipart/form-data; boundary=X", "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx"),
        ] {
            assert!(parse(kind, &Bytes::from_static(body.as_bytes())).is_none(), "{kind} {body}");
        }
    }
}
