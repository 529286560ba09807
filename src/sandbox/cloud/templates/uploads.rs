//! Resumable uploads: samples for the headers of templates (whatsapp facts §3.3).

use serde_json::{Value, json};

use super::super::SimCloud;
use super::super::errors::GraphError;
use super::super::server::{Call, Reply};

const TYPES: [&str; 5] = ["application/pdf", "image/jpeg", "image/jpg", "image/png", "video/mp4"];

/// An upload that was begun.
pub(in crate::sandbox::cloud) struct Session {
    length: usize,
    handle: Option<String>,
}

/// `POST /{app}/uploads` opens a session, `POST /{session}` takes the bytes, `GET /{session}` tells how far.
pub(in crate::sandbox::cloud) fn upload(cloud: &SimCloud, call: &Call) -> Result<Reply, GraphError> {
    let state = &mut *cloud.state();
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), segments.as_slice()) {
        ("POST", [_, "uploads"]) => {
            let text = |key: &str| call.query.get(key).map(String::as_str).unwrap_or_default();
            let length: usize = text("file_length")
                .parse()
                .map_err(|_| GraphError::parameter("(file_length) must be a number."))?;
            if !TYPES.contains(&text("file_type")) {
                return Err(GraphError::parameter("(file_type) is not a supported type."));
            }
            // Meta's ids are long and bear a signature as their query.
            let id = format!("upload:MTphdHRhY2htZW50{}", state.rng.object_id());
            state.uploads.insert(id.clone(), Session { length, handle: None });
            Ok(Reply::ok(json!({"id": format!("{id}?sig=ARZ{}", state.rng.object_id())})))
        }
        ("POST", [id]) => {
            let handle = format!("4::aW1hZ2UvanBlZw==:ARb{}", state.rng.object_id());
            let session = state.uploads.get_mut(*id).ok_or_else(|| GraphError::no_object("post", id))?;
            if call.body.len() != session.length {
                return Err(GraphError::parameter(
                    "The length of the file is not the one that was announced.",
                ));
            }
            session.handle = Some(handle.clone());
            Ok(Reply::ok(json!({ "h": handle })))
        }
        ("GET", [id]) => {
            let session = state.uploads.get(*id).ok_or_else(|| GraphError::no_object("get", id))?;
            let offset = if session.handle.is_some() { session.length } else { 0 };
            Ok(Reply::ok(json!({"id": id, "file_offset": offset})))
        }
        (method, _) => Err(GraphError::no_object(&method.to_lowercase(), "upload")),
    }
}

/// Whether a handle is one that an upload gave.
pub(super) fn is_handle(
    uploads: &std::collections::HashMap<String, Session>,
    handle: Option<&Value>,
) -> bool {
    let handle = handle.and_then(Value::as_str);
    handle.is_some() && uploads.values().any(|session| session.handle.as_deref() == handle)
}
