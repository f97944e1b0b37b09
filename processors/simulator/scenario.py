"""What the simulated plant is made of and what becomes of it: plain values, no behaviour.

Every fault has a ``severity`` from 0 (absent) to 1 (full) over time; the amplitude at full severity stands beside it.
Times are seconds since the scenario began.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from contracts.errors import ConfigurationError
from processors.simulator.course import Course, constant

BearingFaultKind = Literal["outer_race", "inner_race", "rolling_element"]
SensorFaultKind = Literal["clipping", "dropout", "flat_line"]

_NEVER: Final = constant(0.0)
_USUAL_LOAD: Final = constant(0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class BearingFault:
    """A defect of the `bearing` (designation): it rings a resonance at each passage, and late it shakes the housing.

    The peak of the ringing grows exponentially with ``severity`` up to ``peak_g``. The impacts come ``slip_ratio``
    (±0.5 %) more slowly than the geometry says. ``late_severity`` grows the lines at the fault frequency in the
    velocity spectrum, ``late_velocity_mm_s`` rms at 1.
    """

    kind: BearingFaultKind
    bearing: str
    severity: Course
    peak_g: float = 2.0
    slip_ratio: float = 0.015
    resonance_hz: float = 3800.0
    damping_ratio: float = 0.05
    late_severity: Course = _NEVER
    late_velocity_mm_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShaftFault:
    """Unbalance (1x) or misalignment (mostly 2x) in mm/s rms at nominal speed: what a healthy machine has, and more."""

    residual_mm_s: float = 0.0
    severity: Course = _NEVER
    full_mm_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GearMesh:
    """A gear on the shaft; its fault raises the sidebands at ± shaft speed up to ``full_sideband_ratio``."""

    teeth: int
    mesh_g: float
    sideband_ratio: float = 0.1
    severity: Course = _NEVER
    full_sideband_ratio: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFault:
    """A fault of the sensor from ``from_s`` until ``until_s``; ``limit_g`` is where clipping sets in."""

    kind: SensorFaultKind
    from_s: float
    until_s: float = math.inf
    limit_g: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerometer:
    """One acceleration channel (g): how strongly shaft and bearing reach it, its angle and its noise floor (rms)."""

    channel_id: str
    shaft_gain: float = 1.0
    bearing_gain: float = 1.0
    angle_deg: float = 0.0
    noise_g: float = 0.06
    offset_g: float = 0.0
    faults: tuple[SensorFault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermometer:
    """A bearing temperature (degC), read once a second; load and damage warm it with a lag of ``lag_s``."""

    channel_id: str
    idle_degc: float = 38.0
    load_rise_degc: float = 12.0
    damage_rise_degc: float = 9.0
    lag_s: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A motor with a pump on one shaft, and what is wrong with it when."""

    asset_id: str
    speed_rpm: Course
    nominal_speed_rpm: float
    accelerometers: tuple[Accelerometer, ...]
    thermometers: tuple[Thermometer, ...] = ()
    load_ratio: Course = _USUAL_LOAD
    unbalance: ShaftFault = ShaftFault()
    misalignment: ShaftFault = ShaftFault()
    blades: int = 0
    blade_pass_mm_s: float = 0.0
    line_frequency_hz: float = 60.0
    electrical_mm_s: float = 0.0
    gears: tuple[GearMesh, ...] = ()
    bearing_faults: tuple[BearingFault, ...] = ()

    def __post_init__(self) -> None:
        if not self.accelerometers:
            raise ConfigurationError(f"{self.asset_id}: a machine needs at least one accelerometer")
        if self.nominal_speed_rpm <= 0.0 or self.speed_rpm.lowest < 0.0:
            raise ConfigurationError(
                f"{self.asset_id}: nominal speed {self.nominal_speed_rpm} rpm must be above 0, "
                f"lowest speed {self.speed_rpm.lowest} rpm at least 0"
            )
        severities = (
            self.unbalance.severity,
            self.misalignment.severity,
            *(gear.severity for gear in self.gears),
            *(course for fault in self.bearing_faults for course in (fault.severity, fault.late_severity)),
        )
        for course in severities:
            if course.lowest < 0.0 or course.highest > 1.0:
                raise ConfigurationError(f"{self.asset_id}: severity lies between 0 and 1, not {course}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Machines sampled together."""

    machines: tuple[Machine, ...]
    sampling_rate_hz: float = 25_600.0
    block_samples: int = 2048

    def __post_init__(self) -> None:
        if not 0.0 < self.sampling_rate_hz <= 10e6:
            raise ConfigurationError(f"sampling rate {self.sampling_rate_hz} Hz, above 0 and at most 1e7 expected")
        if self.block_samples < 1:
            raise ConfigurationError(f"{self.block_samples} samples a block, at least 1 expected")
        ids = [machine.asset_id for machine in self.machines]
        if not ids or len(set(ids)) != len(ids):
            raise ConfigurationError(f"a scenario needs machines with different ids, not {ids}")
