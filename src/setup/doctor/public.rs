//! Reaches our own public address as the clouds do, and judges what came of it.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use url::{Host, Url};

use super::finding::{Check, Finding, Subject, Words, russian, words};

const PATIENCE: Duration = Duration::from_secs(15);
/// More of an answer is not read.
const MOST: usize = 4096;
/// Signatures and tokens bear times: so much is no matter.
const SKEW: TimeDelta = TimeDelta::seconds(60);
const WRONG_CLOCK: TimeDelta = TimeDelta::minutes(5);

/// What came of a call to an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    /// Somebody answered.
    Answer {
        /// HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
        /// The answer's `Date`.
        date: Option<DateTime<Utc>>,
    },
    /// Nobody answered.
    Not {
        /// Why.
        why: String,
        /// It is the certificate, or TLS at all.
        tls: bool,
    },
}

impl Reached {
    pub(super) fn no(why: &str, tls: bool) -> Self {
        Self::Not { why: why.to_owned(), tls }
    }
}

/// Makes a call and reads the beginning of its answer.
pub(super) async fn reach(request: reqwest::RequestBuilder) -> Reached {
    let mut response = match request.timeout(PATIENCE).send().await {
        Ok(response) => response,
        Err(error) => return not_reached(error),
    };
    let date = response.headers().get("date").and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok()).map(|date| date.to_utc());
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            break;
        }
    }
    body.truncate(MOST);
    Reached::Answer { status, body: String::from_utf8_lossy(&body).into_owned(), date }
}

fn not_reached(error: reqwest::Error) -> Reached {
    if error.is_timeout() {
        return Reached::no("nobody answers in time", false);
    }
    // The address may bear a key: what is told are the causes below the call.
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    let why = causes.last().cloned().unwrap_or_else(|| "the call failed".to_owned());
    let all = causes.join(" ").to_ascii_lowercase();
    let tls = ["certificate", "tls", "handshake", "invalidcontenttype"].iter().any(|word| all.contains(word));
    Reached::Not { why, tls }
}

/// What to do where an address of ours cannot be reached.
pub(super) fn advice(reached: &Reached) -> Words {
    match reached {
        Reached::Not { tls: true, .. } => words(
            "Serve a certificate of a public authority with its whole chain, made for this very name and not \
             expired.",
            "Установите сертификат публичного центра с полной цепочкой, выданный на это имя и не просроченный.",
        ),
        _ => words(
            "Check the name in the DNS, the firewall and the proxy in front of wabridge.",
            "Проверьте имя в DNS, файрвол и прокси перед wabridge.",
        ),
    }
}

/// Judges whether `public_url` is one that the clouds take.
pub(super) fn address(subject: &Subject, url: &Url) -> Finding {
    let check = Check("bridge.public.address", subject);
    let private = match url.host() {
        Some(Host::Ipv4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified(),
        Some(Host::Domain(name)) => !name.contains('.') || name.ends_with(".local") || name.ends_with(".lan"),
        None => true,
    };
    let enter = words(
        "Set `public_url` to https:// and a name that is known on the Internet.",
        "Укажите в `public_url` адрес https:// с именем, известным в интернете.",
    );
    if url.scheme() != "https" {
        return check.fail(
            words(
                format!("The public address {url} is not HTTPS: Meta takes no other."),
                format!("Публичный адрес {url} не HTTPS: другие адреса Meta не принимает."),
            ),
            enter,
        );
    }
    if private {
        return check.fail(
            words(
                format!("The public address {url} is inside a private network: the clouds cannot reach it."),
                format!("Публичный адрес {url} находится во внутренней сети: облака до него не доберутся."),
            ),
            enter,
        );
    }
    check.pass(words(format!("The public address is {url}."), format!("Публичный адрес: {url}.")))
}

/// Judges `/healthz` through the public address.
pub(super) fn healthz(subject: &Subject, reached: &Reached) -> Finding {
    let check = Check("bridge.public.reached", subject);
    match reached {
        Reached::Answer { status: 200, body, .. } if body.trim() == "ok" => check
            .pass(words("We reach ourselves by the public address.", "Мы доступны по публичному адресу.")),
        Reached::Answer { status, .. } => check.fail(
            words(
                format!("Somebody else answers at the public address (HTTP {status})."),
                format!("По публичному адресу отвечает кто-то другой (HTTP {status})."),
            ),
            words(
                "Let the proxy hand everything of this name on to wabridge.",
                "Настройте прокси так, чтобы всё для этого имени передавалось wabridge.",
            ),
        ),
        Reached::Not { why, tls: true, .. } => check.fail(
            words(
                format!("The certificate of the public address is not taken: {why}."),
                format!("Сертификат публичного адреса не принимается: {}.", russian(&why)),
            ),
            advice(reached),
        ),
        Reached::Not { why, tls: false, .. } => check.fail(
            words(
                format!("The public address cannot be reached from here: {why}."),
                format!("Публичный адрес отсюда недоступен: {}.", russian(&why)),
            ),
            advice(reached),
        ),
    }
}

/// Judges our clock by that of Meta.
pub(super) fn clock(subject: &Subject, reached: &Reached, now: DateTime<Utc>) -> Finding {
    let check = Check("bridge.clock", subject);
    let Reached::Answer { date: Some(date), .. } = reached else {
        return check.unknown(words("Meta cannot be asked for the time.", "У Meta не удалось узнать время."));
    };
    let skew = (now - *date).abs();
    let seconds = skew.num_seconds();
    let set =
        words("Let the machine set its clock by NTP.", "Включите на машине синхронизацию времени по NTP.");
    let reason = words(
        format!("Our clock is {seconds} seconds away from Meta's."),
        format!("Наши часы расходятся с часами Meta на {seconds} с."),
    );
    if skew > WRONG_CLOCK {
        check.fail(reason, set)
    } else if skew > SKEW {
        check.warn(reason, set)
    } else {
        check.pass(words("Our clock is right.", "Наши часы верны."))
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
    fn a_public_address_is_https_and_outside() {
        for (url, expected) in [
            ("https://bridge.example/", Outcome::Pass),
            ("https://192.0.2.10/", Outcome::Pass),
            ("http://bridge.example/", Outcome::Fail),
            ("https://10.0.0.1/", Outcome::Fail),
            ("https://localhost/", Outcome::Fail),
            ("https://[fd00::1]/", Outcome::Fail),
        ] {
            assert_eq!(address(&subject(), &url.parse().unwrap()).outcome, expected, "{url}");
        }
    }

    #[test]
    fn the_clock_may_be_a_little_off() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let told = |seconds| Reached::Answer {
            status: 400,
            body: String::new(),
            date: Some(now + TimeDelta::seconds(seconds)),
        };
        for (seconds, expected) in
            [(0, Outcome::Pass), (-30, Outcome::Pass), (90, Outcome::Warn), (-600, Outcome::Fail)]
        {
            assert_eq!(clock(&subject(), &told(seconds), now).outcome, expected, "{seconds}");
        }
        assert_eq!(clock(&subject(), &Reached::no("x", false), now).outcome, Outcome::Unknown);
    }

    #[test]
    fn only_our_own_answer_counts() {
        let answer = |status, body: &str| Reached::Answer { status, body: body.to_owned(), date: None };
        assert_eq!(healthz(&subject(), &answer(200, "ok\n")).outcome, Outcome::Pass);
        for wrong in
            [answer(200, "<html>"), answer(404, "ok"), Reached::no("x", true), Reached::no("x", false)]
        {
            assert_eq!(healthz(&subject(), &wrong).outcome, Outcome::Fail);
        }
    }
}
