"""Velocity and displacement from acceleration, by division in the frequency domain.

ISO 20816 grades velocity from 10 to 1000 Hz (2 to 1000 Hz for machines below 600 rpm). The rms values come from the
Hann spectrum with energy correction: without a window, offset, ramp and lines between bins cost up to 2 %. The true
peak-to-peak needs the wave itself, so it comes from an inverse transform.
"""

import math
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.units import STANDARD_GRAVITY_M_S2

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

MM_S2_PER_G: Final = STANDARD_GRAVITY_M_S2 * 1e3
UM_S2_PER_G: Final = STANDARD_GRAVITY_M_S2 * 1e6
_HIGH_HZ: Final = 1000.0
#: Variance of a Hann line's power about its true frequency, bins² (the same wherever it lies between two bins). Since
#: 1/f² is curved, the spread alone would raise a line at bin k by 3·variance/k² in power, and 1/f⁴ by 10·variance/k².
_SPREAD: Final = 1.0 / 3.0
#: The displacement wave is sampled this many times per period of the band's upper edge.
_OVERSAMPLING: Final = 12.8
#: Share of the window that each end's taper takes.
_TAPER_SHARE: Final = 0.25


def band_hz(speed_rpm: float | None) -> tuple[float, float]:
    """Return the band of ISO 20816 for a shaft speed; an unknown speed is taken as 600 rpm or more.

    Examples
    --------
    >>> band_hz(1480.0), band_hz(300.0)
    ((10.0, 1000.0), (2.0, 1000.0))
    """
    return (2.0 if speed_rpm is not None and speed_rpm < 600 else 10.0), _HIGH_HZ


@numba.njit(cache=True)
def integrated_rms(mean_square: F64, first: int, last: int, bin_hz: float, out: F64) -> None:
    """Fill `out` (n_channels, 2) with velocity (mm/s rms) and displacement (um rms) over bins `first` to `last`.

    `mean_square` (n_channels, n_bins) holds each bin's share of the signal's mean square, g².
    """
    unit = 2.0 * math.pi * bin_hz
    for c in range(mean_square.shape[0]):
        velocity = 0.0
        displacement = 0.0
        for k in range(first, last + 1):
            square = np.float64(k) * k
            velocity += mean_square[c, k] / (square + 3.0 * _SPREAD)
            displacement += mean_square[c, k] / (square * square + 10.0 * _SPREAD * square)
        velocity /= unit**2
        displacement /= unit**4
        out[c, 0] = MM_S2_PER_G * math.sqrt(velocity)
        out[c, 1] = UM_S2_PER_G * math.sqrt(displacement)


class DisplacementWave:
    """Peak-to-peak displacement of channels of one shape.

    The wave is tapered over a quarter of the window at either end, and read between the tapers. Without them a line
    between two bins leaks into the lowest bins, where integration magnifies it: 160.5 Hz in one second then reads
    seven times too much.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the signals.
    sampling_rate_hz : float
        Their sampling rate.
    """

    def __init__(self, n_channels: int, n_samples: int, sampling_rate_hz: float) -> None:
        self._bin_hz = sampling_rate_hz / n_samples
        wanted = math.ceil(_OVERSAMPLING * _HIGH_HZ / self._bin_hz)
        self._length = int(scipy.fft.next_fast_len(wanted, real=True)) if wanted < n_samples else n_samples
        self._n_channels = n_channels
        self._scale = UM_S2_PER_G * self._length / n_samples
        self._taper = _planck_taper(n_samples).astype(np.float32)

    def peak_to_peak_um(self, samples_g: F32, first: int, last: int) -> F64:
        """Return the peak-to-peak displacement of each channel over bins `first` to `last`.

        Parameters
        ----------
        samples_g : ndarray, shape (n_channels, n_samples), float32
            Acceleration, g, mean removed.
        first, last : int
            First and last bin of the band; the first is not 0.

        Returns
        -------
        peak_to_peak_um : ndarray, shape (n_channels,)
            Largest minus smallest displacement in the middle half of the window, um.
        """
        spectrum = scipy.fft.rfft(samples_g * self._taper, axis=1)
        padded = np.zeros((self._n_channels, self._length // 2 + 1), spectrum.dtype)
        omega = 2.0 * math.pi * self._bin_hz * np.arange(first, last + 1)
        weights = (-self._scale / omega**2).astype(np.float32)
        np.multiply(spectrum[:, first : last + 1], weights, out=padded[:, first : last + 1])
        wave = scipy.fft.irfft(padded, n=self._length, axis=1)
        edge = math.ceil(_TAPER_SHARE * self._length)
        middle = wave[:, edge : self._length - edge]
        peak_to_peak: F64 = (middle.max(axis=1) - middle.min(axis=1)).astype(np.float64)
        return peak_to_peak


def _planck_taper(n: int) -> F64:
    """Return a window with smooth ends (all derivatives zero) and a flat middle."""
    width = int(n * _TAPER_SHARE)
    u = (np.arange(width) + 0.5) / width
    rise = 0.5 - 0.5 * np.tanh(0.5 * (1.0 / u - 1.0 / (1.0 - u)))
    return np.concatenate((rise, np.ones(n - 2 * width), rise[::-1]))
