"""Rules for faults of shafts, alignment, gears, belts, motor and flow: a table of conditions on facts.

Each rule says what it needs, what makes it surer, what would confirm it, and which faults it excludes: the more special
of two rules silences the more general. How the table is judged, ``machine_rules`` says.

ISO 13373-3:2015, annexes; R. B. Randall, "Vibration-based Condition Monitoring" (2011), chapter 2; for rotor bars
W. T. Thomson, M. Fenger, "Current signature analysis to detect induction motor faults", IEEE Ind. Appl. Mag. 7 (2001).
ISO 20816-3:2022, criterion II: a change of the velocity by more than a quarter of boundary B/C is significant.
"""

import math
from dataclasses import dataclass
from typing import Final

from contracts.records import Evidence
from processors.machine_facts import WORTH_MM_S
from processors.machine_readings import Facts
from processors.zone_tables import SIGNIFICANT_SHARE

#: What is left to say where no fault explains it.
CHANGE: Final = "significant_change"


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact that must lie between two bounds; ``text`` says what that means."""

    fact: str
    low: float
    high: float
    unit: str
    text: str

    def holds(self, facts: Facts) -> bool | None:
        """Return whether the fact lies within the bounds; null where it is missing."""
        value = facts.values.get(self.fact)
        return None if value is None else self.low <= value <= self.high

    def evidence(self, facts: Facts) -> Evidence:
        """Return the fact with the bound it was held against."""
        value = facts.values[self.fact]
        part = facts.parts.get(self.fact)
        what = self.text if part is None else f"{self.text} ({part})"
        return Evidence(
            name=self.fact,
            value=round(value, 4),
            unit=self.unit,
            limit=self.low if math.isfinite(self.low) else self.high,
            frequency_hz=facts.lines_hz.get(self.fact),
            text=f"{what} {value:.3g}{'' if self.unit == '1' else ' ' + self.unit}",
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault: what it needs, what makes it surer, what would confirm it, which faults it excludes."""

    fault: str
    needs: tuple[Condition, ...]
    hints: tuple[Condition, ...]
    confirm: str
    excludes: tuple[str, ...] = ()


def _at_least(fact: str, low: float, unit: str, text: str) -> Condition:
    return Condition(fact, low, math.inf, unit, text)


def _at_most(fact: str, high: float, unit: str, text: str) -> Condition:
    return Condition(fact, -math.inf, high, unit, text)


_SHAKES: Final = _at_least("radial_mm_s", WORTH_MM_S, "mm/s", "overall radial velocity")
_AXIAL_SHAKES: Final = _at_least("axial_mm_s", WORTH_MM_S, "mm/s", "overall axial velocity")
_LITTLE_AXIAL: Final = _at_most("axial_over_radial", 0.5, "1", "axial over radial 1x")
_MUCH_AXIAL: Final = _at_least("axial_over_radial", 0.5, "1", "axial over radial 1x")

RULES: Final = (
    Rule(
        "unbalance",
        (_SHAKES, _at_least("share_1x", 0.8, "1", "share of 1x in the radial velocity")),
        (Condition("phase_h_v_deg", 60.0, 120.0, "deg", "phase between horizontal and vertical"), _LITTLE_AXIAL),
        "a run-down (1x falls with the square of the speed) or a trial weight",
    ),
    Rule(
        "misalignment",
        (
            _SHAKES,
            _at_least("ratio_2x_1x", 0.5, "1", "2x over 1x, radial"),
            _at_least("share_1x_2x", 0.7, "1", "share of 1x and 2x in the radial velocity"),
            _at_most("harmonics", 3.0, "1", "harmonics of the shaft"),
        ),
        (_MUCH_AXIAL, Condition("phase_across_deg", 150.0, 180.0, "deg", "axial phase across the coupling")),
        "the alignment measured at operating temperature",
        ("unbalance",),
    ),
    Rule(
        "angular_misalignment",
        (
            _AXIAL_SHAKES,
            _MUCH_AXIAL,
            Condition("phase_across_deg", 150.0, 180.0, "deg", "axial phase across the coupling"),
        ),
        (_at_least("axial_2x_mm_s", 1.0, "mm/s", "axial 2x"),),
        "the alignment measured at operating temperature",
        ("unbalance", "misalignment"),
    ),
    Rule(
        "bent_shaft",
        (
            _AXIAL_SHAKES,
            _MUCH_AXIAL,
            _at_least("axial_share_1x", 0.5, "1", "share of 1x in the axial velocity"),
            Condition("phase_ends_deg", 150.0, 180.0, "deg", "axial phase from end to end of the shaft"),
        ),
        (),
        "the run-out of the shaft, turned by hand; on a cold machine a thermal bow is gone",
        ("unbalance", "misalignment"),
    ),
    Rule(
        "looseness",
        (_SHAKES, _at_least("harmonics", 4.0, "1", "harmonics of the shaft")),
        (_at_least("share_half", 0.05, "1", "share of 1/2x in the radial velocity"),),
        "the phase across each joint from base to bearing cap, and the torque of the bolts",
        ("unbalance", "misalignment"),
    ),
    Rule(
        "rub",
        (
            _SHAKES,
            _at_least("share_half", 0.2, "1", "share of 1/2x in the radial velocity"),
            _at_least("share_third", 0.1, "1", "share of 1/3x in the radial velocity"),
        ),
        (),
        "the orbit, and a start from cold",
        ("looseness",),
    ),
    Rule(
        "oil_whirl",
        (
            _SHAKES,
            _at_least("share_whirl", 0.4, "1", "share of 0.38x to 0.48x in the radial velocity"),
            _at_most("share_half", 0.2, "1", "share of 1/2x in the radial velocity"),
        ),
        (),
        "a change of the oil's temperature or of the load",
        ("rub", "looseness"),
    ),
    Rule(
        "cavitation",
        (
            _at_least("high_rise_db", 6.0, "dB", "rise above 1 kHz over the healthy machine"),
            _at_least("high_flatness", 0.3, "1", "flatness of the spectrum above 2 kHz (white noise 0.56)"),
        ),
        (_at_most("radial_mm_s", WORTH_MM_S, "mm/s", "overall radial velocity"),),
        "more suction head, or less flow: the noise goes; no fault frequency of a bearing may stand",
    ),
    Rule(
        "blade_pass",
        (_SHAKES, _at_least("share_blade", 0.5, "1", "share of blade pass in the radial velocity")),
        (),
        "the operating point: far from the best efficiency it rises; then the gap at the tongue",
        ("unbalance",),
    ),
    Rule(
        "electrical",
        (_SHAKES, _at_least("share_2line", 0.5, "1", "share of twice the line frequency in the radial velocity")),
        (),
        "power-off: it is gone at once",
        ("unbalance", "misalignment"),
    ),
    Rule(
        "gear_mesh",
        (
            _at_least("mesh_g", 0.05, "g", "gear mesh"),
            _at_least("sideband_ratio", 0.5, "1", "sidebands over mesh, at the shaft speed"),
        ),
        (_at_least("sideband_lines", 4.0, "1", "sidebands that stand"),),
        "the teeth, through the inspection cover; the sidebands at the same load in a month",
    ),
    Rule(
        "belt",
        (
            _at_least("belt_mm_s", WORTH_MM_S, "mm/s", "velocity at the multiples of the belt"),
            _at_least("belt_lines", 2.0, "1", "multiples of the belt that stand"),
        ),
        (),
        "the belt under a stroboscope; its tension, and the pulleys' alignment",
    ),
    Rule(
        "rotor_bar",
        (_at_least("rotor_bar_db", -45.0, "dB", "sidebands at twice the slip, to the line current"),),
        (),
        "the same measurement at another load: the sidebands move with the slip and grow from test to test",
    ),
    Rule(
        CHANGE,
        (
            _at_least(
                "velocity_change",
                math.nextafter(SIGNIFICANT_SHARE, 1.0),
                "1",
                "change of the velocity since the baseline, over boundary B/C",
            ),
        ),
        (),
        "the same operating point and mounting again; what was done at the machine since its baseline was learnt",
    ),
)
#: What the table may find.
FAULTS: Final = frozenset(rule.fault for rule in RULES)
