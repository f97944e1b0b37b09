"""What a slow value should be now, from its past alone: its level, its mean, or that of this time of day or week.

Which of these fits depends on the machine: a furnace has a level, a building has days, a shop has weeks. All are kept
side by side, and each row is forecast by the one that has erred least so far, so that nothing need be configured.

Invariant: a forecast depends on earlier rows only.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors.detection.charts import ewma

F64 = NDArray[np.float64]

DAY_S: Final = 86400.0
#: Days and weeks back whose median makes the forecast of this time of day, or of the week.
_DAYS: Final = 5
_WEEKS: Final = 4


def forecast_errors(values: F64, interval_s: float) -> F64:
    """Return by how much each value misses the forecast that was best until then.

    Parameters
    ----------
    values : ndarray, shape (n,), float64
        Finite, equally spaced, oldest first.
    interval_s : float
        Time between values, s; above 0 and at most a day.

    Returns
    -------
    errors : ndarray, shape (n,), float64
        In the values' unit; 0 for the first.

    Raises
    ------
    SignalError
        If a value isn't finite, there are none, or the interval is outside its bounds.

    Examples
    --------
    >>> week = np.tile([0.0] * 5 + [10.0] * 2, 8)
    >>> np.abs(forecast_errors(week, 86400.0)[-14:]).max().item()
    0.0
    """
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise SignalError(f"values of shape {values.shape}; a row of at least one finite value needed")
    if not 0.0 < interval_s <= DAY_S:
        raise SignalError(f"interval {interval_s} s; above 0 and at most {DAY_S:.0f} s needed")
    day = round(DAY_S / interval_s)
    errors = values - np.stack(
        [_level(values, day), _mean(values), _before(values, day, _DAYS), _before(values, 7 * day, _WEEKS)]
    )
    return errors[_best_so_far(np.abs(errors), day), np.arange(values.size)]


def _level(values: F64, rows: int) -> F64:
    """Return the moving average with a time constant of `rows`, until the row before."""
    averages = values[0] + ewma((values - values[0])[:, np.newaxis], -np.expm1(-1.0 / rows))[:, 0]
    return np.concatenate([values[:1], averages[:-1]])


def _mean(values: F64) -> F64:
    means = np.cumsum(values) / np.arange(1, values.size + 1)
    return np.concatenate([values[:1], means[:-1]])


def _before(values: F64, rows: int, times: int) -> F64:
    """Return the median of the values `rows`, 2·`rows` … before; NaN where there is none yet."""
    earlier = np.full((times, values.size), np.nan)
    for index in range(times):
        back = (index + 1) * rows
        earlier[index, back:] = values[: max(values.size - back, 0)]
    known = np.isfinite(earlier).sum(axis=0)
    ordered = np.sort(earlier, axis=0)  # NaN last
    column = np.arange(values.size)
    middle = (ordered[np.maximum(known - 1, 0) // 2, column] + ordered[np.minimum(known // 2, times - 1), column]) / 2.0
    return np.asarray(np.where(known > 0, middle, np.nan))


def _best_so_far(misses: F64, rows: int) -> NDArray[np.intp]:
    """Return for each row the forecast with the least mean absolute error before it; the level until one has errors.

    A forecast is in the race once it has been made for `rows` rows.
    """
    made = np.isfinite(misses)
    count = np.cumsum(made, axis=1)
    mean = np.cumsum(np.where(made, misses, 0.0), axis=1) / np.maximum(count, 1)
    mean = np.where(count >= rows, mean, np.inf)
    mean = np.concatenate([np.full((len(misses), 1), np.inf), mean[:, :-1]], axis=1)
    return np.asarray(np.argmin(np.where(made, mean, np.inf), axis=0))
