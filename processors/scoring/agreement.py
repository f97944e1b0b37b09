"""Do a channel's features still agree with one another? T² and SPE over robust z's, learnt from normal windows.

Invariants: the components are found once, from the first `ROWS` normal windows, and stay: a model that follows the
machine learns its fault; until then means and products of deviations are kept in place of the windows (Welford), after
it the components as float32, so that the state stays small.
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
_N: Final = len(SEVERITY_COLUMNS)
_UPPER: Final = np.triu_indices(_N)


class _State(msgspec.Struct, array_like=True):
    count: int
    #: Means and products of deviations as float64; once the components are known these, as float32.
    numbers: bytes
    columns: list[int] = []
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
        self._count = 0
        self._mean, self._products = np.zeros(_N), np.zeros((_N, _N))
        self._columns: list[int] = []
        self._model: Subspace | None = None
        self._limits = (1.0, 1.0)
        if state is not None:
            self._resume(state)

    def score(self, z: F64) -> float | None:
        """Return the larger of T² and SPE, each over its limit at 1 %; ``None`` until the components are known."""
        if self._model is None:
            return None
        t_squared, spe = self._model.statistics(severity_z(z)[self._columns][np.newaxis])
        return max(float(t_squared[0]) / self._limits[0], float(spe[0]) / self._limits[1])

    def take(self, z: F64, *, normal: bool) -> None:
        """Learn from a normal window until there were enough."""
        if not normal or self._count >= ROWS:
            return
        x = severity_z(z)
        self._count += 1
        apart = x - self._mean
        self._mean += apart / self._count
        self._products += np.outer(apart, x - self._mean)
        if self._count == ROWS:
            self._find()

    def explain(self, z: F64) -> F64:
        """Return the squared distance of each feature from its mean, σ²."""
        weights = np.full(len(z), np.nan)
        if self._model is not None:
            apart = (severity_z(z)[self._columns] - self._model.mean) / self._model.scale
            weights[SEVERITY_COLUMNS[self._columns]] = np.square(apart)
        return weights

    def snapshot(self) -> bytes:
        """Return what is known while learning, then the components."""
        if self._model is None:
            numbers = np.concatenate([self._mean, self._products[_UPPER]]).astype("<f8").tobytes()
            return msgspec.msgpack.encode(_State(self._count, numbers))
        model = self._model
        arrays = (model.mean, model.scale, model.variances, model.directions.ravel())
        numbers = np.concatenate(arrays).astype("<f4").tobytes()
        return msgspec.msgpack.encode(_State(self._count, numbers, self._columns, model.kept))

    def _resume(self, state: bytes) -> None:
        try:
            known = msgspec.msgpack.decode(state, type=_State)
            self._count, self._columns = known.count, known.columns
            if not known.columns:
                numbers = np.frombuffer(known.numbers, dtype="<f8")
                self._mean = numbers[:_N].copy()
                self._products[_UPPER] = self._products.T[_UPPER] = numbers[_N:]
                return
            numbers = np.frombuffer(known.numbers, dtype="<f4").astype(np.float64)
            n = len(known.columns)
            mean, scale, variances, directions = np.split(numbers, [n, 2 * n, 3 * n])
            self._use(Subspace(mean, scale, directions.reshape(n, n), variances, known.kept))
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConfigurationError(f"no state of T² and SPE: {error}") from None

    def _find(self) -> None:
        """Find the components; a channel whose features hardly move never has any."""
        self._products = np.triu(self._products) + np.triu(self._products, 1).T  # as a snapshot has them
        spread = np.sqrt(np.diag(self._products) / (ROWS - 1))
        columns = np.flatnonzero(spread > _LEAST_SPREAD)
        if len(columns) < _FEWEST:
            return
        scale = spread[columns]
        correlations = self._products[np.ix_(columns, columns)] / (ROWS - 1) / np.outer(scale, scale)
        found = Subspace.of_correlations(self._mean[columns], scale, correlations, _SHARE)
        arrays = (found.mean, found.scale, found.directions, found.variances)
        mean, scale, directions, variances = (one.astype(np.float32).astype(np.float64) for one in arrays)
        self._columns = columns.tolist()
        self._use(Subspace(mean, scale, directions, variances, found.kept))

    def _use(self, model: Subspace) -> None:
        left_out = np.maximum(model.variances[model.kept :], 1e-9)
        self._model = model
        self._limits = (t_squared_limit(model.kept, ROWS, _ALPHA), spe_limit(left_out, _ALPHA))
