//! Templates of an account, as filling and showing them needs them.

use crate::domain::template::Template;
use crate::store::templates::{self, TemplateRow};
use crate::store::{Conn, StoreError};
use crate::whatsapp::template::{Stored, template};

/// Every known template of a WABA (our id), by name and language.
pub fn of_waba(conn: &mut Conn, waba_key: &str) -> Result<Vec<Template>, StoreError> {
    Ok(templates::for_waba(conn, waba_key)?.iter().map(definition).collect())
}

/// The template of a row.
pub fn definition(row: &TemplateRow) -> Template {
    let told = template(Stored {
        id: &row.meta_id,
        name: &row.name,
        language: &row.language,
        status: &row.status,
        category: &row.category,
        parameter_format: &row.parameter_format,
        components: &row.components,
    });
    Template { reason: row.reason.clone(), ..told }
}
