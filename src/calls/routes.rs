//! Which calls go where: one row for each phone whose calls come to this bridge.

use crate::directory::{Calling, Snapshot};
use crate::domain::call::{CallRoute, RouteTable};

/// The routes of what is configured.
pub fn table(snapshot: &Snapshot) -> RouteTable {
    let ours = snapshot.calling.iter().filter(|calling| calling.is_ours());
    RouteTable { routes: ours.filter_map(|calling| route(snapshot, calling)).collect() }
}

fn route(snapshot: &Snapshot, calling: &Calling) -> Option<CallRoute> {
    let phone = snapshot.phone(&calling.phone)?;
    Some(CallRoute {
        phone: phone.key.clone(),
        phone_number_id: phone.phone_number_id.clone(),
        digits: phone.number.clone(),
        tgrp: calling.row.tgrp.clone(),
        hostname: calling.row.hostname.clone()?,
        sip_password: calling.sip_password.clone(),
        trunk: calling.row.trunk.clone()?,
        extension: calling.row.extension.clone()?,
    })
}

/// Whether two tables say the same, passwords included.
pub(super) fn same(one: &RouteTable, other: &RouteTable) -> bool {
    let password = |route: &CallRoute| route.sip_password.as_ref().map(|secret| secret.expose().to_owned());
    let equal = |a: &CallRoute, b: &CallRoute| {
        let names = |route: &CallRoute| {
            let CallRoute { phone, phone_number_id, digits, tgrp, hostname, trunk, extension, .. } = route;
            format!("{phone}\n{phone_number_id}\n{digits}\n{tgrp:?}\n{hostname}\n{trunk}\n{extension}")
        };
        names(a) == names(b) && password(a) == password(b)
    };
    one.routes.len() == other.routes.len() && one.routes.iter().zip(&other.routes).all(|(a, b)| equal(a, b))
}
