//! The template of a phone that carries a text while the window is closed.

use super::doctor::Words;
use super::{Setup, SetupError};
use crate::domain::Language;
use crate::domain::template::Template;
use crate::store::phones::PhoneRow;
use crate::store::templates::{self, TemplateRow};
use crate::translate::shorthand::{self, FillOptions};
use crate::whatsapp::template::{Stored, template};

impl Setup {
    /// Whether the template that a setting names can carry a text: it exists, is approved, and has exactly one
    /// variable. `Err` inside: why not.
    pub(super) async fn check_fallback(
        &self,
        phone: &PhoneRow,
        setting: &str,
    ) -> Result<Result<(), Words>, SetupError> {
        let waba = phone.waba_key.clone();
        let rows = self.db.read(move |conn| templates::for_waba(conn, &waba)).await?;
        let templates: Vec<Template> = rows.iter().map(definition).collect();
        let options = FillOptions { default_language: phone.default_language.as_deref(), attached: 0 };
        let checked = shorthand::check_fallback(setting, &templates, &options).map(drop);
        Ok(checked.map_err(|why| Words { en: why.text(Language::En), ru: why.text(Language::Ru) }))
    }
}

fn definition(row: &TemplateRow) -> Template {
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
