ALTER TABLE jobs DROP COLUMN troubled_since;
