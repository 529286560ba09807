//! Samples for media headers: fetched by the guarded fetcher and uploaded, so that a script needs no more than
//! an address (whatsapp-messaging facts §3.3).

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::super::{Setup, SetupError};
use crate::domain::WabaKey;
use crate::media::sniff::sniff;
use crate::whatsapp::client::Sample;

/// Types that Meta takes as the sample of a header.
const TYPES: [(&str, &[&str]); 3] =
    [("IMAGE", &["image/jpeg", "image/png"]), ("VIDEO", &["video/mp4"]), ("DOCUMENT", &["application/pdf"])];
/// Largest sample: that of a film (§3.2).
const LIMIT: usize = 16 * 1024 * 1024;

impl Setup {
    /// The components with a handle in place of each address of a sample.
    pub(super) async fn with_samples(
        &self,
        waba_key: &str,
        mut components: Vec<Value>,
    ) -> Result<Vec<Value>, SetupError> {
        for (index, component) in components.iter_mut().enumerate() {
            let address = component.pointer("/example/header_url").and_then(Value::as_str);
            let Some(address) = address.map(str::to_owned) else { continue };
            let format = component.get("format").and_then(Value::as_str).unwrap_or_default().to_uppercase();
            let field = format!("components[{index}].example.header_url");
            let handle = self.upload_sample(waba_key, &format, &address, &field).await?;
            if let Some(component) = component.as_object_mut() {
                component.insert("example".into(), json!({ "header_handle": [handle] }));
            }
        }
        Ok(components)
    }

    async fn upload_sample(
        &self,
        waba_key: &str,
        format: &str,
        address: &str,
        field: &str,
    ) -> Result<String, SetupError> {
        let wrong = |message: String| SetupError::field(field, message);
        let fetched = self.fetcher.get(address).await.map_err(|error| wrong(error.to_string()))?;
        let (mut body, mut bytes) = (fetched.body, Vec::new());
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| wrong(error.to_string()))?);
            if bytes.len() > LIMIT {
                return Err(wrong(format!("the file is larger than {LIMIT} bytes")));
            }
        }
        let kind = sniff(&bytes, fetched.content_type.as_deref(), fetched.name.as_deref());
        let wanted =
            TYPES.iter().find(|(word, _)| *word == format).map(|(_, types)| *types).unwrap_or_default();
        if !wanted.contains(&kind.essence()) {
            let types = wanted.join(" or ");
            return Err(wrong(format!("the file is {}; a header {format} wants {types}", kind.essence())));
        }
        let snapshot = self.directory.now();
        let waba = snapshot.waba(&WabaKey::from(waba_key)).ok_or(SetupError::NotFound("WABA"))?;
        let app = snapshot.app(&waba.app_id).ok_or(SetupError::NotFound("app"))?;
        let (graph, token, _) = self.waba_access(waba_key)?;
        let name = format!("sample.{}", kind.extension);
        let sample = Sample { name: &name, mime: kind.essence(), bytes: &bytes };
        Ok(self.counted("upload_sample", graph.upload_sample(&token, &app.client_id, sample).await)?)
    }
}
