"""Which band to demodulate: the one whose envelope spectrum stands out most from its floor (the infogram's measure).

It is chosen among the bands of a fast kurtogram, with one guard: a band whose kurtosis comes from fewer than three
impulses is rejected, because a switching transient or a single knock is impulsive too but repeats nothing.
"""

import itertools
import math
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.fft
from rocket_fft import c2c, r2c

from contracts.errors import SignalError
from processors.envelope import band_bins, hann_amplitudes, scale_band, square
from processors.kernel import kernel
from processors.mean_square import block_sums
from processors.median import median
from processors.time_domain import largest

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]

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
#: The floor of an envelope spectrum is its median over blocks of so many bins.
_FLOOR_BLOCK: Final = 64
#: So many real transforms are made together.
_ROWS: Final = 8


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
    spectrum = scipy.fft.rfft(np.where(finite, samples_g, np.float32(0.0)), axis=1).astype(np.complex64, copy=False)
    bands = kurtogram_bands(sampling_rate_hz)
    merits = np.stack([measure_band(spectrum, n, sampling_rate_hz / n, band)[:, 1] for band in bands], axis=1)
    best = np.argmax(merits, axis=1)
    n_lines = max(1.0, _LAST_LINE_HZ * n / sampling_rate_hz)
    best[~(merits.max(axis=1) - _LEAD / math.sqrt(n_lines) > merits[:, 0])] = 0
    chosen: F64 = np.array(bands)[best]
    return chosen


def measure_band(spectrum: C64, n_samples: int, bin_hz: float, band_hz: tuple[float, float]) -> F64:
    """Return how impulsive each channel is in a band, and how clear its lines are.

    Parameters
    ----------
    spectrum : ndarray, shape (n_channels, n_samples // 2 + 1), complex64
        Plain one-sided FFT of the signals.
    n_samples : int
        Length of the signals.
    bin_hz : float
        Resolution.
    band_hz : tuple of (float, float)
        The band.

    Returns
    -------
    figures : ndarray, shape (n_channels, 2), float64
        Spectral kurtosis (0 for noise, -1 for a steady line) and `line_contrast`; minus infinity for both where the
        band is too narrow, for the contrast where the band is rejected.
    """
    out = np.full((spectrum.shape[0], 2), -np.inf)
    first, last = band_bins(band_hz[0], band_hz[1], bin_hz, n_samples)
    width = last - first
    if width < _FEWEST_BINS:
        return out
    n_lines = min(width, math.ceil(_LAST_LINE_HZ / bin_hz))
    # as in Envelopes: so many points keep the lines that are wanted free of aliases
    length = int(scipy.fft.next_fast_len(width + n_lines + 1))
    wave = np.empty((1, length), np.complex64)
    squared, raw = np.empty((_ROWS, length), np.float32), np.empty((_ROWS, length // 2 + 1), np.complex64)
    amplitudes = np.empty(n_lines, np.float32)
    limit = _SIGNIFICANT * 2.0 / math.sqrt(width)
    _fill_figures(
        spectrum, first, last, 2.0 / n_samples, limit, np.zeros_like(wave), wave, squared, raw, amplitudes, out
    )
    return out


@kernel()
def _fill_figures(
    spectrum: C64,
    first: int,
    last: int,
    scale: float,
    limit: float,
    padded: C64,
    wave: C64,
    squared: F32,
    raw: C64,
    amplitudes: F32,
    out: F64,
) -> None:
    axes = np.array([1])
    length = squared.shape[1]
    rejected = np.empty(squared.shape[0], np.bool_)
    for start in range(0, out.shape[0], squared.shape[0]):
        n = min(squared.shape[0], out.shape[0] - start)
        for r in range(n):
            scale_band(spectrum[start + r, first:last], scale, padded[0])
            # one at a time: how many of them are transformed together would change the bits
            c2c(padded, wave, axes, False, 1.0, 1)
            second, fourth = square(wave[0].view(np.float32), squared[r])
            kurtosis = fourth * length / (second * second) - 2.0 if second > 0.0 else -2.0
            out[start + r, 0] = kurtosis
            scratch = wave[0].view(np.float32)
            rejected[r] = kurtosis > limit and guarded_kurtosis(squared[r], second, fourth, scratch) <= limit
            squared[r] -= np.float32(second / length)
        r2c(squared[:n], raw[:n], axes, True, 1.0, 1)
        for r in range(n):
            if not rejected[r]:
                hann_amplitudes(raw[r], length, amplitudes)
                out[start + r, 1] = line_contrast(amplitudes)


@kernel()
def guarded_kurtosis(squared: F32, second: float, fourth: float, scratch: F32) -> float:
    """Return the spectral kurtosis of a squared envelope without its two strongest impulses.

    The kurtosis of a complex envelope is ⟨|z|⁴⟩/⟨|z|²⟩² - 2: 0 for noise, -1 for a steady line. An impulse is the
    stretch around a maximum that lies above the mean. `second` and `fourth` are the sums of `squared` and of its
    squares; `scratch` is at least as long and overwritten.
    """
    n = squared.size
    left = scratch[:n]
    left[:] = squared
    mean = second / n
    count = n
    for _ in range(_IGNORED_IMPULSES):
        top = left.view(np.int32)
        # positive floats are ordered like the integers of their bits
        highest = largest(top)
        at = 0
        while top[at] != highest:
            at += 1
        begin, end = at, at + 1
        while begin > 0 and left[begin - 1] > mean:
            begin -= 1
        while end < n and left[end] > mean:
            end += 1
        for i in range(begin, end):
            value = np.float64(left[i])
            second -= value
            fourth -= value * value
            left[i] = np.float32(0.0)
        count -= end - begin
    return fourth * count / (second * second) - 2.0 if second > 0.0 else -2.0


@kernel()
def line_contrast(amplitudes: F32) -> float:
    """Return how far lines stand out of an envelope spectrum: the negentropy of the amplitudes over their local floor.

    It is 0 for a flat spectrum, larger the fewer bins hold the more of it; minus infinity without any floor.
    """
    total = weighted = 0.0
    count = 0
    for start in range(_FIRST_LINE_BIN, amplitudes.size, _FLOOR_BLOCK):
        block = amplitudes[start : min(start + _FLOOR_BLOCK, amplitudes.size)]
        floor = median(block)
        if floor > 0.0:
            of_block, _, by_logarithm = block_sums(block)
            # of the levels, the amplitudes over the floor
            total += of_block / floor
            weighted += (by_logarithm - of_block * math.log(floor)) / floor
            count += block.size
    # the mean of q·ln(q) for q = level over mean level
    return weighted / total - math.log(total / count) if count > 0 else -np.inf
