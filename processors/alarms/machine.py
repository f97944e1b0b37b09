"""The ISA-18.2 state machine of one alarm, as a table that can be read and tested whole.

An alarm has a state *beneath* (does the condition hold, has somebody acknowledged it) and three masks that may lie over
it: shelved by an operator, suppressed by design, out of service. The state shown is the outermost mask, or the state
beneath where there is none; what lies beneath goes on evolving under a mask.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.records import AlarmState, CommandAction, Evidence, Priority, Zone


class Input(StrEnum):
    """What moves the state beneath."""

    RAISE = "raise"
    RETURN = "return"
    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"


_S = AlarmState
_I = Input

#: State beneath, input → next state, for an alarm that doesn't latch. What isn't listed has no effect.
_NEXT: Final[dict[tuple[AlarmState, Input], AlarmState]] = {
    (_S.NORMAL, _I.RAISE): _S.UNACKNOWLEDGED,
    (_S.UNACKNOWLEDGED, _I.ACKNOWLEDGE): _S.ACKNOWLEDGED,
    (_S.UNACKNOWLEDGED, _I.RETURN): _S.RETURNED_UNACKNOWLEDGED,
    (_S.ACKNOWLEDGED, _I.RETURN): _S.NORMAL,
    (_S.RETURNED_UNACKNOWLEDGED, _I.ACKNOWLEDGE): _S.NORMAL,
    (_S.RETURNED_UNACKNOWLEDGED, _I.RAISE): _S.UNACKNOWLEDGED,
    (_S.LATCHED_UNACKNOWLEDGED, _I.ACKNOWLEDGE): _S.LATCHED_ACKNOWLEDGED,
    (_S.LATCHED_UNACKNOWLEDGED, _I.RAISE): _S.UNACKNOWLEDGED,
    (_S.LATCHED_ACKNOWLEDGED, _I.RESET): _S.NORMAL,
    (_S.LATCHED_ACKNOWLEDGED, _I.RAISE): _S.UNACKNOWLEDGED,
}
#: Where a latching alarm goes instead: it returns to normal only by a reset, after return and acknowledgement.
_NEXT_LATCHING: Final[dict[tuple[AlarmState, Input], AlarmState]] = {
    (_S.UNACKNOWLEDGED, _I.RETURN): _S.LATCHED_UNACKNOWLEDGED,
    (_S.ACKNOWLEDGED, _I.RETURN): _S.LATCHED_ACKNOWLEDGED,
}

#: States in which the condition holds.
STANDING: Final = frozenset({_S.UNACKNOWLEDGED, _S.ACKNOWLEDGED})


def next_state(beneath: AlarmState, what: Input, *, latching: bool) -> AlarmState | None:
    """Return the next state beneath, or ``None`` where the input has no effect in this state.

    Examples
    --------
    >>> next_state(AlarmState.ACKNOWLEDGED, Input.RETURN, latching=False)
    <AlarmState.NORMAL: 'normal'>
    >>> next_state(AlarmState.NORMAL, Input.ACKNOWLEDGE, latching=False) is None
    True
    """
    if latching and (beneath, what) in _NEXT_LATCHING:
        return _NEXT_LATCHING[beneath, what]
    return _NEXT.get((beneath, what))


@dataclass(slots=True, kw_only=True)
class Alarm:
    """One alarm with its state beneath, its masks, and what is known of its cause.

    ``shelved_until_ns`` ends a timed shelving; a shelving without it is one-shot and ends when the condition returns.
    """

    alarm_id: str
    site_id: str
    point_id: str
    rule: str
    started_at_ns: int
    priority: Priority
    latching: bool
    zone: Zone | None
    fault: str | None
    confidence: float | None
    reason: str
    evidence: tuple[Evidence, ...]
    beneath: AlarmState = AlarmState.NORMAL
    shelved: bool = False
    shelved_until_ns: int | None = None
    suppressed: bool = False
    out_of_service: bool = False

    @property
    def shown(self) -> AlarmState:
        """The state that operators see."""
        if self.out_of_service:
            return AlarmState.OUT_OF_SERVICE
        if self.suppressed:
            return AlarmState.SUPPRESSED
        return AlarmState.SHELVED if self.shelved else self.beneath

    @property
    def masked(self) -> bool:
        """Whether a mask lies over the state beneath."""
        return self.shelved or self.suppressed or self.out_of_service

    def unshelve(self) -> None:
        """Take the shelving away."""
        self.shelved = False
        self.shelved_until_ns = None


#: Command → cause of the transition it makes.
CAUSES: Final[dict[CommandAction, str]] = {
    CommandAction.ACKNOWLEDGE: "acknowledged",
    CommandAction.RESET: "reset",
    CommandAction.SHELVE: "shelved",
    CommandAction.UNSHELVE: "unshelved",
    CommandAction.SUPPRESS: "suppressed",
    CommandAction.UNSUPPRESS: "unsuppressed",
    CommandAction.REMOVE_FROM_SERVICE: "removed_from_service",
    CommandAction.RETURN_TO_SERVICE: "returned_to_service",
}


def command(alarm: Alarm, action: CommandAction, at_ns: int, until_ns: int | None) -> bool:
    """Apply a command to `alarm`; return whether it had an effect.

    Parameters
    ----------
    alarm : Alarm
        Changed in place where the command applies.
    action : CommandAction
        What the operator asks.
    at_ns : int
        When it was asked, UTC nanoseconds.
    until_ns : int or None
        End of a timed shelving, UTC nanoseconds; one that isn't after `at_ns` is no shelving at all.
    """
    if action in (CommandAction.ACKNOWLEDGE, CommandAction.RESET):
        after = next_state(alarm.beneath, Input(action.value), latching=alarm.latching)
        alarm.beneath = after or alarm.beneath
        return after is not None
    if action in (CommandAction.SHELVE, CommandAction.UNSHELVE):
        return _shelve(alarm, at_ns, until_ns) if action is CommandAction.SHELVE else _unshelve(alarm)
    if action in (CommandAction.SUPPRESS, CommandAction.UNSUPPRESS):
        before, alarm.suppressed = alarm.suppressed, action is CommandAction.SUPPRESS
        return alarm.suppressed != before
    before, alarm.out_of_service = alarm.out_of_service, action is CommandAction.REMOVE_FROM_SERVICE
    return alarm.out_of_service != before


def _shelve(alarm: Alarm, at_ns: int, until_ns: int | None) -> bool:
    # One-shot shelving ends when the condition returns: where it doesn't hold there is nothing to wait for.
    lasts = alarm.beneath in STANDING if until_ns is None else until_ns > at_ns
    if alarm.shelved or not lasts:
        return False
    alarm.shelved, alarm.shelved_until_ns = True, until_ns
    return True


def _unshelve(alarm: Alarm) -> bool:
    was = alarm.shelved
    alarm.unshelve()
    return was
