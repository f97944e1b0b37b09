"""All alarms of one asset: conditions, commands and ticks in, alarm transitions out.

Invariants: the transitions are a function of the records applied, in order; a record seen before has no effect; memory
is bounded by the number of (point, rule) pairs, because each keeps its latest alarm only. The alarm's id is a function
of (asset, point, rule, start of episode): it survives return and re-alarm; after normal a new episode is a new alarm.

A mask (shelved, suppressed, out of service) covers the point and rule, not the episode: a new alarm that begins beneath
it is masked from its first transition, and the mask's former bearer goes to normal. What the process does beneath
a mask makes no transition; what a person does there does, since it must be on record.
"""

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec

from contracts.errors import ConfigurationError
from contracts.identifiers import stable_id
from contracts.records import AlarmState, AlarmTransition, Command, Condition, ConditionState, Tick
from processors.alarms.machine import CAUSES, STANDING, Alarm, Input, command, next_state

#: Commands remembered, so that a repeated one has no effect.
REMEMBERED_COMMANDS: Final = 256
_VERSION: Final = b"\x01"


@dataclass(slots=True)
class _State:
    transitions: int
    condition_sequence: int
    commands: list[bytes]
    alarms: list[Alarm]


class AlarmBook:
    """The ISA-18.2 state machine for all alarms of one asset.

    Parameters
    ----------
    asset_id : str
        The asset whose alarms these are.
    state : _State
        Where to go on from; use `build`.

    Attributes
    ----------
    refusal : str or None
        Why the record applied last had no effect although somebody meant it to have one; ``None`` where it had one.
    """

    def __init__(self, asset_id: str, state: _State) -> None:
        self.asset_id = asset_id
        self.refusal: str | None = None
        self._transitions = state.transitions
        self._condition_sequence = state.condition_sequence
        self._commands = deque(state.commands, maxlen=REMEMBERED_COMMANDS)
        self._alarms = {(alarm.point_id, alarm.rule): alarm for alarm in state.alarms}

    @classmethod
    def build(cls, asset_id: str, resume_state: bytes | None) -> "AlarmBook":
        """Return the book of `asset_id`, empty or as `resume_state` (a `snapshot`) left it.

        Raises
        ------
        ConfigurationError
            If the state was written in a format this code doesn't know.
        """
        if resume_state is None:
            return cls(asset_id, _State(0, 0, [], []))
        if resume_state[:1] != _VERSION:
            raise ConfigurationError(
                f"alarm state of {asset_id} has format {resume_state[:1]!r}, {_VERSION!r} expected"
            )
        return cls(asset_id, msgspec.msgpack.decode(resume_state[1:], type=_State))

    def snapshot(self) -> bytes:
        """Return the whole state; `build` goes on from it."""
        alarms = list(self._alarms.values())
        state = _State(self._transitions, self._condition_sequence, list(self._commands), alarms)
        return _VERSION + msgspec.msgpack.encode(state)

    @property
    def next_timer_ns(self) -> int | None:
        """When the next timed shelving ends (UTC nanoseconds): ticks before that have no effect."""
        ends = [a.shelved_until_ns for a in self._alarms.values() if a.shelved_until_ns is not None]
        return min(ends, default=None)

    def apply(self, record: Condition | Command | Tick) -> list[AlarmTransition]:
        """Apply one record of the asset's part of the log and return the transitions it makes.

        Parameters
        ----------
        record : Condition or Command or Tick
            In the order of the log. A condition whose sequence was applied before, a command whose id was, and a
            command that doesn't fit the alarm's state have no effect; `refusal` says why.
        """
        self.refusal = None
        if isinstance(record, Tick):
            return self._end_shelvings(record)
        if record.asset_id != self.asset_id:
            self.refusal = f"record is of asset {record.asset_id!r}, this book of {self.asset_id!r}"
            return []
        return self._on_condition(record) if isinstance(record, Condition) else self._on_command(record)

    def _end_shelvings(self, tick: Tick) -> list[AlarmTransition]:
        made: list[AlarmTransition] = []
        for alarm in self._alarms.values():
            if alarm.shelved_until_ns is not None and tick.at_ns >= alarm.shelved_until_ns:
                before = alarm.shown
                alarm.unshelve()
                made += self._shown_change(alarm, before, "shelving_ended", tick.at_ns)
        return made

    def _on_condition(self, condition: Condition) -> list[AlarmTransition]:
        if condition.sequence <= self._condition_sequence:
            self.refusal = f"condition sequence {condition.sequence} was applied before"
            return []
        self._condition_sequence = condition.sequence
        alarm = self._alarms.get((condition.point_id, condition.rule))
        if condition.state is ConditionState.RAISED:
            return self._on_raised(condition, alarm)
        after = next_state(alarm.beneath, Input.RETURN, latching=alarm.latching) if alarm is not None else None
        if alarm is None or after is None:
            self.refusal = f"{condition.rule} at {condition.point_id} was cleared, but no alarm stands"
            return []
        before, alarm.beneath = alarm.shown, after
        if alarm.shelved and alarm.shelved_until_ns is None:
            alarm.unshelve()
        return self._shown_change(alarm, before, "returned", condition.at_ns, condition)

    def _on_raised(self, condition: Condition, alarm: Alarm | None) -> list[AlarmTransition]:
        made: list[AlarmTransition] = []
        if alarm is None or alarm.beneath is AlarmState.NORMAL:
            new = self._new_alarm(condition)
            if alarm is not None and alarm.masked:
                new.shelved, new.shelved_until_ns = alarm.shelved, alarm.shelved_until_ns
                new.suppressed, new.out_of_service = alarm.suppressed, alarm.out_of_service
                made.append(
                    self._transition(alarm, alarm.shown, "superseded", condition.at_ns, state=AlarmState.NORMAL)
                )
            self._alarms[condition.point_id, condition.rule] = new
            made.append(self._transition(new, AlarmState.NORMAL, "raised", condition.at_ns, condition))
            return made
        before, standing = alarm.shown, alarm.beneath in STANDING
        _take_cause(alarm, condition)
        if standing:
            return [] if alarm.masked else [self._transition(alarm, before, "updated", condition.at_ns, condition)]
        alarm.beneath = AlarmState.UNACKNOWLEDGED
        return self._shown_change(alarm, before, "realarmed", condition.at_ns, condition)

    def _on_command(self, wish: Command) -> list[AlarmTransition]:
        digest = hashlib.sha256(wish.command_id.encode()).digest()[:12]
        if digest in self._commands:
            self.refusal = f"command {wish.command_id} was applied before"
            return []
        self._commands.append(digest)
        alarm = next((a for a in self._alarms.values() if a.alarm_id == wish.alarm_id), None)
        if alarm is None:
            self.refusal = f"{wish.action.value}: alarm {wish.alarm_id} isn't known, or a later one took its place"
            return []
        before = alarm.shown
        if not command(alarm, wish.action, wish.at_ns, wish.until_ns):
            self.refusal = f"{wish.action.value} has no effect on alarm {wish.alarm_id}, which is {before.value}"
            return []
        return [self._transition(alarm, before, CAUSES[wish.action], wish.at_ns, wish)]

    def _new_alarm(self, condition: Condition) -> Alarm:
        started_at_ns = condition.episode_started_at_ns
        return Alarm(
            alarm_id=stable_id("alm", self.asset_id, condition.point_id, condition.rule, started_at_ns),
            site_id=condition.site_id,
            point_id=condition.point_id,
            rule=condition.rule,
            started_at_ns=started_at_ns,
            priority=condition.priority,
            latching=condition.latching,
            zone=condition.zone,
            fault=condition.fault,
            confidence=condition.confidence,
            reason=condition.reason,
            evidence=condition.evidence,
            beneath=AlarmState.UNACKNOWLEDGED,
        )

    def _shown_change(
        self, alarm: Alarm, before: AlarmState, cause: str, at_ns: int, by: Condition | None = None
    ) -> list[AlarmTransition]:
        return [] if alarm.shown is before else [self._transition(alarm, before, cause, at_ns, by)]

    def _transition(
        self,
        alarm: Alarm,
        before: AlarmState,
        cause: str,
        at_ns: int,
        by: Condition | Command | None = None,
        state: AlarmState | None = None,
    ) -> AlarmTransition:
        self._transitions += 1
        return AlarmTransition(
            transition_id=stable_id("trn", alarm.alarm_id, self._transitions),
            alarm_id=alarm.alarm_id,
            asset_id=self.asset_id,
            site_id=alarm.site_id,
            point_id=alarm.point_id,
            rule=alarm.rule,
            sequence=self._transitions,
            from_state=before,
            state=state or alarm.shown,
            cause=cause,
            at_ns=at_ns,
            started_at_ns=alarm.started_at_ns,
            priority=alarm.priority,
            zone=alarm.zone,
            fault=alarm.fault,
            confidence=alarm.confidence,
            reason=by.reason if isinstance(by, Condition) else alarm.reason,
            evidence=alarm.evidence,
            actor=by.actor if isinstance(by, Command) else None,
            note=by.note if isinstance(by, Command) else None,
            traceparent=by.traceparent if isinstance(by, Condition) else None,
        )


def _take_cause(alarm: Alarm, condition: Condition) -> None:
    """Let `alarm` say what `condition` found last; its id and start stay those of the first episode."""
    alarm.priority = condition.priority
    alarm.latching = condition.latching
    alarm.zone = condition.zone
    alarm.fault = condition.fault
    alarm.confidence = condition.confidence
    alarm.reason = condition.reason
    alarm.evidence = condition.evidence
