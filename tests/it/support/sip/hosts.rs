//! A second host on this machine: a network namespace joined to ours by a cable of two ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A host of its own, as long as somebody holds it.
#[derive(Debug)]
pub struct OtherHost {
    name: String,
    /// Its address.
    pub address: String,
    /// Our end of the cable.
    pub ours: String,
}

impl OtherHost {
    /// `None` = this machine gives us none (that wants root and iproute2), and the test says so.
    pub fn start() -> Option<Arc<Self>> {
        let mix = uuid::Uuid::new_v4().as_u128();
        let (net, name) = (mix % 250 + 1, format!("wabridge{:x}", mix % 0xFFFF));
        let host = Self { address: format!("10.99.{net}.2"), ours: format!("10.99.{net}.1"), name };
        let (here, there) = (format!("{}a", host.name), format!("{}b", host.name));
        let made = ip(&format!("netns add {}", host.name))
            && ip(&format!("link add {here} type veth peer name {there} netns {}", host.name))
            && ip(&format!("addr add {}/30 dev {here}", host.ours))
            && ip(&format!("link set {here} up"))
            && ip(&format!("-n {} addr add {}/30 dev {there}", host.name, host.address))
            && ip(&format!("-n {} link set {there} up", host.name))
            && ip(&format!("-n {} link set lo up", host.name));
        if !made {
            eprintln!("SKIPPED: no second host can be made here (root and iproute2)");
        }
        made.then(|| Arc::new(host))
    }

    /// A program on it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for OtherHost {
    fn drop(&mut self) {
        // The cable goes with it.
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let done =
        Command::new("ip").args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}
