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
use process::{Role, Usage};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // `cargo test --benches` only wants to know that this starts.
        ["--test", ..] => {}
        ["edge", digest, folder, peer] => block_on(edge::run(*digest == "on", folder.as_ref(), peer)),
        ["peer"] => block_on(peer::run()),
        ["generate", load] => block_on(generator::run(&serde_json::from_str(load).unwrap())),
        _ => measure(),
    }
}

fn block_on(role: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(role);
}

fn measure() {
    println!("machine: {}", process::machine());
    direct();
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
    println!("\n| at a quarter of the most | digest | INVITE → 180 p50 ms | p99 ms | edge CPU ms a call |");
    println!("| --- | --- | --- | --- | --- |");
    for rate in [most / 4.0, 100.0] {
        for digest in [false, true] {
            at_rate(rate, digest);
        }
    }
    println!("\n| memory of the edge | count | kB each |\n| --- | --- | --- |");
    idle_connections();
    active_calls();
}

/// The generator straight to the telephone system: what of the delay is not ours.
fn direct() {
    let peer = Role::start(&["peer"]);
    let load = Load { way: Way::Direct, target: peer.address(0), rate: Some(100.0), ..Load::of(1_000) };
    let told = Role::generate(&load).told;
    println!(
        "\nwithout the edge, generator to peer by UDP at 100 calls/s: INVITE → 180 p50 {:.2} ms, p99 {:.2} ms",
        told.p50, told.p99
    );
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

fn at_rate(rate: f64, digest: bool) {
    let bench = Bench::start(digest);
    let calls = ((rate * 10.0) as usize).max(500);
    let load = Load { digest, rate: Some(rate), at_once: calls, hold_ms: 500, ..bench.load(calls) };
    let before = bench.usage();
    let told = Role::generate(&load).told;
    let (edge, _) = bench.since(&before);
    println!(
        "| {rate:.0} calls/s | {} | {:.2} | {:.2} | {:.3} |",
        if digest { "on" } else { "off" },
        told.p50,
        told.p99,
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
