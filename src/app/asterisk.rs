//! `wabridge asterisk-config`: the two files of an Asterisk behind this bridge, filled in. The same text is
//! in `docs/calls.md`, and the tests run a real Asterisk on it.

use anyhow::{Context, bail};

use crate::cli::{AsteriskOptions, Keying};
use crate::config::{SipConfig, TrunkConfig};
use crate::domain::PhoneNumber;
use crate::domain::call::Login;

const PJSIP: &str = include_str!("asterisk/pjsip.conf");
const EXTENSIONS: &str = include_str!("asterisk/extensions.conf");

/// Media keys by SDP (RFC 4568): the simplest, and what we advise to set at Meta.
const SDES: &str = "media_encryption=sdes";
/// Media keys by a handshake on the media path (RFC 5764), with ICE: what a new number has at Meta.
const DTLS: &str = "media_encryption=dtls
; by DTLS a call from WhatsApp may stay silent: Meta leaves it to Asterisk to choose the way of speech by ICE, and
; Asterisk leaves it to who has called. Calls to WhatsApp are well; SDES is well for both
dtls_auto_generate_cert=yes
dtls_setup=actpass
dtls_verify=fingerprint
use_avpf=yes
ice_support=yes
media_use_received_transport=yes";

/// Of a transport by TLS.
const TLS: &str = "
; Asterisk's certificate, for the name in the trunk's uris; who has signed it is tls_ca_file of the trunk, if
; that is no public authority
cert_file=/etc/asterisk/keys/asterisk.pem
priv_key_file=/etc/asterisk/keys/asterisk.key
; wabridge shows that of sip.certificate; its name must lead from here to sip.trunk_listen
ca_list_file=/etc/ssl/certs/ca-certificates.crt
verify_server=yes
; the newest version of TLS that both sides speak
method=sslv23";

/// Both files, one after the other, each under a line with its name.
pub fn files(sip: &SipConfig, options: &AsteriskOptions) -> anyhow::Result<String> {
    let (pjsip, extensions) = (pjsip(sip, options)?, extensions(options)?);
    Ok(format!("; ===== pjsip.conf =====\n{pjsip}\n; ===== extensions.conf =====\n{extensions}"))
}

fn pjsip(sip: &SipConfig, options: &AsteriskOptions) -> anyhow::Result<String> {
    let trunk = trunk(sip, options.trunk.as_deref())?;
    let (auth, endpoint_auth) = trunk.map(auth).unwrap_or_default();
    let uri = trunk.and_then(|trunk| trunk.uris.first()).map_or("sip:127.0.0.1:5060", String::as_str);
    let protocol = protocol(uri);
    // A name that can be verified, where there is something to be verified.
    let name = sip.hostname.as_ref().filter(|_| protocol == "tls");
    let port = sip.trunk_advertised.port();
    let bridge = name.map_or(sip.trunk_advertised.to_string(), |name| format!("{name}:{port}"));
    let transport = if protocol == "udp" { String::new() } else { escape(&format!(";transport={protocol}")) };
    Ok(fill(
        PJSIP,
        &[
            ("protocol", protocol),
            ("tls", if protocol == "tls" { TLS } else { "" }),
            ("asterisk", &bound(address(uri))),
            ("bridge", &bridge),
            ("transport", &transport),
            ("bridge_host", &sip.trunk_advertised.ip().to_string()),
            ("media", &options.media_address.map_or("203.0.113.10".to_owned(), |media| media.to_string())),
            (
                "keying",
                match options.keying {
                    Keying::Sdes => SDES,
                    Keying::Dtls => DTLS,
                },
            ),
            ("phone", &number(options)?),
            ("auth", &auth),
            ("endpoint_auth", &endpoint_auth),
        ],
    ))
}

fn extensions(options: &AsteriskOptions) -> anyhow::Result<String> {
    let phone = number(options)?;
    let values = [("extension", options.extension.as_str()), ("agents", &options.agents), ("phone", &phone)];
    Ok(fill(EXTENSIONS, &values))
}

fn number(options: &AsteriskOptions) -> anyhow::Result<String> {
    let number = PhoneNumber::parse(&options.phone).context("--phone")?;
    Ok(number.e164())
}

/// The one that is named, else the first; `None` = none is configured yet.
fn trunk<'c>(sip: &'c SipConfig, name: Option<&str>) -> anyhow::Result<Option<&'c TrunkConfig>> {
    let Some(name) = name else { return Ok(sip.trunks.first()) };
    match sip.trunks.iter().find(|trunk| trunk.name == name) {
        Some(trunk) => Ok(Some(trunk)),
        None => bail!("there is no [[sip.trunks]] named {name}"),
    }
}

/// How a trunk is spoken to.
fn protocol(uri: &str) -> &'static str {
    let uri = uri.to_ascii_lowercase();
    match uri.split(";transport=").nth(1).and_then(|rest| rest.split(';').next()) {
        Some("tls") => "tls",
        Some("tcp") => "tcp",
        None if uri.starts_with("sips:") => "tls",
        _ => "udp",
    }
}

/// What Asterisk binds to: this address, or all of them where it is known by a name.
fn bound(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, port)) if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err() => {
            format!("0.0.0.0:{port}")
        }
        _ => address.to_owned(),
    }
}

/// `host:port` of a trunk's URI.
fn address(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(';').next().unwrap_or(rest)
}

/// Sections and options of the digest that each side asks of the other.
fn auth(trunk: &TrunkConfig) -> (String, String) {
    let (mut sections, mut options) = (String::new(), String::new());
    let both =
        [("outbound_auth", "wabridge-out", &trunk.inbound_login), ("auth", "wabridge-in", &trunk.login)];
    for (option, section, login) in both {
        if let Some(Login { username, password }) = login {
            let (username, password) = (escape(username), escape(password.expose()));
            sections.push_str(&format!(
                "\n[{section}]\ntype=auth\nauth_type=userpass\nusername={username}\npassword={password}\n"
            ));
            options.push_str(&format!("{option}={section}\n"));
        }
    }
    (sections, options)
}

/// A semicolon that is not escaped begins a comment.
fn escape(value: &str) -> String {
    value.replace(';', "\\;")
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    #[test]
    fn a_semicolon_in_a_password_is_no_comment() {
        let login = Login { username: "wa;b".to_owned(), password: Secret::new("pa;ss;--") };
        let trunk = TrunkConfig {
            name: "asterisk".to_owned(),
            uris: Vec::new(),
            login: Some(login),
            inbound_login: None,
            tls_ca_file: None,
            options_interval: None,
        };
        let (sections, _) = auth(&trunk);
        assert!(sections.contains("username=wa\\;b\npassword=pa\\;ss\\;--\n"), "{sections}");
    }
}
