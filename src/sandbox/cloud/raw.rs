//! The bytes of a notification as Meta writes them, and their signature (whatsapp facts §1.2).

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

/// JSON in pure ASCII: lower-case `\uXXXX` for all else and for `@ < %`, and `\/`.
pub(super) fn meta_json(value: &Value) -> String {
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 8);
    for c in plain.chars() {
        match c {
            // None of these stands outside a string in JSON, so it can be replaced where it is.
            '/' => out.push_str("\\/"),
            '@' | '<' | '%' => escape(&mut out, c),
            c if c.is_ascii() => out.push(c),
            c => escape(&mut out, c),
        }
    }
    out
}

fn escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// `sha256=<64 lower hex>` over exactly these bytes.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac_hex(secret.as_bytes(), body))
}

/// Lower hex of HMAC-SHA256.
pub(super) fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    // A key of any length is taken, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(message);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn signatures_match_the_published_vectors() {
        for (body, expected) in [
            (
                r#"{"object":"whatsapp_business_account","entry":[]}"#,
                "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
            ),
            (
                r#"{"a":"\u00e4\/x"}"#,
                "sha256=99ea06e1859ee33b2092c0376433d94cad658a76941ab66b6369dcb241e406a3",
            ),
        ] {
            assert_eq!(signature("test_app_secret", body.as_bytes()), expected);
        }
    }

    #[test]
    fn text_goes_out_escaped_and_means_the_same() {
        let value = json!({"a": "ä/x", "b": "я 😀 \" \\ \n <b>@5%"});
        let raw = meta_json(&value);
        assert_eq!(meta_json(&json!({"a": "ä/x"})), r#"{"a":"\u00e4\/x"}"#);
        assert!(raw.is_ascii());
        assert!(raw.contains(r"\u044f \ud83d\ude00"), "{raw}");
        assert!(raw.contains(r"\u003cb>\u00405\u0025"), "{raw}");
        assert_eq!(serde_json::from_str::<Value>(&raw).unwrap(), value);
    }
}
