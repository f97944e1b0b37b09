"""The SQL of the history reader.

``{scope}`` bounds a query to what the caller sees, by the parameters ``assets`` and ``sites``; ``limit`` bounds every
answer.
"""

from typing import Final

from psycopg import sql

SCOPE: Final = sql.SQL("""
    (%(assets)s::text[] IS NULL OR asset_id = ANY(%(assets)s))
    AND (%(sites)s::text[] IS NULL OR asset_id IN (SELECT asset_id FROM asset WHERE site_id = ANY(%(sites)s)))
""")
# LIMIT 1 keeps the planner from joining whole series: one look-up by key for each asset.
ASSETS: Final = """
    SELECT asset_id, site_id, name, asset_type, newest.window_start_ns, newest.window_end_ns, newest.zone,
        newest.speed_rpm, newest.regime,
        (SELECT found ->> 'fault' FROM jsonb_array_elements(newest.diagnoses) AS found
            ORDER BY (found ->> 'confidence')::double precision DESC LIMIT 1) AS fault,
        standing.alarms AS standing_alarms, standing.highest_priority
    FROM asset
    LEFT JOIN asset_latest AS latest USING (asset_id)
    LEFT JOIN LATERAL (
        SELECT window_start_ns, window_end_ns, zone, speed_rpm, regime, diagnoses
        FROM assessment WHERE assessment.asset_id = asset.asset_id
            AND assessment.window_start_ns = latest.window_start_ns AND assessment.code_version = latest.code_version
        LIMIT 1
    ) AS newest ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS alarms,
            (ARRAY['low', 'medium', 'high'])[max(array_position(ARRAY['low', 'medium', 'high'], priority))]
                AS highest_priority
        FROM alarm WHERE alarm.asset_id = asset.asset_id AND state <> 'normal'
    ) AS standing
    WHERE {scope} ORDER BY asset_id LIMIT %(limit)s
"""
ASSET: Final = """
    SELECT asset_id, site_id, name, asset_type, manufacturer, model, installed_at, configuration, version,
        activated_version
    FROM asset WHERE asset_id = %(asset_id)s AND {scope}
"""
ASSESSMENT: Final = """
    SELECT assessment.* FROM asset_latest JOIN assessment USING (asset_id, window_start_ns, code_version)
    WHERE asset_id = %(asset_id)s AND {scope}
"""
CHANNELS: Final = """
    SELECT * FROM feature WHERE channel_id = ANY(%(channel_ids)s) AND window_start_ns = %(window_start_ns)s
        AND code_version = %(code_version)s AND asset_id = %(asset_id)s
    ORDER BY array_position(%(channel_ids)s, channel_id)
"""
CHANNEL_SCORES: Final = """
    SELECT channel_id, model, model_version AS version, value, threshold, learning, explanation
    FROM score WHERE channel_id = ANY(%(channel_ids)s) AND window_start_ns = %(window_start_ns)s
        AND code_version = %(code_version)s AND asset_id = %(asset_id)s
    ORDER BY model, model_version
"""
FEATURES: Final = """
    SELECT DISTINCT ON (window_start_ns) window_start_ns, window_end_ns, version, partial, zone, own_features{names}
    FROM (
        SELECT window_start_ns, window_end_ns, 1 AS version, partial, zone, own_features, stored_at{names}
        FROM feature WHERE channel_id = %(channel_id)s
            AND window_start_ns >= %(from_ns)s AND window_start_ns < %(to_ns)s AND {scope}
        UNION ALL
        SELECT window_start_ns, window_end_ns, version, partial, zone, own_features, stored_at{names}
        FROM corrected_feature WHERE channel_id = %(channel_id)s
            AND window_start_ns >= %(from_ns)s AND window_start_ns < %(to_ns)s AND {scope}
    ) AS versions
    WHERE %(version)s::integer IS NULL OR version <= %(version)s
    ORDER BY window_start_ns DESC, stored_at DESC, version DESC LIMIT %(limit)s
"""
SCORES: Final = """
    SELECT DISTINCT ON (window_start_ns, model, model_version) window_start_ns, window_end_ns, model,
        model_version AS version, value, threshold, learning, explanation
    FROM score WHERE channel_id = %(channel_id)s AND window_start_ns >= %(from_ns)s AND window_start_ns < %(to_ns)s
        AND {scope}
    ORDER BY window_start_ns DESC, model, model_version, stored_at DESC LIMIT %(limit)s
"""
READINGS: Final = """
    SELECT at_ns, quantity, unit, value, quality
    FROM reading WHERE channel_id = %(channel_id)s AND at_ns >= %(from_ns)s AND at_ns < %(to_ns)s AND {scope}
    ORDER BY at_ns DESC LIMIT %(limit)s
"""
WAVEFORMS: Final = """
    SELECT channel_id, asset_id, start_ns, sampling_rate_hz, unit, speed_rpm, samples
    FROM waveform WHERE channel_id = %(channel_id)s AND start_ns >= %(from_ns)s AND start_ns < %(to_ns)s
        AND {scope}
    ORDER BY start_ns DESC LIMIT %(limit)s
"""
CONDITIONS: Final = """
    SELECT * FROM condition WHERE asset_id = %(asset_id)s AND {scope} ORDER BY sequence DESC LIMIT %(limit)s
"""
ALARMS: Final = """
    SELECT * FROM alarm WHERE (%(asset_id)s::text IS NULL OR asset_id = %(asset_id)s)
        AND (%(standing)s::boolean IS NULL OR (state <> 'normal') = %(standing)s) AND {scope}
    ORDER BY changed_at_ns DESC, alarm_id LIMIT %(limit)s
"""
HOURLY: Final = """
    SELECT hour_start_ns, velocity_rms_mm_s_avg FROM feature_hourly
    WHERE channel_id = %(channel_id)s AND hour_start_ns >= %(from_ns)s AND hour_start_ns < %(to_ns)s AND {scope}
    ORDER BY hour_start_ns DESC LIMIT %(limit)s
"""
OBSERVED: Final = """
    SELECT min(window_start_ns) AS observed_from_ns, max(window_end_ns) AS observed_to_ns,
        (array_agg(regime ORDER BY window_start_ns DESC))[1] AS regime
    FROM (
        (SELECT window_start_ns, window_end_ns, regime FROM assessment
            WHERE asset_id = %(asset_id)s AND window_start_ns >= %(since_ns)s AND {scope}
            ORDER BY window_start_ns LIMIT 1)
        UNION ALL
        (SELECT window_start_ns, window_end_ns, regime FROM assessment
            WHERE asset_id = %(asset_id)s AND window_start_ns >= %(since_ns)s AND {scope}
            ORDER BY window_start_ns DESC LIMIT 1)
    ) AS ends
"""
# What an operator calls false is told by the note: see docs/operations.md.
ALARMS_BY_RULE: Final = """
    SELECT rule, count(*) AS alarms, count(*) FILTER (WHERE called_false) AS called_false,
        count(*) FILTER (WHERE maintained AND NOT called_false) AS followed_by_maintenance
    FROM (
        SELECT rule,
            EXISTS (SELECT FROM alarm_history AS step WHERE step.alarm_id = alarm.alarm_id
                AND step.actor IS NOT NULL AND step.note ILIKE 'false alarm%%') AS called_false,
            EXISTS (SELECT FROM machine_event AS event WHERE event.asset_id = alarm.asset_id
                AND event.kind = 'maintenance' AND event.at_ns > alarm.started_at_ns)
            OR EXISTS (SELECT FROM service_event AS service WHERE service.asset_id = alarm.asset_id
                AND service.performed_at > faultline_at(alarm.started_at_ns)) AS maintained
        FROM alarm WHERE asset_id = %(asset_id)s AND started_at_ns >= %(since_ns)s AND {scope}
    ) AS judged
    GROUP BY rule ORDER BY rule LIMIT %(limit)s
"""
ALARM_LIMITS: Final = """
    SELECT DISTINCT ON (point_id, model, regime) point_id, model, regime, at_ns, windows, windows_needed, alarm_limit,
        expected_per_month
    FROM alarm_limit WHERE asset_id = %(asset_id)s AND {scope}
    ORDER BY point_id, model, regime, at_ns DESC LIMIT %(limit)s
"""
# Whoever sees a part of the plant alone sees the models that score there.
MODELS: Final = """
    SELECT * FROM (
        SELECT version.name, version.version, version.sha256, version.feature_hash, version.slot, version.stage,
            version.share, version.former, step.action, step.actor, step.reason,
            (extract(epoch FROM step.at) * 1000000000)::bigint AS at_ns, {for_real} AS scores_for,
            {in_shadow} AS in_shadow_for, {refused} AS refused_on
        FROM model_version AS version
        LEFT JOIN LATERAL (
            SELECT action, actor, reason, at FROM model_transition AS step
            WHERE step.name = version.name AND step.version = version.version ORDER BY transition_id DESC LIMIT 1
        ) AS step ON true
    ) AS described
    WHERE (%(assets)s::text[] IS NULL AND %(sites)s::text[] IS NULL)
        OR cardinality(scores_for) > 0 OR cardinality(in_shadow_for) > 0
    ORDER BY name, string_to_array(version, '.')::bigint[] LIMIT %(limit)s
"""
REFUSED_ASSETS: Final = """
    ARRAY(SELECT asset_id FROM (
            SELECT DISTINCT ON (asset_id) asset_id, site_id, state, fault FROM condition
            WHERE rule = 'model_refused' ORDER BY asset_id, sequence DESC
        ) AS newest
        WHERE state = 'raised' AND fault = version.name || '@' || version.version AND {scope} ORDER BY asset_id)
"""
SCORED_ASSETS: Final = """
    ARRAY(SELECT asset_id FROM asset CROSS JOIN LATERAL jsonb_array_elements(configuration -> 'models') AS listed(model)
        WHERE listed.model ->> 'name' = version.name AND listed.model ->> 'version' = version.version
            AND coalesce((listed.model ->> 'shadow')::boolean, false) = {shadow} AND {scope}
        ORDER BY asset_id)
"""
ALARM: Final = "SELECT * FROM alarm WHERE alarm_id = %(alarm_id)s AND {scope}"
ALARM_HISTORY: Final = """
    SELECT * FROM alarm_history WHERE alarm_id = %(alarm_id)s AND {scope} ORDER BY sequence LIMIT %(limit)s
"""
CHANGES: Final = """
    SELECT * FROM alarm_history WHERE position > %(after)s AND {scope} ORDER BY position LIMIT %(limit)s
"""
