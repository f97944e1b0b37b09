"""Queries for the API: each carries the caller's scope inside the SQL.

Invariants: what lies outside the scope doesn't exist for the caller; an asset that isn't registered belongs to no site;
every answer is bounded. Rows are mappings with the column names of the schema, times as integers ``*_ns``.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import sql

from adapters.timescale.database import Database
from adapters.timescale.rows import transition_of
from contracts import records as r
from contracts.errors import NotFound
from contracts.features import FEATURE_INDEX
from contracts.ports import Principal, WaveformSnapshot

#: No answer is longer, whatever the caller asks for.
MOST_ROWS: Final = 10_000
_READY_S: Final = 2.0
_CHANNEL_COLUMNS: Final = ("channel_id", "point_id", "zone", "not_graded_because", "own_features", "not_decided")

_SCOPE: Final = sql.SQL("""
    (%(assets)s::text[] IS NULL OR asset_id = ANY(%(assets)s))
    AND (%(sites)s::text[] IS NULL OR asset_id IN (SELECT asset_id FROM asset WHERE site_id = ANY(%(sites)s)))
""")
# LIMIT 1 keeps the planner from joining whole series: one look-up by key for each asset.
_ASSETS: Final = """
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
_ASSET: Final = """
    SELECT asset_id, site_id, name, asset_type, manufacturer, model, installed_at, configuration, version,
        activated_version
    FROM asset WHERE asset_id = %(asset_id)s AND {scope}
"""
_ASSESSMENT: Final = """
    SELECT assessment.* FROM asset_latest JOIN assessment USING (asset_id, window_start_ns, code_version)
    WHERE asset_id = %(asset_id)s AND {scope}
"""
_CHANNELS: Final = """
    SELECT * FROM feature WHERE channel_id = ANY(%(channel_ids)s) AND window_start_ns = %(window_start_ns)s
        AND code_version = %(code_version)s AND asset_id = %(asset_id)s
    ORDER BY array_position(%(channel_ids)s, channel_id)
"""
_CHANNEL_SCORES: Final = """
    SELECT channel_id, model, model_version AS version, value, threshold, learning, explanation
    FROM score WHERE channel_id = ANY(%(channel_ids)s) AND window_start_ns = %(window_start_ns)s
        AND code_version = %(code_version)s AND asset_id = %(asset_id)s
    ORDER BY model, model_version
"""
_FEATURES: Final = """
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
_SCORES: Final = """
    SELECT DISTINCT ON (window_start_ns, model, model_version) window_start_ns, window_end_ns, model,
        model_version AS version, value, threshold, learning, explanation
    FROM score WHERE channel_id = %(channel_id)s AND window_start_ns >= %(from_ns)s AND window_start_ns < %(to_ns)s
        AND {scope}
    ORDER BY window_start_ns DESC, model, model_version, stored_at DESC LIMIT %(limit)s
"""
_READINGS: Final = """
    SELECT at_ns, quantity, unit, value, quality
    FROM reading WHERE channel_id = %(channel_id)s AND at_ns >= %(from_ns)s AND at_ns < %(to_ns)s AND {scope}
    ORDER BY at_ns DESC LIMIT %(limit)s
"""
_WAVEFORMS: Final = """
    SELECT channel_id, asset_id, start_ns, sampling_rate_hz, unit, speed_rpm, samples
    FROM waveform WHERE channel_id = %(channel_id)s AND start_ns >= %(from_ns)s AND start_ns < %(to_ns)s
        AND {scope}
    ORDER BY start_ns DESC LIMIT %(limit)s
"""
_CONDITIONS: Final = """
    SELECT * FROM condition WHERE asset_id = %(asset_id)s AND {scope} ORDER BY sequence DESC LIMIT %(limit)s
"""
_ALARMS: Final = """
    SELECT * FROM alarm WHERE (%(asset_id)s::text IS NULL OR asset_id = %(asset_id)s)
        AND (%(standing)s::boolean IS NULL OR (state <> 'normal') = %(standing)s) AND {scope}
    ORDER BY changed_at_ns DESC, alarm_id LIMIT %(limit)s
"""
_HOURLY: Final = """
    SELECT hour_start_ns, velocity_rms_mm_s_avg FROM feature_hourly
    WHERE channel_id = %(channel_id)s AND hour_start_ns >= %(from_ns)s AND hour_start_ns < %(to_ns)s AND {scope}
    ORDER BY hour_start_ns DESC LIMIT %(limit)s
"""
_OBSERVED: Final = """
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
_ALARMS_BY_RULE: Final = """
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
_ALARM_LIMITS: Final = """
    SELECT DISTINCT ON (point_id, model, regime) point_id, model, regime, at_ns, windows, windows_needed, alarm_limit,
        expected_per_month
    FROM alarm_limit WHERE asset_id = %(asset_id)s AND {scope}
    ORDER BY point_id, model, regime, at_ns DESC LIMIT %(limit)s
"""
_ALARM: Final = "SELECT * FROM alarm WHERE alarm_id = %(alarm_id)s AND {scope}"
_ALARM_HISTORY: Final = """
    SELECT * FROM alarm_history WHERE alarm_id = %(alarm_id)s AND {scope} ORDER BY sequence LIMIT %(limit)s
"""
_CHANGES: Final = """
    SELECT * FROM alarm_history WHERE position > %(after)s AND {scope} ORDER BY position LIMIT %(limit)s
"""


class HistoryReader:
    """`contracts.ports.HistoryReader` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def assets(self, who: Principal) -> list[dict[str, Any]]:
        """Return the registered assets in scope, ordered by id.

        Keys: asset_id, site_id, name, asset_type, standing_alarms, highest_priority (of these); of the newest
        assessment (null without one) window_start_ns, window_end_ns, zone, fault (the surest diagnosis), speed_rpm,
        regime.
        """
        return await self._rows(who, _ASSETS, MOST_ROWS)

    async def asset(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return one asset: the columns of ``asset``, ``configuration`` as a mapping; raise ``NotFound``."""
        return await self._one(who, _ASSET, f"asset {asset_id}", asset_id=asset_id)

    async def latest_assessment(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return the newest assessment in the shape of the record; raise ``NotFound``.

        ``channels`` holds mappings with channel_id, point_id, zone, not_graded_because, ``features`` and
        ``own_features`` as {name: value}, ``not_decided`` (name, needed_s) and ``scores`` (model, version, value,
        threshold, learning, explanation).
        """
        found = await self._one(who, _ASSESSMENT, f"an assessment of asset {asset_id}", asset_id=asset_id)
        place = {key: found[key] for key in ("channel_ids", "window_start_ns", "code_version", "asset_id")}
        scores: dict[str, list[dict[str, Any]]] = {channel_id: [] for channel_id in found.pop("channel_ids")}
        for row in await self._database.rows(_CHANNEL_SCORES, **place):
            scores[row.pop("channel_id")].append(row)
        found["channels"] = [
            {name: row[name] for name in _CHANNEL_COLUMNS}
            | {"features": {name: row[name] for name in FEATURE_INDEX}, "scores": scores[row["channel_id"]]}
            for row in await self._database.rows(_CHANNELS, **place)
        ]
        return found

    async def features(
        self,
        who: Principal,
        channel_id: str,
        names: Sequence[str],
        from_ns: int,
        to_ns: int,
        limit: int,
        version: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return features of windows that start in [`from_ns`, `to_ns`), oldest first, at most `limit` (the newest).

        Keys: window_start_ns, window_end_ns, version, partial, zone, each of `names`, and ``own_features``, all those
        of the user's own as {name: value}. Of a window that was computed more than once the newest version counts, or
        the newest up to `version`.

        Raises
        ------
        ValueError
            If a name isn't in the feature catalogue.
        """
        unknown = [name for name in names if name not in FEATURE_INDEX]
        if unknown:  # what passes is a column's name, not the caller's text
            raise ValueError(f"no such feature: {', '.join(unknown)}")
        query = _FEATURES.replace("{names}", "".join(f", {name}" for name in names))
        series = {"channel_id": channel_id, "from_ns": from_ns, "to_ns": to_ns, "version": version}
        return (await self._rows(who, query, limit, **series))[::-1]

    async def scores(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return scores of windows that start in [`from_ns`, `to_ns`), oldest first, at most `limit` (the newest).

        Keys: window_start_ns, window_end_ns, model, version, value, threshold, learning, explanation.
        """
        return (await self._rows(who, _SCORES, limit, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns))[::-1]

    async def readings(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return readings in [`from_ns`, `to_ns`), oldest first, at most `limit` (the newest).

        Keys: at_ns, quantity, unit, value, quality.
        """
        return (await self._rows(who, _READINGS, limit, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns))[::-1]

    async def waveforms(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[WaveformSnapshot]:
        """Return kept waveforms that start in [`from_ns`, `to_ns`), newest first."""
        rows = await self._rows(who, _WAVEFORMS, limit, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns)
        return [WaveformSnapshot(**row) for row in rows]

    async def conditions(self, who: Principal, asset_id: str, limit: int) -> list[dict[str, Any]]:
        """Return condition changes of an asset, newest first: the fields of the record."""
        return await self._rows(who, _CONDITIONS, limit, asset_id=asset_id)

    async def alarms(
        self, who: Principal, *, asset_id: str | None = None, standing: bool | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return alarms, the last changed first; `standing` picks those not in state normal.

        Keys: alarm_id, asset_id, site_id, point_id, rule, sequence, state, cause, changed_at_ns, started_at_ns,
        priority, zone, fault, confidence, reason, evidence, actor, note, acknowledged_by, acknowledged_at_ns.
        """
        return await self._rows(who, _ALARMS, limit, asset_id=asset_id, standing=standing)

    async def hourly_velocity(self, who: Principal, channel_id: str, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
        """Return the hours that start in [`from_ns`, `to_ns`), oldest first, by the mean of their whole windows.

        Keys: hour_start_ns, velocity_rms_mm_s_avg (mm/s rms, null where undefined).
        """
        hours = await self._rows(who, _HOURLY, MOST_ROWS, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns)
        return hours[::-1]

    async def alarm_record(self, who: Principal, asset_id: str, since_ns: int) -> dict[str, Any]:
        """Return how often an asset has alarmed since, and how far the calibration of its alarm limits has come.

        Keys: observed_from_ns, observed_to_ns and regime of the windows since (null without one); ``rules`` with rule,
        alarms, called_false (by the note of a command) and followed_by_maintenance; ``limits``, the newest of each
        point, model and regime: point_id, model, regime, at_ns, windows, windows_needed, alarm_limit,
        expected_per_month.
        """
        span: dict[str, Any] = {"asset_id": asset_id, "since_ns": since_ns}
        [observed] = await self._rows(who, _OBSERVED, 1, **span)
        rules = await self._rows(who, _ALARMS_BY_RULE, MOST_ROWS, **span)
        limits = await self._rows(who, _ALARM_LIMITS, MOST_ROWS, asset_id=asset_id)
        return {**observed, "rules": rules, "limits": limits}

    async def alarm(self, who: Principal, alarm_id: str) -> dict[str, Any]:
        """Return one alarm, with the keys of `alarms`; raise ``NotFound``."""
        return await self._one(who, _ALARM, f"alarm {alarm_id}", alarm_id=alarm_id)

    async def alarm_history(self, who: Principal, alarm_id: str) -> list[dict[str, Any]]:
        """Return the transitions of one alarm, oldest first: the fields of the record and ``position``."""
        return await self._rows(who, _ALARM_HISTORY, MOST_ROWS, alarm_id=alarm_id)

    async def changes(self, who: Principal, after: int, limit: int) -> list[tuple[int, r.AlarmTransition]]:
        """Return (position, transition) of alarm history after position `after`, in commit order."""
        rows = await self._rows(who, _CHANGES, limit, after=after)
        return [(row["position"], transition_of(row)) for row in rows]

    async def change_position(self) -> int:
        """Return the newest position of alarm history (0 for none)."""
        [row] = await self._database.rows("SELECT coalesce(max(position), 0) AS newest FROM alarm_history")
        newest: int = row["newest"]
        return newest

    async def ready(self) -> None:
        """Return when the database answers; raise ``Unavailable`` otherwise."""
        async with self._database.transaction(_READY_S) as connection:
            await connection.execute("SELECT 1")

    async def _rows(self, who: Principal, query: str, limit: int, **parameters: Any) -> list[dict[str, Any]]:
        scope = {"assets": _listed(who.assets), "sites": _listed(who.sites), "limit": min(limit, MOST_ROWS)}
        return await self._database.rows(sql.SQL(query).format(scope=_SCOPE), **parameters, **scope)

    async def _one(self, who: Principal, query: str, what: str, **parameters: Any) -> dict[str, Any]:
        rows = await self._rows(who, query, 1, **parameters)
        if not rows:
            raise NotFound(f"there is no {what}")
        return rows[0]


def _listed(scope: frozenset[str] | None) -> list[str] | None:
    return None if scope is None else sorted(scope)
