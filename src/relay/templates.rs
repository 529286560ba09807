//! Templates of an account, as filling and showing them needs them.

use crate::domain::Language;
use crate::domain::template::{Template, TemplateStatus, TemplateValues};
use crate::store::templates::{self, TemplateRow};
use crate::store::{Conn, StoreError};
use crate::translate::reconstruction;
use crate::translate::shorthand::ready;
use crate::whatsapp::template::{Stored, template};

/// Every known template of a WABA (our id), by name and language.
pub fn of_waba(conn: &mut Conn, waba_key: &str) -> Result<Vec<Template>, StoreError> {
    Ok(templates::for_waba(conn, waba_key)?.iter().map(definition).collect())
}

/// The template of a row.
pub fn definition(row: &TemplateRow) -> Template {
    template(Stored {
        id: &row.meta_id,
        name: &row.name,
        language: &row.language,
        status: &row.status,
        reason: row.reason.as_deref(),
        category: &row.category,
        parameter_format: &row.parameter_format,
        components: &row.components,
    })
}

/// The line that sends the template of a row, with example values, as if it were approved. `None`: no short
/// line can (a carousel, say).
pub fn shorthand(row: &TemplateRow) -> Option<String> {
    ready(&Template { status: TemplateStatus::Approved, ..definition(row) })
}

/// A template with values in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The values of the body, examples where none were given.
    pub values: Vec<String>,
    /// What the contact will read.
    pub preview: String,
    /// The line that sends it. `None`: no short line can.
    pub shorthand: Option<String>,
}

/// Fills a template for people to look at; what is empty or missing is an example.
pub fn composed(row: &TemplateRow, given: &[String], language: Language) -> Composed {
    let mut template = Template { status: TemplateStatus::Approved, ..definition(row) };
    let names = template.body_variables();
    let example = |index: usize| template.body_examples.get(index).cloned().unwrap_or_default();
    let values: Vec<String> = (0..names.len())
        .map(|index| {
            given.get(index).filter(|value| !value.is_empty()).cloned().unwrap_or_else(|| example(index))
        })
        .collect();
    template.body_examples.clone_from(&values);
    let filled = TemplateValues {
        header_text: template.header_examples.first().cloned(),
        body: values.clone(),
        buttons: Vec::new(),
    };
    Composed {
        values,
        preview: reconstruction::text(&template, &filled, language),
        shorthand: ready(&template),
    }
}
