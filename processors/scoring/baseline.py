"""The robust baseline: what is normal for one channel in each operating regime, by median and MAD.

Invariants: a regime is learnt from its first windows and then frozen, since a baseline that follows the machine learns
a fault that grows slowly; what a regime knows is never used for another; memory is bounded, the regimes visited longest
ago are forgotten first and learnt anew when they come back; rows, centres and scales are what a snapshot's float16 can
hold, so that a baseline that goes on from one scores alike.

Sources: robust z and the flag at 3.5 after Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993); the
small-sample factor n / (n - 0.8) of the MAD after Croux & Rousseeuw, Time-Efficient Algorithms for Two Highly Robust
Estimators of Scale (1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURE_NAMES, FEATURES
from processors.few_bytes import digest
from processors.scoring.calibration import Calibration

FLAG_Z: Final = 3.5
#: Rows kept while a regime is learnt; a longer baseline keeps every n-th row, so that state stays small.
MAX_ROWS: Final = 16
#: Regimes known to a channel, and how many of them may be learning at once.
MAX_REGIMES: Final = 12
MAX_LEARNING: Final = 4
#: Rows kept in all regimes that are learning: as many as two that a machine goes to and fro between may need, and one.
MAX_LEARNING_ROWS: Final = 2 * (MAX_ROWS - 1) + 1

#: Values needed to know a feature's spread.
_MIN_VALUES: Final = 3
_MAD_TO_SIGMA: Final = 1.4826
#: A spread below these shares of the median, or below these values, is taken for too small to be true.
_RELATIVE_FLOOR: Final = 0.05
_FLOORS: Final = {"g": 1e-3, "mm/s": 0.05, "um": 0.5, "Hz": 1.0, "dB": 1.0, "1": 0.05}
_FLOOR: Final = np.array([_FLOORS[feature.unit] for feature in FEATURES])
#: A row of features is kept as float16, in so many of each feature's unit: in Hz and in counts more than 65,504 is met.
_KEPT_UNITS: Final = np.array([{"Hz": 16.0, "1": 16.0}.get(feature.unit, 1.0) for feature in FEATURES])
_LARGEST: Final = float(np.finfo(np.float16).max)


@dataclass(slots=True)
class Regime:
    """What is known of one regime: rows while learning, then centre and scale; the models' calibration beside it."""

    seen: int = 0
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    centre: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    calibrations: dict[str, Calibration] = field(default_factory=dict)


class Baseline:
    """One channel's baseline over its regimes.

    Parameters
    ----------
    windows : int
        Windows from which a regime is learnt.
    regimes : dict of bytes to Regime, optional
        Where to go on from, in the order of last visits, by the digests of their names.
    """

    def __init__(self, windows: int, regimes: dict[bytes, Regime] | None = None) -> None:
        self._windows = windows
        self.regimes = regimes if regimes is not None else {}

    def visit(self, name: str) -> Regime | None:
        """Return the regime if it has been learnt, and mark it as visited; ``None`` while it is learning."""
        key = digest(name)
        regime = self.regimes.pop(key, None)
        if regime is None:
            return None
        self.regimes[key] = regime
        return regime if regime.centre is not None else None

    def centre(self, name: str) -> NDArray[np.float32] | None:
        """Return the median feature vector of a regime that has been learnt; ``None`` while it is learning."""
        regime = self.regimes.get(digest(name))
        return None if regime is None else regime.centre

    def learn(self, name: str, values: NDArray[np.float64]) -> None:
        """Take one normal window of a regime; a learnt regime stays as it is.

        Parameters
        ----------
        name : str
            The regime.
        values : ndarray, shape (F,), float64
            Feature values in the catalogue's order and units, NaN where undefined.
        """
        regime = self.regimes.setdefault(digest(name), Regime())
        if regime.centre is not None:
            return
        every = -(-self._windows // MAX_ROWS)
        if regime.seen % every == 0:
            regime.rows.append(as_kept(values))
        regime.seen += 1
        if regime.seen >= self._windows:
            regime.centre, regime.scale = centre_and_scale(np.array(regime.rows))
            regime.rows = []
        self._forget()

    def _forget(self) -> None:
        learning = [key for key, regime in self.regimes.items() if regime.centre is None]
        rows = sum(len(self.regimes[key].rows) for key in learning)
        if len(learning) > MAX_LEARNING or rows > MAX_LEARNING_ROWS:
            del self.regimes[learning[0]]
        if len(self.regimes) > MAX_REGIMES:
            del self.regimes[next(iter(self.regimes))]


def centre_and_scale(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each feature's median and robust spread.

    Parameters
    ----------
    rows : ndarray, shape (n, F), float32
        Feature vectors in the catalogue's order and units, NaN where undefined.

    Returns
    -------
    centre : ndarray, shape (F,), float32
        Medians; NaN where fewer than three values are defined.
    scale : ndarray, shape (F,), float32
        1.4826 × MAD × n / (n - 0.8), but never below 5 % of the median nor below a floor for the unit: where the MAD is
        0, that floor is the scale.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.full((10, len(FEATURE_NAMES)), 2.0, dtype=np.float32)
    >>> centre, scale = centre_and_scale(rows)
    >>> float(centre[0]), round(float(scale[0]), 6)
    (2.0, 0.099976)
    """
    values = rows.astype(np.float64)
    count = np.isfinite(values).sum(axis=0)
    centre = _median(values, count)
    mad = _median(np.abs(values - centre), count)
    scale = _MAD_TO_SIGMA * mad * count / np.maximum(count - 0.8, 0.2)
    scale = np.maximum(scale, np.maximum(_RELATIVE_FLOOR * np.abs(centre), _FLOOR))
    known = count >= _MIN_VALUES
    return as_kept(np.where(known, centre, np.nan)), as_kept(np.where(known, scale, np.nan))


def as_kept(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the nearest feature values (…, F) that `kept_bytes` can hold: within 0.05 %, as far as 65,504 units go.

    Examples
    --------
    >>> import numpy as np
    >>> float(as_kept(np.full(len(FEATURE_NAMES), 0.1))[0])
    0.0999755859375
    """
    halves = np.clip(values / _KEPT_UNITS, -_LARGEST, _LARGEST).astype(np.float16)
    return np.asarray(halves * _KEPT_UNITS, dtype=np.float32)


def kept_bytes(values: NDArray[np.float32]) -> bytes:
    """Return feature values of `as_kept` as bytes, two for each."""
    halves: NDArray[np.float16] = (values / _KEPT_UNITS).astype("<f2")
    return halves.tobytes()


def from_kept_bytes(kept: bytes) -> NDArray[np.float32]:
    """Return the rows (n, F) that `kept_bytes` wrote."""
    halves = np.frombuffer(kept, dtype="<f2").reshape(-1, len(FEATURE_NAMES))
    return np.asarray(halves * _KEPT_UNITS, dtype=np.float32)


def _median(values: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return medians over the finite values of each column; NaN sorts last, so the first `count` ones are finite."""
    ordered = np.sort(values, axis=0)
    columns = np.arange(values.shape[1])
    low = ordered[np.maximum(count - 1, 0) // 2, columns]
    high = ordered[np.minimum(count // 2, len(values) - 1), columns]
    return np.asarray((low + high) / 2, dtype=np.float64)


def robust_z(regime: Regime, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many robust standard deviations each feature lies above its median.

    Parameters
    ----------
    regime : Regime
        A learnt regime.
    values : ndarray, shape (F,), float64
        Feature values, NaN where undefined.

    Returns
    -------
    z : ndarray, shape (F,), float64
        NaN where the value or the baseline is undefined.
    """
    centres, scales = centres_and_scales([regime])
    return np.asarray((values - centres[0]) / scales[0])


def centres_and_scales(regimes: Sequence[Regime | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median and the robust spread of every feature in each regime, (n, F); NaN where it isn't learnt."""
    unknown = np.full(len(FEATURE_NAMES), np.nan, dtype=np.float32)
    centres = [unknown if regime is None or regime.centre is None else regime.centre for regime in regimes]
    scales = [unknown if regime is None or regime.scale is None else regime.scale for regime in regimes]
    return np.array(centres, dtype=np.float64), np.array(scales, dtype=np.float64)
