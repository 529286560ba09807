//! Brings an answer of Meta's media server to disk and checks that it is the file that was meant.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::blobs::{BlobError, BlobStore, StoredBlob, WriteLimits};
use crate::domain::Verdict;

/// Why a download was not stored. Nothing of it remains on disk.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// An answer other than 2xx: 404 asks for a new address (whatsapp-messaging facts §3.1).
    #[error("the media server answered {0}")]
    Status(u16),
    /// The bytes are not those that were announced.
    #[error("the file that arrived is not the one that was announced")]
    Digest,
    /// It could not be written or read to its end.
    #[error("the file was not stored")]
    Store(#[source] BlobError),
}

impl DownloadError {
    /// Only a file over the limit is given up; a fresh address or another try may mend the rest.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Status(_) | Self::Digest => Verdict::Retry,
            Self::Store(error) => error.verdict(),
        }
    }
}

/// Streams an answer to disk. `sha256` is what the webhook (base64) or the media object (hex) announced;
/// one of any other shape is ignored.
pub async fn save_download(
    response: reqwest::Response,
    store: &BlobStore,
    limits: WriteLimits,
    sha256: Option<&str>,
) -> Result<StoredBlob, DownloadError> {
    if !response.status().is_success() {
        return Err(DownloadError::Status(response.status().as_u16()));
    }
    if response.content_length().is_some_and(|length| length > limits.max_bytes) {
        return Err(DownloadError::Store(BlobError::TooLarge { limit: limits.max_bytes }));
    }
    let stream = futures_util::StreamExt::map(response.bytes_stream(), |chunk| {
        // The address holds a signature, and errors reach the log.
        chunk.map_err(reqwest::Error::without_url)
    });
    let blob = store.write(stream, limits).await.map_err(DownloadError::Store)?;
    match sha256.and_then(digest_hex) {
        Some(announced) if announced != blob.sha256_hex => {
            store.remove(&blob.id).await.map_err(DownloadError::Store)?;
            Err(DownloadError::Digest)
        }
        _ => Ok(blob),
    }
}

/// A SHA-256 in hex or base64 as lower-case hex.
pub fn digest_hex(text: &str) -> Option<String> {
    let text = text.trim();
    let bytes = if text.len() == 64 { hex::decode(text).ok() } else { STANDARD.decode(text).ok() }?;
    (bytes.len() == 32).then(|| hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sha2::{Digest, Sha256};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LIMITS: WriteLimits = WriteLimits { max_bytes: 100, deadline: Duration::from_secs(5) };

    /// The answer of a real server that says `text` once.
    async fn answer(text: &'static str) -> reqwest::Response {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?hash=secret", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            socket.write_all(text.as_bytes()).await.unwrap();
        });
        let client = reqwest::Client::builder().tls_backend_preconfigured(crate::media::test_tls());
        client.build().unwrap().get(url).send().await.unwrap()
    }

    const ABC: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";

    fn store() -> (tempfile::TempDir, BlobStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path().join("media")).unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_digest_in_hex_or_base64_is_verified_and_another_shape_ignored() {
        let (_folder, store) = store();
        let digest = Sha256::digest(b"abc");
        for announced in [hex::encode_upper(digest), STANDARD.encode(digest), "?".to_owned(), String::new()] {
            let blob = save_download(answer(ABC).await, &store, LIMITS, Some(&announced)).await.unwrap();
            assert_eq!(store.read(&blob.id).await.unwrap(), b"abc");
        }
    }

    #[tokio::test]
    async fn another_file_than_announced_is_not_kept() {
        let (_folder, store) = store();
        let announced = hex::encode(Sha256::digest(b"abd"));
        let error = save_download(answer(ABC).await, &store, LIMITS, Some(&announced)).await.unwrap_err();
        assert!(matches!(error, DownloadError::Digest));
        assert_eq!(store.total_size().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_refusal_a_giant_and_a_torn_file_are_not_kept() {
        let (_folder, store) = store();
        for (text, verdict) in [
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n<html", Verdict::Retry),
            ("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\nabc", Verdict::GiveUp),
            ("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc", Verdict::Retry),
        ] {
            let error = save_download(answer(text).await, &store, LIMITS, None).await.unwrap_err();
            assert_eq!(error.verdict(), verdict, "{error:?}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert_eq!(store.total_size().await.unwrap(), 0);
    }
}
