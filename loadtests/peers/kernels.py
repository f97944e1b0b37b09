"""The mathematics of the small job, for one frame and for many: the same figures up to float32 rounding.

A frame's features: rms, peak, crest factor and kurtosis about the mean, the dominant frequency, and the rms of eight
equal bands of the Hann-windowed spectrum. The cheapest form known is the one for many frames: moments and bands in
Numba, and between them one FFT over several rows by SciPy, which vectorises across rows.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
import rocket_fft  # noqa: F401 -- registers np.fft.rfft with Numba
import scipy.fft
from numpy.typing import NDArray

from loadtests.peers.frames import HEADER_WORDS, SAMPLES, SAMPLING_RATE_HZ

BANDS: Final = 8
#: rms, peak, crest factor, kurtosis, dominant frequency (Hz), bands.
FEATURES: Final = 5 + BANDS
_LINES: Final = SAMPLES // 2 + 1
_WIDTH: Final = SAMPLES // 2 // BANDS
_HANN: Final = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(SAMPLES) / SAMPLES)).astype(np.float32)
_BAND_SCALE: Final = np.float32(2.0 / (SAMPLES * float(np.sum(_HANN.astype(np.float64) ** 2))))
#: Rows that are transformed at once: what stays in a core's second-level cache.
_ROWS: Final = 32
#: Without its sign bit a float32 that isn't NaN is ordered as its bits are; integers are what Numba can vectorise here.
_MAGNITUDE: Final = np.int32(0x7FFFFFFF)
_f4: Final = np.float32

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    return cast("_Function", numba.njit(cache=True, fastmath=True, nogil=True, error_model="numpy")(function))


@_compiled
def _moments(x: Any, windowed: Any, centred: Any, bits: Any, out: Any) -> None:
    """Write rms, peak, crest factor and kurtosis to `out`, and the centred, Hann-windowed samples to `windowed`."""
    total = _f4(0.0)
    for i in range(SAMPLES):
        total += x[i]
    mean = total / _f4(SAMPLES)
    square, fourth = _f4(0.0), _f4(0.0)
    for i in range(SAMPLES):
        deviation = x[i] - mean
        squared = deviation * deviation
        square += squared
        fourth += squared * squared
        windowed[i] = deviation * _HANN[i]
        centred[i] = deviation
    largest = np.int32(0)
    for i in range(SAMPLES):
        largest = max(largest, bits[i] & _MAGNITUDE)
    bits[0] = largest
    peak = centred[0]
    square = max(square / _f4(SAMPLES), _f4(1e-30))
    out[0] = np.sqrt(square)
    out[1] = peak
    out[2] = peak / np.sqrt(square)
    out[3] = fourth / _f4(SAMPLES) / (square * square)


@_compiled
def _bands(power: Any, bits: Any, sampling_rate_hz: Any, out: Any) -> None:
    """Write the dominant frequency and the rms of each band to `out`."""
    for band in range(BANDS):
        end = (band + 1) * _WIDTH if band < BANDS - 1 else _LINES
        total = _f4(0.0)
        for line in range(band * _WIDTH, end):
            total += power[line]
        out[5 + band] = np.sqrt(total * _BAND_SCALE)
    largest = np.int32(0)
    for line in range(1, _LINES):
        largest = max(largest, bits[line])
    dominant = 1
    for line in range(1, _LINES):
        if bits[line] == largest:
            dominant = line
            break
    out[4] = dominant * sampling_rate_hz / SAMPLES


@_compiled
def _before(words: Any, windowed: Any, scratch: Any, out: Any) -> None:
    bits = scratch.view(np.int32)
    for row in range(words.shape[0]):
        _moments(words[row][HEADER_WORDS:], windowed[row], scratch, bits, out[row])


@_compiled
def _after(spectra: Any, sampling_rates_hz: Any, scratch: Any, out: Any) -> None:
    """Take spectra as rows of (real, imaginary) float32 pairs."""
    bits = scratch.view(np.int32)
    for row in range(spectra.shape[0]):
        for line in range(_LINES):
            real, imaginary = spectra[row, 2 * line], spectra[row, 2 * line + 1]
            scratch[line] = real * real + imaginary * imaginary
        _bands(scratch, bits, sampling_rates_hz[row], out[row])


@_compiled
def _one(x: Any, sampling_rate_hz: Any, windowed: Any, scratch: Any, out: Any) -> None:
    bits = scratch.view(np.int32)
    _moments(x, windowed, scratch, bits, out)
    spectrum = np.fft.rfft(windowed)
    for line in range(_LINES):
        scratch[line] = spectrum[line].real * spectrum[line].real + spectrum[line].imag * spectrum[line].imag
    _bands(scratch, bits, sampling_rate_hz, out)


class Kernels:
    """Both forms, compiled, with the arrays they work in: one instance per thread."""

    def __init__(self) -> None:
        self._windowed = np.empty((_ROWS, SAMPLES), np.float32)
        self._scratch = np.empty(SAMPLES, np.float32)
        self._row = np.empty(FEATURES, np.float32)
        words = np.zeros((2, HEADER_WORDS + SAMPLES), np.float32)
        words.setflags(write=False)
        self.of_many(words, np.full(2, SAMPLING_RATE_HZ, np.float32))
        self.of_one(words[0, HEADER_WORDS:], SAMPLING_RATE_HZ)

    def of_many(self, words: NDArray[np.float32], sampling_rates_hz: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features of many frames.

        Parameters
        ----------
        words : ndarray, shape (n, HEADER_WORDS + SAMPLES), float32
            Frames as rows of words.
        sampling_rates_hz : ndarray, shape (n,), float32
            Of each frame.

        Returns
        -------
        features : ndarray, shape (n, FEATURES), float32
            One row per frame.
        """
        out = np.empty((len(words), FEATURES), np.float32)
        for first in range(0, len(words), _ROWS):
            rows = words[first : first + _ROWS]
            windowed, features = self._windowed[: len(rows)], out[first : first + _ROWS]
            _before(rows, windowed, self._scratch, features)
            spectra = scipy.fft.rfft(windowed, axis=1).view(np.float32)
            _after(spectra, sampling_rates_hz[first : first + _ROWS], self._scratch, features)
        return out

    def of_one(self, samples: NDArray[np.float32], sampling_rate_hz: float) -> list[float]:
        """Return the features of one frame, as a user of one record at a time computes them.

        Parameters
        ----------
        samples : ndarray, shape (SAMPLES,), float32
            One frame.
        sampling_rate_hz : float
            Its sampling rate.
        """
        _one(samples, np.float32(sampling_rate_hz), self._windowed[0], self._scratch, self._row)
        features: list[float] = self._row.tolist()
        return features
