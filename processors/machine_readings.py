"""One window of a machine as its diagnosis sees it: where each channel measures, what it holds, what follows from it.

A fact is a named value. What can't be measured is missing, and no rule that needs it fires; what a longer window would
show names the length it needs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.assets import Direction, DriveTrain
from contracts.errors import SignalError
from contracts.features import FEATURE_INDEX
from processors.lines import Lines, Transforms

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a channel measures: ``location`` is the bearing, ``direction`` that of the sensor."""

    location: str
    direction: Direction


@dataclass(slots=True)
class Facts:
    """Named values: velocities in mm/s rms, phases in degrees (0 to 180), shares and ratios.

    Parameters
    ----------
    values : dict of str to float
        The facts.
    lines_hz : dict of str to float
        The frequency of facts that belong to a line.
    rows : dict of str to int
        The channel on which a fact was measured.
    needed_s : dict of str to float
        Facts that this window is too short for, and the length that shows them, s.
    parts : dict of str to str
        The part that a fact speaks of, such as the gear whose sidebands stand.
    """

    values: dict[str, float] = field(default_factory=dict)
    lines_hz: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    needed_s: dict[str, float] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    def add(self, row: int, values: Mapping[str, float], lines_hz: Mapping[str, float] | None = None) -> None:
        """Take facts of one channel; what isn't finite is no fact."""
        for name, value in values.items():
            if math.isfinite(value):
                self.values[name], self.rows[name] = float(value), row
        self.lines_hz.update({name: hz for name, hz in (lines_hz or {}).items() if name in self.values})


@dataclass(frozen=True, slots=True)
class Readings:
    """One window of a machine: samples, features, and what is known of the machine.

    Parameters
    ----------
    samples_g : ndarray, shape (n_channels, n_samples)
        Acceleration of channels sampled together, g.
    sampling_rate_hz : float
        Their sampling rate.
    values : ndarray, shape (n_channels, len(FEATURES)), float32
        The features of the window.
    places : sequence of Place
        Where each channel measures.
    speed_rpm : float or None
        Speed of the reference shaft.
    train : DriveTrain
        Blades, gears, shafts, belts and line frequency, where known.
    trusted : sequence of bool
        Channels whose sensor is sound; the others are left out.
    healthy : ndarray, shape (n_channels, len(FEATURES)), float32, optional
        The features of the healthy machine in this regime; NaN where unknown.
    transforms : Transforms, optional
        What the features were made from.
    boundary_bc_mm_s : float, optional
        Where zone C of the machine begins, mm/s rms; a machine without it isn't graded.

    Raises
    ------
    SignalError
        If the shapes don't fit, or the speed or the rate is no usable number.
    """

    samples_g: npt.NDArray[np.floating[Any]]
    sampling_rate_hz: float
    values: F32
    places: Sequence[Place]
    speed_rpm: float | None
    train: DriveTrain = field(default_factory=DriveTrain)
    trusted: Sequence[bool] = ()
    healthy: F32 | None = None
    transforms: Transforms | None = None
    boundary_bc_mm_s: float | None = None

    def __post_init__(self) -> None:
        n = len(self.places)
        if self.samples_g.ndim != 2 or self.samples_g.shape[0] != n or self.samples_g.shape[1] < 2:
            raise SignalError(f"signals of shape {self.samples_g.shape} at {n} places")
        if self.values.shape != (n, len(FEATURE_INDEX)):
            raise SignalError(f"features of shape {self.values.shape}; {(n, len(FEATURE_INDEX))} needed")
        if not 0 < self.sampling_rate_hz < math.inf:
            raise SignalError(f"sampling rate {self.sampling_rate_hz} Hz; a positive number needed")
        if self.speed_rpm is not None and not 0 <= self.speed_rpm < math.inf:
            raise SignalError(f"speed {self.speed_rpm} rpm; a number of at least 0 needed")
        if len(self.trusted) not in (0, n) or (self.healthy is not None and self.healthy.shape != self.values.shape):
            raise SignalError(f"trust or a healthy machine of another number of channels than {n}")

    def feature(self, row: int, name: str) -> float:
        """Return a feature of a channel; NaN where undefined."""
        return float(self.values[row, FEATURE_INDEX[name]])

    def rows(self) -> list[int]:
        """Return the channels whose sensor is sound."""
        return [row for row in range(len(self.places)) if not self.trusted or self.trusted[row]]

    def loudest(self, rows: Sequence[int], feature: str = "velocity_rms_mm_s") -> int | None:
        """Return the first of the channels where a feature is largest; null where it is undefined on all."""
        known = [row for row in rows if math.isfinite(self.feature(row, feature))]
        return max(known, key=lambda row: self.feature(row, feature), default=None)


class Spectra:
    """The lines of each channel of a window, transformed when they are first asked for."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._lines: dict[int, Lines] = {}

    def of(self, row: int) -> Lines:
        """Return the lines of a channel."""
        found = self._lines.get(row)
        if found is None:
            samples, rate_hz = self._readings.samples_g[row], self._readings.sampling_rate_hz
            transforms = self._readings.transforms
            if transforms is None:
                found = Lines(samples, rate_hz)
            else:
                found = Lines.of_transform(transforms, row, samples.size, rate_hz)
            self._lines[row] = found
        return found
