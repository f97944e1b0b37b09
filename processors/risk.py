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


@dataclass(frozen=True, slots=True, eq=False)
class ChannelCourse:
    """One channel's velocity over time, oldest first, shape (n,) each; ``times_s`` since 1970, UTC."""

    channel_id: str
    times_s: F64
    velocity_mm_s: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an asset.

    ``limit_mm_s`` is its boundary C/D, null where it isn't graded; ``warned_at_s`` when its first standing alarm began,
    and ``alarm`` what the most urgent one says; ``fault`` is diagnosed now, its line ``line_db`` over the floor where
    the bound of a fault is ``line_bound_db``.
    """

    asset_id: str
    courses: Sequence[ChannelCourse]
    limit_mm_s: float | None
    warned_at_s: float | None = None
    alarm: str | None = None
    fault: str | None = None
    line_db: float | None = None
    line_bound_db: float = 10.0


@dataclass(frozen=True, slots=True)
class Risk:
    """An asset's place in the list.

    ``health_index`` is 1 for a machine that is well and 0 for one at its limit, null where nothing is known;
    ``life`` is null where none is justified, and ``no_life_because`` says why.
    """

    asset_id: str
    health_index: float | None
    life: Outlook | None
    no_life_because: str | None
    reason: str


def risk_of(facts: Facts) -> Risk:
    """Return the risk of an asset.

    Examples
    --------
    >>> hours_s = 3600.0 * np.arange(48.0)
    >>> course = ChannelCourse("P-1.acc", hours_s, 1.0 + 0.1 * np.exp(hours_s / 60e3))
    >>> found = risk_of(Facts(asset_id="P-1", courses=[course], limit_mm_s=4.5, warned_at_s=36000.0, alarm="rising"))
    >>> round(found.health_index, 2), found.life is not None, found.reason
    (0.4, True, 'rising; velocity 2.6 mm/s, zone D above 4.5')
    """
    indices = [(1.0, "nothing unusual")]
    worst: tuple[float, ChannelCourse] | None = None
    known = [course for course in facts.courses if course.velocity_mm_s.size]
    for course in known if facts.limit_mm_s is not None else ():
        now, well = _now(course), _well(course, facts.limit_mm_s or math.inf)
        index = health_index(now, well, facts.limit_mm_s or math.inf)
        indices.append((index, f"velocity {now:.1f} mm/s, zone D above {facts.limit_mm_s:g}"))
        worst = min(worst or (index, course), (index, course), key=lambda one: one[0])
    if facts.fault is not None and facts.line_db is not None:
        share = (facts.line_db - facts.line_bound_db) / (WORST_LINE_DB - facts.line_bound_db)
        name = facts.fault.replace("_", " ")
        indices.append((min(1.0, max(0.0, 1.0 - share)), f"{name} line {facts.line_db:.0f} dB over the floor"))
    if len(indices) == 1:
        why = "nothing measured" if not known else "not graded: machine group and support are unknown"
        return Risk(facts.asset_id, None, None, why, "; ".join(text for text in (facts.alarm, why) if text))
    index, why = min(indices, key=lambda one: one[0])
    life, because = _life(facts, worst[1] if worst is not None else None)
    return Risk(facts.asset_id, index, life, because, "; ".join(text for text in (facts.alarm, why) if text))


def ranked(risks: Iterable[Risk]) -> list[Risk]:
    """Return the risks, the most urgent first: by health index, then by the life that is left; unknown ones last."""

    def urgency(risk: Risk) -> tuple[float, float, str]:
        life_s = math.inf if risk.life is None else risk.life.p50_s
        return (math.inf if risk.health_index is None else risk.health_index, life_s, risk.asset_id)

    return sorted(risks, key=urgency)


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
    return life, None if life is not None else "velocity doesn't rise, or its trend could end at any time"


def _now(course: ChannelCourse) -> float:
    return float(np.median(course.velocity_mm_s[-_NOW:]))


def _well(course: ChannelCourse, limit_mm_s: float) -> float:
    """Return the velocity of the machine when it was well; always between 0 and the limit."""
    low = float(np.quantile(course.velocity_mm_s, _WELL))
    return min(max(low, 1e-3), 0.99 * limit_mm_s)
