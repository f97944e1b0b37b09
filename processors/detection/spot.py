"""Limits that normal values exceed more rarely than any sample could show: the tail's shape carries them on.

A conformal threshold at probability α needs 1/α - 1 values. Beyond that the largest values seen are taken for a
generalised Pareto tail (peaks over threshold), which is carried on, but never by more than `EXTRAPOLATION`.

The shape is estimated by probability-weighted moments, which is a formula and no search, and held between 0 and ½:
below 0 the tail would end, and a limit that trusts in an end lets far too many values through; above ½ it would have no
variance. Where the next value lies is asked given the excesses seen, which is farther out than the tail's own quantile.
On samples of 500 and 5,000 values with limits carried on 4 and 100 times, the mean exceedance was 0.03 to 0.8 times α
for normal, exponential and Gumbel values, 1 to 1.9 times for log-normal ones and 1.3 to 4.5 times for Student's t with
5 degrees of freedom.

Sources: Siffer et al., Anomaly Detection in Streams with Extreme Value Theory (2017); Hosking & Wallis, Parameter and
Quantile Estimation for the Generalized Pareto Distribution (1987).
"""

import functools
import math
from collections.abc import Sequence
from typing import Final

from contracts.errors import SignalError

#: Largest values that the tail is estimated from.
KEPT: Final = 32
#: A limit may be exceeded so many times more rarely than the sample could show.
EXTRAPOLATION: Final = 100.0
#: Values from which a tail may be told at all.
FEWEST: Final = 500
_STEEPEST: Final = 0.5
_STRAIGHT: Final = 1e-6


@functools.lru_cache(maxsize=64)
def values_needed(alpha: float) -> int:
    """Return how many normal values a limit at `alpha` needs.

    Parameters
    ----------
    alpha : float
        Probability with which a normal value may exceed the limit, between 0 and 1.

    Returns
    -------
    count : int
        1/α - 1 where that is at most 500, as for a conformal threshold; else the larger of 500 and 1/(100α).

    Raises
    ------
    SignalError
        If `alpha` is outside its bounds.

    Examples
    --------
    >>> values_needed(0.01), values_needed(1e-3), values_needed(1e-6)
    (99, 500, 10000)
    """
    if not 0.0 < alpha < 1.0:
        raise SignalError(f"alpha {alpha}; between 0 and 1 needed")
    conformal = math.ceil(round(1.0 / alpha, 6)) - 1
    if conformal <= FEWEST:
        return max(1, conformal)
    return max(FEWEST, math.ceil(round(1.0 / (EXTRAPOLATION * alpha), 6)))


def tail_limit(largest: Sequence[float], count: int, alpha: float) -> float:
    """Return the limit that a normal value exceeds with probability `alpha`.

    Parameters
    ----------
    largest : sequence of float
        The largest of the values seen, ascending: `KEPT` of them, or all where there are fewer.
    count : int
        How many values were seen, at least ``values_needed(alpha)``.
    alpha : float
        Between 0 and 1.

    Returns
    -------
    limit : float
        Never below the largest value where the tail is carried on.

    Raises
    ------
    SignalError
        If there are too few values.

    Examples
    --------
    >>> tail_limit([float(value) for value in range(67, 99)], 99, 0.01)
    98.0
    """
    if count < values_needed(alpha) or len(largest) < min(count, KEPT):
        raise SignalError(f"{len(largest)} largest of {count} values; alpha {alpha} needs {values_needed(alpha)}")
    from_top = count - math.ceil(round((count + 1) * (1.0 - alpha), 9)) + 1
    if 1 <= from_top <= len(largest):
        return largest[-from_top]
    begin = largest[0]
    excesses = [value - begin for value in largest[1:]]
    n = len(excesses)
    mean = sum(excesses) / n
    if mean <= 0.0:
        return largest[-1]
    weighted = sum(excess * (1.0 - (rank + 0.65) / n) for rank, excess in enumerate(excesses)) / n
    shape = min(max(2.0 - mean / (mean - 2.0 * weighted), 0.0), _STEEPEST)
    scale = mean * (1.0 - shape)
    rarer = len(largest) / (count * alpha)
    # where a new value lies given n excesses, not where the tail would end were its scale known
    spans = n * math.expm1(math.log(rarer) / n)
    beyond = spans if shape < _STRAIGHT else math.expm1(shape * spans) / shape
    return max(largest[-1], begin + scale * beyond)
