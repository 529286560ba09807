//! The 49 messages of RFC 4475 as they stand there, each answered as it says or dropped, and its connection kept
//! or closed as the fault demands; and what else breaks a connection.

use super::pair::*;
use crate::sip::core::*;

/// Each message in the notation of its RFC (§2.1 to §2.3).
const RFC4475: &str = include_str!("../../../../tests/fixtures/sip/rfc4475.txt");

/// What becomes of a connection after a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// The next message is read.
    Kept,
    /// The place where the next message begins is lost.
    Closed,
    /// More of it is waited for, and not for ever.
    Unfinished,
}
use Fate::{Closed, Kept, Unfinished};

/// Name, answer to a datagram of a trunk, answer over a connection of Meta and what becomes of that; 0 = dropped.
/// Where the RFC leaves a choice, §3 of it names what stands here among what is appropriate. INVITEs that are
/// well-formed are for nobody here: 403 for a trunk, 404 for Meta. REGISTER is of no use here: 405.
const EXPECTED: &[(&str, u16, u16, Fate)] = &[
    ("wsinv", 481, 481, Kept),
    ("intmeth", 501, 501, Kept),
    ("esc01", 403, 404, Kept),
    ("escnull", 405, 405, Kept),
    ("esc02", 501, 501, Kept),
    ("lwsdisp", 200, 200, Kept),
    ("longreq", 403, 404, Kept),
    // In a datagram the INVITE behind the end is dropped; on a stream its body is longer than it says.
    ("dblreq", 405, 405, Unfinished),
    ("semiuri", 200, 200, Kept),
    ("transports", 200, 200, Kept),
    ("mpart01", 405, 405, Kept),
    ("unreason", 0, 0, Kept),
    ("noreason", 0, 0, Kept),
    ("badinv01", 400, 400, Kept),
    ("clerr", 400, 0, Unfinished),
    ("ncl", 400, 400, Closed),
    ("scalar02", 400, 400, Kept),
    ("scalarlg", 0, 0, Kept),
    ("quotbal", 400, 400, Kept),
    ("ltgtruri", 400, 400, Kept),
    ("lwsruri", 400, 400, Kept),
    ("lwsstart", 400, 400, Kept),
    ("trws", 400, 400, Kept),
    ("escruri", 403, 404, Kept),
    ("baddate", 403, 404, Kept),
    ("regbadct", 405, 405, Kept),
    ("badaspec", 200, 200, Kept),
    ("baddn", 400, 400, Kept),
    ("badvers", 505, 505, Kept),
    ("mismatch01", 400, 400, Kept),
    ("mismatch02", 400, 400, Kept),
    ("bigcode", 0, 0, Kept),
    ("badbranch", 200, 200, Kept),
    ("insuf", 400, 400, Kept),
    ("unkscm", 416, 416, Kept),
    ("novelsc", 416, 416, Kept),
    ("unksm2", 405, 405, Kept),
    ("bext01", 420, 420, Kept),
    ("invut", 403, 404, Kept),
    ("regaut01", 405, 405, Kept),
    // Its length is two more than there is.
    ("multi01", 400, 0, Unfinished),
    ("mcl01", 400, 400, Closed),
    ("bcast", 0, 0, Kept),
    ("zeromf", 200, 200, Kept),
    ("cparam01", 405, 405, Kept),
    ("cparam02", 405, 405, Kept),
    ("regescrt", 405, 405, Kept),
    ("sdp01", 403, 404, Kept),
    // Without a Content-Length, which a datagram may leave out.
    ("inv2543", 403, 400, Closed),
];

/// Every message with its name.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let message = |text: &'static str| {
        let (title, lines) = text.split_once('\n').unwrap();
        let name = title.split(' ').nth(1).unwrap();
        let mut bytes = Vec::new();
        for line in lines.strip_suffix('\n').unwrap().split('\n') {
            expand(line, &mut bytes);
            bytes.extend(b"\r\n");
        }
        (name, bytes)
    };
    RFC4475.split("=== ").skip(1).map(message).collect()
}

/// The bytes that a line of the RFC's notation stands for.
fn expand(line: &str, bytes: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = rest.find('<') {
        let (plain, tagged) = rest.split_at(at);
        bytes.extend(plain.bytes());
        rest = if let Some(inner) = tagged.strip_prefix("<hex>") {
            let (digits, rest) = inner.split_once("</hex>").unwrap();
            bytes.extend(hex::decode(digits).unwrap());
            rest
        } else if let Some(inner) = tagged.strip_prefix("<repeat count=") {
            let (count, inner) = inner.split_once('>').unwrap();
            let (text, rest) = inner.split_once("</repeat>").unwrap();
            bytes.extend(text.repeat(count.parse().unwrap()).bytes());
            rest
        } else {
            bytes.push(b'<');
            &tagged[1..]
        };
    }
    bytes.extend(rest.bytes());
}

fn named(name: &str) -> Vec<u8> {
    messages().into_iter().find(|(own, _)| *own == name).unwrap().1
}

fn datagram(pair: &mut Pair, bytes: Vec<u8>) -> Option<Msg> {
    pair.input(Input::Datagram { peer: PBX.parse().unwrap(), trunk: Some(0), bytes });
    pair.at_pbx.retain(|msg| !msg.start.starts_with("SIP/2.0 100 "));
    pair.at_pbx.pop_front()
}

#[test]
fn every_message_of_the_rfc_is_there_and_as_long_as_it_says() {
    let names: Vec<_> = messages().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, EXPECTED.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for (name, bytes) in messages() {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            ["content-length", "l"].contains(&name.trim()).then(|| value.trim().parse::<usize>().ok())?
        });
        let lies = ["dblreq", "clerr", "ncl", "multi01", "mcl01", "inv2543"].contains(&name);
        assert!(lies || length == Some(bytes.len() - head), "{name}: {length:?}, not {}", bytes.len() - head);
    }
}

#[test]
fn every_message_of_the_rfc_in_a_datagram_is_answered_as_it_says_or_dropped() {
    for ((name, bytes), (_, expected, _, _)) in messages().into_iter().zip(EXPECTED) {
        let mut pair = Pair::new();
        let answer = datagram(&mut pair, bytes).map_or(0, |msg| msg.status());
        assert_eq!(answer, *expected, "{name}");
        pair.quiet();
        // Whatever it was, the next call works and nothing is left of it.
        pair.talk();
        pair.end.handle(Moment(pair.now), Input::Stop);
        pair.input(Input::Timeout);
        pair.assert_clean();
    }
}

#[test]
fn every_message_of_the_rfc_on_a_connection_is_answered_and_the_connection_kept_or_closed() {
    let probe = request("OPTIONS sip:a@b SIP/2.0", "", "");
    for ((name, bytes), (_, _, expected, fate)) in messages().into_iter().zip(EXPECTED) {
        let mut pair = Pair::new();
        let conn = pair.meta_connects();
        // In pieces, as it may come.
        for piece in bytes.chunks(97) {
            pair.input(Input::Received { conn, bytes: piece.to_vec() });
        }
        let answer = pair.at_meta.pop_front().map_or(0, |msg| msg.status());
        assert_eq!(answer, *expected, "{name}");
        assert_eq!(pair.closed.contains(&conn), *fate == Closed, "{name}");
        pair.at_meta.clear();
        match fate {
            Kept => {
                pair.over(conn, &probe);
                assert_eq!(pair.meta().status(), 200, "{name}");
            }
            Closed => {}
            Unfinished => {
                pair.seconds(11);
                assert_eq!(pair.closed, [conn], "{name}");
            }
        }
        pair.at_meta.clear();
        pair.talk();
    }
}

#[test]
fn what_the_rfc_says_of_the_answers_themselves() {
    let mut pair = Pair::new();
    // §3.1.1.2: what is quoted comes back as it was, and what can be asked for is told.
    let refused = datagram(&mut pair, named("intmeth")).unwrap();
    assert!(
        refused.get("To").starts_with("\"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:1_unusual.URI"),
        "{refused:#?}"
    );
    assert!(refused.get("Allow").contains("INVITE"));
    assert_eq!(refused.get("CSeq"), "139122385 !interesting-Method0123456789_*+`.%indeed'~");
    // §3.3.5: every extension that is required is named, and none of those of proxies.
    let refused = datagram(&mut pair, named("bext01")).unwrap();
    assert_eq!(refused.get("Unsupported"), "nothingSupportsThis, nothingSupportsThisEither");
    // §3.1.1.10: every Via comes back in order.
    let answer = datagram(&mut pair, named("transports")).unwrap();
    let hosts = ["t1", "t2", "t3", "t4", "t5"];
    assert!(answer.all("Via").iter().zip(hosts).all(|(via, host)| via.contains(host)), "{answer:#?}");
    // §3.1.1.7: as many as there are.
    let answer = datagram(&mut pair, named("longreq")).unwrap();
    assert_eq!(answer.all("Via").len(), 34);
}

#[test]
fn headers_that_may_stand_once_and_stand_twice_are_400_whatever_the_length_says() {
    let mut pair = Pair::new();
    let conn = pair.meta_connects();
    let text = String::from_utf8(named("multi01")).unwrap().replace("l: 154", "l: 152");
    pair.over(conn, &text);
    assert_eq!(pair.meta().status(), 400);
    assert!(pair.closed.is_empty());
}

/// The same message for a customer, from a phone of ours.
fn to_a_customer(name: &str) -> Vec<u8> {
    let bytes = named(name);
    let text = String::from_utf8(bytes).unwrap();
    let (_, rest) = text.split_once("\r\n").unwrap();
    format!("INVITE sip:+{CUSTOMER}@example.com SIP/2.0\r\nX-WA-Phone: {PHONE}\r\n{rest}").into_bytes()
}

#[test]
fn those_that_ask_for_a_call_are_judged_by_their_bodies_when_they_are_for_somebody() {
    let mut pair = Pair::new();
    // §3.3.6
    let refused = datagram(&mut pair, to_a_customer("invut")).unwrap();
    assert_eq!((refused.status(), refused.get("Accept")), (415, "application/sdp"));
    // §3.3.15
    let refused = datagram(&mut pair, to_a_customer("sdp01")).unwrap();
    assert_eq!(refused.status(), 406);
    assert!(refused.has("Warning"));
    pair.quiet();
    // §3.4.1: no branch, no From tag, no Max-Forwards, no Contact, no Content-Length.
    assert!(datagram(&mut pair, to_a_customer("inv2543")).is_none());
    assert_eq!(pair.meta().method(), "INVITE");
    assert!(datagram(&mut pair, to_a_customer("inv2543")).is_none());
    assert!(pair.at_meta.is_empty(), "its repetition is known by its other headers");
}

/// A request with usual headers, those in `instead` replaced or added (`Name: value` lines).
fn request(start: &str, instead: &str, body: &str) -> String {
    let method = start.split(' ').next().unwrap();
    let usual = [
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtorture",
        "From: <sip:caller@example.com>;tag=1928",
        "To: <sip:watson@example.com>",
        "Call-ID: torture.0ha0isndaksdj",
        &format!("CSeq: 8 {method}"),
        "Max-Forwards: 70",
        "Contact: <sip:caller@192.0.2.1>",
    ];
    let mut text = format!("{start}\r\n");
    let replaced: Vec<&str> =
        instead.split("\r\n").filter_map(|line| line.split(':').next()).map(str::trim).collect();
    for line in usual {
        let name = line.split(':').next().unwrap();
        if !replaced.iter().any(|one| one.eq_ignore_ascii_case(name)) {
            text.push_str(&format!("{line}\r\n"));
        }
    }
    text.push_str(instead);
    if !replaced.iter().any(|one| one.eq_ignore_ascii_case("Content-Length") || one.eq_ignore_ascii_case("l"))
    {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}")
}

#[test]
fn a_fault_in_a_message_keeps_the_connection_and_a_lost_frame_closes_it() {
    let mut pair = Pair::with(|config| config.require_digest = false);
    let conn = pair.meta_connects();
    pair.over(conn, &request("OPTIONS sip:a@b SIP/2.0", "CSeq: x\r\n", ""));
    assert_eq!(pair.meta().status(), 400);
    pair.over(conn, "garbage without a colon\r\nContent-Length: 0\r\n\r\n");
    pair.over(conn, &request("OPTIONS sip:a@b SIP/2.0", "", ""));
    assert_eq!(pair.meta().status(), 200);
    assert!(pair.closed.is_empty());

    for (instead, status) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Some(400)),
        ("Content-Length: x\r\n", Some(400)),
        ("Content-Length: 70000\r\n", Some(413)),
    ] {
        let conn = pair.meta_connects();
        pair.over(conn, &request("OPTIONS sip:a@b SIP/2.0", instead, ""));
        assert_eq!(pair.at_meta.pop_front().map(|msg| msg.status()), status, "{instead}");
        assert_eq!(pair.closed.pop(), Some(conn), "{instead}");
    }
    let conn = pair.meta_connects();
    pair.over(conn, &request("OPTIONS sip:a@b SIP/2.0", "", "").replace("Content-Length: 0\r\n", ""));
    assert_eq!(
        (pair.meta().status(), pair.closed.pop()),
        (400, Some(conn)),
        "without a length on a connection"
    );
    let conn = pair.meta_connects();
    pair.over(conn, &"x".repeat(40_000));
    assert_eq!(pair.closed.pop(), Some(conn));
    let conn = pair.meta_connects();
    pair.input(Input::Received {
        conn,
        bytes: vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 0xff, b'\r', b'\n', b'\r', b'\n'],
    });
    assert_eq!(pair.closed.pop(), Some(conn), "TLS inside of TLS has no Content-Length");
}
