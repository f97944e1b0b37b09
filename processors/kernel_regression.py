"""A smooth function of many features, learnt from examples: kernel ridge regression on a few of them as landmarks.

It is what a Gaussian process predicts at a fraction of its cost (Nyström): trained in seconds on one core, exact linear
algebra instead of a search, and plain arrays to keep.

Invariants: what was learnt is a function of the examples and the seed; a prediction has the same bits whatever was
predicted beside it.

Source: Williams & Seeger, Using the Nyström Method to Speed Up Kernel Machines (2001).
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from contracts.errors import SignalError

F64 = NDArray[np.float64]

#: Keeps the equations solvable where landmarks nearly coincide.
_JITTER: Final = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class KernelRegression:
    """A learnt function.

    Features are standardised by ``mean`` and ``scale`` (f,) and compared with ``landmarks`` (m, f), whose ``weights``
    (m,) are added up to ``offset``.
    """

    mean: F64
    scale: F64
    landmarks: F64
    weights: F64
    offset: float
    width: float

    @classmethod
    def learn(cls, features: F64, targets: F64, landmarks: int, width: float, penalty: float, seed: int) -> Self:
        """Return the function that fits the examples.

        Parameters
        ----------
        features : ndarray, shape (n, f), float64
        targets : ndarray, shape (n,), float64
        landmarks : int
            Examples to compare with, drawn at random; at least 1, at most n.
        width : float
            Distance at which two examples have little to do with each other, root mean square over the standardised
            features; above 0.
        penalty : float
            Weight of smoothness against fit, above 0.
        seed : int
            For the draw of landmarks.

        Returns
        -------
        function : KernelRegression

        Raises
        ------
        SignalError
            If the shapes don't match, an example isn't finite, or a setting is outside its bounds.
        """
        if features.ndim != 2 or targets.shape != features.shape[:1] or features.size == 0:
            raise SignalError(
                f"features of shape {features.shape}, targets of shape {targets.shape}; a row each needed"
            )
        if not (np.isfinite(features).all() and np.isfinite(targets).all()):
            raise SignalError("examples must be finite")
        if not (1 <= landmarks <= len(features) and width > 0.0 and penalty > 0.0):
            raise SignalError(
                f"{landmarks} landmarks of {len(features)} examples, width {width}, penalty {penalty}; all above 0"
            )
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scale = np.where(spread > 0.0, spread, 1.0)
        standard = (features - mean) / scale
        chosen = standard[np.sort(np.random.default_rng(seed).choice(len(standard), landmarks, replace=False))]
        offset = float(targets.mean())
        kernel = _kernel(standard, chosen, width)
        between = _kernel(chosen, chosen, width)
        normal = kernel.T @ kernel + len(features) * (penalty * between + _JITTER * np.eye(landmarks))
        weights = cho_solve(cho_factor(normal), kernel.T @ (targets - offset))
        return cls(mean, scale, chosen, np.asarray(weights), offset, width)

    def predict(self, features: F64) -> F64:
        """Return the function's values, shape (n,), at features of shape (n, f)."""
        kernel = _kernel((features - self.mean) / self.scale, self.landmarks, self.width)
        # added up row by row: a product of matrices gives other bits for another number of rows
        return np.asarray((kernel * self.weights).sum(axis=1) + self.offset)


def _kernel(rows: F64, landmarks: F64, width: float) -> F64:
    apart = cdist(rows, landmarks, "sqeuclidean") / rows.shape[1]
    return np.asarray(np.exp(-0.5 * apart / width**2))
