//! Comments in the CRM's timeline (bitrix24 facts §8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::CallError;
use super::lenient::int;
use super::method::Method;

/// `crm.timeline.comment.add`; needs the scope `crm`.
#[derive(Clone, Debug)]
pub struct CommentAdd<'a> {
    /// `lead`, `deal`, `contact` or `company`.
    pub kind: &'a str,
    /// The object's number.
    pub id: u64,
    /// The comment, BBCode.
    pub text: &'a str,
    /// A file beside it: name and content.
    pub file: Option<(String, Vec<u8>)>,
}

impl Method for CommentAdd<'_> {
    const NAME: &'static str = "crm.timeline.comment.add";
    type Output = ();

    fn params(&self) -> Value {
        let mut fields = json!({"ENTITY_ID": self.id, "ENTITY_TYPE": self.kind, "COMMENT": self.text});
        if let (Some((name, bytes)), Some(fields)) = (&self.file, fields.as_object_mut()) {
            fields.insert("FILES".to_owned(), json!([[name, STANDARD.encode(bytes)]]));
        }
        json!({ "fields": fields })
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        match int(result).is_some_and(|id| id > 0) {
            true => Ok(()),
            false => Err(CallError::Shape { what: "the comment's id" }),
        }
    }
}
