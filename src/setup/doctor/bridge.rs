//! Judges the bridge itself: disk, database, queue, what came lately.

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Check, Finding, Subject, russian, words};

const MB: u64 = 1024 * 1024;
/// Below it files of customers do not fit any more, and soon the database does not.
const DISK_FAIL: u64 = 200 * MB;
const DISK_WARN: u64 = 1024 * MB;
/// A queue that is older has stopped.
const OLD_QUEUE: TimeDelta = TimeDelta::minutes(5);
/// Nothing from anybody for so long is worth a look.
const QUIET: TimeDelta = TimeDelta::days(7);

/// What the queue holds.
pub(super) struct Queue {
    /// The oldest job that waits.
    pub(super) oldest: Option<DateTime<Utc>>,
    /// Jobs that wait.
    pub(super) ready: i64,
    /// Jobs given up.
    pub(super) dead: i64,
}

/// Judges the free space beside our data; `None` = it cannot be told.
pub(super) fn disk(subject: &Subject, free: Option<u64>) -> Finding {
    let check = Check("bridge.disk", subject);
    let Some(free) = free else {
        return check.unknown(words("The free space cannot be told.", "Свободное место узнать не удалось."));
    };
    let megabytes = free / MB;
    let reason = words(
        format!("{megabytes} MB are free where the data lies."),
        format!("Свободно {megabytes} МБ там, где лежат данные."),
    );
    let advice = words(
        "Free some space, move `data_dir`, or shorten `retention.media_days`.",
        "Освободите место, перенесите `data_dir` или сократите `retention.media_days`.",
    );
    match free {
        free if free < DISK_FAIL => check.fail(reason, advice),
        free if free < DISK_WARN => check.warn(reason, advice),
        _ => check.pass(reason),
    }
}

/// Judges whether the database takes a write.
pub(super) fn database(subject: &Subject, failure: Option<&str>) -> Finding {
    let check = Check("bridge.database", subject);
    match failure {
        None => check.pass(words("The database takes writes.", "База данных принимает запись.")),
        Some(why) => check.fail(
            words(
                format!("The database takes no write: {why}."),
                format!("База данных не принимает запись: {}.", russian(&why)),
            ),
            words(
                "Check the disk, the permissions of `data_dir` and whether the database runs.",
                "Проверьте диск, права на `data_dir` и работает ли база данных.",
            ),
        ),
    }
}

/// Judges the schema; `None` = it cannot be told.
pub(super) fn schema(subject: &Subject, current: Option<bool>) -> Finding {
    let check = Check("bridge.schema", subject);
    match current {
        Some(true) => check.pass(words("The schema is of this version.", "Схема базы соответствует версии.")),
        Some(false) => check.fail(
            words("The schema is of another version.", "Схема базы от другой версии."),
            words("Start `wabridge serve` of this version once.", "Запустите `wabridge serve` этой версии."),
        ),
        None => check.unknown(words("The schema cannot be read.", "Схему прочитать не удалось.")),
    }
}

/// Judges the queue.
pub(super) fn queue(subject: &Subject, queue: &Queue, now: DateTime<Utc>) -> Vec<Finding> {
    let (age, dead) = (Check("bridge.queue.age", subject), Check("bridge.queue.dead", subject));
    let waited = queue.oldest.map(|oldest| now - oldest).unwrap_or_default();
    vec![
        if waited > OLD_QUEUE {
            let (minutes, ready) = (waited.num_minutes(), queue.ready);
            age.fail(
                words(
                    format!("The oldest of {ready} jobs waits for {minutes} minutes."),
                    format!("Самое старое из {ready} заданий ждёт {minutes} мин."),
                ),
                words(
                    "See the findings on Meta and the portals: what cannot be reached is waited for.",
                    "См. проверки Meta и порталов: недоступное ожидается.",
                ),
            )
        } else {
            age.pass(words("Nothing waits long.", "Ничто не ждёт долго."))
        },
        match queue.dead {
            0 => dead.pass(words("No job was given up.", "Брошенных заданий нет.")),
            count => dead.warn(
                words(format!("{count} jobs were given up."), format!("Брошенных заданий: {count}.")),
                words(
                    "Look at each under Jobs; retry it or drop it.",
                    "Посмотрите каждое в разделе заданий; повторите или удалите.",
                ),
            ),
        },
    ]
}

/// Judges when a customer was last heard of.
pub(super) fn last_message(subject: &Subject, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Finding {
    let check = Check("bridge.last_webhook", subject);
    match last {
        None => check.unknown(words(
            "No customer has written yet: write to the number from a phone.",
            "Клиенты ещё не писали: напишите на номер с телефона.",
        )),
        Some(last) if now - last > QUIET => check.warn(
            words(
                format!("No customer has written since {}.", last.format("%Y-%m-%d %H:%M UTC")),
                format!("Клиенты не писали с {}.", last.format("%Y-%m-%d %H:%M UTC")),
            ),
            words(
                "Write to the number from a phone to see whether it arrives.",
                "Напишите на номер с телефона и посмотрите, дойдёт ли.",
            ),
        ),
        Some(last) => check.pass(words(
            format!("A customer last wrote on {}.", last.format("%Y-%m-%d %H:%M UTC")),
            format!("Последнее сообщение клиента: {}.", last.format("%Y-%m-%d %H:%M UTC")),
        )),
    }
}

/// Judges webhooks that nobody of ours has signed; `None` = only the running bridge counts them.
pub(super) fn signatures(subject: &Subject, refused: Option<u64>) -> Finding {
    let check = Check("bridge.signatures", subject);
    match refused {
        None => check.skipped(words(
            "Only the running bridge counts refused webhooks.",
            "Отклонённые уведомления считает только работающий мост.",
        )),
        Some(0) => check.pass(words(
            "No webhook was refused since the start.",
            "С запуска ни одно уведомление не отклонено.",
        )),
        Some(count) => check.warn(
            words(
                format!("{count} webhooks were refused since the start: signed by none of our apps."),
                format!("С запуска отклонено уведомлений: {count}: не подписаны нашими приложениями."),
            ),
            words(
                "If messages are missing, enter the app secret again: it may have been reset. Else somebody tries.",
                "Если сообщений не хватает, введите секрет приложения снова: его могли сбросить. Иначе это чужие \
                 попытки.",
            ),
        ),
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
    fn what_the_bridge_has_is_judged() {
        use Outcome::{Fail, Pass, Skipped, Unknown, Warn};
        for (free, expected) in
            [(None, Unknown), (Some(MB), Fail), (Some(500 * MB), Warn), (Some(9000 * MB), Pass)]
        {
            assert_eq!(disk(&subject(), free).outcome, expected);
        }
        assert_eq!(database(&subject(), None).outcome, Pass);
        assert_eq!(database(&subject(), Some("x")).outcome, Fail);
        for (current, expected) in [(Some(true), Pass), (Some(false), Fail), (None, Unknown)] {
            assert_eq!(schema(&subject(), current).outcome, expected);
        }
        for (refused, expected) in [(None, Skipped), (Some(0), Pass), (Some(3), Warn)] {
            assert_eq!(signatures(&subject(), refused).outcome, expected);
        }
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let ago = |minutes| Some(now - TimeDelta::minutes(minutes));
        for (oldest, dead, expected) in [
            (None, 0, [Pass, Pass]),
            (ago(4), 0, [Pass, Pass]),
            (ago(6), 0, [Fail, Pass]),
            (None, 2, [Pass, Warn]),
        ] {
            let found = queue(&subject(), &Queue { oldest, ready: 1, dead }, now);
            assert_eq!([found[0].outcome, found[1].outcome], expected);
        }
        for (last, expected) in [(None, Unknown), (ago(5), Pass), (ago(20_000), Warn)] {
            assert_eq!(last_message(&subject(), last, now).outcome, expected);
        }
    }
}
