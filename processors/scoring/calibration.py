"""Conformal thresholds: how high a model's score may be before it counts as abnormal.

The threshold is the ⌈(n + 1)(1 - α)⌉-th smallest of n scores of normal windows, so that a normal window exceeds it with
probability α at most, whatever the scores' distribution (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random
World, 2005). Below n = 99 no threshold of α = 0.01 exists, and none is given.

Invariants: only the largest scores are kept, since the threshold is always among them; a score is kept as the next
float16 that isn't below it, so that nothing that was seen exceeds it; a threshold that stays as it is stands alone.
"""

import bisect
import math
from typing import Final

from processors.scoring.packing import not_below

ALPHA: Final = 0.01
#: Windows needed for a threshold, and windows after which it stays as it is.
MIN_WINDOWS: Final = 99
MAX_WINDOWS: Final = 999
#: Rank from the top of the threshold after ``MAX_WINDOWS``: more scores are never needed.
KEPT: Final = 10


class Calibration:
    """The largest scores of normal windows, and how many windows there were.

    Parameters
    ----------
    count : int
        Normal windows seen.
    largest : list of float
        Their largest scores, in ascending order.

    Examples
    --------
    >>> calibration = Calibration()
    >>> for score in range(99):
    ...     calibration.add(score / 64)
    >>> calibration.threshold
    1.53125
    """

    def __init__(self, count: int = 0, largest: list[float] | None = None) -> None:
        self.count = count
        self.largest = largest if largest is not None else []

    @property
    def threshold(self) -> float | None:
        """The score that a normal window exceeds with probability α at most; ``None`` while too few are known."""
        if self.count < MIN_WINDOWS:
            return None
        if self.count >= MAX_WINDOWS:
            return self.largest[0]
        from_top = self.count - math.ceil((self.count + 1) * (1 - ALPHA)) + 1
        return self.largest[-from_top]

    def add(self, score: float) -> None:
        """Take the score of a normal window."""
        if self.count >= MAX_WINDOWS:
            return
        self.count += 1
        if len(self.largest) < KEPT or score > self.largest[0]:
            bisect.insort(self.largest, not_below(score))
            del self.largest[:-KEPT]
        if self.count == MAX_WINDOWS:
            del self.largest[1:]
