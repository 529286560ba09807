//! Judges the SIP edge as others see it: port, chain, name, protocol, trunks, and whether a phone's password is
//! believed there (whatsapp-sip facts §2.11).

use super::finding::{Check, Finding, Subject, russian, words};
use crate::sip::probe::{Belief, ProbeFault};

/// Judges a TLS connection to the edge by the name that Meta was given: the port is open, and the chain is one of a
/// public authority for this name.
pub(super) fn reached(
    subject: &Subject,
    shaken: &Result<Option<String>, ProbeFault>,
    name: &str,
    port: u16,
) -> Finding {
    let check = Check("sip.reached", subject);
    match shaken {
        Ok(_) => check.pass(words(
            format!("{name}:{port} is reached, and its certificate is that of its name."),
            format!("{name}:{port} доступен, сертификат соответствует имени."),
        )),
        Err(ProbeFault::Tls(why)) => check.fail(
            words(
                format!("Meta would not take the certificate of {name}: {why}."),
                format!("Meta не примет сертификат {name}: {}.", russian(&why)),
            ),
            words(
                "Serve a certificate of a public authority for this very name, with its whole chain.",
                "Установите сертификат публичного центра именно на это имя, с полной цепочкой.",
            ),
        ),
        Err(ProbeFault::Unreachable(why) | ProbeFault::Silent(why)) => check.fail(
            words(
                format!("{name}:{port} cannot be reached from here: {why}."),
                format!("{name}:{port} отсюда недоступен: {}.", russian(&why)),
            ),
            words(
                "Open the port in the firewall and let the name point to this machine.",
                "Откройте порт в файрволе и направьте имя на эту машину.",
            ),
        ),
    }
}

/// Judges the protocol that whoever answers there agrees upon: the edge names none, a proxy of the web does.
pub(super) fn alpn(subject: &Subject, shaken: &Result<Option<String>, ProbeFault>, port: u16) -> Finding {
    let check = Check("sip.alpn", subject);
    match shaken {
        Ok(None) => check.pass(words("No protocol of the web is agreed upon.", "Протокол веба не согласуется.")),
        Ok(Some(protocol)) => check.fail(
            words(
                format!("Whoever answers at port {port} speaks {protocol}, not SIP."),
                format!("На порту {port} отвечают по протоколу {protocol}, а не SIP."),
            ),
            words(
                "Let no proxy of the web answer at this port: hand its connections on to wabridge as they are (TCP), \
                 without ALPN.",
                "На этом порту не должен отвечать веб-прокси: передавайте соединения wabridge без изменений (TCP), без \
                 ALPN.",
            ),
        ),
        Err(_) => check.skipped(words("There is no connection.", "Соединения нет.")),
    }
}

/// Judges whether the configured certificate is for the name that Meta was given; `Err` = why not.
pub(super) fn name(subject: &Subject, outcome: Result<(), String>, name: &str) -> Finding {
    let check = Check("sip.name", subject);
    match outcome {
        Ok(()) => check.pass(words(
            format!("The certificate is for {name}."),
            format!("Сертификат выдан на имя {name}."),
        )),
        Err(why) => check.fail(
            words(
                format!("The certificate is not for {name}: {why}."),
                format!("Сертификат не на имя {name}: {}.", russian(&why)),
            ),
            words(
                "Get a certificate whose subject alternative name is `sip.hostname`, or correct `sip.hostname`.",
                "Получите сертификат, в котором SAN совпадает с `sip.hostname`, или исправьте `sip.hostname`.",
            ),
        ),
    }
}

/// Judges the answers of the trunks: by name, the status or why there was none.
pub(super) fn trunks(subject: &Subject, asked: &[(String, Result<u16, String>)]) -> Finding {
    let check = Check("sip.trunks", subject);
    if asked.is_empty() {
        return check.skipped(words("There is no trunk.", "Транков нет."));
    }
    let silent: Vec<String> = asked
        .iter()
        .filter_map(|(name, outcome)| outcome.as_ref().err().map(|why| format!("{name} ({why})")))
        .collect();
    if silent.is_empty() {
        return check.pass(words("Every trunk answers OPTIONS.", "Все транки отвечают на OPTIONS."));
    }
    let list = silent.join(", ");
    check.fail(
        words(
            format!("Trunks do not answer OPTIONS: {list}."),
            format!("Транки не отвечают на OPTIONS: {list}."),
        ),
        words(
            "Check that the telephone system runs, `uris` of the trunk, and the firewall between the two.",
            "Проверьте, что АТС работает, `uris` транка и файрвол между ними.",
        ),
    )
}

/// Judges an INVITE with the phone's password to our own edge.
pub(super) fn digest(subject: &Subject, outcome: &Result<Belief, ProbeFault>) -> Finding {
    let check = Check("calls.digest", subject);
    match outcome {
        Ok(Belief::Proven) => check.pass(words(
            "Our edge takes a call that proves the phone's password.",
            "Наш сервер принимает звонок с паролем номера.",
        )),
        Ok(Belief::Unasked) => {
            check.skipped(words("Passwords are not asked for (`sip.require_digest`).", "Пароль не запрашивается (`sip.require_digest`)."))
        }
        Ok(Belief::Disbelieved(status)) => check.fail(
            words(
                format!("Our edge refuses the phone's own password ({status}): every call of Meta would be refused."),
                format!("Наш сервер отклоняет пароль номера ({status}): все звонки Meta были бы отклонены."),
            ),
            words(
                "Save the phone's settings for calls again, so that its password is read anew at Meta.",
                "Сохраните настройки звонков номера снова, чтобы пароль был прочитан у Meta заново.",
            ),
        ),
        Ok(Belief::Refused(404)) => check.fail(
            words(
                "Our edge does not know the phone: a call of Meta would be refused (404).",
                "Наш сервер не знает номера: звонок Meta был бы отклонён (404).",
            ),
            words(
                "Save the phone's settings for calls again; if it stays so, restart wabridge.",
                "Сохраните настройки звонков номера снова; если не поможет, перезапустите wabridge.",
            ),
        ),
        Ok(Belief::Refused(status)) => check.unknown(words(
            format!("From here our edge takes no call ({status}): it may take those of Meta's networks only."),
            format!("Отсюда наш сервер звонков не принимает ({status}): возможно, только из сетей Meta."),
        )),
        Err(fault) => {
            let (ProbeFault::Unreachable(why) | ProbeFault::Tls(why) | ProbeFault::Silent(why)) = fault;
            check.fail(
                words(
                    format!("Our SIP edge does not answer a call: {why}."),
                    format!("Наш SIP-сервер не отвечает на звонок: {}.", russian(&why)),
                ),
                words(
                    "Start `wabridge serve`, and look at its log for `sip`.",
                    "Запустите `wabridge serve` и посмотрите `sip` в журнале.",
                ),
            )
        }
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
    fn a_handshake_tells_of_port_chain_and_protocol() {
        use Outcome::{Fail, Pass, Skipped};
        for (shaken, expected) in [
            (Ok(None), [Pass, Pass]),
            (Ok(Some("h2".to_owned())), [Pass, Fail]),
            (Err(ProbeFault::Tls("x".into())), [Fail, Skipped]),
            (Err(ProbeFault::Unreachable("x".into())), [Fail, Skipped]),
        ] {
            let found = [reached(&subject(), &shaken, "sip.example", 5061), alpn(&subject(), &shaken, 5061)];
            assert_eq!(found.map(|finding| finding.outcome), expected, "{shaken:?}");
        }
    }

    #[test]
    fn a_password_is_judged_by_what_the_edge_thinks_of_it() {
        for (outcome, expected) in [
            (Ok(Belief::Proven), Outcome::Pass),
            (Ok(Belief::Unasked), Outcome::Skipped),
            (Ok(Belief::Disbelieved(403)), Outcome::Fail),
            (Ok(Belief::Refused(404)), Outcome::Fail),
            (Ok(Belief::Refused(403)), Outcome::Unknown),
            (Err(ProbeFault::Silent("x".into())), Outcome::Fail),
        ] {
            assert_eq!(digest(&subject(), &outcome).outcome, expected, "{outcome:?}");
        }
    }

    #[test]
    fn trunks_that_are_silent_are_named() {
        let asked = |second| vec![("one".to_owned(), Ok(200)), ("two".to_owned(), second)];
        assert_eq!(trunks(&subject(), &[]).outcome, Outcome::Skipped);
        assert_eq!(trunks(&subject(), &asked(Ok(404))).outcome, Outcome::Pass);
        let found = trunks(&subject(), &asked(Err("nobody".to_owned())));
        assert_eq!(found.outcome, Outcome::Fail);
        assert!(found.reason.en.contains("two (nobody)") && !found.reason.en.contains("one"));
    }
}
