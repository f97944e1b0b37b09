"""The alarm state machine, table by table: every state against every input."""

import dataclasses

import pytest

from contracts.records import (
    AlarmState,
    AlarmTransition,
    Command,
    CommandAction,
    Condition,
    ConditionState,
    Evidence,
    Priority,
    Tick,
    Zone,
)
from processors.alarms import AlarmBook
from processors.alarms.book import REMEMBERED_COMMANDS

S = AlarmState
A = CommandAction
MINUTE_NS = 60 * 10**9

UNACK, ACK, RTN = S.UNACKNOWLEDGED, S.ACKNOWLEDGED, S.RETURNED_UNACKNOWLEDGED
LATCHED_UNACK, LATCHED_ACK = S.LATCHED_UNACKNOWLEDGED, S.LATCHED_ACKNOWLEDGED


class Rig:
    """A book with the counters that make records for it."""

    def __init__(self, *, latching: bool = False) -> None:
        self.book = AlarmBook.build("P-101", None)
        self.latching = latching
        self.sequence = 0
        self.commands = 0
        self.alarm_id = ""
        self.now_ns = 0

    def condition(self, state: ConditionState, zone: Zone = Zone.B) -> list[AlarmTransition]:
        self.sequence += 1
        self.now_ns += 1
        if state is ConditionState.RAISED:
            self.episode_ns = self.now_ns
        made = self.book.apply(condition(self.sequence, state, self.now_ns, latching=self.latching, zone=zone))
        if made:
            self.alarm_id = made[-1].alarm_id
        return made

    def command(self, action: A, until_ns: int | None = None) -> list[AlarmTransition]:
        self.commands += 1
        self.now_ns += 1
        return self.book.apply(command(f"c{self.commands}", self.alarm_id, action, self.now_ns, until_ns))

    def bring_to(self, state: S) -> None:
        """Bring the alarm to a state beneath."""
        raised, cleared = ConditionState.RAISED, ConditionState.CLEARED
        self.condition(raised)
        if state in (ACK, LATCHED_ACK, S.NORMAL):
            self.command(A.ACKNOWLEDGE)
        if state in (RTN, LATCHED_UNACK, LATCHED_ACK, S.NORMAL):
            self.condition(cleared)
        if state is S.NORMAL and self.latching:
            self.command(A.RESET)
        assert beneath(self.book) is state


def condition(
    sequence: int,
    state: ConditionState,
    at_ns: int,
    *,
    latching: bool = False,
    zone: Zone | None = Zone.B,
    point_id: str = "P-101-DE-H",
    rule: str = "bearing_fault",
) -> Condition:
    return Condition(
        condition_id=f"cnd_{sequence}",
        asset_id="P-101",
        site_id="south",
        point_id=point_id,
        rule=rule,
        state=state,
        sequence=sequence,
        at_ns=at_ns,
        episode_started_at_ns=at_ns,
        priority=Priority.MEDIUM,
        latching=latching,
        zone=zone,
        fault="outer_race",
        confidence=0.9,
        reason=f"{state.value} {sequence}",
        evidence=(Evidence(name="BPFO", value=18.3, unit="dB", limit=10.0, frequency_hz=106.4, text="BPFO"),),
    )


def command(command_id: str, alarm_id: str, action: A, at_ns: int = 5, until_ns: int | None = None) -> Command:
    return Command(
        command_id=command_id,
        asset_id="P-101",
        alarm_id=alarm_id,
        action=action,
        actor="ana",
        at_ns=at_ns,
        until_ns=until_ns,
        note="seen",
    )


def tick(at_ns: int) -> Tick:
    return Tick(topic="conditions", partition=0, at_ns=at_ns, epoch=1)


def beneath(book: AlarmBook) -> S:
    return next(iter(book._alarms.values())).beneath


RAISE, RETURN = "raise", "return"
# state: {input: next state}; None means no effect. Latching states need a latching alarm.
TABLE: dict[tuple[bool, S], dict[str, S | None]] = {
    (False, S.NORMAL): {RAISE: UNACK, RETURN: None, A.ACKNOWLEDGE: None, A.RESET: None},
    (False, UNACK): {RAISE: UNACK, RETURN: RTN, A.ACKNOWLEDGE: ACK, A.RESET: None},
    (False, ACK): {RAISE: ACK, RETURN: S.NORMAL, A.ACKNOWLEDGE: None, A.RESET: None},
    (False, RTN): {RAISE: UNACK, RETURN: None, A.ACKNOWLEDGE: S.NORMAL, A.RESET: None},
    (True, S.NORMAL): {RAISE: UNACK, RETURN: None, A.ACKNOWLEDGE: None, A.RESET: None},
    (True, UNACK): {RAISE: UNACK, RETURN: LATCHED_UNACK, A.ACKNOWLEDGE: ACK, A.RESET: None},
    (True, ACK): {RAISE: ACK, RETURN: LATCHED_ACK, A.ACKNOWLEDGE: None, A.RESET: None},
    (True, LATCHED_UNACK): {RAISE: UNACK, RETURN: None, A.ACKNOWLEDGE: LATCHED_ACK, A.RESET: None},
    (True, LATCHED_ACK): {RAISE: UNACK, RETURN: None, A.ACKNOWLEDGE: None, A.RESET: S.NORMAL},
}
MASKS = {
    S.SHELVED: (A.SHELVE, A.UNSHELVE),
    S.SUPPRESSED: (A.SUPPRESS, A.UNSUPPRESS),
    S.OUT_OF_SERVICE: (A.REMOVE_FROM_SERVICE, A.RETURN_TO_SERVICE),
}
CASES = [(latching, state, what, after) for (latching, state), row in TABLE.items() for what, after in row.items()]


def give(rig: Rig, what: str) -> list[AlarmTransition]:
    if what == RAISE:
        return rig.condition(ConditionState.RAISED)
    if what == RETURN:
        return rig.condition(ConditionState.CLEARED)
    return rig.command(A(what))


@pytest.mark.parametrize(("latching", "state", "what", "after"), CASES)
def test_every_state_against_every_input(latching: bool, state: S, what: str, after: S | None) -> None:
    rig = Rig(latching=latching)
    rig.bring_to(state)
    made = give(rig, what)
    if after is None:
        assert made == []
        assert rig.book.refusal is not None
        assert beneath(rig.book) is state
    else:
        assert [(t.from_state, t.state) for t in made] == [(state, after)]
        assert rig.book.refusal is None


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("latching", "state", "what", "after"), CASES)
def test_the_state_beneath_evolves_under_every_mask(
    latching: bool, state: S, what: str, after: S | None, mask: S
) -> None:
    rig = Rig(latching=latching)
    rig.bring_to(state)
    put, take = MASKS[mask]
    over = rig.command(put, rig.now_ns + MINUTE_NS if put is A.SHELVE else None)
    assert [(t.from_state, t.state) for t in over] == [(state, mask)]
    made = give(rig, what)
    assert all(t.state is mask for t in made if t.cause != "superseded")
    if state is S.NORMAL and what == RAISE:
        assert [t.cause for t in made] == ["superseded", "raised"]
    elif what in (RAISE, RETURN):
        assert made == []
    under = rig.command(take)
    assert [(t.from_state, t.state) for t in under] == [(mask, after or state)]


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_put_on_or_taken_off_twice_has_no_effect(mask: S) -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    put, take = MASKS[mask]
    assert rig.command(take) == []
    assert len(rig.command(put)) == 1
    assert rig.command(put) == []
    assert len(rig.command(take)) == 1
    assert rig.command(take) == []


def test_out_of_service_lies_over_suppressed_lies_over_shelved() -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    shown = [
        rig.command(action)[0].state
        for action in (A.SHELVE, A.SUPPRESS, A.REMOVE_FROM_SERVICE, A.RETURN_TO_SERVICE, A.UNSUPPRESS, A.UNSHELVE)
    ]
    assert shown == [S.SHELVED, S.SUPPRESSED, S.OUT_OF_SERVICE, S.SUPPRESSED, S.SHELVED, UNACK]


def test_one_shot_shelving_ends_when_the_condition_returns() -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    rig.command(A.SHELVE)
    assert rig.book.next_timer_ns is None
    made = rig.condition(ConditionState.CLEARED)
    assert [(t.from_state, t.state, t.cause) for t in made] == [(S.SHELVED, RTN, "returned")]
    assert rig.command(A.SHELVE) == []  # nothing to wait for any more


def test_timed_shelving_ends_with_the_first_tick_after_it_and_survives_a_restart() -> None:
    rig = Rig()
    rig.bring_to(ACK)
    until_ns = rig.now_ns + MINUTE_NS
    rig.command(A.SHELVE, until_ns)
    rig.book = AlarmBook.build("P-101", rig.book.snapshot())
    assert rig.book.next_timer_ns == until_ns
    assert rig.book.apply(tick(until_ns - 1)) == []
    made = rig.book.apply(tick(until_ns))
    assert [(t.from_state, t.state, t.cause, t.at_ns) for t in made] == [(S.SHELVED, ACK, "shelving_ended", until_ns)]
    assert rig.book.next_timer_ns is None


def test_a_shelving_that_ends_before_it_begins_is_refused() -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    assert rig.command(A.SHELVE, rig.now_ns) == []
    assert "no effect" in (rig.book.refusal or "")


def test_a_timed_shelving_covers_the_next_episode() -> None:
    rig = Rig()
    rig.bring_to(ACK)
    first = rig.alarm_id
    rig.command(A.SHELVE, rig.now_ns + MINUTE_NS)
    assert rig.condition(ConditionState.CLEARED) == []
    superseded, raised = rig.condition(ConditionState.RAISED)
    assert (superseded.alarm_id, superseded.from_state, superseded.state) == (first, S.SHELVED, S.NORMAL)
    assert (raised.from_state, raised.state) == (S.NORMAL, S.SHELVED)
    assert raised.alarm_id != first
    made = rig.book.apply(tick(rig.now_ns + MINUTE_NS))
    assert [(t.alarm_id, t.state) for t in made] == [(raised.alarm_id, UNACK)]


def test_a_realarm_keeps_the_id_and_a_new_episode_after_normal_gets_its_own() -> None:
    rig = Rig()
    rig.bring_to(RTN)
    first = rig.alarm_id
    realarmed = rig.condition(ConditionState.RAISED)[0]
    assert (realarmed.alarm_id, realarmed.cause, realarmed.started_at_ns) == (first, "realarmed", 1)
    rig.command(A.ACKNOWLEDGE)
    rig.condition(ConditionState.CLEARED)
    assert rig.condition(ConditionState.RAISED)[0].alarm_id != first


def test_a_worse_condition_updates_the_standing_alarm() -> None:
    rig = Rig()
    rig.bring_to(ACK)
    made = rig.condition(ConditionState.RAISED, zone=Zone.D)
    assert [(t.from_state, t.state, t.cause, t.zone) for t in made] == [(ACK, ACK, "updated", Zone.D)]


def test_a_command_is_on_record_with_actor_and_note() -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    made = rig.command(A.ACKNOWLEDGE)[0]
    assert (made.actor, made.note, made.cause, made.at_ns) == ("ana", "seen", "acknowledged", rig.now_ns)
    assert made.reason == "raised 1"


def test_duplicates_have_no_effect_even_where_they_would_apply_by_now() -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    early = command("early", rig.alarm_id, A.UNSUPPRESS)
    assert rig.book.apply(early) == []
    assert len(rig.book.apply(command("suppress", rig.alarm_id, A.SUPPRESS))) == 1
    acknowledge = command("ack", rig.alarm_id, A.ACKNOWLEDGE)
    assert len(rig.book.apply(acknowledge)) == 1
    before = rig.book.snapshot()
    assert rig.book.apply(acknowledge) == []
    assert rig.book.apply(early) == []
    assert rig.book.apply(condition(1, ConditionState.CLEARED, 99)) == []
    assert rig.book.snapshot() == before


def test_unknown_alarm_and_foreign_asset_are_refused_with_the_reason() -> None:
    rig = Rig()
    rig.bring_to(UNACK)
    assert rig.book.apply(command("x", "alm_unknown", A.ACKNOWLEDGE)) == []
    assert "alm_unknown" in (rig.book.refusal or "")
    foreign = dataclasses.replace(command("y", rig.alarm_id, A.ACKNOWLEDGE), asset_id="P-999")
    assert rig.book.apply(foreign) == []
    assert "P-999" in (rig.book.refusal or "")
    assert beneath(rig.book) is UNACK


def test_memory_of_commands_is_bounded() -> None:
    book = AlarmBook.build("P-101", None)
    sizes = []
    for number in range(3 * REMEMBERED_COMMANDS):
        book.apply(command(f"c{number}" * 50, "alm_unknown", A.RESET))
        sizes.append(len(book.snapshot()))
    assert sizes[-1] == sizes[REMEMBERED_COMMANDS]
    assert sizes[-1] < 5_000


def test_transition_sequences_count_without_a_hole() -> None:
    rig = Rig()
    made = [
        *rig.condition(ConditionState.RAISED),
        *rig.command(A.ACKNOWLEDGE),
        *rig.condition(ConditionState.CLEARED),
        *rig.condition(ConditionState.RAISED),
    ]
    assert [t.sequence for t in made] == [1, 2, 3, 4]
    assert len({t.transition_id for t in made}) == 4
