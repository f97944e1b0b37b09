"""Scorers that go on learning: the robust baseline is frozen once it is known, these follow the machine.

``standard-scaler`` standardises by running mean and variance, ``quantile-filter`` sets the size of all deviations
against its own running quantile. They learn from normal windows alone. Invariants: means, variances and quantiles are
those of River's ``StandardScaler`` and ``Quantile``, to the bit (tested); memory is constant.

Why not River's objects: the quantile's state lies in compiled code, which neither shows nor takes it, and the first
import of River takes seconds, in which a stream would stand still.

Sources: Welford (1962) for the running variance; Jain & Chlamtac, The P² Algorithm for Dynamic Calculation of Quantiles
and Histograms Without Storing Observations (1985), both in the form of River 0.26.
"""

import bisect
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.scoring.explanation import SEVERITY_COLUMNS, severity_weights, severity_z
from processors.scoring.state import numbers_of

F64 = NDArray[np.float64]

#: Normal windows before the first score.
STARTED: Final = 50
#: The share of normal windows that a quantile filter lets pass.
QUANTILE: Final = 0.99
#: Features that hardly move have at least this deviation, in deviations of the baseline.
LEAST_DEVIATION: Final = 0.1
#: In a chart or an adaptive window a value counts no more than this, σ, so that a wild one is forgotten in time.
MOST_DEVIATIONS: Final = 5.0
#: No quantile of the root mean of z's is smaller: a machine that never moves would be far above it at once.
_LEAST_QUANTILE: Final = 0.1
_N: Final = len(SEVERITY_COLUMNS)
_MARKERS: Final = 5


class StandardScaler:
    """Running mean and population variance of several features, with the bits of River's.

    Parameters
    ----------
    state : ndarray, shape (1 + 2 n,), float64
        A snapshot to go on from; zeros in the beginning.

    Examples
    --------
    >>> scaler = StandardScaler(np.zeros(3))
    >>> for x in (1.0, 2.0, 3.0):
    ...     scaler.learn(np.array([x]))
    >>> scaler.transform(np.array([4.0]), least_deviation=0.1).round(3).tolist()
    [2.449]
    """

    def __init__(self, state: F64) -> None:
        self.count = int(state[0])
        self.means, self.variances = state[1:].reshape(2, -1).copy()

    def learn(self, x: F64) -> None:
        """Take a normal window, (n,)."""
        self.count += 1
        apart = x - self.means
        self.means = self.means + apart / self.count
        self.variances = self.variances + (apart * (x - self.means) - self.variances) / self.count

    def transform(self, x: F64, least_deviation: float) -> F64:
        """Return how many deviations, of at least `least_deviation`, a window lies above the means, (n,)."""
        return np.asarray((x - self.means) / np.maximum(np.sqrt(self.variances), least_deviation))

    def snapshot(self) -> F64:
        """Return count, means and variances."""
        return np.concatenate([[float(self.count)], self.means, self.variances])


class Quantile:
    """Running quantile by five markers, with the bits of River's.

    Parameters
    ----------
    q : float
        Which quantile, between 0 and 1.
    state : ndarray, shape (16,), float64
        A snapshot to go on from; zeros in the beginning.

    Examples
    --------
    >>> median = Quantile(0.5, np.zeros(16))
    >>> for x in (5.0, 1.0, 4.0, 2.0, 3.0, 9.0, 3.0):
    ...     median.update(x)
    >>> round(median.value, 3)
    3.667
    """

    def __init__(self, q: float, state: F64) -> None:
        self._q = q
        self.count = int(state[0])
        self._positions, self._wanted, heights = state[1:].reshape(3, _MARKERS).tolist()
        self._heights: list[float] = heights[: self.count]

    @property
    def value(self) -> float:
        """The quantile of all numbers so far; of the first five the nearest by rank."""
        if self.count > _MARKERS:
            return self._heights[2]
        return self._heights[int(min(self.count - 1, self.count * self._q))]

    def update(self, x: float) -> None:
        """Take a number."""
        self.count += 1
        if self.count <= _MARKERS:
            bisect.insort(self._heights, x)
            self._positions = [1.0, 2.0, 3.0, 4.0, 5.0]
            self._wanted = [1.0, 1.0 + 2.0 * self._q, 1.0 + 4.0 * self._q, 3.0 + 2.0 * self._q, 5.0]
            return
        heights = self._heights
        heights[0], heights[-1] = min(heights[0], x), max(heights[-1], x)
        place = min(max(bisect.bisect_right(heights, x), 1), _MARKERS - 1)
        self._positions[place:] = [position + 1.0 for position in self._positions[place:]]
        # added up, as River does it: a product would differ in the last bit, and with it whether a marker moves
        steps = (0.0, self._q / 2.0, self._q, (1.0 + self._q) / 2.0, 1.0)
        self._wanted = [wanted + step for wanted, step in zip(self._wanted, steps, strict=True)]
        for marker in range(1, _MARKERS - 1):
            self._adjust(marker)

    def snapshot(self) -> F64:
        """Return count, positions, wanted positions and heights of the markers."""
        heights = self._heights + [0.0] * (_MARKERS - len(self._heights))
        return np.array([float(self.count), *self._positions, *self._wanted, *heights])

    def _adjust(self, marker: int) -> None:
        """Move a marker by one where it is off by one, along a parabola if that keeps the order."""
        (before, at, after), heights = self._positions[marker - 1 : marker + 2], self._heights
        off = self._wanted[marker] - at
        if not ((off >= 1.0 and after - at > 1.0) or (off <= -1.0 and before - at < -1.0)):
            return
        step = math.copysign(1.0, off)
        low, height, high = heights[marker - 1 : marker + 2]
        inner = (at - before + step) * (high - height) / (after - at)
        inner += (after - at - step) * (height - low) / (at - before)
        moved = height + step / (after - before) * inner
        if not low < moved < high:
            other = marker + int(step)
            moved = height + step * (heights[other] - height) / (self._positions[other] - at)
        heights[marker] = moved
        self._positions[marker] = at + step


class StandardScaling:
    """How far the worst feature lies above its running mean, in running standard deviations.

    Parameters
    ----------
    state : bytes, optional
        A snapshot to go on from.

    Raises
    ------
    ConfigurationError
        If the snapshot has another length.
    """

    def __init__(self, state: bytes | None = None) -> None:
        self._scaler = StandardScaler(numbers_of(state, 1 + 2 * _N, "a standard scaler"))

    def score(self, z: F64) -> float | None:
        """Return the largest deviation, 0 or more; ``None`` before `STARTED` normal windows."""
        return max(0.0, float(self._above(z).max())) if self._scaler.count >= STARTED else None

    def take(self, z: F64, *, normal: bool) -> None:
        """Learn from a normal window."""
        if normal:
            self._scaler.learn(severity_z(z))

    def explain(self, z: F64) -> F64:
        """Return each feature's deviation."""
        return severity_weights(self._above(z))

    def snapshot(self) -> bytes:
        """Return the count of normal windows, means and variances, as little-endian float64."""
        return self._scaler.snapshot().astype("<f8").tobytes()

    def _above(self, z: F64) -> F64:
        return self._scaler.transform(severity_z(z), LEAST_DEVIATION)


class QuantileFilter:
    """How large the deviations are as a whole, over the running `QUANTILE` of that size.

    From 1 on River's ``anomaly.QuantileFilter`` around the same size calls a window anomalous.

    Parameters
    ----------
    state : bytes, optional
        A snapshot to go on from.

    Raises
    ------
    ConfigurationError
        If the snapshot has another length.
    """

    def __init__(self, state: bytes | None = None) -> None:
        self._quantile = Quantile(QUANTILE, numbers_of(state, 1 + 3 * _MARKERS, "a quantile filter"))

    def score(self, z: F64) -> float | None:
        """Return the root mean of the z's above 0 over its quantile; ``None`` before `STARTED` normal windows."""
        if self._quantile.count < STARTED:
            return None
        return _root_mean_above(z) / max(self._quantile.value, _LEAST_QUANTILE)

    def take(self, z: F64, *, normal: bool) -> None:
        """Learn from a normal window."""
        if normal:
            self._quantile.update(_root_mean_above(z))

    def explain(self, z: F64) -> F64:
        """Return the square of each z above 0."""
        return severity_weights(_squares_above(z))

    def snapshot(self) -> bytes:
        """Return the count of normal windows and the markers, as little-endian float64."""
        return self._quantile.snapshot().astype("<f8").tobytes()


def _root_mean_above(z: F64) -> float:
    return math.sqrt(float(_squares_above(z).mean()))


def _squares_above(z: F64) -> F64:
    return np.square(np.maximum(severity_z(z), 0.0))
