"""Regimes are found, not cut: a machine stays in its own, other operation gets another, and nothing grows."""

import itertools
import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regime import (
    HOLD,
    LOAD_REACH,
    MOST,
    SETTLED_WINDOWS,
    SPEED_REACH,
    STOPPED,
    TRANSIENT,
    OperatingPoint,
    Regimes,
    RegimeState,
    is_steady,
)

SECOND_NS = 1_000_000_000
#: Below, whole turns are the resolution.
SPEEDS_RPM = st.floats(60.0, 30_000.0)
LOADS = st.none() | st.floats(0.0, 1.2)
NOMINAL_RPM = st.none() | st.floats(60.0, 30_000.0)
#: From peak to peak, as a share: what the reach and the hold are for.
TREMBLE = 0.99 * (HOLD - 1.0) * SPEED_REACH


def visits(
    regimes: Regimes,
    speeds_rpm: list[float | None],
    load_ratio: float | None = None,
    nominal_rpm: float | None = None,
    start_s: int = 0,
) -> list[str]:
    """Return the regimes of windows of a second, one after the other."""
    return [
        regimes.visit(OperatingPoint(second * SECOND_NS, (second + 1) * SECOND_NS, speed_rpm, load_ratio), nominal_rpm)
        for second, speed_rpm in enumerate(speeds_rpm, start_s)
    ]


def tremble(speed_rpm: float, seed: int, n: int = 60) -> list[float | None]:
    """Return a speed that trembles by `TREMBLE` from peak to peak."""
    chance = np.random.default_rng(seed)
    return [float(v) for v in speed_rpm * (1.0 + TREMBLE / 2.04 * chance.uniform(-1.0, 1.0, n))]


def changes(names: list[str]) -> int:
    return sum(one != after for one, after in itertools.pairwise(names))


@given(known=st.lists(SPEEDS_RPM, max_size=30), speed_rpm=SPEEDS_RPM, load=LOADS, seed=st.integers(0, 2**32 - 1))
def test_whatever_was_before_a_trembling_speed_changes_its_regime_once_at_most(
    known: list[float], speed_rpm: float, load: float | None, seed: int
) -> None:
    regimes = Regimes()
    for number, earlier_rpm in enumerate(known):
        visits(regimes, [earlier_rpm] * 3, load, start_s=100 * number)
    names = visits(regimes, tremble(speed_rpm, seed), load, start_s=10_000)
    assert changes(names) <= 1
    assert all(is_steady(name) for name in names)


@given(load=st.floats(0.0, 1.0), seed=st.integers(0, 2**32 - 1))
def test_a_trembling_load_changes_its_regime_once_at_most(load: float, seed: int) -> None:
    regimes = Regimes()
    for earlier in np.linspace(0.0, 1.0, 7).tolist():
        visits(regimes, [1500.0] * 3, earlier)
    half = 0.49 * (HOLD - 1.0) * LOAD_REACH
    chance = np.random.default_rng(seed)
    loads = [load + float(moved) for moved in chance.uniform(-half, half, 60)]
    assert changes([visits(regimes, [1500.0], load, start_s=10 + k)[0] for k, load in enumerate(loads)]) <= 1


@given(speed_rpm=SPEEDS_RPM, ratio=st.floats(1.1, 20.0), load=LOADS, nominal_rpm=st.none())
def test_two_speeds_apart_are_two_regimes_in_whatever_order(
    speed_rpm: float, ratio: float, load: float | None, nominal_rpm: float | None
) -> None:
    for order in ([speed_rpm, ratio * speed_rpm], [ratio * speed_rpm, speed_rpm]):
        regimes = Regimes()
        names = [visits(regimes, [one] * 5, load, nominal_rpm, 100 * k)[-1] for k, one in enumerate(order * 3)]
        assert len(set(names)) == 2
        assert names == names[:2] * 3


@given(st.permutations([600.0, 1000.0, 1500.0, 1776.0, 3000.0]), st.integers(0, 2**32 - 1))
def test_the_same_operation_is_divided_alike_in_whatever_order_it_comes(order: list[float], seed: int) -> None:
    chance = random.Random(seed)
    regimes, members = Regimes(), dict[str, set[float]]()
    for number in range(40):
        middle_rpm = order[number] if number < len(order) else chance.choice(order)
        speed_rpm = middle_rpm * (1.0 + chance.uniform(-0.015, 0.015))
        (name,) = visits(regimes, [speed_rpm], start_s=100 * number)
        members.setdefault(name, set()).add(middle_rpm)
    assert sorted(map(sorted, members.values())) == [[rpm] for rpm in sorted(order)]


@given(st.lists(st.tuples(st.none() | st.floats(0.0, 10_000.0), LOADS), min_size=1, max_size=200), st.integers(0, 200))
def test_state_is_bounded_and_goes_on_bit_for_bit(steps: list[tuple[float | None, float | None]], stop: int) -> None:
    whole, stopped = Regimes(), Regimes()
    for number, (speed_rpm, load) in enumerate(steps):
        if number == stop:
            packed = msgspec.msgpack.encode(stopped.snapshot())
            assert len(packed) < 4096
            stopped = Regimes(msgspec.msgpack.decode(packed, type=RegimeState))
        point = OperatingPoint(number * SECOND_NS, (number + 1) * SECOND_NS, speed_rpm, load)
        found = stopped.find(point, 1500.0)
        assert stopped.find(point, 1500.0) == found  # and asking changes nothing
        assert whole.visit(point, 1500.0) == stopped.visit(point, 1500.0)
    assert msgspec.msgpack.encode(whole.snapshot()) == msgspec.msgpack.encode(stopped.snapshot())
    assert len(whole.snapshot().known) <= 2 * MOST


@pytest.mark.parametrize("seconds", [3, 10, 30, 60])
@pytest.mark.parametrize("nominal_rpm", [None, 1500.0])
def test_a_run_up_is_in_transition_and_the_operation_after_it_is_the_old_one(
    seconds: int, nominal_rpm: float | None
) -> None:
    regimes = Regimes()
    (running, *_) = visits(regimes, [1500.0] * 40, 0.8, nominal_rpm)
    ramp = np.linspace(0.0, 1500.0, seconds + 1)
    for day in range(1, 30):
        names = visits(regimes, [*ramp[::-1], *[0.0] * 5, *ramp], 0.8, nominal_rpm, 1000 * day)
        assert names.count(STOPPED) >= 6
        assert names.count(running) <= 10  # the last windows of a slow run-up are as good as steady
        assert len([one for one in names if is_steady(one) and one != running]) <= 6
        # the first windows that run steadily may still be those of a change
        assert set(visits(regimes, [1500.0] * 10, 0.8, nominal_rpm, 1000 * day + 500)) == {running}


def test_a_speed_that_moves_within_a_window_is_in_transition() -> None:
    point = OperatingPoint(0, SECOND_NS, 1500.0, 0.8, speed_span_rpm=121.0)
    assert Regimes().visit(point, 1500.0) == Regimes().find(point, 1500.0) == TRANSIENT
    assert Regimes().visit(OperatingPoint(0, SECOND_NS, 1500.0, 0.8, 119.0), 1500.0) == "running 1500 rpm, load 0.80"


def test_a_step_costs_few_windows_and_a_pause_none() -> None:
    regimes = Regimes()
    assert visits(regimes, [1000.0, 1000.0, 1500.0, 1500.0], start_s=0)[1:] == [
        "running 1000 rpm",
        TRANSIENT,
        "running 1500 rpm",
    ]
    assert visits(regimes, [1000.0], start_s=600) == ["running 1000 rpm"]


def test_a_machine_near_standstill_does_not_flap() -> None:
    speeds = [float(rpm) for rpm in np.random.default_rng(1).uniform(74.5, 78.0, 50)]
    names = visits(Regimes(), [0.0, 0.0, *speeds], nominal_rpm=1500.0)
    assert set(names) == {STOPPED}


def test_a_machine_that_was_passed_through_leaves_the_settled_regimes_alone() -> None:
    regimes = Regimes()
    settled = [visits(regimes, [rpm] * SETTLED_WINDOWS, start_s=1000 * k)[0] for k, rpm in enumerate((900.0, 1500.0))]
    for number in range(50):
        visits(regimes, [100.0 * 1.1**number], start_s=10_000 + 100 * number)
    assert [visits(regimes, [rpm], start_s=90_000 + 100 * k)[0] for k, rpm in enumerate((910.0, 1490.0))] == settled


def test_the_regime_unvisited_longest_is_forgotten() -> None:
    regimes = Regimes()
    speeds = [100.0 * 1.2**k for k in range(MOST)]
    for number, rpm in enumerate(speeds):
        visits(regimes, [rpm] * SETTLED_WINDOWS, start_s=1000 * number)
    visits(regimes, [speeds[0]], start_s=50_000)
    visits(regimes, [9000.0] * SETTLED_WINDOWS, start_s=60_000)
    known = [one.speed_rpm for one in regimes.snapshot().known]
    assert len(known) == MOST
    assert speeds[0] in known
    assert speeds[1] not in known


def test_what_is_not_known_is_said_and_kept_apart() -> None:
    regimes = Regimes()
    assert visits(regimes, [None, None]) == ["speed unknown"] * 2
    assert visits(regimes, [None], 0.5) == ["speed unknown, load 0.50"]
    assert visits(regimes, [1500.0]) == ["running 1500 rpm"]
    assert visits(regimes, [1500.0], 0.5) == ["running 1500 rpm, load 0.50"]
    assert math.isinf(regimes.snapshot().known[0].distance(OperatingPoint(0, 1, 1500.0, None)))


def test_channel_groups_share_their_regimes_and_not_their_rows() -> None:
    regimes = Regimes()
    for second in range(60):
        span = (second * SECOND_NS, (second + 1) * SECOND_NS)
        rpm = 1000.0 + 1.2 * second  # creeps beyond the reach, not beyond the hold
        with_load = OperatingPoint(*span, rpm, 0.5)
        late = OperatingPoint(span[0] + 1000, span[1] + 1000, 0.2 * rpm, None)  # another shaft, another clock
        assert regimes.visit(with_load, None, "a+b") == "running 1000 rpm, load 0.50"
        assert regimes.visit(late, None, "c") == "running 200 rpm"
    assert regimes.visit(OperatingPoint(100 * SECOND_NS, 101 * SECOND_NS, 205.0, None), None, "d") == "running 200 rpm"
    assert set(regimes.snapshot().rows) == {"a+b", "c", "d"}
    regimes.end_rows()
    assert regimes.snapshot().rows == {}
    assert len(regimes.snapshot().known) == 2
