"""Is any channel's level where it was when the machine was new? An EWMA chart per channel, with limits it has earned.

Consecutive readings of a plant aren't independent, so the textbook limit of an EWMA is too tight. The limit here is the
larger of that and of the largest excursion of the calibration itself, widened by a margin because a calibration is too
short to have seen all that is normal.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.errors import SignalError
from processors.detection.charts import ewma, ewma_limit

F64 = NDArray[np.float64]

#: L of the textbook limit.
_WIDTH = 3.0
_MAD_TO_SIGMA = 1.4826
#: The robust spread of a coarsely resolved channel is often 0; it counts for no less than this share of the plain one.
_LEAST_SHARE = 0.5
_FEWEST_ROWS = 30


@dataclass(frozen=True, slots=True, eq=False)
class LevelChart:
    """What is normal: of each channel centre, spread and limit, each of shape (c,), in the channel's unit and in σ."""

    centre: F64
    scale: F64
    limit: F64
    smoothing: float

    @classmethod
    def learn(cls, normal: F64, smoothing: float, margin: float) -> Self:
        """Return the chart of a machine whose normal rows are known.

        Parameters
        ----------
        normal : ndarray, shape (n, c), float64
            Rows of the calibration, oldest first.
        smoothing : float
            λ of the EWMA.
        margin : float
            Factor of the limit, at least 1.

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
        if not margin >= 1.0:
            raise SignalError(f"margin {margin}; at least 1 needed")
        centre = np.median(normal, axis=0)
        spread = _MAD_TO_SIGMA * np.median(np.abs(normal - centre), axis=0)
        scale = np.maximum(spread, _LEAST_SHARE * normal.std(axis=0))
        # a channel that never moved is judged against its resolution, which is not known: by its last bits then
        scale = np.maximum(scale, np.spacing(np.abs(centre)) + np.finfo(np.float64).tiny)
        excursion = np.abs(ewma((normal - centre) / scale, smoothing)).max(axis=0)
        limit = margin * np.maximum(excursion, ewma_limit(_WIDTH, smoothing))
        return cls(centre, scale, limit, smoothing)

    def ratios(self, rows: F64) -> F64:
        """Return how far each channel's EWMA lies outside, as a share of its limit, shape (n, c); above 1 is abnormal.

        Parameters
        ----------
        rows : ndarray, shape (n, c), float64
            All rows since the machine was started, oldest first: the chart begins with the first.
        """
        return np.asarray(np.abs(ewma((rows - self.centre) / self.scale, self.smoothing)) / self.limit)

    def scores(self, rows: F64) -> F64:
        """Return the largest ratio of each row, shape (n,)."""
        return np.asarray(self.ratios(rows).max(axis=1))
