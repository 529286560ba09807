//! Reads what the checks of the bridge itself judge.

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::bridge::{self, Queue};
use super::finding::{Check, Finding, Kind, Subject};
use super::{Look, certificate, public};
use crate::config::TlsFiles;
use crate::setup::Setup;
use crate::store::{jobs, messages, migrate, vault};
use crate::tls::ReloadingCert;

impl Setup {
    pub(super) async fn examine_bridge(&self, look: &Look) -> Vec<Finding> {
        let subject = Subject { kind: Kind::Bridge, id: "bridge".to_owned(), name: "wabridge".to_owned() };
        let now = self.clock.now();
        let mut found = vec![public::address(&subject, &self.config.public_url)];
        if look.thorough {
            let reached = public::reach(self.probe.get(self.public("/healthz"))).await;
            found.push(public::healthz(&subject, &reached));
        }
        let meta = public::reach(self.probe.head(self.config.meta.graph_url.clone())).await;
        found.push(public::clock(&subject, &meta, now));
        // Files may lie on a disk of their own.
        let places = [self.config.data_dir.as_path(), self.blobs.root()];
        found.push(bridge::disk(&subject, places.into_iter().filter_map(free_space).min()));
        let failure = self.db.write(|tx| vault::touch(tx.conn)).await.err().map(|error| error.to_string());
        found.push(bridge::database(&subject, failure.as_deref()));
        let current = self.db.read(migrate::is_current).await.ok();
        found.push(bridge::schema(&subject, current));
        let read = self.db.read(|conn| {
            let ((ready, oldest), (dead, _)) = (jobs::depth(conn, "ready")?, jobs::depth(conn, "dead")?);
            Ok((Queue { oldest, ready, dead }, messages::last_inbound(conn)?))
        });
        if let Ok((queue, last)) = read.await {
            found.extend(bridge::queue(&subject, &queue, now));
            found.push(bridge::last_message(&subject, last, now));
        }
        if let Some(files) = &self.config.http.tls {
            let check = Check("bridge.certificate", &subject);
            found.push(certificate::days_left(check, end_of(files).await, now));
        }
        found.extend(self.examine_edge(&subject, look).await);
        let refused = (!look.beside).then(|| self.metrics.signature_failures());
        found.push(bridge::signatures(&subject, refused));
        found
    }

    /// A signed notification without news, as large as Meta's largest, through the callback address.
    pub(super) fn own_notification(&self, callback: &str, signature: String) -> reqwest::RequestBuilder {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, reqwest::header::HeaderValue::from_static("application/json"));
        self.probe
            .post(callback)
            .headers(headers)
            .header(crate::whatsapp::signature::HEADER, signature)
            .body(own_body())
    }
}

/// When the certificate in these files ends.
pub(super) async fn end_of(files: &TlsFiles) -> Result<Option<DateTime<Utc>>, String> {
    let files = files.clone();
    let read =
        tokio::task::spawn_blocking(move || ReloadingCert::load(&files.certificate, &files.private_key));
    match read.await {
        Ok(Ok(certificate)) => Ok(certificate.expires()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the files could not be read".to_owned()),
    }
}

/// Meta's bodies have up to 3 MB (whatsapp-messaging facts §1.3).
const LARGEST: usize = 3_000_000;

/// A notification that holds nothing but its size.
pub(super) fn own_body() -> String {
    let (head, tail) = (r#"{"object":"whatsapp_business_account","entry":[],"padding":""#, r#""}"#);
    format!("{head}{}{tail}", "x".repeat(LARGEST - head.len() - tail.len()))
}

/// Bytes that we may still write beside our data.
fn free_space(path: &std::path::Path) -> Option<u64> {
    let told = rustix::fs::statvfs(path).ok()?;
    told.f_bavail.checked_mul(told.f_frsize)
}
