"""Is any channel's level where it was when the machine was new? An EWMA chart per channel, with limits it has earned.

Consecutive readings of a plant aren't independent: flow and vibration wander over minutes, so that a textbook limit is
too tight, and the largest excursion of a short calibration is one look at chance. The limit here is a multiple of the
Allan deviation, which says how far a mean over some time strays from the mean over the same time before, and which uses
every row for it. It is no less than a share of the level: what changes by less is no fault, whatever its calibration.

Source for the overlapping Allan deviation: Riley, Handbook of Frequency Stability Analysis, NIST SP 1065 (2008).
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors.detection.charts import ewma

F64 = NDArray[np.float64]

_FEWEST_ROWS: Final = 32
#: The wander is that over these shares of the calibration: longer ones it has too few of, shorter ones are noise.
_SPANS: Final = (16, 8, 4)


@dataclass(frozen=True, slots=True, eq=False)
class LevelChart:
    """What is normal: of each channel centre and limit, each of shape (c,), in the channel's unit."""

    centre: F64
    limit: F64
    smoothing: float

    @classmethod
    def learn(cls, normal: F64, smoothing: float, margin: float, least: float = 0.0) -> Self:
        """Return the chart of a machine whose normal rows are known.

        Parameters
        ----------
        normal : ndarray, shape (n, c), float64
            Rows of the calibration, oldest first, at least 32.
        smoothing : float
            λ of the EWMA.
        margin : float
            The limit as a multiple of the wander, at least 1.
        least : float
            The limit is at least this share of the level, at least 0; only for channels whose zero means nothing there.

        Returns
        -------
        chart : LevelChart

        Raises
        ------
        SignalError
            If there are too few rows, a value isn't finite, or a setting is outside its bounds.
        """
        if normal.ndim != 2 or len(normal) < _FEWEST_ROWS or not np.isfinite(normal).all():
            raise SignalError(f"calibration of shape {normal.shape}; at least {_FEWEST_ROWS} finite rows needed")
        if not (margin >= 1.0 and least >= 0.0):
            raise SignalError(f"margin {margin}, least change {least}; at least 1 and 0 needed")
        # the median of a coarsely resolved channel is off by up to half a step
        centre = normal.mean(axis=0)
        spans = [allan_deviation(normal, len(normal) // share) for share in _SPANS]
        wander = np.sqrt(np.square(spans).sum(axis=0))
        # a channel that never moved is judged by its last bits, its resolution not being known
        still = np.spacing(np.abs(centre)) + np.finfo(np.float64).tiny
        limit = np.maximum.reduce([margin * wander, least * np.abs(centre), margin * still])
        return cls(centre, limit, smoothing)

    def ratios(self, rows: F64) -> F64:
        """Return each channel's smoothed deviation as a share of its limit, (n, c); beyond 1 and -1 it is abnormal.

        Parameters
        ----------
        rows : ndarray, shape (n, c), float64
            All rows since the machine was started, oldest first: the chart begins with the first.
        """
        return ewma((rows - self.centre) / self.limit, self.smoothing)


def allan_deviation(rows: F64, span: int) -> F64:
    """Return how far means over a span stray from the means over the span before: √(½·mean of their squared steps).

    Parameters
    ----------
    rows : ndarray, shape (n, c), float64
        Oldest first.
    span : int
        Rows of a mean, from 1 to n / 2.

    Returns
    -------
    deviation : ndarray, shape (c,), float64

    Raises
    ------
    SignalError
        If `span` is outside its bounds.

    Examples
    --------
    >>> allan_deviation(np.array([[0.0], [0.0], [2.0], [2.0]]), 2).round(4).tolist()
    [1.4142]
    """
    if not 1 <= span <= len(rows) // 2:
        raise SignalError(f"span {span}; from 1 to half of {len(rows)} rows needed")
    sums = np.cumsum(np.concatenate([np.zeros((1, rows.shape[1])), rows - rows[0]]), axis=0)
    means = (sums[span:] - sums[:-span]) / span
    deviation: F64 = np.sqrt(0.5 * np.square(means[span:] - means[:-span]).mean(axis=0))
    return deviation
