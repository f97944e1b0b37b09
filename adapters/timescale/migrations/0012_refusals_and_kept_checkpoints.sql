-- What all workers together have been allowed to refuse within the last minute; older rows go with the next request.
CREATE TABLE refusal_allowance (
    taken_at timestamptz NOT NULL,
    records integer NOT NULL CHECK (records > 0)
);

-- Checkpoints that are kept with their states, so that a log whose beginning has expired can be recomputed from one of
-- them. At most a few dozen for each partition; those that begin before the log does are forgotten.
CREATE TABLE kept_checkpoint (
    topic text NOT NULL,
    partition integer NOT NULL,
    applied_offset bigint NOT NULL,
    resume_offset bigint NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, applied_offset)
);
COMMENT ON COLUMN kept_checkpoint.stored_at IS 'That of the checkpoint: results up to applied_offset were stored before';

CREATE TABLE kept_state (
    topic text NOT NULL,
    partition integer NOT NULL,
    applied_offset bigint NOT NULL,
    asset_id text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (topic, partition, applied_offset, asset_id),
    FOREIGN KEY (topic, partition, applied_offset) REFERENCES kept_checkpoint ON DELETE CASCADE
);
ALTER TABLE kept_state ALTER COLUMN state SET STORAGE EXTERNAL;
