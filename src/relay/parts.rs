//! What one WhatsApp message of an operator is: stored with its row, turned into Meta's form when it goes.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::template::{HeaderMedia, Template, TemplateCategory, TemplateValues};
use crate::domain::{MediaId, Wamid};
use crate::media::classify::SendAs;
use crate::translate::shorthand;
use crate::whatsapp::{MediaRef, OutgoingContent, outgoing};

/// A planned part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its form.
    #[serde(flatten)]
    pub form: Form,
    /// The message that it quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Wamid>,
}

/// In which form a part goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Form {
    /// Text in WhatsApp's markup.
    Text {
        /// The text.
        body: String,
    },
    /// An uploaded file.
    File {
        /// What WhatsApp shows it as.
        shown_as: ShownAs,
        /// Its type, as Meta wants it at the upload.
        mime: String,
        /// Its name.
        filename: String,
        /// Text beside it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        /// Meta's id of the upload, so that a send that has to wait does not upload again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uploaded: Option<MediaId>,
    },
    /// An approved template, filled in. It is kept as it was: templates change.
    Template {
        /// The template.
        template: Box<Template>,
        /// What was filled in.
        values: TemplateValues,
        /// The file of its header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<TemplateFile>,
        /// Meta's id of the file's upload.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uploaded: Option<MediaId>,
        /// What the customer sees, in WhatsApp's markup.
        shown: String,
    },
}

/// The file of a template's header.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TemplateFile {
    /// Its type, as Meta wants it at the upload.
    pub mime: String,
    /// Its name.
    pub filename: String,
}

/// The name of the template of a stored part that cannot be read as a whole.
pub fn template_name(json: &str) -> Option<String> {
    let part: serde_json::Value = serde_json::from_str(json).ok()?;
    part.pointer("/template/name")?.as_str().map(str::to_owned)
}

/// What WhatsApp shows a file as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownAs {
    /// Picture.
    Image,
    /// Video.
    Video,
    /// Audio file.
    Audio,
    /// Voice note.
    Voice,
    /// Document.
    Document,
}

impl ShownAs {
    /// `None`: it does not fit WhatsApp and goes as a link.
    pub fn of(choice: SendAs) -> Option<Self> {
        match choice {
            SendAs::Image => Some(Self::Image),
            SendAs::Video => Some(Self::Video),
            SendAs::Audio => Some(Self::Audio),
            SendAs::Voice => Some(Self::Voice),
            SendAs::Document => Some(Self::Document),
            SendAs::Link => None,
        }
    }
}

impl Part {
    /// A text that quotes nothing.
    pub fn text(body: impl Into<String>) -> Self {
        Self { form: Form::Text { body: body.into() }, quote: None }
    }

    /// Meta's name of its kind, for the ledger.
    pub fn kind(&self) -> &'static str {
        match &self.form {
            Form::Text { .. } => "text",
            Form::Template { .. } => "template",
            Form::File { shown_as, .. } => match shown_as {
                ShownAs::Image => "image",
                ShownAs::Video => "video",
                ShownAs::Audio | ShownAs::Voice => "audio",
                ShownAs::Document => "document",
            },
        }
    }

    /// What it says, for quotes and the ledger.
    pub fn body(&self) -> &str {
        match &self.form {
            Form::Text { body } => body,
            Form::Template { shown, .. } => shown,
            Form::File { caption: Some(caption), .. } => caption,
            Form::File { filename, .. } => filename,
        }
    }

    /// Meta's id of its file, if it is uploaded.
    pub fn uploaded(&self) -> Option<&MediaId> {
        match &self.form {
            Form::File { uploaded, .. } | Form::Template { uploaded, .. } => uploaded.as_ref(),
            Form::Text { .. } => None,
        }
    }

    /// The same with its file uploaded as `id`, or not uploaded.
    pub fn with_upload(mut self, id: Option<MediaId>) -> Self {
        if let Form::File { uploaded, .. } | Form::Template { uploaded, .. } = &mut self.form {
            *uploaded = id;
        }
        self
    }

    /// Type and name of a file that is not uploaded yet.
    pub fn to_upload(&self) -> Option<(String, String)> {
        match &self.form {
            Form::File { mime, filename, uploaded: None, .. } => Some((mime.clone(), filename.clone())),
            Form::Template { file: Some(file), uploaded: None, .. } => {
                Some((file.mime.clone(), file.filename.clone()))
            }
            _ => None,
        }
    }

    /// Whether it is an approved template, which may go at any time.
    pub fn is_template(&self) -> bool {
        matches!(self.form, Form::Template { .. })
    }

    /// Whether its free text begins as a shorthand does: such a text never goes to a customer.
    pub fn begins_as_shorthand(&self) -> bool {
        match &self.form {
            Form::Text { body } => shorthand::looks_like(body),
            Form::File { caption, .. } => caption.as_deref().is_some_and(shorthand::looks_like),
            Form::Template { .. } => false,
        }
    }

    /// The same without a one-time password, once it is sent: it is nobody's but the customer's.
    pub fn without_password(mut self) -> Option<Self> {
        match &mut self.form {
            Form::Template { template, values, .. }
                if template.category == TemplateCategory::Authentication =>
            {
                *values = TemplateValues::default();
                Some(self)
            }
            _ => None,
        }
    }

    /// The stored form.
    pub fn to_json(&self) -> String {
        // Plain data with text keys: writing it as JSON cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Meta's form. `None`: its file is not uploaded.
    pub fn content(&self) -> Option<OutgoingContent> {
        let content = match &self.form {
            Form::Text { body } => OutgoingContent::Text { body: body.clone(), preview_url: has_link(body) },
            Form::Template { template, values, file, uploaded, .. } => {
                let media = match file {
                    Some(file) => {
                        let filename = Some(file.filename.clone());
                        Some(HeaderMedia { media_id: uploaded.clone()?, filename })
                    }
                    None => None,
                };
                outgoing::template(template, values, media.as_ref())
            }
            Form::File { shown_as, filename, caption, uploaded, .. } => {
                let (media, caption) = (MediaRef::Id(uploaded.clone()?), caption.clone());
                match shown_as {
                    ShownAs::Image => OutgoingContent::Image { media, caption },
                    ShownAs::Video => OutgoingContent::Video { media, caption },
                    ShownAs::Audio => OutgoingContent::Audio { media, voice: false },
                    ShownAs::Voice => OutgoingContent::Audio { media, voice: true },
                    ShownAs::Document => {
                        OutgoingContent::Document { media, filename: Some(filename.clone()), caption }
                    }
                }
            }
        };
        Some(content)
    }
}

fn has_link(body: &str) -> bool {
    body.split_whitespace()
        .any(|word| Url::parse(word).is_ok_and(|url| matches!(url.scheme(), "http" | "https")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_cannot_be_read_any_more_is_still_named() {
        let stored = r#"{"form":"template","template":{"name":"order","language":7},"values":null}"#;
        assert!(Part::from_json(stored).is_err());
        assert_eq!(template_name(stored).as_deref(), Some("order"));
        assert_eq!(template_name("{}"), None);
    }

    #[test]
    fn a_part_is_stored_and_read_back() {
        let part = Part {
            form: Form::File {
                shown_as: ShownAs::Document,
                mime: "application/pdf".into(),
                filename: "offer.pdf".into(),
                caption: None,
                uploaded: None,
            },
            quote: Some(Wamid::from("wamid.1")),
        };
        assert_eq!(Part::from_json(&part.to_json()).unwrap(), part);
        assert_eq!((part.kind(), part.body()), ("document", "offer.pdf"));
    }

    #[test]
    fn a_file_goes_only_when_it_is_uploaded() {
        let form = Form::File {
            shown_as: ShownAs::Voice,
            mime: "audio/ogg; codecs=opus".into(),
            filename: "a.ogg".into(),
            caption: None,
            uploaded: None,
        };
        let part = Part { form, quote: None };
        assert_eq!(part.content(), None);
        let part = part.with_upload(Some(MediaId::from("7")));
        assert_eq!(Part::from_json(&part.to_json()).unwrap().uploaded(), Some(&MediaId::from("7")));
        let content = part.content().unwrap();
        assert!(matches!(content, OutgoingContent::Audio { voice: true, .. }));
    }

    #[test]
    fn only_a_text_with_a_link_is_previewed() {
        assert!(has_link("see https://example.com/x now"));
        assert!(!has_link("see example.com: now"));
    }
}
