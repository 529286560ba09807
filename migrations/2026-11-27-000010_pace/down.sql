DROP TABLE template_changes;
