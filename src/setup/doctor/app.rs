//! Judges a Meta app: where its webhooks go and which, its version of the Graph API, what came of our own tries
//! (whatsapp-messaging facts §0.1, §1.1, §1.10, §7.5).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::finding::{Check, Finding, Repair, Subject, russian, words};
use super::public::Reached;
use crate::whatsapp::client::Subscription;

/// The field that bears the messages.
const MESSAGES: &str = "messages";
/// Fields whose changes the bridge shows or acts on (facts §1.10).
const FIELDS: [&str; 13] = [
    MESSAGES,
    "message_template_status_update",
    "message_template_quality_update",
    "message_template_components_update",
    "template_category_update",
    "account_update",
    "account_alerts",
    "account_review_update",
    "business_capability_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "user_preferences",
];

/// The field that bears what Meta knows of calls; wanted where there are any.
const CALLS: &str = "calls";

/// The fields that are wanted.
pub(super) fn fields(has_calls: bool) -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().chain(has_calls.then_some(CALLS))
}

/// Until when Meta keeps a version of the Graph API (facts §0.1); newer ones have no end yet.
const VERSIONS: [(u32, i32, u32, u32); 6] = [
    (20, 2026, 9, 24),
    (21, 2027, 1, 21),
    (22, 2027, 5, 20),
    (23, 2027, 10, 8),
    (24, 2028, 2, 18),
    (25, 2028, 7, 29),
];
const VERSION_SOON: TimeDelta = TimeDelta::days(60);
/// No word of Meta for so long is worth a look.
const QUIET: TimeDelta = TimeDelta::days(7);

/// Judges where Meta sends the app's webhooks, and which.
pub(super) fn subscription(
    subject: &Subject,
    told: Option<&Subscription>,
    ours: &str,
    has_calls: bool,
) -> Vec<Finding> {
    let (callback, ticks) = (Check("meta.app.callback", subject), Check("meta.app.fields", subject));
    let Some(told) = told.filter(|told| !told.callback_url.is_empty()) else {
        return vec![
            callback
                .fail(
                    words(
                        "The app has no callback address for WhatsApp, so Meta tells us nothing.",
                        "У приложения нет адреса обратного вызова для WhatsApp, Meta ничего нам не сообщает.",
                    ),
                    enter_callback(ours),
                )
                .repaired_by(Repair::AppSubscription),
            ticks.skipped(words("There is no callback address yet.", "Адреса обратного вызова ещё нет.")),
        ];
    };
    vec![address(callback, told, ours), ticked(ticks, told, has_calls)]
}

fn address(check: Check<'_>, told: &Subscription, ours: &str) -> Finding {
    if told.callback_url != ours {
        let host = host_of(&told.callback_url);
        return check
            .fail(
                words(
                    format!("Meta sends the app's webhooks to another address (at {host})."),
                    format!("Meta отправляет уведомления приложения на другой адрес ({host})."),
                ),
                enter_callback(ours),
            )
            .repaired_by(Repair::AppSubscription);
    }
    if !told.active {
        return check
            .fail(
                words(
                    "Meta knows our callback address and has switched it off.",
                    "Meta знает наш адрес обратного вызова, но он отключён.",
                ),
                enter_callback(ours),
            )
            .repaired_by(Repair::AppSubscription);
    }
    check.pass(words(
        "Meta sends the app's webhooks to our address.",
        "Meta отправляет уведомления приложения на наш адрес.",
    ))
}

fn ticked(check: Check<'_>, told: &Subscription, has_calls: bool) -> Finding {
    let missing: Vec<&str> =
        fields(has_calls).filter(|field| !told.fields.iter().any(|has| has == field)).collect();
    let list = missing.join(", ");
    let advice = words(
        format!("On the App Dashboard → WhatsApp → Configuration → Webhook fields, tick: {list}."),
        format!("В App Dashboard → WhatsApp → Configuration → Webhook fields отметьте: {list}."),
    );
    if missing.contains(&MESSAGES) {
        return check
            .fail(
                words(
                    "The field `messages` is not ticked: no message of a customer reaches us.",
                    "Поле `messages` не отмечено: сообщения клиентов до нас не доходят.",
                ),
                advice,
            )
            .repaired_by(Repair::AppSubscription);
    }
    if !missing.is_empty() {
        return check
            .warn(
                words(
                    format!("Meta does not tell us of: {list}."),
                    format!("Meta не сообщает нам об этом: {list}."),
                ),
                advice,
            )
            .repaired_by(Repair::AppSubscription);
    }
    check.pass(words("Every needed field is ticked.", "Все нужные поля отмечены."))
}

/// Judges when Meta last told us something for the app.
pub(super) fn last_webhook(subject: &Subject, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Finding {
    let check = Check("meta.app.last_webhook", subject);
    match last {
        None => check.unknown(words(
            "Meta has told us nothing yet: write to a number of the app from a phone.",
            "Meta ещё ничего не сообщала: напишите на номер приложения с телефона.",
        )),
        Some(last) if now - last > QUIET => check.warn(
            words(
                format!("Meta has told us nothing since {}.", last.format("%Y-%m-%d %H:%M UTC")),
                format!("Meta ничего не сообщала с {}.", last.format("%Y-%m-%d %H:%M UTC")),
            ),
            words(
                "Write to a number of the app from a phone; if nothing arrives, see the other findings of the app.",
                "Напишите на номер приложения с телефона; если ничего не придёт, см. другие проверки приложения.",
            ),
        ),
        Some(last) => check.pass(words(
            format!("Meta last told us something on {}.", last.format("%Y-%m-%d %H:%M UTC")),
            format!("Последнее уведомление Meta: {}.", last.format("%Y-%m-%d %H:%M UTC")),
        )),
    }
}

/// Judges our own handshake with the callback address.
pub(super) fn handshake(subject: &Subject, reached: &Reached, challenge: &str) -> Finding {
    let check = Check("meta.app.handshake", subject);
    match reached {
        Reached::Answer { status: 200, body, .. } if body == challenge => check.pass(words(
            "Our callback address answers the handshake with the app's verify token.",
            "Наш адрес обратного вызова отвечает на проверку с verify token приложения.",
        )),
        Reached::Answer { status: 403, .. } => check.fail(
            words(
                "Another installation answers at our callback address: it does not know the verify token.",
                "По нашему адресу отвечает другая установка: она не знает verify token.",
            ),
            words(
                "Let the name of the app's site point to this machine, or enter another site for the app.",
                "Направьте имя сайта приложения на эту машину или укажите другой сайт приложения.",
            ),
        ),
        Reached::Answer { status, .. } => check.fail(
            words(
                format!("Our callback address does not answer the handshake; it says HTTP {status}."),
                format!("Наш адрес обратного вызова не отвечает на проверку: HTTP {status}."),
            ),
            words(
                "Let the proxy hand /api/waba/ on to wabridge, with its query.",
                "Настройте прокси так, чтобы /api/waba/ передавался wabridge вместе с параметрами.",
            ),
        ),
        Reached::Not { why, .. } => check.fail(
            words(
                format!("Our callback address cannot be reached: {why}."),
                format!("Наш адрес обратного вызова недоступен: {}.", russian(&why)),
            ),
            super::public::advice(reached),
        ),
    }
}

/// Judges a signed notification of the largest size that we sent ourselves through the callback address.
pub(super) fn delivery(subject: &Subject, reached: &Reached) -> Finding {
    let check = Check("meta.app.delivery", subject);
    match reached {
        Reached::Answer { status: 200, .. } => check.pass(words(
            "A signed notification of 3 MB comes through to us.",
            "Подписанное уведомление размером 3 МБ доходит до нас.",
        )),
        Reached::Answer { status: 413, .. } => check.fail(
            words(
                "The proxy refuses bodies of 3 MB, which Meta may send.",
                "Прокси не пропускает тела размером 3 МБ, а Meta может их прислать.",
            ),
            words(
                "Raise the body limit of the proxy above 3 MB (nginx: client_max_body_size 4m).",
                "Увеличьте предел размера тела в прокси выше 3 МБ (nginx: client_max_body_size 4m).",
            ),
        ),
        Reached::Answer { status: 401, .. } => check.fail(
            words(
                "A signed notification arrives changed: its signature does not fit any more.",
                "Подписанное уведомление приходит изменённым: подпись не сходится.",
            ),
            words(
                "Let the proxy hand the body and the headers on as they are.",
                "Настройте прокси так, чтобы тело и заголовки передавались без изменений.",
            ),
        ),
        Reached::Answer { status, .. } => check.fail(
            words(
                format!("A signed notification of ours is answered with HTTP {status}."),
                format!("На наше подписанное уведомление приходит ответ HTTP {status}."),
            ),
            words("Look into the log of the proxy and of wabridge.", "Посмотрите журналы прокси и wabridge."),
        ),
        Reached::Not { why, .. } => check.fail(
            words(
                format!("A signed notification of ours does not arrive: {why}."),
                format!("Наше подписанное уведомление не доходит: {}.", russian(&why)),
            ),
            super::public::advice(reached),
        ),
    }
}

/// Judges the version of the Graph API.
pub(super) fn version(subject: &Subject, version: &str, now: DateTime<Utc>) -> Finding {
    let check = Check("meta.app.version", subject);
    let newer = || {
        words(
            "Enter a newer version, as v25.0, in the app's settings (or `meta.graph_version`).",
            "Укажите более новую версию, например v25.0, в настройках приложения (или `meta.graph_version`).",
        )
    };
    let number: Option<u32> = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse().ok());
    let Some(number) = number else {
        return check.unknown(words(
            format!("The version {version} of the Graph API is not one that we know."),
            format!("Версия Graph API {version} нам неизвестна."),
        ));
    };
    let known = VERSIONS.iter().find(|(known, ..)| *known == number);
    let end = known.and_then(|(_, year, month, day)| NaiveDate::from_ymd_opt(*year, *month, *day));
    let oldest = VERSIONS.first().is_some_and(|(oldest, ..)| number < *oldest);
    match end {
        None if oldest => check.fail(
            words(
                format!("Meta has ended the version {version} of the Graph API."),
                format!("Meta больше не поддерживает версию Graph API {version}."),
            ),
            newer(),
        ),
        None => check.pass(words(
            format!("The version {version} of the Graph API has no end yet."),
            format!("Для версии Graph API {version} дата окончания не назначена."),
        )),
        Some(end) if end <= now.date_naive() => check.fail(
            words(
                format!("Meta has ended the version {version} of the Graph API on {end}."),
                format!("Meta прекратила поддержку версии Graph API {version} {end}."),
            ),
            newer(),
        ),
        Some(end) if end - now.date_naive() <= VERSION_SOON => check.warn(
            words(
                format!("Meta ends the version {version} of the Graph API on {end}."),
                format!("Meta прекратит поддержку версии Graph API {version} {end}."),
            ),
            newer(),
        ),
        Some(end) => check.pass(words(
            format!("The version {version} of the Graph API holds until {end}."),
            format!("Версия Graph API {version} действует до {end}."),
        )),
    }
}

fn enter_callback(ours: &str) -> super::finding::Words {
    // The address holds the app's key, which is shown with the app and in no report.
    let shown = ours.split('?').next().unwrap_or_default();
    words(
        format!(
            "On the App Dashboard → WhatsApp → Configuration, enter the callback URL and the verify token that \
             are shown with the app here ({shown}…)."
        ),
        format!(
            "В App Dashboard → WhatsApp → Configuration введите адрес обратного вызова и verify token, \
             показанные здесь у приложения ({shown}…)."
        ),
    )
}

fn host_of(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Kind, Outcome};
    use super::*;

    fn subject() -> Subject {
        Subject { kind: Kind::App, id: "1".into(), name: "App".into() }
    }

    const OURS: &str = "https://bridge.example/api/waba/?api-key=k";

    fn good() -> Subscription {
        Subscription { callback_url: OURS.into(), active: true, fields: FIELDS.map(str::to_owned).to_vec() }
    }

    #[test]
    fn address_and_fields_are_judged_apart() {
        let without = |left_out: &str| Subscription {
            fields: good().fields.into_iter().filter(|field| field != left_out).collect(),
            ..good()
        };
        let cases = [
            (Some(good()), Outcome::Pass, Outcome::Pass),
            (None, Outcome::Fail, Outcome::Skipped),
            (
                Some(Subscription { callback_url: "https://old.example/".into(), ..good() }),
                Outcome::Fail,
                Outcome::Pass,
            ),
            (Some(Subscription { active: false, ..good() }), Outcome::Fail, Outcome::Pass),
            (Some(without("messages")), Outcome::Pass, Outcome::Fail),
            (Some(without("security")), Outcome::Pass, Outcome::Warn),
        ];
        for (told, address, fields) in cases {
            let found = subscription(&subject(), told.as_ref(), OURS, false);
            let outcomes: Vec<_> = found.iter().map(|finding| finding.outcome).collect();
            assert_eq!(outcomes, [address, fields], "{told:?}");
            let repaired = |finding: &Finding| finding.repair == Some(Repair::AppSubscription);
            assert!(found.iter().all(|finding| repaired(finding) == finding.outcome.is_bad()));
            assert!(found.iter().all(|finding| !format!("{finding:?}").contains("api-key")));
        }
    }

    #[test]
    fn a_version_ends_on_its_day() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        for (name, now, expected) in [
            ("v25.0", "2026-11-27T00:00:00Z", Outcome::Pass),
            ("v26.0", "2030-11-27T00:00:00Z", Outcome::Pass),
            ("v21.0", "2026-11-27T00:00:00Z", Outcome::Warn),
            ("v20.0", "2026-11-27T00:00:00Z", Outcome::Fail),
            ("v17.0", "2026-11-27T00:00:00Z", Outcome::Fail),
            ("x", "2026-11-27T00:00:00Z", Outcome::Unknown),
        ] {
            assert_eq!(version(&subject(), name, at(now)).outcome, expected, "{name}");
        }
    }

    #[test]
    fn the_handshake_and_the_delivery_say_where_it_breaks() {
        let answer = |status, body: &str| Reached::Answer { status, body: body.to_owned(), date: None };
        assert_eq!(handshake(&subject(), &answer(200, "42"), "42").outcome, Outcome::Pass);
        for wrong in [answer(200, "43"), answer(403, ""), answer(502, ""), Reached::no("x", false)] {
            assert_eq!(handshake(&subject(), &wrong, "42").outcome, Outcome::Fail, "{wrong:?}");
        }
        assert_eq!(delivery(&subject(), &answer(200, "")).outcome, Outcome::Pass);
        for wrong in [answer(413, ""), answer(401, ""), answer(500, ""), Reached::no("x", true)] {
            assert_eq!(delivery(&subject(), &wrong).outcome, Outcome::Fail, "{wrong:?}");
        }
    }
}
