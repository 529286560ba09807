DROP INDEX chats_by_name;
ALTER TABLE chats DROP COLUMN known_as;
ALTER TABLE phones DROP COLUMN profile;
ALTER TABLE phones DROP COLUMN chat_names;
ALTER TABLE phones DROP COLUMN sms_code;
