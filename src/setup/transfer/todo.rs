//! What a person still has to do after an import: secrets are in no file of ours, and the clouds do not know yet
//! that somebody else speaks with them.

use super::{Configuration, Imported};
use crate::setup::Setup;

/// What is left to do, in the order in which it is done.
pub(super) fn of(setup: &Setup, new: &Configuration, told: &Imported) -> Vec<String> {
    let made = |name: String| told.made.contains(&name);
    let mut left = Vec::new();
    for part in new.apps.iter().filter(|part| made(format!("app {}", part.site))) {
        let missing: Vec<&str> =
            [(&part.secrets.client_secret, "app secret"), (&part.secrets.access_token, "access token")]
                .into_iter()
                .filter_map(|(secret, name)| secret.is_none().then_some(name))
                .collect();
        if !missing.is_empty() {
            left.push(format!("app {}: enter again the {}", part.site, missing.join(" and the ")));
        }
        if part.secrets.verify_token.is_none() {
            left.push(format!(
                "app {}: it has a new verify token; Meta asks for it only when the callback address is entered",
                part.site
            ));
        }
    }
    for part in new.wabas.iter().filter(|part| made(format!("WABA {}", part.waba_id))) {
        if part.own_token && part.access_token.is_none() {
            left.push(format!(
                "WABA {}: enter again its own access token, if it is to have one",
                part.waba_id
            ));
        }
    }
    for part in new.portal_apps.iter().filter(|part| made(format!("local application {}", part.client_id))) {
        if part.client_secret.is_none() {
            left.push(format!("local application {}: enter again the client secret", part.client_id));
        }
    }
    for part in new.portals.iter().filter(|part| made(format!("portal {}", part.domain))) {
        left.push(format!(
            "portal {}: in the settings of the local application {} enter the handler address {} and the \
             installation address {}, save, and let an administrator open the application",
            part.domain,
            part.portal_app,
            setup.handler_url(),
            setup.install_url()
        ));
    }
    for part in new.phones.iter().filter(|part| made(format!("phone {}", part.phone_number))) {
        if new.without_calls {
            left.push(format!(
                "phone {}: if it takes calls, enter trunk and extension on its page (Calls and SIP) and save: settings \
                 for calls are not taken over",
                part.phone_number
            ));
        }
        if part.calling.is_some() {
            left.push(format!(
                "phone {}: save its settings for calls once, so that Meta has them",
                part.phone_number
            ));
        }
        if !new.lines.iter().any(|line| line.phone == part.phone_number_id) {
            left.push(format!("phone {}: link it to a line", part.phone_number));
        }
    }
    if !told.made.is_empty() {
        left.push(
            "then run `wabridge doctor`: it subscribes the accounts and enters the callback address at Meta \
             (repair), and says what else is missing"
                .to_owned(),
        );
    }
    left
}
