//! The processes of the bench, and what the system says of them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::generator::Load;

/// A process of this program in another role. It tells that it is ready by a line of words, and is killed when
/// it is dropped.
pub struct Role {
    child: Child,
    output: BufReader<ChildStdout>,
    ready: Vec<String>,
}

/// What a generator tells at its end.
#[derive(Debug, Deserialize, Serialize)]
pub struct Told {
    pub seconds: f64,
    /// Milliseconds from INVITE to 180.
    pub p50: f64,
    pub p99: f64,
}

/// A generator that has ended.
pub struct Generated {
    pub told: Told,
    /// CPU seconds.
    pub cpu: f64,
}

/// CPU seconds and bytes of memory.
pub struct Usage {
    pub cpu: f64,
    pub memory: f64,
}

impl Role {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut role = Self { child, output, ready: Vec::new() };
        role.ready = role.line().split(' ').map(str::to_owned).collect();
        role
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the process has ended without a word");
        line.trim_end().to_owned()
    }

    /// Runs a generator to its end.
    pub fn generate(load: &Load) -> Generated {
        let mut role = Self::start(&["generate", &serde_json::to_string(load).unwrap()]);
        let told = role.line();
        let cpu = role.usage().cpu;
        Generated { told: serde_json::from_str(&told).unwrap(), cpu }
    }

    /// One of the addresses that it told.
    pub fn address(&self, index: usize) -> String {
        self.ready[index].clone()
    }

    pub fn usage(&self) -> Usage {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id()));
        let stat = read("stat").unwrap();
        // User and system time are the 14th and 15th field; the second may hold blanks.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        let status = read("status").unwrap();
        // One that has just ended has no memory any more.
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        let kilobytes: f64 = resident.trim().trim_end_matches(" kB").trim().parse().unwrap();
        Usage { cpu: ticks / 100.0, memory: kilobytes * 1024.0 }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Cores and their name.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {}", name.trim_start_matches([' ', '\t', ':']))
}
