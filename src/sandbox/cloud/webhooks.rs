//! Delivery of webhooks: batching, signing, repeating (whatsapp facts §1.2–1.4).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::SimCloud;
use super::faults::take;
use super::options::BatchShape;
use super::raw::{meta_json, signature};

/// Updates in one notification at most, whatever is asked for.
const MOST: usize = 1000;

/// One thing to tell.
#[derive(Clone)]
pub(super) struct Update {
    pub waba_id: String,
    pub phone_number_id: Option<String>,
    pub field: String,
    pub value: Value,
    /// `entry[].time`, on account and template fields.
    pub time: Option<i64>,
    /// Dropped when the update is delivered, for whoever waits.
    #[expect(dead_code, reason = "its drop is what it tells")]
    pub done: Option<mpsc::Sender<()>>,
}

/// What is to be delivered to one app, in order of creation.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    wake: Notify,
    in_flight: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    updates: VecDeque<Update>,
    batch_next: Option<usize>,
}

impl Outbox {
    pub fn push(&self, update: Update) {
        self.queue().updates.push_back(update);
        self.wake();
    }

    pub fn batch_next(&self, count: usize) {
        self.queue().batch_next = Some(count.clamp(1, MOST));
    }

    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Updates that have not been answered with 200 yet.
    pub fn pending(&self) -> usize {
        let queue = self.queue();
        queue.updates.len() + self.in_flight.load(Ordering::Acquire)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, at_most: usize) -> Option<Vec<Update>> {
        let mut queue = self.queue();
        if queue.updates.is_empty() || queue.batch_next.is_some_and(|count| queue.updates.len() < count) {
            return None;
        }
        let count = queue.batch_next.take().unwrap_or(at_most).min(queue.updates.len());
        self.in_flight.fetch_add(count, Ordering::AcqRel);
        Some(queue.updates.drain(..count).collect())
    }
}

/// The client that calls callbacks: no redirects, no proxy.
pub(super) fn client(timeout: Duration) -> io::Result<reqwest::Client> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .user_agent("facebookexternalua")
        .build()
        .map_err(io::Error::other)
}

/// The GET handshake of a callback (facts §1.1): 200 and the challenge as the body, or why not.
pub(super) async fn handshake(cloud: &SimCloud, url: &str, verify_token: &str) -> Result<(), String> {
    let challenge = (cloud.state().rng.next() % 2_000_000_000).to_string();
    let query = [
        ("hub.mode", "subscribe"),
        ("hub.challenge", challenge.as_str()),
        ("hub.verify_token", verify_token),
    ];
    let answer = cloud.inner.http.get(url).query(&query).send().await.map_err(|_| "no answer".to_owned())?;
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap_or_default();
    match status {
        200 if body == challenge => Ok(()),
        200 => Err("the challenge did not come back".to_owned()),
        other => Err(format!("HTTP Status Code = {other}")),
    }
}

/// Delivers the outbox of one app until the cloud stops.
pub(super) async fn pump(cloud: SimCloud, client_id: String, outbox: Arc<Outbox>) {
    let concurrency = cloud.inner.options.concurrency.max(1);
    let permits = Arc::new(Semaphore::new(concurrency));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let Some(batch) = next(&cloud, &outbox).await else { return };
        let delivery = {
            let (cloud, client_id, outbox) = (cloud.clone(), client_id.clone(), outbox.clone());
            async move {
                let count = batch.len();
                deliver(&cloud, &client_id, batch).await;
                outbox.in_flight.fetch_sub(count, Ordering::AcqRel);
                cloud.touch();
                drop(permit);
            }
        };
        if concurrency == 1 {
            delivery.await;
        } else {
            cloud.inner.tasks.spawn(delivery);
        }
    }
}

async fn next(cloud: &SimCloud, outbox: &Outbox) -> Option<Vec<Update>> {
    loop {
        let (paused, most) = {
            let state = cloud.state();
            (
                state.faults.webhooks_paused,
                state.faults.max_batch.unwrap_or(cloud.inner.options.max_batch).clamp(1, MOST),
            )
        };
        if !paused && let Some(batch) = outbox.pop(most) {
            return Some(batch);
        }
        tokio::select! {
            () = cloud.inner.cancel.cancelled() => return None,
            () = outbox.wake.notified() => {}
        }
    }
}

/// One notification per callback address, each until its 200.
async fn deliver(cloud: &SimCloud, client_id: &str, batch: Vec<Update>) {
    let mut groups: Vec<(Option<String>, Vec<Update>)> = Vec::new();
    {
        let state = cloud.state();
        for update in batch {
            let url = state.callback(client_id, &update);
            match groups.last_mut() {
                Some((last, updates)) if *last == url => updates.push(update),
                _ => groups.push((url, vec![update])),
            }
        }
    }
    for (_, updates) in groups {
        if !until_taken(cloud, client_id, &updates).await {
            return;
        }
    }
}

/// False if the cloud stopped before the 200.
async fn until_taken(cloud: &SimCloud, client_id: &str, updates: &[Update]) -> bool {
    let Some(first) = updates.first() else { return true };
    let notification = notification(updates, cloud.inner.options.batch_shape);
    let body = meta_json(&notification);
    let retry = cloud.inner.options.retry;
    let mut pause = Duration::ZERO;
    for attempt in 1_u32.. {
        // Looked up anew each time: the callback may have moved meanwhile.
        let (url, secret, doubled) = {
            let mut state = cloud.state();
            let doubled = {
                let probability = state.faults.webhook_doubled;
                state.dice.chance(probability)
            };
            let Some(app) = state.apps.get(client_id) else { return true };
            let mut secret = app.info.client_secret.clone();
            if take(&mut state.faults.webhook_bad_signature_next) {
                secret.push_str("-wrong");
            }
            (state.callback(client_id, first), secret, doubled)
        };
        let Some(url) = url else { return true };
        let signature = signature(&secret, body.as_bytes());
        let post = async {
            let mut answer = post(cloud, &url, &signature, &body).await;
            if answer == Some(200) && doubled {
                answer = post(cloud, &url, &signature, &body).await.and(answer);
            }
            answer
        };
        let answer = tokio::select! {
            () = cloud.inner.cancel.cancelled() => return false,
            answer = post => answer,
        };
        cloud.tell(|| {
            json!({"kind": "webhook", "at": cloud.now().to_rfc3339(), "app": client_id, "url": url,
                "attempt": attempt, "status": answer, "body": notification})
        });
        cloud.touch();
        if answer == Some(200) {
            return true;
        }
        if cloud.state().faults.retries_reach_all_apps {
            repeat_to_others(cloud, client_id, updates);
        }
        if attempt > 1 {
            pause = (pause * 2).clamp(retry.first, retry.max);
        }
        tokio::select! {
            () = cloud.inner.cancel.cancelled() => return false,
            () = tokio::time::sleep(pause) => {}
        }
    }
    true
}

/// The status of the answer, or `None` without one.
async fn post(cloud: &SimCloud, url: &str, signature: &str, body: &str) -> Option<u16> {
    let answer = cloud
        .inner
        .http
        .post(url)
        .header("Content-Type", "application/json")
        .header("X-Hub-Signature-256", signature)
        .body(body.to_owned())
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    // Read to its end, so that the connection is used again.
    answer.bytes().await.ok()?;
    Some(status)
}

fn repeat_to_others(cloud: &SimCloud, client_id: &str, updates: &[Update]) {
    let state = cloud.state();
    for update in updates {
        let Some(waba) = state.wabas.get(&update.waba_id) else { continue };
        for other in waba.subscribed.iter().filter(|entry| entry.client_id != client_id) {
            if let Some(app) = state.apps.get(&other.client_id) {
                app.outbox.push(Update { done: None, ..update.clone() });
            }
        }
    }
}

/// The envelope (facts §1.6) of these updates, their order kept.
fn notification(updates: &[Update], shape: BatchShape) -> Value {
    let mut entries: Vec<Value> = Vec::new();
    let mut last: Option<&Update> = None;
    for update in updates {
        let change = json!({"field": update.field, "value": update.value});
        let joins = |last: &Update| last.waba_id == update.waba_id && last.time == update.time;
        let changes = entries
            .last_mut()
            .filter(|_| shape != BatchShape::Entries && last.is_some_and(joins))
            .and_then(|entry| entry.get_mut("changes"))
            .and_then(Value::as_array_mut);
        match changes {
            Some(changes) => {
                let same = last.is_some_and(|last| mergeable(last, update)) && shape == BatchShape::Arrays;
                let value = changes.last_mut().filter(|_| same).and_then(|change| change.get_mut("value"));
                match value {
                    Some(value) => merge(value, &update.value),
                    None => changes.push(change),
                }
            }
            None => {
                let mut entry = json!({"id": update.waba_id, "changes": [change]});
                if let (Some(time), Some(entry)) = (update.time, entry.as_object_mut()) {
                    entry.insert("time".into(), time.into());
                }
                entries.push(entry);
            }
        }
        last = Some(update);
    }
    json!({"object": "whatsapp_business_account", "entry": entries})
}

fn mergeable(one: &Update, other: &Update) -> bool {
    one.field == "messages" && other.field == "messages" && one.phone_number_id == other.phone_number_id
}

/// Appends the arrays of one `value` to those of another; a contact stands there once.
fn merge(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (key, addition) in from {
        let Some(addition) = addition.as_array() else { continue };
        let entry = into.entry(key.clone()).or_insert_with(|| json!([]));
        let Some(array) = entry.as_array_mut() else { continue };
        for element in addition {
            if key != "contacts" || !array.contains(element) {
                array.push(element.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(waba: &str, phone: &str, key: &str, id: u32) -> Update {
        Update {
            waba_id: waba.into(),
            phone_number_id: Some(phone.into()),
            field: "messages".into(),
            value: json!({"metadata": {"phone_number_id": phone}, "contacts": [{"wa_id": "1"}], key: [{"id": id}]}),
            time: None,
            done: None,
        }
    }

    #[test]
    fn a_batch_is_put_into_arrays_changes_or_entries() {
        let updates = [
            update("w", "p", "messages", 1),
            update("w", "p", "statuses", 2),
            update("w", "q", "messages", 3),
            update("v", "r", "messages", 4),
        ];
        let count = |shape| {
            let notification = notification(&updates, shape);
            let entries = notification["entry"].as_array().unwrap().clone();
            (entries.len(), entries.iter().map(|e| e["changes"].as_array().unwrap().len()).sum::<usize>())
        };
        assert_eq!(count(BatchShape::Arrays), (2, 3));
        assert_eq!(count(BatchShape::Changes), (2, 4));
        assert_eq!(count(BatchShape::Entries), (4, 4));
        let value = &notification(&updates, BatchShape::Arrays)["entry"][0]["changes"][0]["value"];
        assert_eq!(value["messages"][0]["id"], 1);
        assert_eq!(value["statuses"][0]["id"], 2);
        assert_eq!(value["contacts"].as_array().unwrap().len(), 1);
    }
}
