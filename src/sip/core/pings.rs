//! OPTIONS to the targets of trunks.

use super::b2bua;
use super::clients::{Heads, Outgoing, Owner};
use super::endpoint::Endpoint;
use super::io::{Notice, To};
use super::leg::Edge;
use super::wire::Due;

impl Endpoint {
    /// The first round.
    pub(super) fn begin_pings(&mut self) {
        let config = std::sync::Arc::clone(&self.config);
        for (index, trunk) in config.trunks.iter().enumerate() {
            if trunk.options_interval.is_some() {
                for target in 0..trunk.targets.len() {
                    self.ping(index, target);
                }
            }
        }
    }

    /// Sends one, and arms the next.
    pub(super) fn ping(&mut self, trunk: usize, index: usize) {
        let Some(interval) = self.config.trunks.get(trunk).and_then(|trunk| trunk.options_interval) else {
            return;
        };
        self.wire.arm(interval, Due::Ping(trunk, index));
        let Some(target) = self.targets.get(trunk).and_then(|targets| targets.get(index)).cloned() else {
            return;
        };
        let host =
            if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.to_string() };
        let uri = format!("sip:{host}:{};transport={}", target.port, target.transport.param());
        let tag = self.wire.token();
        let heads = Heads {
            via: b2bua::via(&self.config, &mut self.wire, Edge::Trunk(trunk), target.transport),
            routes: Vec::new(),
            max_forwards: 70,
            from: format!("<sip:wabridge@{}>;tag={tag}", self.config.trunk_advertised),
            to: format!("<{uri}>"),
            call_id: format!("{}@{}", self.wire.token(), self.config.hostname),
            seq: 1,
            uri,
        };
        let mut writer = heads.writer("OPTIONS");
        writer.header("Accept", "application/sdp").header("User-Agent", "wabridge");
        let transport = target.transport;
        let out = Outgoing {
            method: "OPTIONS",
            to: To::Target(target),
            fallback: None,
            transport,
            packet: writer.finish(),
            heads,
            owner: Owner::Ping(trunk, index),
        };
        self.clients.start(&mut self.wire, out);
    }

    /// Any answer is one, but those that say that nobody is behind.
    pub(super) fn ping_answered(&mut self, trunk: usize, index: usize, status: u16) {
        if status < 200 {
            return;
        }
        if matches!(status, 408 | 503) {
            return self.ping_lost(trunk, index);
        }
        if self.targets.get_mut(trunk).is_some_and(|targets| targets.answered_ping(index)) {
            self.tell_trunk_state(trunk, index, true);
        }
    }

    /// No answer.
    pub(super) fn ping_lost(&mut self, trunk: usize, index: usize) {
        let now = self.wire.now;
        if self.targets.get_mut(trunk).is_some_and(|targets| targets.lost_ping(index, now)) {
            self.tell_trunk_state(trunk, index, false);
        }
    }

    fn tell_trunk_state(&mut self, trunk: usize, index: usize, up: bool) {
        let name = self.config.trunks.get(trunk).map(|trunk| trunk.name.clone());
        let target = self.targets.get(trunk).and_then(|targets| targets.get(index)).map(ToString::to_string);
        if let (Some(trunk), Some(target)) = (name, target) {
            self.wire.notice(Notice::TrunkState { trunk, target, up });
        }
    }
}
