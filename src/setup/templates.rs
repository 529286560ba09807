//! Message templates of accounts: shown, created, edited, deleted (whatsapp-messaging facts §4).

mod allowance;
mod draft;
mod sync;

use serde_json::{Value, json};

use super::behalf::{Object, stale};
use super::doctor::Scope;
use super::validate::Faults;
use super::{Setup, SetupError};
use crate::clock::new_id;
use crate::domain::PhoneNumber;
use crate::store::templates::{self, Filter, SyncRow, TemplateRow};
use crate::store::{Conn, Page, template_changes};
use crate::whatsapp::client::TemplateCounts;
use crate::whatsapp::template::ListedTemplate;
use crate::whatsapp::template::rules::{self, Fault, Kind};

pub use sync::Synced;

/// States in which Meta lets a template be edited.
pub const EDITABLE: [&str; 3] = ["APPROVED", "REJECTED", "PAUSED"];

/// A template to be handed in.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    /// Our id of its WABA.
    pub waba_id: String,
    /// Name.
    pub name: String,
    /// Language.
    pub language: String,
    /// Price class.
    pub category: String,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: Option<String>,
    /// Components as Meta has them; the sample of a media header may be an address (`example.header_url`).
    pub components: Vec<Value>,
}

/// What of a template changes.
#[derive(Clone, Debug, Default)]
pub struct TemplateChange {
    /// Price class; not of an approved one.
    pub category: Option<String>,
    /// All its components anew.
    pub components: Option<Vec<Value>>,
}

impl Setup {
    /// A page of templates.
    pub async fn templates(&self, filter: Filter, page: Page) -> Result<Vec<TemplateRow>, SetupError> {
        Ok(self.db.read(move |conn| templates::filtered(conn, &filter, &page)).await?)
    }

    /// A template, by our id.
    pub async fn template(&self, id: &str) -> Result<TemplateRow, SetupError> {
        let id = id.to_owned();
        self.db.read(move |conn| templates::get(conn, &id)).await?.ok_or(SetupError::NotFound("template"))
    }

    /// How the last reading of each account's templates went.
    pub async fn template_syncs(&self) -> Result<Vec<SyncRow>, SetupError> {
        Ok(self.db.read(templates::syncs).await?)
    }

    /// Hands a template in for review, once it keeps the documented rules.
    pub async fn create_template(&self, new: NewTemplate) -> Result<TemplateRow, SetupError> {
        let NewTemplate { waba_id, name, language, category, parameter_format, components } = new;
        let (language, category) = (language.replace('-', "_"), category.to_uppercase());
        let format = parameter_format.map(|format| format.to_uppercase());
        let mut faults = Faults::default();
        if self.directory.now().wabas.iter().all(|waba| waba.key.as_str() != waba_id) {
            faults.add("waba_id", "is not the id of a WABA");
        }
        let kind = Kind { category: &category, named: format.as_deref() == Some("NAMED") };
        tell(&mut faults, rules::check_head(&name, &language, &category, format.as_deref()));
        tell(&mut faults, rules::check_components(kind, &components));
        faults.done()?;
        let (key, known_name, known_language) = (waba_id.clone(), name.clone(), language.clone());
        let known =
            self.db.read(move |conn| templates::by_name(conn, &key, &known_name, &known_language)).await?;
        if known.is_some() {
            return Err(SetupError::Conflict(format!("the template {name} ({language}) exists already")));
        }
        self.may_create_template(&waba_id).await?;
        let (graph, token, meta_id) = self.waba_access(&waba_id)?;
        let components = self.with_samples(&waba_id, components).await?;
        let mut body = json!({
            "name": name, "language": language, "category": category, "components": components,
        });
        if let (Some(format), Some(body)) = (&format, body.as_object_mut()) {
            body.insert("parameter_format".into(), format.as_str().into());
        }
        let created =
            self.counted("create_template", graph.create_template(&token, &meta_id, &body).await)?;
        let sent = ListedTemplate {
            id: created.id.clone(),
            name,
            language,
            status: created.status.unwrap_or_else(|| "PENDING".to_owned()),
            reason: None,
            category: created.category.unwrap_or(category),
            next_category: None,
            quality: None,
            parameter_format: format.unwrap_or_else(|| "POSITIONAL".to_owned()),
            components: Value::Array(components),
        };
        self.store_template("create", &waba_id, sent).await
    }

    /// Edits a template: Meta replaces all its components, and reviews it again.
    pub async fn change_template(&self, id: &str, change: TemplateChange) -> Result<TemplateRow, SetupError> {
        let row = self.template(id).await?;
        if self.behalf.is_stale(row.updated_at) {
            return Err(stale());
        }
        let category = change.category.map(|category| category.to_uppercase());
        let mut faults = Faults::default();
        let new_category = category.as_deref().filter(|category| *category != row.category);
        if let Some(category) = new_category {
            let head = rules::check_head(&row.name, &row.language, category, None);
            tell(&mut faults, head.into_iter().filter(|fault| fault.field == "category").collect());
            if row.status == "APPROVED" {
                faults.add("category", "the category of an approved template cannot be changed");
            }
        }
        let kind = Kind {
            category: category.as_deref().unwrap_or(&row.category),
            named: row.parameter_format == "NAMED",
        };
        if let Some(components) = &change.components {
            tell(&mut faults, rules::check_components(kind, components));
        }
        faults.done()?;
        if !EDITABLE.contains(&row.status.as_str()) {
            let states = EDITABLE.join(", ");
            let text = format!("the template is {}; it can be edited when it is {states}", row.status);
            return Err(SetupError::Conflict(text));
        }
        let mut body = serde_json::Map::new();
        if let Some(category) = new_category {
            body.insert("category".into(), category.into());
        }
        if let Some(components) = change.components {
            let components = self.with_samples(&row.waba_key, components).await?;
            body.insert("components".into(), Value::Array(components));
        }
        if body.is_empty() {
            return Ok(row);
        }
        self.may_edit_template(&row).await?;
        let (graph, token, _) = self.waba_access(&row.waba_key)?;
        let body = Value::Object(body);
        self.counted("edit_template", graph.edit_template(&token, &row.meta_id, &body).await)?;
        self.store_template("change", &row.waba_key, edited(&row, &body)).await
    }

    /// Deletes a template at Meta and here; in every language of its name, if that is wished.
    pub async fn delete_template(&self, id: &str, all_languages: bool) -> Result<(), SetupError> {
        let row = self.template(id).await?;
        let (graph, token, meta_id) = self.waba_access(&row.waba_key)?;
        let one = (!all_languages).then_some(row.meta_id.as_str());
        let outcome = graph.delete_template(&token, &meta_id, &row.name, one).await;
        self.counted("delete_template", outcome)?;
        let (own, scope) = (self.clone(), Scope::Waba(row.waba_key.clone()));
        self.db
            .write(move |tx| {
                let all = templates::for_waba(tx.conn, &row.waba_key)?;
                for other in all.iter().filter(|other| all_languages && other.name == row.name) {
                    templates::delete(tx.conn, &other.id)?;
                }
                templates::delete(tx.conn, &row.id)?;
                own.note(tx, "delete", object(&row), Some(&row), None)
            })
            .await?;
        self.check_later(scope);
        Ok(())
    }

    /// Writes down that somebody sent a template to try it out.
    pub async fn note_template_test(&self, row: &TemplateRow, to: &PhoneNumber) -> Result<(), SetupError> {
        let after = json!({ "language": row.language, "to": to.to_string() });
        self.note_deed("test", ("template", &row.id, &row.name), after).await
    }

    async fn may_create_template(&self, waba_key: &str) -> Result<(), SetupError> {
        let (key, now) = (waba_key.to_owned(), self.clock.now());
        let read = move |conn: &mut Conn| {
            let since = allowance::creations_since(now);
            Ok((template_changes::creations(conn, &key, since)?, templates::for_waba(conn, &key)?.len()))
        };
        let (created, mut has) = self.db.read(read).await?;
        let mut most = None;
        if allowance::is_near_limit(has) {
            let counts = self.template_counts(waba_key).await?;
            (has, most) = (counts.has.unwrap_or_default().max(has), counts.may);
        }
        allowance::creation(&created, has, most, now).map_err(SetupError::Conflict)
    }

    /// How many templates Meta says that an account has and may have; where it does not say, what follows from the
    /// states of the business and of its numbers' names. What cannot be read is not known.
    async fn template_counts(&self, waba_key: &str) -> Result<TemplateCounts, SetupError> {
        let (graph, token, waba_id) = self.waba_access(waba_key)?;
        let counts = self.counted("template_counts", graph.template_counts(&token, &waba_id).await);
        let counts = counts.unwrap_or_default();
        if counts.may.is_some() {
            return Ok(counts);
        }
        let (Ok(waba), Ok(phones)) = (
            self.counted("waba", graph.waba(&token, &waba_id).await),
            self.counted("phone_numbers", graph.phone_numbers(&token, &waba_id).await),
        ) else {
            return Ok(counts);
        };
        let names: Vec<Option<String>> = phones.into_iter().map(|phone| phone.name_status).collect();
        let may = allowance::most(waba.business_verification_status.as_deref(), &names);
        Ok(TemplateCounts { may, ..counts })
    }

    /// What is not approved may be edited without limit.
    async fn may_edit_template(&self, row: &TemplateRow) -> Result<(), SetupError> {
        if row.status != "APPROVED" {
            return Ok(());
        }
        let (key, id, now) = (row.waba_key.clone(), row.meta_id.clone(), self.clock.now());
        let read = move |conn: &mut Conn| template_changes::edits(conn, &key, &id, now - allowance::MONTH);
        let edited = self.db.read(read).await?;
        allowance::edit(&edited, now).map_err(SetupError::Conflict)
    }

    /// Writes what Meta has now, or if that cannot be read what it was sent.
    async fn store_template(
        &self,
        action: &'static str,
        waba_key: &str,
        sent: ListedTemplate,
    ) -> Result<TemplateRow, SetupError> {
        let (graph, token, _) = self.waba_access(waba_key)?;
        let read = self.counted("template", graph.template(&token, &sent.id).await);
        let listed = read.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "a template that Meta has taken cannot be read back yet");
            sent
        });
        let now = self.clock.now();
        let row = row_of(waba_key, listed, now.naive_utc());
        let (stored, own) = (row.clone(), self.clone());
        let written = self
            .db
            .write(move |tx| {
                let read = |conn: &mut Conn| {
                    templates::by_name(conn, &stored.waba_key, &stored.name, &stored.language)
                };
                let before = read(tx.conn)?;
                templates::put(tx.conn, &stored)?;
                let edited = (action == "change").then_some(stored.meta_id.as_str());
                template_changes::note(tx.conn, &stored.waba_key, edited, now)?;
                let after = read(tx.conn)?;
                if let Some(after) = &after {
                    own.note(tx, action, object(after), before.as_ref(), Some(after))?;
                }
                Ok(after)
            })
            .await?;
        self.check_later(Scope::Waba(waba_key.to_owned()));
        Ok(written.unwrap_or(row))
    }
}

fn row_of(waba_key: &str, listed: ListedTemplate, now: chrono::NaiveDateTime) -> TemplateRow {
    TemplateRow {
        id: new_id(),
        waba_key: waba_key.to_owned(),
        meta_id: listed.id,
        name: listed.name,
        language: listed.language,
        status: listed.status,
        reason: listed.reason,
        category: listed.category,
        next_category: listed.next_category,
        quality: listed.quality,
        parameter_format: listed.parameter_format,
        components: listed.components.to_string(),
        synced_at: now,
        created_at: now,
        updated_at: now,
        moved_from: None,
        moved_at: None,
    }
}

/// What a template is after an edit: under review again.
fn edited(row: &TemplateRow, body: &Value) -> ListedTemplate {
    let stored = || serde_json::from_str(&row.components).unwrap_or_default();
    let category = body.get("category").and_then(Value::as_str).unwrap_or(&row.category);
    ListedTemplate {
        id: row.meta_id.clone(),
        name: row.name.clone(),
        language: row.language.clone(),
        status: "PENDING".to_owned(),
        reason: None,
        category: category.to_owned(),
        next_category: None,
        quality: row.quality.clone(),
        parameter_format: row.parameter_format.clone(),
        components: body.get("components").cloned().unwrap_or_else(stored),
    }
}

fn object(row: &TemplateRow) -> Object<'_> {
    Object { kind: "template", id: &row.id, name: &row.name }
}

fn tell(faults: &mut Faults, found: Vec<Fault>) {
    for Fault { field, message } in found {
        faults.add(&field, message);
    }
}
