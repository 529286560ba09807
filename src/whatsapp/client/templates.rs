//! Templates of an account: list, create, edit, delete, and samples for their headers (whatsapp-messaging
//! facts §3.3, §4.1, §4.2).

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::Value;

use super::management::id_text;
use super::{FILE_TIMEOUT, GraphClient};
use crate::domain::{Secret, WabaId};
use crate::whatsapp::error::GraphError;
use crate::whatsapp::template::ListedTemplate;

const FIELDS: &str = "id,name,language,status,category,parameter_format,components,quality_score,\
    rejected_reason,correct_category";

/// What Meta says of a template that it has taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTemplate {
    /// Meta's id.
    pub id: String,
    /// `PENDING` as a rule.
    pub status: Option<String>,
    /// Perhaps another than the one asked for.
    pub category: Option<String>,
}

/// Templates of an account in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TemplateCounts {
    /// That it has.
    pub has: Option<usize>,
    /// That it may have.
    pub may: Option<usize>,
}

/// A sample file for a header.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub mime: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

#[derive(Deserialize)]
struct Session {
    id: String,
}

#[derive(Deserialize)]
struct Handle {
    h: String,
}

impl GraphClient {
    /// Every template of an account, page by page; one without id, name or language is left out.
    ///
    /// # Errors
    /// Also if the list has no end: what it does not show would be taken for deleted.
    pub async fn templates(&self, token: &Secret, waba: &WabaId) -> Result<Vec<ListedTemplate>, GraphError> {
        let path = [waba.as_str(), "message_templates"];
        let listed: Vec<Value> = self.list(token, &path, &[("fields", FIELDS)]).await?;
        Ok(listed.iter().filter_map(ListedTemplate::read).collect())
    }

    /// How many templates an account has, and how many it may have: `None` for what Meta does not tell (§4.1).
    pub async fn template_counts(&self, token: &Secret, waba: &WabaId) -> Result<TemplateCounts, GraphError> {
        let query =
            [("fields", "id"), ("limit", "1"), ("summary", "message_template_count,message_template_limit")];
        let request = self.call(Method::GET, token, &[waba.as_str(), "message_templates"])?.query(&query);
        let answer: Value = self.answer(request, token).await?;
        let number = |key: &str| {
            let number = answer.get("summary")?.get(key)?.as_u64()?;
            usize::try_from(number).ok()
        };
        Ok(TemplateCounts { has: number("message_template_count"), may: number("message_template_limit") })
    }

    /// One template, by Meta's id.
    pub async fn template(&self, token: &Secret, id: &str) -> Result<ListedTemplate, GraphError> {
        let request = self.call(Method::GET, token, &[id])?.query(&[("fields", FIELDS)]);
        let answer: Value = self.answer(request, token).await?;
        ListedTemplate::read(&answer).ok_or(GraphError::Unreadable { http: 200, retry_after: None })
    }

    /// Hands a new template in for review.
    pub async fn create_template(
        &self,
        token: &Secret,
        waba: &WabaId,
        template: &Value,
    ) -> Result<CreatedTemplate, GraphError> {
        let request = self.call(Method::POST, token, &[waba.as_str(), "message_templates"])?.json(template);
        let answer: Value = self.answer(request, token).await?;
        let word = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = answer.get("id").and_then(id_text);
        Ok(CreatedTemplate {
            id: id.ok_or(GraphError::Unreadable { http: 200, retry_after: None })?,
            status: word("status"),
            category: word("category"),
        })
    }

    /// Changes a template: all its components are replaced.
    pub async fn edit_template(&self, token: &Secret, id: &str, change: &Value) -> Result<(), GraphError> {
        let request = self.call(Method::POST, token, &[id])?.json(change);
        self.success(request, token).await
    }

    /// Deletes the template with this id, or without one the name in every language.
    pub async fn delete_template(
        &self,
        token: &Secret,
        waba: &WabaId,
        name: &str,
        id: Option<&str>,
    ) -> Result<(), GraphError> {
        let request = self.call(Method::DELETE, token, &[waba.as_str(), "message_templates"])?;
        let mut request = request.query(&[("name", name)]);
        if let Some(id) = id {
            request = request.query(&[("hsm_id", id)]);
        }
        self.success(request, token).await
    }

    /// Uploads a sample for the header of a template; gives the handle that stands for it (§3.3).
    pub async fn upload_sample(
        &self,
        token: &Secret,
        app_id: &str,
        sample: Sample<'_>,
    ) -> Result<String, GraphError> {
        let length = sample.bytes.len().to_string();
        let request = self.call(Method::POST, token, &[app_id, "uploads"])?.query(&[
            ("file_name", sample.name),
            ("file_length", length.as_str()),
            ("file_type", sample.mime),
        ]);
        let session: Session = self.answer(request, token).await?;
        // The id may bear a signature as its query.
        let (id, query) = session.id.split_once('?').unwrap_or((session.id.as_str(), ""));
        let mut address = self.address(&[id])?;
        address.set_query(Some(query).filter(|query| !query.is_empty()));
        let request = self
            .http
            .post(address)
            .header(AUTHORIZATION, format!("OAuth {}", token.expose()))
            .header("file_offset", "0")
            .timeout(FILE_TIMEOUT)
            .body(sample.bytes.to_vec());
        let handle: Handle = self.answer(request, token).await?;
        Ok(handle.h)
    }
}
