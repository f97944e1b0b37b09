"""What alarm limits are calibrated by: the largest sustained ratios of normal windows, and their form in a snapshot."""

import bisect
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processors.detection.spot import KEPT, tail_limit
from processors.scoring.packing import Packing

_LARGEST: Final = float(np.finfo(np.float16).max)
#: By regimes' places among the names, and whether the calibration is untold.
_CALIBRATIONS: Final = Packing(struct.Struct("<HIBB"), "<f2")


@dataclass(slots=True)
class Calibration:
    """The largest sustained ratios of normal windows of one (point, regime, model), ascending, and how many there were.

    ``untold`` is set where the last report no longer says how it stands.
    """

    count: int = 0
    largest: list[float] = field(default_factory=list)
    untold: bool = False
    _limit: tuple[float, float] | None = None

    def add(self, ratio: float) -> None:
        """Take the sustained ratio of one normal window, as the next float16 that isn't below it."""
        self.count += 1
        at = bisect.bisect_left(self.largest, ratio)
        if at or len(self.largest) < KEPT:
            self.largest.insert(at, _not_below(ratio))
            del self.largest[:-KEPT]
            self._limit = None

    def limit(self, alpha: float) -> float:
        """Return the limit at `alpha`, never below 1."""
        if self._limit is None or self._limit[0] != alpha:
            self._limit = (alpha, max(1.0, tail_limit(self.largest, self.count, alpha)))
        return self._limit[1]


@dataclass(slots=True)
class LimitsState:
    """What a snapshot holds.

    For each point the end of its last window and the shortest time between two, ns; for each (point, model) the last
    ratios, and its regimes in the order of last visits, as `packed`. ``names`` are those of the regimes.
    """

    pace: dict[str, tuple[int, int]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    models: list[tuple[str, str, list[float], bytes]] = field(default_factory=list)


def packed(regimes: Mapping[str, Calibration], places: Mapping[str, int]) -> bytes:
    """Return calibrations by regime as bytes; `places` are those of the regimes' names."""
    return b"".join(
        _CALIBRATIONS.packed(places[regime], min(kept.count, 2**32 - 1), kept.largest, kept.untold)
        for regime, kept in regimes.items()
    )


def unpacked(regimes: bytes, names: Sequence[str]) -> dict[str, Calibration]:
    """Return what `packed` wrote, by regimes' names in their places."""
    return {
        names[place]: Calibration(count, largest, bool(untold))
        for place, count, largest, (untold,) in _CALIBRATIONS.unpacked(regimes)
    }


def _not_below(ratio: float) -> float:
    """Return the smallest float16 that isn't below a ratio; the largest where it lies above all."""
    ratio = min(ratio, _LARGEST)
    near = np.float16(ratio)
    # compared as float64: against a float16 NumPy would round the ratio itself
    return float(near if float(near) >= ratio else np.nextafter(near, np.float16(np.inf)))
