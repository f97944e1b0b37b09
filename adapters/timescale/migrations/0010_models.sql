-- Models in the stream: their content, the stage each version has reached, every step with who and why, and what models in
-- shadow said. Content is kept here so that a model survives the file it came from, on every worker.

CREATE TABLE model_content (
    sha256 text PRIMARY KEY,
    content bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    CHECK (sha256 = encode(sha256(content), 'hex'))
);
ALTER TABLE model_content ALTER COLUMN content SET STORAGE EXTERNAL; -- weights don't compress

CREATE TABLE model_version (
    name text NOT NULL,
    version text NOT NULL,
    sha256 text NOT NULL REFERENCES model_content,
    feature_hash text NOT NULL,
    slot text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('proposed', 'reviewed', 'staged', 'canary', 'production', 'sunset')),
    share double precision NOT NULL DEFAULT 0 CHECK (share >= 0 AND share <= 1),
    asset_ids text[] NOT NULL DEFAULT '{}',
    asset_types text[] NOT NULL DEFAULT '{}',
    former text,
    card text NOT NULL DEFAULT '',
    PRIMARY KEY (name, version)
);
COMMENT ON COLUMN model_version.feature_hash IS 'The feature code whose vectors the model was trained on';
COMMENT ON COLUMN model_version.former IS 'The version in production before: what a roll-back restores';
CREATE UNIQUE INDEX model_version_canary ON model_version (slot) WHERE stage = 'canary';
CREATE UNIQUE INDEX model_version_production ON model_version (slot) WHERE stage = 'production';

-- Never changed, never deleted. No foreign key: a refused proposal has no version.
CREATE TABLE model_transition (
    transition_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    action text NOT NULL,
    from_stage text,
    to_stage text,
    sha256 text NOT NULL,
    share double precision NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX model_transition_version ON model_transition (name, version, transition_id);

CREATE TABLE shadow_score (
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
COMMENT ON TABLE shadow_score IS 'Scores of models in shadow: columns as those of score, heard by nobody';
SELECT faultline_make_series('shadow_score', 'window_start_ns');
