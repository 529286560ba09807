-- Meta's id of the message that an edit or revocation names: whoever shows that one looks for them, whichever came
-- first. And as how many messages the line has one, where a text was too long for it.
ALTER TABLE messages ADD COLUMN changes TEXT;
ALTER TABLE messages ADD COLUMN line_parts INTEGER NOT NULL DEFAULT 1;
CREATE INDEX messages_by_change ON messages (phone_id, changes) WHERE changes IS NOT NULL;
