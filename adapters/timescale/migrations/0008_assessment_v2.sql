-- What version 2 of the Assessment record adds. Diagnoses are JSON already and carry their new fields there. The defaults
-- are those of the record: rows of the first version read as it does. They are plain literals, which a compressed
-- hypertable takes too.

ALTER TABLE assessment ADD COLUMN code_hash text NOT NULL DEFAULT '';
COMMENT ON COLUMN assessment.code_hash IS 'The feature code and catalogue that computed it; empty where it was not kept';

ALTER TABLE feature ADD COLUMN own_features jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN feature.own_features IS 'The user''s own features: {name: value}, null where undefined or failed';
ALTER TABLE feature ADD COLUMN not_decided jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN feature.not_decided IS 'Questions the window could not answer: [{name, needed_s}]';
