"""The fleet dashboard: which machines need a look, and whether the product itself keeps up."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard, table
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model

from compose.panels import ZONE_NUMBER, annotation, choice, figure, limits_dashed, page, rows, series, slot, zones

UID: Final = "faultline-fleet"

#: More new alarms than this in ten minutes are a flood (ANSI/ISA-18.2, IEC 62682).
FLOOD: Final = 10
_TEN_MINUTES_NS: Final = 600_000_000_000
#: An asset without a result for so long is silent (seconds).
_SILENT_S: Final = 60

_CHOSEN: Final = "asset_id IN (${asset:sqlstring})"
_SITE: Final = "SELECT name AS __text, site_id AS __value FROM site ORDER BY name"
_ASSET: Final = """
SELECT asset_id || ' ' || name AS __text, asset_id AS __value
FROM asset WHERE site_id IN (${site:sqlstring}) ORDER BY asset_id"""

_SILENT: Final = f"""
SELECT count(*) FROM asset LEFT JOIN asset_latest USING (asset_id)
WHERE {_CHOSEN}
    AND coalesce(faultline_at(window_start_ns), '-infinity') < now() - interval '{_SILENT_S} seconds'"""
_IN_ZONE: Final = f"""
SELECT count(*) FROM asset
JOIN asset_latest USING (asset_id)
JOIN assessment USING (asset_id, window_start_ns, code_version)
WHERE {_CHOSEN} AND zone IN ('C', 'D')"""
_STANDING: Final = f"SELECT count(*) FROM alarm WHERE {_CHOSEN} AND state <> 'normal'"
_UNACKNOWLEDGED: Final = f"""
SELECT count(*) FROM alarm
WHERE {_CHOSEN} AND state IN ('unacknowledged', 'returned_unacknowledged', 'latched_unacknowledged')"""
_UNRELAYED: Final = "SELECT coalesce(sum(outbox_sequence - relayed_sequence), 0)::float8 FROM partition_owner"
_UNDELIVERED: Final = "SELECT count(*) FROM delivery WHERE state IN ('due', 'dead') AND (state = 'dead' OR attempt > 0)"

_ASSETS: Final = """
SELECT asset.asset_id AS asset, asset.name, site.name AS site, assessment.zone, worst.fault, worst.confidence,
    level.velocity, assessment.speed_rpm AS speed, standing.alarms,
    extract(epoch FROM now() - faultline_at(assessment.window_end_ns))::float8 AS age
FROM asset
JOIN site USING (site_id)
LEFT JOIN asset_latest USING (asset_id)
LEFT JOIN assessment USING (asset_id, window_start_ns, code_version)
LEFT JOIN LATERAL (
    SELECT diagnosis ->> 'fault' AS fault, (diagnosis ->> 'confidence')::float8 AS confidence
    FROM jsonb_array_elements(assessment.diagnoses) AS diagnosis ORDER BY confidence DESC, fault LIMIT 1
) AS worst ON true
LEFT JOIN LATERAL (
    SELECT max(velocity_rms_mm_s) AS velocity FROM feature
    WHERE feature.channel_id = ANY (assessment.channel_ids) AND feature.asset_id = assessment.asset_id
        AND feature.window_start_ns = assessment.window_start_ns AND feature.code_version = assessment.code_version
) AS level ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS alarms FROM alarm WHERE alarm.asset_id = asset.asset_id AND state <> 'normal'
) AS standing ON true
WHERE asset.asset_id IN (${asset:sqlstring})
ORDER BY assessment.zone DESC NULLS LAST, asset.asset_id"""
_ZONES: Final = f"""
SELECT {slot("window_start_ns")} AS time, asset_id AS metric, max({ZONE_NUMBER}) AS zone
FROM assessment WHERE {_CHOSEN} AND $__unixEpochNanoFilter(window_start_ns)
GROUP BY 1, 2 ORDER BY 1"""
_VELOCITY: Final = f"""
SELECT {slot("feature.window_start_ns")} AS time, feature.asset_id AS metric, max(velocity_rms_mm_s) AS velocity
FROM channel JOIN feature USING (channel_id, asset_id)
WHERE {_CHOSEN} AND $__unixEpochNanoFilter(feature.window_start_ns)
GROUP BY 1, 2 ORDER BY 1"""
_ALARMS: Final = f"""
SELECT faultline_at(started_at_ns) AS since, priority, state, asset_id AS asset, point_id AS point, fault, zone, reason,
    acknowledged_by AS "acknowledged by"
FROM alarm WHERE {_CHOSEN} AND state <> 'normal'
ORDER BY array_position(ARRAY['high', 'medium', 'low'], priority), started_at_ns DESC LIMIT 200"""
_ALARM_RATE: Final = f"""
SELECT faultline_at(slot_ns) AS time, coalesce(raised.alarms, 0) AS "new alarms"
FROM generate_series(
    $__unixEpochNanoFrom() - $__unixEpochNanoFrom() % {_TEN_MINUTES_NS}, $__unixEpochNanoTo(), {_TEN_MINUTES_NS}
) AS slot_ns
LEFT JOIN (
    SELECT at_ns - at_ns % {_TEN_MINUTES_NS} AS slot_ns, count(*) AS alarms FROM alarm_history
    WHERE {_CHOSEN} AND $__unixEpochNanoFilter(at_ns) AND state = 'unacknowledged' AND cause IN ('raised', 'realarmed')
    GROUP BY 1
) AS raised USING (slot_ns)
ORDER BY 1"""
_FLOOD: Final = f"""
SELECT faultline_at(at_ns) AS time, {FLOOD}::float8 AS "limit: flood"
FROM (VALUES ($__unixEpochNanoFrom()), ($__unixEpochNanoTo())) AS ends (at_ns) ORDER BY 1"""
_GAPS: Final = f"""
SELECT asset_id AS asset, channel_group AS "channel group", cause, count(*) AS gaps,
    sum(to_ns - from_ns)::float8 / 1e9 AS "lost seconds", faultline_at(max(to_ns)) AS "last until"
FROM gap WHERE {_CHOSEN} AND to_ns >= $__unixEpochNanoFrom() AND from_ns <= $__unixEpochNanoTo()
GROUP BY 1, 2, 3 ORDER BY "last until" DESC LIMIT 200"""
LAG: Final = f"""
SELECT {slot("window_end_ns")} AS time, asset_id AS metric,
    max(extract(epoch FROM stored_at)::float8 - window_end_ns / 1e9) AS lag
FROM assessment WHERE {_CHOSEN} AND $__unixEpochNanoFilter(window_start_ns)
GROUP BY 1, 2 ORDER BY 1"""
ALARM_MARKS: Final = f"""
SELECT faultline_at(at_ns) AS time, reason AS text, asset_id || ',' || coalesce(fault, rule) AS tags
FROM alarm_history
WHERE {_CHOSEN} AND $__unixEpochNanoFilter(at_ns) AND from_state = 'normal' AND state = 'unacknowledged'
ORDER BY 1 LIMIT 500"""


def fleet() -> dashboard.Dashboard:
    """Return the fleet dashboard."""
    return (
        page(UID, "Fleet", "All machines: severity, alarms, and whether results arrive in time.")
        .with_variable(choice("site", "Site", _SITE, several=True))
        .with_variable(choice("asset", "Asset", _ASSET, several=True))
        .annotation(annotation("Alarms", "red", ALARM_MARKS))
        .with_panel(figure("Zone C or D", "Machines whose newest window lies in C or D.", "1", _IN_ZONE, bad_from=1))
        .with_panel(figure("Standing alarms", "Alarms not in state normal.", "1", _STANDING, bad_from=1))
        .with_panel(figure("Unacknowledged", "Alarms that nobody has seen.", "1", _UNACKNOWLEDGED, bad_from=1))
        .with_panel(figure("Silent", f"Machines without a result for {_SILENT_S} s.", "1", _SILENT, bad_from=1))
        .with_panel(figure("Not relayed", "Transitions not yet on the topic alarms.", "1", _UNRELAYED, bad_from=100))
        .with_panel(figure("Webhooks failing", "Deliveries retried or given up.", "1", _UNDELIVERED, bad_from=1))
        .with_panel(_asset_table())
        .with_panel(rows("Standing alarms", "Alarms not in state normal, most urgent first.", _ALARMS))
        .with_panel(zones("Severity zones", "Worst zone (ISO 20816) of each machine in each interval.", _ZONES))
        .with_panel(series("Velocity", "Highest velocity rms of each machine.", "mm/s", _VELOCITY))
        .with_panel(
            limits_dashed(
                series("New alarms per 10 min", "More than 10 are a flood (ISA-18.2).", "1", _ALARM_RATE, _FLOOD)
                .draw_style(look.GraphDrawStyle.BARS)
                .fill_opacity(60)
            )
        )
        .with_panel(rows("Gaps", "Samples that never came, in the time shown.", _GAPS, width=12))
        .with_panel(series("Storage lag", "From the end of a window until its result is stored.", "s", LAG))
    )


def _asset_table() -> table.Panel:
    link = {"title": "Show this asset", "url": "/d/faultline-asset?var-asset=${__value.raw}&${__url_time_range}"}
    return rows("Machines", "Newest result of each machine, worst zone first.", _ASSETS).override_by_name(
        "asset", [model.DynamicConfigValue("links", [link])]
    )
