"""Which frequencies a machine's parts make: shafts, gears, blades, motor, belts, bearings, from its description.

A row is a name, an order (multiple of the reference shaft) where there is one, and a frequency at a speed. What the
description lacks gives no row, never a guess. Two gears mesh where teeth times shaft speed agree.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from contracts.assets import Belt, DriveTrain, Gear
from contracts.errors import SignalError
from processors.bearings import BearingGeometry

#: Gears mesh where teeth times shaft ratio agree within this share (ratios are written with few digits).
_MESH_SHARE: Final = 0.005
#: Sidebands of a gear mesh that are listed on either side.
_SIDEBANDS: Final = 2
#: Harmonics of a belt that are listed.
_BELT_HARMONICS: Final = 4
#: Rotor-bar sidebands must lie this many bins off the line frequency.
_FEWEST_SLIP_BINS: Final = 4.0
#: Below this share of full load the rotor current, and with it the sidebands, tell nothing.
_LEAST_LOAD: Final = 0.5
_SHORTEST_RECORD_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class FaultFrequency:
    """A frequency that a part makes; ``order`` is null where it doesn't follow the shaft."""

    name: str
    component: str
    frequency_hz: float
    order: float | None


@dataclass(frozen=True, slots=True)
class Mesh:
    """Two gears that mesh; ``order`` is teeth times shaft ratio."""

    one: Gear
    other: Gear
    order: float

    @property
    def name(self) -> str:
        """Return both names."""
        return f"{self.one.name}/{self.other.name}"


@dataclass(frozen=True, slots=True)
class RotorBars:
    """Where broken rotor bars show in the stator current, Hz, or why they can't be judged."""

    lower_hz: float | None
    upper_hz: float | None
    refused_because: str | None


def fault_frequencies(
    train: DriveTrain, speed_rpm: float, bearings: Iterable[BearingGeometry] = ()
) -> tuple[FaultFrequency, ...]:
    """Return the fault frequencies of a machine at a speed, ascending.

    Parameters
    ----------
    train : DriveTrain
        The description.
    speed_rpm : float
        Speed of the reference shaft, positive.
    bearings : iterable of BearingGeometry
        Bearings on the reference shaft.

    Returns
    -------
    frequencies : tuple of FaultFrequency
        One row for each.

    Raises
    ------
    SignalError
        If the speed isn't a positive number.

    Examples
    --------
    >>> train = DriveTrain(blades=6, gears=(Gear(name="pinion", teeth=20), Gear(name="wheel", teeth=60,
    ...                    shaft_ratio=1 / 3)))
    >>> [(row.name, round(row.frequency_hz, 3)) for row in fault_frequencies(train, 1500.0)][:3]
    [('1x wheel', 8.333), ('hunting tooth', 8.333), ('1/2x', 12.5)]
    """
    if not 0 < speed_rpm < math.inf:
        raise SignalError(f"speed {speed_rpm} rpm; a positive number needed")
    shaft_hz = speed_rpm / 60.0
    by_order = [
        *_shaft(),
        *_shafts(train),
        *_gears(train.gears),
        *_belts(train.belts),
        *((f"{name} {b.designation}", "bearing", order) for b in bearings for name, order in _bearing(b)),
    ]
    if train.blades is not None:
        by_order += [(f"{h}x blade pass" if h > 1 else "blade pass", "impeller", h * train.blades) for h in (1, 2, 3)]
    rows = [FaultFrequency(name, part, order * shaft_hz, order) for name, part, order in by_order]
    rows += _motor(train, shaft_hz)
    return tuple(sorted(rows, key=lambda row: row.frequency_hz))


def _shaft() -> list[tuple[str, str, float]]:
    return [("1/2x", "shaft", 0.5), *((f"{k}x", "shaft", float(k)) for k in (1, 2, 3, 4))]


def _bearing(geometry: BearingGeometry) -> tuple[tuple[str, float], ...]:
    orders = geometry.orders
    return ("BPFO", orders.bpfo), ("BPFI", orders.bpfi), ("2xBSF", 2.0 * orders.bsf), ("FTF", orders.ftf)


def _shafts(train: DriveTrain) -> Iterator[tuple[str, str, float]]:
    """Yield 1x of every shaft but the reference; a gear's shaft goes by the gear's name where none is described."""
    named = {shaft.ratio: shaft.name for shaft in train.shafts}
    for gear in train.gears:
        named.setdefault(gear.shaft_ratio, gear.name)
    for ratio, name in named.items():
        if ratio != 1.0:
            yield f"1x {name}", "shaft", ratio


def meshes(gears: tuple[Gear, ...]) -> Iterator[Mesh]:
    """Yield every pair of gears that mesh.

    Examples
    --------
    >>> pair = (Gear(name="pinion", teeth=20), Gear(name="wheel", teeth=60, shaft_ratio=1 / 3))
    >>> [(mesh.name, round(mesh.order, 6)) for mesh in meshes(pair)]
    [('pinion/wheel', 20.0)]
    """
    for one, other in itertools.combinations(gears, 2):
        order = one.teeth * one.shaft_ratio
        if abs(other.teeth * other.shaft_ratio - order) <= _MESH_SHARE * order:
            yield Mesh(one, other, order)


def _gears(gears: tuple[Gear, ...]) -> Iterator[tuple[str, str, float]]:
    for mesh in meshes(gears):
        yield f"mesh {mesh.name}", "gear", mesh.order
        yield f"2x mesh {mesh.name}", "gear", 2.0 * mesh.order
        yield "hunting tooth", "gear", mesh.order / math.lcm(mesh.one.teeth, mesh.other.teeth)
        for gear in (mesh.one, mesh.other):
            for k in range(1, _SIDEBANDS + 1):
                for sign, word in ((-1, "-"), (1, "+")):
                    yield f"mesh {mesh.name} {word}{k}x {gear.name}", "gear", mesh.order + sign * k * gear.shaft_ratio


def _belts(belts: tuple[Belt, ...]) -> Iterator[tuple[str, str, float]]:
    for belt in belts:
        order = belt_hz(belt.pulley_diameter_mm, belt.length_mm, 60.0 * belt.shaft_ratio)
        for k in range(1, _BELT_HARMONICS + 1):
            yield f"{k}x belt {belt.name}" if k > 1 else f"belt {belt.name}", "belt", k * order


def _motor(train: DriveTrain, shaft_hz: float) -> Iterator[FaultFrequency]:
    line_hz = train.line_frequency_hz
    if line_hz is None:
        return
    yield FaultFrequency("2x line", "motor", 2.0 * line_hz, None)
    yield FaultFrequency("line - 1x", "motor", abs(line_hz - shaft_hz), None)
    yield FaultFrequency("line + 1x", "motor", line_hz + shaft_hz, None)
    slip = slip_ratio(train, 60.0 * shaft_hz)
    if slip is not None and slip > 0 and train.poles is not None:
        yield FaultFrequency("pole pass", "motor", 2.0 * slip * line_hz, None)


def slip_ratio(train: DriveTrain, speed_rpm: float) -> float | None:
    """Return the slip of an induction motor, 1; null where line frequency or poles are unknown.

    Examples
    --------
    >>> slip_ratio(DriveTrain(line_frequency_hz=60.0, poles=4), 1746.0)
    0.03
    """
    if train.line_frequency_hz is None or train.poles is None or train.poles < 2:
        return None
    return round(1.0 - speed_rpm / (120.0 * train.line_frequency_hz / train.poles), 12)


def rotor_bars(train: DriveTrain, speed_rpm: float, record_s: float, load_ratio: float | None) -> RotorBars:
    """Return where broken rotor bars show in the current, or why this record can't tell.

    Parameters
    ----------
    train : DriveTrain
        The description: line frequency and poles.
    speed_rpm : float
        Speed of the rotor.
    record_s : float
        Length of the record; a Blackman-Harris window over all of it is assumed.
    load_ratio : float or None
        Load over full load.

    Returns
    -------
    bars : RotorBars
        The sidebands line·(1 ± 2 slip), or the reason for none.

    Examples
    --------
    >>> motor = DriveTrain(line_frequency_hz=50.0, poles=4)
    >>> rotor_bars(motor, 1455.0, 30.0, 0.9)
    RotorBars(lower_hz=47.0, upper_hz=53.0, refused_because=None)
    >>> rotor_bars(motor, 1455.0, 30.0, 0.2).refused_because
    'load 0.2 of full load; at least 0.5 needed'
    """
    slip = slip_ratio(train, speed_rpm)
    if slip is None or train.line_frequency_hz is None:
        return RotorBars(None, None, "line frequency or poles are not configured")
    if load_ratio is None:
        return RotorBars(None, None, "the load is unknown")
    if load_ratio < _LEAST_LOAD:
        return RotorBars(None, None, f"load {load_ratio} of full load; at least {_LEAST_LOAD} needed")
    if record_s < _SHORTEST_RECORD_S:
        return RotorBars(None, None, f"{record_s} s; at least {_SHORTEST_RECORD_S} s needed")
    offset_hz = 2.0 * slip * train.line_frequency_hz
    if offset_hz * record_s < _FEWEST_SLIP_BINS:
        needed_s = _FEWEST_SLIP_BINS / offset_hz if offset_hz > 0 else math.inf
        return RotorBars(None, None, f"twice the slip is {offset_hz:.3f} Hz; {needed_s:.0f} s needed to resolve it")
    return RotorBars(round(train.line_frequency_hz - offset_hz, 9), round(train.line_frequency_hz + offset_hz, 9), None)


def belt_hz(pulley_diameter_mm: float, belt_length_mm: float, speed_rpm: float) -> float:
    """Return how often a belt goes round, Hz: always below the speed of its pulleys.

    Raises
    ------
    SignalError
        If a length or the speed isn't positive, or the belt is shorter than the pulley is round.

    Examples
    --------
    >>> round(belt_hz(200.0, 2000.0, 1500.0), 3)
    7.854
    """
    if not (pulley_diameter_mm > 0 and belt_length_mm > math.pi * pulley_diameter_mm and speed_rpm > 0):
        raise SignalError(f"belt of {belt_length_mm} mm on a pulley of {pulley_diameter_mm} mm at {speed_rpm} rpm")
    return math.pi * pulley_diameter_mm * speed_rpm / 60.0 / belt_length_mm
