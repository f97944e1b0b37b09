"""Families of lines in an envelope spectrum, one per bearing fault frequency.

A fault line is never taken for the largest line around: a family is a base frequency within 3 % of the expected one
(slip, and differences between makers) whose harmonics stand over their local floor together. Its score is the median
of the harmonics' levels, so one chance line can't carry it. A line on a multiple of the shaft speed doesn't count for
a family: it may be the shaft's own. Where only the shaft's multiples stand out, the family is called ambiguous.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from processors.bearings import BearingGeometry

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: A family's base lies within this share of the expected frequency.
TOLERANCE: Final = 0.03
#: Harmonics looked at.
HARMONICS: Final = 3
#: The floor of a line is the median of this many bins on either side.
_FLOOR_REACH: Final = 40
#: A line within so many bins, or this share of its frequency, of a multiple of the shaft speed may be the shaft's.
_SHAFT_BINS: Final = 2.0
_SHAFT_SHARE: Final = 0.003
#: Where the shaft's multiples stand out so much more than any other base, they are what is reported.
_SHAFT_LEAD_DB: Final = 10.0
#: Names of the families, in the order of the feature catalogue.
FAMILY_NAMES: Final = ("BPFO", "BPFI", "BSF", "FTF")


@dataclass(frozen=True, slots=True)
class LineFamily:
    """What an envelope spectrum shows at one fault frequency and its harmonics.

    Parameters
    ----------
    name : str
        ``BPFO``, ``BPFI``, ``BSF`` (its line lies at twice the spin frequency) or ``FTF``.
    frequency_hz : float
        Expected frequency of the first line.
    found_hz : float or None
        Base frequency at which the harmonics stand out most; null where undecided.
    score_db : float or None
        Median over the harmonics of the level over the local floor, dB; null where undecided.
    harmonics : tuple of (float, float)
        Frequency and level over the local floor, dB, of each harmonic within the spectrum.
    ambiguous_with : str or None
        The shaft order that the found frequency can't be told from, e.g. ``3x``.
    decided : bool
        Whether the window is long enough, and the band wide enough, to answer.
    needed_s : float or None
        Window length that could answer, where this one is too short.
    """

    name: str
    frequency_hz: float
    found_hz: float | None
    score_db: float | None
    harmonics: tuple[tuple[float, float], ...]
    ambiguous_with: str | None
    decided: bool
    needed_s: float | None

    def standing(self, limit_db: float) -> int:
        """Return how many harmonics stand at least `limit_db` over their floor."""
        return sum(level >= limit_db for _, level in self.harmonics)


@numba.njit(cache=True)
def local_floor(amplitudes: Real, at: int) -> float:
    """Return the median amplitude around bin `at`."""
    first = max(1, at - _FLOOR_REACH)
    last = min(amplitudes.size - 1, at + _FLOOR_REACH + 1)
    return np.float64(np.median(amplitudes[first:last]))


@numba.njit(cache=True)
def level_over_floor_db(amplitudes: Real, position: float, floor: float) -> float:
    """Return the level over `floor` of the line at `position` (bins, one bin of play); 0 where there is no peak.

    The skirt of a strong line next to it is no peak.
    """
    at = math.floor(position + 0.5)
    top = 0.0
    for k in range(at - 1, at + 2):
        v = amplitudes[k]
        if v > top and v >= amplitudes[k - 1] and v >= amplitudes[k + 1]:
            top = v
    return 20.0 * math.log10(top / floor) if top > 0.0 and floor > 0.0 else 0.0


@numba.njit(cache=True)
def may_be_the_shaft(position: float, shaft: float) -> bool:
    """Return whether a line at `position` can't be told from a multiple of the shaft frequency (both in bins)."""
    order = math.floor(position / shaft + 0.5)
    near = max(_SHAFT_BINS, _SHAFT_SHARE * position)
    return bool(order >= 1.0 and abs(position - order * shaft) < near)


@numba.njit(cache=True)
def search_family(amplitudes: Real, expected: float, shaft: float, levels: F64, shaft_levels: F64) -> float:
    """Return the base position (bins) near `expected` whose harmonics stand out most.

    `shaft` is the shaft frequency (bins): lines on its multiples have level 0. `levels` (n_harmonics,) is filled with
    the levels over the local floor, dB, and `shaft_levels` with those at the shaft's multiple next to `expected`. The
    harmonics must lie within `amplitudes` (n_bins,).
    """
    n_harmonics = levels.size
    floors = np.empty(n_harmonics)
    trial = np.empty(n_harmonics)
    multiple = max(1.0, math.floor(expected / shaft + 0.5)) * shaft
    on_shaft = abs(multiple - expected) <= TOLERANCE * expected
    for h in range(n_harmonics):
        floors[h] = local_floor(amplitudes, math.floor((h + 1) * expected + 0.5))
        shaft_levels[h] = level_over_floor_db(amplitudes, (h + 1) * multiple, floors[h]) if on_shaft else 0.0
    step = 0.5 / n_harmonics
    steps = math.floor(TOLERANCE * expected / step)
    best = expected
    best_score = -np.inf
    best_sum = -np.inf
    for s in range(-steps, steps + 1):
        base = expected + s * step
        for h in range(n_harmonics):
            position = (h + 1) * base
            if may_be_the_shaft(position, shaft):
                trial[h] = 0.0
            else:
                trial[h] = level_over_floor_db(amplitudes, position, floors[h])
        score = np.median(trial)
        total = np.sum(trial)
        if score > best_score or (score == best_score and total > best_sum):
            best = base
            best_score = score
            best_sum = total
            levels[:] = trial
    return best


def find_families(
    amplitudes: Real, bin_hz: float, geometry: BearingGeometry, speed_rpm: float
) -> tuple[LineFamily, ...]:
    """Return the families of a bearing in one envelope spectrum.

    Parameters
    ----------
    amplitudes : ndarray, shape (n_bins,)
        Squared envelope spectrum.
    bin_hz : float
        Its resolution: one over the window's length.
    geometry : BearingGeometry
        The bearing.
    speed_rpm : float
        Shaft speed, positive.

    Returns
    -------
    families : tuple of LineFamily
        BPFO, BPFI, BSF and FTF.
    """
    shaft_hz = speed_rpm / 60.0
    orders = geometry.orders
    expected: Sequence[float] = (orders.bpfo, orders.bpfi, 2.0 * orders.bsf, orders.ftf)
    return tuple(
        _find(name, amplitudes, bin_hz, order * shaft_hz, shaft_hz)
        for name, order in zip(FAMILY_NAMES, expected, strict=True)
    )


def bins_needed(bin_hz: float, geometry: BearingGeometry, speed_rpm: float) -> int:
    """Return how many bins of an envelope spectrum `find_families` looks at."""
    orders = geometry.orders
    highest_hz = max(orders.bpfo, orders.bpfi, 2.0 * orders.bsf) * speed_rpm / 60.0
    return math.ceil(HARMONICS * (1.0 + TOLERANCE) * highest_hz / bin_hz) + _FLOOR_REACH + 4


def _find(name: str, amplitudes: Real, bin_hz: float, expected_hz: float, shaft_hz: float) -> LineFamily:
    needed_s = 1.0 / (TOLERANCE * expected_hz)
    within = int((amplitudes.size - 4) / (expected_hz / bin_hz * (1.0 + TOLERANCE)))
    n_harmonics = min(HARMONICS, within)
    too_short = needed_s * bin_hz > 1.0
    if too_short or n_harmonics < 2:
        needed = needed_s if too_short else None
        return LineFamily(name, expected_hz, None, None, (), None, decided=False, needed_s=needed)
    levels, shaft_levels = np.empty(n_harmonics), np.empty(n_harmonics)
    found = bin_hz * search_family(amplitudes, expected_hz / bin_hz, shaft_hz / bin_hz, levels, shaft_levels)
    order, heights = None, levels.tolist()
    if statistics.median(shaft_levels.tolist()) > statistics.median(heights) + _SHAFT_LEAD_DB:
        multiple = max(1, math.floor(expected_hz / shaft_hz + 0.5))
        found, heights, order = multiple * shaft_hz, shaft_levels.tolist(), f"{multiple}x"
    return LineFamily(
        name,
        expected_hz,
        found,
        statistics.median(heights),
        tuple((found * (h + 1), level) for h, level in enumerate(heights)),
        order,
        decided=True,
        needed_s=None,
    )
