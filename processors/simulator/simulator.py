"""The simulated machine: waveforms, readings and the truth about them, at any time.

Invariants: block k is a function of (scenario, seed, k) alone, whatever was asked before; everything but the noise is a
continuous function of time evaluated at the sample times, so nothing marks the border between two blocks.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import NotFound
from contracts.units import STANDARD_GRAVITY_M_S2
from processors.simulator.bearing import Impacts
from processors.simulator.chance import block_normal, stream_key, uniform
from processors.simulator.course import Array
from processors.simulator.scenario import Accelerometer, Machine, Scenario, SensorFault, ShaftFault

#: Velocity rms of the first, second and third line at the fault frequency, late in a bearing's life (sum of squares 1).
_LATE_SHARES: Final = (0.82, 0.48, 0.31)
#: Misalignment: share of the velocity at 1x, 2x and 3x.
_MISALIGNMENT_SHARES: Final = (0.35, 0.9, 0.25)
_DROPOUT_SLOT_S: Final = 0.01
_DROPOUT_SHARE: Final = 0.15
_G_PER_MM_S2: Final = 1e-3 / STANDARD_GRAVITY_M_S2


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """One block of one machine.

    ``samples_g`` has shape (n_accelerometers, n_samples), float32; ``start_s`` counts from the scenario's beginning.
    """

    number: int
    start_s: float
    samples_g: NDArray[np.float32]
    speed_rpm: float
    load_ratio: float


@dataclass(frozen=True, slots=True)
class Truth:
    """A fault that is really there: its name, the bearing or channel it sits in, and its severity (0 to 1)."""

    fault: str
    place: str
    severity: float


class Simulator:
    """Machines whose every block can be computed alone.

    Parameters
    ----------
    scenario : Scenario
        The machines and their course.
    seed : int
        Other seeds give other noise, slip and scatter.

    Examples
    --------
    >>> from processors.simulator.course import constant
    >>> pump = Machine(asset_id="P-1", speed_rpm=constant(1780.0), nominal_speed_rpm=1780.0,
    ...                accelerometers=(Accelerometer(channel_id="P-1.acc"),))
    >>> block = Simulator(Scenario(machines=(pump,)), seed=1).block("P-1", 0)
    >>> block.samples_g.shape, block.speed_rpm
    ((1, 2048), 1780.0)
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self._machines = {machine.asset_id: _Waveform(machine, scenario, seed) for machine in scenario.machines}

    def block(self, asset_id: str, number: int) -> SimulatedBlock:
        """Return block `number` (0 is the first) of the machine `asset_id`; raise ``NotFound`` for another machine."""
        return self._waveform(asset_id).block(number)

    def temperatures(self, asset_id: str, second: int) -> tuple[tuple[str, float], ...]:
        """Return (channel id, degC) of every thermometer of the machine at `second` of the scenario."""
        return self._waveform(asset_id).temperatures(second)

    def truth(self, asset_id: str, at_s: float) -> tuple[Truth, ...]:
        """Return the faults that the machine and its sensors have at `at_s`, worst first."""
        return self._waveform(asset_id).truth(at_s)

    def _waveform(self, asset_id: str) -> "_Waveform":
        if asset_id not in self._machines:
            raise NotFound(f"no machine {asset_id!r} in the scenario; there are {', '.join(self._machines)}")
        return self._machines[asset_id]


class _Waveform:
    def __init__(self, machine: Machine, scenario: Scenario, seed: int) -> None:
        self._machine = machine
        self._rate_hz = scenario.sampling_rate_hz
        self._n_samples = scenario.block_samples
        self._noise_key = stream_key(seed, machine.asset_id, "noise")
        self._slot_key = stream_key(seed, machine.asset_id, "dropout")
        self._impacts = tuple(Impacts(machine, fault, seed) for fault in machine.bearing_faults)
        self._noise_g = np.array([[sensor.noise_g] for sensor in machine.accelerometers], dtype=np.float32)

    def block(self, number: int) -> SimulatedBlock:
        machine = self._machine
        t_s = (number * self._n_samples + np.arange(self._n_samples)) / self._rate_hz
        shaft_hz = machine.speed_rpm.at(t_s) / 60.0
        load_ratio = machine.load_ratio.at(t_s)
        samples = block_normal(self._noise_key, number, (len(machine.accelerometers), self._n_samples)) * self._noise_g
        rotation = np.exp(2j * np.pi * (machine.speed_rpm.integral(t_s) / 60.0 % 1.0))
        shaft = self._shaft(t_s, shaft_hz, load_ratio, rotation)
        bearing = self._bearings(t_s)
        for place, sensor in enumerate(machine.accelerometers):
            signal = samples[place]
            turn = np.exp(-1j * np.deg2rad(sensor.angle_deg))
            signal += sensor.offset_g
            for order, line in shaft.items():
                signal += (sensor.shaft_gain * turn**order * line).real
            signal += sensor.bearing_gain * bearing
            self._break_sensor(signal, t_s, sensor)
        middle = self._n_samples // 2
        return SimulatedBlock(number, float(t_s[0]), samples, float(shaft_hz[middle] * 60.0), float(load_ratio[middle]))

    def _shaft(
        self, t_s: Array, shaft_hz: Array, load_ratio: Array, rotation: NDArray[np.complex128]
    ) -> dict[int, NDArray[np.complex128]]:
        """Return the lines locked to the shaft by order (0: not locked), as rotating vectors in g."""
        machine = self._machine
        # Forces grow with the square of speed; at nominal speed the line has the velocity that the scenario states.
        g_per_mm_s = 2.0**0.5 * 2.0 * np.pi * _G_PER_MM_S2 * shaft_hz**2 * (60.0 / machine.nominal_speed_rpm)
        unbalance, misalignment = _velocity(machine.unbalance, t_s), _velocity(machine.misalignment, t_s)
        first, second, third = (share * misalignment * load_ratio for share in _MISALIGNMENT_SHARES)
        squared = rotation * rotation
        lines = {
            1: g_per_mm_s * (unbalance + first) * rotation,
            2: 2.0 * g_per_mm_s * second * squared,
            3: 3.0 * g_per_mm_s * third * squared * rotation,
        }
        if machine.blades:
            passing = machine.blades * g_per_mm_s * machine.blade_pass_mm_s * load_ratio * rotation**machine.blades
            lines[machine.blades] = lines.get(machine.blades, 0.0) + passing
        for gear in machine.gears:
            ratio = gear.sideband_ratio + gear.severity.at(t_s) * (gear.full_sideband_ratio - gear.sideband_ratio)
            mesh = gear.mesh_g * load_ratio * (1.0 + ratio * rotation.real) * rotation**gear.teeth
            lines[gear.teeth] = lines.get(gear.teeth, 0.0) + mesh
        if machine.electrical_mm_s:
            # Magnetic pull at twice line frequency doesn't follow the shaft; it goes with the supply.
            omega = 4.0 * np.pi * machine.line_frequency_hz
            amplitude_g = 2.0**0.5 * omega * _G_PER_MM_S2 * machine.electrical_mm_s * (shaft_hz > 0.0)
            lines[0] = amplitude_g * np.exp(1j * omega * t_s)
        return lines

    def _bearings(self, t_s: Array) -> Array:
        total = np.zeros(t_s.size)
        for impacts in self._impacts:
            total += impacts.ringing(t_s, self._rate_hz)
            fault = impacts.fault
            if fault.late_severity.is_zero(float(t_s[0]), float(t_s[-1])):
                continue
            phase = impacts.phase(t_s)
            fundamental_hz = impacts.rate_hz(t_s)
            velocity_mm_s = fault.late_velocity_mm_s * fault.late_severity.at(t_s)
            for harmonic, share in enumerate(_LATE_SHARES, start=1):
                amplitude_g = 2.0**0.5 * 2.0 * np.pi * harmonic * fundamental_hz * _G_PER_MM_S2 * share * velocity_mm_s
                total += amplitude_g * np.cos(2.0 * np.pi * harmonic * phase)
        return total

    def _break_sensor(self, row: NDArray[np.float32], t_s: Array, sensor: Accelerometer) -> None:
        for fault in sensor.faults:
            hit = (t_s >= fault.from_s) & (t_s < fault.until_s)
            if not hit.any():
                continue
            if fault.kind == "clipping":
                row[hit] = np.clip(row[hit], -fault.limit_g, fault.limit_g)
            elif fault.kind == "flat_line":
                row[hit] = sensor.offset_g
            else:
                slots = np.floor(t_s / _DROPOUT_SLOT_S).astype(np.int64)
                row[hit & (uniform(self._slot_key, slots) < _DROPOUT_SHARE)] = 0.0

    def temperatures(self, second: int) -> tuple[tuple[str, float], ...]:
        readings = []
        for place, sensor in enumerate(self._machine.thermometers):
            span_s = np.array([second - sensor.lag_s, float(second)])
            load_ratio = np.diff(self._machine.load_ratio.integral(span_s))[0] / sensor.lag_s
            damage = sum(
                float(np.diff(course.integral(span_s))[0]) / sensor.lag_s
                for fault in self._machine.bearing_faults
                for course in (fault.severity, fault.late_severity)
            )
            scatter = 0.2 * (uniform(self._noise_key, np.array([second * 64 + place]))[0] - 0.5)
            value = sensor.idle_degc + sensor.load_rise_degc * load_ratio + sensor.damage_rise_degc * damage + scatter
            readings.append((sensor.channel_id, round(float(value), 2)))
        return tuple(readings)

    def truth(self, at_s: float) -> tuple[Truth, ...]:
        machine = self._machine
        courses = [
            ("unbalance", machine.asset_id, machine.unbalance.severity),
            ("misalignment", machine.asset_id, machine.misalignment.severity),
            *(("gear", f"{gear.teeth} teeth", gear.severity) for gear in machine.gears),
            *((fault.kind, fault.bearing, fault.severity) for fault in machine.bearing_faults),
        ]
        now = np.array([at_s])
        found = [Truth(fault, place, float(course.at(now)[0])) for fault, place, course in courses]
        found += [
            Truth(f"sensor_{fault.kind}", sensor.channel_id, 1.0)
            for sensor in machine.accelerometers
            for fault in sensor.faults
            if _holds(fault, at_s)
        ]
        return tuple(sorted((truth for truth in found if truth.severity > 0.0), key=lambda truth: -truth.severity))


def _velocity(fault: ShaftFault, t_s: Array) -> Array:
    return fault.residual_mm_s + fault.full_mm_s * fault.severity.at(t_s)


def _holds(fault: SensorFault, at_s: float) -> bool:
    return fault.from_s <= at_s < fault.until_s
