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
        for route in table.routes {
            let route = Arc::new(route);
            if let Some(tgrp) = &route.tgrp {
                routes.by_tgrp.insert(tgrp.clone(), Arc::clone(&route));
            }
            routes.by_digits.insert(route.digits.clone(), route);
        }
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
