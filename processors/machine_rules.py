"""Rules for faults of shafts, alignment, gears, belts, motor and flow: a table of conditions, judged on facts.

A rule fires when all its conditions hold. Its hints are conditions that make it surer where they hold and less sure
where they don't; a missing fact does neither. A rule whose only missing facts are those that the window is too short
for isn't decided, and says which length it needs. Each rule says what would confirm it and what it excludes: the more
special of two rules silences the more general. A rule is evidence and a confidence, never a certainty.
A change for which the table has no name is reported as that.

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

_BASE_CONFIDENCE: Final = 0.55
_HINT: Final = 0.12
_BOUNDS: Final = (0.3, 0.9)
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


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that the facts speak for; ``row`` is the channel on which its main fact was measured.

    ``excludes`` has the faults that this one silences, and its rivals (for the same symptom) that a fact contradicts.
    """

    fault: str
    confidence: float
    evidence: tuple[Evidence, ...]
    confirm: str
    excludes: tuple[str, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """A fault that the window is too short for, though nothing measured speaks against it."""

    fault: str
    needed_s: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What the table says of some facts."""

    findings: tuple[Finding, ...]
    undecided: tuple[Undecided, ...]


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


def judge(facts: Facts, rules: tuple[Rule, ...] = RULES) -> Judged:
    """Return the faults that the facts speak for, surest first, and those that a longer window would decide.

    Parameters
    ----------
    facts : Facts
        As ``machine_facts.measure`` returns them.
    rules : tuple of Rule
        The table.

    Returns
    -------
    judged : Judged
        Without those that another finding excludes.

    Examples
    --------
    >>> facts = Facts()
    >>> facts.add(0, {"radial_mm_s": 5.0, "share_1x": 0.95, "phase_h_v_deg": 92.0})
    >>> [(finding.fault, finding.confidence) for finding in judge(facts).findings]
    [('unbalance', 0.67)]
    """
    fired = [rule for rule in rules if all(condition.holds(facts) for condition in rule.needs)]
    if len(fired) > 1:
        fired = [rule for rule in fired if rule.fault != CHANGE]
    silenced = {fault for rule in fired for fault in rule.excludes}
    findings = [_finding(rule, facts, rules) for rule in fired if rule.fault not in silenced]
    asked = [_undecided(rule, facts) for rule in rules if rule.fault not in silenced] if facts.needed_s else []
    return Judged(
        tuple(sorted(findings, key=lambda finding: finding.confidence, reverse=True)),
        tuple(one for one in asked if one is not None),
    )


def _undecided(rule: Rule, facts: Facts) -> Undecided | None:
    """Return the length that a rule needs, where what is known speaks for it and the rest needs only that."""
    if all(condition.fact not in facts.needed_s for condition in rule.needs):
        return None
    answers = {condition.fact: condition.holds(facts) for condition in rule.needs}
    missing = [fact for fact, holds in answers.items() if holds is None]
    if False in answers.values() or not missing or len(missing) == len(answers):
        return None
    if not all(fact in facts.needed_s for fact in missing):
        return None
    return Undecided(rule.fault, max(facts.needed_s[fact] for fact in missing))


def _finding(rule: Rule, facts: Facts, rules: tuple[Rule, ...]) -> Finding:
    known = [(hint, hint.holds(facts)) for hint in rule.hints]
    confidence = _BASE_CONFIDENCE + sum(_HINT if holds else -_HINT for _, holds in known if holds is not None)
    holding = [*rule.needs, *(hint for hint, holds in known if holds)]
    return Finding(
        rule.fault,
        round(min(max(confidence, _BOUNDS[0]), _BOUNDS[1]), 3),
        tuple(condition.evidence(facts) for condition in holding),
        rule.confirm,
        tuple(dict.fromkeys((*rule.excludes, *_contradicted(rule, facts, rules)))),
        facts.rows[rule.needs[0].fact],
    )


def _contradicted(rule: Rule, facts: Facts, rules: tuple[Rule, ...]) -> list[str]:
    """Return the faults that would explain the same symptom, had a fact not spoken against them."""
    return [
        rival.fault
        for rival in rules
        if rival.needs[0] == rule.needs[0] and any(condition.holds(facts) is False for condition in rival.needs)
    ]
