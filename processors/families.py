"""Families of lines in an envelope spectrum, one per bearing fault frequency.

A fault line is never taken for the largest line around: a family is a base frequency within 3 % of the expected one
(slip, and differences between makers) whose harmonics stand over their local floor together. Its score is the median
of the harmonics' levels, so one chance line can't carry it. A base that falls on a multiple of the shaft speed could be
the shaft itself, and is called ambiguous.
"""

import math
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
def _local_floor(amplitudes: Real, at: int) -> float:
    first = max(1, at - _FLOOR_REACH)
    last = min(amplitudes.size - 1, at + _FLOOR_REACH + 1)
    return np.float64(np.median(amplitudes[first:last]))


@numba.njit(cache=True)
def search_family(amplitudes: Real, expected: float, n_harmonics: int, levels: F64, best_levels: F64) -> float:
    """Return the base position (bins) near `expected` whose harmonics stand out most.

    `best_levels` (n_harmonics,) is filled with their levels over the local floor, dB; `levels` is scratch of the same
    length. The harmonics must lie within `amplitudes` (n_bins,).
    """
    floors = np.empty(n_harmonics)
    for h in range(n_harmonics):
        floors[h] = _local_floor(amplitudes, math.floor((h + 1) * expected + 0.5))
    step = 0.5 / n_harmonics
    steps = math.floor(TOLERANCE * expected / step)
    best = expected
    best_score = -np.inf
    best_sum = -np.inf
    for s in range(-steps, steps + 1):
        base = expected + s * step
        for h in range(n_harmonics):
            at = math.floor((h + 1) * base + 0.5)
            top = max(amplitudes[at - 1], amplitudes[at], amplitudes[at + 1])
            levels[h] = 20.0 * math.log10(top / floors[h]) if top > 0.0 and floors[h] > 0.0 else 0.0
        score = np.median(levels)
        total = np.sum(levels)
        if score > best_score or (score == best_score and total > best_sum):
            best = base
            best_score = score
            best_sum = total
            best_levels[:] = levels
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


def _find(name: str, amplitudes: Real, bin_hz: float, expected_hz: float, shaft_hz: float) -> LineFamily:
    needed_s = 1.0 / (TOLERANCE * expected_hz)
    within = int((amplitudes.size - 3) / (expected_hz / bin_hz * (1.0 + TOLERANCE)))
    n_harmonics = min(HARMONICS, within)
    too_short = needed_s * bin_hz > 1.0
    if too_short or n_harmonics < 2:
        needed = needed_s if too_short else None
        return LineFamily(name, expected_hz, None, None, (), None, decided=False, needed_s=needed)
    levels = np.empty(n_harmonics)
    found = search_family(amplitudes, expected_hz / bin_hz, n_harmonics, np.empty(n_harmonics), levels) * bin_hz
    return LineFamily(
        name,
        expected_hz,
        found,
        float(np.median(levels)),
        tuple((found * (h + 1), float(level)) for h, level in enumerate(levels)),
        _shaft_order(found, shaft_hz, bin_hz),
        decided=True,
        needed_s=None,
    )


def _shaft_order(found_hz: float, shaft_hz: float, bin_hz: float) -> str | None:
    """Return the shaft order that a base can't be told from: its highest harmonic is less than two bins away."""
    order = round(found_hz / shaft_hz)
    if order >= 1 and abs(found_hz - order * shaft_hz) * HARMONICS < 2.0 * bin_hz:
        return f"{order}x"
    return None
