"""Persistence and hysteresis: between what one window says and what is reported lies a gate.

Invariants: nothing is raised before ``raise_after`` windows in a row spoke for it, nothing cleared before
``clear_after`` in a row spoke against it; a window between the two bounds breaks either row; a window that can't tell
changes nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from contracts.records import Evidence, Zone


class Verdict(StrEnum):
    """What one window says on one rule."""

    HOLDS = "holds"
    BETWEEN = "between"
    CLEAR = "clear"


class Change(StrEnum):
    """What a window changes in what is reported."""

    RAISED = "raised"
    WORSENED = "worsened"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Finding:
    """One window's verdict on one rule at one point, with what a reason is made of."""

    verdict: Verdict
    zone: Zone | None = None
    fault: str | None = None
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    text: str = ""


class Gate(msgspec.Struct, array_like=True):
    """Counts of one rule at one point.

    ``row`` counts windows in a row for raising; ``calm`` those for clearing; ``worse`` those that are worse than what
    was reported. ``row_zone`` is the mildest zone of the row, since only that was sustained.
    """

    row: int = 0
    row_zone: Zone | None = None
    started_at_ns: int = 0
    raised: bool = False
    zone: Zone | None = None
    fault: str | None = None
    calm: int = 0
    worse: int = 0
    worse_zone: Zone | None = None
    worse_fault: str | None = None

    @property
    def at_rest(self) -> bool:
        """Whether nothing is raised and nothing speaks for raising."""
        return not self.raised and self.row == 0

    def step(self, finding: Finding, at_ns: int, raise_after: int, clear_after: int) -> Change | None:
        """Take one window's finding and return what it changes.

        Parameters
        ----------
        finding : Finding
        at_ns : int
            End of the window, UTC nanoseconds.
        raise_after, clear_after : int
            Windows in a row that raise and that clear.
        """
        if finding.verdict is Verdict.HOLDS:
            return self._hold(finding, at_ns, raise_after)
        self.row, self.worse = 0, 0
        self.calm = self.calm + 1 if self.raised and finding.verdict is Verdict.CLEAR else 0
        if not self.raised or self.calm < clear_after:
            return None
        self.raised, self.calm = False, 0
        return Change.CLEARED

    def _hold(self, finding: Finding, at_ns: int, raise_after: int) -> Change | None:
        self.calm = 0
        if self.raised:
            return self._hold_on(finding, raise_after)
        self.row_zone = finding.zone if self.row == 0 else milder(self.row_zone, finding.zone)
        if self.row == 0:
            self.started_at_ns = at_ns
        self.row += 1
        if self.row < raise_after:
            return None
        self.raised, self.row = True, 0
        self.zone, self.fault = self.row_zone, finding.fault
        return Change.RAISED

    def _hold_on(self, finding: Finding, raise_after: int) -> Change | None:
        zone_up = _grade(finding.zone) > _grade(self.zone)
        fault_new = finding.fault != self.fault
        if not zone_up and not fault_new:
            self.worse = 0
            return None
        same = self.worse > 0 and finding.fault == self.worse_fault
        self.worse = self.worse + 1 if same else 1
        self.worse_zone = milder(self.worse_zone, finding.zone) if same else finding.zone
        self.worse_fault = finding.fault
        if self.worse < raise_after:
            return None
        self.worse = 0
        # A new fault in a milder zone doesn't make the reported zone milder: that would be no worsening.
        self.zone = self.worse_zone if _grade(self.worse_zone) > _grade(self.zone) else self.zone
        self.fault = finding.fault
        return Change.WORSENED


_ORDER: Final = (None, Zone.A, Zone.B, Zone.C, Zone.D)


def _grade(zone: Zone | None) -> int:
    return _ORDER.index(zone)


def milder(one: Zone | None, other: Zone | None) -> Zone | None:
    """Return the milder of two zones; not graded is milder than A, since nothing is known.

    Examples
    --------
    >>> milder(Zone.D, Zone.B)
    <Zone.B: 'B'>
    """
    return min(one, other, key=_grade)


def worst(zones: list[Zone | None]) -> Zone | None:
    """Return the worst zone; ``None`` where nothing is graded."""
    return max(zones, key=_grade, default=None)
