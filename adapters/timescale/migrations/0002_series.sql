-- How a time series is kept: a hypertable where the server offers TimescaleDB, native partitions of one day where it
-- does not. Either way it has the same name, columns and queries.

-- CREATE EXTENSION would end the connection where the library isn't preloaded; its loader's setting tells that it is (and
-- a database whose setting is on stays with native partitions).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
        AND current_setting('timescaledb.disable_load', true) = 'off'
    THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'timescaledb is offered, but this role may not create it: native partitions are used';
END $$;

-- Turn the empty table `series` into a time series over its bigint column `time_column`.
CREATE FUNCTION faultline_make_series(series text, time_column text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable(series::regclass, time_column::name,
            chunk_time_interval => 86400000000000, create_default_indexes => false);
    ELSE
        EXECUTE format('ALTER TABLE %I RENAME TO %I', series, series || '_template');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY RANGE (%I)',
            series, series || '_template', time_column);
        EXECUTE format('DROP TABLE %I', series || '_template');
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', series || '_rest', series);
    END IF;
END $$;

-- Create the partitions of the given days (since 1970) where they are missing. A day that can't have its own now, since
-- a long reader holds the table or rows of that day already lie in the default partition, stays in the latter: no row is
-- ever refused for its time. Hypertables make their own chunks.
CREATE FUNCTION faultline_ensure_days(series text, days bigint[]) RETURNS void LANGUAGE plpgsql
    SET lock_timeout = '3s' AS $$
DECLARE
    day_ns constant bigint := 86400000000000;
    day bigint;
    part text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = series::regclass) <> 'p' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('faultline_ensure_days'), 0);
    FOREACH day IN ARRAY days LOOP
        CONTINUE WHEN day NOT BETWEEN -106750 AND 106750; -- the outermost days of a bigint have no whole bounds
        part := series || '_' || to_char(date '1970-01-01' + day::integer, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(quote_ident(part)) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
                part, series, day * day_ns, (day + 1) * day_ns);
        EXCEPTION WHEN lock_not_available OR check_violation THEN
            RAISE NOTICE '% keeps its rows in the default partition: %', part, SQLERRM;
        END;
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    RAISE NOTICE '% keeps its rows in the default partition: %', series, SQLERRM;
END $$;
