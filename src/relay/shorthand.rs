//! An operator's short line, and everything else that becomes an approved template: found, filled, its file
//! brought here, planned as a part.

use std::time::Duration;

use url::Url;

use super::parts::{Form, Part, TemplateFile};
use super::plan::{FetchedFile, FileTrouble, OutgoingFile, PlannedPart};
use super::prepare::Ending;
use super::sender::Outgoing;
use super::{Relay, statuses, templates};
use crate::bitrix::disk::DiskFileGet;
use crate::domain::template::{Header, Template, TemplateCategory};
use crate::domain::{Language, PortalId, Verdict};
use crate::media::classify::{MAX_DOCUMENT_BYTES, MAX_IMAGE_BYTES, MAX_VIDEO_BYTES, SendAs};
use crate::queue::job::{OperatorFile, OperatorItem};
use crate::queue::worker::Running;
use crate::store::StoreError;
use crate::store::blobs::BlobRow;
use crate::store::messages::MessageRow;
use crate::translate::notes::Note;
use crate::translate::reconstruction;
use crate::translate::shorthand::{FillOptions, Filled, MediaSource, Parsed, Refusal};

/// So often the file of a template is looked for. Whoever typed its address learns soon that it leads nowhere, and
/// what waits behind it in the chat goes on.
pub(super) const FILE_TRIES: i32 = 3;
/// A call to the portal for the address of a file takes at most so long.
const ASKING: Duration = Duration::from_secs(30);

/// Why a template is not planned.
pub(super) enum TemplateTrouble {
    /// It is wrong, and stays so.
    Refused(Refusal),
    /// Its file may come later.
    Later(String),
}

/// A template as a part, and the row of its file.
pub(super) struct PlannedTemplate {
    pub(super) part: PlannedPart,
    pub(super) file: Option<BlobRow>,
}

impl Relay {
    /// Plans an operator's short line. `Err`: the job ends (or waits) without sending.
    pub(super) async fn plan_shorthand(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        item: &OperatorItem,
        parsed: &Parsed,
    ) -> Result<Vec<MessageRow>, Ending> {
        let refused = |refusal| self.ends_with_note(outgoing, &job.row.id, Note::Shorthand { refusal });
        let templates = match self.templates_of(outgoing).await {
            Ok(templates) => templates,
            Err(error) => return Err(self.plan_failed(job, outgoing, &error)),
        };
        let language = default_language(outgoing);
        let attached = item.files.len();
        let options = FillOptions { default_language: language.as_deref(), attached };
        let filled = parsed.fill(&templates, &options).map_err(refused)?;
        self.plan_filled(job, outgoing, item, filled).await
    }

    /// Plans a template that is filled in.
    pub(super) async fn plan_filled(
        &self,
        job: &Running,
        outgoing: &Outgoing,
        item: &OperatorItem,
        filled: Filled,
    ) -> Result<Vec<MessageRow>, Ending> {
        let portal = PortalId::from(item.portal_id.as_str());
        let planned = match self.template_part(outgoing, &portal, filled).await {
            Ok(planned) => planned,
            Err(TemplateTrouble::Later(reason))
                if job.row.attempts + 1 < FILE_TRIES.min(self.settings.policy.max_attempts) =>
            {
                tracing::info!(job.id = job.row.id, reason, "the file of a template is not here yet");
                return Err(self.files_later(&outgoing.chat.id, item, &[], &[], reason));
            }
            Err(trouble) => {
                let refusal = match trouble {
                    TemplateTrouble::Refused(refusal) => refusal,
                    TemplateTrouble::Later(reason) => Refusal::FileUnavailable { reason },
                };
                return Err(self.ends_with_note(outgoing, &job.row.id, Note::Shorthand { refusal }));
            }
        };
        let files = planned.file.into_iter().collect();
        let first = item.first_part;
        let written = self.write_plan(job, outgoing, first, vec![planned.part], files, vec![], vec![]).await;
        written.map_err(|error| self.plan_failed(job, outgoing, &error))
    }

    /// The templates of the account that a message goes out by.
    pub(super) async fn templates_of(&self, outgoing: &Outgoing) -> Result<Vec<Template>, StoreError> {
        let Some(phone) = outgoing.snapshot.phone(&outgoing.phone) else { return Ok(Vec::new()) };
        let waba = phone.waba_key.to_string();
        self.db.read(move |conn| templates::of_waba(conn, &waba)).await
    }

    /// The part that sends a filled template; its file is fetched from the portal's disk or its address.
    pub(super) async fn template_part(
        &self,
        outgoing: &Outgoing,
        portal: &PortalId,
        filled: Filled,
    ) -> Result<PlannedTemplate, TemplateTrouble> {
        let Filled { template, values, header_media, header_filename, .. } = filled;
        if outgoing.chat.marketing_stopped && template.category == TemplateCategory::Marketing {
            let name = format!("{} ({})", template.name, template.language);
            return Err(TemplateTrouble::Refused(Refusal::OptedOut { template: name }));
        }
        let fetched = match &header_media {
            Some(source) => {
                Some(self.header_file(outgoing, portal, &template, source, header_filename.as_deref()).await?)
            }
            None => None,
        };
        let shown = reconstruction::text(&template, &values, language_of(outgoing));
        let (file, row) = match fetched {
            Some(fetched) => {
                let file =
                    TemplateFile { mime: fetched.row.mime.clone(), filename: fetched.row.name.clone() };
                (Some(file), Some(fetched.row))
            }
            None => (None, None),
        };
        let template = Box::new(template);
        let form = Form::Template { template, values, file, uploaded: None, shown };
        let blob = row.as_ref().map(|row| row.id.as_str().into());
        Ok(PlannedTemplate { part: PlannedPart { part: Part { form, quote: None }, blob }, file: row })
    }

    /// The file of a header, typed by its content.
    async fn header_file(
        &self,
        outgoing: &Outgoing,
        portal: &PortalId,
        template: &Template,
        source: &MediaSource,
        name: Option<&str>,
    ) -> Result<FetchedFile, TemplateTrouble> {
        let mut file = self.file_of(outgoing, portal, source).await?;
        if let Some(name) = name {
            name.clone_into(&mut file.name);
        }
        let unavailable = |reason| TemplateTrouble::Refused(Refusal::FileUnavailable { reason });
        let fetched = match self.fetch_operator_file(&file).await {
            Ok(fetched) => fetched,
            Err(FileTrouble::Later(reason)) => return Err(TemplateTrouble::Later(reason)),
            Err(FileTrouble::Never(reason)) => return Err(unavailable(reason)),
            Err(FileTrouble::TooLarge) => {
                let limit = self.settings.media_max.min(limit_of(template));
                return Err(TemplateTrouble::Refused(too_large(template, limit)));
            }
        };
        match fits(template, &fetched) {
            Ok(()) => Ok(fetched),
            Err(refusal) => {
                self.forget_files(&[OutgoingFile::Here(fetched)]).await;
                Err(TemplateTrouble::Refused(refusal))
            }
        }
    }

    /// What there is to fetch.
    async fn file_of(
        &self,
        outgoing: &Outgoing,
        portal: &PortalId,
        source: &MediaSource,
    ) -> Result<OperatorFile, TemplateTrouble> {
        let known = outgoing.snapshot.portal(portal);
        let host = known.map(|portal| portal.row.domain.clone()).unwrap_or_default();
        let (link, name) = match (source.on_portal(&host), source) {
            (Some(id), _) => self.disk_file(portal, id).await?,
            (None, MediaSource::Url(link)) => (link.clone(), name_in(link)),
            (None, MediaSource::DiskFile(_)) => Default::default(),
            (None, MediaSource::Attached) => {
                let attached = outgoing.item.as_ref().and_then(|item| item.files.first());
                return Ok(attached.cloned().unwrap_or_default());
            }
        };
        Ok(OperatorFile { name, links: vec![link], ..OperatorFile::default() })
    }

    /// Address and name of a file on the portal's disk.
    async fn disk_file(&self, portal: &PortalId, id: String) -> Result<(String, String), TemplateTrouble> {
        let get = DiskFileGet { id };
        let asked = tokio::time::timeout(ASKING, self.gateway.call(portal, &get)).await;
        match asked {
            Ok(Ok(file)) => Ok((file.download_url, file.name)),
            Ok(Err(error)) => {
                let reason = super::fetch::chain(&error);
                Err(match error.verdict() {
                    Verdict::GiveUp | Verdict::Reauthorize => {
                        TemplateTrouble::Refused(Refusal::FileUnavailable { reason })
                    }
                    _ => TemplateTrouble::Later(reason),
                })
            }
            Err(_) => Err(TemplateTrouble::Later("the portal does not answer".to_owned())),
        }
    }
}

/// The language of notes in the line that a message came from, or of the portal that sent an SMS.
fn language_of(outgoing: &Outgoing) -> Language {
    let of_sms =
        outgoing.sms.as_ref().and_then(|sms| outgoing.snapshot.portal(&sms.portal_id.as_str().into()));
    if let Some(portal) = of_sms {
        return portal.language;
    }
    let phone = outgoing.snapshot.phone(&outgoing.phone);
    phone.map(|phone| statuses::language_of(&outgoing.snapshot, phone)).unwrap_or_default()
}

/// The language of templates that the phone's settings name.
pub(super) fn default_language(outgoing: &Outgoing) -> Option<String> {
    outgoing.snapshot.phone(&outgoing.phone).and_then(|phone| phone.row.default_language.clone())
}

/// What the address says of the file's name.
fn name_in(link: &str) -> String {
    let url = Url::parse(link).ok();
    let last = url.as_ref().and_then(|url| url.path_segments()?.next_back().map(str::to_owned));
    let last = last.unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(&last).decode_utf8_lossy().into_owned();
    if decoded.contains('.') { decoded } else { String::new() }
}

/// Whether the content is what the header wants.
fn fits(template: &Template, fetched: &FetchedFile) -> Result<(), Refusal> {
    let (wanted, send_as, family) = match &template.header {
        Some(Header::Image) => ("IMAGE", SendAs::Image, "image/"),
        Some(Header::Video) => ("VIDEO", SendAs::Video, "video/"),
        _ => ("DOCUMENT", SendAs::Document, ""),
    };
    let limit = limit_of(template);
    let size = u64::try_from(fetched.row.size).unwrap_or_default();
    let mime = fetched.row.mime.clone();
    let is_media = ["image/", "video/", "audio/"].iter().any(|family| mime.starts_with(family));
    let fits = fetched.send_as == send_as && (wanted != "DOCUMENT" || !is_media);
    match fits {
        true => Ok(()),
        false if size > limit && mime.starts_with(family) => Err(too_large(template, limit)),
        false => {
            let template = format!("{} ({})", template.name, template.language);
            Err(Refusal::FileKind { template, wanted, given: mime })
        }
    }
}

fn limit_of(template: &Template) -> u64 {
    match &template.header {
        Some(Header::Image) => MAX_IMAGE_BYTES,
        Some(Header::Video) => MAX_VIDEO_BYTES,
        _ => MAX_DOCUMENT_BYTES,
    }
}

fn too_large(template: &Template, limit: u64) -> Refusal {
    let template = format!("{} ({})", template.name, template.language);
    Refusal::FileTooLarge { template, megabytes: limit / (1024 * 1024) }
}
