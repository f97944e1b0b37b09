"""The lines of one channel's spectrum: how strong, where, whether they stand out, in which phase.

It is the plain Hann spectrum with energy correction, of one channel at a time, for the few lines that the features
don't hold. A line is a main lobe: the largest bin near where it should be, with two bins on either side.
"""

import cmath
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from processors.velocity import MM_S2_PER_G

F64 = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]

#: Bins on either side of a Hann line that belong to it.
LOBE: Final = 2
#: A line is looked for within so many bins, or this share of its frequency.
_REACH_BINS: Final = 1.5
_REACH_SHARE: Final = 0.005
#: A line stands if it is so many times its neighbourhood.
_OVER_FLOOR: Final = 5.0


class Lines:
    """Spectrum of one channel.

    Parameters
    ----------
    samples_g : ndarray, shape (n_samples,)
        Acceleration, g; or another quantity, whose `acceleration_g2` is then in its own unit.
    sampling_rate_hz : float
        Sampling rate.
    """

    def __init__(self, samples_g: Real, sampling_rate_hz: float) -> None:
        n = samples_g.size
        self.bin_hz = sampling_rate_hz / n
        self.length_s = n / sampling_rate_hz
        raw = scipy.fft.rfft(samples_g[np.newaxis] - samples_g.mean(), axis=1)[0].astype(np.complex128)
        # the Hann window, applied to the bins: each less half its neighbours
        shaped = raw.copy()
        shaped[1:-1] -= 0.5 * (raw[:-2] + raw[2:])
        self.spectrum = shaped
        #: Each bin's share of the mean square.
        self.acceleration_g2: F64 = (shaped.real**2 + shaped.imag**2) * (2.0 / (n * 0.375 * n) * 0.25)
        self.acceleration_g2[0] = 0.0

    def at(self, frequency_hz: float, reach_hz: float | None = None) -> int:
        """Return the bin of the strongest line near a frequency; -1 beyond the spectrum."""
        position = frequency_hz / self.bin_hz
        reach = max(_REACH_BINS, _REACH_SHARE * position if reach_hz is None else reach_hz / self.bin_hz)
        first, last = max(1, math.floor(position - reach + 0.5)), math.floor(position + reach + 0.5)
        if last + LOBE >= self.acceleration_g2.size:
            return -1
        return first + int(np.argmax(self.acceleration_g2[first : last + 1]))

    def rms(self, at: int) -> float:
        """Return the rms of the line at a bin, g."""
        return math.sqrt(float(self.acceleration_g2[max(1, at - LOBE) : at + LOBE + 1].sum())) if at > 0 else math.nan

    def velocity_mm_s(self, frequency_hz: float) -> float:
        """Return the velocity rms of the strongest line near a frequency; NaN beyond the spectrum."""
        at = self.at(frequency_hz)
        return MM_S2_PER_G * self.rms(at) / (2.0 * math.pi * self.bin_hz * at) if at > 0 else math.nan

    def stands(self, at: int, reach_hz: float) -> bool:
        """Return whether the line at a bin is a peak well over its neighbourhood of `reach_hz` to either side."""
        power = self.acceleration_g2
        if at < 1 or at + 1 >= power.size or power[at] < max(power[at - 1], power[at + 1]):
            return False
        reach = max(4, int(reach_hz / self.bin_hz))
        floor = (2 * LOBE + 1) * float(np.median(power[max(1, at - reach) : at + reach + 1]))
        level = self.rms(at)
        return level > 0.0 and level >= _OVER_FLOOR * math.sqrt(floor)

    def standing(self, frequency_hz: float, shaft_hz: float) -> float:
        """Return the velocity rms of a line near a frequency if it stands among the shaft's orders, else 0."""
        return self.velocity_mm_s(frequency_hz) if self.stands(self.at(frequency_hz), 0.4 * shaft_hz) else 0.0

    def strongest_hz(self, low_hz: float, high_hz: float) -> float:
        """Return the frequency of the strongest bin between two frequencies."""
        first, last = max(1, math.floor(low_hz / self.bin_hz)), math.floor(high_hz / self.bin_hz)
        return self.bin_hz * (first + int(np.argmax(self.acceleration_g2[first : last + 1])))


def phase_deg(one: Lines, other: Lines, frequency_hz: float) -> float:
    """Return the phase between two channels at the line near a frequency, 0 to 180 degrees; NaN without a line."""
    at = one.at(frequency_hz)
    if at < 1 or not (one.acceleration_g2[at] > 0.0 and other.acceleration_g2[at] > 0.0):
        return math.nan
    return abs(math.degrees(cmath.phase(complex(one.spectrum[at] * np.conj(other.spectrum[at])))))
