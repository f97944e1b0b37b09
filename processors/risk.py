"""Which machine first: the health index of an asset, what is left of its life where that can be told, and why.

The index is that of the channel that is worst off, by what it measures now beside what it measured when it was well:
its velocity on the way to zone D and, where a bearing fault is diagnosed, the fault's line on the way to
`WORST_LINE_DB`.

Invariant: a risk is a function of its arguments; the same code ranks at night and on demand.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.prognosis import FEWEST, Outlook, health_index, remaining_life

F64 = NDArray[np.float64]

#: A fault line so high over its floor is as bad as one gets, by convention: it gives a health index of 0, dB.
WORST_LINE_DB: Final = 40.0
#: What a channel measures now is the median of its last values; when it was well, a low quantile of all.
_NOW: Final = 3
_WELL: Final = 0.1
#: A trend has at most so many points.
TREND_POINTS: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class ChannelCourse:
    """One channel's velocity over time, oldest first, shape (n,) each; ``times_s`` since 1970, UTC."""

    channel_id: str
    times_s: F64
    velocity_mm_s: F64


@dataclass(frozen=True, slots=True, eq=False)
class LineCourse:
    """How high a fault's line stood over its floor, oldest first, shape (n,) each; ``feature`` is the line's level."""

    channel_id: str
    feature: str
    times_s: F64
    level_db: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an asset.

    ``limit_mm_s`` is its boundary C/D, null where it isn't graded; ``warned_at_s`` when its first standing alarm began,
    and ``alarm`` what the most urgent one says; ``fault`` is diagnosed now, by its ``line`` where the bound of a fault
    is ``line_bound_db``.
    """

    asset_id: str
    courses: Sequence[ChannelCourse]
    limit_mm_s: float | None
    warned_at_s: float | None = None
    alarm: str | None = None
    fault: str | None = None
    line: LineCourse | None = None
    line_bound_db: float = 10.0


@dataclass(frozen=True, slots=True)
class Worst:
    """What an index comes from: a channel's feature, its value now, when it was well, and at an index of 0."""

    channel_id: str
    feature: str
    unit: str
    value: float
    well: float
    limit: float


@dataclass(frozen=True, slots=True)
class Risk:
    """An asset's place in the list.

    ``health_index`` is 1 for a machine that is well and 0 for one at its limit, null where nothing is known; ``worst``
    is what it comes from, and ``trend`` (time in s since 1970, index) how that has come, oldest first. ``life`` is null
    where none is justified, and ``no_life_because`` says why.
    """

    asset_id: str
    health_index: float | None
    life: Outlook | None
    no_life_because: str | None
    reason: str
    worst: Worst | None = None
    trend: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Judged:
    index: float
    text: str
    worst: Worst
    trend: tuple[tuple[float, float], ...]


def risk_of(facts: Facts) -> Risk:
    """Return the risk of an asset.

    Examples
    --------
    >>> hours_s = 3600.0 * np.arange(48.0)
    >>> course = ChannelCourse("P-1.acc", hours_s, 1.0 + 0.1 * np.exp(hours_s / 60e3))
    >>> found = risk_of(Facts(asset_id="P-1", courses=[course], limit_mm_s=4.5, warned_at_s=72000.0, alarm="rising"))
    >>> round(found.health_index, 2), found.life is not None, found.reason
    (0.4, True, 'rising; velocity 2.6 mm/s, zone D above 4.5')
    """
    known = [course for course in facts.courses if course.velocity_mm_s.size]
    limit_mm_s = facts.limit_mm_s
    judged = [] if limit_mm_s is None else [_by_velocity(course, limit_mm_s) for course in known]
    life, no_life_because = _life(facts, _worst_course(known, judged))
    if facts.fault is not None and facts.line is not None and facts.line.level_db.size:
        judged.append(_by_line(facts.fault, facts.line, facts.line_bound_db))
    if not judged:
        why = "nothing measured" if not known else "not graded: machine group and support are unknown"
        return Risk(facts.asset_id, None, None, why, _sentence(facts.alarm, why))
    worst = min(judged, key=lambda one: one.index)
    text = worst.text if worst.index < 1.0 else "nothing unusual"
    return Risk(
        facts.asset_id, worst.index, life, no_life_because, _sentence(facts.alarm, text), worst.worst, worst.trend
    )


def ranked(risks: Iterable[Risk]) -> list[Risk]:
    """Return the risks, the most urgent first: by health index, then by the life that is left; unknown ones last."""

    def urgency(risk: Risk) -> tuple[float, float, str]:
        life_s = math.inf if risk.life is None else risk.life.p50_s
        return (math.inf if risk.health_index is None else risk.health_index, life_s, risk.asset_id)

    return sorted(risks, key=urgency)


def _by_velocity(course: ChannelCourse, limit_mm_s: float) -> _Judged:
    now, well = _now(course), _well(course, limit_mm_s)
    indices = np.array([health_index(value, well, limit_mm_s) for value in course.velocity_mm_s.tolist()])
    return _Judged(
        health_index(now, well, limit_mm_s),
        f"velocity {now:.1f} mm/s, zone D above {limit_mm_s:g}",
        Worst(course.channel_id, "velocity_rms_mm_s", "mm/s", now, well, limit_mm_s),
        _trend(course.times_s, indices),
    )


def _by_line(fault: str, line: LineCourse, bound_db: float) -> _Judged:
    now_db = float(line.level_db[-1])
    indices = np.clip(1.0 - (line.level_db - bound_db) / (WORST_LINE_DB - bound_db), 0.0, 1.0)
    return _Judged(
        float(indices[-1]),
        f"{fault.replace('_', ' ')} line {now_db:.0f} dB over the floor",
        Worst(line.channel_id, line.feature, "dB", now_db, bound_db, WORST_LINE_DB),
        _trend(line.times_s, indices),
    )


def _trend(times_s: F64, indices: F64) -> tuple[tuple[float, float], ...]:
    """Return the median index of equal parts of the course, each at its last time."""
    parts = np.array_split(np.arange(times_s.size), min(TREND_POINTS, times_s.size))
    return tuple((float(times_s[part[-1]]), float(np.median(indices[part]))) for part in parts)


def _worst_course(courses: Sequence[ChannelCourse], judged: Sequence[_Judged]) -> ChannelCourse | None:
    pairs = zip(courses, judged, strict=False)
    return min(pairs, key=lambda one: one[1].index)[0] if judged else None


def _sentence(alarm: str | None, text: str) -> str:
    return "; ".join(part for part in (alarm, text) if part)


def _life(facts: Facts, course: ChannelCourse | None) -> tuple[Outlook | None, str | None]:
    if facts.warned_at_s is None:
        return None, "no alarm stands"
    if facts.limit_mm_s is None or course is None:
        return None, "no limit: not graded, or nothing measured"
    since = course.times_s >= facts.warned_at_s
    times_s, values = course.times_s[since], course.velocity_mm_s[since]
    if times_s.size < FEWEST:
        return None, f"{times_s.size} values since the alarm, {FEWEST} needed"
    life = remaining_life(times_s, values, facts.limit_mm_s, _well(course, facts.limit_mm_s))
    return life, None if life is not None else "velocity doesn't rise, or its trend doesn't bear an answer yet"


def _now(course: ChannelCourse) -> float:
    return float(np.median(course.velocity_mm_s[-_NOW:]))


def _well(course: ChannelCourse, limit_mm_s: float) -> float:
    """Return the velocity of the machine when it was well; always between 0 and the limit."""
    low = float(np.quantile(course.velocity_mm_s, _WELL))
    return min(max(low, 1e-3), 0.99 * limit_mm_s)
