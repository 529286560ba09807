-- The price class that a template had before Meta moved it without an announcement, and when it did.
ALTER TABLE templates ADD COLUMN moved_from TEXT;
ALTER TABLE templates ADD COLUMN moved_at TIMESTAMP;
