//! The portal's disk, as far as files are read from it (bitrix24 facts §6).

use std::sync::Arc;

use serde_json::{Value, json};

use super::events::download_link;
use super::operator::SimFile;
use super::rest::{Args, RestError, fail, missing, text};
use super::state::LineFile;
use super::{Inner, SimPortal};

pub(super) fn call(inner: &Inner, method: &str, args: &Args) -> Result<Value, RestError> {
    match method {
        "disk.file.get" => {
            let id = args.get("ID");
            let id = text(id).and_then(|id| id.parse::<u64>().ok()).ok_or_else(|| missing("id"))?;
            let state = inner.state();
            let stored = state.files.get(&id).filter(|_| state.disk.contains(&id));
            let stored =
                stored.ok_or_else(|| fail(400, "ERROR_NOT_FOUND", "Could not find entity with id `X`."))?;
            Ok(json!({
                "ID": id.to_string(), "NAME": stored.file.name, "CODE": null, "STORAGE_ID": "1", "TYPE": "file",
                "PARENT_ID": "1", "DELETED_TYPE": "0", "SIZE": stored.file.size.to_string(),
                "DOWNLOAD_URL": download_link(&state, id),
                "DETAIL_URL": format!("http://{}/disk/file/{}", state.domain, stored.file.name),
            }))
        }
        _ => Err(fail(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

impl SimPortal {
    /// Puts a file on the portal's disk; gives its number.
    pub fn put_on_disk(&self, file: SimFile) -> u64 {
        let file = LineFile {
            name: file.name,
            mime: file.mime,
            size: file.bytes.len(),
            bytes: Arc::from(file.bytes),
        };
        let mut state = self.inner.state();
        let id = state.store_file(file);
        state.disk.insert(id);
        id
    }
}
