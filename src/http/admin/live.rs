//! Parts of pages that are drawn again and again: server-sent events with the part's markup, sent when it
//! changed. A stream ends after a minute; the browser comes back by itself and is asked again who it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data};
use futures_util::stream;
use tokio::time::Instant;

use super::refusal::Refusal;
use crate::http::State;

/// Between two looks.
const BEAT: Duration = Duration::from_millis(700);
/// The longest that one stream lasts.
const LIFE: Duration = Duration::from_secs(60);
/// Longest silence, so that a connection that is gone is noticed.
const SILENCE: Duration = Duration::from_secs(15);

struct Watch<F> {
    state: Arc<State>,
    draw: F,
    shown: String,
    until: Instant,
    spoken: Instant,
    first: bool,
}

/// A stream of what `draw` gives, whenever it is something else.
pub(super) fn stream<F>(state: Data<State>, draw: F) -> HttpResponse
where
    F: AsyncFn(&State) -> Result<String, Refusal> + 'static,
{
    let now = Instant::now();
    let watch = Watch {
        state: state.into_inner(),
        draw,
        shown: String::new(),
        until: now + LIFE,
        spoken: now,
        first: true,
    };
    let chunks = stream::unfold(watch, |mut watch| async move {
        let chunk = watch.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), watch))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Box::pin(chunks))
}

impl<F: AsyncFn(&State) -> Result<String, Refusal>> Watch<F> {
    async fn next(&mut self) -> Option<String> {
        loop {
            if !std::mem::take(&mut self.first) {
                tokio::select! {
                    () = self.state.stop.cancelled() => return None,
                    () = tokio::time::sleep(BEAT) => {}
                }
            }
            let now = Instant::now();
            if now > self.until || self.state.stop.is_cancelled() {
                return None;
            }
            let part = (self.draw)(&self.state).await.ok()?;
            if part != self.shown {
                self.spoken = now;
                let event = event(&part);
                self.shown = part;
                return Some(event);
            }
            if now - self.spoken > SILENCE {
                self.spoken = now;
                return Some(": still here\n\n".to_owned());
            }
        }
    }
}

/// Each line of the data in a line of its own.
fn event(part: &str) -> String {
    let mut event = String::from("retry: 1000\nevent: part\n");
    for line in part.lines() {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event
}
