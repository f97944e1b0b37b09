-- What Grafana may read: history and alarms. Neither secrets of webhooks nor the bodies sent, nothing of the checkpoints,
-- and nothing that could be written. Applied after every migration; repeating it changes nothing.
SELECT pg_advisory_lock(hashtext('faultline_reader')); -- two at once would both create the role
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'faultline_reader') THEN
        CREATE ROLE faultline_reader NOLOGIN;
    END IF;
END $$;
ALTER ROLE faultline_reader SET statement_timeout = '20s';
GRANT USAGE ON SCHEMA public TO faultline_reader;
GRANT SELECT ON
    site, asset, measurement_point, channel, service_event,
    asset_latest, assessment, feature, feature_hourly, score, shadow_score, reading,
    machine_event, gap, condition, alarm, alarm_history,
    partition_owner, model_version, model_transition
TO faultline_reader;
GRANT SELECT (delivery_id, endpoint_id, state, attempt, due_at, queued_at, settled_at, status) ON delivery TO faultline_reader;
SELECT pg_advisory_unlock(hashtext('faultline_reader'));
