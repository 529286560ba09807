//! Judges an access token: whether it holds, whose it is, how long, and what it allows (whatsapp-messaging
//! facts §7.2).

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Check, Finding, Subject, russian, words};
use crate::whatsapp::client::DebugToken;

/// Permissions without which messages do not work.
const SCOPES: [&str; 2] = ["whatsapp_business_messaging", "whatsapp_business_management"];
/// The App Dashboard's token lives a day.
const TEMPORARY: TimeDelta = TimeDelta::hours(25);
/// Time to act.
const SOON: TimeDelta = TimeDelta::days(7);

/// What the token must be good for.
pub(super) struct Wanted<'a> {
    /// Meta's id of the app.
    pub(super) client_id: &'a str,
    /// Meta's ids of the accounts that use it.
    pub(super) wabas: &'a [String],
    /// Now.
    pub(super) now: DateTime<Utc>,
}

/// Judges what Meta says of a token.
pub(super) fn judge(subject: &Subject, told: &DebugToken, wanted: &Wanted<'_>) -> Vec<Finding> {
    let valid = Check("meta.token.valid", subject);
    if !told.is_valid {
        let (code, text) = told.error.clone().unwrap_or((190, String::new()));
        return vec![valid.fail(
            words(
                format!("Meta does not take the access token (error {code}: {text})."),
                format!("Meta не принимает токен доступа (ошибка {code}: {}).", russian(&text)),
            ),
            new_token(),
        )];
    }
    if let Some(other) = told.app_id.as_deref().filter(|id| *id != wanted.client_id) {
        return vec![valid.fail(
            words(
                format!("The access token belongs to the app {other}, not to {}.", wanted.client_id),
                format!("Токен доступа принадлежит приложению {other}, а не {}.", wanted.client_id),
            ),
            words(
                "Compare the app id with the one on the App Dashboard, and make the token for this very app.",
                "Сверьте id приложения с App Dashboard и создайте токен именно для этого приложения.",
            ),
        )];
    }
    vec![
        valid.pass(words("Meta takes the access token.", "Meta принимает токен доступа.")),
        expiry(subject, told, wanted.now),
        scopes(subject, told, wanted.wabas),
    ]
}

fn expiry(subject: &Subject, told: &DebugToken, now: DateTime<Utc>) -> Finding {
    let check = Check("meta.token.expiry", subject);
    let is_user = told.kind.as_deref() == Some("USER");
    let Some(until) = told.expires_at else {
        return check.pass(words("The access token never expires.", "Токен доступа бессрочный."));
    };
    let (left, day) = (until - now, until.format("%Y-%m-%d %H:%M UTC"));
    if is_user && left <= TEMPORARY {
        return check.fail(
            words(
                format!("This is a temporary token of the App Dashboard: everything stops on {day}."),
                format!("Это временный токен App Dashboard: всё остановится {day}."),
            ),
            new_token(),
        );
    }
    if left <= SOON {
        return check.warn(
            words(
                format!("The access token expires in less than 7 days, on {day}."),
                format!("Токен доступа истекает меньше чем через 7 дней, {day}."),
            ),
            new_token(),
        );
    }
    if is_user {
        return check.warn(
            words(
                format!("The access token is a person's and expires on {day}."),
                format!("Токен доступа выдан человеку и истекает {day}."),
            ),
            new_token(),
        );
    }
    check.pass(words(
        format!("The access token holds until {day}."),
        format!("Токен доступа действует до {day}."),
    ))
}

fn scopes(subject: &Subject, told: &DebugToken, wabas: &[String]) -> Finding {
    let check = Check("meta.token.scopes", subject);
    let missing: Vec<&str> =
        SCOPES.into_iter().filter(|scope| !told.scopes.iter().any(|has| has == scope)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return check.fail(
            words(
                format!("The access token lacks the permission {missing}."),
                format!("У токена доступа нет разрешения {missing}."),
            ),
            words(
                "Make a new token of the system user and tick both WhatsApp permissions.",
                "Создайте новый токен системного пользователя и отметьте оба разрешения WhatsApp.",
            ),
        );
    }
    let shut_out = wabas.iter().find(|waba| {
        let limits = |scope: &str| told.granular_scopes.iter().find(|granular| granular.scope == scope);
        let excludes = |scope| {
            let targets = limits(scope).and_then(|granular| granular.target_ids.as_ref());
            targets.is_some_and(|ids| !ids.contains(waba))
        };
        SCOPES.into_iter().any(excludes)
    });
    match shut_out {
        Some(waba) => check.fail(
            words(
                format!("The access token does not reach the WhatsApp Business Account {waba}."),
                format!("Токен доступа не относится к аккаунту WhatsApp Business {waba}."),
            ),
            words(
                "Assign the account to the system user in Business settings, then make a new token.",
                "Назначьте аккаунт системному пользователю в настройках бизнеса и создайте новый токен.",
            ),
        ),
        None => check.pass(words(
            "The access token has both WhatsApp permissions.",
            "У токена доступа есть оба разрешения WhatsApp.",
        )),
    }
}

fn new_token() -> super::finding::Words {
    words(
        "In Business settings → System users, generate a token that never expires for this app with both \
         WhatsApp permissions, and enter it here.",
        "В настройках бизнеса → Системные пользователи создайте бессрочный токен для этого приложения с \
         обоими разрешениями WhatsApp и введите его здесь.",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Kind, Outcome};
    use super::*;
    use crate::whatsapp::client::GranularScope;

    fn subject() -> Subject {
        Subject { kind: Kind::App, id: "1".into(), name: "App".into() }
    }

    fn good() -> DebugToken {
        DebugToken {
            is_valid: true,
            app_id: Some("10".into()),
            kind: Some("SYSTEM_USER".into()),
            expires_at: None,
            scopes: SCOPES.map(str::to_owned).to_vec(),
            granular_scopes: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn each_fault_of_a_token_is_its_own_finding() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |hours| Some(now + TimeDelta::hours(hours));
        let only = |waba: &str| {
            vec![GranularScope { scope: SCOPES[0].into(), target_ids: Some(vec![waba.to_owned()]) }]
        };
        let user = || Some("USER".to_owned());
        let cases: Vec<(DebugToken, &str, Outcome)> = vec![
            (good(), "meta.token.valid", Outcome::Pass),
            (good(), "meta.token.expiry", Outcome::Pass),
            (good(), "meta.token.scopes", Outcome::Pass),
            (DebugToken { is_valid: false, ..good() }, "meta.token.valid", Outcome::Fail),
            (DebugToken { app_id: Some("11".into()), ..good() }, "meta.token.valid", Outcome::Fail),
            (DebugToken { kind: user(), expires_at: at(20), ..good() }, "meta.token.expiry", Outcome::Fail),
            (DebugToken { kind: user(), expires_at: at(900), ..good() }, "meta.token.expiry", Outcome::Warn),
            (DebugToken { expires_at: at(100), ..good() }, "meta.token.expiry", Outcome::Warn),
            (DebugToken { expires_at: at(1000), ..good() }, "meta.token.expiry", Outcome::Pass),
            (DebugToken { scopes: vec![SCOPES[0].into()], ..good() }, "meta.token.scopes", Outcome::Fail),
            (DebugToken { granular_scopes: only("20"), ..good() }, "meta.token.scopes", Outcome::Pass),
            (DebugToken { granular_scopes: only("21"), ..good() }, "meta.token.scopes", Outcome::Fail),
        ];
        let wabas = ["20".to_owned()];
        for (told, id, expected) in cases {
            let wanted = Wanted { client_id: "10", wabas: &wabas, now };
            let found = judge(&subject(), &told, &wanted);
            let finding = found.iter().find(|finding| finding.id == id).unwrap();
            assert_eq!(finding.outcome, expected, "{id}: {told:?}");
            assert_eq!(finding.advice.is_some(), expected.is_bad());
        }
    }
}
