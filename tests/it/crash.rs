//! The process is killed again and again while messages cross both ways and both clouds fail: nothing is
//! lost, nothing changes places, and what was sent twice says so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wabridge::config::DatabaseUrl;
use wabridge::domain::Secret;
use wabridge::sandbox::cloud::{CloudOptions, Faults, Retry, SendFault, SimCloud, SimCustomer};
use wabridge::sandbox::portal::{Author, FaultKind, PortalOptions, SimPortal};

use crate::support::api::Api;
use crate::support::process::Installation;
use crate::support::{DEADLINE, PHONE_ID, linking, listener};

const CHATS: usize = 50;
/// Chats that come into being among the kills. Where the answer to a call with the first message of a chat is
/// lost, the portal leaves no way to know what became of it (it has not told the chat's id yet), and up to five
/// of them travel together; so most chats are there before.
const NEW_CHATS: usize = 10;
/// Of each side in each chat: 2,000 in all.
const MESSAGES: usize = 20;
const KILLS: usize = 20;
/// The writers spread their messages over about this time, so that kills fall among them.
const TRAFFIC: Duration = Duration::from_secs(50);
/// From the last kill until everything must be where it belongs.
const REST: Duration = Duration::from_secs(90);
/// For another seed than the usual one.
const SEED: &str = "WABRIDGE_CRASH_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_and_change_no_order() {
    let seed = std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(20_260_301);
    eprintln!("seed {seed} (set {SEED} for another)");
    let rig = Arc::new(Rig::start(seed).await);
    let mut bridge = rig.installation.serve().await;
    let api = rig.installation.api().await;
    linking::prepare_cloud(&rig.cloud);
    let line = linking::link(&api, &rig.cloud, &rig.portal).await.line;
    rig.fail_at_random(seed);

    let begun = Instant::now();
    let mut writers = JoinSet::new();
    for chat in 0..CHATS {
        writers.spawn(customer_writes(rig.clone(), chat, Dice(seed ^ (chat as u64 + 1))));
        writers.spawn(operator_writes(rig.clone(), line.clone(), chat, Dice(seed ^ (chat as u64 + 1001))));
    }
    let there = |portal: &SimPortal| portal.chats(&line).len() >= CHATS - NEW_CHATS;
    assert!(rig.portal.wait_until(REST, there).await, "the chats never came");
    let mut dice = Dice(seed);
    for _ in 0..KILLS {
        dice.pause(Duration::ZERO, Duration::from_secs(4)).await;
        rig.change_moods(&mut dice);
        bridge.kill9();
        dice.pause(Duration::ZERO, Duration::from_millis(200)).await;
        bridge = rig.installation.spawn();
        // Some lives are so short that they end while the last one is being taken up.
        if dice.chance(0.85) {
            bridge.answers().await;
        }
    }
    bridge.answers().await;
    eprintln!("killed for the last time after {:?}", begun.elapsed());
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    eprintln!("everything is written after {:?}", begun.elapsed());
    rig.cloud.set_faults(Faults::default());
    rig.portal.set_faults(Default::default());
    settled(&rig, &api, &line).await;
    eprintln!("everything is settled after {:?}", begun.elapsed());

    let faults = judge(&rig, &api, &line).await;
    bridge.stop().await;
    rig.cloud.stop().await;
    rig.portal.stop().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A killed bridge's lock may end before the server has committed what it was sent last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_bridge_left_to_be_committed_is_waited_for_and_taken_up() {
    let home = Installation::new("").await;
    let DatabaseUrl::Postgres(url) = home.database.url() else { return };
    home.serve().await.stop().await;
    let (mut left, mut eyes) = (connect(&url), connect(&url));
    // It cannot be read, so whoever takes it up says that it is dead.
    left.batch_execute(
        "BEGIN; INSERT INTO jobs (id, kind, queue, lane, lane_seq, state, payload, attempts, doubtful, \
         maybe_twice, created_at) VALUES \
         ('left', 'send', 'send:none', 'out:none', 1, 'ready', '{}', 0, false, false, '2026-03-01')",
    )
    .unwrap();
    let mut bridge = home.spawn();
    let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass";
    until(|| diesel::sql_query(waits).execute(&mut eyes).unwrap() > 0).await;
    left.batch_execute("COMMIT").unwrap();
    bridge.answers().await;
    let taken_up = "SELECT 1 FROM jobs WHERE id = 'left' AND state = 'dead'";
    until(|| diesel::sql_query(taken_up).execute(&mut eyes).unwrap() > 0).await;
    bridge.stop().await;
}

fn connect(url: &Secret) -> PgConnection {
    PgConnection::establish(url.expose()).unwrap()
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Both clouds, and where the bridge lives.
struct Rig {
    cloud: SimCloud,
    portal: SimPortal,
    installation: Installation,
    begun: Instant,
    /// Messages of customers whose webhook was answered with 200.
    taken: watch::Sender<HashSet<String>>,
}

impl Rig {
    async fn start(seed: u64) -> Self {
        // Several webhooks are in flight, with several updates each, as Meta does it. That keeps no order by
        // itself; so each customer writes on when the last message was answered, and order is defined.
        let cloud = CloudOptions {
            seed,
            concurrency: 8,
            max_batch: 10,
            retry: Retry { first: Duration::from_millis(50), max: Duration::from_millis(300) },
            webhook_timeout: Duration::from_secs(5),
            ..CloudOptions::default()
        };
        let cloud = SimCloud::start(listener(), cloud.unlimited()).await.unwrap();
        let portal = PortalOptions {
            rate: None,
            // Whether a replaced refresh token stays good for a while is an open fact. If not, a kill between
            // the OAuth server's answer and our disk takes the installation away, and nothing can be done.
            refresh_grace: Duration::from_secs(60),
            // Calls take a while, so that kills fall into them.
            latency: Duration::from_millis(40),
            event_lanes: 8,
            events_wait_for_200: true,
            ..PortalOptions::default()
        };
        let portal = SimPortal::start(listener(), listener(), portal).await.unwrap();
        let installation = Installation::between(&cloud, &portal, "relay.doubt_seconds = 2\n").await;
        let taken = watch::Sender::new(HashSet::new());
        let mut events = cloud.subscribe_events();
        let told = taken.clone();
        tokio::spawn(async move {
            while let Ok(event) = events.recv().await {
                if event["kind"] == "webhook" && event["status"] == 200 {
                    let wamids = wamids_of(&event["body"]);
                    told.send_modify(|taken| taken.extend(wamids));
                }
            }
        });
        Self { cloud, portal, installation, begun: Instant::now(), taken }
    }

    fn fail_at_random(&self, seed: u64) {
        self.cloud.change_faults(|faults| {
            faults.latency_ms = 20;
            faults.graph_internal = 0.02;
            faults.webhook_doubled = 0.1;
            faults.statuses_doubled = true;
            faults.send = [
                (SendFault::Internal, 0.005),
                (SendFault::Html, 0.01),
                (SendFault::Unavailable, 0.02),
                (SendFault::Throughput, 0.005),
                (SendFault::PairRate, 0.005),
                (SendFault::Dropped, 0.01),
                (SendFault::LostAnswer, 0.02),
            ]
            .into();
        });
        self.portal.change_faults(|faults| {
            faults.seed = seed;
            faults.hang_seconds = 1;
            faults.random = [
                (FaultKind::Status500, 0.01),
                (FaultKind::Status502, 0.01),
                (FaultKind::Status503, 0.01),
                (FaultKind::QueryLimit, 0.003),
                (FaultKind::DropBefore, 0.01),
                (FaultKind::DropAfter, 0.01),
                (FaultKind::Hang, 0.003),
                (FaultKind::ExpiredToken, 0.01),
                (FaultKind::ItemFails, 0.005),
            ]
            .into();
        });
    }

    /// A writer's pause before a message, so that its last one comes at about the end of the traffic.
    async fn pace(&self, number: usize, dice: &mut Dice) {
        let left = TRAFFIC.saturating_sub(self.begun.elapsed());
        dice.pause(Duration::ZERO, 2 * left / u32::try_from(MESSAGES - number).unwrap()).await;
    }

    /// What cannot be a matter of chance for each call changes from life to life.
    fn change_moods(&self, dice: &mut Dice) {
        let (reversed, first, twice, expire) =
            (dice.chance(0.5), dice.chance(0.3), dice.chance(0.3), dice.chance(0.3));
        self.cloud.change_faults(|faults| {
            faults.statuses_reversed = reversed;
            faults.status_before_answer = first;
        });
        self.portal.change_faults(|faults| {
            faults.duplicate_events = twice;
            faults.expire_tokens = expire;
        });
    }
}

fn wamids_of(notification: &Value) -> Vec<String> {
    let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    all(notification, "entry")
        .iter()
        .flat_map(|entry| all(entry, "changes"))
        .flat_map(|change| all(&change["value"], "messages"))
        .filter_map(|message| message["id"].as_str().map(str::to_owned))
        .collect()
}

fn customer(chat: usize) -> SimCustomer {
    SimCustomer::with_number(&format!("1650555{chat:04}"), &name(chat))
}

/// Letters only, so that the portal shows it as it is.
fn name(chat: usize) -> String {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
    format!("Person{}{}", letter(chat / 26), letter(chat))
}

async fn customer_writes(rig: Arc<Rig>, chat: usize, mut dice: Dice) {
    let customer = customer(chat);
    let mut taken = rig.taken.subscribe();
    if chat < NEW_CHATS {
        let slot = TRAFFIC.mul_f64(0.8) / u32::try_from(NEW_CHATS).unwrap();
        let first = slot * u32::try_from(chat).unwrap();
        dice.pause(first, first + slot).await;
    }
    for number in 0..MESSAGES {
        if number > 0 {
            rig.pace(number, &mut dice).await;
        }
        let text = json!({"type": "text", "text": {"body": format!("in {chat} {number}")}});
        let wamid = rig.cloud.customer_sends(PHONE_ID, &customer, text);
        let answered = taken.wait_for(|taken| taken.contains(&wamid));
        tokio::time::timeout(REST, answered).await.expect("a webhook is answered in the end").unwrap();
    }
}

async fn operator_writes(rig: Arc<Rig>, line: String, chat: usize, mut dice: Dice) {
    let find = |portal: &SimPortal| {
        portal.chats(&line).into_iter().find(|found| found.name.starts_with(&name(chat)))
    };
    assert!(rig.portal.wait_until(REST, |portal| find(portal).is_some()).await, "chat {chat} never came");
    let external_id = find(&rig.portal).unwrap().external_id;
    for number in 0..MESSAGES {
        rig.pace(number, &mut dice).await;
        rig.portal.operator_writes(&line, &external_id, &format!("out {chat} {number}"), vec![]).unwrap();
    }
}

/// Waits until the clouds have nothing more to tell and no job is left.
async fn settled(rig: &Rig, api: &Api, line: &str) {
    let until = Instant::now() + REST;
    loop {
        let (ready, running) = (open_jobs(api, "ready").await, open_jobs(api, "running").await);
        let waiting = (rig.cloud.webhooks_pending(), rig.portal.events_waiting());
        if ready.is_empty() && running.is_empty() && waiting == (0, 0) {
            return;
        }
        if Instant::now() > until {
            let faults = judge(rig, api, line).await;
            panic!("left: {waiting:?} {running:#?} {ready:#?}\n{}", faults.join("\n"));
        }
        // Jobs that wait for their time tell nobody when they end; the API is asked again.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn open_jobs(api: &Api, state: &str) -> Vec<Value> {
    api.get(&format!("/jobs?state={state}")).await["items"].as_array().unwrap().clone()
}

async fn everything(api: &Api, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}?limit=500&cursor={cursor}")).await;
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return all,
        }
    }
}

/// Everything that is not as it must be.
async fn judge(rig: &Rig, api: &Api, line: &str) -> Vec<String> {
    let messages = everything(api, "/messages").await;
    let jobs = everything(api, "/jobs").await;
    let marked = marked(&messages, &jobs);
    let mut faults: Vec<String> =
        jobs.iter().filter(|job| job["state"] == "dead").map(|job| format!("a job is dead: {job}")).collect();
    let chats: HashMap<String, String> =
        rig.portal.chats(line).into_iter().map(|chat| (chat.name, chat.external_id)).collect();
    if chats.len() != CHATS {
        faults.push(format!("the line has {} chats", chats.len()));
    }
    let mut repeats = 0;
    for chat in 0..CHATS {
        let person = customer(chat);
        let shown: Vec<String> = match chats.iter().find(|(title, _)| title.starts_with(&name(chat))) {
            Some((_, id)) => {
                let entries = rig.portal.conversation(line, id).into_iter();
                entries.filter(|entry| entry.author == Author::Client).map(|entry| entry.text).collect()
            }
            None => Vec::new(),
        };
        repeats += compare("in", chat, &shown, &marked, &mut faults);
        let received = rig.cloud.received(PHONE_ID, person.wa_id.as_deref().unwrap());
        let received: Vec<String> = received
            .into_iter()
            .map(|message| message.body["text"]["body"].as_str().unwrap_or_default().to_owned())
            .collect();
        repeats += compare("out", chat, &received, &marked, &mut faults);
    }
    let inbound = marked.iter().filter(|text| text.starts_with("in ")).count();
    let outbound = marked.len() - inbound;
    eprintln!("{repeats} messages came twice; marked: {inbound} into the line, {outbound} to customers");
    if repeats * 200 >= 2 * CHATS * MESSAGES {
        faults.push(format!("{repeats} repeats are too many"));
    }
    faults
}

/// Texts of messages that say of themselves that they may have come twice.
fn marked(messages: &[Value], jobs: &[Value]) -> HashSet<String> {
    let doubted: HashSet<&str> = jobs
        .iter()
        .filter(|job| job["maybe_twice"] == true)
        .filter_map(|job| job["message_id"].as_str())
        .collect();
    messages
        .iter()
        .filter(|message| {
            message["maybe_twice"] == true || doubted.contains(message["id"].as_str().unwrap_or_default())
        })
        .filter_map(|message| message["text"].as_str().map(str::to_owned))
        .collect()
}

/// Compares what one side has with what the other wrote; returns how many are there again.
fn compare(
    way: &str,
    chat: usize,
    texts: &[String],
    marked: &HashSet<String>,
    faults: &mut Vec<String>,
) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().for_each(|text| *counts.entry(text).or_default() += 1);
    let mut once = texts.to_vec();
    once.dedup();
    let wanted: Vec<String> = (0..MESSAGES).map(|number| format!("{way} {chat} {number}")).collect();
    if once != wanted {
        let lost: Vec<&String> = wanted.iter().filter(|text| !once.contains(text)).collect();
        faults.push(format!("{way} {chat}: lost {lost:?}, there is {texts:?}"));
    }
    let again: Vec<&str> = counts.iter().filter(|(_, count)| **count > 1).map(|(text, _)| *text).collect();
    for text in &again {
        eprintln!("{text} came twice");
        if !marked.contains(*text) {
            faults.push(format!("{text} came twice and is not marked"));
        }
    }
    again.len()
}

/// A small repeatable sequence of random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.roll() < probability
    }

    /// The pause is part of what is tried here.
    async fn pause(&mut self, least: Duration, most: Duration) {
        tokio::time::sleep(least + (most - least).mul_f64(self.roll())).await;
    }
}
