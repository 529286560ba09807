//! As what an operator's file is sent, by what its bytes are and by Meta's limits
//! (whatsapp-messaging facts §3.2).

use super::sniff::{FileType, OGG_OPUS};

const MB: u64 = 1024 * 1024;

/// Largest picture in bytes.
pub const MAX_IMAGE_BYTES: u64 = 5 * MB;
/// Largest video in bytes.
pub const MAX_VIDEO_BYTES: u64 = 16 * MB;
/// Largest audio file or voice note in bytes.
pub const MAX_AUDIO_BYTES: u64 = 16 * MB;
/// Largest document in bytes, and the largest file that Meta hands out.
pub const MAX_DOCUMENT_BYTES: u64 = 100 * MB;

const IMAGES: &[&str] = &["image/jpeg", "image/png"];
const VIDEOS: &[&str] = &["video/mp4", "video/3gpp"];
const AUDIOS: &[&str] = &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", OGG_OPUS];
/// What [`super::voice`] can turn into a voice note.
const RECORDINGS: &[&str] = &[OGG_OPUS, "audio/webm", "audio/x-matroska"];

/// The kind of message a file becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendAs {
    /// A picture with a caption.
    Image,
    /// A video with a caption.
    Video,
    /// An audio file; carries no caption.
    Audio,
    /// A voice note, to be re-muxed first; carries no caption.
    Voice,
    /// A document with name and caption.
    Document,
    /// A text with a link to the file on our side.
    Link,
}

/// What the first bytes tell beyond the type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Details {
    /// Channels of an OGG/Opus file; Meta takes one.
    pub opus_channels: Option<u8>,
    /// Bits per channel of a PNG; Meta takes eight.
    pub png_bits: Option<u8>,
}

impl Details {
    /// Reads them from the first bytes of the file.
    pub fn of(head: &[u8]) -> Self {
        let segments = usize::from(head.get(26).copied().unwrap_or(0));
        let packet = head.get(27 + segments..).unwrap_or_default();
        let opus = head.starts_with(b"OggS") && packet.starts_with(b"OpusHead");
        let png = head.starts_with(b"\x89PNG\r\n\x1a\n") && head.get(12..16) == Some(b"IHDR");
        Self {
            opus_channels: if opus { packet.get(9).copied() } else { None },
            png_bits: if png { head.get(24).copied() } else { None },
        }
    }
}

/// Chooses the kind of message. `voice_hint` says that the file is a recording of the operator, not a
/// piece of music.
pub fn classify(file: &FileType, size: u64, voice_hint: bool, details: Details) -> SendAs {
    let is = |list: &[&str]| list.contains(&file.mime.as_str());
    let deep = details.png_bits.is_some_and(|bits| bits > 8);
    // Meta refuses an empty file in every form; nothing is lost by a link.
    if size == 0 || size > MAX_DOCUMENT_BYTES {
        SendAs::Link
    } else if voice_hint && is(RECORDINGS) && size <= MAX_AUDIO_BYTES {
        SendAs::Voice
    } else if is(IMAGES) && size <= MAX_IMAGE_BYTES && !deep {
        SendAs::Image
    } else if is(VIDEOS) && size <= MAX_VIDEO_BYTES {
        SendAs::Video
    } else if is(AUDIOS) && size <= MAX_AUDIO_BYTES {
        SendAs::Audio
    } else {
        SendAs::Document
    }
}

impl SendAs {
    const ALL: [Self; 6] = [Self::Image, Self::Video, Self::Audio, Self::Voice, Self::Document, Self::Link];

    /// Its name in a stored plan.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Link => "link",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }

    /// What to try when Meta has refused the file in this form (131053, or 100 at the upload).
    pub fn after_refusal(self) -> Self {
        match self {
            Self::Image | Self::Video | Self::Audio | Self::Voice => Self::Document,
            Self::Document | Self::Link => Self::Link,
        }
    }

    /// Whether a caption may go with it; else the text is its own message.
    pub fn takes_caption(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Document)
    }

    /// Whether [`super::voice::remux_to_voice`] comes first: always for a voice note, and for stereo
    /// OGG/Opus, which Meta refuses as audio too.
    pub fn needs_remux(self, details: Details) -> bool {
        match self {
            Self::Voice => true,
            Self::Audio => details.opus_channels.is_some_and(|channels| channels != 1),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mime: &str) -> FileType {
        FileType::new(mime, "bin")
    }

    #[test]
    fn the_ladder_follows_type_and_size() {
        for (mime, size, expected) in [
            ("image/jpeg", MAX_IMAGE_BYTES, SendAs::Image),
            ("image/jpeg", MAX_IMAGE_BYTES + 1, SendAs::Document),
            ("image/png", 1, SendAs::Image),
            ("image/webp", 1, SendAs::Document),
            ("image/gif", 1, SendAs::Document),
            ("image/heic", 1, SendAs::Document),
            ("image/svg+xml", 1, SendAs::Document),
            ("video/mp4", MAX_VIDEO_BYTES, SendAs::Video),
            ("video/mp4", MAX_VIDEO_BYTES + 1, SendAs::Document),
            ("video/3gpp", 1, SendAs::Video),
            ("video/webm", 1, SendAs::Document),
            ("video/quicktime", 1, SendAs::Document),
            ("audio/aac", 1, SendAs::Audio),
            ("audio/amr", 1, SendAs::Audio),
            ("audio/mpeg", MAX_AUDIO_BYTES, SendAs::Audio),
            ("audio/mpeg", MAX_AUDIO_BYTES + 1, SendAs::Document),
            ("audio/mp4", 1, SendAs::Audio),
            (OGG_OPUS, 1, SendAs::Audio),
            ("audio/ogg", 1, SendAs::Document),
            ("audio/wav", 1, SendAs::Document),
            ("audio/webm", 1, SendAs::Document),
            ("application/pdf", MAX_DOCUMENT_BYTES, SendAs::Document),
            ("application/pdf", MAX_DOCUMENT_BYTES + 1, SendAs::Link),
            ("video/mp4", MAX_DOCUMENT_BYTES + 1, SendAs::Link),
            ("application/octet-stream", 1, SendAs::Document),
            ("text/plain", 0, SendAs::Link),
        ] {
            assert_eq!(classify(&file(mime), size, false, Details::default()), expected, "{mime} {size}");
        }
    }

    #[test]
    fn a_recording_is_voice_if_it_can_be_made_one() {
        for (mime, expected) in [
            (OGG_OPUS, SendAs::Voice),
            ("audio/webm", SendAs::Voice),
            ("audio/mpeg", SendAs::Audio),
            ("audio/mp4", SendAs::Audio),
            ("audio/ogg", SendAs::Document),
            ("image/png", SendAs::Image),
        ] {
            assert_eq!(classify(&file(mime), 1000, true, Details::default()), expected, "{mime}");
        }
    }

    #[test]
    fn stereo_opus_is_remuxed_and_a_deep_png_is_a_document() {
        let mut ogg = b"OggS".to_vec();
        ogg.extend([0; 22]);
        ogg.extend([1, 19]);
        ogg.extend(b"OpusHead\x01\x02\x38\x01");
        let stereo = Details::of(&ogg);
        assert_eq!(stereo.opus_channels, Some(2));
        assert!(SendAs::Audio.needs_remux(stereo) && SendAs::Voice.needs_remux(Details::default()));
        assert!(!SendAs::Audio.needs_remux(Details { opus_channels: Some(1), png_bits: None }));

        let png = Details::of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x10\x02");
        assert_eq!(png.png_bits, Some(16));
        assert_eq!(classify(&file("image/png"), 1, false, png), SendAs::Document);
    }

    #[test]
    fn a_refused_file_goes_down_the_ladder() {
        assert_eq!(SendAs::Voice.after_refusal(), SendAs::Document);
        assert_eq!(SendAs::Document.after_refusal(), SendAs::Link);
        assert!(SendAs::ALL.iter().all(|choice| SendAs::parse(choice.as_str()) == Some(*choice)));
        assert!(SendAs::Image.takes_caption() && !SendAs::Audio.takes_caption());
    }
}
