"""Severity zones of ISO 20816-3: how bad the broadband vibration of a machine is.

Zones hold for velocity (and displacement) measured on bearing housings of industrial machines. Which row applies
depends on the machine's group and support; while either is unknown, or the unit is, there is no zone: guessing one
would look like knowledge.
"""

import cmath
import math
from dataclasses import dataclass
from typing import Final

from contracts.assets import MachineGroup, Support
from contracts.records import Zone


@dataclass(frozen=True, slots=True)
class Boundaries:
    """The zone boundaries A/B, B/C, C/D of one quantity."""

    a_b: float
    b_c: float
    c_d: float

    def zone(self, value: float) -> Zone:
        """Return the zone of `value`; on a boundary the lower (better) zone holds."""
        if value <= self.a_b:
            return Zone.A
        if value <= self.b_c:
            return Zone.B
        return Zone.C if value <= self.c_d else Zone.D


@dataclass(frozen=True, slots=True)
class ZoneTable:
    """Boundaries for one group and support: velocity in mm/s rms, displacement in um rms."""

    velocity: Boundaries
    displacement: Boundaries


#: ISO 20816-3:2022, tables A.1 and A.2.
ISO_20816_3: Final[dict[tuple[MachineGroup, Support], ZoneTable]] = {
    ("1", "rigid"): ZoneTable(Boundaries(2.3, 4.5, 7.1), Boundaries(29, 57, 90)),
    ("1", "flexible"): ZoneTable(Boundaries(3.5, 7.1, 11.0), Boundaries(45, 90, 140)),
    ("2", "rigid"): ZoneTable(Boundaries(1.4, 2.8, 4.5), Boundaries(22, 45, 71)),
    ("2", "flexible"): ZoneTable(Boundaries(2.3, 4.5, 7.1), Boundaries(37, 71, 113)),
}


@dataclass(frozen=True, slots=True)
class Grade:
    """A zone, or the reason why there is none."""

    zone: Zone | None
    not_graded_because: str | None


def grade(
    velocity_rms_mm_s: float | None,
    displacement_rms_um: float | None,
    group: MachineGroup | None,
    support: Support | None,
    *,
    unit_known: bool = True,
) -> Grade:
    """Return the severity zone of a broadband vibration.

    Parameters
    ----------
    velocity_rms_mm_s : float or None
        Velocity, 10-1000 Hz (2-1000 Hz below 600 rpm), mm/s rms; null or NaN where it couldn't be computed.
    displacement_rms_um : float or None
        Displacement over the same band, um rms, where it counts too; the worse zone of both holds.
    group : {"1", "2"} or None
        Machine group of ISO 20816-3.
    support : {"rigid", "flexible"} or None
        Support class of ISO 20816-3.
    unit_known : bool
        Whether the unit of the signal was stated.

    Returns
    -------
    grade : Grade
        The zone, or the reason why the machine isn't graded.

    Examples
    --------
    >>> grade(2.8, None, "2", "rigid")
    Grade(zone=<Zone.B: 'B'>, not_graded_because=None)
    >>> grade(2.8, None, "2", None).not_graded_because
    'the support (rigid or flexible) is not configured'
    """
    if not unit_known:
        return Grade(None, "the unit of the signal is not stated")
    if group is None:
        return Grade(None, "the machine group of ISO 20816-3 is not configured")
    if support is None:
        return Grade(None, "the support (rigid or flexible) is not configured")
    table = ISO_20816_3.get((group, support))
    if table is None:
        return Grade(None, f"ISO 20816-3 has no group {group} on {support} support")
    if velocity_rms_mm_s is None or not math.isfinite(velocity_rms_mm_s):
        return Grade(None, "the vibration velocity could not be computed")
    zones = [table.velocity.zone(velocity_rms_mm_s)]
    if displacement_rms_um is not None and math.isfinite(displacement_rms_um):
        zones.append(table.displacement.zone(displacement_rms_um))
    return Grade(max(zones), None)


def vector_change(before_mm_s: float, before_phase_deg: float, after_mm_s: float, after_phase_deg: float) -> float:
    """Return by how much an order line has moved as a vector, mm/s: a turned phase is a change too.

    Examples
    --------
    >>> round(vector_change(3.0, 40.0, 2.5, 180.0), 3)
    5.171
    """
    before = cmath.rect(before_mm_s, math.radians(before_phase_deg))
    return abs(cmath.rect(after_mm_s, math.radians(after_phase_deg)) - before)
