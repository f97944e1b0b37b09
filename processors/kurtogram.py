"""The kurtogram as a table: how impulsive each band is, and how clear the lines of its envelope are.

``band_choice.choose_bands`` decides by the same figures; this is for looking at them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.errors import SignalError
from processors import band_choice


@dataclass(frozen=True, slots=True)
class BandFigures:
    """One band: spectral kurtosis (0 for noise, -1 for a steady line) and clarity; null where the band is rejected."""

    low_hz: float
    high_hz: float
    kurtosis: float
    clarity: float | None


def kurtogram(samples_g: npt.NDArray[np.floating[Any]], sampling_rate_hz: float) -> tuple[BandFigures, ...]:
    """Return the figures of every band, the whole usable range first.

    J. Antoni, "Fast computation of the kurtogram for the detection of transient faults", MSSP 21 (2007), 108-124.

    Parameters
    ----------
    samples_g : ndarray, shape (n_samples,)
        Acceleration, g.
    sampling_rate_hz : float
        Sampling rate.

    Returns
    -------
    bands : tuple of BandFigures
        One for each band that holds enough bins.

    Raises
    ------
    SignalError
        If the signal isn't one-dimensional, is shorter than two samples or not finite, or the rate is unusable.
    """
    if samples_g.ndim != 1 or samples_g.size < 2 or not np.isfinite(samples_g).all():
        raise SignalError(f"a signal of shape {samples_g.shape}; at least 2 finite samples in one dimension needed")
    if not 0 < sampling_rate_hz < np.inf:
        raise SignalError(f"sampling rate {sampling_rate_hz} Hz; a positive number needed")
    n = samples_g.size
    bin_hz = sampling_rate_hz / n
    spectrum = scipy.fft.rfft(samples_g[np.newaxis], axis=1).astype(np.complex64)
    found = []
    for low_hz, high_hz in band_choice.kurtogram_bands(sampling_rate_hz):
        kurtosis, merit = band_choice.measure_band(spectrum, n, bin_hz, (low_hz, high_hz))[0].tolist()
        if math.isfinite(kurtosis):
            found.append(BandFigures(low_hz, high_hz, kurtosis, merit if math.isfinite(merit) else None))
    return tuple(found)
