//! The page of `wabridge sandbox`: the customer's phone, the operator's line, what crosses the bridge
//! between them, and the switches of both simulators.
//!
//! Cast: `server` guards and answers requests; `view` builds the snapshot that the page draws, of which
//! `bubble` does the thread on the phone; `strip` keeps what crossed the bridge; `actions` is what a click
//! does; `samples` are ready messages. The page itself is three files without a build step. A task waits
//! for changes of the simulators and publishes a whole snapshot each time: there is nothing to get out of step.
//!
//! For one user on one machine: the listener must be on loopback, every path but the first lies under a
//! random token, and requests of foreign pages are refused by `Host`, `Origin` and `Sec-Fetch-Site`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cloud::{SimCloud, SimCustomer};
use super::portal::SimPortal;
use super::sip::SimTelephony;
pub use samples::header_files;
use strip::Strip;

mod actions;
mod bubble;
mod calls;
mod samples;
mod server;
mod strip;
mod template;
#[cfg(test)]
mod tests;
mod view;

/// Changes closer together than this are shown at once.
const SETTLE: Duration = Duration::from_millis(30);

/// Who plays in the sandbox.
#[derive(Clone)]
pub struct Scene {
    /// The business number that the customers write to.
    pub phone_number_id: String,
    /// The line that it feeds.
    pub line_id: String,
    /// The customers to choose from.
    pub customers: Vec<SimCustomer>,
    /// Where the bridge itself listens; only shown.
    pub bridge_url: String,
    /// Who calls and who answers; `None` = no calls.
    pub telephony: Option<SimTelephony>,
    /// Its templates and windows; `None` = they are not shown.
    pub bridge: Option<BridgeHands>,
}

/// What the page shows of the bridge, and tells it, beside what crosses it.
#[derive(Clone, Debug)]
pub struct BridgeHands {
    /// Templates as the bridge lists them.
    pub templates: watch::Receiver<Vec<TemplateLine>>,
    /// A customer whose service window was closed (or opened) by hand.
    pub windows: mpsc::UnboundedSender<(SimCustomer, bool)>,
}

/// A template with the line that sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateLine {
    /// Name and language.
    pub name: String,
    /// Meta's word.
    pub status: String,
    /// What an operator types.
    pub line: String,
}

/// The running page.
pub struct SandboxPage {
    desk: Arc<Desk>,
    server: ServerHandle,
    tasks: TaskTracker,
}

/// What all parts of the page share.
struct Desk {
    cloud: SimCloud,
    portal: SimPortal,
    scene: Scene,
    address: SocketAddr,
    /// Part of every path; whoever has it may do everything here.
    token: String,
    /// The latest snapshot as JSON.
    snapshot: watch::Sender<Arc<str>>,
    /// Somebody has begun to look.
    looked: Notify,
    strip: Mutex<Strip>,
    /// Lines of the strip as JSON, as they come.
    lines: broadcast::Sender<Arc<str>>,
    cancel: CancellationToken,
}

impl SandboxPage {
    /// Serves the page on this listener until [`SandboxPage::stop`]. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the listener is not on loopback or cannot be used.
    pub async fn start(
        listener: TcpListener,
        cloud: SimCloud,
        portal: SimPortal,
        scene: Scene,
    ) -> io::Result<SandboxPage> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the sandbox page listens on loopback only",
            ));
        }
        let mut token = [0_u8; 16];
        getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
        let desk = Arc::new(Desk {
            cloud,
            portal,
            scene,
            address,
            token: hex::encode(token),
            snapshot: watch::Sender::new(Arc::from("")),
            looked: Notify::new(),
            strip: Mutex::new(Strip::default()),
            lines: broadcast::Sender::new(1024),
            cancel: CancellationToken::new(),
        });
        let server = server::bind(&desk, listener)?;
        let handle = server.handle();
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::warn!(%error, "the server of the sandbox page failed");
            }
        });
        tasks.spawn(publish(desk.clone()));
        tasks.spawn(strip::listen(desk.clone()));
        tasks.close();
        Ok(SandboxPage { desk, server: handle, tasks })
    }

    /// The address to open in a browser, with the token in it.
    pub fn address(&self) -> String {
        format!("http://{}/?token={}", self.desk.address, self.desk.token)
    }

    /// Closes every stream and the server, and waits for all tasks.
    pub async fn stop(&self) {
        self.desk.cancel.cancel();
        self.server.stop(false).await;
        self.tasks.wait().await;
    }
}

impl Desk {
    fn strip(&self) -> std::sync::MutexGuard<'_, Strip> {
        self.strip.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when the bridge lists other templates.
async fn renewed(templates: &mut Option<watch::Receiver<Vec<TemplateLine>>>) {
    let ended = match templates {
        Some(templates) => templates.changed().await.is_err(),
        None => true,
    };
    if ended {
        std::future::pending::<()>().await;
    }
}

/// Publishes a snapshot after each change, while somebody looks.
async fn publish(desk: Arc<Desk>) {
    let (mut cloud, mut portal) = (desk.cloud.changes(), desk.portal.changes());
    // Without telephony a channel that nobody sends to.
    let nothing = watch::Sender::new(0);
    let mut calls = desk.scene.telephony.as_ref().map_or_else(|| nothing.subscribe(), SimTelephony::changes);
    let mut templates = desk.scene.bridge.as_ref().map(|bridge| bridge.templates.clone());
    loop {
        tokio::select! {
            () = desk.cancel.cancelled() => return,
            () = desk.looked.notified() => {}
            () = renewed(&mut templates) => {}
            changed = async {
                tokio::select! { c = cloud.changed() => c, p = portal.changed() => p, t = calls.changed() => t }
            } => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(SETTLE).await;
            }
        }
        cloud.mark_unchanged();
        portal.mark_unchanged();
        calls.mark_unchanged();
        if desk.snapshot.receiver_count() > 0 {
            let now: Arc<str> = Arc::from(view::snapshot(&desk).to_string());
            desk.snapshot.send_if_modified(|shown| {
                let changed = *shown != now;
                *shown = now;
                changed
            });
        }
    }
}
