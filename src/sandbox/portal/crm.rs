//! The CRM's timeline (bitrix24 facts §8).

use serde_json::{Value, json};

use super::rest::{Args, RestError, fail, text};
use super::{Inner, SimPortal};

const ENTITIES: [&str; 4] = ["lead", "deal", "contact", "company"];

pub(super) fn call(inner: &Inner, method: &str, args: &Args) -> Result<Value, RestError> {
    match method {
        "crm.timeline.comment.add" => {
            let field =
                |name: &str| args.get("FIELDS").get(name).and_then(text).filter(|text| !text.is_empty());
            let missing = |name: &str| fail(400, "ERROR_CORE", &format!("Required field: {name}"));
            let id = field("ENTITY_ID")
                .and_then(|id| id.parse::<u64>().ok())
                .ok_or_else(|| missing("ENTITY_ID"))?;
            let kind = field("ENTITY_TYPE").filter(|kind| ENTITIES.contains(&kind.as_str()));
            let kind = kind.ok_or_else(|| missing("ENTITY_TYPE"))?;
            let comment = field("COMMENT").ok_or_else(|| missing("COMMENT"))?;
            let mut state = inner.state();
            state.comments.push(json!({"entity_type": kind, "entity_id": id, "comment": comment}));
            Ok(json!(state.comments.len()))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

impl SimPortal {
    /// Comments of the timeline, oldest first: `entity_type`, `entity_id`, `comment`.
    pub fn timeline(&self) -> Vec<Value> {
        self.inner.state().comments.clone()
    }
}
