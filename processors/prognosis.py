"""How long a machine will last: a trend from the first warning on, carried on to the limit, with what it can't know.

A line is put through ln(x - x0), or through x, and drawn many times from what it can't know of itself; where each draw
reaches the limit gives the spread (a parametric bootstrap). What was measured in a row isn't independent: values that
hang together by ρ from neighbour to neighbour say as much as few independent ones, so the spread of slope and level,
and the degrees of freedom that they are known by, are those of a first-order autoregression. ρ is itself known from
these values alone, and drawn too. Where the trend is bent, what its newest slope says counts as well. Then the trend
must account for itself: the answers that it would have given earlier are compared with the present one, and the spread
is widened by how far they were off.

No answer is better than a wrong one: there is none while the trend doesn't rise, for a longer time than it has been
seen, or while the spread is so wide that nothing could be planned by it.

Invariant: the answer is a function of its arguments; draws are made by a generator with the given seed.

Sources: Bartlett (1935) for what a row that hangs together is worth; Kendall, and Marriott & Pope, Biometrika 41
(1954), for the bias of ρ beside a line; Satterthwaite, Biometrics Bulletin 2 (1946), for the degrees of freedom.
"""

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contracts.errors import SignalError

F64 = NDArray[np.float64]

#: Values from which a trend may be told from scatter.
FEWEST: Final = 8
RESAMPLES: Final = 400
#: The 90 % quantile may be so many times the 10 % one.
WIDEST: Final = 5.0
#: So many equally likely ρ are drawn from, none above the most.
CORRELATIONS: Final = 8
_MOST_CORRELATED: Final = 0.98
#: χ² with two degrees of freedom that a straight line stays below in four of five cases.
_STRAIGHT: Final = 3.22
#: Longer rows are taken as the means of so many equal parts.
MOST_POINTS: Final = 256
#: Added to a covariance, so that a row without any scatter has a root.
_NOTHING: Final = 1e-300 * np.eye(2)
#: Earlier answers that are compared with the present one, from the second half of the values; half of them are needed.
ORIGINS: Final = 8
#: Whether the limit is reached is told by the median of so many newest values.
_NOW: Final = 3


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
        Nothing for fewer than eight values above x0, a slope b ≤ 0, now or over all, a p50 that is longer than the
        values are, too few earlier answers, and p90 > 5 · p10. Zeros once trend and values have reached the limit.

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
    times, heights = _parted(times - times_s[-1]), _parted(heights)
    now = _outlook(times, heights, goal, seed)
    if now is None or now.p50_s == 0.0:
        return now
    straight = _straightened(now, times, heights, goal)
    if straight is None or straight.p50_s > -times[0]:
        return None
    return _accounted(straight, times, heights, goal, seed)


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
    slope, level = _line(times, heights)
    if not slope > 0.0:
        return None
    if level >= goal:  # a line that is there though the values aren't has left them: they stay below it
        return Outlook(0.0, 0.0, 0.0) if float(np.median(heights[-_NOW:])) >= goal else None
    slopes, levels = _drawn(times, heights - level - slope * times, np.random.default_rng(seed))
    slopes, levels = slope + slopes, level + levels
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


def _drawn(times: F64, left: F64, rng: np.random.Generator) -> tuple[F64, F64]:
    """Return how far slope and level at time 0 may be off, (RESAMPLES,) each, where `left` is left beside the line."""
    n, middle = times.size, float(times.mean())
    line = np.stack([np.ones(n), times - middle])
    inverse = np.diag(1.0 / np.square(line).sum(axis=1))
    together = _together(_correlations(left), n)
    hanging = together @ line.T
    once, twice = line @ hanging @ inverse, np.swapaxes(hanging, 1, 2) @ hanging @ inverse
    # traces of M·R and M·R·M·R, where R is how values hang together and M takes a line away
    worth = n - np.trace(once, axis1=1, axis2=2)
    squares = np.square(together).sum(axis=(1, 2)) - 2.0 * np.trace(twice, axis1=1, axis2=2)
    squares += np.trace(once @ once, axis1=1, axis2=2)
    freedom = np.maximum(np.square(worth) / squares, 1.0)
    variance = float(np.square(left).sum()) / worth
    roots = np.linalg.cholesky(variance[:, np.newaxis, np.newaxis] * (inverse @ once) + _NOTHING)
    each = RESAMPLES // CORRELATIONS
    normal = rng.standard_normal((CORRELATIONS, 2, each))
    off = roots @ normal * np.sqrt(freedom / rng.chisquare(freedom, size=(each, CORRELATIONS))).T[:, np.newaxis]
    slopes = off[:, 1].ravel()
    return slopes, off[:, 0].ravel() - middle * slopes


def _straightened(outlook: Outlook, times: F64, heights: F64, goal: float) -> Outlook | None:
    """Return the outlook, stretched to what the newest slope says where the trend is bent: where a cubic explains more.

    Whether it does is asked by a Wald test.
    """
    unit = float(times.std())
    axes, weights = np.linalg.qr(np.vander(times / unit, 4, increasing=True))
    along = axes.T @ heights
    left = heights - axes @ along
    squares = float(np.square(left).sum())
    together = axes.T @ _together(_correlation(left, axes.shape[1])[np.newaxis], times.size)[0] @ axes
    spread = squares / (times.size - float(np.trace(together))) * together[2:, 2:]
    if float(along[2:] @ np.linalg.solve(spread + _NOTHING, along[2:])) <= _STRAIGHT:
        return outlook
    level, slope = (float(one) for one in np.linalg.solve(weights, along)[:2])
    if not slope > 0.0:
        return None
    left_s = max(0.0, (goal - level) / slope * unit)
    between = math.sqrt(outlook.p50_s * left_s)
    return _planned(Outlook(min(outlook.p10_s, left_s), between, max(outlook.p90_s, left_s)))


def _together(rho: F64, n: int) -> F64:
    """Return for each ρ (k,) how n values in a row hang together, (k, n, n): ρ to the power of their distance."""
    steps = np.arange(n)
    return np.asarray((rho[:, np.newaxis] ** steps)[:, np.abs(steps[:, np.newaxis] - steps)])


def _correlations(left: F64) -> F64:
    """Return equally likely correlations of neighbours, of what is left beside a line."""
    rho = float(_correlation(left, 2))
    spread = math.sqrt(max(1.0 - rho**2, 1.0 / left.size) / left.size)
    likely = rho + spread * special.ndtri((np.arange(CORRELATIONS) + 0.5) / CORRELATIONS)
    return np.asarray(np.clip(likely, 0.0, _MOST_CORRELATED))


def _correlation(left: F64, taken: int) -> F64:
    """Return the correlation of neighbours, mended for the bias of having taken so many coefficients away."""
    squares = float(np.square(left).sum())
    rho = float((left[1:] * left[:-1]).sum()) / squares if squares > 0.0 else 0.0
    return np.asarray(np.clip(rho + (taken + (taken + 2.0) * rho) / left.size, 0.0, _MOST_CORRELATED))


def _parted(values: F64) -> F64:
    """Return the values, or the means of `MOST_POINTS` equal parts where there are more."""
    if values.size <= MOST_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MOST_POINTS)])


def _line(times: F64, heights: F64) -> tuple[float, float]:
    """Return the slope of the line through some points, and its height at time 0."""
    middle, mean = float(times.mean()), float(heights.mean())
    apart = times - middle
    slope = float((apart * (heights - mean)).sum() / np.square(apart).sum())
    return slope, mean - slope * middle
