//! How a call ended, in words for people.

use crate::domain::Language;
use crate::store::calls::CallRow;

/// How a call ended, in English; `None`: it has not.
pub fn end(row: &CallRow) -> Option<String> {
    end_in(row, Language::En)
}

/// How a call ended; `None`: it has not.
pub fn end_in(row: &CallRow, language: Language) -> Option<String> {
    let say = |words: Words| match language {
        Language::En => words.0,
        Language::Ru => words.1,
    };
    if row.state == "reported" {
        return Some(say(NEVER_HERE).to_owned());
    }
    let cause = row.end_cause.as_deref()?;
    let by = row.ended_by.as_deref().unwrap_or_default();
    let outbound = row.direction == "outbound";
    let who = say(match by {
        "contact" => CUSTOMER,
        "trunk" => TELEPHONE_SYSTEM,
        _ => BRIDGE,
    });
    let (caller, called) = match outbound {
        true => (say(TELEPHONE_SYSTEM), say(CUSTOMER)),
        false => (say(CUSTOMER), say(TELEPHONE_SYSTEM)),
    };
    let mut words = match cause {
        "hung_up" if by == "bridge" => {
            say(("the bridge ended the call", "разговор завершил мост")).to_owned()
        }
        "hung_up" => format!("{who} {}", say(("hung up", "повесил трубку"))),
        "cancelled" => format!("{caller} {}", say(("gave up before an answer", "не дождался ответа"))),
        "declined" => format!("{called} {}", say(("declined or was busy", "отклонил звонок или был занят"))),
        "no_answer" => format!("{called} {}", say(("did not answer in time", "не ответил вовремя"))),
        "unknown_number" if outbound => say(NO_SUCH_NUMBER).to_owned(),
        cause => match OTHER.iter().find(|(known, _)| *known == cause) {
            Some((_, words)) => say(*words).to_owned(),
            None => format!("{who} {}", say(("refused the call", "отказался принять звонок"))),
        },
    };
    if let Some(hint) = hint(row, outbound) {
        words = format!("{words}: {}", say(hint));
    }
    if let Some(text) = row.end_text.as_deref().filter(|text| !text.is_empty()) {
        words = format!("{words} (\u{201c}{text}\u{201d})");
    }
    Some(words)
}

/// English and Russian.
type Words = (&'static str, &'static str);

const CUSTOMER: Words = ("the customer", "клиент");
const TELEPHONE_SYSTEM: Words = ("the telephone system", "АТС");
const BRIDGE: Words = ("the bridge", "мост");
const NEVER_HERE: Words = (
    "Meta told of this call, but it never reached this bridge. Check that port and certificate are what Meta was \
     given.",
    "Meta сообщила об этом звонке, но до моста он не дошёл. Проверьте, что порт и сертификат те, что указаны в Meta.",
);
const NO_SUCH_NUMBER: Words = ("there is no such number at WhatsApp", "такого номера в WhatsApp нет");
const OTHER: [(&str, Words); 9] = [
    ("unknown_number", ("the called number is not set up here", "вызванный номер здесь не настроен")),
    (
        "refused",
        (
            "the caller could not prove who it is (password or network)",
            "звонивший не подтвердил, кто он (пароль или сеть)",
        ),
    ),
    (
        "no_permission",
        (
            "the customer has not permitted calls: send a request for permission and call when it is accepted",
            "клиент не разрешил звонки: отправьте запрос разрешения и звоните, когда его примут",
        ),
    ),
    ("trunk_unreachable", ("the telephone system could not be reached", "АТС недоступна")),
    (
        "media",
        (
            "no codec or key exchange in common: the setting at Meta (SDES or DTLS) must be what the telephone \
             system uses",
            "нет общего кодека или обмена ключами: настройка в Meta (SDES или DTLS) должна быть той, что у АТС",
        ),
    ),
    ("overload", ("there were too many calls", "звонков было слишком много")),
    ("too_long", ("the longest time of a call was over", "истекло наибольшее время разговора")),
    ("lost", ("the connection was lost", "связь оборвалась")),
    ("stopped", ("the bridge was stopped", "мост был остановлен")),
];

/// What Meta's refusals of our calls mean (whatsapp-sip facts §3.4).
fn hint(row: &CallRow, outbound: bool) -> Option<Words> {
    if !outbound || !matches!(row.end_cause.as_deref(), Some("failed" | "refused" | "media" | "no_answer")) {
        return None;
    }
    let text = row.end_text.as_deref().unwrap_or_default().to_ascii_lowercase();
    let says = |words: &str| text.contains(words);
    Some(match row.sip_status? {
        400 => (
            "Meta does not know the calling number, or a number is not written as +digits",
            "Meta не знает звонящий номер, или номер записан не как +цифры",
        ),
        403 if says("does not match") => (
            "sip.hostname is not the host name that is set for this number at Meta",
            "sip.hostname — не то имя узла, что указано для этого номера в Meta",
        ),
        403 if says("sdp") => (
            "the key exchange set at Meta (SDES or DTLS) is not the one that was offered",
            "обмен ключами в Meta (SDES или DTLS) не тот, что был предложен",
        ),
        403 if says("limit") => (
            "this customer was called as often as Meta allows in a day",
            "этому клиенту звонили столько раз, сколько Meta разрешает в день",
        ),
        403 if says("duplicate") => {
            ("there is a call with this customer already", "разговор с этим клиентом уже идёт")
        }
        403 if says("payment") => (
            "the WhatsApp account has no valid payment method",
            "у аккаунта WhatsApp нет действующего способа оплаты",
        ),
        403 => (
            "Meta refused it: check the SIP password (save the calling settings again), the app's rights and the \
             payment method",
            "Meta отказала: проверьте пароль SIP (сохраните настройки звонков ещё раз), права приложения и способ \
             оплаты",
        ),
        404 => ("Meta does not know the address that was called", "Meta не знает вызванный адрес"),
        408 => ("Meta heard no answer in time", "Meta не дождалась ответа"),
        480 => ("the customer cannot be reached", "клиент недоступен"),
        500 | 503 => (
            "Meta has a fault at the moment; try again a little later",
            "у Meta сейчас неполадка; повторите немного позже",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(direction: &str, by: &str, cause: &str, status: Option<i32>, text: Option<&str>) -> CallRow {
        CallRow {
            direction: direction.into(),
            state: "ended".into(),
            ended_by: Some(by.into()),
            end_cause: Some(cause.into()),
            sip_status: status,
            end_text: text.map(str::to_owned),
            ..CallRow::default()
        }
    }

    #[test]
    fn every_end_is_told_in_words() {
        for (direction, by, cause, status, text, expected) in [
            ("inbound", "contact", "hung_up", None, None, "the customer hung up"),
            ("inbound", "contact", "cancelled", None, None, "the customer gave up before an answer"),
            ("outbound", "trunk", "cancelled", None, None, "the telephone system gave up before an answer"),
            ("outbound", "contact", "declined", Some(486), None, "the customer declined or was busy"),
            ("outbound", "contact", "failed", Some(403), Some("SIP server x does not match"), "sip.hostname"),
            ("outbound", "contact", "media", Some(403), Some("SDP Validation Error"), "SDES or DTLS"),
            (
                "inbound",
                "trunk",
                "failed",
                Some(500),
                Some("Oops"),
                "refused the call (\u{201c}Oops\u{201d})",
            ),
        ] {
            let words = end(&row(direction, by, cause, status, text)).unwrap();
            assert!(words.contains(expected), "{cause}: {words}");
        }
        for cause in crate::domain::call::EndCause::ALL {
            let words = end(&row("inbound", "bridge", cause.as_str(), None, None)).unwrap();
            assert!(!words.is_empty());
            let russian =
                end_in(&row("inbound", "bridge", cause.as_str(), None, None), Language::Ru).unwrap();
            assert!(!russian.is_ascii(), "{russian}");
        }
        assert_eq!(end(&CallRow::default()), None);
    }
}
