//! How many calls the SIP edge carries, and at what cost: `cargo bench --bench calls`.
//!
//! Four processes: the edge, a generator that is Meta, a telephone system that answers by UDP, and this one,
//! which starts them and reads their CPU time and memory from the system. No media. Prints tables, judges
//! nothing. The edge is measured alone: keeping records of calls is the database's work.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod edge;
mod generator;
mod message;
mod peer;
mod process;

use generator::{Load, Way};
use process::{Role, Told, Usage};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // `cargo test --benches` only wants to know that this starts.
        ["--test", ..] => {}
        ["edge", digest, folder, peer] => {
            run(edge::run(*digest == "on", folder.into(), (*peer).to_owned()));
        }
        ["peer"] => run(peer::run()),
        ["generate", load] => run(generator::run(serde_json::from_str(load).unwrap())),
        // A part of the whole, while something is being improved.
        ["delay", rate] => delays(rate.parse().unwrap()),
        _ => measure(),
    }
}

/// As the bridge runs: in a task of its own. The thread that waits for a runtime is none of its workers, and what
/// runs there is handed over twice for each packet.
fn run(role: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(runtime.spawn(role)).unwrap();
}

fn measure() {
    println!("machine: {}", process::machine());
    println!(
        "\n| way | digest | calls/s | edge CPU s per 1,000 calls | generator | peer | edge cores busy |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut most = 0.0_f64;
    for (way, calls) in [(Way::OneConnection, 20_000), (Way::ConnectionEach, 4_000)] {
        for digest in [false, true] {
            let rate = as_fast_as_possible(way, digest, calls);
            if way == Way::OneConnection && !digest {
                most = rate;
            }
        }
    }
    println!(
        "\nINVITE → 180 in ms, at a quarter of the most and at 100 calls/s. Without the edge, the generator calls the"
    );
    println!("telephone system by UDP; the delay that the edge adds is the difference.\n");
    println!(
        "| calls/s | digest | without p50 | p99 | with p50 | p99 | added p50 | p99 | edge CPU ms a call |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    delays(most / 4.0);
    delays(100.0);
    println!("\n| memory of the edge | count | kB each |\n| --- | --- | --- |");
    idle_connections();
    active_calls();
}

fn delays(rate: f64) {
    let without = direct(rate);
    for digest in [false, true] {
        at_rate(rate, digest, &without);
    }
}

/// The generator straight to the telephone system: what of the delay is not ours.
fn direct(rate: f64) -> Told {
    let peer = Role::start(&["peer"]);
    let calls = calls_at(rate);
    let load = Load { way: Way::Direct, target: peer.address(0), ..Load::of(calls) };
    Role::generate(&Load { rate: Some(rate), hold_ms: 500, ..load }).told
}

fn calls_at(rate: f64) -> usize {
    ((rate * 10.0) as usize).max(500)
}

/// Calls that overlap, each begun as soon as another has ended.
fn as_fast_as_possible(way: Way, digest: bool, calls: usize) -> f64 {
    let bench = Bench::start(digest);
    let at_once = if way == Way::OneConnection { 200 } else { 32 };
    let load = Load { way, digest, at_once, hold_ms: 0, ..bench.load(calls) };
    let before = bench.usage();
    let generated = Role::generate(&load);
    let (edge, peer) = bench.since(&before);
    let thousands = calls as f64 / 1000.0;
    let rate = calls as f64 / generated.told.seconds;
    println!(
        "| {} | {} | {rate:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
        way.name(),
        if digest { "on" } else { "off" },
        edge / thousands,
        generated.cpu / thousands,
        peer / thousands,
        edge / generated.told.seconds,
    );
    rate
}

fn at_rate(rate: f64, digest: bool, without: &Told) {
    let bench = Bench::start(digest);
    let calls = calls_at(rate);
    let load = Load { digest, rate: Some(rate), at_once: calls, hold_ms: 500, ..bench.load(calls) };
    let before = bench.usage();
    let told = Role::generate(&load).told;
    let (edge, _) = bench.since(&before);
    println!(
        "| {rate:.0} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3} |",
        if digest { "on" } else { "off" },
        without.p50,
        without.p99,
        told.p50,
        told.p99,
        told.p50 - without.p50,
        told.p99 - without.p99,
        edge * 1000.0 / calls as f64,
    );
}

fn idle_connections() {
    const COUNT: usize = 2_000;
    let bench = Bench::start(false);
    let before = bench.edge.usage();
    let load = Load { way: Way::Idle, at_once: COUNT, ..bench.load(COUNT) };
    let generator = Role::start(&["generate", &serde_json::to_string(&load).unwrap()]);
    let after = bench.edge.usage();
    println!("| idle TLS connections | {COUNT} | {:.1} |", kilobytes(&before, &after, COUNT));
    drop(generator);
}

fn active_calls() {
    const COUNT: usize = 5_000;
    let bench = Bench::start(false);
    // Once around first, so that what is kept for reuse does not count.
    const WARM_UP: usize = 1_000;
    Role::generate(&Load { at_once: 200, hold_ms: 0, ..bench.load(WARM_UP) });
    let before = bench.edge.usage();
    let load =
        Load { first: WARM_UP, at_once: COUNT, rate: Some(500.0), hold_ms: 600_000, ..bench.load(COUNT) };
    let generator = Role::start(&["generate", &serde_json::to_string(&load).unwrap()]);
    let after = bench.edge.usage();
    println!("| calls that run | {COUNT} | {:.1} |", kilobytes(&before, &after, COUNT));
    drop(generator);
}

fn kilobytes(before: &Usage, after: &Usage, count: usize) -> f64 {
    (after.memory - before.memory) / 1024.0 / count as f64
}

/// The edge and the telephone system.
struct Bench {
    edge: Role,
    peer: Role,
    folder: tempfile::TempDir,
}

impl Bench {
    fn start(digest: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        edge::write_certificates(folder.path());
        let peer = Role::start(&["peer"]);
        let digest = if digest { "on" } else { "off" };
        let path = folder.path().display().to_string();
        let edge = Role::start(&["edge", digest, &path, &peer.address(0)]);
        Self { edge, peer, folder }
    }

    fn load(&self, calls: usize) -> Load {
        let ca = self.folder.path().join("ca.pem").display().to_string();
        Load { target: self.edge.address(0), ca, ..Load::of(calls) }
    }

    fn usage(&self) -> (Usage, Usage) {
        (self.edge.usage(), self.peer.usage())
    }

    /// CPU seconds of edge and peer.
    fn since(&self, before: &(Usage, Usage)) -> (f64, f64) {
        let (edge, peer) = self.usage();
        (edge.cpu - before.0.cpu, peer.cpu - before.1.cpu)
    }
}
