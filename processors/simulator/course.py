"""Quantities that change over time: piecewise linear, with a closed-form integral.

The closed form is what lets any block be computed alone: the shaft angle at any time needs no history.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError

Array = NDArray[np.float64]


class Course:
    """A value over time: linear between its knots, held before the first and after the last.

    Parameters
    ----------
    *knots : tuple of (float, float)
        (time in s, value), at strictly increasing times.

    Raises
    ------
    ConfigurationError
        Without a knot, for a value that isn't finite, and where the times don't increase.

    Examples
    --------
    >>> ramp = Course((10.0, 0.0), (20.0, 1.0))
    >>> ramp.at(np.array([0.0, 15.0, 30.0])).tolist()
    [0.0, 0.5, 1.0]
    >>> ramp.integral(np.array([10.0, 20.0, 30.0])).tolist()
    [0.0, 5.0, 15.0]
    """

    def __init__(self, *knots: tuple[float, float]) -> None:
        if not knots:
            raise ConfigurationError("a course needs at least one knot")
        points = np.asarray(knots, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise ConfigurationError(f"a course's knots are pairs of finite numbers, not {knots}")
        times, values = points[:, 0], points[:, 1]
        steps_s = np.diff(times)
        if (steps_s <= 0.0).any():
            raise ConfigurationError(f"a course's times must increase: {times.tolist()}")
        self.knots = tuple((float(t), float(v)) for t, v in points)
        self._times = times
        # One segment before the first knot and one after the last, both flat.
        self._starts = np.concatenate([times[:1], times])
        self._values = np.concatenate([values[:1], values])
        self._slopes = np.concatenate([[0.0], np.diff(values) / steps_s, [0.0]])
        areas = steps_s * (values[1:] + values[:-1]) / 2.0
        self._areas = np.concatenate([[0.0, 0.0], np.cumsum(areas)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Course) and other.knots == self.knots

    def __hash__(self) -> int:
        return hash(self.knots)

    def __repr__(self) -> str:
        return f"Course{self.knots}"

    @functools.cached_property
    def lowest(self) -> float:
        """The smallest value."""
        return min(value for _, value in self.knots)

    @functools.cached_property
    def highest(self) -> float:
        """The largest value."""
        return max(value for _, value in self.knots)

    def at(self, t_s: Array) -> Array:
        """Return the values at the times `t_s` (s), any shape."""
        segment = np.searchsorted(self._times, t_s, side="right")
        values: Array = self._values[segment] + self._slopes[segment] * (t_s - self._starts[segment])
        return values

    def integral(self, t_s: Array) -> Array:
        """Return the integral from the first knot to each of the times `t_s` (s); negative before that knot."""
        segment = np.searchsorted(self._times, t_s, side="right")
        elapsed_s = t_s - self._starts[segment]
        mean = self._values[segment] + 0.5 * self._slopes[segment] * elapsed_s
        areas: Array = self._areas[segment] + mean * elapsed_s
        return areas

    def is_zero(self, from_s: float, until_s: float) -> bool:
        """Return whether the value is 0 all the way from `from_s` to `until_s`."""
        inside = [value for time, value in self.knots if from_s < time < until_s]
        return not any(inside) and not self.at(np.array([from_s, until_s])).any()


def constant(value: float) -> Course:
    """Return the course that always has `value`."""
    return Course((0.0, value))
