"""Control charts: small lasting shifts show in a sum over time long before they show in a value.

Invariant: a chart at row t is a function of the rows up to t. Rows are in units of the standard deviation, zero where
nothing is wrong.

Source: Page (1954) for CUSUM, Roberts (1959) and Lucas & Saccucci (1990) for EWMA with its limits.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from contracts.errors import SignalError

F64 = NDArray[np.float64]


def ewma(rows: F64, smoothing: float) -> F64:
    """Return the exponentially weighted moving average of each column, which starts at 0.

    Parameters
    ----------
    rows : ndarray, shape (n, c), float64
        Deviations, standard deviations.
    smoothing : float
        Weight λ of the newest row, above 0 and at most 1.

    Returns
    -------
    averages : ndarray, shape (n, c), float64

    Raises
    ------
    SignalError
        If `smoothing` is outside its bounds or the rows aren't two-dimensional.

    Examples
    --------
    >>> ewma(np.ones((3, 1)), 0.5)[:, 0].tolist()
    [0.5, 0.75, 0.875]
    """
    _require_smoothing(smoothing)
    _require_rows(rows)
    averages: F64 = lfilter([smoothing], [1.0, smoothing - 1.0], rows, axis=0)
    return averages


def ewma_limit(width: float, smoothing: float, row: int | None = None) -> float:
    """Return the limit Lσ√(λ/(2 - λ)·(1 - (1 - λ)^2t)) of an EWMA of independent rows with σ = 1.

    Parameters
    ----------
    width : float
        L, above 0.
    smoothing : float
        λ, above 0 and at most 1.
    row : int, optional
        t, from 1 on; the limit of a chart that has run for long without it.

    Raises
    ------
    SignalError
        If a value is outside its bounds.

    Examples
    --------
    >>> round(ewma_limit(3.0, 0.2), 6), round(ewma_limit(3.0, 0.2, row=1), 6)
    (1.0, 0.6)
    """
    _require_smoothing(smoothing)
    if not width > 0.0:
        raise SignalError(f"width {width}; above 0 needed")
    if row is not None and row < 1:
        raise SignalError(f"row {row}; rows count from 1")
    begun = 1.0 if row is None else 1.0 - (1.0 - smoothing) ** (2 * row)
    return width * math.sqrt(smoothing / (2.0 - smoothing) * begun)


def cusum(rows: F64, allowance: float) -> tuple[F64, F64]:
    """Return the sums S = max(0, S + z - k) of each column, upwards and downwards.

    Parameters
    ----------
    rows : ndarray, shape (n, c), float64
        Deviations z, standard deviations.
    allowance : float
        k ≥ 0: half the shift to be found soonest.

    Returns
    -------
    up, down : ndarray, shape (n, c), float64

    Raises
    ------
    SignalError
        If `allowance` is negative or the rows aren't two-dimensional.

    Examples
    --------
    >>> up, down = cusum(np.array([[1.0], [2.0], [-1.0]]), 0.5)
    >>> up[:, 0].tolist(), down[:, 0].tolist()
    ([0.5, 2.0, 0.5], [0.0, 0.0, 0.5])
    """
    _require_rows(rows)
    if not allowance >= 0.0:
        raise SignalError(f"allowance {allowance}; at least 0 needed")
    up, down = np.empty_like(rows), np.empty_like(rows)
    above, below = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for index, row in enumerate(rows):
        above = np.maximum(0.0, above + row - allowance)
        below = np.maximum(0.0, below - row - allowance)
        up[index], down[index] = above, below
    return up, down


def _require_smoothing(smoothing: float) -> None:
    if not 0.0 < smoothing <= 1.0:
        raise SignalError(f"smoothing {smoothing}; above 0 and at most 1 needed")


def _require_rows(rows: F64) -> None:
    if rows.ndim != 2:
        raise SignalError(f"rows of shape {rows.shape}; (rows, channels) needed")
