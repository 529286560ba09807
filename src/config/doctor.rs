//! `[doctor]` and `[alarms]`: how often the bridge looks at itself, and whom it tells.

use std::time::Duration;

use url::Url;

use super::reader::Reader;
use crate::domain::Secret;

/// `[doctor]`.
#[derive(Clone, Debug)]
pub struct DoctorConfig {
    /// Between two rounds of the cheap checks; `None` = no check runs in the background.
    pub interval: Option<Duration>,
}

/// `[alarms]`.
#[derive(Clone, Debug)]
pub struct AlarmsConfig {
    /// Where alarms are posted.
    pub webhook_url: Option<Url>,
    /// Signs what is posted.
    pub webhook_secret: Option<Secret>,
}

impl DoctorConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let minutes = r.whole("doctor.interval_minutes", 0..=1440);
        Self { interval: (minutes > 0).then(|| Duration::from_secs(u64::from(minutes) * 60)) }
    }
}

impl AlarmsConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let config = Self {
            webhook_url: r.address("alarms.webhook_url", web_address),
            webhook_secret: r.secret("alarms.webhook_secret"),
        };
        if config.webhook_url.is_some() && config.webhook_secret.is_none() {
            r.fault("alarms.webhook_secret", "is needed beside alarms.webhook_url: it signs what is posted");
        }
        config
    }
}

fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() =>
        {
            Ok(url)
        }
        _ => Err(format!("`{text}` is not an address that begins with https://")),
    }
}
