"""Whether a line is the bearing's own, or one of many of another source that happens to lie there.

What strikes every half second (a press, a cam, a broken link) has lines at all multiples of 2 Hz, about equally strong,
and one of them lies near any frequency of the bearing. A fault of the bearing has no such lines below its own and
between its harmonics. So the question is whether a family's base is the second, third … multiple of a comb whose other
lines stand as high: its first ones, and those on either side of the family's.

A comb whose spacing is a frequency of the bearing itself isn't foreign: an outer race's line is a multiple of the
cage's, an inner race's of the cage's against the shaft, an element's of its spin. Multiples of the shaft's frequency,
and sidebands of the family at its distance, prove nothing either way: a cage that turns at 0.4 of the shaft's speed and
modulates its lines has one at every fifth of it. A comb too dense for the window lifts the floor and hides itself.

Positions are in bins.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.kernel import kernel
from processors.line_levels import TOLERANCE, highest_peaks, local_floor, may_be_a_multiple, may_be_the_shaft

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: The finest comb that is resolved, bins: two lines of a Hann window and what lies between them.
_FINEST: Final = 6.0
#: Lines of the comb that are looked at: so many at its beginning, and on either side of each harmonic of the family.
_REACH: Final = 3
#: A line stands at twice its floor, and is as strong as the family's beside it at half of that one.
_OVER_FLOOR: Final = 2.0
_AS_STRONG: Final = 0.5
#: So large a share of them must.
_SHARE: Final = 0.75
#: Of three lines at the beginning one may be weak.
_FIRST_SHARE: Final = 0.6
#: So few lines tell nothing.
_FEWEST: Final = 3
#: A harmonic of the family stands at so much over its floor, dB.
_STANDS_DB: Final = 6.0


@kernel()
def foreign_spacing(amplitudes: Real, peaks: Real, base: float, levels: F64, shaft: float, own: F64) -> float:
    """Return the spacing of the foreign comb that a family is part of; 0 where it is none's.

    `base` is the family's first line, `levels` (n_harmonics,) what its harmonics have over the floor, dB; `own` are the
    frequencies of the bearing, and `shaft` is that of the shaft. ``highest_peaks`` found the `peaks` of `amplitudes`.
    """
    first = _exact_base(amplitudes, base, levels)
    finest = 0
    if first > 0.0:
        for order in range(2, math.floor(first / _FINEST) + 1):
            if _is_member(amplitudes, peaks, first, order, levels, shaft):
                finest = order
    if finest == 0:
        return 0.0
    # of a fine comb the next orders pass, too
    spacing = first / max(2.0, math.floor(first / _measured_spacing(amplitudes, first, finest, levels) + 0.5))
    for k in range(own.size):
        if abs(spacing - own[k]) <= TOLERANCE * own[k]:
            return 0.0
    return spacing


@kernel()
def foreign_comb(amplitudes: Real, base: float, levels: F64, shaft: float) -> float:
    """Return the same of a family alone, the first lines of a comb whose spacing is the bearing's own."""
    peaks = np.empty_like(amplitudes)
    highest_peaks(amplitudes, np.empty_like(amplitudes), peaks)
    return foreign_spacing(amplitudes, peaks, base, levels, shaft, np.empty(0))


@kernel()
def _exact_base(amplitudes: Real, base: float, levels: F64) -> float:
    """Return the base that fits the harmonics that stand; 0 where none does."""
    total = weight = 0.0
    for h in range(levels.size):
        if levels[h] >= _STANDS_DB:
            total += (h + 1) * _exact_position(amplitudes, (h + 1) * base)
            weight += (h + 1) ** 2
    return total / weight if weight > 0.0 else 0.0


@kernel()
def _exact_position(amplitudes: Real, position: float) -> float:
    """Return where the line next to `position` lies between the bins, by a parabola."""
    at = math.floor(position + 0.5)
    for k in range(at - 1, at + 2):
        if amplitudes[k] > amplitudes[at]:
            at = k
    left, middle, right = np.float64(amplitudes[at - 1]), np.float64(amplitudes[at]), np.float64(amplitudes[at + 1])
    bend = left - 2.0 * middle + right
    return at + max(-0.5, min(0.5, 0.5 * (left - right) / bend)) if bend < 0.0 else float(at)


@kernel()
def _is_member(amplitudes: Real, peaks: Real, base: float, order: int, levels: F64, shaft: float) -> bool:
    """Return whether lines of the comb that has `base` as its multiple of `order` stand beside those of the family."""
    beginning = min(_REACH, order - 1)
    seen = passed = 0
    for multiple in range(1, levels.size * order + beginning + 1):
        verdict = _verdict(amplitudes, peaks, base, multiple, order, levels, shaft)
        seen += int(verdict >= 0)
        passed += int(verdict > 0)
        if multiple == beginning and (seen == 0 or passed < _FIRST_SHARE * seen):
            return False
    return seen >= _FEWEST and passed >= _SHARE * seen


@kernel()
def _verdict(amplitudes: Real, peaks: Real, base: float, multiple: int, order: int, levels: F64, shaft: float) -> int:
    """Return whether a line of the comb is as strong as the family's beside it (1, 0), or isn't asked (-1)."""
    beyond = multiple % order
    position = multiple * base / order
    at = math.floor(position + 0.5)
    if beyond == 0 or min(beyond, order - beyond) > _REACH or at + 2 > amplitudes.size:
        return -1
    harmonic = _harmonic_beside(multiple, order, levels)
    if harmonic == 0 or may_be_the_shaft(position, shaft) or _may_be_a_sideband(position, base, shaft):
        return -1
    as_strong = peaks[at] >= _AS_STRONG * peaks[math.floor(harmonic * base + 0.5)]
    return int(as_strong and peaks[at] >= _OVER_FLOOR * local_floor(amplitudes, at))


@kernel()
def _may_be_a_sideband(position: float, base: float, shaft: float) -> bool:
    """Return whether a line may be one of the family's harmonics that the shaft modulates, or the other way about."""
    for order in (-2, -1, 1, 2):
        distance = abs(position + order * shaft)
        if distance > 0.5 * base and may_be_a_multiple(distance, base):
            return True
    return False


@kernel()
def _harmonic_beside(multiple: int, order: int, levels: F64) -> int:
    """Return the harmonic next to a line of the comb if it stands, at its beginning the first that does; 0 for none."""
    nearest = min((2 * multiple + order) // (2 * order), levels.size)
    if nearest > 0 and levels[nearest - 1] >= _STANDS_DB:
        return nearest
    for h in range(levels.size):
        if nearest == 0 and levels[h] >= _STANDS_DB:
            return h + 1
    return 0


@kernel()
def _measured_spacing(amplitudes: Real, base: float, order: int, levels: F64) -> float:
    """Return the distance between the lines next to the family's harmonics that stand."""
    total = weight = 0.0
    for h in range(1, levels.size + 1):
        if levels[h - 1] >= _STANDS_DB:
            for offset in (-2, -1, 1, 2):
                position = (h + offset / order) * base
                if abs(offset) < order and position + 3.0 < amplitudes.size:
                    total += offset * (_exact_position(amplitudes, position) - h * base)
                    weight += offset * offset
    return total / weight
