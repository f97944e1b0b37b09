"""Queries for the API: each carries the caller's scope inside the SQL.

Invariants: what lies outside the scope doesn't exist for the caller; an asset that isn't registered belongs to no site;
every answer is bounded. Rows are mappings with the column names of the schema, times as integers ``*_ns``.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import sql

from adapters.timescale import queries
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
        return await self._rows(who, queries.ASSETS, MOST_ROWS)

    async def asset(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return one asset: the columns of ``asset``, ``configuration`` as a mapping; raise ``NotFound``."""
        return await self._one(who, queries.ASSET, f"asset {asset_id}", asset_id=asset_id)

    async def latest_assessment(self, who: Principal, asset_id: str) -> dict[str, Any]:
        """Return the newest assessment in the shape of the record; raise ``NotFound``.

        ``channels`` holds mappings with channel_id, point_id, zone, not_graded_because, ``features`` and
        ``own_features`` as {name: value}, ``not_decided`` (name, needed_s) and ``scores`` (model, version, value,
        threshold, learning, explanation).
        """
        found = await self._one(who, queries.ASSESSMENT, f"an assessment of asset {asset_id}", asset_id=asset_id)
        place = {key: found[key] for key in ("channel_ids", "window_start_ns", "code_version", "asset_id")}
        scores: dict[str, list[dict[str, Any]]] = {channel_id: [] for channel_id in found.pop("channel_ids")}
        for row in await self._database.rows(queries.CHANNEL_SCORES, **place):
            scores[row.pop("channel_id")].append(row)
        found["channels"] = [
            {name: row[name] for name in _CHANNEL_COLUMNS}
            | {"features": {name: row[name] for name in FEATURE_INDEX}, "scores": scores[row["channel_id"]]}
            for row in await self._database.rows(queries.CHANNELS, **place)
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
        query = queries.FEATURES.replace("{names}", "".join(f", {name}" for name in names))
        series = {"channel_id": channel_id, "from_ns": from_ns, "to_ns": to_ns, "version": version}
        return (await self._rows(who, query, limit, **series))[::-1]

    async def scores(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return scores of windows that start in [`from_ns`, `to_ns`), oldest first, at most `limit` (the newest).

        Keys: window_start_ns, window_end_ns, model, version, value, threshold, learning, explanation.
        """
        return (await self._rows(who, queries.SCORES, limit, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns))[::-1]

    async def readings(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[dict[str, Any]]:
        """Return readings in [`from_ns`, `to_ns`), oldest first, at most `limit` (the newest).

        Keys: at_ns, quantity, unit, value, quality.
        """
        found = await self._rows(who, queries.READINGS, limit, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns)
        return found[::-1]

    async def waveforms(
        self, who: Principal, channel_id: str, from_ns: int, to_ns: int, limit: int
    ) -> list[WaveformSnapshot]:
        """Return kept waveforms that start in [`from_ns`, `to_ns`), newest first."""
        rows = await self._rows(who, queries.WAVEFORMS, limit, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns)
        return [WaveformSnapshot(**row) for row in rows]

    async def conditions(self, who: Principal, asset_id: str, limit: int) -> list[dict[str, Any]]:
        """Return condition changes of an asset, newest first: the fields of the record."""
        return await self._rows(who, queries.CONDITIONS, limit, asset_id=asset_id)

    async def alarms(
        self, who: Principal, *, asset_id: str | None = None, standing: bool | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return alarms, the last changed first; `standing` picks those not in state normal.

        Keys: alarm_id, asset_id, site_id, point_id, rule, sequence, state, cause, changed_at_ns, started_at_ns,
        priority, zone, fault, confidence, reason, evidence, actor, note, acknowledged_by, acknowledged_at_ns.
        """
        return await self._rows(who, queries.ALARMS, limit, asset_id=asset_id, standing=standing)

    async def hourly_velocity(self, who: Principal, channel_id: str, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
        """Return the hours that start in [`from_ns`, `to_ns`), oldest first, by the mean of their whole windows.

        Keys: hour_start_ns, velocity_rms_mm_s_avg (mm/s rms, null where undefined).
        """
        hours = await self._rows(who, queries.HOURLY, MOST_ROWS, channel_id=channel_id, from_ns=from_ns, to_ns=to_ns)
        return hours[::-1]

    async def alarm_record(self, who: Principal, asset_id: str, since_ns: int) -> dict[str, Any]:
        """Return how often an asset has alarmed since, and how far the calibration of its alarm limits has come.

        Keys: observed_from_ns, observed_to_ns and regime of the windows since (null without one); ``rules`` with rule,
        alarms, called_false (by the note of a command) and followed_by_maintenance; ``limits``, the newest of each
        point, model and regime: point_id, model, regime, at_ns, windows, windows_needed, alarm_limit,
        expected_per_month.
        """
        span: dict[str, Any] = {"asset_id": asset_id, "since_ns": since_ns}
        [observed] = await self._rows(who, queries.OBSERVED, 1, **span)
        rules = await self._rows(who, queries.ALARMS_BY_RULE, MOST_ROWS, **span)
        limits = await self._rows(who, queries.ALARM_LIMITS, MOST_ROWS, asset_id=asset_id)
        return {**observed, "rules": rules, "limits": limits}

    async def models(self, who: Principal) -> list[dict[str, Any]]:
        """Return versions of scoring models, by name and number.

        Keys: name, version, sha256, feature_hash, slot, stage, share, former; action, actor, reason and at_ns of the
        newest step; scores_for, in_shadow_for and refused_on, the ids of the assets in scope.
        """
        for_real, in_shadow = (
            sql.SQL(queries.SCORED_ASSETS).format(shadow=sql.Literal(shadow), scope=queries.SCOPE)
            for shadow in (False, True)
        )
        refused = sql.SQL(queries.REFUSED_ASSETS).format(scope=queries.SCOPE)
        query = sql.SQL(queries.MODELS).format(for_real=for_real, in_shadow=in_shadow, refused=refused)
        return await self._database.rows(query, **_parameters(who, MOST_ROWS))

    async def alarm(self, who: Principal, alarm_id: str) -> dict[str, Any]:
        """Return one alarm, with the keys of `alarms`; raise ``NotFound``."""
        return await self._one(who, queries.ALARM, f"alarm {alarm_id}", alarm_id=alarm_id)

    async def alarm_history(self, who: Principal, alarm_id: str) -> list[dict[str, Any]]:
        """Return the transitions of one alarm, oldest first: the fields of the record and ``position``."""
        return await self._rows(who, queries.ALARM_HISTORY, MOST_ROWS, alarm_id=alarm_id)

    async def changes(self, who: Principal, after: int, limit: int) -> list[tuple[int, r.AlarmTransition]]:
        """Return (position, transition) of alarm history after position `after`, in commit order."""
        rows = await self._rows(who, queries.CHANGES, limit, after=after)
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
        return await self._database.rows(
            sql.SQL(query).format(scope=queries.SCOPE), **parameters, **_parameters(who, limit)
        )

    async def _one(self, who: Principal, query: str, what: str, **parameters: Any) -> dict[str, Any]:
        rows = await self._rows(who, query, 1, **parameters)
        if not rows:
            raise NotFound(f"there is no {what}")
        return rows[0]


def _parameters(who: Principal, limit: int) -> dict[str, Any]:
    return {"assets": _listed(who.assets), "sites": _listed(who.sites), "limit": min(limit, MOST_ROWS)}


def _listed(scope: frozenset[str] | None) -> list[str] | None:
    return None if scope is None else sorted(scope)
