//! Finds the template that a shorthand means and fills it, or says what is wrong.

use super::clean::clean;
use super::dash::after_prefix;
use super::nearest::{distance, nearest};
use super::refusal::Part;
use super::{ButtonGiven, MediaSource, Parsed, Refusal, language, trimmed};
use crate::domain::template::{
    Button, ButtonFill, ButtonValue, Header, ParameterFormat, Template, TemplateStatus, TemplateValues,
};
use crate::translate::reconstruction::{filled_body, filled_text};
use crate::translate::split;

/// Longest body with its values (whatsapp-messaging facts §2.5).
const BODY_LIMIT: usize = 1024;
/// Longest value of a header's text.
const HEADER_LIMIT: usize = 60;
/// Longest address of a button.
const URL_LIMIT: usize = 2000;
/// Longest coupon code.
const CODE_LIMIT: usize = 15;
/// Buttons that need more than a shorthand can say.
const UNFILLABLE: [&str; 3] = ["CATALOG", "MPM", "SPM"];

/// What the settings say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FillOptions<'a> {
    /// Language of a template where none is typed.
    pub default_language: Option<&'a str>,
    /// Files that are attached to what was typed.
    pub attached: usize,
}

/// A template ready to be sent, but for its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filled {
    /// The template.
    pub template: Template,
    /// What was filled in.
    pub values: TemplateValues,
    /// The file of its header.
    pub header_media: Option<MediaSource>,
    /// Its name, for a document.
    pub header_filename: Option<String>,
    /// The text that a bracket form gives for those who cannot show a template; never sent by us.
    pub fallback: Option<String>,
}

impl Parsed {
    /// Fills the template that is meant. `templates` are all of the account.
    pub fn fill(&self, templates: &[Template], options: &FillOptions<'_>) -> Result<Filled, Refusal> {
        let template = self.find(templates, options)?;
        check(template)?;
        let typed = Typed::new(template);
        let mut values = TemplateValues::default();
        let sorted = typed.sort(&self.items)?;
        let header = self.header_text.as_deref().or(sorted.header.as_deref());
        values.body = typed.body(&sorted, header)?;
        values.header_text = typed.header_text(header)?;
        values.buttons = typed.buttons(&self.buttons, &sorted, values.body.first())?;
        let header_media = typed.header_file(self, options.attached)?;
        typed.lengths(&values)?;
        Ok(Filled {
            template: template.clone(),
            values,
            header_media,
            header_filename: self.header_filename.clone().filter(|name| !name.is_empty()),
            fallback: self.fallback.clone(),
        })
    }

    pub(super) fn find<'a>(
        &self,
        templates: &'a [Template],
        options: &FillOptions<'_>,
    ) -> Result<&'a Template, Refusal> {
        if templates.is_empty() {
            return Err(Refusal::NoTemplates);
        }
        let named: Vec<&Template> =
            templates.iter().filter(|template| template.name.eq_ignore_ascii_case(&self.name)).collect();
        let by_id: Vec<&Template> = templates.iter().filter(|template| template.id == self.name).collect();
        let found = if named.is_empty() { by_id } else { named };
        if found.is_empty() {
            let near = nearest(&self.name, templates.iter().map(|template| template.name.as_str()));
            return Err(Refusal::UnknownName { name: self.name.clone(), nearest: near });
        }
        language::choose(&found, self.language.as_deref(), options.default_language)
    }
}

/// Whether it may be sent, and by a shorthand.
pub(super) fn check(template: &Template) -> Result<(), Refusal> {
    if template.status != TemplateStatus::Approved {
        let (status, reason) = (template.status.as_str().to_owned(), template.reason.clone());
        return Err(Refusal::Status { template: called(template), status, reason });
    }
    let header = match &template.header {
        Some(Header::Other { name }) => Some(name),
        _ => None,
    };
    let button = template.buttons.iter().find_map(|button| match button {
        Button::Other { name, .. } if UNFILLABLE.contains(&name.as_str()) => Some(name),
        _ => None,
    });
    match header.or(button).or(template.others.first()) {
        Some(part) => Err(Refusal::Unsupported { template: called(template), part: part.clone() }),
        None => Ok(()),
    }
}

/// `hello_world (en_US)`
pub(super) fn called(template: &Template) -> String {
    format!("{} ({})", template.name, template.language)
}

/// Numbers are in their order, names in that of the text.
pub(super) fn asked_order(template: &Template) -> Vec<String> {
    let mut variables = template.body_variables();
    if template.parameters == ParameterFormat::Positional {
        variables.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    }
    variables
}

/// What kind of file the header is.
pub(super) fn media_kind(template: &Template) -> Option<&'static str> {
    match &template.header {
        Some(Header::Image) => Some("IMAGE"),
        Some(Header::Video) => Some("VIDEO"),
        Some(Header::Document) => Some("DOCUMENT"),
        _ => None,
    }
}

/// The items of a shorthand by what they are for this template.
#[derive(Default)]
struct Sorted {
    /// By the name of their variable.
    named: Vec<(String, String)>,
    plain: Vec<String>,
    header: Option<String>,
    code: Option<String>,
    /// By number, from 1.
    payloads: Vec<(usize, String)>,
}

/// A template while a shorthand is fitted to it.
pub(super) struct Typed<'a> {
    template: &'a Template,
    called: String,
}

impl<'a> Typed<'a> {
    pub(super) fn new(template: &'a Template) -> Self {
        Self { template, called: called(template) }
    }
    fn sort(&self, items: &[String]) -> Result<Sorted, Refusal> {
        let mut sorted = Sorted::default();
        for item in items {
            let item = item.trim();
            if let Some((name, value)) = self.named(item)? {
                if self.template.header_variable().as_deref() == Some(name) {
                    if sorted.header.replace(clean(value)).is_some() {
                        return Err(self.twice(name));
                    }
                } else if sorted.named.iter().any(|(known, _)| known == name) {
                    return Err(self.twice(name));
                } else {
                    sorted.named.push((name.to_owned(), clean(value)));
                }
            } else if let Some(code) =
                after_prefix(item, "code:").filter(|_| self.template.code_button().is_some())
            {
                if sorted.code.replace(clean(code)).is_some() {
                    return Err(self.button_given("code:", true));
                }
            } else if let Some((number, text)) = self.payload(item) {
                sorted.payloads.push((number, clean(text)));
            } else {
                sorted.plain.push(clean(item));
            }
        }
        Ok(sorted)
    }

    /// `name:value` of a named template that has the name. A name that is almost one of its own is no value.
    fn named<'t>(&self, item: &'t str) -> Result<Option<(&'t str, &'t str)>, Refusal> {
        if self.template.parameters != ParameterFormat::Named {
            return Ok(None);
        }
        let Some((name, value)) = item.split_once(':') else { return Ok(None) };
        let name = name.trim();
        let mut there = self.template.body_variables();
        there.extend(
            self.template
                .header_variable()
                .filter(|header| !there.contains(header))
                .into_iter()
                .collect::<Vec<_>>(),
        );
        if there.iter().any(|known| known == name) {
            return Ok(Some((name, value)));
        }
        let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
        let is_almost = |known: &String| name.len() > 3 && distance(&chars(name), &chars(known)) <= 2;
        if there.iter().any(is_almost) {
            return Err(Refusal::UnknownVariable {
                template: self.called.clone(),
                name: name.to_owned(),
                there,
            });
        }
        Ok(None)
    }

    /// `payload:…` or `payload2:…` of a template with quick replies.
    fn payload<'t>(&self, item: &'t str) -> Option<(usize, &'t str)> {
        let (number, text) = after_prefix(item, "payload")?.split_once(':')?;
        let number = match number {
            "" => 1,
            digits if digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            _ => return None,
        };
        (!self.template.quick_replies().is_empty()).then_some((number, text))
    }

    fn header_text(&self, given: Option<&str>) -> Result<Option<String>, Refusal> {
        let template = || self.called.clone();
        let Some(variable) = self.template.header_variable() else {
            return match given {
                Some(_) => Err(Refusal::HeaderTextNotTaken { template: template() }),
                None => Ok(None),
            };
        };
        let Some(given) = given.map(clean) else {
            return Err(Refusal::HeaderTextMissing { template: template() });
        };
        let own = given.split_once(':').filter(|(name, _)| {
            self.template.parameters == ParameterFormat::Named && name.trim() == variable
        });
        let value = own.map_or(given.clone(), |(_, value)| clean(value));
        if trimmed(&value).is_empty() {
            return Err(Refusal::ValueEmpty { template: template(), variable });
        }
        Ok(Some(value))
    }

    /// The body's values in the order in which its variables first appear.
    fn body(&self, sorted: &Sorted, header: Option<&str>) -> Result<Vec<String>, Refusal> {
        let asked = asked_order(self.template);
        // A named variable of the header is given as those of the body are, and counted with them.
        let is_named = self.template.parameters == ParameterFormat::Named;
        let in_header = self.template.header_variable().filter(|_| is_named);
        let mut plain = sorted.plain.clone();
        let is_password = self.template.buttons.iter().any(|button| matches!(button, Button::Otp { .. }));
        if let (true, Some(code)) = (is_password, &sorted.code) {
            match plain.as_slice() {
                [] => plain.push(code.clone()),
                [value, ..] if value != code => {
                    return Err(Refusal::CodesDiffer { template: self.called.clone() });
                }
                _ => {}
            }
        }
        let given = sorted.named.len() + plain.len() + usize::from(in_header.is_some() && header.is_some());
        let mut plain = plain.into_iter();
        let mut filled: Vec<(String, String)> = Vec::new();
        let mut missing: Vec<String> = in_header.clone().filter(|_| header.is_none()).into_iter().collect();
        for variable in &asked {
            let named =
                sorted.named.iter().find(|(name, _)| name == variable).map(|(_, value)| value.clone());
            match named.or_else(|| plain.next()) {
                Some(value) => filled.push((variable.clone(), value)),
                None => missing.push(variable.clone()),
            }
        }
        if !missing.is_empty() || plain.next().is_some() {
            let (template, needs) = (self.called.clone(), asked.len() + usize::from(in_header.is_some()));
            return Err(Refusal::Count { template, needs, given, missing });
        }
        if let Some((variable, _)) = filled.iter().find(|(_, value)| trimmed(value).is_empty()) {
            return Err(Refusal::ValueEmpty { template: self.called.clone(), variable: variable.clone() });
        }
        let value_of =
            |name: String| filled.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        Ok(self.template.body_variables().into_iter().filter_map(value_of).collect())
    }

    fn buttons(
        &self,
        given: &[ButtonGiven],
        sorted: &Sorted,
        password: Option<&String>,
    ) -> Result<Vec<ButtonValue>, Refusal> {
        let mut filled = Filling { typed: self, values: Vec::new() };
        let (urls, replies) = (self.template.dynamic_urls(), self.template.quick_replies());
        for part in given {
            match part {
                ButtonGiven::UrlParam { number, text } => {
                    let part =
                        if *number == 1 { "button_param:".into() } else { format!("button_param{number}:") };
                    filled.url(number.checked_sub(1).and_then(|at| urls.get(at)).copied(), text, &part)?;
                }
                ButtonGiven::Url { index, text } => {
                    let at = index.map_or_else(
                        || filled.next_of(&urls),
                        |index| urls.contains(&index).then_some(index),
                    );
                    filled.url(at, text, "button_url")?;
                }
                ButtonGiven::Payload { index, text } => {
                    let at = index.map_or_else(
                        || filled.next_of(&replies),
                        |index| replies.contains(&index).then_some(index),
                    );
                    filled.put(at, ButtonFill::Payload(clean(text)), "button_payload")?;
                }
            }
        }
        for (number, text) in &sorted.payloads {
            let part = if *number == 1 { "payload:".into() } else { format!("payload{number}:") };
            let at = number.checked_sub(1).and_then(|at| replies.get(at)).copied();
            filled.put(at, ButtonFill::Payload(text.clone()), &part)?;
        }
        for (number, at) in urls.iter().enumerate() {
            if !filled.has(*at) {
                let (template, label) = (self.called.clone(), self.label(*at));
                return Err(Refusal::ButtonParamMissing { template, number: number + 1, label });
            }
        }
        if let Some(at) = self.template.code_button() {
            let is_password = matches!(self.template.buttons.get(at), Some(Button::Otp { .. }));
            let code = if is_password { password } else { sorted.code.as_ref() };
            let Some(code) = code else {
                return Err(Refusal::CodeMissing { template: self.called.clone(), label: self.label(at) });
            };
            filled.put(Some(at), ButtonFill::Code(code.clone()), "code:")?;
        }
        filled.values.sort_by_key(|value| value.index);
        Ok(filled.values)
    }

    /// Where the header's file comes from: what the line names, else what is attached to it.
    fn header_file(&self, parsed: &Parsed, attached: usize) -> Result<Option<MediaSource>, Refusal> {
        let template = || self.called.clone();
        match (media_kind(self.template), &parsed.header_file) {
            (None, Some(_)) => Err(Refusal::FileNotTaken { template: template() }),
            (None, None) if attached > 0 => Err(Refusal::FilesAttached { template: template() }),
            (None, None) => Ok(None),
            (Some(_), file) if attached + usize::from(file.is_some()) > 1 => Err(Refusal::TwoFiles),
            (Some(_), None) if attached == 1 => Ok(Some(MediaSource::Attached)),
            (Some(kind), None) => Err(Refusal::FileMissing { template: template(), kind }),
            (Some(wanted), Some(file)) => match file.kind.filter(|given| *given != wanted) {
                Some(given) => {
                    Err(Refusal::FileKind { template: template(), wanted, given: given.to_owned() })
                }
                None => Ok(Some(file.source.clone())),
            },
        }
    }

    pub(super) fn lengths(&self, values: &TemplateValues) -> Result<(), Refusal> {
        let within = |part: Part, text: &str, limit: usize| match split::length(text) {
            length if length > limit => {
                Err(Refusal::TooLong { template: self.called.clone(), part, limit, length })
            }
            _ => Ok(()),
        };
        within(Part::Body, &filled_body(self.template, values).unwrap_or_default(), BODY_LIMIT)?;
        within(Part::Header, values.header_text.as_deref().unwrap_or_default(), HEADER_LIMIT)?;
        for button in &values.buttons {
            match (&button.value, self.template.buttons.get(button.index)) {
                (ButtonFill::UrlSuffix(suffix), Some(Button::Url { url, .. })) => {
                    within(Part::Url, &filled_text(url, |_| Some(suffix)), URL_LIMIT)?;
                }
                (ButtonFill::Code(code), _) => within(Part::Code, code, CODE_LIMIT)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn label(&self, at: usize) -> String {
        match self.template.buttons.get(at) {
            Some(Button::Url { text, .. } | Button::CopyCode { text, .. } | Button::Otp { text }) => {
                text.clone()
            }
            _ => String::new(),
        }
    }

    fn twice(&self, name: &str) -> Refusal {
        Refusal::ValueTwice { template: self.called.clone(), variable: name.to_owned() }
    }

    fn button_given(&self, part: &str, twice: bool) -> Refusal {
        Refusal::ButtonGiven { template: self.called.clone(), part: part.to_owned(), twice }
    }
}

/// Buttons while they are filled.
struct Filling<'a> {
    typed: &'a Typed<'a>,
    values: Vec<ButtonValue>,
}

impl Filling<'_> {
    fn has(&self, at: usize) -> bool {
        self.values.iter().any(|value| value.index == at)
    }

    fn next_of(&self, places: &[usize]) -> Option<usize> {
        places.iter().copied().find(|at| !self.has(*at))
    }

    /// The end of an address; a whole address that begins as the button's does is taken for its end.
    fn url(&mut self, at: Option<usize>, text: &str, part: &str) -> Result<(), Refusal> {
        let text = clean(text);
        let base = match at.and_then(|at| self.typed.template.buttons.get(at)) {
            Some(Button::Url { url, .. }) => url.split("{{").next().unwrap_or_default(),
            _ => "",
        };
        let suffix = text.strip_prefix(base).filter(|_| !base.is_empty()).unwrap_or(&text).to_owned();
        self.put(at, ButtonFill::UrlSuffix(suffix), part)
    }

    fn put(&mut self, at: Option<usize>, value: ButtonFill, part: &str) -> Result<(), Refusal> {
        let Some(index) = at else {
            return Err(Refusal::NoButton { template: self.typed.called.clone(), part: part.to_owned() });
        };
        let (ButtonFill::UrlSuffix(text) | ButtonFill::Payload(text) | ButtonFill::Code(text)) = &value;
        if trimmed(text).is_empty() {
            return Err(self.typed.button_given(part, false));
        }
        if self.has(index) {
            return Err(self.typed.button_given(part, true));
        }
        self.values.push(ButtonValue { index, value });
        Ok(())
    }
}
