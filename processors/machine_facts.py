"""What several channels of one machine say together about its shafts: orders, directions, phases.

One spectrum per channel serves all facts. A fact that can't be measured (no axial sensor, two orders that the window
can't tell apart) is missing, and no rule that needs it fires. Facts are named values, the rules are in
``machine_rules``.
"""

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from contracts.assets import Direction, DriveTrain
from contracts.errors import SignalError
from processors.spectrum import window
from processors.velocity import MM_S2_PER_G

F64 = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

#: Orders must lie this many bins apart to be told from each other; half orders need twice the length.
_SPACING_BINS: Final = 4.0
#: A line is looked for within so many bins, or this share of its frequency.
_REACH_BINS: Final = 1.5
_REACH_SHARE: Final = 0.005
#: Bins on either side of a Hann line that belong to it.
_LOBE: Final = 2
_HIGH_HZ: Final = 1000.0
_HARMONICS: Final = 10
#: A harmonic counts if it is this share of the overall velocity,
_HARMONIC_SHARE: Final = 0.05
#: and a line stands if it is so many times its neighbourhood.
_OVER_FLOOR: Final = 5.0
#: Orders between which the oil film whirls.
_WHIRL: Final = (0.38, 0.48)
_CAVITATION_HZ: Final = 2000.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a channel measures: ``location`` is the bearing, ``direction`` that of the sensor."""

    location: str
    direction: Direction


class _Channel:
    """Velocity lines of one channel."""

    def __init__(self, spectrum: Complex, n_samples: int, bin_hz: float) -> None:
        self.spectrum, self.bin_hz = spectrum, bin_hz
        power = (spectrum.real**2 + spectrum.imag**2) * (2.0 / (n_samples * 0.375 * n_samples))
        self.acceleration: F64 = power
        self.power: F64 = np.zeros_like(power)
        self.power[1:] = power[1:] * (MM_S2_PER_G / (2.0 * np.pi * bin_hz * np.arange(1, power.size))) ** 2

    def line(self, frequency_hz: float) -> tuple[int, float]:
        """Return bin and velocity rms (mm/s) of the strongest line near a frequency."""
        position = frequency_hz / self.bin_hz
        reach = max(_REACH_BINS, _REACH_SHARE * position)
        first, last = max(1, math.floor(position - reach + 0.5)), math.floor(position + reach + 0.5)
        if last + _LOBE >= self.power.size:
            return -1, math.nan
        at = first + int(np.argmax(self.power[first : last + 1]))
        return at, math.sqrt(float(self.power[max(1, at - _LOBE) : at + _LOBE + 1].sum()))

    def standing(self, frequency_hz: float, shaft_hz: float) -> float:
        """Return the velocity rms of a line near a frequency if it is a peak well over its neighbourhood, else 0."""
        at, level = self.line(frequency_hz)
        if at < 0 or self.power[at] < max(self.power[at - 1], self.power[at + 1]):
            return 0.0
        reach = max(4, int(0.4 * shaft_hz / self.bin_hz))
        floor = math.sqrt((2 * _LOBE + 1) * float(np.median(self.power[max(1, at - reach) : at + reach + 1])))
        return level if level >= _OVER_FLOOR * floor else 0.0

    def rms(self, low_hz: float, high_hz: float) -> float:
        first, last = math.ceil(low_hz / self.bin_hz), math.floor(high_hz / self.bin_hz)
        return math.sqrt(float(self.power[first : last + 1].sum()))


def measure(
    samples_g: npt.NDArray[np.floating[Any]],
    sampling_rate_hz: float,
    places: Sequence[Place],
    speed_rpm: float,
    train: DriveTrain | None = None,
    baseline_high_g: float | None = None,
) -> dict[str, float]:
    """Return the facts that can be measured, by name.

    Parameters
    ----------
    samples_g : ndarray, shape (n_channels, n_samples)
        Acceleration of channels sampled together, g.
    sampling_rate_hz : float
        Their sampling rate.
    places : sequence of Place
        Where each channel measures.
    speed_rpm : float
        Shaft speed, positive.
    train : DriveTrain, optional
        Blades and line frequency, where known.
    baseline_high_g : float, optional
        Acceleration above 2 kHz (``high_g``) of the healthy machine at this load, g rms.

    Returns
    -------
    facts : dict of str to float
        Velocities in mm/s rms, phases in degrees (0 to 180), shares and ratios.

    Raises
    ------
    SignalError
        If shapes don't fit, the speed or rate isn't positive, or the window can't tell the orders apart.
    """
    if samples_g.ndim != 2 or samples_g.shape[0] != len(places) or samples_g.shape[1] < 16:
        raise SignalError(f"signals of shape {samples_g.shape} at {len(places)} places")
    if not (0 < speed_rpm < math.inf and 0 < sampling_rate_hz < math.inf):
        raise SignalError(f"speed {speed_rpm} rpm, sampling rate {sampling_rate_hz} Hz; positive numbers needed")
    n = samples_g.shape[1]
    bin_hz, shaft_hz = sampling_rate_hz / n, speed_rpm / 60.0
    if shaft_hz < _SPACING_BINS * bin_hz:
        raise SignalError(
            f"{n / sampling_rate_hz:.2f} s; {_SPACING_BINS / shaft_hz:.2f} s needed to tell the orders apart"
        )
    centred = samples_g - samples_g.mean(axis=1, keepdims=True)
    spectra = scipy.fft.rfft(centred.astype(np.float64) * window("hann", n), axis=1)
    channels = [_Channel(row, n, bin_hz) for row in spectra]
    radial = [c for c, place in zip(channels, places, strict=True) if place.direction != "axial"]
    axial = [c for c, place in zip(channels, places, strict=True) if place.direction == "axial"]
    facts = _radial_facts(radial, shaft_hz, train or DriveTrain()) if radial else {}
    facts |= _noise_facts(channels, baseline_high_g)
    facts |= _axial_facts(axial, facts, shaft_hz)
    facts |= _phases(channels, places, shaft_hz)
    return {name: value for name, value in facts.items() if math.isfinite(value)}


def _radial_facts(radial: Sequence[_Channel], shaft_hz: float, train: DriveTrain) -> dict[str, float]:
    """Return the facts of the loudest radial channel."""
    loudest = max(radial, key=lambda channel: channel.rms(0.3 * shaft_hz, _HIGH_HZ))
    overall = loudest.rms(0.3 * shaft_hz, _HIGH_HZ)
    if not overall > 0.0:
        return {"radial_mm_s": 0.0}
    lines = {order: loudest.line(order * shaft_hz)[1] for order in (1, 2, 3)}
    facts = {
        "radial_mm_s": overall,
        "radial_1x_mm_s": lines[1],
        "radial_2x_mm_s": lines[2],
        "share_1x": min(lines[1] / overall, 1.0),
        "share_1x_2x": min(math.hypot(lines[1], lines[2]) / overall, 1.0),
        "ratio_2x_1x": lines[2] / lines[1] if lines[1] > 0 else math.nan,
        "harmonics": float(_harmonics(loudest, shaft_hz, overall)),
    }
    if train.blades is not None:
        facts["share_blade"] = loudest.line(train.blades * shaft_hz)[1] / overall
    if train.line_frequency_hz is not None and _apart(2.0 * train.line_frequency_hz, shaft_hz, loudest.bin_hz):
        facts["share_2line"] = loudest.line(2.0 * train.line_frequency_hz)[1] / overall
    if shaft_hz >= 2.0 * _SPACING_BINS * loudest.bin_hz:
        for name, order in (("share_half", 0.5), ("share_third", 1.0 / 3.0)):
            facts[name] = loudest.standing(order * shaft_hz, shaft_hz) / overall
        first, last = (math.floor(order * shaft_hz / loudest.bin_hz) for order in _WHIRL)
        whirl_hz = loudest.bin_hz * (first + int(np.argmax(loudest.power[first : last + 1])))
        facts["share_whirl"] = loudest.standing(whirl_hz, shaft_hz) / overall
    return facts


def _harmonics(channel: _Channel, shaft_hz: float, overall: float) -> int:
    lines = (channel.standing(order * shaft_hz, shaft_hz) for order in range(1, _HARMONICS + 1))
    return sum(level >= _HARMONIC_SHARE * overall for level in lines)


def _apart(frequency_hz: float, shaft_hz: float, bin_hz: float) -> bool:
    """Return whether a frequency can be told from the nearest multiple of the shaft's."""
    return abs(frequency_hz - round(frequency_hz / shaft_hz) * shaft_hz) >= _SPACING_BINS * bin_hz


def _noise_facts(channels: Sequence[_Channel], baseline_high_g: float | None) -> dict[str, float]:
    """Return level and flatness (geometric over arithmetic mean of the power) above 2 kHz, the loudest channel's."""
    bands = [channel.acceleration[math.ceil(_CAVITATION_HZ / channel.bin_hz) : -1] for channel in channels]
    loudest = max(bands, key=lambda band: float(band.sum()))
    if loudest.size < 16 or not float(loudest.min()) > 0.0:
        return {}
    high_g = math.sqrt(float(loudest.sum()))
    facts = {"high_g": high_g, "high_flatness": math.exp(float(np.log(loudest).mean())) / float(loudest.mean())}
    if baseline_high_g is not None and baseline_high_g > 0.0:
        facts["high_rise_db"] = 20.0 * math.log10(high_g / baseline_high_g)
    return facts


def _axial_facts(axial: Sequence[_Channel], radial: dict[str, float], shaft_hz: float) -> dict[str, float]:
    if not axial:
        return {}
    loudest = max(axial, key=lambda channel: channel.rms(0.3 * shaft_hz, _HIGH_HZ))
    first, second = (loudest.line(order * shaft_hz)[1] for order in (1, 2))
    facts = {"axial_mm_s": loudest.rms(0.3 * shaft_hz, _HIGH_HZ), "axial_1x_mm_s": first, "axial_2x_mm_s": second}
    reference = radial.get("radial_1x_mm_s", 0.0)
    if reference > 0.0:
        facts["axial_over_radial"] = max(first, second) / reference
    return facts


def _phases(channels: Sequence[_Channel], places: Sequence[Place], shaft_hz: float) -> dict[str, float]:
    """Return the phase between the radial directions of one bearing, and between the axial sensors of two."""
    facts: dict[str, float] = {}
    for i, one in enumerate(places):
        for j in range(i + 1, len(places)):
            other = places[j]
            directions = {one.direction, other.direction}
            phase = _phase_deg(channels[i], channels[j], shaft_hz)
            if one.location == other.location and directions == {"radial_horizontal", "radial_vertical"}:
                facts.setdefault("phase_h_v_deg", phase)
            if one.location != other.location and directions == {"axial"}:
                facts.setdefault("phase_axial_deg", phase)
    return facts


def _phase_deg(one: _Channel, other: _Channel, shaft_hz: float) -> float:
    at, level = one.line(shaft_hz)
    if at < 0 or not (level > 0.0 and other.power[at] > 0.0):
        return math.nan
    return abs(math.degrees(cmath.phase(complex(one.spectrum[at] * np.conj(other.spectrum[at])))))
