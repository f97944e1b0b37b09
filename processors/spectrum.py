"""Spectra: amplitude, density, averages, bands and exact lines.

Arrays are two-dimensional (channel, sample) throughout: a transform of one row then gives the same bits whatever rows
lie beside it. Amplitudes are peak values; a density integrates to the mean square.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.errors import SignalError

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

Window = Literal["rectangular", "hann", "hamming", "blackman_harris", "flat_top"]

#: Cosine coefficients; F. J. Harris, Proc. IEEE 66 (1978), 51-83, and ISO 18431-2 for the flat top.
_COSINES: Final[dict[Window, tuple[float, ...]]] = {
    "rectangular": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman_harris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flat_top": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


def window(name: Window, n: int) -> F64:
    """Return `n` values of a periodic window.

    Examples
    --------
    >>> window("hann", 4).round(9).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    phase = 2.0 * np.pi * np.arange(n) / n
    terms = [(-1) ** order * a * np.cos(order * phase) for order, a in enumerate(_COSINES[name])]
    values: F64 = np.sum(terms, axis=0)
    return values


def coherent_gain(values: F64) -> float:
    """Return the factor by which a window lowers a line."""
    return float(values.mean())


def noise_bandwidth_bins(values: F64) -> float:
    """Return the equivalent noise bandwidth of a window, bins."""
    return float(values.size * np.sum(values**2) / np.sum(values) ** 2)


def scallop_loss_db(values: F64) -> float:
    """Return how much lower a line half-way between two bins reads, dB."""
    half = np.exp(-1j * np.pi * np.arange(values.size) / values.size)
    return 20.0 * math.log10(abs(np.sum(values * half)) / abs(np.sum(values)))


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One-sided spectra of some channels: ``values`` (n_channels, n_bins) at multiples of ``bin_hz``."""

    values: F64
    bin_hz: float

    @property
    def frequencies_hz(self) -> F64:
        """Return the frequency of each bin."""
        return self.bin_hz * np.arange(self.values.shape[1], dtype=np.float64)

    def slice_of(self, low_hz: float, high_hz: float) -> slice:
        """Return the bins from `low_hz` up to, not including, `high_hz`."""
        return slice(math.ceil(low_hz / self.bin_hz - 1e-9), math.ceil(high_hz / self.bin_hz - 1e-9))


def amplitude_spectrum(samples: Real, sampling_rate_hz: float, name: Window = "hann") -> Spectrum:
    """Return the amplitude (peak) spectrum of each channel, mean removed.

    Parameters
    ----------
    samples : ndarray, shape (n_channels, n_samples)
        The signals.
    sampling_rate_hz : float
        Their sampling rate.
    name : str
        The window.

    Returns
    -------
    spectrum : Spectrum
        Amplitudes in the signals' unit.

    Raises
    ------
    SignalError
        If the shape or the sampling rate is unusable.
    """
    _check(samples, sampling_rate_hz)
    n = samples.shape[1]
    weights = window(name, n)
    centred = samples - samples.mean(axis=1, keepdims=True)
    values = np.abs(scipy.fft.rfft(centred * weights, axis=1)).astype(np.float64) * 2.0 / weights.sum()
    _halve_ends(values, n)
    return Spectrum(values, sampling_rate_hz / n)


def power_density(
    samples: Real, sampling_rate_hz: float, segment: int | None = None, overlap: float = 0.5, name: Window = "hann"
) -> Spectrum:
    """Return the one-sided power spectral density of each channel, averaged over segments (Welch).

    Parameters
    ----------
    samples : ndarray, shape (n_channels, n_samples)
        The signals.
    sampling_rate_hz : float
        Their sampling rate.
    segment : int, optional
        Samples in a segment; all in one by default.
    overlap : float
        Share of a segment that the next one repeats, 0 to 0.9.
    name : str
        The window.

    Returns
    -------
    density : Spectrum
        Density in unit²/Hz.

    Raises
    ------
    SignalError
        If the shape, the sampling rate, the segment or the overlap is unusable.
    """
    _check(samples, sampling_rate_hz)
    length = samples.shape[1] if segment is None else segment
    if not 2 <= length <= samples.shape[1] or not 0 <= overlap <= 0.9:
        raise SignalError(f"segment {length} of {samples.shape[1]} samples, overlap {overlap}: 0 to 0.9 allowed")
    weights = window(name, length)
    hop = max(1, round(length * (1.0 - overlap)))
    starts = range(0, samples.shape[1] - length + 1, hop)
    total = np.zeros((samples.shape[0], length // 2 + 1))
    for start in starts:
        part = samples[:, start : start + length]
        centred = part - part.mean(axis=1, keepdims=True)
        total += np.abs(scipy.fft.rfft(centred * weights, axis=1)) ** 2
    values = total * (2.0 / (len(starts) * sampling_rate_hz * np.sum(weights**2)))
    _halve_ends(values, length)
    return Spectrum(values, sampling_rate_hz / length)


def band_rms(density: Spectrum, low_hz: float, high_hz: float) -> F64:
    """Return the rms of each channel from `low_hz` up to, not including, `high_hz`."""
    values: F64 = np.sqrt(density.values[:, density.slice_of(low_hz, high_hz)].sum(axis=1) * density.bin_hz)
    return values


def interpolated_peak(magnitudes: npt.NDArray[np.floating[Any]], k: int) -> tuple[float, float]:
    """Return position (bins) and amplitude of the line at local maximum `k` of a Hann amplitude spectrum.

    The ratio of the two largest bins gives the exact position of a single line; a parabola through three would be off
    by 0.016 bins and 3.8 %.

    Parameters
    ----------
    magnitudes : ndarray, shape (n_bins,)
        Hann amplitude spectrum.
    k : int
        The largest bin, neither first nor last.

    Returns
    -------
    position : float
        Position of the line, bins.
    amplitude : float
        Its amplitude.
    """
    left, mid, right = float(magnitudes[k - 1]), float(magnitudes[k]), float(magnitudes[k + 1])
    if mid <= 0.0:
        return float(k), 0.0
    sign = 1.0 if right >= left else -1.0
    ratio = max(left, right) / mid
    delta = min(max((2.0 * ratio - 1.0) / (1.0 + ratio), 0.0), 0.5)
    gain = 1.0 if delta < 1e-12 else math.sin(math.pi * delta) / (math.pi * delta * (1.0 - delta**2))
    return k + sign * delta, mid / gain


def third_octaves(density: Spectrum, low_hz: float, high_hz: float) -> tuple[F64, F64]:
    """Return centre frequencies and rms (n_channels, n_bands) of the third octaves centred in a range.

    Raises
    ------
    SignalError
        If the range is empty.
    """
    if not 0 < low_hz <= high_hz:
        raise SignalError(f"third octaves from {low_hz} to {high_hz} Hz; 0 < low <= high needed")
    first = math.ceil(10.0 * math.log10(low_hz / 1000.0) - 1e-9)
    last = math.floor(10.0 * math.log10(high_hz / 1000.0) + 1e-9)
    centres = 1000.0 * 10.0 ** (np.arange(first, last + 1) / 10.0)
    edge = 10.0 ** (1.0 / 20.0)
    bands = [band_rms(density, centre / edge, centre * edge) for centre in centres]
    return centres, np.stack(bands, axis=1) if bands else np.empty((density.values.shape[0], 0))


def real_cepstrum(samples: Real) -> F64:
    """Return the real cepstrum irfft(ln|X|) of each channel; an echo is a peak at its delay.

    Raises
    ------
    SignalError
        If a spectrum has a zero, whose logarithm is none.
    """
    _check(samples, 1.0)
    magnitudes = np.abs(scipy.fft.rfft(samples.astype(np.float64), axis=1))
    if not magnitudes.all():
        raise SignalError("the spectrum has a zero, so it has no logarithm")
    result: F64 = scipy.fft.irfft(np.log(magnitudes), n=samples.shape[1], axis=1)
    return result


def _halve_ends(values: F64, n: int) -> None:
    """Offset and Nyquist have no mirror image: undo the doubling."""
    values[:, 0] *= 0.5
    if n % 2 == 0:
        values[:, -1] *= 0.5


def _check(samples: Real, sampling_rate_hz: float) -> None:
    if samples.ndim != 2 or samples.shape[1] < 2:
        raise SignalError(f"signals of shape {samples.shape}; (channels, at least 2 samples) needed")
    if not 0 < sampling_rate_hz < math.inf:
        raise SignalError(f"sampling rate {sampling_rate_hz} Hz; a positive number needed")
