//! Judges how long the certificates of our listeners still hold.

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Check, Finding, russian, words};

/// Who is told so long before can renew in time.
const SOON: TimeDelta = TimeDelta::days(14);

/// Judges how long a certificate still holds; `Err` = its files cannot be used.
pub(super) fn days_left(
    check: Check<'_>,
    end: Result<Option<DateTime<Utc>>, String>,
    now: DateTime<Utc>,
) -> Finding {
    let renew = || words("Renew the certificate.", "Обновите сертификат.");
    match end {
        Err(why) => check.fail(
            words(
                format!("The certificate cannot be used: {why}."),
                format!("Сертификат не читается: {}.", russian(&why)),
            ),
            words("Check the paths of certificate and key.", "Проверьте пути к сертификату и ключу."),
        ),
        Ok(None) => check.unknown(words(
            "The end of the certificate cannot be read.",
            "Срок действия сертификата прочитать не удалось.",
        )),
        Ok(Some(end)) => {
            let (left, day) = ((end - now).num_days(), end.format("%Y-%m-%d"));
            if end <= now {
                check.fail(
                    words(
                        format!("The certificate has expired on {day}."),
                        format!("Сертификат истёк {day}."),
                    ),
                    renew(),
                )
            } else if end - now <= SOON {
                check.warn(
                    words(
                        format!("The certificate expires in {left} days, on {day}."),
                        format!("Сертификат истекает через {left} дн., {day}."),
                    ),
                    renew(),
                )
            } else {
                check.pass(words(
                    format!("The certificate holds for {left} days, until {day}."),
                    format!("Сертификат действует ещё {left} дн., до {day}."),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Kind, Outcome, Subject};
    use super::*;

    fn subject() -> Subject {
        Subject { kind: Kind::Bridge, id: "bridge".into(), name: "wabridge".into() }
    }

    #[test]
    fn a_certificate_is_renewed_in_time() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let subject = subject();
        let check = Check("sip.certificate", &subject);
        let at = |days| Ok(Some(now + TimeDelta::days(days)));
        for (end, expected) in [
            (Err("x".to_owned()), Outcome::Fail),
            (Ok(None), Outcome::Unknown),
            (at(-1), Outcome::Fail),
            (at(13), Outcome::Warn),
            (at(60), Outcome::Pass),
        ] {
            assert_eq!(days_left(check, end, now).outcome, expected);
        }
    }
}
