-- How far the scores of a model must stay over their threshold at a point to raise an alarm: each row is a step on the way
-- to a limit that a budget of false alarms allows, the newest by (asset, point, model, regime) how things stand. Rows are
-- few: a calibration tells of some two hundred steps.

CREATE TABLE alarm_limit (
    asset_id text NOT NULL,
    point_id text NOT NULL,
    model text NOT NULL,
    regime text NOT NULL,
    at_ns bigint NOT NULL,
    windows bigint NOT NULL,
    windows_needed bigint NOT NULL,
    alarm_limit double precision,
    expected_per_month double precision NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, point_id, model, regime, at_ns)
);
COMMENT ON COLUMN alarm_limit.alarm_limit IS 'Ratio of score to threshold; null while windows are fewer than needed: no alarm then';
COMMENT ON COLUMN alarm_limit.expected_per_month IS 'False alarms that the calibration lets expect of this model at this point';
