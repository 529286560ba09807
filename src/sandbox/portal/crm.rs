//! The CRM's timeline (bitrix24 facts §8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
            let files = files(args.get("FIELDS").get("FILES"))
                .ok_or_else(|| fail(400, "ERROR_CORE", "A file is a name and its content in base64."))?;
            let mut state = inner.state();
            state
                .comments
                .push(json!({"entity_type": kind, "entity_id": id, "comment": comment, "files": files}));
            Ok(json!(state.comments.len()))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

/// Names and sizes of `[["name", "base64"]]`.
fn files(given: Option<&Value>) -> Option<Vec<Value>> {
    let pairs = match given {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Array(pairs)) => pairs.clone(),
        Some(Value::Object(pairs)) => pairs.values().cloned().collect(),
        Some(_) => return None,
    };
    let file = |pair: &Value| {
        let part = |at: usize| pair.get(at).or_else(|| pair.get(at.to_string())).and_then(Value::as_str);
        let bytes = STANDARD.decode(part(1)?).ok()?;
        Some(json!({"name": part(0)?, "size": bytes.len()}))
    };
    pairs.iter().map(file).collect()
}

impl SimPortal {
    /// Comments of the timeline, oldest first: `entity_type`, `entity_id`, `comment`, `files` by name and size.
    pub fn timeline(&self) -> Vec<Value> {
        self.inner.state().comments.clone()
    }
}
