//! File names that are safe to store, to send and to put into a header.

use super::types::mime_for;

/// The longest name in bytes: file systems end at 255, and the portal may put something in front.
pub const MAX_NAME_BYTES: usize = 240;
/// The portal keeps only so many characters, the last ones (bitrix24 facts §3.8).
pub const PORTAL_NAME_CHARS: usize = 50;

/// Makes a name safe: no folders, no control or reserved characters, no text direction tricks; Unicode
/// letters stay; the extension is the one of the content; at most [`MAX_NAME_BYTES`].
pub fn safe_name(name: Option<&str>, fallback_stem: &str, extension: &str) -> String {
    let name = clean(name.unwrap_or_default());
    let (stem, had) = match name.rsplit_once('.') {
        Some((stem, had)) if is_plain_extension(had) => (stem, Some(had)),
        _ => (name.as_str(), None),
    };
    let (stem, extension) = match had {
        Some(had) if same_kind(had, extension) => (stem, had),
        // Another known extension is wrong and goes; `v2` in `report.v2` is part of the name.
        Some(had) if mime_for(&had.to_ascii_lowercase()).is_some() => (stem, extension),
        _ => (name.as_str(), extension),
    };
    let stem = stem.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let stem = if stem.is_empty() { fallback_stem } else { stem };
    let room = MAX_NAME_BYTES.saturating_sub(extension.len() + 1);
    format!("{}.{extension}", cut_bytes(stem, room).trim_end())
}

/// Shortens a safe name so that the portal, which keeps the last [`PORTAL_NAME_CHARS`] characters, shows
/// its beginning.
pub fn portal_name(name: &str) -> String {
    if name.chars().count() <= PORTAL_NAME_CHARS {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if is_plain_extension(extension) => (stem, Some(extension)),
        _ => (name, None),
    };
    let room = PORTAL_NAME_CHARS - extension.map_or(0, |extension| extension.len() + 1);
    let stem: String = stem.chars().take(room).collect();
    match extension {
        Some(extension) => format!("{}.{extension}", stem.trim_end()),
        None => stem,
    }
}

/// The extension of a name in lower case, if it looks like one.
pub fn extension_of(name: &str) -> Option<String> {
    let (_, extension) = name.trim().rsplit_once('.')?;
    is_plain_extension(extension).then(|| extension.to_ascii_lowercase())
}

/// One to eight ASCII letters and digits.
pub fn is_plain_extension(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn same_kind(had: &str, wanted: &str) -> bool {
    let had = had.to_ascii_lowercase();
    had == wanted || mime_for(&had).is_some_and(|mime| mime_for(wanted) == Some(mime))
}

fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .map(|c| if r#":*?"<>|"#.contains(c) { '_' } else { c })
        .collect();
    kept.trim_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

/// Marks of direction and of width, line separators, and the replacement character of a broken decoding.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}')
}

fn cut_bytes(text: &str, room: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= room).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_safe_and_gets_the_extension_of_its_content() {
        for (name, extension, expected) in [
            ("photo.png", "png", "photo.png"),
            ("photo.JPEG", "jpg", "photo.JPEG"),
            ("photo.png", "jpg", "photo.jpg"),
            ("report.v2", "pdf", "report.v2.pdf"),
            ("Счёт № 5.pdf", "pdf", "Счёт № 5.pdf"),
            ("../../etc/passwd", "txt", "passwd.txt"),
            (r"C:\Users\a\scan.pdf", "pdf", "scan.pdf"),
            ("a\r\nSet-Cookie: x.txt", "txt", "aSet-Cookie_ x.txt"),
            ("gpj.\u{202e}exe.jpg", "jpg", "gpj.exe.jpg"),
            (".htaccess", "txt", "htaccess.txt"),
            ("...", "bin", "file.bin"),
            ("", "ogg", "file.ogg"),
            ("no extension", "mp4", "no extension.mp4"),
        ] {
            assert_eq!(safe_name(Some(name), "file", extension), expected);
        }
        assert_eq!(safe_name(None, "voice", "ogg"), "voice.ogg");
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_extension() {
        let name = safe_name(Some(&format!("{}.pdf", "ж".repeat(300))), "file", "pdf");
        assert!(name.len() <= MAX_NAME_BYTES && name.ends_with("ж.pdf"), "{name}");
    }

    #[test]
    fn the_portal_is_given_the_beginning_of_a_long_name() {
        assert_eq!(portal_name("short.pdf"), "short.pdf");
        let name = portal_name(&format!("Contract {}.docx", "x".repeat(80)));
        assert_eq!(name.chars().count(), PORTAL_NAME_CHARS);
        assert!(name.starts_with("Contract ") && name.ends_with(".docx"));
    }
}
