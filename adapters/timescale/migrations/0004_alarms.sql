-- Owners, checkpoints and alarms: everything here is written in transactions that hold the owner's row and check its
-- epoch, so a worker that lost its partition changes nothing.

CREATE TABLE partition_owner (
    topic text NOT NULL,
    partition integer NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    outbox_sequence bigint NOT NULL DEFAULT 0,
    relayed_sequence bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
COMMENT ON COLUMN partition_owner.outbox_sequence IS 'Last sequence given out: gapless, since it is raised under this row''s lock';
COMMENT ON COLUMN partition_owner.relayed_sequence IS 'Outbox rows up to here are on the topic';

CREATE TABLE checkpoint (
    topic text NOT NULL,
    partition integer NOT NULL,
    applied_offset bigint NOT NULL,
    resume_offset bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE asset_state (
    topic text NOT NULL,
    partition integer NOT NULL,
    asset_id text NOT NULL,
    state bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, asset_id)
) WITH (fillfactor = 50);
ALTER TABLE asset_state ALTER COLUMN state SET STORAGE EXTERNAL;

CREATE TABLE alarm_history (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transition_id text NOT NULL UNIQUE,
    alarm_id text NOT NULL,
    asset_id text NOT NULL,
    site_id text NOT NULL,
    point_id text NOT NULL,
    rule text NOT NULL,
    sequence bigint NOT NULL,
    from_state text NOT NULL,
    state text NOT NULL,
    cause text NOT NULL,
    at_ns bigint NOT NULL,
    started_at_ns bigint NOT NULL,
    priority text NOT NULL,
    zone text,
    fault text,
    confidence double precision,
    reason text NOT NULL,
    evidence jsonb NOT NULL,
    actor text,
    note text,
    traceparent text,
    stored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN alarm_history.position IS 'Grows in commit order: inserts hold one advisory lock until they commit';
CREATE INDEX alarm_history_alarm ON alarm_history (alarm_id, sequence);
CREATE INDEX alarm_history_asset ON alarm_history (asset_id, sequence);

CREATE TABLE alarm (
    alarm_id text PRIMARY KEY,
    asset_id text NOT NULL,
    site_id text NOT NULL,
    point_id text NOT NULL,
    rule text NOT NULL,
    sequence bigint NOT NULL,
    state text NOT NULL,
    cause text NOT NULL,
    changed_at_ns bigint NOT NULL,
    started_at_ns bigint NOT NULL,
    priority text NOT NULL,
    zone text,
    fault text,
    confidence double precision,
    reason text NOT NULL,
    evidence jsonb NOT NULL,
    actor text,
    note text,
    acknowledged_by text,
    acknowledged_at_ns bigint
);
CREATE INDEX alarm_asset ON alarm (asset_id, changed_at_ns DESC);
CREATE INDEX alarm_changed ON alarm (changed_at_ns DESC);
CREATE INDEX alarm_standing ON alarm (asset_id) WHERE state <> 'normal';

-- What waits for the topic `alarms`; the transition's content lies in alarm_history.
CREATE TABLE outbox (
    topic text NOT NULL,
    partition integer NOT NULL,
    sequence bigint NOT NULL,
    transition_id text NOT NULL UNIQUE REFERENCES alarm_history (transition_id),
    PRIMARY KEY (topic, partition, sequence)
);
