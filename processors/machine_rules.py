"""Which faults of shafts, alignment, gears, belts, motor and flow the facts of a machine speak for.

A rule fires when all its conditions hold. Its hints are conditions that make it surer where they hold and less sure
where they don't; a missing fact does neither. A rule whose only missing facts are those that the window is too short
for isn't decided, and says which length it needs. A rule is evidence and a confidence, never a certainty.
A change for which the table has no name is reported as that.
"""

from dataclasses import dataclass
from typing import Final

from contracts.records import Evidence
from processors.machine_readings import Facts
from processors.rule_table import CHANGE, RULES, Rule

_BASE_CONFIDENCE: Final = 0.55
_HINT: Final = 0.12
_BOUNDS: Final = (0.3, 0.9)


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
