"""The lines of one channel's spectrum: how strong, where, whether they stand out, in which phase.

It is the plain Hann spectrum with energy correction, of one channel at a time, for the few lines that the features
don't hold. A line is a main lobe: the largest bin near where it should be, with two bins on either side.
"""

import cmath
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from processors.kernel import kernel
from processors.mean_square import hann_mean_square
from processors.velocity import MM_S2_PER_G

Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

#: Bins on either side of a Hann line that belong to it.
_LOBE: Final = 2
#: A line is looked for within so many bins, or this share of its frequency.
_REACH_BINS: Final = 1.5
_REACH_SHARE: Final = 0.005
#: A line stands if it is so many times its neighbourhood.
_OVER_FLOOR: Final = 5.0


@kernel()
def strongest(power: Real, position: float, reach: float) -> int:
    """Return the largest bin of `power` within `reach` of `position` (bins); -1 where a line there wouldn't fit."""
    first = max(1, math.floor(position - reach + 0.5))
    last = math.floor(position + reach + 0.5)
    if last + _LOBE >= power.size:
        return -1
    at = first
    for k in range(first, last + 1):
        if power[k] > power[at]:
            at = k
    return at


@kernel()
def line_rms(power: Real, at: int) -> float:
    """Return the rms of the line at a bin; NaN where there is none."""
    if at < 1:
        return np.nan
    total = 0.0
    for k in range(max(1, at - _LOBE), min(power.size, at + _LOBE + 1)):
        total += power[k]
    return math.sqrt(total)


@kernel()
def stands_out(power: Real, at: int, reach: int) -> bool:
    """Return whether the line at a bin is a peak well over the `reach` bins to either side."""
    if at < 1 or at + 1 >= power.size or power[at] < power[at - 1] or power[at] < power[at + 1]:
        return False
    floor = (2 * _LOBE + 1) * np.median(power[max(1, at - reach) : at + reach + 1])
    level = line_rms(power, at)
    return level > 0.0 and level >= _OVER_FLOOR * math.sqrt(floor)


@dataclass(frozen=True, slots=True)
class Transforms:
    """Plain one-sided FFT (n_channels, n_bins) of a window, mean removed, and each bin's share of the mean square."""

    spectrum: npt.NDArray[np.complex64]
    power: npt.NDArray[np.float32]


class Lines:
    """Spectrum of one channel.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,)
        Acceleration, g; of another quantity only levels relative to each other make sense.
    sampling_rate_hz : float
        Sampling rate.
    """

    def __init__(self, samples: Real, sampling_rate_hz: float) -> None:
        n = samples.size
        self.bin_hz = sampling_rate_hz / n
        self.length_s = n / sampling_rate_hz
        raw = scipy.fft.rfft(samples[np.newaxis] - samples.dtype.type(samples.mean(dtype=np.float64)), axis=1)
        # what is left of the mean is rounding
        raw[0, 0] = 0.0
        power = np.empty(raw.shape, raw.real.dtype)
        hann_mean_square(raw, n, power)
        power[0, 0] = 0.0
        #: Plain one-sided FFT.
        self.raw: Complex = raw[0]
        #: Each bin's share of the mean square.
        self.power: Real = power[0]

    @classmethod
    def of_transform(cls, transforms: Transforms, row: int, n_samples: int, sampling_rate_hz: float) -> "Lines":
        """Return the lines of a channel that is transformed already."""
        lines = cls.__new__(cls)
        lines.bin_hz = sampling_rate_hz / n_samples
        lines.length_s = n_samples / sampling_rate_hz
        lines.raw, lines.power = transforms.spectrum[row], transforms.power[row]
        return lines

    def at(self, frequency_hz: float, reach_hz: float | None = None) -> int:
        """Return the bin of the strongest line near a frequency; -1 beyond the spectrum."""
        position = frequency_hz / self.bin_hz
        reach = _REACH_SHARE * position if reach_hz is None else reach_hz / self.bin_hz
        return int(strongest(self.power, position, max(_REACH_BINS, reach)))

    def rms(self, at: int) -> float:
        """Return the rms of the line at a bin."""
        return float(line_rms(self.power, at))

    def velocity_mm_s(self, frequency_hz: float) -> float:
        """Return the velocity rms of the strongest line near a frequency; NaN beyond the spectrum."""
        return self._velocity_mm_s(self.at(frequency_hz))

    def stands(self, at: int, reach_hz: float) -> bool:
        """Return whether the line at a bin is a peak well over its neighbourhood of `reach_hz` to either side."""
        return bool(stands_out(self.power, at, max(4, int(reach_hz / self.bin_hz))))

    def standing(self, frequency_hz: float, shaft_hz: float) -> float:
        """Return the velocity rms of a line near a frequency if it stands among the shaft's orders, else 0."""
        at = self.at(frequency_hz)
        return self._velocity_mm_s(at) if self.stands(at, 0.4 * shaft_hz) else 0.0

    def strongest_hz(self, low_hz: float, high_hz: float) -> float:
        """Return the frequency of the strongest bin between two frequencies."""
        first, last = max(1, math.floor(low_hz / self.bin_hz)), math.floor(high_hz / self.bin_hz)
        return self.bin_hz * (first + int(np.argmax(self.power[first : last + 1])))

    def value(self, at: int) -> complex:
        """Return the complex Hann line of an inner bin: the bin less half its neighbours."""
        left, middle, right = (complex(self.raw[k]) for k in (at - 1, at, at + 1))
        return middle - 0.5 * (left + right)

    def _velocity_mm_s(self, at: int) -> float:
        return MM_S2_PER_G * self.rms(at) / (2.0 * math.pi * self.bin_hz * at) if at > 0 else math.nan


def phase_deg(one: Lines, other: Lines, frequency_hz: float) -> float:
    """Return the phase between two channels at the line near a frequency, 0 to 180 degrees; NaN without a line."""
    at = one.at(frequency_hz)
    if at < 1 or not (one.power[at] > 0.0 and other.power[at] > 0.0):
        return math.nan
    return abs(math.degrees(cmath.phase(one.value(at) * other.value(at).conjugate())))


def warm_up() -> None:
    """Compile the kernels that a machine at fault needs first, so that no stream waits for them then."""
    lines = Lines(np.random.default_rng(1).standard_normal(256).astype(np.float32), 256.0)
    lines.standing(10.0, 10.0)
