//! The certificates of our listeners: renewed ones are taken in without a restart, and one that is about to
//! expire is told of in time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::telemetry::Metrics;
use crate::tls::ReloadingCert;

/// Between two looks at the files.
const ROUND: Duration = Duration::from_secs(5);
/// Rounds between two alarms: six hours.
const ALARM_ROUNDS: u32 = 4320;
/// Who is told so long before can renew in time.
const ALARM: TimeDelta = TimeDelta::days(14);

/// A certificate that is watched.
pub struct Watched {
    /// `http` or `sip`.
    pub listener: &'static str,
    /// The certificate.
    pub certificate: Arc<ReloadingCert>,
    /// To know how far its end is.
    pub clock: Clock,
    /// Where its end is shown.
    pub metrics: Arc<Metrics>,
}

/// Watches until `stop`.
pub async fn watch(watched: Watched, stop: CancellationToken) {
    let mut round: u32 = 0;
    loop {
        if round.is_multiple_of(ALARM_ROUNDS) {
            watched.look_at_end();
        }
        round = round.wrapping_add(1);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
        if watched.reload().await {
            watched.look_at_end();
        }
    }
}

impl Watched {
    /// `true` = there is a new one.
    async fn reload(&self) -> bool {
        let (looked, listener, now) = (self.certificate.clone(), self.listener, self.clock.now());
        match tokio::task::spawn_blocking(move || looked.reload_if_changed(now)).await {
            Ok(Ok(true)) => {
                tracing::info!(listener, "the certificate was renewed");
                true
            }
            Ok(Err(error)) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(listener, error = format!("{error:#}"), "the new certificate is not used");
                false
            }
            Ok(Ok(false)) | Err(_) => false,
        }
    }

    fn look_at_end(&self) {
        let Some(end) = self.certificate.expires() else { return };
        self.metrics.certificate_expires(self.listener, end.timestamp());
        let (listener, left) = (self.listener, left(end, self.clock.now()));
        match left {
            Left::Enough => {}
            Left::Days(days) => tracing::warn!(listener, days, "the certificate expires soon: renew it"),
            Left::Over => {
                tracing::error!(listener, "the certificate has expired: nobody who checks it connects")
            }
        }
    }
}

/// How much is left of a certificate.
#[derive(PartialEq, Eq, Debug)]
enum Left {
    Enough,
    Days(i64),
    Over,
}

fn left(end: DateTime<Utc>, now: DateTime<Utc>) -> Left {
    let left = end - now;
    if left <= TimeDelta::zero() {
        Left::Over
    } else if left <= ALARM {
        Left::Days(left.num_days())
    } else {
        Left::Enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_told_fourteen_days_ahead() {
        let now = Clock::System.now();
        assert_eq!(left(now + TimeDelta::days(15), now), Left::Enough);
        assert_eq!(left(now + TimeDelta::days(14), now), Left::Days(14));
        assert_eq!(left(now + TimeDelta::hours(5), now), Left::Days(0));
        assert_eq!(left(now, now), Left::Over);
    }
}
