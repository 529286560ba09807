//! What the sandbox page shows of the bridge's inside, and what it may turn there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::relay::templates::shorthand;
use crate::sandbox::cloud::SimCustomer;
use crate::sandbox::page::{BridgeHands, TemplateLine};
use crate::store::{StoreError, chats, contacts, templates};
use crate::translate::shorthand::example_link;

/// Between two looks at the bridge's templates.
const ROUND: Duration = Duration::from_secs(1);

/// Addresses of files that a header may have, by the kind of the header.
pub(super) type HeaderLinks = Vec<(&'static str, String)>;

/// The page's hands on the bridge, and the task that moves them until `stop`. The lines that send a template with a
/// file name one of `links`, which can be had here.
pub(super) fn start(
    relay: Arc<Relay>,
    links: HeaderLinks,
    stop: CancellationToken,
) -> (BridgeHands, JoinHandle<()>) {
    let (lines, shown) = watch::channel(Vec::new());
    let (windows, mut turned) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        loop {
            if let Err(error) = show(&relay, &links, &lines).await {
                tracing::warn!(error = %error, "the sandbox cannot read the templates");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some((customer, open)) = turned.recv() => {
                    if let Err(error) = turn(&relay, &customer, open).await {
                        tracing::warn!(error = %error, "the sandbox cannot close a window");
                    }
                }
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    });
    (BridgeHands { templates: shown, windows }, task)
}

async fn show(
    relay: &Relay,
    links: &HeaderLinks,
    lines: &watch::Sender<Vec<TemplateLine>>,
) -> Result<(), StoreError> {
    let page = crate::store::Page { limit: 200, cursor: None };
    let rows =
        relay.db.read(move |conn| templates::filtered(conn, &templates::Filter::default(), &page)).await?;
    let now: Vec<TemplateLine> = rows
        .iter()
        .map(|row| TemplateLine {
            name: format!("{} ({})", row.name, row.language),
            status: row.status.clone(),
            line: with_links(shorthand(row).unwrap_or_default(), links),
        })
        .collect();
    lines.send_if_modified(|shown| {
        let changed = *shown != now;
        shown.clone_from(&now);
        changed
    });
    Ok(())
}

/// The line with a file that is here in place of the example's.
fn with_links(line: String, links: &HeaderLinks) -> String {
    links.iter().fold(line, |line, (kind, link)| line.replace(example_link(kind), link))
}

/// As if a day had passed since the customer wrote, or as if the customer had just written.
async fn turn(relay: &Relay, customer: &SimCustomer, open: bool) -> Result<(), StoreError> {
    let aliases = [("user_id", customer.user_id.clone()), ("wa_id", customer.wa_id.clone())];
    let wabas: Vec<String> = relay.directory.now().wabas.iter().map(|waba| waba.key.to_string()).collect();
    let now = relay.clock.now();
    relay
        .db
        .write(move |tx| {
            for (kind, value) in &aliases {
                let (Some(value), Some(waba)) = (value, wabas.first()) else { continue };
                let Some(contact) = contacts::by_alias(tx.conn, waba, kind, value)? else { continue };
                for chat in chats::of_contact(tx.conn, &contact)? {
                    match (open, &chat.last_inbound_wamid) {
                        (false, _) => chats::window_closed(tx.conn, &chat.id)?,
                        (true, Some(wamid)) => chats::contact_wrote(tx.conn, &chat.id, wamid, now)?,
                        (true, None) => {}
                    }
                }
                return Ok(());
            }
            Ok(())
        })
        .await
}
