"""How long a machine will last: what has grown since the first warning, carried on to the limit, with what isn't known.

What grows is ln(x - x0). Neither its shape is known, nor how much of its scatter hangs together, nor slope and level;
all of it is drawn from what the values say of it, and where each draw reaches the limit gives the spread. Shapes are
lines over a warped time: exponential growth where it isn't warped, powers of the time since some beginning (a linear
trend is one, and the square of time) where it slows, growth towards a singularity where it hastens. Each counts by how
well it explains the values (a Bayesian average over a grid of shapes and correlations; errors are a first-order
autoregression, since values in a row that hang together say as much as few independent ones).

Then the trend must account for itself: the answers that it would have given earlier are compared with the present one,
and the spread is widened by how far they were off. That withholds what none of the shapes is like.

No answer is better than a wrong one: there is none while the trend doesn't rise, for a longer time than it has been
seen, or while the spread is so wide that nothing could be planned by it.

Invariant: the answer is a function of its arguments; draws are made by a generator with the given seed.

Sources: Zellner, An Introduction to Bayesian Inference in Econometrics (1971), for regression with autoregressive
errors under a flat prior; Hoeting et al., Bayesian Model Averaging, Statistical Science 14 (1999).
"""

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
DRAWS: Final = 400
#: The 90 % quantile may be so many times the 10 % one.
WIDEST: Final = 5.0
#: Correlations of neighbours, equally likely beforehand.
_CORRELATIONS: Final = np.array([0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.96, 0.985])
#: Shapes: by how many e-folds the rate of relative growth fell over what was seen; beforehand it is likely as of a
#: normal distribution, by one or less in two of three cases …
_FALLEN: Final = np.arange(-15, 22) / 5.0
#: … and how they warp time u, from 0 to 1 over what was seen: to ln(1 + shape · u) / shape.
_SHAPES: Final = np.expm1(_FALLEN)
#: Longer rows are taken as the means of so many equal parts.
MOST_POINTS: Final = 256
#: Heights are known no better than so.
_EXACT: Final = 1e-9
#: Earlier answers that are compared with the present one, from the second half of the values; half of them are needed.
ORIGINS: Final = 8
#: Whether the limit is reached is told by the median of so many newest values.
_NOW: Final = 3


@dataclass(frozen=True, slots=True)
class Outlook:
    """Time left, s: it is shorter than each value with a probability of 10, 50 and 90 %."""

    p10_s: float
    p50_s: float
    p90_s: float


def remaining_life(times_s: F64, values: F64, limit: float, healthy: float, seed: int = 0) -> Outlook | None:
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
    seed : int
        For the draws.

    Returns
    -------
    outlook : Outlook or None
        Nothing for fewer than eight values above x0, a trend that doesn't surely rise, a p50 that is longer than the
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
    grown = values > healthy
    times, heights = _parted(times_s[grown]), _parted(np.log(values[grown] - healthy))
    if times.size < FEWEST:
        return None
    goal = math.log(limit - healthy)
    now = _outlook(times, heights, goal, seed)
    if now.p90_s == 0.0:  # a trend that is there though the values aren't has left them
        return now if float(np.median(heights[-_NOW:])) >= goal else None
    if now.p50_s > times[-1] - times[0] or not _is_planned(now):
        return None
    return _accounted(now, times, heights, goal, seed)


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


def _outlook(times: F64, heights: F64, goal: float, seed: int) -> Outlook:
    """Return the time from the last of the times until heights come to the goal."""
    shapes, slopes, levels = _drawn(times, heights, np.random.default_rng(seed))
    left = np.full(DRAWS, np.inf)
    rising = slopes > 0.0
    with np.errstate(over="ignore"):  # never, for all that can be planned
        ahead = np.maximum(0.0, (goal - levels[rising]) / slopes[rising])
        left[rising] = _unwarped(shapes[rising], ahead) * float(times[-1] - times[0])
    # order statistics: a quantile between two values would mix a life with none at all
    p10, p50, p90 = (float(np.sort(left)[math.ceil(share * DRAWS) - 1]) for share in (0.1, 0.5, 0.9))
    return Outlook(p10, p50, p90)


def _drawn(times: F64, heights: F64, rng: np.random.Generator) -> tuple[F64, F64, F64]:
    """Return shapes, and the slopes and levels now of lines over the time that each warps, (DRAWS,) each."""
    n = times.size
    seen = (times - times[0]) / (times[-1] - times[0])
    warped = _warped(_SHAPES[:, np.newaxis], seen)
    middle = float(heights.mean())
    columns = np.stack([np.ones_like(warped), warped, np.broadcast_to(heights - middle, warped.shape)], axis=1)
    products = _whitened(columns)
    inverse = np.linalg.inv(products[..., :2, :2])
    along = (inverse @ products[..., :2, 2:])[..., 0]
    squares = products[..., 2, 2] - (along * products[..., :2, 2]).sum(axis=-1)
    squares = np.maximum(squares, n * _EXACT**2)
    likely = np.log(np.linalg.det(inverse)) + np.log1p(-np.square(_CORRELATIONS))[:, np.newaxis]
    likely = (0.5 * (likely - (n - 2) * np.log(squares) - np.square(_FALLEN))).ravel()
    shares = np.cumsum(np.exp(likely - likely.max()))
    chosen = np.searchsorted(shares, (np.arange(DRAWS) + 0.5) / DRAWS * shares[-1])
    correlation, shape = np.unravel_index(chosen, squares.shape)
    spread = squares[..., np.newaxis, np.newaxis] * inverse
    roots = np.linalg.cholesky(spread)[correlation, shape]
    off = roots @ rng.standard_normal((DRAWS, 2, 1)) / np.sqrt(rng.chisquare(n - 2, size=(DRAWS, 1, 1)))
    levels, slopes = (along[correlation, shape] + off[..., 0]).T
    return _SHAPES[shape], slopes, levels + middle


def _whitened(columns: F64) -> F64:
    """Return the products of columns (k, c, n) whose steps are made independent, for each correlation: (r, k, c, c)."""
    across = np.swapaxes(columns, 1, 2)
    inner = columns[..., 1:-1] @ across[:, 1:-1]
    beside = columns[..., 1:] @ across[:, :-1]
    rho = _CORRELATIONS[:, np.newaxis, np.newaxis, np.newaxis]
    return np.asarray(columns @ across - rho * (beside + np.swapaxes(beside, 1, 2)) + np.square(rho) * inner)


def _warped(shapes: F64, seen: F64) -> F64:
    """Return seen time, from 0 to 1, as each shape warps it: from -1 to 0."""
    bent = np.where(shapes == 0.0, 1.0, shapes)
    warped = np.where(shapes == 0.0, seen, np.log1p(bent * seen) / bent)
    return np.asarray(warped / warped[:, -1:] - 1.0)


def _unwarped(shapes: F64, ahead: F64) -> F64:
    """Return how long each warped time ahead is, in times of what was seen."""
    bent = np.where(shapes == 0.0, 1.0, shapes)
    return np.asarray(np.where(shapes == 0.0, ahead, np.expm1(np.log1p(bent) * (1.0 + ahead)) / bent - 1.0))


def _accounted(now: Outlook, times: F64, heights: F64, goal: float, seed: int) -> Outlook | None:
    """Return the outlook, widened by how far all earlier ones but one were off if the present one is right."""
    ratios = sorted(_ratios(now, times, heights, goal, seed))
    if len(ratios) < ORIGINS // 2:
        return None
    widened = Outlook(now.p10_s * min(1.0, ratios[1]), now.p50_s, now.p90_s * max(1.0, ratios[-2]))
    return widened if _is_planned(widened) else None


def _ratios(now: Outlook, times: F64, heights: F64, goal: float, seed: int) -> Iterator[float]:
    """Yield the time that was left at earlier values, by the present outlook, over the median of what was told then."""
    for count in np.unique(np.linspace(times.size // 2, times.size - 1, ORIGINS + 1).astype(int))[:-1].tolist():
        if count < FEWEST:
            continue
        then = _outlook(times[:count], heights[:count], goal, seed)
        if 0.0 < then.p50_s < math.inf:
            yield (now.p50_s + float(times[-1] - times[count - 1])) / then.p50_s


def _is_planned(outlook: Outlook) -> bool:
    """Return whether something could be planned by an outlook."""
    return outlook.p90_s <= WIDEST * outlook.p10_s and math.isfinite(outlook.p90_s)


def _parted(values: F64) -> F64:
    """Return the values, or the means of `MOST_POINTS` equal parts where there are more."""
    if values.size <= MOST_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MOST_POINTS)])
