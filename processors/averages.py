"""Averages of spectra over time: exponential, for a display that follows, and peak hold, for a run-up.

The linear average is Welch's, in ``spectrum.power_density``. Powers are averaged, never amplitudes: only then does an
average of noise tend to its power.
"""

import numpy as np
import numpy.typing as npt

from contracts.errors import SignalError
from processors.spectrum import Spectrum, Window, power_density

F64 = npt.NDArray[np.float64]


def density_segments(samples: F64, sampling_rate_hz: float, segment: int, overlap: float, name: Window) -> list[F64]:
    """Return the power spectral density of each segment, in order, each of shape (n_channels, n_bins).

    Raises
    ------
    SignalError
        If the shape, the sampling rate, the segment or the overlap is unusable.
    """
    if samples.ndim != 2 or not 2 <= segment <= samples.shape[1] or not 0 <= overlap <= 0.9:
        raise SignalError(f"segment {segment} of signals {samples.shape}, overlap {overlap}: 0 to 0.9 allowed")
    step = max(1, round(segment * (1.0 - overlap)))
    starts = range(0, samples.shape[1] - segment + 1, step)
    return [power_density(samples[:, s : s + segment], sampling_rate_hz, name=name).values for s in starts]


def exponential_density(
    samples: F64,
    sampling_rate_hz: float,
    segment: int,
    time_constant_s: float,
    overlap: float = 0.5,
    name: Window = "hann",
) -> Spectrum:
    """Return the exponentially averaged power spectral density at the end of the signals.

    Parameters
    ----------
    samples : ndarray, shape (n_channels, n_samples), float64
        The signals.
    sampling_rate_hz : float
        Their sampling rate.
    segment : int
        Samples in a segment.
    time_constant_s : float
        After so long a segment weighs 1/e of what it did.
    overlap : float
        Share of a segment that the next one repeats, 0 to 0.9.
    name : str
        The window.

    Returns
    -------
    density : Spectrum
        Density in unit²/Hz; the weights sum to one from the first segment on.

    Raises
    ------
    SignalError
        If an argument is unusable.
    """
    if not time_constant_s > 0:
        raise SignalError(f"time constant {time_constant_s} s; a positive number needed")
    rows = density_segments(samples, sampling_rate_hz, segment, overlap, name)
    step_s = max(1, round(segment * (1.0 - overlap))) / sampling_rate_hz
    ages = np.arange(len(rows) - 1, -1, -1)
    weights = np.exp(-ages * step_s / time_constant_s)
    return Spectrum(np.tensordot(weights / weights.sum(), np.stack(rows), axes=1), sampling_rate_hz / segment)


def peak_hold_density(
    samples: F64, sampling_rate_hz: float, segment: int, overlap: float = 0.5, name: Window = "hann"
) -> Spectrum:
    """Return the largest power spectral density that each bin reached in any segment.

    Raises
    ------
    SignalError
        If an argument is unusable.
    """
    rows = density_segments(samples, sampling_rate_hz, segment, overlap, name)
    return Spectrum(np.max(np.stack(rows), axis=0), sampling_rate_hz / segment)
