"""How far a line of an envelope spectrum stands over its local floor, and whether it may be somebody else's.

Positions are in bins.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.kernel import kernel
from processors.median import median

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: A line of the bearing lies within this share of where its geometry has it.
TOLERANCE: Final = 0.03
#: The floor of a line is the median of this many bins on either side.
FLOOR_REACH: Final = 40
#: A line within so many bins, or this share of its frequency, of a multiple of the shaft speed may be the shaft's.
_SHAFT_BINS: Final = 2.0
_SHAFT_SHARE: Final = 0.003
#: A comb is found by its lines, so that it lies where they are.
_COMB_BINS: Final = 2.0


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
def may_be_a_multiple(position: float, spacing: float) -> bool:
    """Return whether a line at `position` can't be told from one of the comb with this `spacing` (both in bins)."""
    return abs(position - math.floor(position / spacing + 0.5) * spacing) < _COMB_BINS


@kernel()
def may_be_foreign(position: float, spacings: F64) -> bool:
    """Return whether a line at `position` can't be told from one of any comb with these `spacings` (all in bins)."""
    found = False
    for k in range(spacings.size):
        found |= may_be_a_multiple(position, spacings[k])
    return found
