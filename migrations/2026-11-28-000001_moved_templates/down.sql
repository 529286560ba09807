ALTER TABLE templates DROP COLUMN moved_at;
ALTER TABLE templates DROP COLUMN moved_from;
