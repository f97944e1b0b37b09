"""The score of the Numenta Anomaly Benchmark, standard profile, by its definition.

A labelled window is worth its earliest alarm: 1 at its left end, less towards its right end by a sigmoid, minus 1 if it
is missed. Each alarm outside costs up to 0.11, less shortly after a window. The first rows of a file are a probation
and count for nothing. The sum is scaled so that no alarm at all is 0 and every window at its left end is 100.

Source: Lavin & Ahmad, Evaluating Real-time Anomaly Detection Algorithms (2015), and the benchmark's own code (sweeper
and runner of its version 1.1), whose sums this gives to the last digit (tested against stored ones).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Weights of the standard profile: an alarm in a window, one outside, a window without.
HIT: Final = 1.0
FALSE: Final = 0.11
MISS: Final = 1.0
#: Share of a file's rows that are its probation, of at most so many rows.
_PROBATION: Final = 0.15
_PROBATION_OF: Final = 5000
_STEEPNESS: Final = 5.0
#: So many window lengths after a window an alarm costs all.
_FAR: Final = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One file: anomaly scores (n,), higher is more abnormal, and first and last row of each window, in order."""

    scores: F64
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class NabScore:
    """The score at a threshold, 100 at best, with the windows found and missed, and the alarms outside them."""

    score: float
    threshold: float
    found: int
    missed: int
    false: int


def probation(rows: int) -> int:
    """Return how many rows at a file's start don't count.

    Examples
    --------
    >>> probation(4032), probation(22695)
    (604, 750)
    """
    return math.ceil(min(math.floor(_PROBATION * rows), _PROBATION * _PROBATION_OF))


def at_threshold(files: Sequence[Scored], threshold: float) -> NabScore:
    """Return the score of several files with alarms where the score is at least `threshold`."""
    total, found, false = 0.0, 0, 0
    for file in files:
        worth, window = _worth(len(file.scores), file.windows)
        alarmed = file.scores >= threshold
        alarmed[: probation(len(alarmed))] = False
        outside = alarmed & (window < 0)
        total += float(worth[outside].sum())
        false += int(outside.sum())
        for index in range(len(file.windows)):
            hits = worth[alarmed & (window == index)]
            total += float(hits.max()) if hits.size else -MISS
            found += bool(hits.size)
    windows = sum(len(file.windows) for file in files)
    return NabScore(_scaled(total, windows), threshold, found, windows - found, false)


def optimised(files: Sequence[Scored]) -> NabScore:
    """Return the score at the one threshold for all files that is best for them, as the benchmark's own optimiser."""
    scores, worth, owner, offset = [], [], [], 0
    for file in files:
        own_worth, window = _worth(len(file.scores), file.windows)
        counts = slice(probation(len(file.scores)), None)
        scores.append(file.scores[counts])
        worth.append(own_worth[counts])
        owner.append(np.where(window >= 0, window + offset, -1)[counts])
        offset += len(file.windows)
    threshold = _best_threshold(np.concatenate(scores), np.concatenate(worth), np.concatenate(owner), offset)
    return at_threshold(files, threshold)


def _best_threshold(scores: F64, worth: F64, owner: NDArray[np.int64], windows: int) -> float:
    """Return the highest threshold with the best sum; one above all scores where silence is best."""
    order = np.argsort(-scores, kind="stable")
    found = np.full(windows, -MISS)
    outside, best, threshold = 0.0, -MISS * windows, math.inf
    last = len(order) - 1
    for place, row in enumerate(order.tolist()):
        if owner[row] < 0:
            outside += worth[row]
        else:
            found[owner[row]] = max(found[owner[row]], worth[row])
        # equal scores are alarmed together
        if (place == last or scores[order[place + 1]] != scores[row]) and found.sum() + outside > best:
            best, threshold = float(found.sum()) + outside, float(scores[row])
    return threshold


def _worth(rows: int, windows: tuple[tuple[int, int], ...]) -> tuple[F64, NDArray[np.int64]]:
    """Return what an alarm at each row is worth, and the window that the row is in (-1 for none)."""
    worth = np.full(rows, -FALSE)
    owner = np.full(rows, -1, dtype=np.int64)
    for index, (first, last) in enumerate(windows):
        behind = np.arange(last + 1, rows)
        distance = (behind - last) / max(last - first, 1)
        worth[last + 1 :] = FALSE * np.where(distance > _FAR, -1.0, _sigmoid(np.minimum(distance, _FAR)))
        inside = np.arange(first, last + 1)
        worth[first : last + 1] = HIT * _sigmoid((inside - last - 1) / (last - first + 1)) / _sigmoid(np.array(-1.0))
        owner[first : last + 1] = index
    return worth, owner


def _sigmoid(position: F64) -> F64:
    return np.asarray(2.0 / (1.0 + np.exp(_STEEPNESS * position)) - 1.0)


def _scaled(total: float, windows: int) -> float:
    if windows == 0:
        return math.nan
    return 100.0 * (total + MISS * windows) / (HIT * windows + MISS * windows)
