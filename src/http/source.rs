//! Where a request comes from: the peer, or what a proxy of ours says.

use std::net::IpAddr;

use actix_web::HttpRequest;

use super::State;

/// The address behind a request. `X-Forwarded-For` is believed from the right as long as our own proxies
/// wrote it.
pub(super) fn source(state: &State, request: &HttpRequest) -> String {
    let trusted =
        |address: IpAddr| state.config.http.trusted_proxies.iter().any(|network| network.contains(address));
    let Some(peer) = request.peer_addr().map(|peer| peer.ip()) else { return "?".to_owned() };
    let mut source = peer;
    if trusted(peer) {
        let lines = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        for hop in hops.into_iter().rev() {
            let Ok(address) = hop.trim().parse() else { break };
            source = address;
            if !trusted(address) {
                break;
            }
        }
    }
    source.to_canonical().to_string()
}
