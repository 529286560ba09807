//! The picture of a business: a square that Meta takes, uploaded and put into the profile.

use super::registration::PhoneAccess;
use super::{Setup, SetupError};
use crate::whatsapp::client::Sample;

/// Meta takes pictures up to 5 MB (whatsapp-messaging facts §3.3, §7.6).
pub const MAX_BYTES: usize = 5 * 1024 * 1024;
const SMALLEST: u32 = 192;

impl Setup {
    /// Gives a number's profile another picture.
    pub async fn change_picture(&self, id: &str, bytes: &[u8]) -> Result<(), SetupError> {
        let wrong = |message: &str| SetupError::field("picture", message);
        if bytes.len() > MAX_BYTES {
            return Err(wrong("must be at most 5 MB"));
        }
        let (mime, name) = match bytes {
            [0xff, 0xd8, 0xff, ..] => ("image/jpeg", "picture.jpg"),
            [0x89, b'P', b'N', b'G', ..] => ("image/png", "picture.png"),
            _ => return Err(wrong("must be a JPEG or PNG picture")),
        };
        let (width, height) = size(bytes).ok_or_else(|| wrong("cannot be read as a picture"))?;
        if width != height || width < SMALLEST {
            return Err(wrong("must be square, with at least 192 pixels a side"));
        }
        let PhoneAccess { row, graph, token, phone } = self.phone_access(id).await?;
        let app_id = self.app_of_waba(&row.waba_key)?;
        let sample = Sample { name, mime, bytes };
        let handle = self.counted("upload_picture", graph.upload_sample(&token, &app_id, sample).await)?;
        self.counted("set_picture", graph.set_picture(&token, &phone, &handle).await)?;
        self.note_phone(&row, "profile", None).await
    }
}

/// Width and height, from the head of a PNG or the frame of a JPEG.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize, length: usize| -> Option<u32> {
        let digits = bytes.get(at..at + length)?;
        Some(digits.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    };
    if bytes.starts_with(b"\x89PNG") {
        return Some((number(16, 4)?, number(20, 4)?));
    }
    let mut at = 2;
    while bytes.get(at) == Some(&0xff) {
        let marker = *bytes.get(at + 1)?;
        let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            return Some((number(at + 7, 2)?, number(at + 5, 2)?));
        }
        at += 2 + usize::try_from(number(at + 2, 2)?).ok()?.max(2);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_picture_stands_in_its_head() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 1, 0x40, 0, 0, 1, 0x40]);
        assert_eq!(size(&png), Some((320, 320)));
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xc0, 0, 11, 8];
        jpeg.extend([0, 200, 1, 0]);
        assert_eq!(size(&jpeg), Some((256, 200)));
        for broken in
            [&b"\x89PNG"[..], &[0xff, 0xd8, 0xff][..], &[0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff][..], b""]
        {
            assert_eq!(size(broken), None);
        }
    }
}
