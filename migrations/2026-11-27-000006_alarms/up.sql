-- Findings of the doctor that turned bad, from then until they are well again.
CREATE TABLE alarms (
    id TEXT PRIMARY KEY,
    check_id TEXT NOT NULL,
    subject_kind TEXT NOT NULL CHECK (subject_kind IN ('bridge', 'app', 'waba', 'phone', 'portal', 'line')),
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('warn', 'fail')),
    reason_en TEXT NOT NULL,
    reason_ru TEXT NOT NULL,
    advice_en TEXT,
    advice_ru TEXT,
    opened_at TIMESTAMP NOT NULL,
    closed_at TIMESTAMP
);
-- A finding that stays bad is one alarm.
CREATE UNIQUE INDEX alarms_open ON alarms (check_id, subject_kind, subject_id) WHERE closed_at IS NULL;
CREATE INDEX alarms_by_end ON alarms (closed_at) WHERE closed_at IS NOT NULL;

-- Who is told of an alarm and of its end; written in the same transaction.
CREATE TABLE alarm_notices (
    id TEXT PRIMARY KEY,
    alarm_id TEXT NOT NULL REFERENCES alarms (id),
    event TEXT NOT NULL CHECK (event IN ('opened', 'closed')),
    portal_id TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'told', 'given_up')),
    attempts INTEGER NOT NULL,
    not_before TIMESTAMP NOT NULL,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX alarm_notices_waiting ON alarm_notices (not_before) WHERE state = 'waiting';
CREATE INDEX alarm_notices_by_alarm ON alarm_notices (alarm_id);
CREATE INDEX alarm_notices_by_time ON alarm_notices (created_at);
