//! Judges the certificates of our listeners and whether the SIP edge is reached by its name, as Meta reaches it
//! (whatsapp-sip facts §2.11).

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Check, Finding, Subject, words};
use super::public::Reached;

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
                format!("Сертификат не читается: {why}."),
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

/// Judges a TLS connection to the SIP edge by the name that Meta was given: the port is open, the chain is one of a
/// public authority, the certificate is for this name.
pub(super) fn reached(subject: &Subject, reached: &Reached, name: &str, port: u16) -> Finding {
    let check = Check("sip.reached", subject);
    match reached {
        Reached::Not { why, tls: true, .. } => check.fail(
            words(
                format!("Meta would not take the certificate of {name}: {why}."),
                format!("Meta не примет сертификат {name}: {why}."),
            ),
            words(
                "Serve a certificate of a public authority for this very name, with its whole chain.",
                "Установите сертификат публичного центра именно на это имя, с полной цепочкой.",
            ),
        ),
        Reached::Not { why, connected: false, .. } => check.fail(
            words(
                format!("{name}:{port} cannot be reached from here: {why}."),
                format!("{name}:{port} отсюда недоступен: {why}."),
            ),
            words(
                "Open the port in the firewall and let the name point to this machine.",
                "Откройте порт в файрволе и направьте имя на эту машину.",
            ),
        ),
        // SIP answers no HTTP: that the connection stands, with its certificate, is all that is asked.
        _ => check.pass(words(
            format!("{name}:{port} is reached, and its certificate is that of its name."),
            format!("{name}:{port} доступен, сертификат соответствует имени."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Kind, Outcome};
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

    #[test]
    fn a_connection_that_stands_is_enough() {
        let no = |tls, connected| Reached::Not { why: "x".into(), tls, connected };
        for (told, expected) in [
            (no(true, false), Outcome::Fail),
            (no(false, false), Outcome::Fail),
            (no(false, true), Outcome::Pass),
        ] {
            assert_eq!(reached(&subject(), &told, "sip.example", 5061).outcome, expected);
        }
    }
}
