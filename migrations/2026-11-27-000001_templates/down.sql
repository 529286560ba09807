ALTER TABLE phones DROP COLUMN stop_words;
ALTER TABLE wabas DROP COLUMN portfolio;
DROP TABLE limit_uses;
DROP TABLE template_syncs;
DROP TABLE templates;
