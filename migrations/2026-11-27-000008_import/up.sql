-- What a phone brings along from an installation of another product.

-- The code under which portals know it as an SMS sender; NULL = our own.
ALTER TABLE phones ADD COLUMN sms_code TEXT;
-- How its chats are named toward the portal: by our own ids, or by + and the number as before.
ALTER TABLE phones ADD COLUMN chat_names TEXT NOT NULL DEFAULT 'own' CHECK (chat_names IN ('own', 'number'));
-- The business profile as it was last written or accepted here; JSON.
ALTER TABLE phones ADD COLUMN profile TEXT;
-- The chat.id and user.id that the portal is given, fixed at first contact; NULL = the chat's own id.
ALTER TABLE chats ADD COLUMN known_as TEXT;
CREATE INDEX chats_by_name ON chats (known_as, phone_id) WHERE known_as IS NOT NULL;
