//! Judges a portal and a linked line: installed and finished, scopes, events, connector (bitrix24 facts §2.1,
//! §2.3, §3.5).

use super::finding::{Check, Finding, Repair, Subject, russian, words};
use crate::bitrix::events::{self, EVENTS, EventBinding};
use crate::bitrix::imconnector::ConnectorStatus;
use crate::bitrix::oauth::AppInfo;
use crate::bitrix::openlines::LineConfig;

/// Judges what the portal says of our application.
pub(super) fn application(subject: &Subject, info: &AppInfo) -> Vec<Finding> {
    let (finished, licence) = (Check("portal.finished", subject), Check("portal.licence", subject));
    vec![
        if info.installed {
            finished.pass(words("The installation is finished.", "Установка завершена."))
        } else {
            finished.fail(
                words(
                    "The installation is not finished: Bitrix24 keeps our events and the connector back.",
                    "Установка не завершена: Битрикс24 не отправляет события и не показывает коннектор.",
                ),
                words(
                    "Let an administrator open the application in Bitrix24 once; its page finishes the installation.",
                    "Пусть администратор откроет приложение в Битрикс24: страница завершит установку.",
                ),
            )
        },
        if info.payment_expired {
            licence.fail(
                words("The application's payment has expired.", "Оплата приложения истекла."),
                words("Renew the subscription in Bitrix24.", "Продлите подписку в Битрикс24."),
            )
        } else {
            licence.pass(words("Bitrix24 names no unpaid licence.", "Неоплаченных лицензий нет."))
        },
    ]
}

/// Judges the granted scopes.
pub(super) fn scopes(subject: &Subject, missing: &[String]) -> Finding {
    let check = Check("portal.scopes", subject);
    if missing.is_empty() {
        return check.pass(words("Every needed scope is granted.", "Все нужные права выданы."));
    }
    let list = missing.join(", ");
    check.fail(
        words(format!("The application lacks the scopes: {list}."), format!("Приложению не хватает прав: {list}.")),
        words(
            "Tick them in the settings of the local application in Bitrix24, save, and open the application again.",
            "Отметьте их в настройках локального приложения в Битрикс24, сохраните и откройте приложение снова.",
        ),
    )
}

/// Judges whether each event is bound once, to our address.
pub(super) fn event_bindings(
    subject: &Subject,
    bound: &[EventBinding],
    handler: &str,
    ours: impl Fn(&str) -> bool,
) -> Finding {
    let check = Check("portal.events", subject);
    let (stale, missing) = events::plan(bound, &EVENTS, handler, ours);
    let advice = || {
        words("Bind them anew; wabridge can do that.", "Привяжите заново; wabridge может сделать это сам.")
    };
    if !missing.is_empty() {
        let list = missing.join(", ");
        return check
            .fail(
                words(
                    format!("Bitrix24 does not tell us of: {list}."),
                    format!("Битрикс24 не сообщает нам о событиях: {list}."),
                ),
                advice(),
            )
            .repaired_by(Repair::PortalEvents);
    }
    if !stale.is_empty() {
        return check
            .fail(
                words(
                    format!("{} events are bound twice or to an old address of ours.", stale.len()),
                    format!("Событий, привязанных дважды или к старому адресу: {}.", stale.len()),
                ),
                advice(),
            )
            .repaired_by(Repair::PortalEvents);
    }
    check.pass(words(
        "Each event is bound once, to our address.",
        "Каждое событие привязано один раз к нашему адресу.",
    ))
}

/// Judges whether our connector is registered.
pub(super) fn connector(subject: &Subject, known: &[String], code: &str) -> Finding {
    let check = Check("portal.connector", subject);
    if known.iter().any(|known| known.eq_ignore_ascii_case(code)) {
        return check.pass(words("The connector is registered.", "Коннектор зарегистрирован."));
    }
    check
        .fail(
            words("Our connector is not registered.", "Наш коннектор не зарегистрирован."),
            words(
                "Register it; wabridge can do that.",
                "Зарегистрируйте его; wabridge может сделать это сам.",
            ),
        )
        .repaired_by(Repair::PortalConnector)
}

/// Judges whether the phones that are to be SMS senders are.
pub(super) fn senders(subject: &Subject, known: &[String], wanted: &[String]) -> Finding {
    let check = Check("portal.senders", subject);
    if wanted.is_empty() {
        return check.skipped(words("No phone is to be an SMS sender.", "Отправителей SMS не требуется."));
    }
    let missing: Vec<&str> = wanted.iter().filter(|code| !known.contains(code)).map(String::as_str).collect();
    if missing.is_empty() {
        return check.pass(words("The SMS senders are registered.", "Отправители SMS зарегистрированы."));
    }
    let list = missing.join(", ");
    check
        .fail(
            words(
                format!("The CRM does not list these SMS senders: {list}."),
                format!("CRM не знает этих отправителей SMS: {list}."),
            ),
            words(
                "Register them; wabridge can do that.",
                "Зарегистрируйте их; wabridge может сделать это сам.",
            ),
        )
        .repaired_by(Repair::PortalSenders)
}

/// Judges the line that a phone is linked to.
pub(super) fn line(
    subject: &Subject,
    config: Option<&LineConfig>,
    status: Option<&ConnectorStatus>,
) -> Vec<Finding> {
    let (exists, active) = (Check("line.exists", subject), Check("line.connector", subject));
    let Some(config) = config else {
        return vec![
            exists.fail(
                words("The open line is gone from Bitrix24.", "Открытой линии в Битрикс24 больше нет."),
                words("Link the phone to another line.", "Привяжите номер к другой линии."),
            ),
            active.skipped(words("There is no line.", "Линии нет.")),
        ];
    };
    vec![
        if config.active {
            exists.pass(words("The open line is there and active.", "Открытая линия есть и активна."))
        } else {
            exists.warn(
                words("The open line is switched off in Bitrix24.", "Открытая линия в Битрикс24 выключена."),
                words("Switch the line on in the contact center.", "Включите линию в контакт-центре."),
            )
        },
        switched_on(active, status),
    ]
}

fn switched_on(check: Check<'_>, status: Option<&ConnectorStatus>) -> Finding {
    let advice =
        || words("Switch it on; wabridge can do that.", "Включите его; wabridge может сделать это сам.");
    match status {
        Some(status) if status.working => {
            check.pass(words("The connector is active on the line.", "Коннектор активен на линии."))
        }
        Some(status) if status.configured => check
            .fail(
                words(
                    "Bitrix24 has marked the connector on the line as faulty: operators cannot answer.",
                    "Битрикс24 пометил коннектор на линии как неисправный: операторы не могут отвечать.",
                ),
                advice(),
            )
            .repaired_by(Repair::LineConnector),
        Some(_) => check
            .fail(
                words("The connector is not active on the line.", "Коннектор на линии не активен."),
                advice(),
            )
            .repaired_by(Repair::LineConnector),
        None => check.unknown(words("Bitrix24 does not tell.", "Битрикс24 не сообщает.")),
    }
}

/// Judges what is stored of the portal.
pub(super) fn stored(subject: &Subject, status: &str, reason: Option<&str>) -> Finding {
    let check = Check("portal.status", subject);
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let in_russian = reason.map(|reason| format!(" ({})", russian(&reason))).unwrap_or_default();
    match status {
        "active" if reason.is_none() => {
            check.pass(words("The application is installed.", "Приложение установлено."))
        }
        "active" => check.warn(
            words(
                format!("The set-up left something undone{why}."),
                format!("Настройка не завершена{in_russian}."),
            ),
            words("Do what the reason says.", "Сделайте то, о чём говорится в причине."),
        ),
        "installing" => check.fail(
            words(
                format!("The set-up is not finished{why}."),
                format!("Настройка не завершена{in_russian}."),
            ),
            words(
                "Let an administrator open the application in Bitrix24 again.",
                "Пусть администратор снова откроет приложение в Битрикс24.",
            ),
        ),
        "reauthorize" => check.fail(
            words(
                format!("Bitrix24 refuses our tokens{why}."),
                format!("Битрикс24 не принимает наши токены{in_russian}."),
            ),
            words(
                "Let an administrator open the application in Bitrix24: that brings new tokens.",
                "Пусть администратор откроет приложение в Битрикс24: это даст новые токены.",
            ),
        ),
        _ => check.fail(
            words(
                format!("The application was removed from Bitrix24{why}."),
                format!("Приложение удалено из Битрикс24{in_russian}."),
            ),
            words("Install it again in Bitrix24.", "Установите его в Битрикс24 снова."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Kind, Outcome};
    use super::*;
    use crate::domain::LineId;

    fn subject() -> Subject {
        Subject { kind: Kind::Portal, id: "1".into(), name: "portal.example".into() }
    }

    const HANDLER: &str = "https://bridge.example/api/bitrix/";

    #[test]
    fn every_event_is_wanted_once() {
        let binding = |event: &str, handler: &str| EventBinding {
            event: event.into(),
            handler: handler.into(),
            auth_type: None,
            offline: false,
        };
        let good: Vec<_> = EVENTS.iter().map(|event| binding(event, HANDLER)).collect();
        let ours = |url: &str| url.ends_with("/api/bitrix/");
        let judge = |bound: &[EventBinding]| event_bindings(&subject(), bound, HANDLER, ours);
        assert_eq!(judge(&good).outcome, Outcome::Pass);
        assert_eq!(judge(&good[1..]).outcome, Outcome::Fail);
        let mut doubled = good.clone();
        doubled.push(binding(EVENTS[0], "https://old.example/api/bitrix/"));
        assert_eq!(judge(&doubled).repair, Some(Repair::PortalEvents));
        let mut foreign = good;
        foreign.push(binding(EVENTS[0], "https://stranger.example/"));
        assert_eq!(judge(&foreign).outcome, Outcome::Pass);
    }

    #[test]
    fn a_line_is_there_and_switched_on() {
        use Outcome::{Fail, Pass, Skipped, Unknown, Warn};
        let config = |active| LineConfig { id: LineId::from("1"), name: "x".into(), active };
        let status = |configured, working| ConnectorStatus { configured, working, error: !working };
        for (config, status, expected) in [
            (Some(config(true)), Some(status(true, true)), [Pass, Pass]),
            (Some(config(false)), Some(status(true, true)), [Warn, Pass]),
            (Some(config(true)), Some(status(true, false)), [Pass, Fail]),
            (Some(config(true)), Some(status(false, false)), [Pass, Fail]),
            (Some(config(true)), None, [Pass, Unknown]),
            (None, None, [Fail, Skipped]),
        ] {
            let found = line(&subject(), config.as_ref(), status.as_ref());
            let outcomes: Vec<_> = found.iter().map(|finding| finding.outcome).collect();
            assert_eq!(outcomes, expected);
        }
    }

    #[test]
    fn an_installation_is_finished_by_its_page() {
        let found = application(&subject(), &AppInfo { installed: false, ..AppInfo::default() });
        assert_eq!(found[0].outcome, Outcome::Fail);
        let found = application(
            &subject(),
            &AppInfo { installed: true, payment_expired: true, ..AppInfo::default() },
        );
        assert_eq!((found[0].outcome, found[1].outcome), (Outcome::Pass, Outcome::Fail));
        for (status, expected) in [
            ("active", Outcome::Pass),
            ("installing", Outcome::Fail),
            ("reauthorize", Outcome::Fail),
            ("uninstalled", Outcome::Fail),
        ] {
            assert_eq!(stored(&subject(), status, None).outcome, expected);
        }
    }
}
