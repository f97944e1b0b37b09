"""River's half-space trees as one channel's second opinion, small enough to be kept with the channel's state.

Invariants: the trees are a function of the seed alone, so that a snapshot holds nothing but the masses; a forest that
was restored scores bit for bit like one that was never stopped.

Source: Tan, Ting & Liu, Fast Anomaly Detection for Streaming Data (2011), as implemented by River. Learning must stop
while a fault is suspected: half-space trees take anomalies that come packed in time for normal.
"""

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from processors.scoring.explanation import SEVERITY_COLUMNS

N_TREES: Final = 10
HEIGHT: Final = 6
#: Windows from which the masses are counted, and after which they are replaced.
WINDOW: Final = 50
#: Robust z that is squashed to three quarters of the way.
_HALF_WAY_Z: Final = 3.0
#: Bytes of the counter and the flag before the masses.
_HEAD: Final = 2


@functools.cache
def _half_space_trees() -> Any:
    # Untyped, since River publishes no types. Imported on first use: it takes 1.8 s, and most processes never score.
    from river.anomaly import HalfSpaceTrees  # noqa: PLC0415 -- see above

    return HalfSpaceTrees


class Forest:
    """Half-space trees on squashed robust z's.

    Parameters
    ----------
    seed : int
        Determines the trees.
    masses : bytes, optional
        A snapshot to go on from.

    Raises
    ------
    ConfigurationError
        If the snapshot doesn't fit these trees.
    """

    def __init__(self, seed: int, masses: bytes | None = None) -> None:
        make = _half_space_trees()
        self._model: Any = make(n_trees=N_TREES, height=HEIGHT, window_size=WINDOW, seed=seed)
        # River builds the trees when it first learns. That window's masses are taken away again, so that the trees
        # exist before the first snapshot and depend on the seed alone.
        self._model.learn_one(_squash(np.zeros(len(SEVERITY_COLUMNS))))
        self._nodes = [node for tree in self._model.trees for node in tree.iter_dfs()]
        self._restore(masses or bytes(_HEAD + 2 * len(self._nodes)))

    @property
    def ready(self) -> bool:
        """Whether a whole window of masses is known; before that every score is 0."""
        return not self._model._first_window  # noqa: SLF001 -- River keeps no public name for it

    def score(self, z: NDArray[np.float64]) -> float:
        """Return the anomaly score, 0 to 1, of robust z's (F,); features that are undefined count as normal."""
        return float(self._model.score_one(_squash(z[SEVERITY_COLUMNS])))

    def learn(self, z: NDArray[np.float64]) -> None:
        """Count one normal window."""
        self._model.learn_one(_squash(z[SEVERITY_COLUMNS]))

    def snapshot(self) -> bytes:
        """Return counter, flag and masses, one byte each: no mass exceeds the window of 50."""
        masses = [node.r_mass for node in self._nodes] + [node.l_mass for node in self._nodes]
        return bytes([self._model.counter, self.ready, *masses])

    def _restore(self, masses: bytes) -> None:
        count = len(self._nodes)
        if len(masses) != _HEAD + 2 * count:
            raise ConfigurationError(f"half-space trees have {_HEAD + 2 * count} bytes of state, not {len(masses)}")
        self._model.counter = masses[0]
        self._model._first_window = not masses[1]  # noqa: SLF001 -- the counterpart of ``ready``
        for node, r_mass, l_mass in zip(self._nodes, masses[_HEAD:], masses[_HEAD + count :], strict=False):
            node.r_mass, node.l_mass = r_mass, l_mass


def _squash(z: NDArray[np.float64]) -> dict[int, float]:
    """Return z's squashed into 0 to 1 by division only, which gives the same bits on every machine."""
    known = np.where(np.isfinite(z), z, 0.0)
    return dict(enumerate((0.5 + 0.5 * known / (_HALF_WAY_Z + np.abs(known))).tolist()))
