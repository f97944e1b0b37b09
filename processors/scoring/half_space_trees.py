"""Half-space trees as each channel's second opinion: River's algorithm over flat arrays.

Why not River's objects: a forest of them takes 310 KB, 8 ms to build and most of a full garbage collection; here it is
14 KB and a third of a millisecond, which is what lets a worker take over thousands of channels at once.

Invariants: trees, scores and masses have the bits of River's ``HalfSpaceTrees`` with the same seed (tested); the trees
are a function of the seed alone, so that a snapshot holds nothing but the masses; a forest that was restored scores bit
for bit like one that was never stopped.

Source: Tan, Ting & Liu, Fast Anomaly Detection for Streaming Data (2011), as implemented by River 0.26. Learning must
stop while a fault is suspected: half-space trees take anomalies that come packed in time for normal.
"""

import random
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from processors.kernel import kernel
from processors.scoring.explanation import SEVERITY_COLUMNS

N_TREES: Final = 10
HEIGHT: Final = 6
#: Windows from which the masses are counted, and after which they are replaced.
WINDOW: Final = 50

_NODES: Final = 2 ** (HEIGHT + 1) - 1
_BRANCHES: Final = 2**HEIGHT - 1
#: A walk ends where fewer windows than this were counted.
_SIZE_LIMIT: Final = 0.1 * WINDOW
#: A split keeps this share of its range away from either end.
_PADDING: Final = 0.15
#: The mass of a point that every window of every tree has passed.
_WHOLE: Final = N_TREES * WINDOW * _NODES
#: Robust z that is squashed to three quarters of the way.
_HALF_WAY_Z: Final = 3.0
#: Bytes of the counter and the flag before the masses.
_HEAD: Final = 2
_LEAVES: Final = 2**HEIGHT
STATE_BYTES: Final = _HEAD + 2 * N_TREES * _LEAVES
#: States of all nodes, as they were written before.
_OLD_BYTES: Final = _HEAD + 2 * N_TREES * _NODES
#: The state of a forest that scores, though it has counted nothing.
READY: Final = bytes([0, 1]) + bytes(STATE_BYTES - _HEAD)


class Forest:
    """Half-space trees on squashed robust z's.

    Parameters
    ----------
    seed : int
        Determines the trees.
    masses : bytes, optional
        A snapshot to go on from.

    Attributes
    ----------
    features, thresholds : ndarray, shape (N_TREES, nodes), uint8 and float64
        What each branch asks.
    masses : ndarray, shape (2, N_TREES, nodes), uint8
        Windows that passed each node: of the last whole window of 50, and of the one that is being counted.

    Raises
    ------
    ConfigurationError
        If the snapshot doesn't fit these trees.
    """

    def __init__(self, seed: int, masses: bytes | None = None) -> None:
        state = masses or bytes(STATE_BYTES)
        if len(state) not in {STATE_BYTES, _OLD_BYTES}:
            raise ConfigurationError(f"half-space trees have {STATE_BYTES} bytes of state, not {len(state)}")
        self._counter, self._ready = state[0], bool(state[1])
        counted = np.frombuffer(state, np.uint8, offset=_HEAD).reshape(2, N_TREES, -1)
        self.masses = counted.copy() if counted.shape[-1] == _NODES else _summed(counted)
        self.features, self.thresholds = _grow(seed)

    @property
    def ready(self) -> bool:
        """Whether a whole window of masses is known; before that every score is 0."""
        return self._ready

    def score(self, z: NDArray[np.float64]) -> float:
        """Return the anomaly score, 0 to 1, of robust z's (F,); features that are undefined count as normal."""
        if not self._ready:
            return 0.0
        mass = _weigh(_squash(z[SEVERITY_COLUMNS]), self.features, self.thresholds, self.masses[0])
        return 1.0 - int(mass) / _WHOLE

    def learn(self, z: NDArray[np.float64]) -> None:
        """Count one normal window."""
        _count(_squash(z[SEVERITY_COLUMNS]), self.features, self.thresholds, self.masses[1])
        self.counted()

    def counted(self) -> None:
        """Take it that the masses have one more window."""
        self._counter += 1
        if self._counter == WINDOW:
            self.masses[0] = self.masses[1]
            self.masses[1] = 0
            self._counter, self._ready = 0, True

    def snapshot(self) -> bytes:
        """Return counter, flag and the leaves' masses, one byte each: none exceeds 50, and those above are sums."""
        return bytes([self._counter, self._ready]) + self.masses[..., _LEVELS[-1]].tobytes()


class Grove:
    """The forests of several channels, asked and taught together: one call of a kernel instead of one for each.

    Parameters
    ----------
    forests : sequence of Forest
        At least one. Their arrays are moved into the grove's; each stays what it was.
    """

    def __init__(self, forests: Sequence[Forest]) -> None:
        self._forests = tuple(forests)
        self._features = np.stack([forest.features for forest in forests])
        self._thresholds = np.stack([forest.thresholds for forest in forests])
        self._masses = np.stack([forest.masses for forest in forests])
        for row, forest in enumerate(forests):
            forest.features, forest.thresholds = self._features[row], self._thresholds[row]
            forest.masses = self._masses[row]

    def score(self, z: NDArray[np.float64]) -> list[float | None]:
        """Return each channel's score of its robust z's, (n_channels, F), as ``Forest.score``; ``None`` before that."""
        masses = _weigh_all(_squash(_severity(z)), self._features, self._thresholds, self._masses)
        return [
            1.0 - mass / _WHOLE if forest.ready else None
            for forest, mass in zip(self._forests, masses.tolist(), strict=True)
        ]

    def learn(self, z: NDArray[np.float64], chosen: NDArray[np.bool_]) -> None:
        """Count the windows of the chosen channels, (n_channels,), as ``Forest.learn``."""
        _count_all(_squash(_severity(z)), self._features, self._thresholds, self._masses, chosen)
        for row in np.flatnonzero(chosen).tolist():
            self._forests[row].counted()


def _severity(z: NDArray[np.float64]) -> NDArray[np.float64]:
    # row after row in memory: the kernels are loaded for that order alone
    return np.ascontiguousarray(z[:, SEVERITY_COLUMNS])


def _squash(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return z's squashed into 0 to 1 by division only, which gives the same bits on every machine."""
    known = np.where(np.isfinite(z), z, 0.0)
    squashed: NDArray[np.float64] = 0.5 + 0.5 * known / (_HALF_WAY_Z + np.abs(known))
    return squashed


def _levels() -> list[NDArray[np.intp]]:
    """Return the places of each level's nodes in depth-first order, from the root to the leaves, left to right."""
    levels = [np.zeros(1, np.intp)]
    for depth in range(HEIGHT):
        nodes = levels[-1]
        levels.append(np.column_stack([nodes + 1, nodes + 2 ** (HEIGHT - depth)]).ravel())
    return levels


_LEVELS: Final = _levels()


def _summed(leaves: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the masses of all nodes, (2, N_TREES, _NODES), from those of the leaves."""
    masses = np.zeros((2, N_TREES, _NODES), np.uint8)
    level = leaves
    for nodes in reversed(_LEVELS):
        masses[..., nodes] = level
        level = level[..., ::2] + level[..., 1::2] if len(nodes) > 1 else level
    return masses


def _grow(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return each branch's feature and threshold, (N_TREES, _NODES) in depth-first order, leaves left at 0.

    River grows depth first, two random numbers a branch; here whole levels of all trees are grown at once, each branch
    with the numbers that River would draw for it. NumPy's separate operations keep the bits of Python's arithmetic.
    """
    # not a secret: the trees must be the same wherever and whenever they are grown
    draw = random.Random(seed).random  # noqa: S311 -- see above
    draws = np.array([draw() for _ in range(N_TREES * _BRANCHES * 2)]).reshape(N_TREES, _BRANCHES, 2)
    features = np.zeros((N_TREES, _NODES), np.uint8)
    thresholds = np.zeros((N_TREES, _NODES))
    lows = np.zeros((N_TREES, 1, len(SEVERITY_COLUMNS)))
    highs = np.ones_like(lows)
    turns = np.zeros(1, np.intp)  # of the level's branches: place among the branches
    for depth, nodes in enumerate(_LEVELS[:-1]):
        ends = np.cumsum(highs - lows, axis=2)
        marks = draws[:, turns, 0] * ends[..., -1]
        chosen = (ends[..., :-1] <= marks[..., np.newaxis]).sum(axis=2)[..., np.newaxis]
        low, high = np.take_along_axis(lows, chosen, axis=2), np.take_along_axis(highs, chosen, axis=2)
        first, last = low + _PADDING * (high - low), high - _PADDING * (high - low)
        splits = first + (last - first) * draws[:, turns, 1:]
        features[:, nodes], thresholds[:, nodes] = chosen[..., 0], splits[..., 0]
        lows, highs = np.repeat(lows, 2, axis=1), np.repeat(highs, 2, axis=1)
        np.put_along_axis(highs[:, 0::2], chosen, splits, axis=2)
        np.put_along_axis(lows[:, 1::2], chosen, splits, axis=2)
        half = 2 ** (HEIGHT - depth - 1)
        turns = np.column_stack([turns + 1, turns + half]).ravel()
    return features, thresholds


@kernel()
def _weigh(
    x: NDArray[np.float64], features: NDArray[np.uint8], thresholds: NDArray[np.float64], masses: NDArray[np.uint8]
) -> np.int64:
    """Return the mass where `x` falls, doubled with every level, over all trees."""
    total = np.int64(0)
    for tree in range(N_TREES):
        node, step = 0, 2**HEIGHT
        for depth in range(HEIGHT + 1):
            mass = np.int64(masses[tree, node])
            total += mass << depth
            if depth == HEIGHT or mass < _SIZE_LIMIT:
                break
            node += 1 if x[features[tree, node]] < thresholds[tree, node] else step
            step //= 2
    return total


@kernel()
def _count(
    x: NDArray[np.float64], features: NDArray[np.uint8], thresholds: NDArray[np.float64], masses: NDArray[np.uint8]
) -> None:
    """Add one to every node that `x` passes."""
    for tree in range(N_TREES):
        node, step = 0, 2**HEIGHT
        for _ in range(HEIGHT):
            masses[tree, node] += 1
            node += 1 if x[features[tree, node]] < thresholds[tree, node] else step
            step //= 2
        masses[tree, node] += 1


@kernel()
def _weigh_all(
    x: NDArray[np.float64], features: NDArray[np.uint8], thresholds: NDArray[np.float64], masses: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return `_weigh` of every channel: x (n, features), the others (n, …) as those of one forest."""
    total = np.empty(len(x), np.int64)
    for row in range(len(x)):
        total[row] = _weigh(x[row], features[row], thresholds[row], masses[row, 0])
    return total


@kernel()
def _count_all(
    x: NDArray[np.float64],
    features: NDArray[np.uint8],
    thresholds: NDArray[np.float64],
    masses: NDArray[np.uint8],
    chosen: NDArray[np.bool_],
) -> None:
    """`_count` the windows of the chosen channels."""
    for row in range(len(x)):
        if chosen[row]:
            _count(x[row], features[row], thresholds[row], masses[row, 1])
