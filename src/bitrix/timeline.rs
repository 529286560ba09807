//! Comments in the CRM's timeline (bitrix24 facts §8).

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
}

impl Method for CommentAdd<'_> {
    const NAME: &'static str = "crm.timeline.comment.add";
    type Output = ();

    fn params(&self) -> Value {
        json!({"fields": {"ENTITY_ID": self.id, "ENTITY_TYPE": self.kind, "COMMENT": self.text}})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        match int(result).is_some_and(|id| id > 0) {
            true => Ok(()),
            false => Err(CallError::Shape { what: "the comment's id" }),
        }
    }
}
