"""The asset dashboard: what one machine's points say, beside the bounds they are judged by."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard, timeseries
from grafana_foundation_sdk.models import dashboard as model

from compose.fleet import ALARM_MARKS, LAG
from compose.panels import (
    UNITS,
    ZONE_NUMBER,
    annotation,
    choice,
    figure,
    limits_dashed,
    page,
    rows,
    series,
    slot,
    zones,
)
from contracts.units import UNITS as MEASURED_UNITS
from processors.severity import ISO_20816_3

UID: Final = "faultline-asset"

_ASSET: Final = """
SELECT asset_id || ' ' || name AS __text, asset_id AS __value
FROM asset WHERE site_id IN (${site:sqlstring}) ORDER BY asset_id"""
_SITE: Final = "SELECT name AS __text, site_id AS __value FROM site ORDER BY name"
_MODEL: Final = """
SELECT DISTINCT model FROM channel JOIN score USING (channel_id, asset_id)
WHERE asset_id IN (${asset:sqlstring}) AND $__unixEpochNanoFilter(window_start_ns) ORDER BY model"""

_NEWEST: Final = """
FROM asset_latest JOIN assessment USING (asset_id, window_start_ns, code_version)
WHERE asset_id IN (${asset:sqlstring})"""
_ENDS: Final = "(VALUES ($__unixEpochNanoFrom()), ($__unixEpochNanoTo())) AS ends (at_ns)"
_ZONE: Final = f"SELECT zone {_NEWEST}"
_FAULT: Final = (
    """
SELECT coalesce((
    SELECT diagnosis ->> 'fault' FROM jsonb_array_elements(diagnoses) AS diagnosis
    ORDER BY (diagnosis ->> 'confidence')::float8 DESC LIMIT 1
), 'none') AS fault"""
    + _NEWEST
)
_SPEED: Final = f"SELECT speed_rpm {_NEWEST}"
_AGE: Final = f"SELECT extract(epoch FROM now() - faultline_at(window_end_ns))::float8 AS age {_NEWEST}"
_STANDING: Final = "SELECT count(*) FROM alarm WHERE asset_id IN (${asset:sqlstring}) AND state <> 'normal'"
_LOST: Final = """
SELECT coalesce(sum(least(to_ns, $__unixEpochNanoTo()) - greatest(from_ns, $__unixEpochNanoFrom())), 0)::float8 / 1e9
FROM gap WHERE asset_id IN (${asset:sqlstring}) AND cause NOT IN ('late', 'too_late')
    AND to_ns >= $__unixEpochNanoFrom() AND from_ns <= $__unixEpochNanoTo()"""


def _of_channels(table: str, time: str, values: str = "") -> str:
    """Return the part of a query that joins the asset's channels with their rows in `table`."""
    return f"""FROM channel JOIN {table} USING (channel_id, asset_id){values}
WHERE asset_id IN (${{asset:sqlstring}}) AND $__unixEpochNanoFilter({table}.{time})"""


def _features(**columns: str) -> str:
    """Return the query of features of every channel; a series is named by channel and the keyword."""
    values = ", ".join(f"('{label}', {column})" for label, column in columns.items())
    lateral = f"\nCROSS JOIN LATERAL (VALUES {values}) AS named (label, value)"
    return f"""
SELECT {slot("feature.window_start_ns")} AS time, channel_id || ' ' || label AS metric, max(value)::float8 AS value
{_of_channels("feature", "window_start_ns", lateral)} AND value IS NOT NULL
GROUP BY 1, 2 ORDER BY 1"""


_ZONES: Final = f"""
SELECT {slot("feature.window_start_ns")} AS time, channel_id AS metric, max({ZONE_NUMBER}) AS zone
{_of_channels("feature", "window_start_ns")} AND zone IS NOT NULL
GROUP BY 1, 2 ORDER BY 1"""
_BOUNDARIES: Final = ", ".join(
    f"('{group}', '{support}', '{name}', {bound}::float8)"
    for (group, support), zone_table in sorted(ISO_20816_3.items())
    for name, bound in (
        ("A/B", zone_table.velocity.a_b),
        ("B/C", zone_table.velocity.b_c),
        ("C/D", zone_table.velocity.c_d),
    )
)
_VELOCITY_LIMITS: Final = f"""
SELECT faultline_at(ends.at_ns) AS time, 'limit ' || boundary.name AS metric, boundary.velocity
FROM asset
JOIN (VALUES {_BOUNDARIES}) AS boundary (machine_group, support, name, velocity)
    ON boundary.machine_group = configuration ->> 'machine_group' AND boundary.support = configuration ->> 'support'
CROSS JOIN {_ENDS}
WHERE asset_id IN (${{asset:sqlstring}}) ORDER BY 1, 2"""
_LINE_LIMIT: Final = f"""
SELECT faultline_at(ends.at_ns) AS time, 'limit' AS metric,
    (configuration -> 'rules' ->> 'fault_line_db')::float8 AS level
FROM asset CROSS JOIN {_ENDS} WHERE asset_id IN (${{asset:sqlstring}}) ORDER BY 1"""
_SCORES: Final = f"""
SELECT {slot("score.window_start_ns")} AS time, channel_id AS metric, max(value) AS score
{_of_channels("score", "window_start_ns")}
    AND model IN (${{model:sqlstring}}) AND value IS NOT NULL
GROUP BY 1, 2 ORDER BY 1"""
_THRESHOLDS: Final = f"""
SELECT {slot("score.window_start_ns")} AS time, 'limit ' || channel_id AS metric, min(threshold) AS threshold
{_of_channels("score", "window_start_ns")}
    AND model IN (${{model:sqlstring}}) AND threshold IS NOT NULL
GROUP BY 1, 2 ORDER BY 1"""
_READINGS: Final = f"""
SELECT {slot("reading.at_ns")} AS time, channel_id || ' (' || reading.unit || ')' AS metric, avg(value) AS value
{_of_channels("reading", "at_ns")} AND quality <> 'bad'
GROUP BY 1, 2 ORDER BY 1"""
_SHAFT_SPEED: Final = f"""
SELECT {slot("window_start_ns")} AS time, 'shaft speed' AS metric, avg(speed_rpm) AS speed
FROM assessment WHERE asset_id IN (${{asset:sqlstring}}) AND $__unixEpochNanoFilter(window_start_ns)
    AND speed_rpm IS NOT NULL
GROUP BY 1, 2 ORDER BY 1"""
_HOURLY: Final = """
SELECT faultline_at(hour_start_ns) AS time, channel_id AS metric, max(velocity_rms_mm_s_max)::float8 AS velocity
FROM channel JOIN feature_hourly USING (channel_id, asset_id)
WHERE asset_id IN (${asset:sqlstring}) AND $__unixEpochNanoFilter(hour_start_ns)
GROUP BY 1, 2 ORDER BY 1"""
_ALARMS: Final = """
SELECT faultline_at(at_ns) AS time, state, cause, point_id AS point, fault, zone, confidence, reason, actor, note
FROM alarm_history WHERE asset_id IN (${asset:sqlstring}) AND $__unixEpochNanoFilter(at_ns)
ORDER BY sequence DESC LIMIT 200"""
_GAPS: Final = """
SELECT faultline_at(from_ns) AS since, (to_ns - from_ns) / 1e9::float8 AS "lost seconds",
    channel_group AS "channel group", cause
FROM gap WHERE asset_id IN (${asset:sqlstring})
    AND to_ns >= $__unixEpochNanoFrom() AND from_ns <= $__unixEpochNanoTo()
ORDER BY from_ns DESC LIMIT 200"""
_EVENT_MARKS: Final = """
SELECT faultline_at(at_ns) AS time, text, kind || ',' || code AS tags
FROM machine_event WHERE asset_id IN (${asset:sqlstring}) AND $__unixEpochNanoFilter(at_ns)
ORDER BY 1 LIMIT 500"""


def asset() -> dashboard.Dashboard:
    """Return the asset dashboard."""
    return _with_trends(_with_head(page(UID, "Asset", "One machine: severity, fault lines, scores, readings, alarms.")))


def _with_head(board: dashboard.Dashboard) -> dashboard.Dashboard:
    return (
        board.with_variable(choice("site", "Site", _SITE, several=True))
        .with_variable(choice("asset", "Asset", _ASSET, several=False))
        .with_variable(choice("model", "Model", _MODEL, several=True, hidden=True))
        .annotation(annotation("Alarms", "red", ALARM_MARKS))
        .annotation(annotation("Machine events", "blue", _EVENT_MARKS))
        .with_panel(figure("Zone", "Newest window's severity zone (ISO 20816); none where not graded.", "1", _ZONE))
        .with_panel(figure("Fault", "Most probable fault of the newest window.", "1", _FAULT))
        .with_panel(figure("Speed", "Shaft speed in the newest window.", "rpm", _SPEED))
        .with_panel(figure("Age", "Since the end of the newest window.", "s", _AGE, bad_from=60))
        .with_panel(figure("Standing alarms", "Alarms not in state normal.", "1", _STANDING, bad_from=1))
        .with_panel(figure("Lost", "Samples that never came, in the time shown.", "s", _LOST, bad_from=1))
        .with_panel(zones("Severity zones", "Worst zone (ISO 20816) of each channel in each interval.", _ZONES))
    )


def _with_trends(board: dashboard.Dashboard) -> dashboard.Dashboard:
    velocity = _features(velocity="velocity_rms_mm_s")
    lines = _features(BPFO="bpfo_db", BPFI="bpfi_db", BSF="bsf_db", FTF="ftf_db")
    orders = _features(**{"1x": "order_1x_mm_s", "2x": "order_2x_mm_s", "3x": "order_3x_mm_s"})
    scores = limits_dashed(series("Scores: $model", "Higher is more abnormal.", "1", _SCORES, _THRESHOLDS))
    return (
        board.with_panel(
            limits_dashed(
                series("Velocity", "Rms, with the zone boundaries of ISO 20816-3.", "mm/s", velocity, _VELOCITY_LIMITS)
            )
        )
        .with_panel(
            limits_dashed(series("Fault lines", "Bearing lines over their local floor.", "dB", lines, _LINE_LIMIT))
        )
        .with_panel(series("Acceleration", "Rms of the whole band.", "g", _features(rms="rms_g")))
        .with_panel(series("Kurtosis", "3 for Gaussian noise; impulses raise it.", "1", _features(kurtosis="kurtosis")))
        .with_panel(series("Shaft lines", "Velocity at 1, 2 and 3 times shaft speed.", "mm/s", orders))
        .with_panel(_readings())
        .with_panel(series("Shaft speed", "As measured with the blocks.", "rpm", _SHAFT_SPEED))
        .with_panel(series("Storage lag", "From the end of a window until its result is stored.", "s", LAG))
        .with_panel(rows("Alarm history", "Transitions of the machine's alarms, newest first.", _ALARMS))
        .with_panel(rows("Gaps", "Samples that never came, in the time shown.", _GAPS, width=12))
        .with_panel(
            series("Velocity by hour", "Highest value of each hour, last 30 days.", "mm/s", _HOURLY)
            .interval("1h")
            .time_from("30d")
            .span_nulls(7_200_000)
        )
        .with_panel(scores.repeat("model").repeat_direction("h").span(24).max_per_row(3))
    )


def _readings() -> timeseries.Panel:
    panel = series("Readings", "Slow values; each unit has an axis of its own.", "1", _READINGS)
    for unit in sorted({unit for units in MEASURED_UNITS.values() for unit in units}):
        ending = unit.replace("/", r"\/")
        panel.override_by_regexp(rf"/\({ending}\)$/", [model.DynamicConfigValue("unit", UNITS[unit])])
    return panel
