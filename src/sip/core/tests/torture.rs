//! The messages of RFC 4475, raw, each answered as it says or dropped; and what breaks a connection.

use super::meta::MetaCall;
use super::pair::*;
use crate::sip::core::*;

/// What the trunk's side gets for a datagram: the status of the answer, `None` = silence.
fn datagram(text: &str) -> Option<u16> {
    let mut pair = Pair::with(|config| config.require_digest = false);
    pair.pbx_sends(text);
    let answer = pair.at_pbx.pop_back();
    pair.at_pbx.clear();
    // Whatever it was, the next call works.
    pair.call_works();
    answer.map(|msg| msg.status())
}

impl Pair {
    fn call_works(&mut self) {
        let conn = self.meta_connects();
        let call = MetaCall::new(self, conn);
        self.over(conn, &call.invite(""));
        assert!(self.at_meta.iter().any(|msg| msg.status() == 100));
        assert!(self.at_pbx.iter().any(|msg| msg.method() == "INVITE"));
    }
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

fn options(instead: &str) -> Option<u16> {
    datagram(&request("OPTIONS sip:user@example.com SIP/2.0", instead, ""))
}

#[test]
fn wsinv_a_short_tortuous_invite_is_read() {
    // §3.1.1.1, our extension as target.
    let text = "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n\
        TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
        from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
        MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 150\r\n\
        cseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n\
        NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
        UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n\
        Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n\
        v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n\
        \x20SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
        m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n\
        v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\nm=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n";
    assert_eq!(datagram(text), Some(481), "it has a To tag, and there is no such dialog");
}

#[test]
fn intmeth_wide_range_of_valid_characters() {
    // §3.1.1.2: a valid method that nobody knows.
    let text = "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:\
        &it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP host1.example.com;rport;branch=z9hG4bK-.!%66*_+`'~\r\n\
        To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7F\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\r\n\
        From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"x\";tag=_token~1'+`*%!-.\r\n\
        Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\nCSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n\
        Max-Forwards: 255\r\nextensionHeader-!.%*+_`'~: x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(datagram(text), Some(501));
}

#[test]
fn escapes_are_no_separators() {
    // §3.1.1.3 esc01, §3.1.1.4 escnull, §3.1.1.5 esc02.
    let invite = |uri: &str| datagram(&request(&format!("INVITE {uri} SIP/2.0"), "", ""));
    assert_eq!(invite("sip:sips%3Auser%40example.com@example.net"), Some(403), "read, but no phone of ours");
    assert_eq!(invite("sip:null-%00-null@example.com"), Some(403));
    let text = request("RE%47IST%45R sip:registrar.example.com SIP/2.0", "", "");
    assert_eq!(datagram(&text), Some(501), "an escape in a method is no escape");
}

#[test]
fn display_names_and_addresses() {
    // §3.1.1.6 lwsdisp, §3.1.1.9 semiuri, quotbal, baddn, badaspec, ltgtruri's cousins.
    assert_eq!(options("From: caller<sip:caller@example.com>;tag=323"), Some(200));
    assert_eq!(
        datagram(&request("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", "", "")),
        Some(200)
    );
    assert_eq!(options("To: \"Mr. J. User <sip:j.user@example.com>\r\n"), Some(400));
    assert_eq!(options("From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43\r\n"), Some(400));
    assert_eq!(
        options("To: \"Watson, Thomas\" < sip:t.watson@example.org >\r\n"),
        Some(200),
        "§3.1.2.14 may be taken"
    );
}

#[test]
fn long_values_and_unusual_reasons() {
    // §3.1.1.7 longreq, shortened to what fits a datagram; §3.1.1.12 unreason, §3.1.1.13 noreason are responses.
    let long = "x".repeat(9000);
    assert_eq!(options(&format!("User-Agent: {long}\r\nSubject: {long}\r\n")), Some(200));
    for start in ["SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое", "SIP/2.0 100 "]
    {
        let text = request("OPTIONS x SIP/2.0", "", "").replacen("OPTIONS x SIP/2.0", start, 1);
        assert_eq!(datagram(&text), None, "an answer to nothing is dropped");
    }
}

#[test]
fn dblreq_what_is_behind_the_length_is_dropped() {
    // §3.1.1.8: a REGISTER and, behind its end, an INVITE.
    let first = request("REGISTER sip:example.com SIP/2.0", "", "");
    let mut pair = Pair::new();
    pair.pbx_sends(&format!("{first}INVITE sip:joe@example.com SIP/2.0\r\nt: <sip:joe@example.com>\r\n\r\n"));
    assert_eq!(pair.pbx().status(), 405);
    pair.quiet();
}

#[test]
fn transports_and_bodies_of_any_kind_are_no_fault() {
    // §3.1.1.10 transports; §3.1.1.11 mpart01 for a method without use of it.
    let vias = "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw\r\nVia: SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bKx\r\n";
    assert_eq!(options(vias), Some(200));
    let text = request(
        "MESSAGE sip:k@example.com SIP/2.0",
        "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\n",
        "--x\r\nbinary\u{1}\r\n--x--",
    );
    assert_eq!(datagram(&text), Some(405));
}

#[test]
fn badinv01_and_other_wrong_headers_are_400() {
    // §3.1.2.1: separators where none may be.
    assert_eq!(
        options("Via: SIP/2.0/UDP 192.0.2.15;;,;,,\r\n"),
        Some(200),
        "lenient: the first element is whole"
    );
    assert_eq!(options("Contact: \"Joe\" <sip:joe@example.org>;;;;, <sip:b\r\n"), Some(400));
    assert_eq!(options("Max-Forwards: 300\r\n"), Some(400), "§3.1.2.4 scalar02");
    assert_eq!(options("CSeq: 36893488147419103232 OPTIONS\r\n"), Some(400));
    assert_eq!(options("CSeq: 8 INVITE\r\n"), Some(400), "§3.1.2.17 mismatch01");
    assert_eq!(
        datagram(&request("NEWMETHOD sip:a@b SIP/2.0", "CSeq: 8 INVITE\r\n", "")),
        Some(400),
        "§3.1.2.18"
    );
    assert_eq!(options("Call-ID: \r\n"), Some(400));
}

#[test]
fn lengths_that_lie() {
    // §3.1.2.2 clerr, §3.1.2.3 ncl.
    let text = request("INVITE sip:user@example.com SIP/2.0", "Content-Length: 9999\r\n", "v=0\r\n");
    assert_eq!(datagram(&text), Some(400));
    let text = request("INVITE sip:user@example.com SIP/2.0", "Content-Length: -999\r\n", "v=0\r\n");
    assert_eq!(datagram(&text), Some(400));
}

#[test]
fn start_lines_that_are_wrong() {
    // §3.1.2.5 scalarlg, .7 ltgtruri, .8 lwsruri, .9 lwsstart, .10 trws, .11 escruri, .16 badvers, .19 bigcode.
    for (start, status) in [
        ("INVITE <sip:user@example.com> SIP/2.0", Some(400)),
        ("INVITE sip:user@example.com; lr SIP/2.0", Some(400)),
        ("INVITE  sip:user@example.com  SIP/2.0", Some(400)),
        ("OPTIONS sip:remote-target@example.com SIP/2.0  ", Some(400)),
        ("OPTIONS sip:t.watson@example.org SIP/7.0", Some(505)),
        ("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", Some(416)),
        ("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", Some(416)),
        ("OPTIONS name:John_Smith SIP/2.0", Some(416)),
        ("OPTIONS sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", Some(200)),
        ("SIP/2.0 4294967301 better not break the receiver", None),
    ] {
        let method = start.split(' ').next().unwrap();
        let text = request(start, &format!("CSeq: 8 {method}\r\n"), "");
        assert_eq!(datagram(&text), status, "{start}");
    }
}

#[test]
fn missing_and_doubled_headers() {
    // §3.3.1 insuf, §3.3.8 multi01, §3.3.9 mcl01.
    let text = "INVITE sip:user@example.com SIP/2.0\r\nCSeq: 193942 INVITE\r\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\r\n\
                Content-Length: 0\r\n\r\n";
    assert_eq!(datagram(text), Some(400));
    assert_eq!(options("CSeq: 5 OPTIONS\r\nCSeq: 59 OPTIONS\r\n"), Some(400));
    assert_eq!(options("Content-Length: 0\r\nContent-Length: 5\r\n"), Some(400));
    assert_eq!(options("Content-Length: 0\r\nl: 0\r\n"), Some(200));
}

#[test]
fn requirements_and_types_that_nobody_has() {
    // §3.3.5 bext01, §3.3.6 invut, §3.3.11 zeromf, §3.3.4 unksm2.
    let mut pair = Pair::new();
    pair.pbx_sends(&request("OPTIONS sip:user@example.com SIP/2.0", "Require: nothingSupportsThis\r\n", ""));
    let refused = pair.pbx();
    assert_eq!((refused.status(), refused.get("Unsupported")), (420, "nothingSupportsThis"));
    assert_eq!(
        options("Max-Forwards: 0\r\n"),
        Some(200),
        "§3.3.11: an OPTIONS may be answered by whom it reached"
    );
    assert_eq!(options("To: <isbn:2983792873>\r\n"), Some(200));
    let unknown = request(
        &format!("INVITE sip:+{CUSTOMER}@example.com SIP/2.0"),
        &format!("X-WA-Phone: {PHONE}\r\nContent-Type: application/unknownformat\r\n"),
        "<audio>\r\n",
    );
    assert_eq!(datagram(&unknown), Some(415));
}

#[test]
fn responses_that_are_not_for_us() {
    // §3.3.10 bcast, §3.2.1 badbranch.
    let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\n\
                Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\r\nCall-ID: bcast.0384840201234ksdfak3j2erwedfsASdf\r\n\
                CSeq: 35 INVITE\r\nFrom: sip:user@example.com;tag=11141343\r\nTo: sip:user@example.edu;tag=2229\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(datagram(text), None);
    assert_eq!(options("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\r\n"), Some(200));
}

#[test]
fn inv2543_an_invite_of_the_old_kind_is_answered() {
    // §3.4.1: no branch, no tag, no Max-Forwards.
    let text = format!(
        "INVITE sip:+{CUSTOMER}@example.com SIP/2.0\r\nVia: SIP/2.0/UDP iftgw.example.com\r\nFrom: <sip:+{PHONE}@192.0.2.5>\r\n\
         To: <sip:+{CUSTOMER}@example.com>\r\nCall-ID: inv2543.1717@ift.client.example.com\r\nCSeq: 56 INVITE\r\n\
         Contact: <sip:a@192.0.2.5>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{PBX_SDP}",
        PBX_SDP.len()
    );
    let mut pair = Pair::new();
    pair.pbx_sends(&text);
    assert_eq!(pair.pbx().status(), 100);
    assert_eq!(pair.meta().method(), "INVITE");
    pair.pbx_sends(&text);
    assert_eq!(pair.pbx().status(), 100, "its repetition is known by its other headers");
    assert!(pair.at_meta.is_empty());
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
