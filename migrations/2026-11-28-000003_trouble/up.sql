-- Since when a job is tried in vain: an outage ends what was tried for too long, not what has waited for a line.
ALTER TABLE jobs ADD COLUMN troubled_since TIMESTAMP;
