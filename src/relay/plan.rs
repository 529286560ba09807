//! Plans an operator's message: which WhatsApp messages it becomes, in which order.
//!
//! Text beside files: the first file that takes a caption bears it; where none does, the text goes first as
//! its own message. What is too long is split at a good place.

use std::time::Duration;

use super::Relay;
use super::fetch::chain;
use super::parts::{Form, Part, ShownAs};
use crate::domain::{BlobId, Verdict, Wamid};
use crate::media::blobs::{StoredBlob, WriteLimits};
use crate::media::classify::{self, Details, SendAs};
use crate::media::fetch::FetchError;
use crate::media::sniff::FileType;
use crate::media::{name, sniff, voice};
use crate::queue::job::OperatorFile;
use crate::store::blobs::{self, BlobRow};
use crate::translate::split;

/// A download from the portal takes at most this long.
const DEADLINE: Duration = Duration::from_secs(240);

/// A part with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPart {
    /// The message.
    pub part: Part,
    /// Its file.
    pub blob: Option<BlobId>,
}

/// An operator's file as far as it can go to WhatsApp.
#[derive(Clone, Debug)]
pub enum OutgoingFile {
    /// It is here.
    Here(FetchedFile),
    /// It is larger than what is taken here: the portal's own public link has to do.
    TooLarge {
        /// Its name.
        name: String,
        /// The portal's link.
        link: String,
    },
}

impl OutgoingFile {
    fn takes_caption(&self) -> bool {
        matches!(self, Self::Here(file) if file.send_as.takes_caption())
    }
}

/// A file that is here.
#[derive(Clone, Debug)]
pub struct FetchedFile {
    /// Its row.
    pub row: BlobRow,
    /// Whether the row is written already; else it is written with the plan.
    pub stored: bool,
    /// The form that its bytes and Meta's limits allow.
    pub send_as: SendAs,
}

/// Why an operator's file is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileTrouble {
    /// It may come later.
    Later(String),
    /// It will not come.
    Never(String),
    /// It is larger than what is taken here.
    TooLarge,
}

impl FileTrouble {
    /// Of several troubles with one file the one that leaves most hope tells how to go on.
    fn hope(&self) -> u8 {
        match self {
            Self::Never(_) => 0,
            Self::TooLarge => 1,
            Self::Later(_) => 2,
        }
    }
}

/// Arranges text and files. `link_of` makes a link for a file that does not fit WhatsApp.
pub fn arrange(
    body: &str,
    quote: Option<Wamid>,
    files: &[OutgoingFile],
    mut link_of: impl FnMut(&FetchedFile) -> String,
) -> Vec<PlannedPart> {
    let captioned = files.iter().position(OutgoingFile::takes_caption).filter(|_| !body.trim().is_empty());
    let (caption, texts) = match captioned {
        Some(_) => split::caption(body),
        None => (None, split::text(body)),
    };
    let mut parts = Vec::new();
    if captioned.is_none() {
        parts.extend(texts.iter().map(|text| PlannedPart { part: Part::text(text), blob: None }));
    }
    for (index, file) in files.iter().enumerate() {
        let caption = caption.clone().filter(|_| captioned == Some(index));
        parts.push(file_part(file, caption, &mut link_of));
        if captioned == Some(index) {
            parts.extend(texts.iter().map(|text| PlannedPart { part: Part::text(text), blob: None }));
        }
    }
    if let Some(first) = parts.first_mut() {
        first.part.quote = quote;
    }
    parts
}

fn file_part(
    file: &OutgoingFile,
    caption: Option<String>,
    link_of: &mut impl FnMut(&FetchedFile) -> String,
) -> PlannedPart {
    let file = match file {
        OutgoingFile::Here(file) => file,
        OutgoingFile::TooLarge { name, link } => {
            return PlannedPart { part: Part::text(format!("{name}: {link}")), blob: None };
        }
    };
    let blob = Some(BlobId::from(file.row.id.as_str()));
    match ShownAs::of(file.send_as) {
        Some(shown_as) => {
            let (mime, filename) = (file.row.mime.clone(), file.row.name.clone());
            PlannedPart {
                part: Part {
                    form: Form::File { shown_as, mime, filename, caption, uploaded: None },
                    quote: None,
                },
                blob,
            }
        }
        None => {
            let link = format!("{}: {}", file.row.name, link_of(file));
            PlannedPart { part: Part::text(link), blob }
        }
    }
}

impl Relay {
    /// Brings an operator's file here: through the guarded fetcher, typed by its bytes, a recording re-muxed.
    pub(super) async fn fetch_operator_file(&self, file: &OperatorFile) -> Result<FetchedFile, FileTrouble> {
        let mut trouble = FileTrouble::Never("the portal gave no address".into());
        for link in &file.links {
            match self.fetch_link(link, file).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) if error.hope() >= trouble.hope() => trouble = error,
                Err(_) => {}
            }
        }
        Err(trouble)
    }

    async fn fetch_link(&self, link: &str, file: &OperatorFile) -> Result<FetchedFile, FileTrouble> {
        let told = |verdict: Verdict, error: String| match verdict {
            Verdict::GiveUp => FileTrouble::Never(error),
            _ => FileTrouble::Later(error),
        };
        let fetched = self.fetcher.get(link).await.map_err(|error| match error {
            FetchError::TooLarge { .. } => FileTrouble::TooLarge,
            error => told(error.verdict(), chain(&error)),
        })?;
        let content_type = fetched.content_type.clone().filter(|mime| mime != "application/octet-stream");
        let limits = WriteLimits { max_bytes: self.settings.media_max, deadline: DEADLINE };
        let stored =
            self.blobs.write(fetched.body, limits).await.map_err(|error| match error.is_too_large() {
                true => FileTrouble::TooLarge,
                false => told(error.verdict(), chain(&error)),
            })?;
        let mime = Some(file.mime.as_str()).filter(|mime| !mime.is_empty()).or(content_type.as_deref());
        let kind = sniff::sniff(&stored.head, mime, Some(&file.name));
        self.classified(stored, kind, file).await
    }

    async fn classified(
        &self,
        stored: StoredBlob,
        kind: FileType,
        file: &OperatorFile,
    ) -> Result<FetchedFile, FileTrouble> {
        let details = Details::of(&stored.head);
        let recording = is_recording(&kind, file);
        let send_as = classify::classify(&kind, stored.size, recording, details);
        if send_as.needs_remux(details)
            && let Some(voiced) = self.remuxed(&stored).await
        {
            let kind = FileType::new(sniff::OGG_OPUS, "ogg");
            return Ok(self.fetched(voiced, kind, file, if recording { SendAs::Voice } else { send_as }));
        }
        // What could not be re-muxed is no voice note: it goes by what its bytes are.
        let send_as = match send_as.needs_remux(details) {
            true => classify::classify(&kind, stored.size, false, details).after_refusal(),
            false => send_as,
        };
        Ok(self.fetched(stored, kind, file, send_as))
    }

    async fn remuxed(&self, stored: &StoredBlob) -> Option<StoredBlob> {
        let bytes = self.blobs.read(&stored.id).await.ok()?;
        let voiced = tokio::task::spawn_blocking(move || voice::remux_to_voice(&bytes)).await.ok()?;
        match voiced {
            Ok(voiced) => {
                let voiced = self.blobs.write_bytes(voiced).await.ok()?;
                let _ = self.blobs.remove(&stored.id).await;
                Some(voiced)
            }
            Err(error) => {
                tracing::info!(error = %error, "a recording cannot be made a voice note");
                None
            }
        }
    }

    fn fetched(
        &self,
        stored: StoredBlob,
        kind: FileType,
        file: &OperatorFile,
        send_as: SendAs,
    ) -> FetchedFile {
        let named = Some(file.name.as_str()).filter(|name| !name.is_empty());
        FetchedFile {
            row: BlobRow {
                id: stored.id.to_string(),
                sha256: stored.sha256_hex,
                name: name::safe_name(named, "file", &kind.extension),
                mime: kind.mime,
                size: i64::try_from(stored.size).unwrap_or(i64::MAX),
                created_at: self.clock.now().naive_utc(),
            },
            stored: false,
            send_as,
        }
    }

    /// A file that an earlier run of the job has fetched.
    pub(super) async fn file_that_is_here(&self, file: &OperatorFile) -> Option<FetchedFile> {
        let here = file.here.clone()?;
        let send_as = SendAs::parse(&here.send_as)?;
        let row = self.db.read(move |conn| blobs::get(conn, &here.blob_id)).await.ok()??;
        Some(FetchedFile { row, stored: true, send_as })
    }

    /// Removes the bytes of files whose plan was not written. What fails is left to the janitor.
    pub(super) async fn forget_files(&self, files: &[OutgoingFile]) {
        for file in files {
            if let OutgoingFile::Here(FetchedFile { row, stored: false, .. }) = file {
                let _ = self.blobs.remove(&BlobId::from(row.id.as_str())).await;
            }
        }
    }
}

/// The portal does not mark recordings. A browser's recording is WebM or OGG audio, which nobody has lying
/// about as music; a name of the recorder tells as well.
fn is_recording(kind: &FileType, file: &OperatorFile) -> bool {
    let by_type = matches!(kind.essence(), "audio/webm" | "audio/x-matroska");
    let name = file.name.to_lowercase();
    let by_name = ["voice", "audio_message", "audiomessage", "голос", "recording"]
        .iter()
        .any(|word| name.contains(word));
    by_type || (kind.mime == sniff::OGG_OPUS && (by_name || file.kind == "audio"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, send_as: SendAs) -> OutgoingFile {
        let row = BlobRow {
            id: format!("blob-{name}"),
            sha256: String::new(),
            mime: "image/jpeg".into(),
            name: name.into(),
            size: 1,
            created_at: chrono::DateTime::UNIX_EPOCH.naive_utc(),
        };
        OutgoingFile::Here(FetchedFile { row, stored: false, send_as })
    }

    fn shape(parts: &[PlannedPart]) -> Vec<String> {
        parts
            .iter()
            .map(|planned| match &planned.part.form {
                Form::Text { body } => format!("text:{body}"),
                Form::Template { shown, .. } => format!("template:{shown}"),
                Form::File { shown_as, filename, caption, .. } => {
                    format!("{shown_as:?}:{filename}:{}", caption.as_deref().unwrap_or("-"))
                }
            })
            .collect()
    }

    fn link(file: &FetchedFile) -> String {
        format!("https://x/{}", file.row.name)
    }

    #[test]
    fn the_first_file_that_takes_a_caption_bears_the_text() {
        let files =
            [file("v.ogg", SendAs::Voice), file("a.jpg", SendAs::Image), file("b.pdf", SendAs::Document)];
        let parts = arrange("hello", None, &files, link);
        assert_eq!(shape(&parts), ["Voice:v.ogg:-", "Image:a.jpg:hello", "Document:b.pdf:-"]);
    }

    #[test]
    fn text_beside_audio_goes_as_its_own_message() {
        let parts = arrange("hello", Some(Wamid::from("w")), &[file("v.ogg", SendAs::Voice)], link);
        assert_eq!(shape(&parts), ["text:hello", "Voice:v.ogg:-"]);
        assert_eq!(parts[0].part.quote, Some(Wamid::from("w")));
        assert_eq!(parts[1].part.quote, None);
    }

    #[test]
    fn a_long_caption_is_followed_by_a_text() {
        let body = format!("{} {}", "a".repeat(1000), "b".repeat(1000));
        let parts = arrange(&body, None, &[file("a.jpg", SendAs::Image)], link);
        assert_eq!(parts.len(), 2);
        assert!(matches!(&parts[1].part.form, Form::Text { body } if body.ends_with('b')));
    }

    #[test]
    fn a_file_that_does_not_fit_goes_as_a_link() {
        let parts = arrange("", None, &[file("big.zip", SendAs::Link)], link);
        assert_eq!(shape(&parts), ["text:big.zip: https://x/big.zip"]);
        assert!(parts[0].blob.is_some());
        let too_large = OutgoingFile::TooLarge { name: "huge.zip".into(), link: "https://portal/~x".into() };
        let parts = arrange("see", None, &[too_large], link);
        assert_eq!(shape(&parts), ["text:see", "text:huge.zip: https://portal/~x"]);
    }
}
