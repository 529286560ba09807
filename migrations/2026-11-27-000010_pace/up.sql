-- How many messages a second Meta takes of a phone: its level, and whether it lives in the business app as well.
ALTER TABLE phones ADD COLUMN throughput TEXT;
ALTER TABLE phones ADD COLUMN on_business_app BOOLEAN NOT NULL DEFAULT FALSE;

-- Where the portal is licensed, as it says itself: the country of numbers that its CRM holds without a code.
ALTER TABLE portals ADD COLUMN region TEXT;

-- Creations and edits of templates that Meta has taken: it allows only so many.
CREATE TABLE template_changes (
    id TEXT PRIMARY KEY,
    waba_key TEXT NOT NULL,
    -- NULL: a creation.
    meta_id TEXT,
    at TIMESTAMP NOT NULL
);
CREATE INDEX template_changes_by_waba ON template_changes (waba_key, at);
CREATE INDEX template_changes_by_time ON template_changes (at);
