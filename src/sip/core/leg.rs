//! A leg: the dialog with one side of a call (RFC 3261 §12), frozen route set included.

use super::address::{Address, split_list};
use super::clients::Heads;
use super::headers::Headers;
use super::io::{ConnId, Packet, Target, To, Transport, Trust};
use super::links::Links;
use super::timers::TimerId;
use super::uri::Uri;

/// Which side a leg is with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// WhatsApp.
    Meta,
    /// The trunk of this index.
    Trunk(usize),
}

/// How far a leg is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegState {
    /// Its INVITE has no final answer.
    Open,
    /// It was answered.
    Confirmed,
    /// It was refused, cancelled or hung up.
    Over,
}

/// A 2xx of ours that was not acknowledged yet; repeated until it is, over TLS too (§13.3.1.4).
#[derive(Debug)]
pub struct Unacked {
    /// The 2xx.
    pub packet: Packet,
    /// Where to.
    pub to: To,
    /// Until the next repetition.
    pub interval: std::time::Duration,
    /// CSeq number of its INVITE.
    pub seq: u32,
    /// The repetition.
    pub repeat: Option<TimerId>,
    /// The end of patience.
    pub end: Option<TimerId>,
}

/// A dialog, from its first message on.
#[derive(Debug)]
pub struct Leg {
    /// With whom.
    pub edge: Edge,
    /// How it began; what UDP and connections differ in.
    pub transport: Transport,
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// Their tag; `None` until they answer.
    pub remote_tag: Option<String>,
    /// Our From, with the tag.
    pub local: String,
    /// Their To, with the tag once it is known.
    pub remote: String,
    /// CSeq number of our last request.
    pub local_seq: u32,
    /// CSeq number of their last request.
    pub remote_seq: Option<u32>,
    /// Route set, frozen when the dialog is made.
    pub routes: Vec<String>,
    /// Their Contact.
    pub target: String,
    /// Our Contact.
    pub contact: String,
    /// The connection that last brought something of this dialog.
    pub conn: Option<ConnId>,
    /// How far it is.
    pub state: LegState,
    /// The last SDP that we sent in it.
    pub sent_sdp: Option<String>,
    /// The last SDP that they sent in it.
    pub got_sdp: Option<String>,
    /// Our 2xx without its ACK.
    pub unacked: Option<Unacked>,
}

impl Leg {
    /// How the dialog is found: by Call-ID and our tag, whatever connection a request comes on.
    pub fn key(&self) -> String {
        key(&self.call_id, &self.local_tag)
    }

    /// Whether a request with this From tag is of this dialog.
    pub fn is_with(&self, tag: Option<&str>) -> bool {
        self.remote_tag.as_deref().unwrap_or_default() == tag.unwrap_or_default()
    }

    /// Freezes the dialog by the response that made it (§12.1.2): route set reversed.
    pub fn learn(&mut self, headers: &Headers) {
        if let Some(to) = headers.get("To") {
            self.remote_tag = Address::parse(to).and_then(|to| to.tag().map(str::to_owned));
            to.clone_into(&mut self.remote);
        }
        self.routes = headers.all("Record-Route").flat_map(split_list).map(str::to_owned).collect();
        self.routes.reverse();
        if let Some(contact) = contact(headers) {
            self.target = contact;
        }
    }

    /// The headers of our next request in this dialog (§12.2.1.1); CSeq counts up.
    pub fn next_heads(&mut self, via: String) -> Heads {
        self.local_seq += 1;
        self.heads(via, self.local_seq)
    }

    /// The headers of a request with this number; an ACK has that of its INVITE.
    pub fn heads(&self, via: String, seq: u32) -> Heads {
        let mut uri = self.target.clone();
        let mut routes = self.routes.clone();
        // A strict router is addressed itself, the target goes to the end.
        let first = routes.first().and_then(|route| Address::parse(route));
        if let Some(first) = first
            && first.parsed().is_ok_and(|parsed| parsed.param("lr").is_none())
        {
            routes.remove(0);
            routes.push(format!("<{uri}>"));
            uri = first.uri;
        }
        Heads {
            uri,
            via,
            routes,
            max_forwards: 70,
            from: self.local.clone(),
            to: self.remote.clone(),
            call_id: self.call_id.clone(),
            seq,
        }
    }

    /// The connection that the dialog used last, if it is alive; else the next hop is dialled.
    pub fn way(&self, links: &Links) -> Option<(To, Option<Target>)> {
        let hop = self.next_hop();
        match self.conn {
            Some(conn) if links.is_open(conn) => Some((To::Conn(conn), hop)),
            _ => hop.map(|target| (To::Target(target), None)),
        }
    }

    /// First Route, else the Contact.
    fn next_hop(&self) -> Option<Target> {
        let route = self.routes.first().and_then(|route| Address::parse(route)).map(|route| route.uri);
        let uri = Uri::parse(route.as_deref().unwrap_or(&self.target)).ok()?;
        let named = uri.param("transport").flatten().map(str::to_ascii_lowercase);
        let (transport, trust) = match self.edge {
            Edge::Meta => (Transport::Tls, Trust::Meta),
            Edge::Trunk(index) => {
                let transport = match named.as_deref() {
                    Some("tls") => Transport::Tls,
                    Some("tcp") => Transport::Tcp,
                    Some("udp") => Transport::Udp,
                    _ if uri.is_secure => Transport::Tls,
                    _ => self.transport,
                };
                (transport, Trust::Trunk(index))
            }
        };
        let default = if transport == Transport::Tls { 5061 } else { 5060 };
        let port = uri.port.unwrap_or(default);
        Some(Target { transport, host: uri.host.as_str().into(), port, trust })
    }
}

/// How a dialog is found.
pub fn key(call_id: &str, local_tag: &str) -> String {
    format!("{call_id}\n{local_tag}")
}

/// The URI of a Contact.
pub fn contact(headers: &Headers) -> Option<String> {
    let first = split_list(headers.get("Contact")?).next()?;
    let address = Address::parse(first)?;
    address.parsed().ok().map(|_| address.uri)
}
