//! Judges a phone's settings for calls: what Meta has is what we want, or why not (whatsapp-sip facts §1).

use super::finding::{Check, Finding, Repair, Subject, russian, words};
use crate::setup::calling::CallingState;
use crate::whatsapp::client::PhoneExtras;

/// Tiers of Meta's messaging limit below that from which a number may be called (2000, facts §1.1).
const TOO_LOW: [&str; 4] = ["TIER_50", "TIER_250", "TIER_1K", "TIER_NOT_SET"];

/// Judges the settings.
pub(super) fn judge(subject: &Subject, state: &CallingState, extras: Option<&PhoneExtras>) -> Vec<Finding> {
    let (settings, password, tier) =
        (Check("calls.settings", subject), Check("calls.password", subject), Check("calls.tier", subject));
    let off = || words("Calls by SIP are not switched on.", "Звонки по SIP не включены.");
    let row = state.row.as_ref().filter(|row| row.status == "ENABLED" && row.sip_status == "ENABLED");
    let Some(row) = row else {
        return vec![settings.skipped(off()), password.skipped(off()), tier.skipped(off())];
    };
    let limit = extras.and_then(|extras| extras.whatsapp_business_manager_messaging_limit.as_deref());
    vec![
        match &state.error {
            None => settings.pass(words("Meta has our settings for calls.", "У Meta наши настройки звонков.")),
            Some(error) => settings
                .fail(
                    words(
                        format!("Meta does not have our settings for calls: {}.", error.title),
                        format!("У Meta другие настройки звонков: {}.", russian(&error.title)),
                    ),
                    words(error.explanation.clone(), russian(&error.explanation) + "."),
                )
                .repaired_by(Repair::PhoneCalling),
        },
        match (&row.sip_password_sealed, row.edge.as_str()) {
            (_, "external") => password.skipped(words("Another server takes the calls.", "Звонки принимает другой сервер.")),
            (Some(_), _) => password.pass(words("The SIP password is known.", "Пароль SIP известен.")),
            (None, _) => password.fail(
                words("The SIP password cannot be read.", "Пароль SIP прочитать не удалось."),
                words(
                    "Give the system user of the token full control of the WhatsApp account, then repair the settings.",
                    "Дайте системному пользователю токена полный доступ к аккаунту WhatsApp и исправьте настройки.",
                ),
            ),
        },
        match limit {
            Some(limit) if TOO_LOW.contains(&limit) => tier.fail(
                words(
                    format!("The messaging limit is {limit}: Meta switches calls on from 2000 people a day."),
                    format!("Лимит сообщений {limit}: Meta включает звонки от 2000 человек в день."),
                ),
                words(
                    "Raise the limit first: verify the business, and send templates that people answer.",
                    "Сначала увеличьте лимит: подтвердите бизнес и отправляйте шаблоны, на которые отвечают.",
                ),
            ),
            Some(_) => tier.pass(words("The messaging limit allows calls.", "Лимит сообщений позволяет звонки.")),
            None => tier.unknown(words("Meta does not tell the limit.", "Meta не сообщает лимит.")),
        },
    ]
}
