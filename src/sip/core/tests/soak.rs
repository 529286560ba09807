//! Ten thousand calls with random hang-ups, cancels, lost ACKs and trunk restarts: each ends once, and
//! nothing is left.

use std::collections::HashMap;

use super::meta::MetaCall;
use super::pair::*;
use crate::domain::CallId;
use crate::domain::call::{CallMoment, EndCause};
use crate::sip::core::*;

/// xorshift; the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What the peers do with one call.
fn run(pair: &mut Pair, dice: &mut Dice, conn: ConnId) {
    let call = MetaCall::new(pair, conn);
    pair.over(conn, &call.invite(""));
    let Some(invite) = pair.at_pbx.iter().rev().find(|msg| msg.method() == "INVITE").cloned() else { return };
    // The caller gives up before anything, or the trunk is silent.
    match dice.roll(20) {
        0 => return pair.over(conn, &call.cancel()),
        1 => return pair.seconds(dice.roll(5)),
        _ => {}
    }
    if dice.roll(2) == 0 {
        answer(pair, &invite, 180, "");
    }
    match dice.roll(20) {
        0 | 1 => {
            pair.over(conn, &call.cancel());
            // The answer may cross the CANCEL.
            if dice.roll(2) == 0 {
                answer(pair, &invite, 200, PBX_SDP);
            }
            return;
        }
        2 => return restart(pair),
        3 => return answer(pair, &invite, 486, ""),
        4 => return answer(pair, &invite, 503, ""),
        5 => return,
        _ => answer(pair, &invite, 200, PBX_SDP),
    }
    let ok = pair
        .at_meta
        .iter()
        .rev()
        .find(|msg| msg.start.starts_with("SIP/2.0 200") && msg.body.contains("audio"))
        .cloned();
    let Some(ok) = ok else { return };
    // Lost ACK: half of them for ever.
    if dice.roll(10) != 0 {
        let ack = call.ack(pair, &ok);
        pair.over(conn, &ack);
    }
    match dice.roll(8) {
        0 => restart(pair),
        1 => pair.hang_connection(conn),
        2 => {}
        3 | 4 => trunk_says(pair, &invite, "BYE", 7),
        5 => {
            trunk_says(pair, &invite, "INVITE", 7);
            trunk_says(pair, &invite, "BYE", 8);
        }
        _ => {
            let bye = call.bye(pair, &ok, "");
            pair.over(conn, &bye);
            if dice.roll(4) == 0 {
                trunk_says(pair, &invite, "BYE", 7);
            }
        }
    }
}

fn answer(pair: &mut Pair, invite: &Msg, status: u16, body: &str) {
    let text = invite.reply(status, "as5f", "Contact: <sip:100@10.0.0.1:5060;transport=tcp>\r\n", body);
    trunk_sends(pair, &text);
}

fn trunk_says(pair: &mut Pair, invite: &Msg, method: &str, seq: u32) {
    let text = in_dialog_of_trunk(pair, invite, method, seq, if method == "INVITE" { PBX_SDP } else { "" });
    trunk_sends(pair, &text);
}

/// Over the connection to the trunk, or a new one of the trunk's own if that is gone.
fn trunk_sends(pair: &mut Pair, text: &str) {
    let open = pair.dialled.values().copied().find(|conn| pair.sides.get(conn) == Some(&Side::Pbx));
    let conn = open.unwrap_or_else(|| pair.pbx_connects());
    pair.over(conn, text);
}

fn restart(pair: &mut Pair) {
    let conns: Vec<ConnId> =
        pair.sides.iter().filter(|(_, side)| **side == Side::Pbx).map(|(conn, _)| *conn).collect();
    for conn in conns {
        pair.hang_connection(conn);
    }
}

#[test]
fn ten_thousand_calls_end_once_each_and_leave_nothing() {
    let mut pair = Pair::with(|config| {
        config.require_digest = false;
        config.max_calls_per_minute = 1_000_000;
        config.trunks = vec![trunk(&["sip:10.0.0.1;transport=tcp"])];
        config.max_call = std::time::Duration::from_secs(300);
    });
    let mut dice = Dice(0x5EED_1234_ABCD_0001);
    let mut ends: HashMap<CallId, (u32, u32)> = HashMap::new();
    let mut causes: HashMap<&'static str, u32> = HashMap::new();
    let mut conn = pair.meta_connects();
    for number in 0..10_000_u32 {
        if !pair.sides.contains_key(&conn) {
            conn = pair.meta_connects();
        }
        run(&mut pair, &mut dice, conn);
        if number % 7 == 0 {
            pair.wait(std::time::Duration::from_millis(dice.roll(900)));
        }
        peers_answer(&mut pair);
        count(&mut pair, &mut ends, &mut causes);
    }
    for _ in 0..20 {
        pair.seconds(60);
        peers_answer(&mut pair);
    }
    count(&mut pair, &mut ends, &mut causes);
    assert_eq!(ends.len(), 10_000);
    let wrong: Vec<_> = ends.iter().filter(|(_, counts)| **counts != (1, 1)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for cause in [
        EndCause::HungUp,
        EndCause::Cancelled,
        EndCause::Lost,
        EndCause::Declined,
        EndCause::TrunkUnreachable,
    ] {
        assert!(causes.get(cause.as_str()).is_some_and(|count| *count > 100), "{cause}: {causes:?}");
    }
    pair.assert_clean();
}

/// Nine of ten requests of ours are answered; the rest is for the timers.
fn peers_answer(pair: &mut Pair) {
    let (meta, pbx) = (std::mem::take(&mut pair.at_meta), std::mem::take(&mut pair.at_pbx));
    for (at, msg) in meta.into_iter().enumerate() {
        if msg.method() == "BYE" && at % 10 != 0 {
            let conn = match &msg.to {
                To::Conn(conn) => *conn,
                To::Target(target) => pair.dialled[target],
                To::Datagram(_) => unreachable!(),
            };
            pair.over(conn, &msg.reply(200, "", "", ""));
        }
    }
    for (at, msg) in pbx.into_iter().enumerate() {
        if matches!(msg.method(), "BYE" | "CANCEL") && at % 10 != 0 {
            trunk_sends(pair, &msg.reply(200, "x", "", ""));
        }
    }
}

fn count(pair: &mut Pair, ends: &mut HashMap<CallId, (u32, u32)>, causes: &mut HashMap<&'static str, u32>) {
    for event in pair.events.drain(..) {
        let counts = ends.entry(event.call).or_default();
        match event.moment {
            CallMoment::Arrived(_) => counts.0 += 1,
            CallMoment::Ended(end) => {
                counts.1 += 1;
                *causes.entry(end.cause.as_str()).or_default() += 1;
            }
            _ => assert_eq!(counts.1, 0, "something happened after the end"),
        }
    }
}
