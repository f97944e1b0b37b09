"""The risk list from the history in the database: what the nightly job and ``faultline risk`` both call."""

import math
from typing import Any, Final

import msgspec
import numpy as np

from contracts.assets import AssetConfiguration
from contracts.errors import NotFound
from contracts.ports import HistoryReader, Principal
from processors.conditions.findings import BEARING_FAULTS
from processors.risk import ChannelCourse, Facts, Risk, ranked, risk_of
from processors.zone_tables import velocity_boundaries

_HOUR_NS: Final = 3_600 * 10**9
_MOST_ALARMS: Final = 1_000
_URGENCY: Final = {"high": 0, "medium": 1, "low": 2}


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
    return ranked([risk_of(await _facts(reader, who, row, from_ns, now_ns)) for row in await reader.assets(who)])


async def _facts(reader: HistoryReader, who: Principal, row: dict[str, Any], from_ns: int, now_ns: int) -> Facts:
    asset_id = row["asset_id"]
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
    fault = row["fault"] if row["fault"] in BEARING_FAULTS else None
    return Facts(
        asset_id=asset_id,
        courses=[await _course(reader, who, channel_id, from_ns, now_ns) for channel_id in channels],
        limit_mm_s=None if bounds is None else bounds.c_d,
        warned_at_s=min(alarm["started_at_ns"] for alarm in standing) / 1e9 if standing else None,
        alarm=standing[0]["reason"] if standing else None,
        fault=fault,
        line_db=None if fault is None else await _line_db(reader, who, asset_id, BEARING_FAULTS[fault][0]),
        line_bound_db=config.rules.fault_line_db,
    )


async def _course(reader: HistoryReader, who: Principal, channel_id: str, from_ns: int, now_ns: int) -> ChannelCourse:
    """Return the channel's hours; its windows while these are fewer than a day's."""
    hours = await reader.hourly_velocity(who, channel_id, from_ns, now_ns)
    pairs = [(row["hour_start_ns"], row["velocity_rms_mm_s_avg"]) for row in hours]
    if len(pairs) < 24:
        found = await reader.features(who, channel_id, ("velocity_rms_mm_s",), from_ns, now_ns, 10_000)
        pairs = [(row["window_start_ns"], row["velocity_rms_mm_s"]) for row in found if not row["partial"]]
    known = [(at_ns, value) for at_ns, value in pairs if value is not None and math.isfinite(value)]
    times_s = np.array([at_ns / 1e9 for at_ns, _ in known])
    return ChannelCourse(channel_id, times_s, np.array([value for _, value in known], dtype=np.float64))


async def _line_db(reader: HistoryReader, who: Principal, asset_id: str, feature: str) -> float | None:
    try:
        newest = await reader.latest_assessment(who, asset_id)
    except NotFound:
        return None
    levels = [channel["features"][feature] for channel in newest["channels"]]
    return max((level for level in levels if level is not None), default=None)
