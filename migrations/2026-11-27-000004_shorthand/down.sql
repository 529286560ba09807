DROP TABLE held_messages;
DROP TABLE uploaded_media;
