//! Judges a WhatsApp Business Account: who hears of it, where, and its health in Meta's own words
//! (whatsapp-messaging facts §1.4, §7.5, §7.6).

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Check, Finding, Outcome, Repair, Subject, Words, words};
use crate::store::templates::TemplateRow;
use crate::whatsapp::client::{Health, HealthEntity, SubscribedApp};

/// Judges which apps hear of the account.
pub(super) fn subscribed(subject: &Subject, told: &[SubscribedApp], client_id: &str) -> Vec<Finding> {
    let ours = told.iter().find(|app| app.id == client_id);
    let mut found = vec![heard(subject, ours), redirected(subject, ours)];
    let others: Vec<String> = told
        .iter()
        .filter(|app| app.id != client_id)
        .map(|app| app.name.clone().unwrap_or_else(|| app.id.clone()))
        .collect();
    let check = Check("meta.waba.other_apps", subject);
    found.push(if others.is_empty() {
        check.pass(words("No other app hears of the account.", "Других приложений у аккаунта нет."))
    } else {
        let list = others.join(", ");
        check.warn(
            words(
                format!("Other apps get the messages of this account too: {list}."),
                format!("Сообщения этого аккаунта получают и другие приложения: {list}."),
            ),
            words(
                "If an app answers customers that should not, take it off the account in Business settings.",
                "Если какое-то приложение не должно отвечать клиентам, отключите его от аккаунта в настройках \
                 бизнеса.",
            ),
        )
    });
    found
}

fn heard(subject: &Subject, ours: Option<&SubscribedApp>) -> Finding {
    let check = Check("meta.waba.subscribed", subject);
    match ours {
        Some(_) => check.pass(words(
            "The app is subscribed to this account.",
            "Приложение подписано на этот аккаунт.",
        )),
        None => check
            .fail(
                words(
                    "The app is not subscribed to this account: Meta's test works, real messages never arrive.",
                    "Приложение не подписано на этот аккаунт: тест Meta проходит, но настоящие сообщения не \
                     приходят.",
                ),
                words("Subscribe it; wabridge can do that.", "Подпишите его; wabridge может сделать это сам."),
            )
            .repaired_by(Repair::WabaSubscription),
    }
}

fn redirected(subject: &Subject, ours: Option<&SubscribedApp>) -> Finding {
    let check = Check("meta.waba.override", subject);
    match ours.and_then(|app| app.override_callback_uri.as_deref()) {
        Some(url) => elsewhere(check, url).repaired_by(Repair::WabaSubscription),
        None if ours.is_none() => {
            check.skipped(words("The app is not subscribed yet.", "Приложение ещё не подписано."))
        }
        None => check.pass(words(
            "The account has no webhook address of its own.",
            "У аккаунта нет собственного адреса уведомлений.",
        )),
    }
}

/// Webhooks go to another address than the app's.
pub(super) fn elsewhere(check: Check<'_>, url: &str) -> Finding {
    let host =
        url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    check.fail(
        words(
            format!("An address of its own overrides the app's: its messages go to {host}."),
            format!("Собственный адрес перекрывает адрес приложения: сообщения уходят на {host}."),
        ),
        words(
            "Remove the other address; wabridge can do that.",
            "Удалите этот адрес; wabridge может сделать это сам.",
        ),
    )
}

/// Judges what the health status of a number or account says of one kind of object.
pub(super) fn health(subject: &Subject, told: &Health, of: &[(&'static str, &'static str)]) -> Vec<Finding> {
    of.iter()
        .map(|(id, kind)| {
            let check = Check(id, subject);
            match told.entities.iter().find(|entity| entity.entity_type == *kind) {
                Some(entity) => entity_health(check, entity),
                None => check.unknown(words(
                    "Meta's health status does not tell.",
                    "Статус Meta об этом ничего не говорит.",
                )),
            }
        })
        .collect()
}

fn entity_health(check: Check<'_>, entity: &HealthEntity) -> Finding {
    let (text, advice) = told_words(entity);
    match entity.can_send_message.as_str() {
        "AVAILABLE" => check.pass(words("Meta says: available.", "Meta сообщает: доступно.")),
        "LIMITED" => check.warn(
            words(format!("Meta says: limited. {text}"), format!("Meta сообщает: ограничено. {text}")),
            advice,
        ),
        "BLOCKED" => check.fail(
            words(format!("Meta says: blocked. {text}"), format!("Meta сообщает: заблокировано. {text}")),
            advice,
        ),
        other => check.unknown(words(format!("Meta says: {other}."), format!("Meta сообщает: {other}."))),
    }
}

/// Judges payment, as far as the health status tells.
pub(super) fn payment(subject: &Subject, told: &Health) -> Finding {
    let check = Check("meta.waba.payment", subject);
    let speaks = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["payment", "billing", "credit line"].iter().any(|word| text.contains(word))
    };
    let holder =
        told.entities.iter().filter(|entity| matches!(entity.entity_type.as_str(), "WABA" | "BUSINESS"));
    for entity in holder {
        let (text, advice) = told_words(entity);
        if speaks(&text) {
            let reason = words(text.clone(), text);
            return match entity.can_send_message.as_str() {
                "BLOCKED" => check.fail(reason, advice),
                _ => check.warn(reason, advice),
            };
        }
    }
    check.unknown(words(
        "Meta names no trouble with payment, which is not a word that there is none.",
        "Meta не сообщает о проблемах с оплатой, но это не значит, что их нет.",
    ))
}

/// Meta's own words, and what it advises.
fn told_words(entity: &HealthEntity) -> (String, Words) {
    let errors =
        entity.errors.iter().map(|error| format!("{}: {}", error.error_code, error.error_description));
    let text: Vec<String> = entity.additional_info.iter().cloned().chain(errors).collect();
    let solutions: Vec<&str> = entity
        .errors
        .iter()
        .map(|error| error.possible_solution.as_str())
        .filter(|text| !text.is_empty())
        .collect();
    let advice = match solutions.as_slice() {
        [] => words(
            "Open WhatsApp Manager: it shows what Meta wants.",
            "Откройте WhatsApp Manager: там видно, чего хочет Meta.",
        ),
        some => words(some.join(" "), some.join(" ")),
    };
    (text.join(" "), advice)
}

/// Judges what Meta's webhooks said of the account's state.
pub(super) fn status(subject: &Subject, status: &str, reason: Option<&str>) -> Finding {
    let check = Check("meta.waba.status", subject);
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match status {
        "active" => check.pass(words("Meta restricts nothing.", "Meta ничего не ограничивает.")),
        "restricted" => check.warn(
            words(format!("Meta has restricted the account{why}."), format!("Meta ограничила аккаунт{why}.")),
            words("See WhatsApp Manager → Account quality.", "См. WhatsApp Manager → Качество аккаунта."),
        ),
        _ => check.fail(
            words(format!("The account is disconnected{why}."), format!("Аккаунт отключён{why}.")),
            words(
                "See WhatsApp Manager, and connect the account again.",
                "См. WhatsApp Manager и подключите аккаунт снова.",
            ),
        ),
    }
}

/// So long a move without an announcement is told of.
const MOVED_LATELY: TimeDelta = TimeDelta::days(7);

/// Judges the states and price classes of the account's templates, as they are stored.
pub(super) fn templates(subject: &Subject, rows: &[TemplateRow], now: DateTime<Utc>) -> Vec<Finding> {
    let (state, category) =
        (Check("meta.templates.state", subject), Check("meta.templates.category", subject));
    let named = |wanted: &dyn Fn(&TemplateRow) -> bool| -> Vec<String> {
        rows.iter().filter(|row| wanted(row)).map(|row| format!("{} ({})", row.name, row.language)).collect()
    };
    let stopped = named(&|row| matches!(row.status.as_str(), "PAUSED" | "DISABLED" | "LIMIT_EXCEEDED"));
    let moved = named(&|row| {
        let announced = row.next_category.as_ref().is_some_and(|next| *next != row.category);
        announced || row.moved_at.is_some_and(|at| now.naive_utc() - at < MOVED_LATELY)
    });
    vec![
        if stopped.is_empty() {
            state.pass(words("No template is paused or disabled.", "Приостановленных шаблонов нет."))
        } else {
            let list = stopped.join(", ");
            state.warn(
                words(
                    format!("Meta has paused or disabled templates: {list}."),
                    format!("Meta приостановила или отключила шаблоны: {list}."),
                ),
                words(
                    "Look at the reason in the list of templates, and use another one until then.",
                    "Посмотрите причину в списке шаблонов и пока используйте другой.",
                ),
            )
        },
        if moved.is_empty() {
            category.pass(words("Meta changes no price class.", "Категории шаблонов не меняются."))
        } else {
            let list = moved.join(", ");
            category.warn(
                words(
                    format!("Meta puts or has put templates into another price class: {list}."),
                    format!("Meta переводит шаблоны в другую категорию: {list}."),
                ),
                words(
                    "Ask for a review in WhatsApp Manager, or reckon with the other price.",
                    "Запросите пересмотр в WhatsApp Manager или учитывайте другую цену.",
                ),
            )
        },
    ]
}

/// Whether all of these are well enough to go on.
pub(super) fn none_failed(found: &[Finding]) -> bool {
    found.iter().all(|finding| finding.outcome != Outcome::Fail)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Kind;
    use super::*;
    use crate::whatsapp::client::HealthError;

    fn subject() -> Subject {
        Subject { kind: Kind::Waba, id: "1".into(), name: "Waba".into() }
    }

    fn app(id: &str, url: Option<&str>) -> SubscribedApp {
        SubscribedApp { id: id.into(), name: None, override_callback_uri: url.map(str::to_owned) }
    }

    #[test]
    fn only_our_own_subscription_counts() {
        use Outcome::{Fail, Pass, Skipped, Warn};
        for (told, expected) in [
            (vec![app("10", None)], [Pass, Pass, Pass]),
            (vec![app("10", None), app("11", None)], [Pass, Pass, Warn]),
            (vec![app("11", None)], [Fail, Skipped, Warn]),
            (vec![], [Fail, Skipped, Pass]),
            (vec![app("10", Some("https://other.example/hook"))], [Pass, Fail, Pass]),
        ] {
            let found = subscribed(&subject(), &told, "10");
            let outcomes: Vec<_> = found.iter().map(|finding| finding.outcome).collect();
            assert_eq!(outcomes, expected, "{told:?}");
        }
    }

    #[test]
    fn the_health_status_is_told_in_metas_own_words() {
        let entity = |kind: &str, state: &str, text: &str| HealthEntity {
            entity_type: kind.into(),
            can_send_message: state.into(),
            errors: vec![HealthError {
                error_code: 141_006,
                error_description: text.into(),
                possible_solution: "Do this.".into(),
            }],
            ..HealthEntity::default()
        };
        let told = Health {
            can_send_message: None,
            entities: vec![
                entity("WABA", "BLOCKED", "There is an error with the payment method."),
                entity("APP", "LIMITED", "The app is in development mode."),
            ],
        };
        let ids = [("meta.app.live", "APP"), ("meta.business.health", "BUSINESS")];
        let found = health(&subject(), &told, &ids);
        assert_eq!(found[0].outcome, Outcome::Warn);
        assert!(found[0].reason.en.contains("development mode"));
        assert_eq!(found[0].advice.as_ref().unwrap().en, "Do this.");
        assert_eq!(found[1].outcome, Outcome::Unknown);
        assert_eq!(payment(&subject(), &told).outcome, Outcome::Fail);
        assert_eq!(payment(&subject(), &Health::default()).outcome, Outcome::Unknown);
    }
}
