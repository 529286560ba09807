//! What a phone's settings for calls shall be, checked before anybody is asked.

use std::collections::BTreeMap;

use super::super::validate::{self, Faults};
use super::super::{Setup, SetupError};
use crate::store::calling::CallingRow;

/// Port of a SIP server that is not said.
const DEFAULT_PORT: u16 = 5061;
const SWITCH: [&str; 2] = ["ENABLED", "DISABLED"];

/// What may stand in the user part of an address, and how long Meta lets it be (facts §1.4).
const PARAM: &str = "must hold names and values of 1 to 128 letters, digits or - _ . ! ~ * + &";
const PARAM_LENGTH: usize = 128;

/// What a phone's settings for calls shall be; `None` has its default.
#[derive(Clone, Debug, Default)]
pub struct NewCalling {
    /// `ENABLED` or `DISABLED`.
    pub status: String,
    /// `ENABLED` or `DISABLED`; else as `status`.
    pub sip_status: Option<String>,
    /// SIP server that Meta calls; else `sip.hostname`.
    pub hostname: Option<String>,
    /// Its port; else 5061.
    pub port: Option<u32>,
    /// What the user part of the addresses bears that Meta calls, as `tgrp` (RFC 4904); else as it was.
    pub user_params: Option<BTreeMap<String, String>>,
    /// `SDES` or `DTLS`; else `SDES`.
    pub keying: Option<String>,
    /// `ENABLED` or `DISABLED`; else `ENABLED`.
    pub webhook_delivery: Option<String>,
    /// Name of the trunk that calls are handed to.
    pub trunk: Option<String>,
    /// User part of the address there.
    pub extension: Option<String>,
    /// Whether unknown callers make leads or contacts in the CRM; else as it was.
    pub crm_create: Option<bool>,
}

impl Setup {
    /// What of the stored settings cannot be a settings of this bridge is told; the rest is the wish.
    pub(in crate::setup) fn checked(
        &self,
        phone_id: &str,
        new: NewCalling,
        before: Option<CallingRow>,
    ) -> Result<CallingRow, SetupError> {
        let sip = &self.config.sip;
        let mut faults = Faults::default();
        let status = faults.check("status", validate::one_of(&new.status, &SWITCH));
        let sip_status = new.sip_status.as_deref().unwrap_or(&new.status);
        let sip_status = faults.check("sip.status", validate::one_of(sip_status, &SWITCH));
        let keying = new.keying.as_deref().unwrap_or("SDES");
        let keying = faults.check("srtp_key_exchange_protocol", validate::one_of(keying, &["SDES", "DTLS"]));
        let delivery = new.webhook_delivery.as_deref().unwrap_or("ENABLED");
        let webhook_delivery = faults.check("webhook_delivery", validate::one_of(delivery, &SWITCH));
        let own_name = sip.hostname.as_deref();
        let hostname = match new.hostname.as_deref() {
            Some(name) => Some(faults.check("sip.hostname", server_name(name))),
            None => own_name.map(str::to_owned),
        };
        let is_on = status == "ENABLED" && sip_status == "ENABLED";
        if is_on && hostname.is_none() {
            faults.add("sip.hostname", "is missing, and sip.hostname is not set in the configuration");
        }
        for (name, value) in new.user_params.iter().flatten() {
            if !is_param(name) || !is_param(value) {
                faults.add("sip.request_uri_user_params", PARAM);
            }
        }
        let port = new.port.unwrap_or(u32::from(DEFAULT_PORT));
        let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or("must be 1 to 65535");
        let port = faults.check("sip.port", port);
        let external = hostname.as_deref().is_some_and(|name| {
            own_name.is_none_or(|own| !own.trim_end_matches('.').eq_ignore_ascii_case(name))
        });
        let kept = |value: Option<String>, old: Option<&Option<String>>| {
            value.filter(|value| !value.trim().is_empty()).or_else(|| old.cloned().flatten())
        };
        let trunk = kept(new.trunk, before.as_ref().map(|row| &row.trunk));
        let trunk = match trunk {
            Some(name) if sip.trunks.iter().any(|trunk| trunk.name == name.trim()) => {
                Some(name.trim().to_owned())
            }
            Some(_) if external => None,
            Some(_) => {
                faults.add("trunk", "is not the name of a trunk of the configuration ([[sip.trunks]])");
                None
            }
            None => None,
        };
        let extension = kept(new.extension, before.as_ref().map(|row| &row.extension));
        let extension = extension.as_deref().map(extension_of).transpose();
        let extension = faults.check("extension", extension);
        if is_on && !external {
            if trunk.is_none() {
                faults.add("trunk", "is missing: calls are handed to a trunk");
            }
            if extension.is_none() {
                faults.add("extension", "is missing: calls are handed to an extension of the trunk");
            }
        }
        faults.done()?;
        let now = self.clock.now().naive_utc();
        let (password, tgrp, meta) = before
            .as_ref()
            .map(|row| (row.sip_password_sealed.clone(), row.tgrp.clone(), row.meta.clone()))
            .unwrap_or_default();
        let crm_before = before.as_ref().is_some_and(|row| row.crm_create);
        Ok(CallingRow {
            phone_id: phone_id.to_owned(),
            status,
            sip_status,
            hostname,
            port: i32::from(port),
            keying,
            webhook_delivery,
            trunk,
            extension,
            edge: if external { "external" } else { "own" }.to_owned(),
            tgrp,
            crm_create: new.crm_create.unwrap_or(crm_before),
            sip_password_sealed: password,
            meta,
            error_code: None,
            error_title: None,
            error_explanation: None,
            checked_at: None,
            created_at: before.map_or(now, |row| row.created_at),
            updated_at: now,
        })
    }
}

/// A public DNS name: Meta takes no address, and checks the certificate against the name.
fn server_name(text: &str) -> Result<String, String> {
    let name = validate::site(text)?;
    let name = name.trim_end_matches('.');
    if name.parse::<std::net::IpAddr>().is_ok() || !name.contains('.') {
        return Err("must be a DNS name, no address: Meta checks the certificate against it".to_owned());
    }
    Ok(name.to_owned())
}

/// A user part that needs no escapes.
fn extension_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-_.*#".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 64 letters, digits or + - _ . * #".to_owned())
    }
}

/// A name or value that needs no escapes in the user part of an address.
fn is_param(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*+&".contains(&b);
    (1..=PARAM_LENGTH).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_dns_name_and_an_extension_is_plain() {
        assert_eq!(server_name("SIP.Example.com.").as_deref(), Ok("sip.example.com"));
        for wrong in ["127.0.0.1", "[::1]", "localhost", "sip.example.com:5061", "a b.c", ""] {
            assert!(server_name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(extension_of(" *100# ").as_deref(), Ok("*100#"));
        for wrong in ["", "100@x", "1 0", "sip:1", "1;x=y", "ü"] {
            assert!(extension_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_stands_before_the_at_needs_no_escapes() {
        assert!(is_param("trunk-context") && is_param("byoc.example.com"));
        for wrong in ["", "a;b", "a=b", "a@b", "a b", &"x".repeat(129)] {
            assert!(!is_param(wrong), "{wrong}");
        }
    }
}
