//! Which phone an INVITE is for.

use std::collections::HashMap;
use std::sync::Arc;

use super::uri::Uri;
use crate::domain::call::{CallRoute, RouteTable};

/// The routes, found by number or `tgrp`.
#[derive(Default, Debug)]
pub struct Routes {
    by_digits: HashMap<String, Arc<CallRoute>>,
    by_tgrp: HashMap<String, Arc<CallRoute>>,
}

impl Routes {
    /// From a table.
    pub fn new(table: RouteTable) -> Self {
        let mut routes = Self::default();
        let mut shared = Vec::new();
        for route in table.routes {
            let route = Arc::new(route);
            if let Some(tgrp) = &route.tgrp
                && routes.by_tgrp.insert(tgrp.clone(), Arc::clone(&route)).is_some()
            {
                shared.push(tgrp.clone());
            }
            routes.by_digits.insert(route.digits.clone(), route);
        }
        // A group of several phones tells none of them apart.
        routes.by_tgrp.retain(|tgrp, _| !shared.contains(tgrp));
        routes
    }

    /// The phone of a Request-URI: its number, else its trunk group.
    pub fn of_uri(&self, uri: &str) -> Option<Arc<CallRoute>> {
        let uri = Uri::parse(uri).ok()?;
        let by_number = uri.name().and_then(|name| self.of_number(&name));
        by_number.or_else(|| self.by_tgrp.get(uri.user_param("tgrp")?).cloned())
    }

    /// The phone of a number, with or without `+`.
    pub fn of_number(&self, number: &str) -> Option<Arc<CallRoute>> {
        self.by_digits.get(digits(number)?).cloned()
    }
}

/// The digits of an E.164 number, with or without `+` or `00`.
pub fn digits(number: &str) -> Option<&str> {
    let number = number.trim();
    let bare = number.strip_prefix('+').or_else(|| number.strip_prefix("00")).unwrap_or(number);
    let is_number = (5..=15).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PhoneKey, PhoneNumberId};

    fn route(digits: &str, tgrp: Option<&str>) -> CallRoute {
        CallRoute {
            phone: PhoneKey::new(format!("phone-{digits}")),
            phone_number_id: PhoneNumberId::new("1"),
            digits: digits.to_owned(),
            tgrp: tgrp.map(str::to_owned),
            hostname: "sip.example.com".to_owned(),
            sip_password: None,
            trunk: "asterisk".to_owned(),
            extension: "100".to_owned(),
        }
    }

    #[test]
    fn a_group_of_several_phones_finds_none_of_them_and_the_number_goes_first() {
        let routes =
            [route("1234567", Some("own")), route("7654321", Some("all")), route("7777777", Some("all"))];
        let routes = Routes::new(RouteTable { routes: routes.into() });
        let digits = |uri: &str| routes.of_uri(uri).map(|route| route.digits.clone());
        assert_eq!(digits("sip:+1234567;tgrp=all@h").as_deref(), Some("1234567"));
        assert_eq!(digits("sip:+9999999;tgrp=own@h").as_deref(), Some("1234567"));
        assert_eq!(digits("sip:+9999999;tgrp=all@h"), None);
    }
}
