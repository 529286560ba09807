-- One schema for SQLite and PostgreSQL: text keys made by us, states as checked text, JSON as text,
-- times as UTC without a zone. Columns whose name ends in _sealed are encrypted with the master key.

CREATE TABLE vault_checks (
    name TEXT PRIMARY KEY,
    sealed TEXT NOT NULL
);

CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    site TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    client_secret_sealed TEXT NOT NULL,
    second_secret_sealed TEXT,
    access_token_sealed TEXT NOT NULL,
    verify_token_sealed TEXT NOT NULL,
    api_key TEXT NOT NULL UNIQUE,
    graph_version TEXT,
    save_events BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE wabas (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    waba_id TEXT NOT NULL UNIQUE,
    access_token_sealed TEXT,
    name TEXT NOT NULL,
    subscribed BOOLEAN NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'restricted', 'disconnected')),
    status_reason TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE phones (
    id TEXT PRIMARY KEY,
    waba_key TEXT NOT NULL REFERENCES wabas (id),
    phone_number TEXT NOT NULL,
    phone_number_id TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    status TEXT,
    quality TEXT,
    messaging_limit TEXT,
    name_status TEXT,
    security_note TEXT,
    sms_service BOOLEAN NOT NULL,
    read_receipts BOOLEAN NOT NULL,
    system_messages TEXT NOT NULL CHECK (system_messages IN ('drop', 'send')),
    signature TEXT NOT NULL CHECK (signature IN ('strip', 'keep')),
    closed_window TEXT NOT NULL CHECK (closed_window IN ('tell', 'template', 'hold')),
    fallback_template TEXT,
    default_language TEXT,
    sms_to_chat BOOLEAN NOT NULL,
    crm_user_id TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE portal_apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    client_id TEXT NOT NULL UNIQUE,
    client_secret_sealed TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE portals (
    id TEXT PRIMARY KEY,
    member_id TEXT NOT NULL UNIQUE,
    portal_app_id TEXT NOT NULL REFERENCES portal_apps (id),
    domain TEXT NOT NULL,
    client_endpoint TEXT NOT NULL,
    server_endpoint TEXT NOT NULL,
    access_token_sealed TEXT NOT NULL,
    access_expires_at TIMESTAMP NOT NULL,
    refresh_token_sealed TEXT NOT NULL,
    application_token_sealed TEXT,
    sms_secret_sealed TEXT NOT NULL,
    user_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('installing', 'active', 'reauthorize', 'uninstalled')),
    status_reason TEXT,
    language TEXT NOT NULL,
    default_country TEXT,
    alarm_user_id TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE line_bindings (
    id TEXT PRIMARY KEY,
    phone_id TEXT NOT NULL UNIQUE REFERENCES phones (id),
    portal_id TEXT NOT NULL REFERENCES portals (id),
    line_id TEXT NOT NULL,
    line_name TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (portal_id, line_id)
);

CREATE TABLE contacts (
    id TEXT PRIMARY KEY,
    waba_key TEXT NOT NULL,
    name TEXT NOT NULL,
    username TEXT,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE contact_aliases (
    waba_key TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('user_id', 'wa_id', 'phone')),
    value TEXT NOT NULL,
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (waba_key, kind, value)
);
CREATE INDEX contact_aliases_by_contact ON contact_aliases (contact_id);

-- The id of a chat is the chat.id and user.id that the portal knows: fixed at first contact.
CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    phone_id TEXT NOT NULL REFERENCES phones (id),
    portal_user TEXT,
    portal_line TEXT,
    portal_chat_id TEXT,
    last_inbound_at TIMESTAMP,
    last_inbound_wamid TEXT,
    window_until TIMESTAMP,
    window_closed BOOLEAN NOT NULL,
    marketing_stopped BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (contact_id, phone_id)
);

-- One row per WhatsApp message. An operator's message that became several has one row per part.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    chat_id TEXT NOT NULL REFERENCES chats (id),
    phone_id TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    kind TEXT NOT NULL,
    wamid TEXT,
    portal_id TEXT,
    im_chat_id TEXT,
    im_message_id TEXT,
    part INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'sent', 'delivered', 'read', 'played', 'failed')),
    body TEXT NOT NULL,
    payload TEXT NOT NULL,
    blob_id TEXT,
    media_state TEXT CHECK (media_state IN ('waiting', 'failed', 'stored', 'gone')),
    job_id TEXT,
    send_started BOOLEAN NOT NULL,
    maybe_twice BOOLEAN NOT NULL,
    error_code INTEGER,
    error_text TEXT,
    created_at TIMESTAMP NOT NULL,
    relayed_at TIMESTAMP,
    accepted_at TIMESTAMP,
    sent_at TIMESTAMP,
    delivered_at TIMESTAMP,
    read_at TIMESTAMP,
    failed_at TIMESTAMP,
    UNIQUE (phone_id, wamid),
    UNIQUE (portal_id, im_message_id, part)
);
CREATE INDEX messages_by_chat ON messages (chat_id, created_at);
CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_by_job ON messages (job_id) WHERE job_id IS NOT NULL;

-- Statuses that came before the answer to the send, and those of other apps; kept for hours.
CREATE TABLE parked_statuses (
    id TEXT PRIMARY KEY,
    phone_id TEXT NOT NULL,
    wamid TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX parked_statuses_by_wamid ON parked_statuses (wamid);
CREATE INDEX parked_statuses_by_time ON parked_statuses (created_at);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    lane TEXT NOT NULL,
    lane_seq BIGINT NOT NULL,
    dedupe_key TEXT UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'done', 'dead', 'dropped')),
    payload TEXT NOT NULL,
    message_id TEXT,
    attempts INTEGER NOT NULL,
    doubtful BOOLEAN NOT NULL,
    maybe_twice BOOLEAN NOT NULL,
    not_before TIMESTAMP,
    lease_id TEXT,
    lease_until TIMESTAMP,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP
);
-- Partial, so that the many jobs that are done cost nothing in them.
CREATE INDEX jobs_by_state ON jobs (state, lane_seq) WHERE state IN ('ready', 'running', 'dead');
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_by_message ON jobs (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX jobs_by_lane ON jobs (lane);

-- What the portal will send back to us because we posted it on behalf of a user.
CREATE TABLE expected_echoes (
    id TEXT PRIMARY KEY,
    chat_id TEXT NOT NULL,
    text_hash TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX expected_echoes_by_chat ON expected_echoes (chat_id, text_hash);

CREATE TABLE events (
    id TEXT PRIMARY KEY,
    app_id TEXT,
    portal_id TEXT,
    field TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX events_by_time ON events (created_at);

CREATE TABLE blobs (
    id TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    mime TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX blobs_by_time ON blobs (created_at);

CREATE TABLE media_links (
    token_hash TEXT PRIMARY KEY,
    blob_id TEXT NOT NULL REFERENCES blobs (id),
    expires_at TIMESTAMP,
    revoked BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX media_links_by_blob ON media_links (blob_id);

CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    token_hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('read', 'operate', 'admin')),
    expires_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL
);
