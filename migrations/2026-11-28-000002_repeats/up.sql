-- How often a message to a customer was sent again after an answer that never came.
ALTER TABLE messages ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
