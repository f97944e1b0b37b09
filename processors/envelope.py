"""The envelope: where a bearing fault shows long before it moves the overall level.

Each impact of a fault rings a resonance. The squared envelope of a band around that resonance repeats at the fault
frequency, so its spectrum (SES) has lines there. Which band, ``band_choice`` says.

Bands are cut from the plain FFT and brought back by a short inverse transform: no filter, no long Hilbert transform.
Transforms don't mix rows, so a row's bits don't depend on the rows beside it.
"""

import functools
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft
from rocket_fft import c2c, r2c

from processors.kernel import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]
C64 = npt.NDArray[np.complex64]
Rows = npt.NDArray[np.int64]

#: So many real transforms are made together, and so many points are summed in float32.
_ROWS: Final = 8
_BLOCK: Final = 1024
#: What a transform works in is kept for so many lengths: bands, bearings and speeds make ever new ones.
_KEPT_LENGTHS: Final = 16


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
        self._room = functools.lru_cache(maxsize=_KEPT_LENGTHS)(_room)

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
            room = self._room(int(scipy.fft.next_fast_len(last - first + n_bins + 1)))
            _fill_spectra(spectrum, channels, first, last, 2.0 / self._n_samples, *room, amplitudes, means)
        return amplitudes, means


def _room(length: int) -> tuple[C64, C64, F32, C64]:
    """Return what a transform of `length` points works in."""
    return (
        np.zeros((1, length), np.complex64),
        np.empty((1, length), np.complex64),
        np.empty((_ROWS, length), np.float32),
        np.empty((_ROWS, length // 2 + 1), np.complex64),
    )


@kernel()
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
            scale_band(spectrum[channels[start + r], first:last], scale, padded[0])
            # one at a time: how many of them are transformed together would change the bits
            c2c(padded, wave, axes, False, 1.0, 1)
            mean = square(wave[0].view(np.float32), squared[r])[0] / squared.shape[1]
            _lower(squared[r], mean)
            means[start + r] = mean
        r2c(squared[:n], raw[:n], axes, True, 1.0, 1)
        for r in range(n):
            hann_amplitudes(raw[r], squared.shape[1], amplitudes[start + r])


@kernel()
def _lower(numbers: F32, by: float) -> None:
    for i in range(numbers.size):
        numbers[i] -= np.float32(by)


@kernel()
def scale_band(band: C64, scale: float, out: C64) -> None:
    """Fill the first of `out` with a band of a spectrum."""
    factor = np.float32(scale)
    for k in range(band.size):
        out[k] = band[k] * factor


@kernel()
def square(parts: F32, squared: F32) -> tuple[float, float]:
    """Fill the squared magnitudes of complex numbers; return their sum and that of their squares."""
    second = fourth = 0.0
    for start in range(0, squared.size, _BLOCK):
        stop = min(start + _BLOCK, squared.size)
        of_block = _square_block(parts[2 * start : 2 * stop], squared[start:stop])
        second += of_block[0]
        fourth += of_block[1]
    return second, fourth


@kernel("reassoc", "contract", "nsz")
def _square_block(parts: F32, squared: F32) -> tuple[float, float]:
    second, fourth = np.float32(0.0), np.float32(0.0)
    for i in range(squared.size):
        value = parts[2 * i] * parts[2 * i] + parts[2 * i + 1] * parts[2 * i + 1]
        squared[i] = value
        second += value
        fourth += value * value
    return np.float64(second), np.float64(fourth)


@kernel()
def hann_amplitudes(raw: C64, length: int, out: F32) -> None:
    """Fill the amplitudes of a spectrum with the Hann window applied to its bins; nothing at either end of it."""
    half, scale = np.float32(0.5), np.float32(2.0 / length)
    parts = raw.view(np.float32)
    out[:] = np.float32(0.0)
    for k in range(1, min(out.size, raw.size - 1)):
        re = parts[2 * k] - half * (parts[2 * k - 2] + parts[2 * k + 2])
        im = parts[2 * k + 1] - half * (parts[2 * k - 1] + parts[2 * k + 3])
        out[k] = scale * np.sqrt(re * re + im * im)


def band_bins(low_hz: float, high_hz: float, bin_hz: float, n_samples: int) -> tuple[int, int]:
    """Return the bins of a band (last one excluded) that lie between offset and Nyquist frequency; maybe none."""
    first = max(1, round(low_hz / bin_hz))
    return first, max(first, min((n_samples + 1) // 2, round(high_hz / bin_hz)))
