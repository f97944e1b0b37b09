"""Severity zones of other machines than ISO 20816-3's, as versioned tables, and when a change matters.

A table names its standard and edition, so that a grade can say by which numbers it was made. What a table doesn't cover
gets no zone: pumps without a category or a power are not graded.
"""

import math
from dataclasses import dataclass
from typing import Final

from contracts.assets import AssetConfiguration, PumpCategory
from processors.severity import ISO_20816_3, Boundaries, Grade, grade

#: A change by more than this share of boundary B/C is significant, in whichever direction.
SIGNIFICANT_SHARE: Final = 0.25
_ALARM_SHARE: Final = 0.25
_LIMIT_OVER_BOUNDARY: Final = 1.25


@dataclass(frozen=True, slots=True)
class PumpRow:
    """Boundaries of one category of pumps up to ``power_kw`` (null: any larger), velocity in mm/s rms."""

    category: PumpCategory
    power_kw: float | None
    velocity: Boundaries


@dataclass(frozen=True, slots=True)
class PumpTable:
    """The rows of one edition of a standard for pumps."""

    standard: str
    edition: str
    rows: tuple[PumpRow, ...]


#: Rotodynamic pumps; category I is high reliability, availability or safety, category II general use.
ISO_10816_7: Final = PumpTable(
    "ISO 10816-7",
    "2009",
    (
        PumpRow("I", 200.0, Boundaries(2.5, 4.0, 6.6)),
        PumpRow("I", None, Boundaries(3.5, 5.0, 7.6)),
        PumpRow("II", 200.0, Boundaries(3.2, 5.1, 8.5)),
        PumpRow("II", None, Boundaries(4.2, 6.1, 9.5)),
    ),
)


@dataclass(frozen=True, slots=True)
class GeneralRanges:
    """Between which velocities (mm/s rms) each boundary lies over all kinds of machine."""

    standard: str
    edition: str
    lowest: Boundaries
    highest: Boundaries

    def zones(self, velocity_rms_mm_s: float) -> tuple[str, str]:
        """Return the best and the worst zone that the value can mean.

        Examples
        --------
        >>> ISO_20816_1.zones(3.0)
        ('A', 'C')
        """
        best, worst = self.highest.zone(velocity_rms_mm_s), self.lowest.zone(velocity_rms_mm_s)
        return best.value, worst.value


#: Where nothing more special applies: orientation, no grade.
ISO_20816_1: Final = GeneralRanges("ISO 20816-1", "2016", Boundaries(0.71, 1.8, 4.5), Boundaries(4.5, 9.3, 14.7))


def grade_pump(
    velocity_rms_mm_s: float | None,
    category: PumpCategory | None,
    power_kw: float | None,
    table: PumpTable = ISO_10816_7,
) -> Grade:
    """Return the severity zone of a rotodynamic pump.

    Parameters
    ----------
    velocity_rms_mm_s : float or None
        Velocity, 10-1000 Hz, mm/s rms; null or NaN where it couldn't be computed.
    category : {"I", "II"} or None
        Category of the pump.
    power_kw : float or None
        Power of the pump, kW.
    table : PumpTable
        The edition in force.

    Returns
    -------
    grade : Grade
        The zone, or the reason why the pump isn't graded.

    Examples
    --------
    >>> grade_pump(4.5, "I", 75.0)
    Grade(zone=<Zone.C: 'C'>, not_graded_because=None)
    >>> grade_pump(4.5, "I", None).not_graded_because
    'the power of the pump is not configured'
    """
    if category is None:
        return Grade(None, f"the pump's category of {table.standard} is not configured")
    if power_kw is None or not power_kw > 0:
        return Grade(None, "the power of the pump is not configured")
    if velocity_rms_mm_s is None or not math.isfinite(velocity_rms_mm_s):
        return Grade(None, "the vibration velocity could not be computed")
    boundaries = pump_boundaries(category, power_kw, table)
    if boundaries is None:
        return Grade(None, f"{table.standard}:{table.edition} has no row for category {category} at {power_kw} kW")
    return Grade(boundaries.zone(velocity_rms_mm_s), None)


def grade_asset(velocity_rms_mm_s: float | None, displacement_rms_um: float | None, asset: AssetConfiguration) -> Grade:
    """Return the severity zone of an asset by the standard that holds for it.

    Parameters
    ----------
    velocity_rms_mm_s, displacement_rms_um : float or None
        As for ``severity.grade``; of a pump the velocity alone counts.
    asset : AssetConfiguration
        Its class.

    Returns
    -------
    grade : Grade
        The zone, or the reason why the asset isn't graded.
    """
    if asset.pump_category is not None:
        return grade_pump(velocity_rms_mm_s, asset.pump_category, asset.drive_train.power_kw)
    return grade(velocity_rms_mm_s, displacement_rms_um, asset.machine_group, asset.support)


def velocity_boundaries(asset: AssetConfiguration) -> Boundaries | None:
    """Return the zone boundaries of an asset's velocity, mm/s rms; nothing where it isn't graded."""
    if asset.pump_category is not None:
        return pump_boundaries(asset.pump_category, asset.drive_train.power_kw)
    if asset.machine_group is None or asset.support is None:
        return None
    return ISO_20816_3[asset.machine_group, asset.support].velocity


def pump_boundaries(
    category: PumpCategory, power_kw: float | None, table: PumpTable = ISO_10816_7
) -> Boundaries | None:
    """Return the zone boundaries of a pump; nothing where the table has no row for it."""
    if power_kw is None or not power_kw > 0:
        return None
    fitting = (row for row in table.rows if row.category == category)
    return next((row.velocity for row in fitting if row.power_kw is None or power_kw <= row.power_kw), None)


def limits(baseline: float, boundaries: Boundaries) -> tuple[float, float]:
    """Return ALARM and the highest TRIP for a machine with this baseline.

    Examples
    --------
    >>> limits(1.0, Boundaries(1.4, 2.8, 4.5))
    (1.7, 5.625)
    """
    alarm = min(baseline + _ALARM_SHARE * boundaries.b_c, _LIMIT_OVER_BOUNDARY * boundaries.b_c)
    return alarm, _LIMIT_OVER_BOUNDARY * boundaries.c_d
