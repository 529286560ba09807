-- What Meta holds of files that we uploaded, so that the same content is not uploaded again while it lives.
CREATE TABLE uploaded_media (
    phone_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    mime TEXT NOT NULL,
    media_id TEXT NOT NULL,
    uploaded_at TIMESTAMP NOT NULL,
    PRIMARY KEY (phone_id, sha256, mime)
);
CREATE INDEX uploaded_media_by_time ON uploaded_media (uploaded_at);

-- Operators' texts that wait until the contact writes: outside of the 24 hours only templates may be sent.
CREATE TABLE held_messages (
    id TEXT PRIMARY KEY,
    chat_id TEXT NOT NULL REFERENCES chats (id),
    phone_id TEXT NOT NULL,
    portal_id TEXT NOT NULL,
    im_message_id TEXT NOT NULL,
    item TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    UNIQUE (portal_id, im_message_id)
);
CREATE INDEX held_messages_by_chat ON held_messages (chat_id, created_at);
CREATE INDEX held_messages_by_end ON held_messages (expires_at);
