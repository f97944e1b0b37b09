"""Alarm limits of scores: a budget in, no alarm before it can be kept, and what comes stays within it."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.assets import AssetConfiguration, ModelReference, RuleSettings
from contracts.errors import SignalError
from contracts.features import FEATURE_NAMES
from contracts.ports import AlarmLimit
from contracts.records import Assessment, ChannelAssessment, Condition, ConditionState, Diagnosis, Score
from processors.conditions import ConditionLogic, sustained_ratios
from processors.conditions.alarm_limits import share_of
from processors.detection.spot import KEPT, tail_limit, values_needed
from processors.regime import STOPPED
from processors.scoring.baseline import MAX_REGIMES

SECOND_NS = 10**9
MONTH_S = 30.44 * 86_400
#: A budget at which the calibration takes 99 windows of one second: α = 0.01.
GENEROUS = MONTH_S / 100
NO_LINE = tuple(0.0 if name == "bpfo_db" else None for name in FEATURE_NAMES)
FOREST = ModelReference(name="half-space-trees", version="1")


def config(budget: float = GENEROUS, raise_after: int = 3, **more: object) -> AssetConfiguration:
    rules = RuleSettings(false_alarms_per_month=budget, raise_after=raise_after)
    asset = AssetConfiguration(asset_id="P-101", site_id="south", name="Pump", asset_type="pump", rules=rules)
    return dataclasses.replace(asset, **more)  # type: ignore[arg-type]  # names are checked by replace


def window(
    second: float,
    value: float | None,
    *,
    learning: bool = False,
    regime: str = "r",
    fault: str | None = None,
    model: str = "baseline",
) -> Assessment:
    score = Score(
        model=model,
        version="1",
        value=None if learning else value,
        threshold=None if learning else 2.0,
        learning=learning,
    )
    channel = ChannelAssessment(
        channel_id="DE-a", point_id="DE", features=NO_LINE, zone=None, not_graded_because="", scores=(score,)
    )
    found = Diagnosis(point_id="DE", channel_id="DE-a", fault=fault or "", confidence=0.9, evidence=())
    return Assessment(
        assessment_id="",
        asset_id="P-101",
        site_id="south",
        window_start_ns=round((second - 1) * SECOND_NS),
        window_end_ns=round(second * SECOND_NS),
        sampling_rate_hz=1.0,
        n_samples=1,
        partial=False,
        speed_rpm=None,
        regime=regime,
        catalogue_version=1,
        code_version="1",
        configuration_version="1",
        channels=(channel,),
        diagnoses=(found,) if fault else (),
        zone=None,
    )


def run(logic: ConditionLogic, windows: Iterable[Assessment]) -> list[Condition]:
    return [made for one in windows for made in logic.update(one)]


def course(values: Iterable[float], start: int = 1, regime: str = "r") -> list[Assessment]:
    return [window(second, float(value), regime=regime) for second, value in enumerate(values, start)]


def last(logic: ConditionLogic) -> AlarmLimit:
    return logic.limits.take_changes()[-1]


def calibrated(values: Iterable[float] = (1.0,) * 101) -> ConditionLogic:
    """Return a logic after 99 sustained ratios: the row of three is first whole at the third window."""
    logic = ConditionLogic.build(config(), None)
    assert run(logic, course(values)) == []
    return logic


# --- the tail -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_what_a_sample_can_show_is_the_conformal_threshold(alpha: float) -> None:
    count = values_needed(alpha)
    values = np.sort(np.random.default_rng(1).random(count)).tolist()
    assert (count + 1) * alpha == pytest.approx(1.0, abs=alpha)
    assert tail_limit(values[-KEPT:], count, alpha) == values[-1]


@pytest.mark.parametrize(
    ("draw", "exceeds"),
    [
        (lambda rng, n: rng.exponential(size=n), lambda limit: np.exp(-limit)),
        (lambda rng, n: rng.uniform(size=n), lambda limit: max(0.0, 1.0 - limit)),
        (lambda rng, n: 4.0 * (rng.pareto(5.0, size=n) + 1.0), lambda limit: (4.0 / limit) ** 5.0),
    ],
    ids=["exponential", "bounded", "heavy"],
)
def test_a_limit_carried_on_is_exceeded_about_as_rarely_as_asked(draw, exceeds) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(2)
    alpha, count = 1e-5, 1000
    shares = [exceeds(tail_limit(np.sort(draw(rng, count))[-KEPT:].tolist(), count, alpha)) / alpha for _ in range(200)]
    assert values_needed(alpha) == count
    assert np.median(shares) < 2.0
    assert np.mean(shares) < 7.0


def test_a_limit_is_refused_where_too_little_was_seen() -> None:
    with pytest.raises(SignalError, match="needs 99"):
        tail_limit([1.0] * KEPT, 98, 0.01)
    with pytest.raises(SignalError, match=r"alpha 0"):
        values_needed(0.0)


@given(st.lists(st.floats(0.0, 1e6), min_size=KEPT, max_size=KEPT), st.sampled_from([1e-3, 1e-4, 2e-5]))
def test_a_limit_is_finite_and_never_below_what_was_seen(largest: list[float], alpha: float) -> None:
    limit = tail_limit(sorted(largest), 500, alpha)
    assert np.isfinite(limit)
    assert limit >= max(largest)


# --- the rule -------------------------------------------------------------------------------------------------------


def test_no_alarm_before_the_calibration_allows_it_and_progress_is_told() -> None:
    logic = ConditionLogic.build(config(), None)
    assert run(logic, course([9.0] * 100)) == []
    told = logic.limits.take_changes()
    assert [one.windows for one in told][:4] == [1, 2, 3, 4]
    assert {one.windows_needed for one in told} == {99}
    assert all(one.limit is None and one.expected_per_month == 0.0 for one in told)
    run(logic, course([9.0], start=101))
    done = last(logic)
    assert done.windows == 99
    assert done.limit == pytest.approx(4.5)
    assert done.expected_per_month == pytest.approx(GENEROUS)


def test_scores_alarm_once_they_stay_over_the_limit_and_the_reason_says_so() -> None:
    logic = calibrated([2.0 + 0.02 * (s % 50) for s in range(101)])
    assert run(logic, course([2.9] * 20, start=102)) == []  # seen in the calibration
    assert run(logic, course([9.0, 9.0, 2.5] * 6, start=130)) == []  # two in a row
    (made,) = run(logic, course([9.0] * 4, start=160))
    assert (made.rule, made.state, made.at_ns) == ("anomaly", ConditionState.RAISED, 162 * SECOND_NS)
    assert "baseline score 9, threshold 2" in made.reason
    assert "4.5 times its threshold for some windows, alarm limit" in made.reason


def test_a_limit_never_lies_below_the_threshold() -> None:
    logic = calibrated([0.1] * 101)
    assert last(logic).limit == 1.0
    assert run(logic, course([1.9] * 20, start=102)) == []
    assert len(run(logic, course([2.2] * 4, start=130))) == 1


def test_without_a_budget_scores_raise_nothing() -> None:
    logic = ConditionLogic.build(config(0.0), None)
    assert run(logic, course([1.0] * 200 + [50.0] * 20)) == []
    assert logic.limits.take_changes() == []
    assert logic.suspected("DE")


def test_what_comes_stays_within_the_budget() -> None:
    """Ten machines, each for as long as its budget allows two false alarms: not more than 20 come."""
    alone_in = 2_000  # windows in which the budget allows one alarm
    raised = 0
    for seed in range(10):
        logic = ConditionLogic.build(config(MONTH_S / alone_in, raise_after=1), None)
        values = np.random.default_rng(seed).exponential(size=500 + 2 * alone_in)
        raised += sum(one.state is ConditionState.RAISED for one in run(logic, course(values)))
        assert last(logic).windows == values_needed(1.0 / alone_in) == 500
    assert 1 <= raised <= 20


def test_the_budget_is_shared_by_points_and_models() -> None:
    assert share_of(config(3.0)) == 3.0
    assert share_of(config(3.0, models=(FOREST, ModelReference(name="baseline", version="1")))) == 1.5


@pytest.mark.parametrize("hop_s", [1.0, 600.0])
def test_bursts_that_come_seldom_need_fewer_windows(hop_s: float) -> None:
    logic = ConditionLogic.build(config(1.0), None)
    run(logic, [window(hop_s * s, 1.0) for s in range(1, 10)])
    needed = max(500, round(MONTH_S / hop_s / 100))
    assert last(logic).windows_needed == pytest.approx(needed, abs=1)


# --- what is calibrated by ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["outer_race", "unbalance", "sensor_clipped"])
def test_windows_that_a_diagnosis_speaks_against_are_not_calibrated_by(fault: str) -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, course([1.0] * 50))
    before = last(logic).windows
    run(logic, [window(50 + s, 1.0, fault=fault) for s in range(1, 30)])
    assert logic.limits.take_changes() == []
    run(logic, course([1.0] * 40, start=200))
    assert before == 48
    assert 49 <= last(logic).windows <= 48 + 40


def test_a_machine_that_stands_is_not_calibrated_by() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, course([1.0] * 200, regime=STOPPED))
    assert logic.limits.take_changes() == []


def test_regimes_have_limits_of_their_own_and_are_bounded() -> None:
    logic = calibrated()
    assert run(logic, course([9.0] * 30, start=200, regime="unknown")) == []
    run(logic, course([1.0] * 4, start=240))
    assert len(run(logic, course([9.0] * 3, start=250))) == 1
    for number in range(40):
        run(logic, course([1.0] * 5, start=1000 + 10 * number, regime=f"speed {number}"))
    (_, _, _, regimes), *_ = logic.limits.snapshot().models
    assert len(sustained_ratios.unpacked(regimes)) == MAX_REGIMES
    assert len(logic.snapshot()) < 8 * 1024


def test_a_limit_that_is_known_stays_where_it_is() -> None:
    logic = calibrated()
    done = last(logic)
    assert len(run(logic, course(np.linspace(1.0, 60.0, 200), start=102))) == 1  # a fault that grows slowly
    assert done.limit == 1.0
    assert logic.limits.take_changes() == []


def test_a_model_that_learns_anew_takes_its_limit_with_it() -> None:
    logic = calibrated()
    logic.limits.take_changes()
    logic.update(window(102, None, learning=True))
    (gone,) = logic.limits.take_changes()
    assert (gone.windows, gone.limit, gone.expected_per_month) == (0, None, 0.0)
    assert run(logic, course([9.0] * 50, start=103)) == []


def test_another_budget_takes_what_is_calibrated_along() -> None:
    logic = calibrated(2.0 + np.random.default_rng(3).exponential(size=101))
    known = last(logic)
    logic.reconfigure(config(2 * GENEROUS))
    logic.update(window(102, 1.0))
    looser = last(logic)
    assert looser.windows == 99
    assert looser.windows_needed == 49
    assert looser.limit is not None
    assert known.limit is not None
    assert looser.limit < known.limit
    logic.reconfigure(config(0.1 * GENEROUS))
    logic.update(window(103, 1.0))
    assert (last(logic).windows_needed, last_limit(logic)) == (500, None)


def last_limit(logic: ConditionLogic) -> float | None:
    logic.reconfigure(config(0.1 * GENEROUS))
    logic.update(window(104, 1.0))
    return last(logic).limit


def test_another_row_of_windows_is_calibrated_anew() -> None:
    logic = calibrated()
    logic.reconfigure(config(raise_after=5))
    run(logic, course([1.0] * 6, start=102))
    assert last(logic).windows == 2


STEPS = st.lists(
    st.tuples(st.floats(0.0, 50.0), st.sampled_from("ab"), st.booleans(), st.sampled_from([None, None, "unbalance"])),
    max_size=80,
)


@given(STEPS, st.integers(0, 80))
def test_a_restart_anywhere_gives_the_same_bits(steps: list[tuple[float, str, bool, str | None]], at: int) -> None:
    def play(restart_at: int | None) -> tuple[list[Condition], list[AlarmLimit], bytes]:
        logic = ConditionLogic.build(config(MONTH_S / 9.0), None)
        made, told = [], []
        for second, (value, regime, learning, fault) in enumerate(steps, 1):
            if second == restart_at:
                logic = ConditionLogic.build(config(MONTH_S / 9.0), logic.snapshot())
            made += logic.update(window(second, value, learning=learning, regime=regime, fault=fault))
            told += logic.limits.take_changes()
        return made, told, logic.snapshot()

    assert play(at) == play(None)


@given(
    st.lists(
        st.tuples(st.floats(0.0, 50.0), st.sampled_from("aaab"), st.integers(0, 39).map(lambda n: n == 0), st.none()),
        min_size=30,
        max_size=120,
    )
)
def test_no_score_ever_alarms_in_a_regime_whose_calibration_is_too_small(
    steps: list[tuple[float, str, bool, None]],
) -> None:
    logic = ConditionLogic.build(config(MONTH_S / 9.0), None)
    told: dict[str, AlarmLimit] = {}
    scored: dict[str, int] = {}
    for second, (value, regime, learning, fault) in enumerate(steps, 1):
        scored[regime] = scored.get(regime, 0) + (not learning)
        made = logic.update(window(second, value, learning=learning, regime=regime, fault=fault))
        told |= {one.regime: one for one in logic.limits.take_changes()}
        if any(one.rule == "anomaly" and one.state is ConditionState.RAISED for one in made):
            assert told[regime].limit is not None
            assert told[regime].windows >= told[regime].windows_needed == values_needed(0.1)
            assert scored[regime] > values_needed(0.1)
