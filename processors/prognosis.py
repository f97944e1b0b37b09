"""How long a machine will last: a trend from the first warning on, carried on to the limit, with what it can't know.

A line through ln(x - x0), or through x, is refitted to many resamples of what was measured; where each reaches the
limit gives the spread. What was measured in a row isn't independent, so stretches are drawn that are as long as what is
left beside the line hangs together (Künsch's block bootstrap). Then the trend must account for itself: the answers that
it would have given earlier are compared with the present one, and the spread is widened by how far they were off.

No answer is better than a wrong one: there is none while the trend doesn't rise, for a longer time than it has been
seen, or while the spread is so wide that nothing could be planned by it.

Invariant: the answer is a function of its arguments; resamples are drawn from a generator with the given seed.
"""

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError

F64 = NDArray[np.float64]

#: Values from which a trend may be told from scatter.
FEWEST: Final = 8
RESAMPLES: Final = 400
#: The 90 % quantile may be so many times the 10 % one.
WIDEST: Final = 5.0
#: At least so many stretches are drawn, however long the values hang together.
FEWEST_STRETCHES: Final = 4
#: Earlier answers that are compared with the present one, from the second half of the values; half of them are needed.
ORIGINS: Final = 8


class Trend(enum.Enum):
    """The shape of the trend: ln(x - x0) = a + bt, or x = a + bt."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Time left, s: it is shorter than each value with a probability of 10, 50 and 90 %."""

    p10_s: float
    p50_s: float
    p90_s: float


def remaining_life(
    times_s: F64, values: F64, limit: float, healthy: float, trend: Trend = Trend.EXPONENTIAL, seed: int = 0
) -> Outlook | None:
    """Return the time from the last value until the trend reaches the limit, or nothing where it can't be told.

    Parameters
    ----------
    times_s : ndarray, shape (n,), float64
        When each value was measured, s, increasing; the first is that of the first warning.
    values : ndarray, shape (n,), float64
        What grows with the damage, in any unit.
    limit : float
        Value at which the life ends, above `healthy`.
    healthy : float
        x0, the value while the machine was well.
    trend : Trend
        Its shape.
    seed : int
        For the resamples.

    Returns
    -------
    outlook : Outlook or None
        Nothing for fewer than eight values above x0, a slope b ≤ 0, a p50 that is longer than the values are, too few
        earlier answers, and p90 > 5 · p10. Zeros once the trend has reached the limit.

    Raises
    ------
    SignalError
        If the arrays don't match, a value isn't finite, times don't increase, or the limit isn't above x0.

    Examples
    --------
    >>> times_s = np.arange(0.0, 600.0, 10.0)
    >>> outlook = remaining_life(times_s, 1.0 + np.exp(times_s / 200.0), limit=1.0 + np.exp(5.0), healthy=1.0)
    >>> round(outlook.p50_s, 3)
    410.0
    """
    if times_s.ndim != 1 or times_s.shape != values.shape:
        raise SignalError(f"times of shape {times_s.shape}, values of shape {values.shape}; one of each a row needed")
    if not (np.isfinite(times_s).all() and np.isfinite(values).all() and (np.diff(times_s) > 0.0).all()):
        raise SignalError("times and values must be finite, and times must increase")
    if not (math.isfinite(healthy) and math.isfinite(limit) and limit > healthy):
        raise SignalError(f"limit {limit}; above the healthy value {healthy} needed")
    if trend is Trend.EXPONENTIAL:
        grown = values > healthy
        times, heights, goal = times_s[grown], np.log(values[grown] - healthy), math.log(limit - healthy)
    else:
        times, heights, goal = times_s, values, limit
    if times.size < FEWEST:
        return None
    times = times - times_s[-1]
    now = _outlook(times, heights, goal, seed)
    if now is None or now.p50_s == 0.0:
        return now
    return _accounted(now, times, heights, goal, seed) if now.p50_s <= -times[0] else None


def health_index(value: float, healthy: float, limit: float) -> float:
    """Return how well a machine is: 1 at its healthy value or below, 0 at the limit or above, by ratio in between.

    Raises
    ------
    SignalError
        Unless 0 < healthy < limit and the value is finite.

    Examples
    --------
    >>> health_index(1.0, 1.0, 4.0), health_index(2.0, 1.0, 4.0), health_index(9.0, 1.0, 4.0)
    (1.0, 0.5, 0.0)
    """
    if not (0.0 < healthy < limit and math.isfinite(limit) and math.isfinite(value)):
        raise SignalError(f"value {value}, healthy {healthy}, limit {limit}; 0 < healthy < limit and a number needed")
    if value <= healthy:
        return 1.0
    return max(0.0, 1.0 - math.log(value / healthy) / math.log(limit / healthy))


def late_early_score(predicted: F64, true: F64) -> float:
    """Return Σ(e^(-d/13) - 1) where d < 0, and (e^(d/10) - 1) elsewhere, d = predicted - true: late costs more.

    Raises
    ------
    SignalError
        If the shapes differ.

    Examples
    --------
    >>> zeros = np.zeros(3)
    >>> round(late_early_score(np.array([-13.0, 0.0, 10.0]), zeros), 5)
    3.43656
    """
    if predicted.shape != true.shape:
        raise SignalError(f"{predicted.shape} predictions of {true.shape} lives")
    late = predicted - true
    return float(np.expm1(np.where(late < 0.0, -late / 13.0, late / 10.0)).sum())


def _outlook(times: F64, heights: F64, goal: float, seed: int) -> Outlook | None:
    """Return the outlook of a line through heights over times that end at 0."""
    slope, level = _line(times[np.newaxis], heights[np.newaxis])
    if not slope[0] > 0.0:
        return None
    if level[0] >= goal:
        return Outlook(0.0, 0.0, 0.0)
    stretch = min(_stretch(heights - level[0] - slope[0] * times), times.size // FEWEST_STRETCHES)
    count = -(-times.size // stretch)
    starts = np.random.default_rng(seed).integers(0, times.size - stretch + 1, size=(RESAMPLES, count, 1))
    picks = (starts + np.arange(stretch)).reshape(RESAMPLES, -1)[:, : times.size]
    slopes, levels = _line(times[picks], heights[picks])
    rising = slopes > 0.0
    left = np.full(RESAMPLES, np.inf)
    left[rising] = np.maximum(0.0, (goal - levels[rising]) / slopes[rising])
    # order statistics: a quantile between two values would mix a life with none at all
    p10, p50, p90 = (float(np.sort(left)[math.ceil(share * RESAMPLES) - 1]) for share in (0.1, 0.5, 0.9))
    return _planned(Outlook(p10, p50, p90))


def _accounted(now: Outlook, times: F64, heights: F64, goal: float, seed: int) -> Outlook | None:
    """Return the outlook, widened by how far earlier ones were off if the present one is right."""
    ratios = list(_ratios(now, times, heights, goal, seed))
    if len(ratios) < ORIGINS // 2:
        return None
    return _planned(Outlook(now.p10_s * min(1.0, *ratios), now.p50_s, now.p90_s * max(1.0, *ratios)))


def _ratios(now: Outlook, times: F64, heights: F64, goal: float, seed: int) -> Iterator[float]:
    """Yield the time that was left at earlier values, by the present outlook, over what would have been told then."""
    for count in np.unique(np.linspace(times.size // 2, times.size - 1, ORIGINS + 1).astype(int))[:-1].tolist():
        if count < FEWEST:
            continue
        then = _outlook(times[:count] - times[count - 1], heights[:count], goal, seed)
        if then is not None and then.p50_s > 0.0:
            yield (now.p50_s - float(times[count - 1])) / then.p50_s


def _planned(outlook: Outlook) -> Outlook | None:
    """Return an outlook by which something could be planned."""
    return outlook if outlook.p90_s <= WIDEST * outlook.p10_s and math.isfinite(outlook.p90_s) else None


def _stretch(left: F64) -> int:
    """Return how many values in a row hang together: (1 + ρ) / (1 - ρ) of what is left beside a line.

    ρ is the correlation of neighbours, mended for its bias in short rows (M. G. Kendall, Biometrika 41, 1954).
    """
    squares = float(np.square(left).sum())
    rho = float((left[1:] * left[:-1]).sum()) / squares if squares > 0.0 else 0.0
    rho = min(max(rho + (1.0 + 3.0 * rho) / left.size, 0.0), 0.99)
    return math.ceil((1.0 + rho) / (1.0 - rho))


def _line(times: F64, heights: F64) -> tuple[F64, F64]:
    """Return the slope of the line through each row of points, and its height at time 0.

    A row of one and the same time has no line: its slope is 0.
    """
    middle, mean = times.mean(axis=1), heights.mean(axis=1)
    apart = times - middle[:, np.newaxis]
    spread = np.square(apart).sum(axis=1)
    product = (apart * (heights - mean[:, np.newaxis])).sum(axis=1)
    slope = np.divide(product, spread, out=np.zeros_like(spread), where=spread > 0.0)
    return slope, mean - slope * middle
