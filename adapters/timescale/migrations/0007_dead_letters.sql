-- Refused records that were put back on their topic, so that each is put back once.

CREATE TABLE dead_letter_replay (
    topic text NOT NULL,
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    replayed_at timestamptz NOT NULL DEFAULT now(),
    replayed_by text NOT NULL,
    PRIMARY KEY (topic, partition, log_offset)
);
COMMENT ON TABLE dead_letter_replay IS 'The key is where the refused record lay; written once the log has acknowledged its repetition';
