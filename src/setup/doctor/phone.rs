//! Judges a business phone as Meta shows it (whatsapp-messaging facts §7.6).

use super::finding::{Check, Finding, Repair, Subject, Words, words};
use crate::whatsapp::client::{BusinessProfile, PhoneExtras, PhoneInfo};

/// Judges whether the number is of its account and shows the digits that are stored.
pub(super) fn identity(
    subject: &Subject,
    listed: &[PhoneInfo],
    phone_number_id: &str,
    digits: &str,
) -> Vec<Finding> {
    let (of_waba, number) = (Check("meta.phone.of_waba", subject), Check("meta.phone.number", subject));
    let advice = || {
        words(
            "Compare both ids with WhatsApp Manager: the phone number id is not the number, nor the account's id.",
            "Сверьте оба id с WhatsApp Manager: id номера – это не сам номер и не id аккаунта.",
        )
    };
    let Some(info) = listed.iter().find(|info| info.id.as_str() == phone_number_id) else {
        let elsewhere = listed.iter().find(|info| shown(info) == digits);
        let reason = match elsewhere {
            Some(info) => words(
                format!(
                    "Meta lists this number in the account with the id {}, not {phone_number_id}.",
                    info.id
                ),
                format!("У Meta этот номер в аккаунте имеет id {}, а не {phone_number_id}.", info.id),
            ),
            None => words(
                format!("The phone number id {phone_number_id} is not among the numbers of this account."),
                format!("Номера с id {phone_number_id} нет среди номеров этого аккаунта."),
            ),
        };
        return vec![
            of_waba.fail(reason, advice()),
            number.skipped(words("The number is not in the account.", "Номера в аккаунте нет.")),
        ];
    };
    let same = shown(info) == digits;
    vec![
        of_waba.pass(words("The number belongs to its account.", "Номер принадлежит своему аккаунту.")),
        if same {
            number.pass(words("Meta shows this very number.", "Meta показывает именно этот номер."))
        } else {
            number.fail(
                words(
                    format!("Meta shows the number +{} for this id.", shown(info)),
                    format!("Meta показывает для этого id номер +{}.", shown(info)),
                ),
                advice(),
            )
        },
    ]
}

/// Judges the number's states.
pub(super) fn states(subject: &Subject, info: &PhoneInfo, extras: Option<&PhoneExtras>) -> Vec<Finding> {
    vec![
        registered(subject, info),
        status(subject, info),
        name(subject, info),
        quality(subject, info),
        limit(subject, extras),
        pin(subject, extras),
    ]
}

fn registered(subject: &Subject, info: &PhoneInfo) -> Finding {
    let check = Check("meta.phone.registered", subject);
    match info.platform_type.as_deref() {
        Some("CLOUD_API") => check.pass(words("The number is registered.", "Номер зарегистрирован.")),
        Some("ON_PREMISE") => check
            .fail(
                words(
                    "The number is registered for the On-Premises API, which has ended.",
                    "Номер зарегистрирован для On-Premises API, который закрыт.",
                ),
                words(
                    "Register it for the Cloud API with its PIN.",
                    "Зарегистрируйте его в Cloud API с его PIN.",
                ),
            )
            .repaired_by(Repair::PhoneRegistration),
        Some(_) => check
            .fail(
                words(
                    "The number is not registered for the Cloud API: nothing can be sent or received.",
                    "Номер не зарегистрирован в Cloud API: ни отправить, ни получить ничего нельзя.",
                ),
                words(
                    "Register it with its six-digit PIN (any six digits become its PIN if it has none).",
                    "Зарегистрируйте его с шестизначным PIN (если PIN нет, им станут любые шесть цифр).",
                ),
            )
            .repaired_by(Repair::PhoneRegistration),
        None => check.unknown(words("Meta does not tell.", "Meta не сообщает.")),
    }
}

fn status(subject: &Subject, info: &PhoneInfo) -> Finding {
    let check = Check("meta.phone.status", subject);
    let advice = || {
        words(
            "See the number in WhatsApp Manager → Phone numbers.",
            "См. номер в WhatsApp Manager → Номера телефонов.",
        )
    };
    match info.status.as_deref() {
        Some("CONNECTED") => check.pass(words("The number is connected.", "Номер подключён.")),
        Some(word @ ("FLAGGED" | "RATE_LIMITED" | "PENDING")) => check.warn(
            words(format!("Meta says of the number: {word}."), format!("Meta сообщает о номере: {word}.")),
            advice(),
        ),
        Some(word) => check.fail(
            words(format!("Meta says of the number: {word}."), format!("Meta сообщает о номере: {word}.")),
            advice(),
        ),
        None => check.unknown(words("Meta does not tell.", "Meta не сообщает.")),
    }
}

fn name(subject: &Subject, info: &PhoneInfo) -> Finding {
    let check = Check("meta.phone.name", subject);
    match info.name_status.as_deref() {
        Some("APPROVED" | "AVAILABLE_WITHOUT_REVIEW") => {
            check.pass(words("The display name is approved.", "Отображаемое имя одобрено."))
        }
        Some(word) => check.warn(
            words(
                format!("The display name is not approved: {word}."),
                format!("Отображаемое имя не одобрено: {word}."),
            ),
            words(
                "Change the display name in WhatsApp Manager; after approval the number is registered again.",
                "Измените имя в WhatsApp Manager; после одобрения номер нужно зарегистрировать снова.",
            ),
        ),
        None => check.unknown(words("Meta does not tell.", "Meta не сообщает.")),
    }
}

fn quality(subject: &Subject, info: &PhoneInfo) -> Finding {
    let check = Check("meta.phone.quality", subject);
    let advice = || {
        words(
            "Send fewer messages that people did not ask for: those who block or report lower the quality.",
            "Отправляйте меньше сообщений, которых не просили: блокировки и жалобы снижают качество.",
        )
    };
    match info.quality_rating.as_deref() {
        Some("GREEN") => check.pass(words("The quality is high.", "Качество высокое.")),
        Some("YELLOW") => {
            check.warn(words("The quality has become medium.", "Качество стало средним."), advice())
        }
        Some("RED") => check.fail(words("The quality is low.", "Качество низкое."), advice()),
        _ => check.unknown(words("Meta has not rated the number yet.", "Meta ещё не оценила номер.")),
    }
}

fn limit(subject: &Subject, extras: Option<&PhoneExtras>) -> Finding {
    let check = Check("meta.phone.limit", subject);
    match extras.and_then(|extras| extras.whatsapp_business_manager_messaging_limit.as_deref()) {
        Some(limit) => check.pass(words(
            format!("People that may be written to first in a day: {limit}."),
            format!("Сколько людям в день можно написать первыми: {limit}."),
        )),
        None => check.unknown(words("Meta does not tell the limit.", "Meta не сообщает лимит.")),
    }
}

fn pin(subject: &Subject, extras: Option<&PhoneExtras>) -> Finding {
    let check = Check("meta.phone.pin", subject);
    match extras.and_then(|extras| extras.is_pin_enabled) {
        Some(true) => check.pass(words("The number has a two-step PIN.", "У номера есть PIN.")),
        Some(false) => check.warn(
            words("The number has no two-step PIN.", "У номера нет PIN двухэтапной проверки."),
            words(
                "Register it with a PIN that you keep: without one somebody else can take the number over.",
                "Зарегистрируйте его с PIN и сохраните PIN: без него номер может занять кто-то другой.",
            ),
        ),
        None => check.unknown(words("Meta does not tell.", "Meta не сообщает.")),
    }
}

/// Judges whether the number has a webhook address of its own.
pub(super) fn own_address(subject: &Subject, url: Option<&str>) -> Finding {
    let check = Check("meta.phone.override", subject);
    match url {
        Some(url) => super::waba::elsewhere(check, url).repaired_by(Repair::PhoneOverride),
        None => check.pass(words(
            "The number has no webhook address of its own.",
            "У номера нет собственного адреса уведомлений.",
        )),
    }
}

/// Judges the template that carries a text while the window is closed; `Err` = why it cannot.
pub(super) fn fallback(
    subject: &Subject,
    name: Option<&str>,
    wanted: bool,
    outcome: Result<(), Words>,
) -> Finding {
    let check = Check("meta.phone.fallback", subject);
    let choose = || {
        words(
            "Choose another `fallback_template`: approved, with exactly one variable.",
            "Выберите другой `fallback_template`: одобренный, ровно с одной переменной.",
        )
    };
    match (name, outcome) {
        (None, _) if wanted => check.fail(
            words(
                "The phone is to send a template while the window is closed, and none is chosen.",
                "При закрытом окне номер должен отправлять шаблон, но он не выбран.",
            ),
            choose(),
        ),
        (None, _) => check.skipped(words("No fallback template is chosen.", "Запасной шаблон не выбран.")),
        (Some(name), Ok(())) => check.pass(words(
            format!("The fallback template {name} is approved and carries a text."),
            format!("Запасной шаблон {name} одобрен и принимает текст."),
        )),
        (Some(name), Err(why)) => check.fail(
            words(
                format!("The fallback template {name} cannot carry a text: {}", why.en),
                format!("Запасной шаблон {name} не подходит: {}", why.ru),
            ),
            choose(),
        ),
    }
}

/// The portal took the phone's line away.
pub(super) fn line_lost(subject: &Subject, line: &str) -> Finding {
    Check("phone.line", subject).fail(
        words(
            format!("The line {line} was deleted or switched off in Bitrix24: messages wait."),
            format!("Линию {line} удалили или отключили в Битрикс24: сообщения ждут."),
        ),
        words("Link the phone to a line again.", "Снова привяжите номер к линии."),
    )
}

/// Judges who asked Meta for a change of the number's PIN.
pub(super) fn security(subject: &Subject, note: Option<&str>) -> Finding {
    let check = Check("meta.phone.security", subject);
    match note {
        None => check.pass(words("Nobody has touched the PIN.", "PIN никто не менял.")),
        Some(note) => check.warn(
            words(
                format!("Meta told us of a change of the number's PIN: {note}."),
                format!("Meta сообщила об изменении PIN номера: {note}."),
            ),
            words(
                "If it was not you, look at who has access to the account in Business settings.",
                "Если это были не вы, проверьте доступ к аккаунту в настройках бизнеса.",
            ),
        ),
    }
}

/// Judges whether the business profile is the one that was last written or accepted here; `known`: that one.
pub(super) fn profile(subject: &Subject, told: &BusinessProfile, known: Option<&BusinessProfile>) -> Finding {
    let check = Check("meta.phone.profile", subject);
    let Some(known) = known else {
        return check.pass(words(
            "The business profile is noted, to be compared from now on.",
            "Бизнес-профиль записан и будет сравниваться.",
        ));
    };
    let changed: Vec<&str> = [
        ("about", told.about == known.about),
        ("address", told.address == known.address),
        ("description", told.description == known.description),
        ("email", told.email == known.email),
        ("websites", told.websites == known.websites),
        ("vertical", told.vertical == known.vertical),
    ]
    .into_iter()
    .filter_map(|(field, same)| (!same).then_some(field))
    .collect();
    if changed.is_empty() {
        return check.pass(words("Nobody else has changed the profile.", "Профиль никто другой не менял."));
    }
    let list = changed.join(", ");
    check
        .warn(
            words(
                format!("Somebody has changed the business profile past wabridge: {list}."),
                format!("Бизнес-профиль изменили не через wabridge: {list}."),
            ),
            words(
                "Restore it (wabridge can do that), or save the profile here once to accept it as it is; if it was \
                 nobody of yours, look at who has access to the account.",
                "Верните его (wabridge может сделать это сам) или сохраните профиль здесь, чтобы принять изменения; если \
                 это были не ваши люди, проверьте доступ к аккаунту.",
            ),
        )
        .repaired_by(Repair::PhoneProfile)
}

/// The digits that Meta shows.
fn shown(info: &PhoneInfo) -> String {
    crate::setup::phones::shown_digits(info)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::{Kind, Outcome};
    use super::*;

    fn subject() -> Subject {
        Subject { kind: Kind::Phone, id: "1".into(), name: "+1".into() }
    }

    fn info(changes: serde_json::Value) -> PhoneInfo {
        let mut all = json!({"id": "30", "display_phone_number": "+1 555-078-3881", "status": "CONNECTED",
            "quality_rating": "GREEN", "name_status": "APPROVED", "platform_type": "CLOUD_API"});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn mixed_up_ids_are_told_with_the_right_one() {
        use Outcome::{Fail, Pass, Skipped};
        for (id, digits, expected) in [
            ("30", "15550783881", [Pass, Pass]),
            ("30", "15550783882", [Pass, Fail]),
            ("31", "15550783881", [Fail, Skipped]),
            ("31", "15550783882", [Fail, Skipped]),
        ] {
            let found = identity(&subject(), &[info(json!({}))], id, digits);
            let outcomes: Vec<_> = found.iter().map(|finding| finding.outcome).collect();
            assert_eq!(outcomes, expected, "{id} {digits}");
        }
        let found = identity(&subject(), &[info(json!({}))], "31", "15550783881");
        assert!(found[0].reason.en.contains("the id 30"));
    }

    #[test]
    fn each_state_of_a_number_is_judged() {
        for (change, id, expected) in [
            (json!({}), "meta.phone.registered", Outcome::Pass),
            (json!({"platform_type": "NOT_APPLICABLE"}), "meta.phone.registered", Outcome::Fail),
            (json!({"status": "FLAGGED"}), "meta.phone.status", Outcome::Warn),
            (json!({"status": "BANNED"}), "meta.phone.status", Outcome::Fail),
            (json!({"status": "SOMETHING_NEW"}), "meta.phone.status", Outcome::Fail),
            (json!({"name_status": "DECLINED"}), "meta.phone.name", Outcome::Warn),
            (json!({"quality_rating": "YELLOW"}), "meta.phone.quality", Outcome::Warn),
            (json!({"quality_rating": "RED"}), "meta.phone.quality", Outcome::Fail),
            (json!({"quality_rating": "UNKNOWN"}), "meta.phone.quality", Outcome::Unknown),
            (json!({}), "meta.phone.limit", Outcome::Unknown),
        ] {
            let found = states(&subject(), &info(change.clone()), None);
            let finding = found.iter().find(|finding| finding.id == id).unwrap();
            assert_eq!(finding.outcome, expected, "{change}");
            assert_eq!(finding.advice.is_some(), expected.is_bad());
        }
    }
}
