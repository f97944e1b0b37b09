-- Corrected features: what a window comes down to once late blocks have completed it. The rows of `feature`, version 1, are
-- what scores and diagnoses were made of and never change; each later version lies here, in the same columns.

CREATE TABLE corrected_feature (LIKE feature INCLUDING DEFAULTS INCLUDING GENERATED);
ALTER TABLE corrected_feature
    ADD COLUMN version integer NOT NULL,
    ADD PRIMARY KEY (channel_id, window_start_ns, code_version, asset_id, version);
SELECT faultline_make_series('corrected_feature', 'window_start_ns');

-- The span of a lost block and that of the same block come late are two facts, also where they begin and end alike.
ALTER TABLE gap DROP CONSTRAINT gap_pkey, ADD PRIMARY KEY (asset_id, channel_group, from_ns, to_ns, cause);
