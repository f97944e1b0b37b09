"""What a scorer of one channel is: it says how abnormal a window is, takes windows in, and can be put away.

Invariants, which one suite tests for every scorer: inputs stay as they are; ``score`` changes nothing; memory is
bounded; a scorer built from a snapshot goes on bit for bit; undefined features count as normal; worse features don't
score lower.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Scorer(Protocol):
    """A stateful scorer of robust z's."""

    def score(self, z: NDArray[np.float64]) -> float | None:
        """Return how abnormal a window's robust z's (F,) are, finite and higher for worse; ``None`` while it learns."""

    def take(self, z: NDArray[np.float64], *, normal: bool) -> None:
        """Take the window in that was just scored; what is normal is learnt from `normal` windows alone."""

    def explain(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much each feature (F,) adds to the score; what isn't above 0 adds nothing."""

    def snapshot(self) -> bytes:
        """Return the whole state; building with it goes on from there."""
