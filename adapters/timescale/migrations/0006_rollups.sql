-- Hourly features: a continuous aggregate under TimescaleDB's full licence, a view of the same name and columns
-- otherwise. Under the full licence series older than a week move to the columnstore too. Nothing is deleted here: how
-- long history is kept is the operator's decision.

CREATE FUNCTION faultline_now_ns() RETURNS bigint LANGUAGE sql STABLE
    AS $$ SELECT (extract(epoch FROM now()) * 1000000000)::bigint $$;

DO $$
DECLARE
    hour_ns constant bigint := 3600000000000;
    full_licence constant boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
        AND current_setting('timescaledb.license', true) = 'timescale';
    bucket text := format('window_start_ns - window_start_ns %% %s', hour_ns);
    body constant text := $body$
        SELECT asset_id, channel_id, %s AS hour_start_ns, count(*) AS windows,
            avg(rms_g) AS rms_g_avg, max(rms_g) AS rms_g_max, max(peak_g) AS peak_g_max,
            max(kurtosis) AS kurtosis_max,
            avg(velocity_rms_mm_s) AS velocity_rms_mm_s_avg, max(velocity_rms_mm_s) AS velocity_rms_mm_s_max,
            max(bpfo_db) AS bpfo_db_max, max(bpfi_db) AS bpfi_db_max, max(bsf_db) AS bsf_db_max, max(ftf_db) AS ftf_db_max
        FROM feature WHERE NOT partial GROUP BY asset_id, channel_id, %1$s
    $body$;
    series text;
    segment text;
BEGIN
    IF NOT full_licence THEN
        EXECUTE 'CREATE VIEW feature_hourly AS ' || format(body, bucket);
        RETURN;
    END IF;
    FOR series, segment IN VALUES
        ('assessment', 'asset_id'), ('feature', 'channel_id'), ('score', 'channel_id'), ('reading', 'channel_id')
    LOOP
        PERFORM set_integer_now_func(series::regclass, 'faultline_now_ns');
        EXECUTE format('ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L,'
            ' timescaledb.compress_orderby = %L)', series, segment,
            CASE series WHEN 'reading' THEN 'at_ns' ELSE 'window_start_ns' END);
        PERFORM add_compression_policy(series::regclass, 7 * 24 * hour_ns);
    END LOOP;
    EXECUTE 'CREATE MATERIALIZED VIEW feature_hourly WITH (timescaledb.continuous,'
        ' timescaledb.materialized_only = false) AS '
        || format(body, format('time_bucket(%s::bigint, window_start_ns)', hour_ns)) || ' WITH NO DATA';
    PERFORM add_continuous_aggregate_policy('feature_hourly',
        start_offset => 7 * 24 * hour_ns, end_offset => hour_ns, schedule_interval => interval '15 minutes');
END $$;
