ALTER TABLE messages DROP COLUMN repeats;
