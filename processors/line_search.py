"""The search for families of lines in an envelope spectrum: base, harmonics, their levels over the local floor.

Positions are in bins. A line on a multiple of the shaft frequency has level 0: it may be the shaft's own. So has one of
a comb whose other lines stand as high: it is that one's.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.foreign_combs import foreign_spacing
from processors.kernel import kernel
from processors.line_levels import (
    TOLERANCE,
    highest_peaks,
    local_floor,
    may_be_foreign,
    may_be_the_shaft,
    ratio_to_floor,
)
from processors.median import median

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: Harmonics looked at.
HARMONICS: Final = 3
#: What is found of a family, beside the levels of its harmonics, and with them.
_N_FACTS: Final = 4
N_FOUND: Final = _N_FACTS + HARMONICS
#: Where the shaft's multiples stand out so much more than any other base, they are what is reported.
_SHAFT_LEAD_DB: Final = 10.0
#: A family below this level is none, whoever's its lines are.
_DOUBTED_DB: Final = 8.0
#: Only of one above this level is it told that its lines are another's; noise has weaker ones by chance.
_TOLD_DB: Final = 10.0


@kernel()
def search_family(
    amplitudes: Real,
    peaks: Real,
    expected: float,
    shaft: float,
    foreign: F64,
    levels: F64,
    shaft_levels: F64,
    room: F64,
) -> float:
    """Return the base position (bins) near `expected` whose harmonics stand out most.

    `shaft` is the shaft frequency (bins) and `foreign` the spacings of other combs: lines on their multiples have level
    0. `levels` (n_harmonics,) is filled with the levels over the local floor, dB, and `shaft_levels` with those at the
    shaft's multiple next to `expected`. The harmonics must lie within `amplitudes` (n_bins,), whose `peaks`
    ``highest_peaks`` found; `room` is (2, HARMONICS).
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
            left_out = may_be_the_shaft(position, shaft) or may_be_foreign(position, foreign)
            trial[h] = 1.0 if left_out else ratio_to_floor(peaks, position, floors[h])
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
    amplitudes: Real, expected: F64, n_harmonics: npt.NDArray[np.int64], shaft: float, own: F64, out: F64
) -> None:
    """Fill `out` (n_rows, n_families, N_FOUND) with what each row of `amplitudes` (n_rows, n_bins) shows.

    That is the base position (bins), the median level (dB), the shaft order that the base can't be told from (0 where
    it can), the spacing of a foreign comb that was left out (bins; 0 where there is none), and the harmonics' levels.
    `expected` (n_families,) are the bases by geometry and `own` all frequencies of the bearing, bins; a family of fewer
    than two harmonics is left out.
    """
    # room for all rows: nothing is allocated for each
    peaks, room = np.empty((2, amplitudes.shape[1]), amplitudes.dtype), np.empty((5, HARMONICS))
    for r in range(amplitudes.shape[0]):
        highest_peaks(amplitudes[r], peaks[0], peaks[1])
        for f in range(expected.size):
            if n_harmonics[f] >= 2:
                _search_one(amplitudes[r], peaks[1], expected[f], n_harmonics[f], shaft, own[f], room, out[r, f])


@kernel()
def _search_one(
    amplitudes: Real, peaks: Real, expected: float, n: int, shaft: float, own: F64, room: F64, found: F64
) -> None:
    """Fill `found` (N_FOUND,) with what a row shows at one base; `room` is (5, HARMONICS)."""
    levels, shaft_levels, foreign = room[2, :n], room[3, :n], room[4]
    combs, found[3] = 0, 0.0
    while True:
        found[0] = search_family(amplitudes, peaks, expected, shaft, foreign[:combs], levels, shaft_levels, room[:2])
        found[1] = median(levels)
        if found[1] < _DOUBTED_DB or combs == foreign.size:
            break
        spacing = foreign_spacing(amplitudes, peaks, found[0], levels, shaft, own)
        if spacing == 0.0:
            break
        foreign[combs] = spacing
        combs += 1
        if found[3] == 0.0 and found[1] >= _TOLD_DB:
            found[3] = spacing
    found[2] = 0.0
    on_shaft = median(shaft_levels)
    if on_shaft > found[1] + _SHAFT_LEAD_DB:
        found[2] = max(1.0, math.floor(expected / shaft + 0.5))
        found[0], found[1] = found[2] * shaft, on_shaft
        levels[:] = shaft_levels
    found[_N_FACTS : _N_FACTS + n] = levels
