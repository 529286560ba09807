DROP TABLE template_changes;
ALTER TABLE portals DROP COLUMN region;
ALTER TABLE phones DROP COLUMN on_business_app;
ALTER TABLE phones DROP COLUMN throughput;
