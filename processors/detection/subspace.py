"""Do the channels still agree with one another? Principal components, T² within them and SPE outside.

T² asks whether a row lies far from the middle in directions in which the process is known to move, SPE (squared
prediction error, Q) whether it moved in one in which it doesn't.

The textbook limits hold for independent Gaussian rows and a model that is known; a model fitted to a few hundred rows
of fifty channels exceeds them by far on new normal rows. ``held_out_limits`` asks blocks of the calibration that the
model hasn't seen instead.

Sources: Hotelling (1931); Jackson & Mudholkar, Control Procedures for Residuals Associated with Principal Component
Analysis (1979).
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contracts.errors import SignalError
from processors.detection.conformal import conformal_threshold

F64 = NDArray[np.float64]


def t_squared_limit(components: int, rows: int, alpha: float) -> float:
    """Return p(n + 1)(n - 1)/(n(n - p))·F(p, n - p), the limit of T² of a new row.

    Parameters
    ----------
    components : int
        p, at least 1.
    rows : int
        n, the rows that the components were found from, more than p.
    alpha : float
        Probability of a normal row above the limit.

    Raises
    ------
    SignalError
        If there aren't more rows than components, or `alpha` isn't between 0 and 1.

    Examples
    --------
    >>> round(t_squared_limit(5, 100, 0.01), 3)
    16.925
    """
    if not 1 <= components < rows:
        raise SignalError(f"{components} components from {rows} rows; more rows than components needed")
    _require_alpha(alpha)
    factor = components * (rows + 1) * (rows - 1) / (rows * (rows - components))
    return factor * float(special.fdtri(components, rows - components, 1.0 - alpha))


def spe_limit(eigenvalues: F64, alpha: float) -> float:
    """Return the limit of SPE after Jackson and Mudholkar.

    Parameters
    ----------
    eigenvalues : ndarray, shape (m,), float64
        Variances of the directions left out, above 0.
    alpha : float
        Probability of a normal row above the limit.

    Raises
    ------
    SignalError
        If an eigenvalue isn't positive, none is left, or `alpha` isn't between 0 and 1.

    Examples
    --------
    >>> round(spe_limit(np.array([0.5, 0.3, 0.2]), 0.01), 3)
    4.218
    """
    if eigenvalues.size == 0 or not (eigenvalues > 0.0).all():
        raise SignalError(f"eigenvalues {eigenvalues.tolist()}; at least one, all above 0 needed")
    _require_alpha(alpha)
    first, second, third = (float((eigenvalues**power).sum()) for power in (1, 2, 3))
    h = 1.0 - 2.0 * first * third / (3.0 * second**2)
    normal = float(special.ndtri(1.0 - alpha))
    bracket = normal * math.sqrt(2.0 * second * h**2) / first + 1.0 + second * h * (h - 1.0) / first**2
    return first * float(bracket ** (1.0 / h))


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """Principal components of standardised channels.

    ``directions`` (c, c) has a component per row, ``variances`` (c,) its variance, largest first; the first ``kept``
    span the process.
    """

    mean: F64
    scale: F64
    directions: F64
    variances: F64
    kept: int

    @classmethod
    def learn(cls, normal: F64, share: float) -> Self:
        """Return the components of normal rows; as many are kept as make up `share` of the variance.

        Parameters
        ----------
        normal : ndarray, shape (n, c), float64
            Rows of the calibration, more than channels.
        share : float
            Between 0 and 1.

        Returns
        -------
        subspace : Subspace

        Raises
        ------
        SignalError
            If there are too few rows, a value isn't finite, a channel is constant, or `share` is outside its bounds.
        """
        if normal.ndim != 2 or len(normal) <= normal.shape[1] or not np.isfinite(normal).all():
            raise SignalError(f"calibration of shape {normal.shape}; finite, with more rows than channels needed")
        mean, scale = normal.mean(axis=0), normal.std(axis=0, ddof=1)
        if not (scale > 0.0).all():
            raise SignalError(f"channel {int(np.argmin(scale))} is constant: {normal[0, int(np.argmin(scale))]}")
        standard = (normal - mean) / scale
        return cls.of_correlations(mean, scale, standard.T @ standard / (len(normal) - 1), share)

    @classmethod
    def of_correlations(cls, mean: F64, scale: F64, correlations: F64, share: float) -> Self:
        """Return the components of channels whose correlations are known.

        Parameters
        ----------
        mean, scale : ndarray, shape (c,), float64
            Means and standard deviations.
        correlations : ndarray, shape (c, c), float64
            The channels' correlations.
        share : float
            Between 0 and 1.

        Returns
        -------
        subspace : Subspace

        Raises
        ------
        SignalError
            If `share` is outside its bounds.
        """
        if not 0.0 < share < 1.0:
            raise SignalError(f"share {share} of the variance; between 0 and 1 needed")
        variances, vectors = np.linalg.eigh(correlations)
        variances, directions = variances[::-1], np.ascontiguousarray(vectors.T[::-1])
        kept = int(np.searchsorted(np.cumsum(variances), share * variances.sum()) + 1)
        return cls(mean, scale, directions, variances, min(kept, len(variances) - 1))

    def statistics(self, rows: F64) -> tuple[F64, F64]:
        """Return T² and SPE of each row, each of shape (n,).

        Parameters
        ----------
        rows : ndarray, shape (n, c), float64
        """
        t_squared, spe = np.empty(len(rows)), np.empty(len(rows))
        for index, row in enumerate((rows - self.mean) / self.scale):
            # one row at a time: a product of matrices gives other bits for another number of rows
            squares = np.square((self.directions * row).sum(axis=1))
            t_squared[index] = (squares[: self.kept] / self.variances[: self.kept]).sum()
            spe[index] = squares[self.kept :].sum()
        return t_squared, spe


def held_out_limits(normal: F64, share: float, alpha: float, blocks: int) -> tuple[float, float]:
    """Return limits of T² and SPE that hold for rows which the components weren't found from.

    Each block of consecutive rows is judged by a model of all others; the limits are conformal thresholds over all
    blocks.

    Parameters
    ----------
    normal : ndarray, shape (n, c), float64
    share : float
        As for ``Subspace.learn``.
    alpha : float
        Probability of a normal row above each limit.
    blocks : int
        At least 2.

    Returns
    -------
    t_squared_limit, spe_limit : float

    Raises
    ------
    SignalError
        As ``Subspace.learn``, for fewer than two blocks, and where `alpha` needs more rows than there are.
    """
    if blocks < 2:
        raise SignalError(f"{blocks} blocks; at least 2 needed")
    found: list[tuple[F64, F64]] = []
    for block in np.array_split(np.arange(len(normal)), blocks):
        model = Subspace.learn(np.delete(normal, block, axis=0), share)
        found.append(model.statistics(normal[block]))
    limits = [conformal_threshold(np.concatenate(each), alpha) for each in zip(*found, strict=True)]
    if limits[0] is None or limits[1] is None:
        raise SignalError(f"{len(normal)} rows of calibration; alpha {alpha} needs {math.ceil(1.0 / alpha) - 1}")
    return limits[0], limits[1]


def _require_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise SignalError(f"alpha {alpha}; between 0 and 1 needed")
