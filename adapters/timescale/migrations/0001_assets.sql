-- Sites, assets and what is measured on them.
--
-- Times of the plant's event axis are bigint nanoseconds since 1970 UTC throughout this schema: timestamptz holds
-- microseconds only, and two rows of one burst must neither collide nor change when a computation is repeated. Grafana
-- reads such columns as they are ($__unixEpochNanoFilter) and faultline_at() turns one into a timestamptz. timestamptz
-- stands where the time is the database's own (stored_at, due_at) or a calendar fact.

CREATE FUNCTION faultline_at(ns bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT to_timestamp(div(ns::numeric, 1000)::double precision / 1e6) $$;
COMMENT ON FUNCTION faultline_at IS 'Nanoseconds since 1970 UTC as a timestamptz, to the microsecond';

CREATE TABLE site (
    site_id text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE asset (
    asset_id text PRIMARY KEY,
    site_id text NOT NULL REFERENCES site,
    name text NOT NULL,
    asset_type text NOT NULL,
    manufacturer text,
    model text,
    installed_at date,
    configuration jsonb NOT NULL,
    version text NOT NULL,
    activated_version text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL
);
COMMENT ON COLUMN asset.activated_version IS 'The configuration version that is on the log; differs while an activation is due';
CREATE INDEX asset_site ON asset (site_id);

CREATE TABLE measurement_point (
    asset_id text NOT NULL REFERENCES asset ON DELETE CASCADE,
    point_id text NOT NULL,
    location text NOT NULL,
    direction text NOT NULL,
    bearing text,
    PRIMARY KEY (asset_id, point_id)
);

CREATE TABLE channel (
    channel_id text PRIMARY KEY,
    asset_id text NOT NULL,
    point_id text NOT NULL,
    quantity text NOT NULL,
    unit text NOT NULL,
    FOREIGN KEY (asset_id, point_id) REFERENCES measurement_point ON DELETE CASCADE
);
CREATE INDEX channel_point ON channel (asset_id, point_id);

CREATE TABLE service_event (
    service_event_id text PRIMARY KEY,
    asset_id text NOT NULL REFERENCES asset ON DELETE CASCADE,
    performed_at timestamptz NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    technician text
);
CREATE INDEX service_event_asset ON service_event (asset_id, performed_at DESC);
