-- What portals asked us to send as their SMS provider. A row outlives its jobs: the portal's message id is
-- the gate against repeats.

CREATE TABLE sms_requests (
    id TEXT PRIMARY KEY,
    portal_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    code TEXT NOT NULL,
    phone_id TEXT,
    chat_id TEXT,
    recipient TEXT NOT NULL,
    number TEXT,
    body TEXT NOT NULL,
    author TEXT,
    owners TEXT NOT NULL,
    job_id TEXT,
    state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'delivered', 'undelivered', 'failed')),
    reported TEXT CHECK (reported IN ('queued', 'sent', 'delivered', 'undelivered', 'failed')),
    reason TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (portal_id, message_id)
);
CREATE INDEX sms_requests_by_chat ON sms_requests (chat_id) WHERE chat_id IS NOT NULL;
CREATE INDEX sms_requests_by_job ON sms_requests (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX sms_requests_by_time ON sms_requests (created_at);
CREATE INDEX sms_requests_waiting ON sms_requests (phone_id) WHERE state = 'queued';
