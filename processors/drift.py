"""Has what comes in changed since a model was made? Distances between a reference and what is seen now.

Sources: PSI as used in credit scoring (< 0.1 none, 0.1-0.25 moderate, > 0.25 large); the two-sample test of Kolmogorov
and Smirnov with the procedure of Benjamini & Hochberg (1995) over features; the first Wasserstein distance; the
effective size of an autocorrelated sample after Bartlett (1946), with the first-order correlation.
"""

import enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from contracts.errors import SignalError

F64 = NDArray[np.float64]

MODERATE_PSI: Final = 0.1
LARGE_PSI: Final = 0.25
#: Shares are taken for no smaller than this: an empty bin would make the index infinite.
_LEAST_SHARE: Final = 1e-6


class Shift(enum.Enum):
    """How far a distribution has moved, by its stability index."""

    NONE = "none"
    MODERATE = "moderate"
    LARGE = "large"


def stability_index(now: F64, reference: F64) -> float:
    """Return PSI = Σ(a - e)·ln(a/e) of shares now (a) and in the reference (e).

    Parameters
    ----------
    now, reference : ndarray, shape (b,), float64
        Shares of each bin, or counts: both are scaled to a sum of 1.

    Returns
    -------
    psi : float

    Raises
    ------
    SignalError
        If the bins don't match, a share is negative or not finite, or a sum is 0.

    Examples
    --------
    >>> round(stability_index(np.full(4, 0.25), np.array([0.4, 0.3, 0.2, 0.1])), 6)
    0.228217
    """
    if now.shape != reference.shape or now.ndim != 1:
        raise SignalError(f"shares of {now.shape} and {reference.shape} bins; the same bins needed")
    shares = []
    for each in (now, reference):
        if not (np.isfinite(each).all() and (each >= 0.0).all() and each.sum() > 0.0):
            raise SignalError(f"shares {each.tolist()}; at least 0 with a sum above 0 needed")
        shares.append(np.maximum(each / each.sum(), _LEAST_SHARE))
    actual, expected = shares
    return float(((actual - expected) * np.log(actual / expected)).sum())


def shift(psi: float) -> Shift:
    """Return how far a distribution has moved.

    Examples
    --------
    >>> shift(0.05), shift(0.1), shift(0.3)
    (<Shift.NONE: 'none'>, <Shift.MODERATE: 'moderate'>, <Shift.LARGE: 'large'>)
    """
    if psi < MODERATE_PSI:
        return Shift.NONE
    return Shift.LARGE if psi > LARGE_PSI else Shift.MODERATE


def quantile_edges(reference: F64, bins: int = 10) -> F64:
    """Return the inner edges of bins that hold equal shares of the reference; fixed once, they see every later shift.

    Parameters
    ----------
    reference : ndarray, shape (n,), float64
        At least as many values as bins.
    bins : int
        At least 2.

    Returns
    -------
    edges : ndarray, shape (bins - 1,), float64

    Raises
    ------
    SignalError
        If there are fewer than two bins, or fewer values than bins.
    """
    if bins < 2 or reference.size < bins:
        raise SignalError(f"{bins} bins from {reference.size} values; at least 2 bins and a value for each needed")
    return np.asarray(np.quantile(reference, np.arange(1, bins) / bins))


def shares(values: F64, edges: F64) -> F64:
    """Return the share of the values in each bin, shape (len(edges) + 1,).

    Examples
    --------
    >>> shares(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 2.5])).tolist()
    [0.25, 0.5, 0.25]
    """
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1)
    return np.asarray(counts / max(values.size, 1), dtype=np.float64)


def effective_size(values: F64) -> float:
    """Return how many independent values say as much: n(1 - r)/(1 + r) with the lag-one correlation r, 1 at least.

    Examples
    --------
    >>> effective_size(np.tile([1.0, 1.0, -1.0, -1.0], 25)) > 90.0
    True
    >>> round(effective_size(np.sin(np.arange(1000) / 100.0)), 1)
    1.0
    """
    apart = values - values.mean()
    power = float(np.square(apart).sum())
    correlation = float((apart[1:] * apart[:-1]).sum()) / power if power > 0.0 else 0.0
    correlation = max(0.0, correlation)
    return max(1.0, values.size * (1.0 - correlation) / (1.0 + correlation))


def kolmogorov_smirnov(first: F64, second: F64) -> tuple[float, float]:
    """Return the largest distance D of two samples' distributions, and its p for independent values.

    Parameters
    ----------
    first, second : ndarray, shape (n,) and (m,), float64

    Returns
    -------
    distance, p : float

    Raises
    ------
    SignalError
        If a sample is empty or not finite.

    Examples
    --------
    >>> distance, p = kolmogorov_smirnov(np.arange(1.0, 11.0), np.arange(6.0, 16.0))
    >>> distance, round(p, 6)
    (0.5, 0.167821)
    """
    _require_samples(first, second)
    found = stats.ks_2samp(first, second)
    return float(found.statistic), float(found.pvalue)


def autocorrelated_p(distance: float, first: F64, second: F64) -> float:
    """Return the p of a distance D with the effective sizes of two autocorrelated samples (asymptotic)."""
    n, m = effective_size(first), effective_size(second)
    return float(stats.kstwobign.sf(distance * np.sqrt(n * m / (n + m))))


def discoveries(p: F64, rate: float) -> NDArray[np.bool_]:
    """Return which features differ, with at most this share of false ones among them (Benjamini and Hochberg).

    Parameters
    ----------
    p : ndarray, shape (f,), float64
    rate : float
        Between 0 and 1.

    Returns
    -------
    differing : ndarray, shape (f,), bool

    Raises
    ------
    SignalError
        If `rate` is outside its bounds.

    Examples
    --------
    >>> discoveries(np.array([0.01, 0.04, 0.03, 0.5]), 0.05).tolist()
    [True, False, False, False]
    """
    if not 0.0 < rate < 1.0:
        raise SignalError(f"rate {rate}; between 0 and 1 needed")
    return np.asarray(stats.false_discovery_control(p) <= rate)


def wasserstein_sigma(now: F64, reference: F64) -> float:
    """Return how far the distribution has moved on average, in standard deviations of the reference.

    Raises
    ------
    SignalError
        If a sample is empty or not finite, or the reference doesn't vary.

    Examples
    --------
    >>> reference = np.arange(1.0, 11.0)
    >>> round(wasserstein_sigma(np.arange(6.0, 16.0), reference) * float(reference.std()), 9)
    5.0
    """
    _require_samples(now, reference)
    spread = float(reference.std())
    if not spread > 0.0:
        raise SignalError(f"the reference is constant: {reference[0]}")
    return float(stats.wasserstein_distance(now, reference)) / spread


def _require_samples(*samples: F64) -> None:
    for sample in samples:
        if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
            raise SignalError(f"a sample of shape {sample.shape}; a row of at least one finite value needed")
