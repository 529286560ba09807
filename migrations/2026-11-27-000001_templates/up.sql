-- Message templates of each account as Meta lists them, and when that was read.
CREATE TABLE templates (
    id TEXT PRIMARY KEY,
    waba_key TEXT NOT NULL REFERENCES wabas (id),
    meta_id TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    category TEXT NOT NULL,
    next_category TEXT,
    quality TEXT,
    parameter_format TEXT NOT NULL,
    components TEXT NOT NULL,
    synced_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (waba_key, name, language)
);

CREATE INDEX templates_by_meta_id ON templates (waba_key, meta_id);

CREATE TABLE template_syncs (
    waba_key TEXT PRIMARY KEY REFERENCES wabas (id),
    tried_at TIMESTAMP NOT NULL,
    synced_at TIMESTAMP,
    error TEXT,
    wanted BOOLEAN NOT NULL
);

-- Whom a business wrote first, and when last: what Meta's messaging limit counts.
CREATE TABLE limit_uses (
    portfolio TEXT NOT NULL,
    person TEXT NOT NULL,
    used_at TIMESTAMP NOT NULL,
    PRIMARY KEY (portfolio, person)
);

CREATE INDEX limit_uses_by_time ON limit_uses (used_at);

-- Accounts of one business portfolio share its limit; without one, an account stands for itself.
ALTER TABLE wabas ADD COLUMN portfolio TEXT;

-- Languages whose words like STOP end marketing messages to whoever wrote them, as en,ru.
ALTER TABLE phones ADD COLUMN stop_words TEXT NOT NULL DEFAULT '';
