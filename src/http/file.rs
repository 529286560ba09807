//! A stored file as an HTTP answer: streamed, ranged, harmless in a browser.

use std::io::{self, SeekFrom};
use std::path::Path;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::{StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::media::disposition::content_disposition;
use crate::media::link::{CONTENT_SECURITY_POLICY, CONTENT_TYPE_OPTIONS, RangeOutcome, parse_range};

const CHUNK_BYTES: usize = 64 * 1024;

/// A file and how it is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Where it lies.
    pub path: &'a Path,
    /// Its type, as sniffed.
    pub mime: &'a str,
    /// Its name, as made safe.
    pub name: &'a str,
    /// What never changes while its bytes do not: the SHA-256 or the id.
    pub tag: &'a str,
}

/// Answers a GET or HEAD for a file: 200, 206, 416, or 404 if it is gone. The length is that of the file
/// itself. An `If-Range` that is not our tag makes the answer whole.
pub async fn serve(file: Shown<'_>, range: Option<&str>, if_range: Option<&str>) -> io::Result<HttpResponse> {
    let mut content = match tokio::fs::File::open(file.path).await {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HttpResponse::NotFound().finish()),
        Err(error) => return Err(error),
    };
    let size = content.metadata().await?.len();
    let tag = format!("\"{}\"", file.tag);
    let range = range.filter(|_| if_range.is_none_or(|wanted| wanted == tag));

    let (status, first, length) = match parse_range(range, size) {
        RangeOutcome::Whole => (StatusCode::OK, 0, size),
        RangeOutcome::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        RangeOutcome::Unsatisfiable => {
            return Ok(HttpResponse::RangeNotSatisfiable()
                .insert_header((header::CONTENT_RANGE, format!("bytes */{size}")))
                .finish());
        }
    };
    content.seek(SeekFrom::Start(first)).await?;
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((header::CONTENT_TYPE, content_type(file.mime)))
        .insert_header((header::CONTENT_DISPOSITION, content_disposition(file.mime, file.name)))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, CONTENT_TYPE_OPTIONS))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header(("x-robots-tag", "noindex"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, tag));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{size}", first + length - 1);
        answer.insert_header((header::CONTENT_RANGE, range));
    }
    let stream = ReaderStream::with_capacity(content.take(length), CHUNK_BYTES);
    Ok(answer.body(SizedStream::new(length, stream)))
}

/// Text of unknown encoding is left to the browser; a script type never leaves us as such.
fn content_type(mime: &str) -> &str {
    match mime {
        "" => "application/octet-stream",
        "text/html" | "image/svg+xml" | "text/xml" | "application/xml" | "application/xhtml+xml" => {
            "application/octet-stream"
        }
        mime => mime,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::{App, HttpRequest, HttpServer, web};

    use super::*;

    const TAG: &str = "abc";

    /// A real server on a free port that serves one file as `mime`; it ends with the test's runtime.
    fn server(path: std::path::PathBuf, mime: &'static str) -> SocketAddr {
        let handler = move |request: HttpRequest| {
            let path = path.clone();
            async move {
                let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
                let shown = Shown { path: &path, mime, name: "имя.bin", tag: TAG };
                serve(shown, header("range"), header("if-range")).await
            }
        };
        let server = HttpServer::new(move || App::new().default_service(web::to(handler.clone())))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        address
    }

    fn client() -> reqwest::Client {
        reqwest::Client::builder().tls_backend_preconfigured(crate::media::test_tls()).build().unwrap()
    }

    #[actix_web::test]
    async fn a_file_is_streamed_whole_and_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let url = format!("http://{}/", server(path, "video/mp4"));

        let whole = client().get(&url).send().await.unwrap();
        assert_eq!(whole.status(), 200);
        let headers = whole.headers().clone();
        assert_eq!(headers["content-length"], "200000");
        assert_eq!(headers["content-type"], "video/mp4");
        assert_eq!(headers["accept-ranges"], "bytes");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
        assert!(headers["content-disposition"].to_str().unwrap().starts_with("inline;"));
        assert_eq!(whole.bytes().await.unwrap(), bytes);

        let part = client().get(&url).header("range", "bytes=150000-199998").send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], "bytes 150000-199998/200000");
        assert_eq!(part.headers()["content-length"], "49999");
        assert_eq!(part.bytes().await.unwrap(), &bytes[150_000..=199_998]);

        let beyond = client().get(&url).header("range", "bytes=200000-").send().await.unwrap();
        assert_eq!(beyond.status(), 416);
        assert_eq!(beyond.headers()["content-range"], "bytes */200000");

        for (tag, status) in [("\"abc\"", 206), ("\"other\"", 200)] {
            let request = client().get(&url).header("range", "bytes=0-1").header("if-range", tag);
            assert_eq!(request.send().await.unwrap().status(), status);
        }
        let head = client().head(&url).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], "200000");
        assert!(head.bytes().await.unwrap().is_empty());
    }

    #[actix_web::test]
    async fn a_page_leaves_as_an_attachment_without_its_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "<script>alert(1)</script>").unwrap();
        let answer = client().get(format!("http://{}/", server(path, "text/html"))).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment;"));
    }

    #[actix_web::test]
    async fn a_file_that_is_gone_is_not_found() {
        let url = format!("http://{}/", server("/nonexistent/file".into(), "image/png"));
        assert_eq!(client().get(url).send().await.unwrap().status(), 404);
    }
}
