DROP INDEX messages_by_change;
ALTER TABLE messages DROP COLUMN line_parts;
ALTER TABLE messages DROP COLUMN changes;
