"""Hjorth's parameters: how busy a signal is, from the variances of the signal and of its differences alone."""

import math

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError


def hjorth(samples: npt.ArrayLike) -> tuple[float, float, float]:
    """Return activity, mobility and complexity of a signal; derivatives are differences of neighbours.

    B. Hjorth, "EEG analysis based on time domain properties", Electroenceph. Clin. Neurophysiol. 29 (1970), 306-310.

    Parameters
    ----------
    samples : array_like, shape (n,)
        The signal, any unit, at least 3 samples.

    Returns
    -------
    activity : float
        Variance, unit squared.
    mobility : float
        Standard deviation of the differences over that of the signal, per sample; NaN for a constant signal.
    complexity : float
        Mobility of the differences over that of the signal: 1 for a sine; NaN for a constant or a straight line.

    Raises
    ------
    SignalError
        If the signal is shorter than 3 samples or not one-dimensional.

    Examples
    --------
    >>> activity, mobility, complexity = hjorth(np.sin(2 * np.pi * np.arange(10_000) / 100))
    >>> round(activity, 6), round(mobility, 4), round(complexity, 3)
    (0.5, 0.0628, 1.0)
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or x.size < 3:
        raise SignalError(f"a signal of shape {x.shape}; one dimension and at least 3 samples needed")
    first = np.diff(x)
    variances = [float(values.var()) for values in (x, first, np.diff(first))]
    if not variances[0] > 0.0:
        return variances[0], math.nan, math.nan
    mobility = math.sqrt(variances[1] / variances[0])
    if not variances[1] > 0.0:
        return variances[0], mobility, math.nan
    return variances[0], mobility, math.sqrt(variances[2] / variances[1]) / mobility
