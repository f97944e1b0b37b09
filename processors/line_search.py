"""The search for families of lines in an envelope spectrum: base, harmonics, their levels over the local floor.

Positions are in bins. A line on a multiple of the shaft frequency has level 0: it may be the shaft's own.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.kernel import kernel
from processors.median import median

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: A family's base lies within this share of the expected frequency.
TOLERANCE: Final = 0.03
#: Harmonics looked at.
HARMONICS: Final = 3
#: The floor of a line is the median of this many bins on either side.
FLOOR_REACH: Final = 40
#: A line within so many bins, or this share of its frequency, of a multiple of the shaft speed may be the shaft's.
_SHAFT_BINS: Final = 2.0
_SHAFT_SHARE: Final = 0.003
#: Where the shaft's multiples stand out so much more than any other base, they are what is reported.
_SHAFT_LEAD_DB: Final = 10.0


@kernel()
def local_floor(amplitudes: Real, at: int) -> float:
    """Return the median amplitude around bin `at`."""
    first = max(1, at - FLOOR_REACH)
    last = min(amplitudes.size - 1, at + FLOOR_REACH + 1)
    return median(amplitudes[first:last])


@kernel()
def highest_peaks(amplitudes: Real, peaks: Real, highest: Real) -> None:
    """Fill `highest` with the highest peak among each bin and its neighbours, 0 where there is none; `peaks` is room.

    The skirt of a strong line next to it is no peak.
    """
    zero = amplitudes.dtype.type(0.0)
    peaks[:], highest[:] = zero, zero
    for k in range(1, amplitudes.size - 1):
        v = amplitudes[k]
        peaks[k] = v if (v >= amplitudes[k - 1]) & (v >= amplitudes[k + 1]) else zero
    for k in range(1, amplitudes.size - 1):
        highest[k] = max(peaks[k - 1], peaks[k + 1], peaks[k])


@kernel()
def ratio_to_floor(peaks: Real, position: float, floor: float) -> float:
    """Return the line at `position` (bins, one bin of play) over `floor`; 1 where there is no peak.

    `peaks` are those that ``highest_peaks`` found.
    """
    top = peaks[math.floor(position + 0.5)]
    ratio: float = top / floor if top > 0.0 and floor > 0.0 else 1.0
    return ratio


@kernel()
def may_be_the_shaft(position: float, shaft: float) -> bool:
    """Return whether a line at `position` can't be told from a multiple of the shaft frequency (both in bins)."""
    order = math.floor(position / shaft + 0.5)
    near = max(_SHAFT_BINS, _SHAFT_SHARE * position)
    return bool(order >= 1.0 and abs(position - order * shaft) < near)


@kernel()
def search_family(
    amplitudes: Real, peaks: Real, expected: float, shaft: float, levels: F64, shaft_levels: F64, room: F64
) -> float:
    """Return the base position (bins) near `expected` whose harmonics stand out most.

    `shaft` is the shaft frequency (bins): lines on its multiples have level 0. `levels` (n_harmonics,) is filled with
    the levels over the local floor, dB, and `shaft_levels` with those at the shaft's multiple next to `expected`. The
    harmonics must lie within `amplitudes` (n_bins,), whose `peaks` ``highest_peaks`` found; `room` is (2, HARMONICS).
    """
    n_harmonics = levels.size
    floors, trial = room[0, :n_harmonics], room[1, :n_harmonics]
    multiple = max(1.0, math.floor(expected / shaft + 0.5)) * shaft
    on_shaft = abs(multiple - expected) <= TOLERANCE * expected
    for h in range(n_harmonics):
        floors[h] = local_floor(amplitudes, math.floor((h + 1) * expected + 0.5))
        ratio = ratio_to_floor(peaks, (h + 1) * multiple, floors[h]) if on_shaft else 1.0
        shaft_levels[h] = 20.0 * math.log10(ratio)
    step = 0.5 / n_harmonics
    steps = math.floor(TOLERANCE * expected / step)
    best = expected
    best_score = -np.inf
    best_product = -np.inf
    for s in range(-steps, steps + 1):
        base = expected + s * step
        # ratios are ordered like their levels, and their product like the sum of these: no logarithm is needed yet
        product = 1.0
        for h in range(n_harmonics):
            position = (h + 1) * base
            trial[h] = 1.0 if may_be_the_shaft(position, shaft) else ratio_to_floor(peaks, position, floors[h])
            product *= trial[h]
        score = _middle(trial)
        if score > best_score or (score == best_score and product > best_product):
            best = base
            best_score = score
            best_product = product
            levels[:] = trial
    for h in range(n_harmonics):
        levels[h] = 20.0 * math.log10(levels[h])
    return best


@kernel()
def _middle(ratios: F64) -> float:
    """Return the median by level of two or three ratios: of two it is their geometric mean."""
    if ratios.size == 2:
        return math.sqrt(ratios[0] * ratios[1])
    lower, upper = min(ratios[0], ratios[1]), max(ratios[0], ratios[1])
    middle: float = max(lower, min(upper, ratios[2]))
    return middle


@kernel()
def search_families(
    amplitudes: Real, expected: F64, n_harmonics: npt.NDArray[np.int64], shaft: float, out: F64
) -> None:
    """Fill `out` (n_rows, n_families, 3 + HARMONICS) with what each row of `amplitudes` (n_rows, n_bins) shows.

    That is the base position (bins), the median level (dB), the shaft order that the base can't be told from (0 where
    it can), and the harmonics' levels. `expected` (n_families,) are the bases by geometry, bins; a family of fewer than
    two harmonics is left out.
    """
    # room for all rows: nothing is allocated for each
    peaks, room = np.empty((2, amplitudes.shape[1]), amplitudes.dtype), np.empty((4, HARMONICS))
    for r in range(amplitudes.shape[0]):
        highest_peaks(amplitudes[r], peaks[0], peaks[1])
        for f in range(expected.size):
            if n_harmonics[f] >= 2:
                _search_one(amplitudes[r], peaks[1], expected[f], n_harmonics[f], shaft, room, out[r, f])


@kernel()
def _search_one(amplitudes: Real, peaks: Real, expected: float, n: int, shaft: float, room: F64, found: F64) -> None:
    """Fill `found` (3 + HARMONICS,) with what a row shows at one base; `room` is (4, HARMONICS)."""
    levels, shaft_levels = room[2, :n], room[3, :n]
    found[0] = search_family(amplitudes, peaks, expected, shaft, levels, shaft_levels, room[:2])
    found[1] = median(levels)
    found[2] = 0.0
    on_shaft = median(shaft_levels)
    if on_shaft > found[1] + _SHAFT_LEAD_DB:
        found[2] = max(1.0, math.floor(expected / shaft + 0.5))
        found[0], found[1] = found[2] * shaft, on_shaft
        levels[:] = shaft_levels
    found[3 : 3 + n] = levels
