"""The velocities of the shaft's first three orders: the lines of a spectrum where the speed says they are.

Of a channel whose line is weak for its acceleration the lowest bins are refined (``low_bins``), since there rounding
would be more than a hundred-thousandth of it. Lines above 1 kHz, of shafts above 20,000 rpm, aren't.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.features import FEATURE_INDEX
from processors.kernel import kernel
from processors.low_bins import SINGLE, LowBins
from processors.mean_square import line_rms
from processors.time_domain import INDEX
from processors.velocity import MM_S2_PER_G

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]

#: Orders of the shaft lie at least this many bins apart, or they are not told from each other.
_SPACING_BINS: Final = 4.0
#: An order line is looked for within this share of its frequency, and at least so many bins.
_SHARE: Final = 0.01
_FEWEST_BINS: Final = 1.5
#: Bins on either side of a line that belong to it.
_LOBE: Final = 2
_COLUMNS: Final = np.array([FEATURE_INDEX[f"order_{order}x_mm_s"] for order in (1, 2, 3)])
#: Rounding moves a line by less than 2e-6 of what its bins would hold of white noise of the signal's rms; below this
#: share of that it is refined.
_SETTLED: Final = 0.25


class OrderLines:
    """Order lines of channels of one shape.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the windows.
    sampling_rate_hz : float
        Their sampling rate.
    lowest : LowBins
        Where channels of this shape are refined.
    """

    def __init__(self, n_channels: int, n_samples: int, sampling_rate_hz: float, lowest: LowBins) -> None:
        self._bin_hz = sampling_rate_hz / n_samples
        self._noise = math.sqrt((2 * _LOBE + 1) * 2.0 / n_samples)
        self._lowest = lowest
        self._all = np.arange(n_channels)

    def measure(self, moments: F64, power: F32, speed_rpm: float, values: F64) -> None:
        """Fill the orders' columns of `values`, mm/s rms; nothing where the orders lie too close together.

        Parameters
        ----------
        moments : ndarray, shape (n_channels, len(time_domain.COLUMNS)), float64
            What ``time_domain.moments`` makes of the window that the low bins began with.
        power : ndarray, shape (n_channels, n_bins), float32
            Each bin's share of its mean square, g², by a Hann window.
        speed_rpm : float
            Shaft speed.
        values : ndarray, shape (n_channels, len(FEATURES)), float64
            The feature vectors.
        """
        shaft_bins = speed_rpm / 60.0 / self._bin_hz
        if shaft_bins < _SPACING_BINS:
            return
        orders(power, self._all, len(_COLUMNS), self._bin_hz, shaft_bins, values)
        self._lowest.settle(
            np.flatnonzero(self._unsettled(moments, shaft_bins, values, SINGLE)),
            lambda rows: orders(self._lowest.power, rows, self._held(shaft_bins), self._bin_hz, shaft_bins, values),
            lambda: self._unsettled(moments, shaft_bins, values, self._lowest.origins),
        )

    def _held(self, shaft_bins: float) -> int:
        """Return how many orders lie among the lowest bins, lobes and neighbours included."""
        reaches = [math.ceil(_farthest(k * shaft_bins)) + _LOBE + 1 for k in range(1, len(_COLUMNS) + 1)]
        return sum(reach < self._lowest.n_low for reach in reaches)

    def _unsettled(self, moments: F64, shaft_bins: float, values: F64, origins: Rows | int) -> npt.NDArray[np.bool_]:
        """Return the channels (n_channels,) of which a line might be off by more than single precision may be."""
        unsettled = np.zeros(values.shape[0], np.bool_)
        for k in range(self._held(shaft_bins)):
            position = (k + 1) * shaft_bins
            left = self._lowest.rounding[origins, math.ceil(_farthest(position)) + _LOBE]
            bounds_g = _SETTLED * self._noise * left * moments[:, INDEX["rms"]]
            unsettled |= values[:, _COLUMNS[k]] < _mm_s(bounds_g, position * self._bin_hz)
        return unsettled


def _farthest(position: float) -> float:
    return position + max(_FEWEST_BINS, _SHARE * position)


def _mm_s(rms_g: Any, frequency_hz: float) -> Any:
    return MM_S2_PER_G * rms_g / (2.0 * math.pi * frequency_hz)


@kernel()
def orders(power: Real, rows: Rows, count: int, bin_hz: float, shaft_bins: float, values: F64) -> None:
    """Fill the velocities of the shaft's first `count` orders, mm/s rms; the shaft turns at `shaft_bins` (bins)."""
    for k in range(count):
        position = (k + 1) * shaft_bins
        reach = max(_FEWEST_BINS, _SHARE * position)
        for r in range(rows.size):
            at, rms_g = line_rms(power[rows[r]], position, reach)
            values[rows[r], _COLUMNS[k]] = MM_S2_PER_G * rms_g / (2.0 * math.pi * bin_hz * at)
