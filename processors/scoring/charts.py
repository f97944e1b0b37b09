"""Control charts as scorers: small lasting shifts of a channel's features, which no single window shows.

The charts run over the robust z's of the features of which more is worse, upwards, once more standardised by mean and
deviation of `STARTED` normal windows: a baseline of ten windows is off by half a deviation here and there, which a sum
would take for a shift. They go on while a fault is suspected, or they would never come back; what is normal is learnt
from normal windows alone. Values are clipped and sums have a ceiling, so that a wild value is forgotten in time.

Sources: Roberts (1959) and Lucas & Saccucci (1990) for EWMA; Page (1954) for CUSUM; Page (1954) and Hinkley (1971) for
the Page-Hinkley test, in the form of River's ``PageHinkley``; Welford (1962) for the running deviation.
"""

import math
from abc import ABC, abstractmethod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.scoring.explanation import SEVERITY_COLUMNS, severity_weights, severity_z
from processors.scoring.running import LEAST_DEVIATION, MOST_DEVIATIONS, STARTED
from processors.scoring.state import numbers_of

F64 = NDArray[np.float64]

#: λ of the EWMA; with L = 2.7 one in 365 independent normal rows lies outside, and a shift of 1 σ is found in 10.
SMOOTHING: Final = 0.1
#: k of the CUSUM: half the shift to be found soonest, σ.
ALLOWANCE: Final = 0.5
#: δ, σ, and α of Page-Hinkley.
TOLERANCE: Final = 0.25
FORGETTING: Final = 0.9999
#: No sum rises above the ceiling.
_CEILING: Final = 50.0
_N: Final = len(SEVERITY_COLUMNS)
_CHART, _MEAN, _SQUARES, _LEVEL = range(4)


class _Chart(ABC):
    """A number for each feature of which more is worse, beside mean, squared deviations, and a level where it has one.

    Parameters
    ----------
    state : bytes, optional
        A snapshot to go on from.

    Raises
    ------
    ConfigurationError
        If the snapshot has another length.
    """

    _rows = 3

    def __init__(self, state: bytes | None = None) -> None:
        numbers = numbers_of(state, 1 + self._rows * _N, "a chart")
        self._count = int(numbers[0])
        self._state = numbers[1:].reshape(self._rows, _N)

    @abstractmethod
    def _after(self, x: F64) -> F64:
        """Return what the chart shows once a standardised window (n,) is in it."""

    def _learn(self, x: F64) -> None:  # noqa: B027 -- most charts learn nothing more
        """Learn from a normal standardised window."""

    def score(self, z: F64) -> float | None:
        """Return the highest value of the chart with this window in it; ``None`` before it has started."""
        return max(0.0, float(self._after(self._standard(z)).max())) if self._count >= STARTED else None

    def take(self, z: F64, *, normal: bool) -> None:
        """Put the window into the chart, or learn mean and deviation from it."""
        if self._count < STARTED:
            self._start(severity_z(z), normal=normal)
            return
        x = self._standard(z)
        after = self._after(x)
        if normal:
            self._learn(x)
            self._count += 1
        self._state[_CHART] = after

    def explain(self, z: F64) -> F64:
        """Return the chart's value of each feature."""
        return severity_weights(self._after(self._standard(z)) if self._count >= STARTED else np.nan)

    def snapshot(self) -> bytes:
        """Return the count of normal windows and the state, as little-endian float64."""
        return np.concatenate([[float(self._count)], self._state.ravel()]).astype("<f8").tobytes()

    def _start(self, x: F64, *, normal: bool) -> None:
        if not normal:
            return
        self._count += 1
        apart = x - self._state[_MEAN]
        self._state[_MEAN] += apart / self._count
        self._state[_SQUARES] += apart * (x - self._state[_MEAN])

    def _standard(self, z: F64) -> F64:
        deviation = np.maximum(np.sqrt(self._state[_SQUARES] / (STARTED - 1)), LEAST_DEVIATION)
        return np.asarray(np.clip((severity_z(z) - self._state[_MEAN]) / deviation, -MOST_DEVIATIONS, MOST_DEVIATIONS))


class Ewma(_Chart):
    """Exponentially weighted moving averages, in standard deviations of a chart that has run for long."""

    def _after(self, x: F64) -> F64:
        sigma = math.sqrt(SMOOTHING / (2.0 - SMOOTHING))
        return np.asarray((1.0 - SMOOTHING) * self._state[_CHART] + SMOOTHING / sigma * x)


class Cusum(_Chart):
    """Sums S = max(0, S + z - k), σ."""

    def _after(self, x: F64) -> F64:
        return np.asarray(np.clip(self._state[_CHART] + x - ALLOWANCE, 0.0, _CEILING))


class PageHinkley(_Chart):
    """Sums S = max(0, αS + z - mean - δ), σ, with the mean of all normal windows since the start."""

    _rows = 4

    def _mean_with(self, x: F64) -> F64:
        return np.asarray(self._state[_LEVEL] + (x - self._state[_LEVEL]) / (self._count - STARTED + 1))

    def _after(self, x: F64) -> F64:
        sums = FORGETTING * self._state[_CHART] + x - self._mean_with(x) - TOLERANCE
        return np.asarray(np.clip(sums, 0.0, _CEILING))

    def _learn(self, x: F64) -> None:
        self._state[_LEVEL] = self._mean_with(x)
