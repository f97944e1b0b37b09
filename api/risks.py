"""The risks of assets from the history in the database: what the API, the nightly job and ``faultline risk`` all tell.

Invariant: what is remembered of an asset goes out to nobody who doesn't see the asset.
"""

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.assets import AssetConfiguration
from contracts.errors import NotFound
from contracts.ports import Clock, HistoryReader, Principal
from processors.conditions.findings import BEARING_FAULTS
from processors.risk import ChannelCourse, Facts, LineCourse, Risk, ranked, risk_of
from processors.zone_tables import velocity_boundaries

F64 = NDArray[np.float64]

_HOUR_NS: Final = 3_600 * 10**9
_MOST_ALARMS: Final = 1_000
_URGENCY: Final = {"high": 0, "medium": 1, "low": 2}
#: A machine younger than so many hours is looked at window by window, at most so many of them.
_FEW_HOURS: Final = 24
_MOST_WINDOWS: Final = 3_600
_MOST_LEVELS: Final = 600
#: The risk that the API tells looks back so far, is as old as this at most for one asset, and of a list so many that
#: are older are brought up to date at a time.
LOOK_BACK_DAYS: Final = 30.0
FRESH_NS: Final = 30 * 10**9
MOST_AT_ONCE: Final = 32


class RiskBook:
    """The risks of assets, each remembered for half a minute.

    Parameters
    ----------
    reader : HistoryReader
        The history.
    clock : Clock
        Time.
    """

    def __init__(self, reader: HistoryReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._known: dict[str, tuple[int, Risk]] = {}
        self._busy = False

    async def risk(self, who: Principal, asset_id: str) -> Risk:
        """Return the risk of an asset that `who` sees."""
        now_ns = self._clock.now_ns()
        known = self._known.get(asset_id)
        if known is not None and now_ns - known[0] < FRESH_NS:
            return known[1]
        from_ns = now_ns - round(LOOK_BACK_DAYS * 24 * _HOUR_NS)
        facts = await _facts(self._reader, who, asset_id, from_ns, now_ns)
        risk = await asyncio.to_thread(risk_of, facts)
        self._known[risk.asset_id] = (now_ns, risk)
        return risk

    async def risks(self, who: Principal, asset_ids: Sequence[str]) -> dict[str, Risk]:
        """Return the risks of assets that `who` sees, by id.

        A large plant is caught up with over several calls: an asset that nobody has asked for yet may be missing, or
        be as it was. While one caller catches up, others are told what is known.
        """
        if not self._busy:
            self._busy = True
            try:
                oldest_first = sorted(asset_ids, key=lambda asset_id: self._known.get(asset_id, (0,))[0])
                for asset_id in oldest_first[:MOST_AT_ONCE]:
                    with contextlib.suppress(NotFound):  # it went while others were looked at
                        await self.risk(who, asset_id)
            finally:
                self._busy = False
        return {asset_id: self._known[asset_id][1] for asset_id in asset_ids if asset_id in self._known}


async def risk_list(reader: HistoryReader, who: Principal, now_ns: int, days: float) -> list[Risk]:
    """Return the risks of all assets in scope, the most urgent first.

    Parameters
    ----------
    reader : HistoryReader
        The history.
    who : Principal
        Whose scope.
    now_ns : int
        UTC nanoseconds.
    days : float
        How far to look back.
    """
    from_ns = now_ns - round(days * 24 * _HOUR_NS)
    ids = [row["asset_id"] for row in await reader.assets(who)]
    return ranked([risk_of(await _facts(reader, who, asset_id, from_ns, now_ns)) for asset_id in ids])


async def _facts(reader: HistoryReader, who: Principal, asset_id: str, from_ns: int, now_ns: int) -> Facts:
    asset = await reader.asset(who, asset_id)
    config = msgspec.convert(asset["configuration"], AssetConfiguration)
    channels = [
        channel.channel_id
        for point in config.points
        for channel in point.channels
        if channel.quantity in {"acceleration", "velocity"}
    ]
    standing = await reader.alarms(who, asset_id=asset_id, standing=True, limit=_MOST_ALARMS)
    standing.sort(key=lambda alarm: (_URGENCY[alarm["priority"]], alarm["started_at_ns"]))
    bounds = velocity_boundaries(config)
    newest = await _newest(reader, who, asset_id)
    diagnosed = max(newest["diagnoses"], key=lambda one: float(one["confidence"]), default=None) if newest else None
    fault = None if diagnosed is None else str(diagnosed["fault"])
    feature = BEARING_FAULTS[fault][0] if fault in BEARING_FAULTS else None
    return Facts(
        asset_id=asset_id,
        courses=[await _course(reader, who, channel_id, from_ns, now_ns) for channel_id in channels],
        limit_mm_s=None if bounds is None else bounds.c_d,
        warned_at_s=min(alarm["started_at_ns"] for alarm in standing) / 1e9 if standing else None,
        alarm=standing[0]["reason"] if standing else None,
        fault=None if feature is None else fault,
        line=None if feature is None or newest is None else await _line(reader, who, newest, feature, from_ns),
        line_bound_db=config.rules.fault_line_db,
    )


async def _newest(reader: HistoryReader, who: Principal, asset_id: str) -> dict[str, Any] | None:
    try:
        return await reader.latest_assessment(who, asset_id)
    except NotFound:
        return None


async def _course(reader: HistoryReader, who: Principal, channel_id: str, from_ns: int, now_ns: int) -> ChannelCourse:
    """Return the channel's hours; its windows while these are fewer than a day's."""
    hours = await reader.hourly_velocity(who, channel_id, from_ns, now_ns)
    pairs = [(row["hour_start_ns"], row["velocity_rms_mm_s_avg"]) for row in hours]
    if len(pairs) < _FEW_HOURS:
        found = await reader.features(who, channel_id, ("velocity_rms_mm_s",), from_ns, now_ns, _MOST_WINDOWS)
        pairs = [(row["window_start_ns"], row["velocity_rms_mm_s"]) for row in found if not row["partial"]]
    return ChannelCourse(channel_id, *_finite(pairs))


async def _line(
    reader: HistoryReader, who: Principal, newest: Mapping[str, Any], feature: str, from_ns: int
) -> LineCourse | None:
    """Return the course of a fault's line on the channel where it stands highest now; null where it isn't known."""
    levels = {one["channel_id"]: one["features"][feature] for one in newest["channels"]}
    known = {channel_id: level for channel_id, level in levels.items() if level is not None and math.isfinite(level)}
    if not known:
        return None
    channel_id, at_ns = max(known, key=lambda one: known[one]), newest["window_start_ns"]
    found = await reader.features(who, channel_id, (feature,), from_ns, at_ns, _MOST_LEVELS)
    pairs = [(row["window_start_ns"], row[feature]) for row in found if not row["partial"]]
    return LineCourse(channel_id, feature, *_finite([*pairs, (at_ns, known[channel_id])]))


def _finite(pairs: Sequence[tuple[int, float | None]]) -> tuple[F64, F64]:
    """Return times (s) and values of the pairs (ns, value) that have a finite one."""
    known = [(at_ns / 1e9, value) for at_ns, value in pairs if value is not None and math.isfinite(value)]
    times_s, values = np.array(known, dtype=np.float64).reshape(-1, 2).T.copy()
    return times_s, values
