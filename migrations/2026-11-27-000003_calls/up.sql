-- Calls: how phones are set up for them, their records, their cards in the CRM, who may be called.

CREATE TABLE phone_calling (
    phone_id TEXT PRIMARY KEY REFERENCES phones (id),
    status TEXT NOT NULL CHECK (status IN ('ENABLED', 'DISABLED')),
    sip_status TEXT NOT NULL CHECK (sip_status IN ('ENABLED', 'DISABLED')),
    hostname TEXT,
    port INTEGER NOT NULL,
    keying TEXT NOT NULL CHECK (keying IN ('SDES', 'DTLS')),
    webhook_delivery TEXT NOT NULL CHECK (webhook_delivery IN ('ENABLED', 'DISABLED')),
    trunk TEXT,
    extension TEXT,
    edge TEXT NOT NULL CHECK (edge IN ('own', 'external')),
    tgrp TEXT,
    crm_create BOOLEAN NOT NULL,
    sip_password_sealed TEXT,
    -- What Meta said when it was last asked, without its secrets.
    meta TEXT,
    error_code BIGINT,
    error_title TEXT,
    error_explanation TEXT,
    checked_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    phone_id TEXT REFERENCES phones (id),
    contact_id TEXT REFERENCES contacts (id),
    chat_id TEXT REFERENCES chats (id),
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    -- reported: known from Meta's webhooks alone.
    state TEXT NOT NULL CHECK (state IN ('trying', 'ringing', 'answered', 'ended', 'reported')),
    wacid TEXT,
    sip_call_id TEXT,
    trunk TEXT,
    target TEXT,
    agent TEXT,
    peer_digits TEXT,
    peer_user_id TEXT,
    peer_name TEXT,
    payload TEXT,
    created_at TIMESTAMP NOT NULL,
    ringing_at TIMESTAMP,
    answered_at TIMESTAMP,
    ended_at TIMESTAMP,
    ended_by TEXT CHECK (ended_by IN ('contact', 'trunk', 'bridge')),
    end_cause TEXT,
    sip_status INTEGER,
    q850 INTEGER,
    end_text TEXT,
    meta_status TEXT,
    meta_seconds INTEGER,
    meta_started_at TIMESTAMP,
    meta_ended_at TIMESTAMP,
    meta_errors TEXT,
    report TEXT NOT NULL,
    timeline TEXT NOT NULL
);
CREATE INDEX calls_by_phone ON calls (phone_id, id);
CREATE INDEX calls_by_contact ON calls (contact_id, id);
CREATE INDEX calls_by_wacid ON calls (wacid);
CREATE INDEX calls_by_age ON calls (created_at);
CREATE INDEX calls_by_state ON calls (state);

CREATE TABLE call_cards (
    call_id TEXT PRIMARY KEY REFERENCES calls (id),
    portal_id TEXT NOT NULL,
    crm_call_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    user_inner TEXT,
    shown BOOLEAN NOT NULL,
    entity_type TEXT,
    entity_id TEXT,
    activity_id TEXT,
    created_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP
);

CREATE TABLE call_permissions (
    phone_id TEXT NOT NULL REFERENCES phones (id),
    -- Digits of the number, or the user id.
    person TEXT NOT NULL,
    allowed BOOLEAN NOT NULL,
    can_ask BOOLEAN NOT NULL,
    -- Until when this answer is believed.
    good_until TIMESTAMP NOT NULL,
    PRIMARY KEY (phone_id, person)
);
CREATE INDEX call_permissions_by_age ON call_permissions (good_until);
