"""Velocity and displacement from acceleration, by division in the frequency domain.

ISO 20816 grades velocity from 10 to 1000 Hz (2 to 1000 Hz for machines below 600 rpm). The rms values come from the
Hann spectrum with energy correction: without a window, offset, ramp and lines between bins cost up to 2 %. The true
peak-to-peak needs the wave itself, so it comes from an inverse transform, at a low rate: the band ends at 1000 Hz.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft
from rocket_fft import c2r, r2c

from contracts.units import STANDARD_GRAVITY_M_S2
from processors.kernel import kernel
from processors.time_domain import extent

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]
Real = npt.NDArray[np.floating[Any]]

#: What ``Motion`` measures, in order.
MOTION_FEATURES: Final = ("velocity_rms_mm_s", "displacement_rms_um", "displacement_pp_um")
MM_S2_PER_G: Final = STANDARD_GRAVITY_M_S2 * 1e3
UM_S2_PER_G: Final = STANDARD_GRAVITY_M_S2 * 1e6
_HIGH_HZ: Final = 1000.0
#: Variance of a Hann line's power about its true frequency, bins² (the same wherever it lies between two bins). Since
#: 1/f² is curved, the spread alone would raise a line at bin k by 3·variance/k² in power, and 1/f⁴ by 10·variance/k².
_SPREAD: Final = 1.0 / 3.0
#: Samples per period of the band's upper edge: of the acceleration while it is tapered, and of the displacement.
_SAMPLING: Final = 2.25
_OVERSAMPLING: Final = 4.0
#: Share of the window that each end's taper takes.
_TAPER_SHARE: Final = 0.25
#: An extreme of the wave lies between its samples; it is looked for at so many places on either side of the largest,
_PLACES: Final = 8
#: from so many samples on either side.
_REACH: Final = 6
#: So many channels are transformed together: their waves fit the nearest cache.
_ROWS: Final = 4


def band_hz(speed_rpm: float | None) -> tuple[float, float]:
    """Return the band of ISO 20816 for a shaft speed; an unknown speed is taken as 600 rpm or more.

    Examples
    --------
    >>> band_hz(1480.0), band_hz(300.0)
    ((10.0, 1000.0), (2.0, 1000.0))
    """
    return (2.0 if speed_rpm is not None and speed_rpm < 600 else 10.0), _HIGH_HZ


class Motion:
    """Velocity and displacement of channels of one shape.

    The displacement wave is tapered over a quarter of the window at either end, and read between the tapers. Without
    them a line between two bins leaks into the lowest bins, where integration magnifies it: 160.5 Hz in one second then
    reads seven times too much. What lies above the band is left out before the taper, so that a fraction of the samples
    is enough from there on. Between the samples of the wave its extremes are found by interpolation.

    Parameters
    ----------
    n_channels, n_samples : int
        Shape of the signals.
    sampling_rate_hz : float
        Their sampling rate.
    """

    def __init__(self, n_channels: int, n_samples: int, sampling_rate_hz: float) -> None:
        self._rate_hz = sampling_rate_hz
        self._bin_hz = sampling_rate_hz / n_samples
        self._n_bins = n_samples // 2 + 1
        coarse = min(n_samples, _length(_SAMPLING * _HIGH_HZ / self._bin_hz))
        fine = _length(_OVERSAMPLING * _HIGH_HZ / self._bin_hz)
        self._taper = (_planck_taper(coarse) / n_samples).astype(np.float32)
        self._waves = (
            np.empty((_ROWS, coarse), np.float32),
            np.empty((_ROWS, coarse // 2 + 1), np.complex64),
            np.empty((_ROWS, fine), np.float32),
            np.zeros((_ROWS, fine // 2 + 1), np.complex64),
        )
        self._places = _between_samples()
        self._weights: dict[float, tuple[int, F64, F64, F32]] = {}
        self._integrated = np.empty((n_channels, len(MOTION_FEATURES)))

    def measure(self, spectrum: C64, mean_square: F32, speed_rpm: float | None) -> F64 | None:
        """Return the motion of each channel, or nothing where the window is too short or sampled too slowly for it.

        Parameters
        ----------
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
        first, of_velocity, of_displacement, of_wave = self._weights[low_hz]
        integrated_rms(mean_square, first, of_velocity, of_displacement, self._integrated)
        peak_to_peak(spectrum, self._taper, of_wave, self._places, *self._waves, self._integrated[:, 2])
        return self._integrated

    def _weigh(self, low_hz: float, high_hz: float) -> tuple[int, F64, F64, F32]:
        """Return the band's first bin, what takes mean squares to velocity and displacement, and bins to the wave."""
        coarse, coarse_bins, _, _ = self._waves
        omega, first, of_velocity, of_displacement = integration_weights(low_hz, high_hz, self._bin_hz, self._n_bins)
        wave = np.zeros(min(first + omega.size, coarse_bins.shape[1]), np.float32)
        wave[first:] = (-UM_S2_PER_G / coarse.shape[1] / omega**2)[: wave.size - first]
        return first, of_velocity, of_displacement, wave


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
def integrated_rms(mean_square: Real, first: int, velocity: F64, displacement: F64, out: F64) -> None:
    """Fill the first two columns of `out` with velocity (mm/s rms) and displacement (um rms).

    `mean_square` (n_channels, n_bins) holds each bin's share of the signal's mean square, g²; the weights are those of
    ``integration_weights``, from bin `first` on.
    """
    for c in range(mean_square.shape[0]):
        band = mean_square[c, first : first + velocity.size]
        out[c, 0] = math.sqrt(_weighted_sum(band, velocity))
        out[c, 1] = math.sqrt(_weighted_sum(band, displacement))


@kernel("reassoc", "contract", "nsz")
def _weighted_sum(numbers: Real, weights: F64) -> float:
    total = 0.0
    for k in range(weights.size):
        total += np.float64(numbers[k]) * weights[k]
    return total


@kernel()
def peak_to_peak(
    spectrum: C64,
    taper: F32,
    weights: F32,
    places: F64,
    coarse: F32,
    coarse_bins: C64,
    fine: F32,
    fine_bins: C64,
    out: F64,
) -> None:
    """Fill `out` (n_channels,) with the largest less the smallest displacement in the middle half of the window, um.

    `spectrum` (n_channels, n_bins) is the plain one-sided FFT of the signals, g; the other arrays are those that a
    ``Motion`` holds.
    """
    for start in range(0, spectrum.shape[0], coarse.shape[0]):
        stop = min(start + coarse.shape[0], spectrum.shape[0])
        _waves(spectrum[start:stop], taper, weights, coarse, coarse_bins, fine, fine_bins)
        _peaks(fine[: stop - start], places, out[start:stop])


@kernel()
def _waves(spectrum: C64, taper: F32, weights: F32, coarse: F32, coarse_bins: C64, fine: F32, fine_bins: C64) -> None:
    n = spectrum.shape[0]
    axes = np.array([1])
    kept = coarse.shape[1] // 2 + 1
    for c in range(n):
        coarse_bins[c, :] = spectrum[c, :kept]
        if kept < spectrum.shape[1] and coarse.shape[1] % 2 == 0:
            coarse_bins[c, kept - 1] = 0.0
    c2r(coarse_bins[:n], coarse[:n], axes, False, 1.0, 1)
    for c in range(n):
        for i in range(taper.size):
            coarse[c, i] *= taper[i]
    r2c(coarse[:n], coarse_bins[:n], axes, True, 1.0, 1)
    for c in range(n):
        for k in range(weights.size):
            fine_bins[c, k] = coarse_bins[c, k] * weights[k]
    c2r(fine_bins[:n], fine[:n], axes, False, 1.0, 1)


@kernel()
def _peaks(fine: F32, places: F64, out: F64) -> None:
    edge = math.ceil(_TAPER_SHARE * fine.shape[1])
    values = np.empty(places.shape[1])
    bits = np.empty(2, np.int32)
    ends = bits.view(np.float32)
    for c in range(fine.shape[0]):
        middle = fine[c, edge : fine.shape[1] - edge]
        extent(middle, bits)
        top = _extreme_near(fine[c], edge + _find(middle, ends[1]), 1.0, places, values)
        out[c] = top + _extreme_near(fine[c], edge + _find(middle, ends[0]), -1.0, places, values)


@kernel()
def _find(numbers: F32, wanted: np.float32) -> int:
    for i in range(numbers.size):
        if numbers[i] == wanted:
            return i
    return 0


@kernel()
def _extreme_near(wave: F32, at: int, sign: float, places: F64, values: F64) -> float:
    """Return the largest of `sign` times the wave near sample `at`."""
    near = wave[at - _REACH : at + _REACH + 1]
    values[:] = 0.0
    for k in range(near.size):
        for p in range(values.size):
            values[p] += places[k, p] * near[k]
    top = 0
    for p in range(values.size):
        values[p] *= sign
        if values[p] > values[top]:
            top = p
    if not 0 < top < values.size - 1:
        return float(values[top])
    # the vertex of the parabola through the three
    slope = 0.5 * (values[top + 1] - values[top - 1])
    bend = values[top + 1] - 2.0 * values[top] + values[top - 1]
    return float(values[top] - 0.5 * slope * slope / bend) if bend < 0.0 else float(values[top])


def _between_samples() -> F64:
    """Return the weights (samples, places) that interpolate within one sample of the middle one.

    Of all weights these leave the least error in a wave whose power is spread over the band.
    """
    nodes = np.arange(-_REACH, _REACH + 1)
    places = np.arange(-_PLACES, _PLACES + 1) / _PLACES
    share = 2.0 / _OVERSAMPLING
    alike = np.sinc(share * (nodes[:, np.newaxis] - nodes))
    weights: F64 = np.linalg.solve(alike, np.sinc(share * (nodes[:, np.newaxis] - places)))
    return np.ascontiguousarray(weights)


def _length(wanted: float) -> int:
    return int(scipy.fft.next_fast_len(math.ceil(wanted), real=True))


def _planck_taper(n: int) -> F64:
    """Return a window with smooth ends (all derivatives zero) and a flat middle."""
    width = int(n * _TAPER_SHARE)
    u = (np.arange(width) + 0.5) / width
    rise = 0.5 - 0.5 * np.tanh(0.5 * (1.0 / u - 1.0 / (1.0 - u)))
    return np.concatenate((rise, np.ones(n - 2 * width), rise[::-1]))
