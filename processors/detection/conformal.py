"""Thresholds that normal scores exceed with a probability that was agreed on, whatever their distribution."""

import math

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError


def conformal_threshold(scores: NDArray[np.float64], alpha: float) -> float | None:
    """Return the ⌈(n + 1)(1 - α)⌉-th smallest of n scores of normal rows; nothing where n is too small for it.

    Parameters
    ----------
    scores : ndarray, shape (n,), float64
        Scores of normal rows that the detector hasn't learnt from.
    alpha : float
        Largest probability with which a normal row exceeds the threshold, between 0 and 1.

    Returns
    -------
    threshold : float or None

    Raises
    ------
    SignalError
        If `alpha` is outside its bounds or a score isn't finite.

    References
    ----------
    Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005).

    Examples
    --------
    >>> conformal_threshold(np.arange(99.0), 0.01), conformal_threshold(np.arange(98.0), 0.01)
    (98.0, None)
    """
    if not 0.0 < alpha < 1.0:
        raise SignalError(f"alpha {alpha}; between 0 and 1 needed")
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise SignalError(f"scores of shape {scores.shape}; a row of finite scores needed")
    # the products of round numbers such as 100 · 0.99 fall a few units in the last place beside theirs
    rank = math.ceil(round((scores.size + 1) * (1.0 - alpha), 9))
    return float(np.sort(scores)[rank - 1]) if rank <= scores.size else None
