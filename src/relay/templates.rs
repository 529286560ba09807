//! Templates of an account, as filling and showing them needs them.

use crate::domain::template::{Template, TemplateStatus};
use crate::store::templates::{self, TemplateRow};
use crate::store::{Conn, StoreError};
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
