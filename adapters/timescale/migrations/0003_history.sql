-- History: what was computed and received. Each row has a key that follows from its content, so storing it again changes
-- nothing. No foreign keys to the assets: what the log says is stored, whether or not the asset is registered here.
-- A corrected computation of a window carries a code_version of its own and stands beside the first.

CREATE TABLE assessment (
    asset_id text NOT NULL,
    window_start_ns bigint NOT NULL,
    code_version text NOT NULL,
    assessment_id text NOT NULL,
    site_id text NOT NULL,
    window_end_ns bigint NOT NULL,
    sampling_rate_hz double precision NOT NULL,
    n_samples bigint NOT NULL,
    partial boolean NOT NULL,
    speed_rpm double precision,
    regime text NOT NULL,
    catalogue_version integer NOT NULL,
    configuration_version text NOT NULL,
    zone text,
    channel_ids text[] NOT NULL,
    diagnoses jsonb NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, window_start_ns, code_version)
);
SELECT faultline_make_series('assessment', 'window_start_ns');

-- One column per name of the feature catalogue (contracts/features.py), float32.
CREATE TABLE feature (
    channel_id text NOT NULL,
    window_start_ns bigint NOT NULL,
    code_version text NOT NULL,
    asset_id text NOT NULL,
    point_id text NOT NULL,
    window_end_ns bigint NOT NULL,
    partial boolean NOT NULL,
    zone text,
    not_graded_because text,
    rms_g real,
    peak_g real,
    peak_to_peak_g real,
    crest_factor real,
    kurtosis real,
    skewness real,
    shape_factor real,
    impulse_factor real,
    clearance_factor real,
    velocity_rms_mm_s real,
    displacement_rms_um real,
    displacement_pp_um real,
    order_1x_mm_s real,
    order_2x_mm_s real,
    order_3x_mm_s real,
    band_low_g real,
    band_mid_g real,
    band_high_g real,
    spectral_centroid_hz real,
    spectral_entropy real,
    dominant_frequency_hz real,
    dominant_amplitude_g real,
    bpfo_db real,
    bpfi_db real,
    bsf_db real,
    ftf_db real,
    envelope_low_hz real,
    envelope_high_hz real,
    clipped_samples real,
    bias_g real,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, window_start_ns, code_version, asset_id)
);
SELECT faultline_make_series('feature', 'window_start_ns');

CREATE TABLE score (
    channel_id text NOT NULL,
    window_start_ns bigint NOT NULL,
    model text NOT NULL,
    model_version text NOT NULL,
    code_version text NOT NULL,
    asset_id text NOT NULL,
    window_end_ns bigint NOT NULL,
    value double precision,
    threshold double precision,
    learning boolean NOT NULL,
    explanation jsonb NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, window_start_ns, model, model_version, code_version, asset_id)
);
SELECT faultline_make_series('score', 'window_start_ns');

CREATE TABLE reading (
    channel_id text NOT NULL,
    at_ns bigint NOT NULL,
    asset_id text NOT NULL,
    quantity text NOT NULL,
    unit text NOT NULL,
    value double precision NOT NULL,
    quality text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, at_ns, asset_id)
);
SELECT faultline_make_series('reading', 'at_ns');

CREATE TABLE waveform (
    channel_id text NOT NULL,
    start_ns bigint NOT NULL,
    asset_id text NOT NULL,
    sampling_rate_hz double precision NOT NULL,
    unit text NOT NULL,
    speed_rpm double precision,
    samples bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, start_ns, asset_id)
);
COMMENT ON COLUMN waveform.samples IS 'little-endian float32';
ALTER TABLE waveform ALTER COLUMN samples SET STORAGE EXTERNAL; -- float noise doesn't compress: don't try
SELECT faultline_make_series('waveform', 'start_ns');

-- The place of each asset's newest assessment, so that a list of assets needn't look into every partition.
CREATE TABLE asset_latest (
    asset_id text PRIMARY KEY,
    window_start_ns bigint NOT NULL,
    code_version text NOT NULL
) WITH (fillfactor = 50);

-- Rare facts: plain tables.
CREATE TABLE machine_event (
    asset_id text NOT NULL,
    device_id text NOT NULL,
    boot_id text NOT NULL,
    sequence bigint NOT NULL,
    at_ns bigint NOT NULL,
    kind text NOT NULL,
    code text NOT NULL,
    text text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, device_id, boot_id, sequence, at_ns)
);
CREATE INDEX machine_event_at ON machine_event (asset_id, at_ns DESC);

CREATE TABLE gap (
    asset_id text NOT NULL,
    channel_group text NOT NULL,
    from_ns bigint NOT NULL,
    to_ns bigint NOT NULL,
    cause text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, channel_group, from_ns, to_ns)
);

CREATE TABLE condition (
    condition_id text PRIMARY KEY,
    asset_id text NOT NULL,
    site_id text NOT NULL,
    point_id text NOT NULL,
    rule text NOT NULL,
    state text NOT NULL,
    sequence bigint NOT NULL,
    at_ns bigint NOT NULL,
    episode_started_at_ns bigint NOT NULL,
    priority text NOT NULL,
    latching boolean NOT NULL,
    zone text,
    fault text,
    confidence double precision,
    reason text NOT NULL,
    evidence jsonb NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX condition_asset ON condition (asset_id, sequence DESC);
