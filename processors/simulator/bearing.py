"""Impacts of a damaged bearing: when they come, how hard, and how the housing rings.

Each impact's time follows from its number alone (Newton on the closed-form phase), so two neighbouring blocks agree on
the ringing that crosses their border. Model: a train of decaying oscillations with slip, amplitude-modulated where the
defect moves through the load zone (McFadden and Smith 1984; Randall and Antoni 2011).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.bearings import bearing
from processors.simulator.chance import stream_key, uniform
from processors.simulator.course import Array
from processors.simulator.scenario import BearingFault, Machine

Numbers = NDArray[np.int64]

#: The ringing is cut where it has fallen to exp(-14), a millionth.
_DECAYS: Final = 14.0
#: Slip wanders with these periods (revolutions), by `_SLIP_SWING` each.
_WANDER_REVOLUTIONS: Final = (41.0, 97.0)
_SLIP_SWING: Final = 0.0025
#: Impacts scatter by this share of their spacing, and by this share of their amplitude.
_TIME_SCATTER: Final = 0.004
_AMPLITUDE_SCATTER: Final = 0.15
#: Growth of the amplitude from onset to full severity: the exponent, about 43 dB.
_GROWTH: Final = 5.0
_NEWTON_STEPS: Final = 4


class Impacts:
    """The impacts of one fault, at any time.

    Parameters
    ----------
    machine : Machine
        Whose shaft drives the bearing.
    fault : BearingFault
        What is damaged.
    seed : int
        Seed of the scenario.

    Raises
    ------
    ConfigurationError
        If the catalogue of bearings lacks the fault's.
    """

    def __init__(self, machine: Machine, fault: BearingFault, seed: int) -> None:
        self.fault = fault
        self._machine = machine
        orders = bearing(fault.bearing).orders
        per_revolution, modulation_order, depth = {
            "outer_race": (orders.bpfo, 0.0, 0.0),
            "inner_race": (orders.bpfi, 1.0, 0.8),
            "rolling_element": (2.0 * orders.bsf, orders.ftf, 0.6),
        }[fault.kind]
        self._nominal_order = per_revolution
        self._order = per_revolution * (1.0 - fault.slip_ratio)
        self._modulation = (modulation_order, depth)
        self._key = stream_key(seed, machine.asset_id, fault.kind, fault.bearing)
        self._wander_phase = 2.0 * np.pi * uniform(self._key, np.array([-1, -2]))
        omega = 2.0 * np.pi * fault.resonance_hz
        self._decay_per_s = fault.damping_ratio * omega
        self._omega_damped = omega * (1.0 - fault.damping_ratio**2) ** 0.5
        self._tail_s = _DECAYS / self._decay_per_s

    def phase(self, t_s: Array) -> Array:
        """Return how many impacts have passed at the times `t_s`."""
        return self._phase_at(self._revolutions(t_s))

    def rate_hz(self, t_s: Array) -> Array:
        """Return the impacts per second at the times `t_s`."""
        revolutions = self._revolutions(t_s)
        order = np.full(t_s.shape, self._order)
        for period, offset in zip(_WANDER_REVOLUTIONS, self._wander_phase, strict=True):
            order += _SLIP_SWING * self._nominal_order * np.cos(2.0 * np.pi * revolutions / period + offset)
        rate_hz: Array = order * self._machine.speed_rpm.at(t_s) / 60.0
        return rate_hz

    def ringing(self, t_s: Array, sampling_rate_hz: float) -> Array:
        """Return the acceleration (g) at the equally spaced times `t_s`; zeros while there is no damage."""
        out = np.zeros(t_s.size)
        from_s, until_s = float(t_s[0]) - self._tail_s, float(t_s[-1])
        if self.fault.severity.is_zero(from_s, until_s):
            return out
        numbers, at_s = self._between(from_s, until_s)
        peaks_g = self._peaks_g(numbers, at_s)
        length = int(np.ceil(self._tail_s * sampling_rate_hz))
        firsts = np.ceil((at_s - t_s[0]) * sampling_rate_hz).astype(np.int64)
        since_s = (firsts[:, None] + np.arange(length)) / sampling_rate_hz - (at_s - t_s[0])[:, None]
        rings = np.exp(-self._decay_per_s * since_s) * np.sin(self._omega_damped * since_s) * peaks_g[:, None]
        for first, ring in zip(firsts.tolist(), rings, strict=True):
            start, stop = max(first, 0), min(first + length, out.size)
            if start < stop:
                out[start:stop] += ring[start - first : stop - first]
        return out

    def _revolutions(self, t_s: Array) -> Array:
        return self._machine.speed_rpm.integral(t_s) / 60.0

    def _phase_at(self, revolutions: Array) -> Array:
        phase = self._order * revolutions
        for period, offset in zip(_WANDER_REVOLUTIONS, self._wander_phase, strict=True):
            swing = _SLIP_SWING * self._nominal_order * period / (2.0 * np.pi)
            phase = phase + swing * np.sin(2.0 * np.pi * revolutions / period + offset)
        return phase

    def _between(self, from_s: float, until_s: float) -> tuple[Numbers, Array]:
        """Return numbers and times of the impacts in a time span."""
        grid_s = np.linspace(from_s, until_s, 33)
        phases = self.phase(grid_s)
        # One more at each end: the scatter may carry it across.
        numbers = np.arange(np.ceil(phases[0]) - 1, np.ceil(phases[-1]) + 1, dtype=np.int64)
        wanted = numbers + _TIME_SCATTER * (2.0 * uniform(self._key, 2 * numbers) - 1.0)
        at_s = np.interp(wanted, phases, grid_s)
        for _ in range(_NEWTON_STEPS):
            # A shaft that stops within the span has no rate there: stay at the first guess instead of dividing by 0.
            rate_hz = np.maximum(self.rate_hz(at_s), 1e-3)
            at_s = np.clip(at_s - (self.phase(at_s) - wanted) / rate_hz, from_s - 1.0, until_s + 1.0)
        return numbers, at_s

    def _peaks_g(self, numbers: Numbers, at_s: Array) -> Array:
        severity = self.fault.severity.at(at_s)
        grown = np.expm1(_GROWTH * severity) / np.expm1(_GROWTH)
        scatter = 1.0 + _AMPLITUDE_SCATTER * (2.0 * uniform(self._key, 2 * numbers + 1) - 1.0)
        order, depth = self._modulation
        zone = (1.0 + depth * np.cos(2.0 * np.pi * order * self._revolutions(at_s))) / (1.0 + depth)
        peaks_g: Array = self.fault.peak_g * grown * scatter * zone
        return peaks_g
