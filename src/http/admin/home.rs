//! Home: what is connected as one picture, what waits, and what to do next.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::chart::{self, Chart};
use super::list::{Badge, Tone};
use super::refusal::Refusal;
use super::visit::{Shell, Visit, render};
use super::{doctor, live, phones, portals, texts};
use crate::directory::Snapshot;
use crate::http::State;
use crate::setup::doctor::{Outcome, Remembered};
use crate::store::{Page, calls, jobs, messages};

type Answer = Result<HttpResponse, Refusal>;

/// Open alarms that are shown; there are few, or all is dark.
const ALARMS: i64 = 100;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    s: Shell,
    standing: Standing,
    steps: Vec<Step>,
    chart: Chart,
}

/// The part that is drawn again and again.
#[derive(Template)]
#[template(path = "standing.html")]
struct Standing {
    s: Shell,
    numbers: Vec<Number>,
    ways: Vec<Way>,
    alarms: Vec<doctor::Alarm>,
}

struct Number {
    value: String,
    label: String,
    href: &'static str,
    bad: bool,
}

/// From a number over its line to its portal.
struct Way {
    phone: Stop,
    line: Option<Stop>,
    portal: Option<Stop>,
    first: &'static str,
    second: &'static str,
}

struct Stop {
    href: String,
    name: String,
    small: String,
    state: Badge,
}

/// One of the first steps.
struct Step {
    title: String,
    text: String,
    href: String,
    class: &'static str,
}

/// `GET /admin/`
pub(super) async fn show(visit: Visit, state: web::Data<State>) -> Answer {
    let now = state.clock.now();
    let counts = state.db.read(move |conn| {
        let messages = messages::hourly(conn, now, 24)?.into_iter();
        let calls = calls::hourly(conn, now, 24)?;
        Ok(messages
            .zip(calls)
            .map(|((inbound, outbound), calls)| [inbound, outbound, calls])
            .collect::<Vec<_>>())
    });
    let counts = counts.await?;
    let page = Home {
        s: visit.title("menu.home"),
        standing: standing(&visit, &state).await?,
        steps: steps(&visit, &state.directory.now()),
        chart: chart::draw(&counts, |hours| visit.say.t1("home.hours_ago", &hours)),
    };
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/live/home`
pub(super) async fn watch(visit: Visit, state: web::Data<State>) -> Answer {
    Ok(live::stream(state.clone(), async move |state: &State| {
        Ok(standing(&visit, state).await?.render().unwrap_or_default())
    }))
}

async fn standing(visit: &Visit, state: &State) -> Result<Standing, Refusal> {
    let found = state.db.read(|conn| {
        let (ready, since) = jobs::depth(conn, "ready")?;
        Ok((ready, since, jobs::oldest_open(conn)?, jobs::depth(conn, "dead")?.0))
    });
    let (ready, since, oldest, dead) = found.await?;
    let say = &visit.say;
    let age = |at: chrono::DateTime<chrono::Utc>| {
        let seconds = (state.clock.now() - at).num_seconds().max(0);
        // In steps, so that the page does not change for nothing.
        match seconds {
            0..=59 => say.t("age.moment").to_owned(),
            60..=5_399 => say.t1("age.minutes", &(seconds / 60)),
            5_400..=129_599 => say.t1("age.hours", &(seconds / 3_600)),
            _ => say.t1("age.days", &(seconds / 86_400)),
        }
    };
    let open = state.setup.alarms(true, Page { limit: ALARMS, cursor: None }).await?;
    let waits = since.is_some_and(|since| (state.clock.now() - since).num_minutes() >= 5);
    let number =
        |value: String, key: &str, href, bad| Number { value, label: say.t(key).to_owned(), href, bad };
    let none = || say.t("age.nothing").to_owned();
    let numbers = vec![
        number(ready.to_string(), "home.waiting", "/admin/jobs/?state=ready", waits),
        number(since.map_or_else(none, age), "home.age", "/admin/jobs/?state=ready", waits),
        number(
            oldest.map_or_else(none, |job| age(job.created_at.and_utc())),
            "home.oldest",
            "/admin/jobs/?state=ready",
            false,
        ),
        number(dead.to_string(), "home.dead", "/admin/jobs/?state=dead", dead > 0),
        number(open.len().to_string(), "home.alarms", "/admin/doctor/", !open.is_empty()),
    ];
    let snapshot = state.directory.now();
    let alarms = open.into_iter().map(|row| doctor::alarm(say, row)).collect();
    let mut ways = ways(visit, &snapshot);
    ways.extend(calls_ways(visit, state, &snapshot));
    Ok(Standing { s: visit.title("menu.home"), numbers, ways, alarms })
}

/// How a connection looks that is as good as one of its ends.
fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good | Tone::Calm => "",
        Tone::Warn => " warn",
        Tone::Bad => " bad",
    }
}

/// From each number with calls over the SIP edge to its telephone system.
fn calls_ways(visit: &Visit, state: &State, snapshot: &Snapshot) -> Vec<Way> {
    let say = &visit.say;
    let found = state.setup.last_findings();
    let way = |phone: &crate::directory::Phone| {
        let calling = snapshot.calling(&phone.key).filter(|calling| calling.is_enabled())?;
        let row = &calling.row;
        let href = format!("/admin/phones/{}/#calling", phone.key);
        let wrong = calling.broken.clone().or_else(|| row.error_title.clone());
        let at_meta = match wrong {
            Some(why) => Badge::new(Tone::Bad, say.said(&why)),
            None => Badge::new(Tone::Good, say.t("home.calls_on")),
        };
        let edge = match (calling.is_ours(), state.config.sip.enabled) {
            (true, true) => Badge::new(Tone::Good, say.t("state.ready")),
            (true, false) => Badge::new(Tone::Bad, say.t("home.edge_off")),
            (false, _) => Badge::new(Tone::Calm, say.t("home.external")),
        };
        let server = format!("{}:{}", row.hostname.as_deref().unwrap_or_default(), row.port);
        let trunk = row.trunk.as_ref().filter(|_| calling.is_ours()).map(|name| Stop {
            href: href.clone(),
            name: name.clone(),
            small: row.extension.as_ref().map(|to| say.t1("home.extension", to)).unwrap_or_default(),
            state: trunk_state(say, &found, name),
        });
        let second = trunk.as_ref().map_or(Tone::Calm, |trunk| trunk.state.tone);
        Some(Way {
            first: class(if edge.tone == Tone::Bad { Tone::Bad } else { at_meta.tone }),
            second: class(second),
            phone: Stop {
                href: href.clone(),
                name: format!("+{}", phone.number),
                small: say.t("home.calls_of").to_owned(),
                state: at_meta,
            },
            line: Some(Stop {
                href: href.clone(),
                name: say.t("home.edge").to_owned(),
                small: server,
                state: edge.clone(),
            }),
            // Where another server takes the calls, what is behind it is not known here.
            portal: trunk.or_else(|| {
                let name = row.hostname.clone().unwrap_or_default();
                Some(Stop { href, name, small: String::new(), state: edge })
            }),
        })
    };
    snapshot.phones.iter().filter_map(way).collect()
}

/// What the doctor last found of a trunk: its finding about all of them names those that do not answer.
fn trunk_state(say: &texts::Say, found: &[Remembered], name: &str) -> Badge {
    let of_trunks = found.iter().map(|one| &one.finding).find(|finding| finding.id == "sip.trunks");
    let silent = |reason: &str| reason.contains(&format!("{name} ("));
    match of_trunks.map(|finding| (finding.outcome, &finding.reason.en)) {
        Some((Outcome::Warn | Outcome::Fail, reason)) if silent(reason) => {
            Badge::new(Tone::Bad, say.t("home.trunk_down"))
        }
        Some((Outcome::Pass | Outcome::Warn | Outcome::Fail, _)) => {
            Badge::new(Tone::Good, say.t("home.trunk_up"))
        }
        _ => Badge::new(Tone::Calm, say.t("state.unknown")),
    }
}

fn ways(visit: &Visit, snapshot: &Snapshot) -> Vec<Way> {
    let say = &visit.say;
    let way = |phone: &crate::directory::Phone| {
        let row = &phone.row;
        let broken = snapshot.channel(&phone.key).and_then(|channel| channel.broken().map(str::to_owned));
        let state = match broken {
            Some(why) => Badge::new(Tone::Bad, say.said(&why)),
            None => phones::status_badge(say, row.status.as_deref().unwrap_or_default()),
        };
        let binding = snapshot.binding_of_phone(&phone.key);
        let portal = binding.and_then(|binding| snapshot.portal(&binding.portal));
        let portal_state = portal.map(|portal| portals::badge(say, snapshot, portal));
        let first = if binding.is_some() { class(state.tone) } else { " bad" };
        let second = portal_state.as_ref().map_or(" bad", |state| class(state.tone));
        Way {
            first,
            second,
            phone: Stop {
                href: format!("/admin/phones/{}/", phone.key),
                name: format!("+{}", phone.number),
                small: row.display_name.clone(),
                state,
            },
            line: binding.map(|binding| Stop {
                href: "/admin/lines/".to_owned(),
                name: binding.line_name.clone(),
                small: say.t1("home.line", &binding.line),
                state: Badge::new(Tone::Good, say.t("state.linked")),
            }),
            portal: portal.zip(portal_state).map(|(portal, state)| Stop {
                href: format!("/admin/portals/{}/", portal.id),
                name: portal.row.domain.clone(),
                small: portal.row.status_reason.as_deref().map(|why| say.said(why)).unwrap_or_default(),
                state,
            }),
        }
    };
    snapshot.phones.iter().map(way).collect()
}

/// What leads from an empty machine to the first message; empty once it has led there.
fn steps(visit: &Visit, snapshot: &Snapshot) -> Vec<Step> {
    let waba = snapshot.wabas.first().map(|waba| waba.key.to_string());
    let portal_app = snapshot.portal_apps.first().map(|app| app.id.to_string());
    let all = [
        ("app", "/admin/apps/new".to_owned(), !snapshot.apps.is_empty()),
        ("waba", "/admin/wabas/new".to_owned(), waba.is_some()),
        (
            "phones",
            waba.map_or_else(|| "/admin/wabas/".to_owned(), |id| format!("/admin/wabas/{id}/")),
            !snapshot.phones.is_empty(),
        ),
        ("portal_app", "/admin/portal-apps/new".to_owned(), portal_app.is_some()),
        (
            "line",
            match (snapshot.portals.is_empty(), portal_app) {
                (true, Some(id)) => format!("/admin/portal-apps/{id}/"),
                _ => "/admin/lines/".to_owned(),
            },
            !snapshot.bindings.is_empty(),
        ),
    ];
    if all.iter().all(|(_, _, done)| *done) {
        return Vec::new();
    }
    let mut next_found = false;
    all.into_iter()
        .map(|(key, href, done)| {
            let next = !done && !next_found;
            next_found |= next;
            Step {
                title: visit.say.t(&format!("steps.{key}")).to_owned(),
                text: visit.say.t(&format!("steps.{key}_text")).to_owned(),
                href,
                class: if done {
                    "past"
                } else if next {
                    "next"
                } else {
                    ""
                },
            }
        })
        .collect()
}
