"""How rare a slow value's forecast error is among all its past ones, at several time scales at once.

The currency is -log10 of a tail probability, so that a furnace's degrees and a server's requests can share a threshold.
Errors above a high quantile of the past are taken for exponential, which goes on where the past has no example
(peaks over threshold, as in SPOT). A spike is rare at once and a slow sinking only on average; so errors are smoothed
over several spans, and the scales' rarities are averaged, which is Fisher's way of combining probabilities.

Invariant: the rarity of a row depends on rows up to it.

Sources: Siffer et al., Anomaly Detection in Streams with Extreme Value Theory (2017); Fisher, Statistical Methods for
Research Workers (1925).
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors.detection.charts import ewma
from processors.detection.forecasts import DAY_S, forecast_errors
from processors.detection.persistence import given_again

F64 = NDArray[np.float64]

HOUR_S: Final = 3600.0
#: Time constants of smoothing, s; 0 leaves the error as it is.
SCALES_S: Final = (0.0, 6 * HOUR_S, 24 * HOUR_S)
#: The tail begins at this quantile of past errors,
TAIL: Final = 0.9
#: is looked at anew so often,
_REFIT_S: Final = 6 * HOUR_S
#: and says nothing before so much is known.
_LEARNING_S: Final = DAY_S
#: The mean excess is no less than this share of the quantile: errors that hardly vary don't make every other one rare.
_LEAST_EXCESS: Final = 0.05
#: Farther out all is alike.
_MOST_EXCESSES: Final = 1e6
#: A warning is given again after this time, or sooner if it is so many times as rare.
_AGAIN_S: Final = 36 * HOUR_S
_WORSE: Final = 1.5


def warnings_of(values: F64, interval_s: float) -> F64:
    """Return the rarity of each value that is worth a warning, else 0.

    Parameters
    ----------
    values : ndarray, shape (n,), float64
        Finite, equally spaced, oldest first.
    interval_s : float
        Time between values, s.

    Returns
    -------
    rarity : ndarray, shape (n,), float64
        Mean -log10 of the tail probabilities; 1 is a decade.

    Raises
    ------
    SignalError
        As `forecast_errors`.

    Examples
    --------
    >>> values = np.sin(np.arange(2000) / 3.0)
    >>> values[1500] = 10.0
    >>> int(np.argmax(warnings_of(values, 3600.0)))
    1500
    """
    return given_again(rarities(values, interval_s), max(1, round(_AGAIN_S / interval_s)), _WORSE)


def rarities(values: F64, interval_s: float) -> F64:
    """Return the rarity of each value: the mean over the time scales, shape (n,); parameters as ``warnings_of``."""
    errors = forecast_errors(values, interval_s)
    learning, refit = (max(1, round(span / interval_s)) for span in (_LEARNING_S, _REFIT_S))
    total = np.zeros(values.size)
    for scale_s in SCALES_S:
        rows = scale_s / interval_s
        smooth = ewma(errors[:, np.newaxis], -np.expm1(-1.0 / rows))[:, 0] if rows >= 1.0 else errors
        total += tail_rarity(np.abs(smooth), learning, refit)
    return total / len(SCALES_S)


def tail_rarity(sizes: F64, learning: int, refit: int) -> F64:
    """Return -log10 of the probability that a past size would have been as large; 0 below the tail.

    Parameters
    ----------
    sizes : ndarray, shape (n,), float64
        At least 0, oldest first.
    learning : int
        Rows before the first answer, at least 1.
    refit : int
        Rows after which the tail is estimated anew, at least 1.

    Returns
    -------
    rarity : ndarray, shape (n,), float64

    Raises
    ------
    SignalError
        If `learning` or `refit` is below 1.
    """
    if learning < 1 or refit < 1:
        raise SignalError(f"{learning} rows of learning, estimated anew every {refit}; at least 1 each needed")
    rarity = np.zeros(sizes.size)
    for start in range(learning, sizes.size, refit):
        past, now = sizes[:start], sizes[start : start + refit]
        begin = float(np.quantile(past, TAIL))
        beyond = past[past > begin] - begin
        excess = max(float(beyond.mean()) if beyond.size else 0.0, _LEAST_EXCESS * begin, np.finfo(np.float64).tiny)
        decades = -math.log10(1.0 - TAIL) + np.minimum(now - begin, _MOST_EXCESSES * excess) / excess / math.log(10.0)
        rarity[start : start + refit] = np.where(now > begin, decades, 0.0)
    return rarity
