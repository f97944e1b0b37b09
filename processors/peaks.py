"""What an analyst reads off a spectrum: its peaks, exactly, its density as an amplitude, the spacing of its sidebands.

A peak's position and amplitude come from the ratio of its two largest bins: they are those of the line, not of the bin.
Sidebands that repeat at one spacing are one peak of the cepstrum, however many they are: that finds the shaft that
modulates a gear mesh without knowing its speed.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError
from processors.spectrum import Spectrum, interpolated_peak, real_cepstrum, window

F64 = npt.NDArray[np.float64]

#: Two bins to either side of a Hann line belong to it.
_LOBE: Final = 2
_LOOKED_AT: Final = 4
#: A peak of the cepstrum at a whole fraction of the highest one's place is the true one if it is this share as high.
_FUNDAMENTAL_SHARE: Final = 0.5
_MOST_TURNS: Final = 6


@dataclass(frozen=True, slots=True)
class Peak:
    """One line: its frequency, its amplitude in the spectrum's unit, and its level over the median, dB."""

    frequency_hz: float
    amplitude: float
    over_floor_db: float


def peaks(spectrum: Spectrum, channel: int, low_hz: float, high_hz: float, count: int) -> tuple[Peak, ...]:
    """Return the highest peaks of a Hann amplitude spectrum between two frequencies, the highest first.

    Parameters
    ----------
    spectrum : Spectrum
        As ``spectrum.amplitude_spectrum`` returns it with the window ``hann``.
    channel : int
        The channel.
    low_hz, high_hz : float
        Where peaks are looked for; the level's floor is the median there.
    count : int
        At most so many.

    Returns
    -------
    found : tuple of Peak
        A bin that is higher than its neighbours, and within whose main lobe no higher one lies.

    Raises
    ------
    SignalError
        If the range holds fewer than three bins, or `count` is less than 1.

    Examples
    --------
    >>> from processors.spectrum import amplitude_spectrum
    >>> t = np.arange(1000) / 1000.0
    >>> x = 2.0 * np.sin(2 * np.pi * 100.3 * t) + np.sin(2 * np.pi * 200.0 * t)
    >>> found = peaks(amplitude_spectrum(x[np.newaxis], 1000.0), 0, 10.0, 400.0, 2)
    >>> [(round(peak.frequency_hz, 2), round(peak.amplitude, 2)) for peak in found]
    [(100.3, 2.0), (200.0, 1.0)]
    """
    values = spectrum.values[channel]
    first = max(1, math.ceil(low_hz / spectrum.bin_hz - 1e-9))
    last = min(values.size - 2, math.floor(high_hz / spectrum.bin_hz + 1e-9))
    if last - first < 2 or count < 1:
        raise SignalError(
            f"{count} peaks from {low_hz} to {high_hz} Hz; at least 1, and 3 bins of {spectrum.bin_hz} Hz"
        )
    floor = float(np.median(values[first : last + 1]))
    left, inner, right = (values[first + shift : last + 1 + shift] for shift in (-1, 0, 1))
    tops = first + np.flatnonzero((inner > 0.0) & (inner >= left) & (inner > right))
    found: list[Peak] = []
    taken: list[int] = []
    for k in tops[np.argsort(-values[tops], kind="stable")].tolist():
        # a bin may lie 1.4 dB under its line, so a few more are looked at than are asked for
        if len(taken) == _LOOKED_AT * count:
            break
        if all(abs(k - other) > _LOBE for other in taken):
            taken.append(k)
            position, amplitude = interpolated_peak(values, k)
            level_db = 20.0 * math.log10(amplitude / floor) if floor > 0.0 else math.inf
            found.append(Peak(position * spectrum.bin_hz, amplitude, level_db))
    return tuple(sorted(found, key=lambda peak: -peak.amplitude)[:count])


def amplitude_density(density: Spectrum) -> Spectrum:
    """Return the amplitude spectral density, unit/√Hz: the root of the power spectral density.

    Parameters
    ----------
    density : Spectrum
        Power spectral density, unit²/Hz.

    Returns
    -------
    asd : Spectrum
        At the same frequencies.

    Examples
    --------
    >>> amplitude_density(Spectrum(np.array([[4.0, 9.0]]), 1.0)).values.tolist()
    [[2.0, 3.0]]
    """
    return Spectrum(np.sqrt(density.values), density.bin_hz)


def sideband_spacing_hz(
    samples: npt.NDArray[np.floating[Any]], sampling_rate_hz: float, low_hz: float, high_hz: float
) -> tuple[float, float]:
    """Return the spacing at which the lines of a signal repeat, and how high that peak of the cepstrum is.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,)
        The signal.
    sampling_rate_hz : float
        Its sampling rate.
    low_hz, high_hz : float
        Spacings that are looked for.

    Returns
    -------
    spacing_hz : float
        One over the quefrency of the highest peak, placed between samples by a parabola.
    height : float
        The peak, dimensionless; that of noise is some multiples of one over the root of the samples.

    Raises
    ------
    SignalError
        If the signal or the range is unusable, or the spectrum has a zero.
    """
    if samples.ndim != 1 or not 0 < low_hz < high_hz or not 0 < sampling_rate_hz < math.inf:
        raise SignalError(
            f"signal of shape {samples.shape}, spacings from {low_hz} to {high_hz} Hz; 0 < low < high needed"
        )
    # a windowed line is as wide wherever it lies between two bins, and so is its share in the cepstrum
    shaped = (samples - samples.mean()) * window("hann", samples.size) if samples.size else samples
    cepstrum: F64 = real_cepstrum(shaped[np.newaxis])[0] if samples.size > 1 else np.empty(0)
    first, last = math.floor(sampling_rate_hz / high_hz), math.ceil(sampling_rate_hz / low_hz)
    if first < 1 or last + 1 >= cepstrum.size // 2:
        needed_s = 2.0 * (last + 2) / sampling_rate_hz
        raise SignalError(
            f"{samples.size / sampling_rate_hz:.3f} s at {sampling_rate_hz} Hz; {needed_s:.3f} s needed,"
            f" and more than {high_hz} samples a second"
        )
    k = _fundamental(cepstrum, first, last)
    left, mid, right = (float(cepstrum[i]) for i in (k - 1, k, k + 1))
    bend = left - 2.0 * mid + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return sampling_rate_hz / (k + min(max(shift, -0.5), 0.5)), mid


def _fundamental(cepstrum: F64, first: int, last: int) -> int:
    """Return the place of the highest peak, or of the one that it repeats after several turns of the shaft."""
    highest = first + int(np.argmax(cepstrum[first : last + 1]))
    for turns in range(_MOST_TURNS, 1, -1):
        place = round(highest / turns)
        if place - 2 >= first:
            k = place - 2 + int(np.argmax(cepstrum[place - 2 : place + 3]))
            if _height(cepstrum, k) >= _FUNDAMENTAL_SHARE * _height(cepstrum, highest):
                return k
    return highest


def _height(cepstrum: F64, k: int) -> float:
    """Return the height of a peak that may be shared by two samples."""
    return float(cepstrum[k] + max(cepstrum[k - 1], cepstrum[k + 1], 0.0))
