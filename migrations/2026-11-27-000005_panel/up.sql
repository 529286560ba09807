-- Who may use the panel, and what was changed by whom. Tokens of invitations and sessions are stored hashed.

CREATE TABLE administrators (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- The name in lower case: two spellings of one name are one administrator.
    name_key TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('administrator', 'operator')),
    language TEXT NOT NULL CHECK (language IN ('en', 'ru')),
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE invites (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('administrator', 'operator')),
    -- Whoever invites; NULL = the command line, which may also give a new password.
    invited_by TEXT,
    expires_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    administrator_id TEXT NOT NULL REFERENCES administrators (id),
    source TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seen_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX sessions_by_administrator ON sessions (administrator_id);

CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('bridge', 'command', 'administrator', 'token', 'portal_user')),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    object_id TEXT NOT NULL,
    object_name TEXT NOT NULL,
    -- JSON: what changed, secrets masked.
    state_before TEXT NOT NULL,
    state_after TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX audit_log_by_object ON audit_log (object_id);
CREATE INDEX audit_log_by_time ON audit_log (created_at);
