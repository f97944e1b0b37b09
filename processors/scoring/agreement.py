"""Do a channel's features still agree with one another? T² and SPE over robust z's, learnt from normal windows.

Invariant: the components are found once, from the first `ROWS` normal windows, and stay: a model that follows the
machine learns its fault.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from processors.detection.subspace import Subspace, spe_limit, t_squared_limit
from processors.scoring.explanation import SEVERITY_COLUMNS, severity_z

F64 = NDArray[np.float64]

#: Normal windows that the components are found from.
ROWS: Final = 64
_SHARE: Final = 0.9
_ALPHA: Final = 0.01
#: A feature that moves less than this, σ, is left out: a direction without variance has no limit.
_LEAST_SPREAD: Final = 1e-3
#: Fewer features have nothing to agree on.
_FEWEST: Final = 3


class _State(msgspec.Struct, array_like=True):
    rows: list[bytes] = []
    columns: list[int] = []
    model: list[bytes] = []
    kept: int = 0


class Agreement:
    """T² and SPE, each over its limit; the score is the larger.

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
        try:
            self._state = _State() if state is None else msgspec.msgpack.decode(state, type=_State)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"no state of T² and SPE: {error}") from None
        self._model: Subspace | None = None
        self._limits = (1.0, 1.0)
        if len(self._state.rows) == ROWS and not self._state.model:
            self._find()
        elif self._state.model:
            mean, scale, directions, variances = (np.frombuffer(one, dtype="<f8") for one in self._state.model)
            self._use(Subspace(mean, scale, directions.reshape(len(mean), -1), variances, self._state.kept))

    def score(self, z: F64) -> float | None:
        """Return the larger of T² and SPE, each over its limit at 1 %; ``None`` until the components are known."""
        if self._model is None:
            return None
        t_squared, spe = self._model.statistics(severity_z(z)[self._state.columns][np.newaxis])
        return max(float(t_squared[0]) / self._limits[0], float(spe[0]) / self._limits[1])

    def take(self, z: F64, *, normal: bool) -> None:
        """Keep a normal window until there are enough."""
        if not normal or self._model is not None or len(self._state.rows) >= ROWS:
            return
        self._state.rows.append(severity_z(z).astype("<f4").tobytes())
        if len(self._state.rows) == ROWS:
            self._find()

    def explain(self, z: F64) -> F64:
        """Return the squared distance of each feature from its mean, σ²."""
        weights = np.full(len(z), np.nan)
        if self._model is not None:
            apart = (severity_z(z)[self._state.columns] - self._model.mean) / self._model.scale
            weights[SEVERITY_COLUMNS[self._state.columns]] = np.square(apart)
        return weights

    def snapshot(self) -> bytes:
        """Return rows while learning, then the components."""
        return msgspec.msgpack.encode(self._state)

    def _find(self) -> None:
        """Find the components; a channel whose features hardly move never has any."""
        rows = np.array([np.frombuffer(row, dtype="<f4") for row in self._state.rows], dtype=np.float64)
        columns = np.flatnonzero(rows.std(axis=0) > _LEAST_SPREAD).tolist()
        if len(columns) < _FEWEST:
            return
        model = Subspace.learn(rows[:, columns], _SHARE)
        arrays = (model.mean, model.scale, model.directions, model.variances)
        self._state = _State([], columns, [one.astype("<f8").tobytes() for one in arrays], model.kept)
        self._use(model)

    def _use(self, model: Subspace) -> None:
        left_out = np.maximum(model.variances[model.kept :], 1e-9)
        self._model = model
        self._limits = (t_squared_limit(model.kept, ROWS, _ALPHA), spe_limit(left_out, _ALPHA))
