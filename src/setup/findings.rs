//! What the bridge knows to be wrong without asking anybody: broken secrets, portals that do not work.

use super::Setup;
use super::portals::lacks;

/// Something that is wrong at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of what, for people.
    pub object: String,
    /// Why, in words.
    pub reason: String,
}

impl Setup {
    /// What is wrong at present.
    pub fn findings(&self) -> Vec<Finding> {
        let snapshot = self.directory.now();
        let mut findings = Vec::new();
        let mut add = |object: String, reason: &str| {
            findings.push(Finding { object, reason: reason.to_owned() });
        };
        for app in &snapshot.apps {
            app.broken.iter().for_each(|why| add(format!("App {}", app.site), why));
        }
        for waba in &snapshot.wabas {
            waba.broken.iter().for_each(|why| add(format!("WABA {}", waba.waba_id), why));
        }
        for phone in &snapshot.phones {
            if let Some(status) = phone.row.status.as_deref().filter(|status| *status != "CONNECTED") {
                add(format!("+{}", phone.number), &format!("Meta says that the number is {status}"));
            }
            phone.row.security_note.iter().for_each(|note| add(format!("+{}", phone.number), note));
        }
        for portal in &snapshot.portals {
            let name = portal.row.domain.clone();
            portal.broken.iter().for_each(|why| add(name.clone(), why));
            if portal.row.status != "active" {
                let why = portal.row.status_reason.as_deref().unwrap_or("the portal does not work");
                add(name.clone(), why);
            }
            let missing = lacks(&snapshot, portal);
            if !missing.is_empty() {
                add(name, &format!("these scopes are missing: {}", missing.join(", ")));
            }
        }
        findings
    }
}
