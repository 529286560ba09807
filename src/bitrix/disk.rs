//! Files on the portal's disk: `disk.file.get` (bitrix24 facts §6; scope `disk`).

use serde_json::{Value, json};

use super::error::CallError;
use super::lenient::text_at;
use super::method::Method;

/// `disk.file.get`: where a file can be fetched.
#[derive(Clone, Debug)]
pub struct DiskFileGet {
    /// Number of the file.
    pub id: String,
}

/// A file on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFile {
    /// Its name.
    pub name: String,
    /// Where it can be fetched; bears a token and lives as long as that.
    pub download_url: String,
}

impl Method for DiskFileGet {
    const NAME: &'static str = "disk.file.get";
    type Output = DiskFile;

    fn params(&self) -> Value {
        json!({"id": self.id})
    }

    fn read(&self, result: &Value) -> Result<DiskFile, CallError> {
        Ok(DiskFile {
            name: text_at(result, &["NAME"]).unwrap_or_default(),
            download_url: text_at(result, &["DOWNLOAD_URL"])
                .ok_or(CallError::Shape { what: "the address of a file on the disk" })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_address_are_read() {
        let get = DiskFileGet { id: "77".into() };
        assert_eq!(get.params(), json!({"id": "77"}));
        let result = json!({"ID": 77, "NAME": "offer.pdf", "DOWNLOAD_URL": "https://acme.example/rest/download.json?auth=x"});
        let file = get.read(&result).unwrap();
        assert_eq!(file.name, "offer.pdf");
        assert!(file.download_url.ends_with("auth=x"));
        assert!(get.read(&json!({"ID": 77})).is_err());
    }
}
