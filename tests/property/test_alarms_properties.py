"""Whatever happens to an alarm book: a restart changes nothing, a repeated record changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.records import (
    AlarmState,
    AlarmTransition,
    Command,
    CommandAction,
    Condition,
    ConditionState,
    Priority,
    Tick,
)
from processors.alarms import AlarmBook

RULES = ("bearing_fault", "vibration_severity")
Step = tuple[str, int, int]
#: (what, which, how long): turned into records while the book runs, since commands name alarms that exist.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["raised", "cleared", "command", "tick", "unknown"]),
        st.integers(0, 15),
        st.integers(0, 3),
    ),
    max_size=40,
)


def play(steps: list[Step], restart_at: int | None = None, repeat: bool = False) -> list[AlarmTransition]:
    """Run `steps` through a book, restarted before one of them or with every record given twice."""
    book = AlarmBook.build("P-101", None)
    made: list[AlarmTransition] = []
    alarm_ids: list[str] = []
    sequence = 0
    for number, step in enumerate(steps):
        if number == restart_at:
            book = AlarmBook.build("P-101", book.snapshot())
        sequence += step[0] in ("raised", "cleared")
        record = record_of(step, number, sequence, alarm_ids)
        transitions = book.apply(record)
        if repeat:
            before = book.snapshot()
            assert book.apply(record) == []
            assert book.snapshot() == before
        made += transitions
        alarm_ids += [t.alarm_id for t in transitions if t.alarm_id not in alarm_ids]
    return made


def record_of(step: Step, number: int, sequence: int, alarm_ids: list[str]) -> Condition | Command | Tick:
    what, which, long = step
    at_ns = number * 10
    if what == "tick":
        return Tick(topic="conditions", partition=0, at_ns=at_ns, epoch=1)
    if what in ("raised", "cleared"):
        return Condition(
            condition_id=f"cnd_{number}",
            asset_id="P-101",
            site_id="south",
            point_id="DE",
            rule=RULES[which % 2],
            state=ConditionState(what),
            sequence=sequence,
            at_ns=at_ns,
            episode_started_at_ns=at_ns,
            priority=Priority.LOW,
            latching=which > 7,
            zone=None,
            fault=None,
            confidence=None,
            reason=what,
            evidence=(),
        )
    known = alarm_ids and what == "command"
    return Command(
        command_id=f"cmd_{number}",
        asset_id="P-101",
        alarm_id=alarm_ids[which % len(alarm_ids)] if known else "alm_unknown",
        action=list(CommandAction)[which % 8],
        actor="ana",
        at_ns=at_ns,
        until_ns=at_ns + 25 * long if long else None,
    )


@given(STEPS, st.integers(0, 40))
def test_a_restart_anywhere_gives_the_same_future(steps: list[Step], restart_at: int) -> None:
    assert play(steps, restart_at=restart_at) == play(steps)


@given(STEPS)
def test_every_record_given_twice_has_one_effect(steps: list[Step]) -> None:
    assert play(steps, repeat=True) == play(steps)


@given(STEPS)
def test_transitions_of_an_alarm_form_a_chain_from_normal(steps: list[Step]) -> None:
    state: dict[str, AlarmState] = {}
    for number, made in enumerate(play(steps), start=1):
        assert made.from_state is state.get(made.alarm_id, AlarmState.NORMAL)
        assert made.sequence == number
        state[made.alarm_id] = made.state


@given(STEPS)
def test_one_alarm_at_most_is_not_normal_for_each_rule(steps: list[Step]) -> None:
    shown: dict[str, dict[str, AlarmState]] = {}
    for made in play(steps):
        shown.setdefault(made.rule, {})[made.alarm_id] = made.state
        if made.cause != "superseded":
            assert sum(state is not AlarmState.NORMAL for state in shown[made.rule].values()) <= 1


@given(STEPS)
def test_the_next_timer_is_when_ticks_begin_to_matter(steps: list[Step]) -> None:
    book = AlarmBook.build("P-101", None)
    alarm_ids: list[str] = []
    sequence = 0
    for number, step in enumerate(steps):
        sequence += step[0] in ("raised", "cleared")
        timer = book.next_timer_ns
        before = book.snapshot()
        made = book.apply(record_of(step, number, sequence, alarm_ids))
        alarm_ids += [t.alarm_id for t in made if t.alarm_id not in alarm_ids]
        if step[0] == "tick" and (timer is None or number * 10 < timer):
            assert made == []
            assert book.snapshot() == before
