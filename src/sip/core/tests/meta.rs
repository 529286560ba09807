//! Meta's side of a call: its messages as the fact sheet shows them, three Vias and two Record-Routes each.

use super::pair::{CUSTOMER, HOST, META_SDP, Msg, PHONE, Pair, md5_response, with_body};
use crate::sip::core::ConnId;

/// Meta's side of a call that it begins.
#[derive(Clone, Debug)]
pub struct MetaCall {
    pub conn: ConnId,
    pub call_id: String,
    pub tag: String,
    pub seq: u32,
    pub branch: String,
    pub uri: String,
    pub from: String,
    pub extra: String,
    pub sdp: String,
}

impl MetaCall {
    pub fn new(pair: &mut Pair, conn: ConnId) -> Self {
        let wacid = pair.token("wacid.HBgLMTIxOTU1NTA3MTQVAgASGCA==");
        Self {
            conn,
            call_id: format!("outgoing:{wacid}"),
            tag: pair.token("5cf5cc86-"),
            seq: 2824,
            branch: pair.token("z9hG4bKPj"),
            uri: format!("sip:+{PHONE}@{HOST};transport=tls"),
            from: format!("\"{CUSTOMER}\" <sip:+{CUSTOMER}@wa.meta.vc>"),
            extra: format!("x-wa-meta-wacid: {wacid}\r\n"),
            sdp: META_SDP.into(),
        }
    }

    /// The three Vias of Meta, with this branch on top; interleaved with the Record-Routes.
    fn path(branch: &str) -> String {
        format!(
            "Record-Route: <sip:wa.meta.vc;transport=tls;lr>\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::1]:43917;rport=43917;received=2803:6080:e888:51aa::1;branch={branch};alias\r\n\
             Record-Route: <sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::2]:5061;branch=z9hG4bKPjsecond\r\n\
             Via: SIP/2.0/TLS [2803:6080:e888:51aa::3]:55319;rport=55319;received=2803:6080:e888:51aa::3;branch=z9hG4bKPjthird;alias\r\n"
        )
    }

    #[expect(clippy::too_many_arguments, reason = "these are the parts of a request")]
    pub fn request(
        &self,
        method: &str,
        uri: &str,
        to_tag: &str,
        seq: u32,
        branch: &str,
        extra: &str,
        body: &str,
    ) -> String {
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let path = Self::path(branch);
        let (from, tag, call_id) = (&self.from, &self.tag, &self.call_id);
        let head = format!(
            "{method} {uri} SIP/2.0\r\n{path}Max-Forwards: 69\r\nFrom: {from};tag={tag}\r\n\
             To: <sip:+{PHONE}@{HOST}>{to_tag}\r\n\
             Contact: <sip:+{CUSTOMER}@wa.meta.vc;transport=tls;ob>;isfocus\r\n\
             Call-ID: {call_id}\r\nCSeq: {seq} {method}\r\nX-FB-External-Domain: wa.meta.vc\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS\r\nUser-Agent: Facebook SipGateway\r\n{extra}"
        );
        with_body(head, body)
    }

    pub fn invite(&self, extra: &str) -> String {
        let extra = format!("{}{extra}", self.extra);
        self.request("INVITE", &self.uri, "", self.seq, &self.branch, &extra, &self.sdp)
    }

    pub fn cancel(&self) -> String {
        self.request("CANCEL", &self.uri, "", self.seq, &self.branch, "", "")
    }

    /// The ACK of a failure: same branch.
    pub fn ack_failure(&self, response: &Msg) -> String {
        self.request("ACK", &self.uri, response.tag("To"), self.seq, &self.branch, "", "")
    }

    /// The ACK of a 2xx: a transaction of its own.
    pub fn ack(&self, pair: &mut Pair, ok: &Msg) -> String {
        let branch = pair.token("z9hG4bKack");
        self.request("ACK", ok.contact(), ok.tag("To"), ok.seq(), &branch, "", "")
    }

    pub fn bye(&self, pair: &mut Pair, ok: &Msg, extra: &str) -> String {
        let branch = pair.token("z9hG4bKbye");
        self.request("BYE", ok.contact(), ok.tag("To"), ok.seq() + 1, &branch, extra, "")
    }

    /// Digest as Meta makes it: no `+`, no transport in the uri, no algorithm.
    pub fn credentials(challenge: &Msg, password: &str) -> String {
        let name = "Proxy-Authenticate";
        let (realm, nonce) = (challenge.digest(name, "realm"), challenge.digest(name, "nonce"));
        let uri = format!("sip:+{PHONE}@{HOST}");
        let response = md5_response(PHONE, &realm, password, "INVITE", &uri, &nonce, "00000001", "c0ffee");
        format!(
            "Proxy-Authorization: Digest username=\"{PHONE}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", cnonce=\"c0ffee\", qop=auth, nc=00000001\r\n"
        )
    }
}
