"""What alarm limits are calibrated by: the largest sustained ratios of normal windows, and their form in a snapshot."""

import bisect
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from processors.detection.spot import KEPT, tail_limit
from processors.scoring.packing import Packing, not_below

#: By the digests of regimes' names, and whether the calibration is untold.
_CALIBRATIONS: Final = Packing(struct.Struct("<6sIBB"))


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
            self.largest.insert(at, not_below(ratio))
            del self.largest[:-KEPT]
            self._limit = None

    def limit(self, alpha: float) -> float:
        """Return the limit at `alpha`, never below 1."""
        if self._limit is None or self._limit[0] != alpha:
            self._limit = (alpha, max(1.0, tail_limit(self.largest, self.count, alpha)))
        return self._limit[1]


class LimitsState(msgspec.Struct, array_like=True):
    """What a snapshot holds.

    For each point the end of its last window and the shortest time between two, ns; for each (point, model) the last
    ratios, and its regimes in the order of last visits, as `packed`.
    """

    pace: dict[str, tuple[int, int]] = {}
    models: list[tuple[str, str, list[float], bytes]] = []


def packed(regimes: Mapping[bytes, Calibration]) -> bytes:
    """Return calibrations by the digests of regimes' names as bytes."""
    return b"".join(
        _CALIBRATIONS.packed(regime, min(kept.count, 2**32 - 1), kept.largest, kept.untold)
        for regime, kept in regimes.items()
    )


def unpacked(regimes: bytes) -> dict[bytes, Calibration]:
    """Return what `packed` wrote."""
    return {
        regime: Calibration(count, largest, bool(untold))
        for regime, count, largest, (untold,) in _CALIBRATIONS.unpacked(regimes)
    }
