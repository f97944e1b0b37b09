"""The envelope: where a bearing fault shows long before it moves the overall level.

Each impact of a fault rings a resonance. The squared envelope of a band around that resonance repeats at the fault
frequency, so its spectrum (SES) has lines there. The band is the one whose SES stands out most from its own floor (the
infogram's measure), among the bands of a fast kurtogram; with one guard: a band whose kurtosis comes from fewer than
three impulses is rejected, because a switching transient or a single knock is impulsive too but repeats nothing.

Bands are cut from the plain FFT and brought back by a short inverse transform: no filter, no long Hilbert transform.
Transforms are two-dimensional, so a row's bits don't depend on the rows beside it.
"""

import itertools
import math
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft
from rocket_fft import c2c, r2c

from contracts.errors import SignalError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]
C64 = npt.NDArray[np.complex64]
Rows = npt.NDArray[np.int64]

#: Above the sampling rate over this, the anti-alias filter of a recorder has begun to close.
USABLE_SHARE: Final = 2.56
#: Above this an accelerometer on its stud nears its own resonance, and noise decides what looks impulsive.
HIGHEST_HZ: Final = 10_000.0
#: Below this a machine's orders rule, not resonances.
LOWEST_HZ: Final = 500.0
#: Bands of the kurtogram divide the usable range by these numbers,
DIVISIONS: Final = (1, 2, 3, 4, 6, 8, 12, 16)
#: but are never narrower than this: three harmonics of an inner race at 3000 rpm need it.
NARROWEST_HZ: Final = 1000.0
#: A band of fewer bins has no envelope worth the name.
_FEWEST_BINS: Final = 8
#: Without its two strongest impulses an impulsive band must still be impulsive.
_IGNORED_IMPULSES: Final = 2
#: Impulsive is a kurtosis this many standard deviations over that of noise.
_SIGNIFICANT: Final = 4.0
#: Lines between these matter for the choice: from so many bins on (slow drift lies below) up to the harmonics of races.
_FIRST_LINE_BIN: Final = 5
_LAST_LINE_HZ: Final = 1000.0
#: A narrow band must lead the whole range by this over the root of the number of lines; in noise 1 % do (simulated).
_LEAD: Final = 1.1
#: So many real transforms are made together, and so many points are summed in float32.
_ROWS: Final = 8
_BLOCK: Final = 1024
#: The floor of an envelope spectrum is its median over blocks of so many bins.
_FLOOR_BLOCK: Final = 64


def squared_envelope(spectrum: Complex, n_samples: int, first: int, last: int, n_bins: int | None = None) -> Real:
    """Return the squared envelope of a band.

    The squared envelope of a band of w bins has lines up to bin w - 1. Sampled at m points over the time span, a line
    at k shows at m - k too: w + n_bins points keep the lowest `n_bins` bins (and the mean) free of that.

    Parameters
    ----------
    spectrum : ndarray, shape (n_channels, n_samples // 2 + 1), complex
        Plain one-sided FFT of the signals.
    n_samples : int
        Length of the signals.
    first, last : int
        The band's bins, the last one excluded.
    n_bins : int, optional
        How many bins of its spectrum are wanted; by default all, and its samples as well.

    Returns
    -------
    squared : ndarray, shape (n_channels, m)
        Squared envelope in the signals' unit squared, over the same time span, at m > (last - first) + n_bins points.
    """
    width = last - first
    wanted = width if n_bins is None else min(n_bins, width)
    length = int(scipy.fft.next_fast_len(width + wanted + 1))
    padded = np.zeros((spectrum.shape[0], length), spectrum.dtype)
    np.multiply(spectrum[:, first:last], spectrum.real.dtype.type(2.0 / n_samples), out=padded[:, :width])
    wave = scipy.fft.ifft(padded, axis=1, norm="forward", overwrite_x=True)
    squared: Real = wave.real**2 + wave.imag**2
    return squared


def envelope_spectrum(squared: Real, n_bins: int | None = None) -> Real:
    """Return the amplitude (peak) spectrum of squared envelopes, mean removed, Hann window.

    Parameters
    ----------
    squared : ndarray, shape (n_channels, m)
        Squared envelopes.
    n_bins : int, optional
        How many bins are wanted, all m // 2 + 1 by default.

    Returns
    -------
    amplitudes : ndarray, shape (n_channels, n_bins)
        Amplitudes in the squared envelopes' unit; bin k lies at k over the time span.
    """
    length = squared.shape[1]
    centred = squared - squared.mean(axis=1, keepdims=True)
    raw = scipy.fft.rfft(centred, axis=1, overwrite_x=True)
    wanted = raw.shape[1] if n_bins is None else min(n_bins, raw.shape[1])
    inner = min(wanted, raw.shape[1] - 1)
    amplitudes: Real = np.zeros((squared.shape[0], wanted), squared.dtype)
    # the Hann window, applied to the bins
    shaped = raw[:, 1:inner] - squared.dtype.type(0.5) * (raw[:, : inner - 1] + raw[:, 2 : inner + 1])
    # not np.abs: its vectorised hypotenuse may round differently at the end of an array
    amplitudes[:, 1:inner] = np.sqrt(shaped.real**2 + shaped.imag**2) * squared.dtype.type(2.0 / length)
    return amplitudes


class Envelopes:
    """Squared envelope spectra of windows of one length, over and over.

    Parameters
    ----------
    n_samples : int
        Length of the windows.
    """

    def __init__(self, n_samples: int) -> None:
        self._n_samples = n_samples
        self._buffers: dict[int, tuple[C64, C64, F32, C64]] = {}

    def spectra(self, spectrum: C64, channels: Rows, first: int, last: int, n_bins: int) -> tuple[F32, F32]:
        """Return the amplitudes of `envelope_spectrum`, and the means of the squared envelopes.

        Parameters
        ----------
        spectrum : ndarray, shape (n_channels, n_samples // 2 + 1), complex64
            Plain one-sided FFT of the signals.
        channels : ndarray of int, shape (n_rows,)
            The channels wanted.
        first, last : int
            The band's bins, the last one excluded.
        n_bins : int
            How many bins of the envelope spectrum are wanted, at most as many as the band has.

        Returns
        -------
        amplitudes : ndarray, shape (n_rows, n_bins), float32
            Amplitudes in the signals' unit squared.
        means : ndarray, shape (n_rows,), float32
            Mean of each squared envelope.
        """
        amplitudes = np.zeros((channels.size, n_bins), np.float32)
        means = np.zeros(channels.size, np.float32)
        if last > first:
            buffers = self._buffers_of(int(scipy.fft.next_fast_len(last - first + n_bins + 1)))
            _fill_spectra(spectrum, channels, first, last, 2.0 / self._n_samples, *buffers, amplitudes, means)
        return amplitudes, means

    def _buffers_of(self, length: int) -> tuple[C64, C64, F32, C64]:
        """Return what a transform of `length` points works in; the lengths are few, since bands and bearings are."""
        if length not in self._buffers:
            self._buffers[length] = (
                np.zeros((1, length), np.complex64),
                np.empty((1, length), np.complex64),
                np.empty((_ROWS, length), np.float32),
                np.empty((_ROWS, length // 2 + 1), np.complex64),
            )
        return self._buffers[length]


@numba.njit(cache=True)
def _fill_spectra(
    spectrum: C64,
    channels: Rows,
    first: int,
    last: int,
    scale: float,
    padded: C64,
    wave: C64,
    squared: F32,
    raw: C64,
    amplitudes: F32,
    means: F32,
) -> None:
    axes = np.array([1])
    padded[0, last - first :] = 0.0
    for start in range(0, channels.size, squared.shape[0]):
        n = min(squared.shape[0], channels.size - start)
        for r in range(n):
            _scale(spectrum[channels[start + r], first:last], scale, padded[0])
            # one at a time: how many of them are transformed together would change the bits
            c2c(padded, wave, axes, False, 1.0, 1)
            means[start + r] = _square(wave[0].view(np.float32), squared[r])
        r2c(squared[:n], raw[:n], axes, True, 1.0, 1)
        for r in range(n):
            _hann_amplitudes(raw[r], squared.shape[1], amplitudes[start + r])


@numba.njit(cache=True)
def _scale(band: C64, scale: float, out: C64) -> None:
    factor = np.float32(scale)
    for k in range(band.size):
        out[k] = band[k] * factor


@numba.njit(cache=True)
def _square(parts: F32, squared: F32) -> float:
    """Fill the squared magnitudes of complex numbers less their mean, which is returned."""
    total = 0.0
    for start in range(0, squared.size, _BLOCK):
        stop = min(start + _BLOCK, squared.size)
        total += _square_block(parts[2 * start : 2 * stop], squared[start:stop])
    mean = total / squared.size
    squared -= np.float32(mean)
    return mean


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _square_block(parts: F32, squared: F32) -> float:
    total = np.float32(0.0)
    for i in range(squared.size):
        value = parts[2 * i] * parts[2 * i] + parts[2 * i + 1] * parts[2 * i + 1]
        squared[i] = value
        total += value
    return np.float64(total)


@numba.njit(cache=True)
def _hann_amplitudes(raw: C64, length: int, out: F32) -> None:
    """Fill the amplitudes of a spectrum with the Hann window applied to its bins; nothing at either end of it."""
    half, scale = np.float32(0.5), np.float32(2.0 / length)
    parts = raw.view(np.float32)
    out[:] = np.float32(0.0)
    for k in range(1, min(out.size, raw.size - 1)):
        re = parts[2 * k] - half * (parts[2 * k - 2] + parts[2 * k + 2])
        im = parts[2 * k + 1] - half * (parts[2 * k - 1] + parts[2 * k + 3])
        out[k] = scale * np.sqrt(re * re + im * im)


@numba.njit(cache=True)
def guarded_kurtosis(squared: Real, ignored: int, out: F64) -> None:
    """Fill `out` (n_rows,) with each row's spectral kurtosis without its `ignored` strongest impulses.

    The kurtosis of a complex envelope is ⟨|z|⁴⟩/⟨|z|²⟩² - 2: 0 for noise, -1 for a steady line. An impulse is the
    stretch around a maximum that lies above the row's mean.
    """
    n_rows, n = squared.shape
    kept = np.empty(n, np.bool_)
    for r in range(n_rows):
        e = squared[r]
        mean = 0.0
        for i in range(n):
            mean += e[i]
            kept[i] = True
        mean /= n
        for _ in range(ignored):
            top = -1
            for i in range(n):
                if kept[i] and (top < 0 or e[i] > e[top]):
                    top = i
            if top < 0:
                break
            kept[top] = False
            i = top - 1
            while i >= 0 and e[i] > mean:
                kept[i] = False
                i -= 1
            i = top + 1
            while i < n and e[i] > mean:
                kept[i] = False
                i += 1
        count = 0
        second = 0.0
        fourth = 0.0
        for i in range(n):
            if kept[i]:
                v = np.float64(e[i])
                count += 1
                second += v
                fourth += v * v
        out[r] = fourth * count / (second * second) - 2.0 if second > 0.0 else -2.0


def kurtogram_bands(sampling_rate_hz: float) -> list[tuple[float, float]]:
    """Return the bands (Hz) the kurtogram looks at, the whole usable range first.

    Examples
    --------
    >>> kurtogram_bands(12800.0)[:3]
    [(500.0, 5000.0), (500.0, 2500.0), (2500.0, 5000.0)]
    """
    top = min(sampling_rate_hz / USABLE_SHARE, HIGHEST_HZ)
    lowest = min(LOWEST_HZ, 0.1 * top)
    bands = []
    for division in DIVISIONS:
        width = top / division
        if division > 1 and width < min(NARROWEST_HZ, top / 4):
            break
        edges = [max(lowest, i * width) for i in range(division + 1)]
        bands += [(low, high) for low, high in itertools.pairwise(edges) if high - low >= 0.5 * width]
    return bands


@numba.njit(cache=True)
def line_contrast(amplitudes: Real, first: int, last: int, out: F64) -> None:
    """Fill `out` (n_rows,) with how far lines stand out in bins `first` to `last` (excluded) of each row.

    It is the negentropy of the amplitudes over their local floor: 0 for a flat spectrum, larger the fewer bins hold
    the more of it. Rows without any floor get minus infinity.
    """
    for r in range(amplitudes.shape[0]):
        total = 0.0
        weighted = 0.0
        count = 0
        for start in range(first, last, _FLOOR_BLOCK):
            block = amplitudes[r, start : min(start + _FLOOR_BLOCK, last)]
            floor = np.float64(np.median(block))
            if floor > 0.0:
                for value in block:
                    level = value / floor
                    total += level
                    count += 1
                    if level > 0.0:
                        weighted += level * math.log(level)
        # the mean of q·ln(q) for q = level over mean level
        out[r] = weighted / total - math.log(total / count) if count > 0 else -np.inf


def choose_bands(samples_g: F32, sampling_rate_hz: float) -> F64:
    """Return the demodulation band of each channel: the one whose envelope spectrum has the clearest lines.

    It is the whole usable range unless another band is clearly better, so that a fault that isn't there yet is met
    wherever it comes; also where every band is rejected or a value isn't finite.

    J. Antoni, "Fast computation of the kurtogram for the detection of transient faults", MSSP 21 (2007), 108-124;
    "The infogram: entropic evidence of the signature of repetitive transients", MSSP 74 (2016), 73-94.

    Parameters
    ----------
    samples_g : ndarray, shape (n_channels, n_samples), float32
        Acceleration, g.
    sampling_rate_hz : float
        Sampling rate.

    Returns
    -------
    bands_hz : ndarray, shape (n_channels, 2)
        Lower and upper edge of each channel's band, Hz.

    Raises
    ------
    SignalError
        If the shape or the sampling rate is unusable.
    """
    if samples_g.ndim != 2 or samples_g.shape[1] < 2:
        raise SignalError(f"signals of shape {samples_g.shape}; (channels, at least 2 samples) needed")
    if not 0 < sampling_rate_hz < math.inf:
        raise SignalError(f"sampling rate {sampling_rate_hz} Hz; a positive number needed")
    n = samples_g.shape[1]
    finite = np.isfinite(samples_g).all(axis=1, keepdims=True)
    spectrum = scipy.fft.rfft(np.where(finite, samples_g, np.float32(0.0)), axis=1)
    bands = kurtogram_bands(sampling_rate_hz)
    merits = np.stack([band_merit(spectrum, n, sampling_rate_hz / n, band) for band in bands], axis=1)
    best = np.argmax(merits, axis=1)
    n_lines = max(1.0, _LAST_LINE_HZ * n / sampling_rate_hz)
    best[~(merits.max(axis=1) - _LEAD / math.sqrt(n_lines) > merits[:, 0])] = 0
    chosen: F64 = np.array(bands)[best]
    return chosen


def band_merit(spectrum: Complex, n_samples: int, bin_hz: float, band_hz: tuple[float, float]) -> F64:
    """Return how clear each channel's lines are in a band; minus infinity where the band is rejected."""
    n_channels = spectrum.shape[0]
    merit = np.full(n_channels, -np.inf)
    first, last = band_bins(band_hz[0], band_hz[1], bin_hz, n_samples)
    if last - first < _FEWEST_BINS:
        return merit
    squared = squared_envelope(spectrum, n_samples, first, last)
    plain, guarded = np.empty(n_channels), np.empty(n_channels)
    guarded_kurtosis(squared, 0, plain)
    guarded_kurtosis(squared, _IGNORED_IMPULSES, guarded)
    limit = _SIGNIFICANT * 2.0 / math.sqrt(last - first)
    last_line = min(last - first, math.ceil(_LAST_LINE_HZ / bin_hz))
    line_contrast(envelope_spectrum(squared, last_line), _FIRST_LINE_BIN, last_line, merit)
    merit[~np.isfinite(merit) | ((plain > limit) & (guarded <= limit))] = -np.inf
    return merit


def band_bins(low_hz: float, high_hz: float, bin_hz: float, n_samples: int) -> tuple[int, int]:
    """Return the bins of a band (last one excluded) that lie between offset and Nyquist frequency; maybe none."""
    first = max(1, round(low_hz / bin_hz))
    return first, max(first, min((n_samples + 1) // 2, round(high_hz / bin_hz)))
