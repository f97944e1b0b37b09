"""ADWIN as a scorer: a window that grows while its mean holds, and forgets its older part when that no longer fits.

What it looks at is the worst of a channel's features, standardised like the charts'. The score is how far the newer
part of the window lies above the older one. The older part is forgotten on normal windows alone: while a fault is
suspected it stays, or the fault would become what is normal.

The window is an exponential histogram (ADWIN2): buckets of 1, 2, 4, … values, at most `MAX_BUCKETS` of a size; each
keeps sum and squared deviations. Invariants: sums, widths and drifts are those of River's ``ADWIN``, to the bit
(tested); memory is bounded: a window of some five million values forgets its oldest. River's own object keeps its state
in compiled code, which neither shows nor takes it.

Source: Bifet & Gavaldà, Learning from Time-Changing Data with Adaptive Windowing (2007), in the form of River 0.26.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from processors.scoring.explanation import SEVERITY_COLUMNS, severity_weights, severity_z
from processors.scoring.running import LEAST_DEVIATION, MOST_DEVIATIONS, STARTED, StandardScaler
from processors.scoring.state import numbers_of

F64 = NDArray[np.float64]

#: δ: how probable a false drift may be at one look.
DELTA: Final = 0.002
#: Buckets of a size; one more, and the two oldest become one of the next size.
MAX_BUCKETS: Final = 5
#: Shorter parts aren't compared, and shorter windows not at all.
MIN_PART: Final = 5
GRACE: Final = 10
#: Sizes of buckets: 1 to 2^19 values.
_LEVELS: Final = 20
_HEAD: Final = 1 + 2 * len(SEVERITY_COLUMNS)


class AdaptiveWindow:
    """One window of numbers, with River's ``clock=1``: every value is looked at.

    Parameters
    ----------
    state : bytes, optional
        A snapshot to go on from.

    Attributes
    ----------
    width : int
        Values in the window.
    total, squares : float
        Their sum, and the sum of their squared deviations.

    Raises
    ------
    ConfigurationError
        If the snapshot isn't one.

    Examples
    --------
    >>> window = AdaptiveWindow()
    >>> [number for number in range(80) if window.update(0.0 if number < 40 else 4.0)]
    [49, 50, 52, 58, 66]
    >>> window.width
    44
    """

    def __init__(self, state: bytes | None = None) -> None:
        self.width, self.total, self.squares = 0, 0.0, 0.0
        #: Sum and squared deviations of the buckets of each size, oldest first.
        self._levels: list[list[tuple[float, float]]] = [[] for _ in range(_LEVELS)]
        if state is not None:
            self._resume(state)

    def update(self, x: float) -> bool:
        """Take a number, then forget the oldest ones while an older part differs; return whether one did."""
        self.insert(x)
        changed = False
        while self.width > GRACE and self._differs():
            self._forget()
            changed = True
        return changed

    def insert(self, x: float) -> None:
        """Take a number and forget nothing."""
        self.width += 1
        if self.width > 1:
            apart = x - self.total / (self.width - 1.0)
            self.squares += (self.width - 1.0) * apart * apart / self.width
        self.total += x
        self._levels[0].append((x, 0.0))
        for level, buckets in enumerate(self._levels):
            if len(buckets) <= MAX_BUCKETS:
                return
            if level == _LEVELS - 1:
                self._forget()
                return
            size = 2.0**level
            (total, squares), (next_total, next_squares) = buckets[0], buckets[1]
            apart = total / size - next_total / size
            merged = size * size * apart * apart / (size + size)
            self._levels[level + 1].append((total + next_total, squares + next_squares + merged))
            del buckets[:2]

    def rise(self, x: float) -> float | None:
        """Return how far the window's newer part, with `x` in it, lies above its older one, at the cut where most.

        Parameters
        ----------
        x : float
            The next number; it isn't taken.

        Returns
        -------
        rise : float or None
            Difference of the means over ADWIN's bound for it, 0 or more; about 1 where `update` would see a drift.
            ``None`` in a window of `GRACE` numbers or fewer. The variance is that of the window without `x`, so that
            more is never less.
        """
        if self.width <= GRACE:
            return None
        older, older_total, newer, newer_total = self._parts()
        bound = _bound(older, newer + 1.0, max(self.squares, 0.0) / self.width, self.width + 1)
        apart = (newer_total + x) / (newer + 1.0) - older_total / older
        fits = (older >= MIN_PART) & (newer + 1.0 >= MIN_PART)
        return float(np.max(apart[fits] / bound[fits], initial=0.0))

    def snapshot(self) -> bytes:
        """Return width, sums, the number of buckets of each size and the buckets, as little-endian float64."""
        counts = [float(len(buckets)) for buckets in self._levels]
        buckets = [number for level in self._levels for bucket in level for number in bucket]
        return np.array([float(self.width), self.total, self.squares, *counts, *buckets], dtype="<f8").tobytes()

    def _resume(self, state: bytes) -> None:
        head = 3 + _LEVELS
        numbers = np.frombuffer(state, dtype="<f8").tolist() if len(state) % 8 == 0 else []
        counts = [int(count) for count in numbers[3:head]]
        if len(counts) != _LEVELS or len(numbers) != head + 2 * sum(counts):
            raise ConfigurationError(f"{len(state)} bytes are no state of an adaptive window")
        self.width, self.total, self.squares = int(numbers[0]), numbers[1], numbers[2]
        place = head
        for level, count in enumerate(counts):
            ends = place + 2 * count
            self._levels[level] = list(zip(numbers[place:ends:2], numbers[place + 1 : ends : 2], strict=True))
            place = ends

    def _parts(self) -> tuple[F64, F64, F64, F64]:
        """Return numbers and sums of the older and the newer part for each cut, the newest bucket never alone."""
        oldest_first = range(_LEVELS - 1, -1, -1)
        totals = [total for level in oldest_first for total, _ in self._levels[level]]
        sizes = [2.0**level for level in oldest_first for _ in self._levels[level]]
        # one addition after the other, as River does it
        older, older_total = np.add.accumulate(sizes), np.add.accumulate(totals)
        newer_total = np.subtract.accumulate([self.total, *totals])[1:]
        return older[:-1], older_total[:-1], self.width - older[:-1], newer_total[:-1]

    def _differs(self) -> bool:
        older, older_total, newer, newer_total = self._parts()
        fits = (older >= MIN_PART) & (newer >= MIN_PART)
        apart = np.abs(older_total[fits] / older[fits] - newer_total[fits] / newer[fits])
        return bool((apart > _bound(older[fits], newer[fits], self.squares / self.width, self.width)).any())

    def _forget(self) -> None:
        """Forget the oldest bucket."""
        level = max(number for number, buckets in enumerate(self._levels) if buckets)
        size = 2.0**level
        total, squares = self._levels[level].pop(0)
        self.width -= int(size)
        self.total -= total
        apart = total / size - self.total / self.width
        self.squares -= squares + size * self.width * apart * apart / (size + self.width)


def _bound(older: F64, newer: F64, variance: float, width: int) -> F64:
    """Return ε_cut of parts of `older` and `newer` values."""
    log_share = math.log(2.0 * math.log(width) / DELTA)
    with np.errstate(divide="ignore", invalid="ignore"):  # parts that are too short, which nobody looks at
        reciprocal = 1.0 / (older - MIN_PART + 1.0) + 1.0 / (newer - MIN_PART + 1.0)
        return np.asarray(np.sqrt(2.0 * reciprocal * variance * log_share) + 2.0 / 3.0 * log_share * reciprocal)


class Adwin:
    """How far the newer part of the adaptive window lies above the older one, over ADWIN's bound.

    Parameters
    ----------
    state : bytes, optional
        A snapshot to go on from.

    Raises
    ------
    ConfigurationError
        If the snapshot isn't one.
    """

    def __init__(self, state: bytes | None = None) -> None:
        head, rest = (None, None) if state is None else (state[: 8 * _HEAD], state[8 * _HEAD :])
        self._scaler = StandardScaler(numbers_of(head, _HEAD, "ADWIN's standardisation"))
        self._window = AdaptiveWindow(rest)

    def score(self, z: F64) -> float | None:
        """Return the rise with this window in it, 0 or more; ``None`` while the adaptive window is short."""
        return self._window.rise(self._worst(z))

    def take(self, z: F64, *, normal: bool) -> None:
        """Take the window in; what is normal decides how long the adaptive window is."""
        if self._scaler.count < STARTED:
            if normal:
                self._scaler.learn(severity_z(z))
        elif normal:
            self._window.update(self._worst(z))
        else:
            self._window.insert(self._worst(z))

    def explain(self, z: F64) -> F64:
        """Return each feature's deviation in this window, standardised."""
        return severity_weights(self._standard(z))

    def snapshot(self) -> bytes:
        """Return the standardisation and the adaptive window, as little-endian float64."""
        return self._scaler.snapshot().astype("<f8").tobytes() + self._window.snapshot()

    def _standard(self, z: F64) -> F64:
        return np.clip(self._scaler.transform(severity_z(z), LEAST_DEVIATION), -MOST_DEVIATIONS, MOST_DEVIATIONS)

    def _worst(self, z: F64) -> float:
        return float(self._standard(z).max())
