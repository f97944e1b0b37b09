"""Velocity and displacement from acceleration, by division in the frequency domain.

ISO 20816 grades velocity from 10 to 1000 Hz (2 to 1000 Hz for machines below 600 rpm). The rms values come from the
Hann spectrum with energy correction: without a window, offset, ramp and lines between bins cost up to 2 %. The true
peak-to-peak needs the wave itself, so it comes from an inverse transform, at a low rate: the band ends at 1000 Hz.
All start from the plain FFT of the samples, to which windows are applied as sums of neighbouring bins.

Integration magnifies the lowest bins, and with them the rounding of everything above: of a channel that moves little
for its acceleration these bins are refined (``low_bins``).
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.units import STANDARD_GRAVITY_M_S2
from processors import displacement, low_bins
from processors.displacement import Tapered
from processors.kernel import kernel
from processors.low_bins import SINGLE, LowBins
from processors.time_domain import INDEX

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]
Complex = npt.NDArray[np.complexfloating[Any, Any]]
Real = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]

#: What ``Motion`` measures, in order.
MOTION_FEATURES: Final = ("velocity_rms_mm_s", "displacement_rms_um", "displacement_pp_um")
MM_S2_PER_G: Final = STANDARD_GRAVITY_M_S2 * 1e3
UM_S2_PER_G: Final = STANDARD_GRAVITY_M_S2 * 1e6
#: Variance of a Hann line's power about its true frequency, bins² (the same wherever it lies between two bins). Since
#: 1/f² is curved, the spread alone would raise a line at bin k by 3·variance/k² in power, and 1/f⁴ by 10·variance/k².
_SPREAD: Final = 1.0 / 3.0
#: Rounding moves an rms by less than 5e-7, and the peak-to-peak by less than 2e-6, of the rms that white noise of the
#: signal's rms would have there; below these shares of that it might be 1e-5 and 8e-6 of the result.
_SETTLED: Final = (0.05, 0.05, 0.25)
#: So many channels are transformed together: their waves fit the nearest cache.
_ROWS: Final = 4


def band_hz(speed_rpm: float | None) -> tuple[float, float]:
    """Return the band of ISO 20816 for a shaft speed; an unknown speed is taken as 600 rpm or more.

    Examples
    --------
    >>> band_hz(1480.0), band_hz(300.0)
    ((10.0, 1000.0), (2.0, 1000.0))
    """
    return (2.0 if speed_rpm is not None and speed_rpm < 600 else 10.0), low_bins.HIGHEST_HZ


class Motion:
    """Velocity and displacement of channels of one shape.

    The acceleration is tapered towards both ends of the window before it becomes a displacement wave, which is read in
    the middle two fifths. Without a taper a line between two bins leaks into the lowest bins, where integration
    magnifies it: 160.5 Hz in one second then reads seven times too much. Between the samples of the wave its extremes
    are found by interpolation.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the signals.
    sampling_rate_hz : float
        Their sampling rate.
    lowest : LowBins
        Where channels of this shape are refined.
    """

    def __init__(self, n_channels: int, n_samples: int, sampling_rate_hz: float, lowest: LowBins) -> None:
        self._rate_hz = sampling_rate_hz
        self._bin_hz = sampling_rate_hz / n_samples
        self._n_bins = n_samples // 2 + 1
        self._n_samples = n_samples
        self._lowest = lowest
        fine = math.ceil(displacement.OVERSAMPLING * low_bins.HIGHEST_HZ / self._bin_hz)
        fine = scipy.fft.next_fast_len(fine, real=True)
        self._waves = (np.empty((_ROWS, fine), np.float32), np.zeros((_ROWS, fine // 2 + 1), np.complex64))
        self._places = displacement.between_samples()
        self._weights: dict[float, _Weights] = {}
        self._all = np.arange(n_channels)
        self._integrated = np.empty((n_channels, len(MOTION_FEATURES)))

    def measure(self, moments: F64, spectrum: C64, mean_square: F32, speed_rpm: float | None) -> F64 | None:
        """Return the motion of each channel, or nothing where the window is too short or sampled too slowly for it.

        Parameters
        ----------
        moments : ndarray, shape (n_channels, len(time_domain.COLUMNS)), float64
            What ``time_domain.moments`` makes of the window that the low bins began with.
        spectrum : ndarray, shape (n_channels, n_bins), complex64
            Plain one-sided FFT of the acceleration, g.
        mean_square : ndarray, shape (n_channels, n_bins), float32
            Each bin's share of its mean square, g², by a Hann window.
        speed_rpm : float or None
            Shaft speed.

        Returns
        -------
        motion : ndarray, shape (n_channels, len(MOTION_FEATURES)), float64, or None
            Velocity and displacement; overwritten by the next call.
        """
        low_hz, high_hz = band_hz(speed_rpm)
        if self._bin_hz > low_hz or self._rate_hz < 2.0 * high_hz:
            return None
        if low_hz not in self._weights:
            self._weights[low_hz] = self._weigh(low_hz, high_hz)
        weights, rms_g = self._weights[low_hz], moments[:, INDEX["rms"]]
        self._integrate(mean_square, self._all, weights)
        # a peak-to-peak is the dearest of all: not for channels that are refined anyway
        again = self._unsettled(weights, rms_g, SINGLE, slice(2))
        self._find_range(spectrum, np.flatnonzero(~again), weights.single)
        again |= self._unsettled(weights, rms_g, SINGLE, slice(2, 3))
        self._lowest.settle(
            np.flatnonzero(again),
            lambda rows: self._measure_refined(rows, weights),
            lambda: self._unsettled(weights, rms_g, self._lowest.origins, slice(3)),
        )
        return self._integrated

    def _unsettled(self, weights: "_Weights", rms_g: F64, origins: Rows | int, columns: slice) -> npt.NDArray[np.bool_]:
        """Return the channels (n_channels,) of which a column might be off by more than single precision may be."""
        bounds = weights.settled[origins] * rms_g[:, np.newaxis]
        below = self._integrated[:, columns] < bounds[:, columns]
        return np.asarray(below.any(axis=1))

    def _measure_refined(self, rows: Rows, weights: "_Weights") -> None:
        self._integrate(self._lowest.power, rows, weights)
        self._find_range(self._lowest.spectrum, rows, weights.double)

    def _integrate(self, mean_square: Real, rows: Rows, weights: "_Weights") -> None:
        integrated_rms(mean_square, rows, weights.first, weights.velocity, weights.displacement, self._integrated)

    def _find_range(self, spectrum: Complex, rows: Rows, room: Tapered) -> None:
        displacement.peak_to_peak(
            spectrum,
            rows,
            self._n_samples,
            room.weights,
            room.halves,
            room.bins,
            self._places,
            *self._waves,
            self._integrated,
        )

    def _weigh(self, low_hz: float, high_hz: float) -> "_Weights":
        omega, first, of_velocity, of_displacement = integration_weights(low_hz, high_hz, self._bin_hz, self._n_bins)
        wave = np.zeros(first + omega.size)
        wave[first:] = -UM_S2_PER_G / self._n_samples / omega**2
        # of white noise of 1 g rms each bin has this mean square, and of its rounding such a share is left
        left = 2.0 / self._n_samples * self._lowest.rounding[:, first : wave.size] ** 2
        noise = [
            MM_S2_PER_G * np.sqrt(left @ (1.0 / omega**2)),
            *[UM_S2_PER_G * np.sqrt(left @ (1.0 / omega**4))] * 2,
        ]
        return _Weights(
            first,
            of_velocity,
            of_displacement,
            Tapered(wave, np.complex64),
            Tapered(wave, np.complex128),
            np.array(_SETTLED) * np.stack(noise, axis=1),
        )


@dataclass(frozen=True, slots=True)
class _Weights:
    """What takes the bins of a band, from the first one on, to velocity, displacement (mean squares) and its wave.

    ``settled`` (3, len(MOTION_FEATURES)): a figure of less, for each g rms, calls for bins of a better origin.
    """

    first: int
    velocity: F64
    displacement: F64
    single: Tapered
    double: Tapered
    settled: F64


def integration_weights(low_hz: float, high_hz: float, bin_hz: float, n_bins: int) -> tuple[F64, int, F64, F64]:
    """Return what takes the mean square of the bins of a band to velocity and displacement, squared.

    Parameters
    ----------
    low_hz, high_hz : float
        The band.
    bin_hz : float
        Resolution of the spectrum.
    n_bins : int
        Its length.

    Returns
    -------
    omega : ndarray, shape (n_in_band,)
        Angular frequencies of the band's bins, 1/s.
    first : int
        Its first bin.
    velocity, displacement : ndarray, shape (n_in_band,)
        Weights, (mm/s)²/g² and um²/g².
    """
    first = math.ceil(low_hz / bin_hz - 1e-9)
    last = min(math.floor(high_hz / bin_hz + 1e-9), n_bins - 1)
    bins = np.arange(first, last + 1, dtype=np.float64)
    unit, square = 2.0 * math.pi * bin_hz, bins**2
    of_velocity = (MM_S2_PER_G / unit) ** 2 / (square + 3.0 * _SPREAD)
    of_displacement = (UM_S2_PER_G / unit**2) ** 2 / (square * square + 10.0 * _SPREAD * square)
    return unit * bins, first, of_velocity, of_displacement


@kernel()
def integrated_rms(mean_square: Real, rows: Rows, first: int, velocity: F64, displacement: F64, out: F64) -> None:
    """Fill the first two columns of `out` at `rows` with velocity (mm/s rms) and displacement (um rms).

    `mean_square` (n_channels, n_bins) holds each bin's share of the signal's mean square, g²; the weights are those of
    ``integration_weights``, from bin `first` on.
    """
    for r in range(rows.size):
        c = rows[r]
        band = mean_square[c, first : first + velocity.size]
        out[c, 0] = math.sqrt(_weighted_sum(band, velocity))
        out[c, 1] = math.sqrt(_weighted_sum(band, displacement))


@kernel("reassoc", "contract", "nsz")
def _weighted_sum(numbers: Real, weights: F64) -> float:
    total = 0.0
    for k in range(weights.size):
        total += np.float64(numbers[k]) * weights[k]
    return total
