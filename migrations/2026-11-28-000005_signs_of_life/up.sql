-- When the bridge was last alive while the call ran: what was broken off ended about then, not at the next start.
ALTER TABLE calls ADD COLUMN seen_at TIMESTAMP;
