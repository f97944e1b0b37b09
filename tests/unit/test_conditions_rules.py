"""Each rule of the condition logic: what raises it, what clears it, and how its reason reads."""

import dataclasses
from collections.abc import Sequence

import pytest

from contracts.assets import AssetConfiguration, RuleSettings
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import (
    Assessment,
    ChannelAssessment,
    Condition,
    ConditionState,
    Diagnosis,
    Evidence,
    Priority,
    Score,
    Zone,
)
from processors.conditions import ConditionLogic

SECOND_NS = 10**9
BPFO = Evidence(
    name="BPFO",
    value=18.3,
    unit="dB",
    limit=10.0,
    frequency_hz=106.4,
    text="BPFO 106.4 Hz: 3 harmonics, 18.3 dB over the floor",
)
RAISED, CLEARED = ConditionState.RAISED, ConditionState.CLEARED


def config(**rules: object) -> AssetConfiguration:
    return AssetConfiguration(
        asset_id="P-101",
        site_id="south",
        name="Pump 101",
        asset_type="pump",
        rules=dataclasses.replace(RuleSettings(), **rules),  # type: ignore[arg-type]  # names are checked by replace
    )


def channel(
    zone: Zone | None = Zone.A, scores: tuple[Score, ...] = (), point: str = "DE", **features: float
) -> ChannelAssessment:
    values: list[float | None] = [None] * len(FEATURE_NAMES)
    for name, value in features.items():
        values[FEATURE_INDEX[name]] = value
    return ChannelAssessment(
        channel_id=f"{point}-a",
        point_id=point,
        features=tuple(values),
        zone=zone,
        not_graded_because=None if zone else "no machine group",
        scores=scores,
    )


def fault(name: str, confidence: float = 0.9, evidence: tuple[Evidence, ...] = (BPFO,), point: str = "DE") -> Diagnosis:
    return Diagnosis(point_id=point, channel_id=f"{point}-a", fault=name, confidence=confidence, evidence=evidence)


def assessment(
    second: int,
    channels: Sequence[ChannelAssessment] = (channel(),),
    diagnoses: Sequence[Diagnosis] = (),
    *,
    partial: bool = False,
) -> Assessment:
    return Assessment(
        assessment_id=f"asm_{second}",
        asset_id="P-101",
        site_id="south",
        window_start_ns=(second - 1) * SECOND_NS,
        window_end_ns=second * SECOND_NS,
        sampling_rate_hz=25_600.0,
        n_samples=25_600,
        partial=partial,
        speed_rpm=1780.0,
        regime="r",
        catalogue_version=1,
        code_version="1",
        configuration_version="1",
        channels=tuple(channels),
        diagnoses=tuple(diagnoses),
        zone=None,
    )


def run(logic: ConditionLogic, windows: Sequence[Assessment]) -> list[Condition]:
    return [made for window in windows for made in logic.update(window)]


def faulty(second: int, name: str = "outer_race", zone: Zone = Zone.B) -> Assessment:
    return assessment(second, [channel(zone, bpfo_db=18.3)], [fault(name)])


def healthy(second: int, bpfo_db: float = 2.0) -> Assessment:
    return assessment(second, [channel(Zone.A, bpfo_db=bpfo_db)])


def test_a_bearing_fault_is_raised_after_three_windows_with_its_reason() -> None:
    logic = ConditionLogic.build(config(), None)
    assert run(logic, [faulty(1), faulty(2)]) == []
    (made,) = logic.update(faulty(3), traceparent="00-trace")
    assert (made.rule, made.state, made.fault, made.zone) == ("bearing_fault", RAISED, "outer_race", Zone.B)
    assert (made.sequence, made.at_ns, made.episode_started_at_ns) == (1, 3 * SECOND_NS, SECOND_NS)
    assert made.reason == ("Outer-race fault at DE: BPFO 106.4 Hz with 3 harmonics, 18.3 dB over the floor; zone B")
    assert (made.priority, made.traceparent, made.evidence) == (Priority.MEDIUM, "00-trace", (BPFO,))


def test_it_clears_only_after_five_windows_a_deadband_below_the_bound() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    assert run(logic, [healthy(s, bpfo_db=8.0) for s in range(4, 30)]) == []  # 8 dB: within 3 dB of 10
    assert run(logic, [healthy(s) for s in range(30, 34)]) == []
    (made,) = logic.update(healthy(34))
    assert (made.state, made.sequence, made.episode_started_at_ns) == (CLEARED, 2, SECOND_NS)
    assert made.reason == "Outer-race fault at DE has cleared; zone A"


def test_windows_that_clear_must_come_in_a_row() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    assert run(logic, [faulty(s) if s % 5 == 0 else healthy(s) for s in range(5, 40)]) == []


def test_an_undecided_line_does_not_clear_a_standing_fault() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    assert run(logic, [assessment(s, [channel()]) for s in range(4, 40)]) == []


def test_a_sensor_that_fails_does_not_clear_a_standing_fault() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    dead = [assessment(s, [channel(Zone.A, bpfo_db=0.0)], [fault("sensor_dead", evidence=())]) for s in range(4, 40)]
    assert [(m.rule, m.state, m.priority) for m in run(logic, dead)] == [("sensor_fault", RAISED, Priority.LOW)]


def test_a_worse_zone_raises_the_same_episode_again() -> None:
    logic = ConditionLogic.build(config(zone_alarm="D"), None)
    first = run(logic, [faulty(s) for s in (1, 2, 3)])[0]
    worse = run(logic, [faulty(s, zone=Zone.C) for s in range(4, 20)])
    assert [(m.state, m.zone, m.at_ns) for m in worse] == [(RAISED, Zone.C, 6 * SECOND_NS)]
    assert worse[0].episode_started_at_ns == first.episode_started_at_ns
    assert worse[0].priority is Priority.HIGH
    assert run(logic, [faulty(s, zone=Zone.A) for s in range(20, 30)]) == []  # milder isn't news


def test_another_fault_name_updates_once_it_persists() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    flicker = [faulty(s, "inner_race" if s % 2 else "outer_race") for s in range(4, 20)]
    assert run(logic, flicker) == []
    others = [faulty(s, "inner_race" if s % 2 else "rolling_element") for s in range(20, 40)]
    assert run(logic, others) == []
    changed = run(logic, [faulty(s, "inner_race") for s in range(40, 50)])
    assert [m.fault for m in changed] == ["inner_race"]
    assert changed[0].reason.startswith("Inner-race fault at DE")


def test_a_single_spike_of_the_zone_does_not_grade_a_raise() -> None:
    logic = ConditionLogic.build(config(), None)
    zones = (Zone.C, Zone.D, Zone.D)
    made = run(logic, [assessment(s, [channel(z, velocity_rms_mm_s=5.2)]) for s, z in enumerate(zones, start=1)])
    assert [(m.rule, m.zone, m.priority) for m in made] == [("vibration_severity", Zone.C, Priority.MEDIUM)]
    assert made[0].reason == "High vibration at DE: velocity 5.2 mm/s rms; zone C"


def test_severity_clears_one_zone_below_its_bound() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [assessment(s, [channel(Zone.D)]) for s in (1, 2, 3)])
    made = run(logic, [assessment(s, [channel(Zone.B)]) for s in range(4, 10)])
    assert [(m.state, m.zone, m.at_ns) for m in made] == [(CLEARED, Zone.B, 8 * SECOND_NS)]


def test_not_graded_neither_raises_nor_clears() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [assessment(s, [channel(Zone.C)]) for s in (1, 2, 3)])
    assert run(logic, [assessment(s, [channel(None)]) for s in range(4, 30)]) == []


def test_machine_faults_have_a_rule_of_their_own() -> None:
    logic = ConditionLogic.build(config(), None)
    made = run(logic, [assessment(s, [channel()], [fault("unbalance", evidence=())]) for s in (1, 2, 3)])
    assert [(m.rule, m.fault, m.priority) for m in made] == [("machine_fault", "unbalance", Priority.LOW)]
    assert made[0].reason == "Unbalance at DE: no measured evidence; zone A"


def test_partial_windows_never_raise_and_never_clear() -> None:
    logic = ConditionLogic.build(config(), None)
    assert run(logic, [dataclasses.replace(faulty(s), partial=True) for s in range(1, 20)]) == []
    run(logic, [faulty(s) for s in (20, 21, 22)])
    assert run(logic, [dataclasses.replace(healthy(s), partial=True) for s in range(23, 50)]) == []


def scored(value: float | None, threshold: float | None = 3.5) -> ChannelAssessment:
    score = Score(model="baseline", version="1", value=value, threshold=threshold, learning=value is None)
    return channel(scores=(score,))


def test_learning_scores_say_nothing() -> None:
    logic = ConditionLogic.build(config(false_alarms_per_month=1e6), None)
    assert run(logic, [assessment(s, [scored(None, None)]) for s in range(1, 20)]) == []
    assert not logic.suspected("DE")


def test_learning_stops_at_the_first_sign_of_a_fault_and_at_persistent_scores() -> None:
    logic = ConditionLogic.build(config(), None)
    assert not logic.suspected("DE")
    logic.update(faulty(1))
    assert logic.suspected("DE")
    assert not logic.suspected("NDE")
    logic.update(healthy(2))
    assert not logic.suspected("DE")
    run(logic, [assessment(s, [scored(9.0)]) for s in (3, 4)])
    assert not logic.suspected("DE")
    logic.update(assessment(5, [scored(9.0)]))
    assert logic.suspected("DE")


def test_a_standing_fault_stays_suspected_until_it_clears() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    for second in range(4, 8):
        logic.update(healthy(second))
        assert logic.suspected("DE")
    logic.update(healthy(8))
    assert not logic.suspected("DE")


def test_silence_raises_missing_data_and_data_clear_it() -> None:
    logic = ConditionLogic.build(config(), None)
    assert logic.tick(1, None) == []
    assert logic.tick(2, 30.0) == []
    (made,) = logic.tick(3, 31.0)
    assert (made.rule, made.state, made.point_id, made.priority) == ("missing_data", RAISED, "P-101", Priority.LOW)
    assert made.reason == "Missing data at P-101: nothing received for 31 s"
    assert logic.tick(4, 32.0) == []
    (gone,) = logic.update(healthy(5))
    assert (gone.state, gone.sequence, gone.episode_started_at_ns) == (CLEARED, 2, 3)
    assert logic.tick(6, 1.0) == []


def test_a_tick_after_new_data_clears_missing_data_too() -> None:
    logic = ConditionLogic.build(config(), None)
    logic.tick(1, 40.0)
    assert [m.state for m in logic.tick(2, 0.5)] == [CLEARED]


def test_reconfiguration_keeps_what_stands_and_judges_by_the_new_bounds() -> None:
    logic = ConditionLogic.build(config(), None)
    run(logic, [faulty(s) for s in (1, 2, 3)])
    logic.reconfigure(config(clear_after=2))
    made = run(logic, [healthy(s) for s in (4, 5)])
    assert [m.state for m in made] == [CLEARED]


def test_a_snapshot_of_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="P-101"):
        ConditionLogic.build(config(), b"\x09")
