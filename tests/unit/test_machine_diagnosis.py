"""Several channels of one machine: sensors first, one bearing fault at its place, then the rule table."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.assets import DriveTrain, MeasurementPoint, RuleSettings
from contracts.features import FEATURE_INDEX, FEATURES
from contracts.records import Diagnosis, Evidence
from processors.bearings import bearing
from processors.features import FeatureEngine, choose_bands
from processors.machine_diagnosis import Machine, MachineVerdict, measure_all
from processors.velocity import MM_S2_PER_G

RATE_HZ = 12800.0
SHAFT_HZ = 30.0
N = int(RATE_HZ)
T_S = np.arange(N) / RATE_HZ
DE_H = MeasurementPoint(point_id="DE-H", location="drive end", direction="radial_horizontal", bearing="6205")
DE_V = MeasurementPoint(point_id="DE-V", location="drive end", direction="radial_vertical", bearing="6205")
NDE_V = MeasurementPoint(point_id="NDE-V", location="non-drive end", direction="radial_vertical", bearing="6205")
POINTS = (DE_H, DE_V, NDE_V)


def machine(*points: MeasurementPoint, train: DriveTrain | None = None) -> Machine:
    return Machine(points, [f"{p.point_id}.acc" for p in points], RATE_HZ, RuleSettings(), train or DriveTrain())


def impacts(gain: float, order: float = 3.58478, seed: int = 1) -> NDArray[np.float64]:
    """Return an outer-race fault as it arrives with this gain, in noise of 0.05 g."""
    ring_s = np.arange(200) / RATE_HZ
    ring = np.exp(-900 * ring_s) * np.sin(2 * np.pi * 3000 * ring_s)
    train = np.zeros(N)
    train[np.arange(0, N, RATE_HZ / (order * SHAFT_HZ * 0.99)).astype(int)] = 2.0 * gain
    noise: NDArray[np.float64] = 0.05 * np.random.default_rng(seed).standard_normal(N)
    return np.convolve(train, ring)[:N] + noise


def shaking(mm_s: float, phase_deg: float = 0.0, seed: int = 1) -> NDArray[np.float64]:
    """Return 1x with this velocity rms, in noise of 2 mg."""
    omega = 2 * np.pi * SHAFT_HZ
    wave: NDArray[np.float64] = np.sqrt(2) * mm_s * omega / MM_S2_PER_G * np.sin(omega * T_S + np.deg2rad(phase_deg))
    return wave + 0.002 * np.random.default_rng(seed).standard_normal(N)


def judge(
    signals: dict[MeasurementPoint, NDArray[np.float64]], suspected: str = "", train: DriveTrain | None = None
) -> MachineVerdict:
    samples = np.stack([*signals.values()]).astype(np.float32)
    geometries = [bearing(point.bearing) if point.bearing else None for point in signals]
    engine = FeatureEngine(samples.shape[0], samples.shape[1], RATE_HZ, geometries)
    block = engine.compute(samples, 60 * SHAFT_HZ, choose_bands(samples, RATE_HZ))
    return machine(*signals, train=train).judge(
        samples, block, 60 * SHAFT_HZ, suspected=lambda point_id: point_id == suspected
    )


def faults(verdict: MachineVerdict) -> list[tuple[str, str]]:
    return [(found.point_id, found.fault) for found in verdict.diagnoses]


def test_one_bearing_fault_is_one_diagnosis_at_its_loudest_channel() -> None:
    found = judge({DE_H: impacts(0.6), DE_V: impacts(1.0, seed=2), NDE_V: impacts(0.15, seed=3)})
    assert faults(found) == [("DE-V", "outer_race")]
    own, *others = found.diagnoses[0].evidence
    assert own.text.startswith("BPFO")
    assert [item.text.split()[0] for item in others] == ["DE-H", "NDE-V"]
    assert all(item.unit == "dB" and item.frequency_hz == pytest.approx(106.5, abs=1.0) for item in others)
    assert found.concerned == (True, True, True)
    assert found.diagnoses[0].confirm


def test_between_places_nearly_as_loud_it_stays_where_it_is_suspected() -> None:
    nearly = {DE_H: impacts(0.9), DE_V: impacts(1.0, seed=2)}
    assert faults(judge(nearly)) == [("DE-V", "outer_race")]
    assert faults(judge(nearly, suspected="DE-H")) == [("DE-H", "outer_race")]
    assert faults(judge({**nearly, DE_H: impacts(0.4)}, suspected="DE-H")) == [("DE-V", "outer_race")]


def heard(point: MeasurementPoint, fault: str, db: float, hz: float) -> Diagnosis:
    item = Evidence(name="BPFO", value=db, unit="dB", limit=10.0, frequency_hz=hz, text="")
    return Diagnosis(
        point_id=point.point_id, channel_id=f"{point.point_id}.acc", fault=fault, confidence=0.8, evidence=(item,)
    )


def conclude(*entries: tuple[MeasurementPoint, float, Diagnosis | None]) -> list[tuple[str, str]]:
    values = np.full((len(entries), len(FEATURES)), np.nan, np.float32)
    values[:, FEATURE_INDEX["peak_g"]] = [peak for _, peak, _ in entries]
    samples = np.zeros((len(entries), N), np.float32)
    together = machine(*(point for point, _, _ in entries))
    readings = together.readings(samples, values, 1800.0, [True] * len(entries))
    return faults(together.conclude(readings, measure_all(readings), [found for _, _, found in entries]))


def test_faults_at_different_frequencies_are_different_faults_unless_they_are_one_bearings() -> None:
    near, far = heard(DE_H, "outer_race", 18.3, 106.4), heard(NDE_V, "outer_race", 18.3, 131.0)
    assert conclude((DE_H, 2.2, near), (NDE_V, 0.5, far)) == [("DE-H", "outer_race"), ("NDE-V", "outer_race")]
    assert conclude((DE_H, 2.2, near), (DE_V, 0.5, dataclasses.replace(far, point_id="DE-V"))) == [
        ("DE-H", "outer_race")
    ]


@pytest.mark.parametrize("fault", ["inner_race", "outer_race"])
@pytest.mark.parametrize(("far_db", "points"), [(11.0, ["DE-H"]), (15.0, ["DE-H", "NDE-V"])])
def test_another_fault_far_fainter_than_a_louder_one_is_its_echo(fault: str, far_db: float, points: list[str]) -> None:
    near, far = heard(DE_H, "outer_race", 18.0, 106.4), heard(NDE_V, fault, far_db, 145.0)
    assert [point for point, _ in conclude((DE_H, 2.2, near), (NDE_V, 0.5, far))] == points


def test_a_sensor_at_fault_is_diagnosed_as_that_and_takes_no_part() -> None:
    clipped = np.clip(shaking(9.0), -0.15, 0.15)
    found = judge({DE_H: clipped, DE_V: shaking(1.0, seed=2)})
    assert faults(found) == [("DE-H", "sensor_clipped")]
    assert found.facts.rows["radial_mm_s"] == 1
    assert found.concerned == (True, False)


def test_a_sensor_whose_mount_is_loose_says_nothing_of_the_machine() -> None:
    drift = np.cumsum(np.random.default_rng(5).standard_normal(N))
    slope = shaking(5.0) + 0.4 * (drift - drift.mean()) / drift.std()
    found = judge({DE_H: slope, DE_V: shaking(1.0, seed=2)})
    assert faults(found) == [("DE-H", "sensor_loose")]
    assert found.diagnoses[0].evidence[0].limit == 0.5
    rocking = shaking(5.0) + 0.4 * np.sin(2 * np.pi * 8.0 * T_S)
    assert "sensor_loose" not in {fault for _, fault in faults(judge({DE_H: rocking, DE_V: shaking(1.0, seed=2)}))}


def test_unbalance_is_found_from_both_directions_and_placed_at_the_loudest() -> None:
    turning = {DE_H: shaking(4.0), DE_V: shaking(5.0, 90.0, seed=2), NDE_V: shaking(1.0, seed=3)}
    (found,) = judge(turning).diagnoses
    assert (found.point_id, found.fault) == ("DE-V", "unbalance")
    assert found.confirm
    assert "phase_h_v_deg" in {item.name for item in found.evidence}
    assert judge(turning).concerned == (False, True, False)
    assert faults(judge(turning, suspected="DE-H")) == [("DE-H", "unbalance")]


def test_a_bearing_fault_is_more_specific_than_unbalance_at_the_same_bearing() -> None:
    both = {DE_H: impacts(1.0) + shaking(5.0), DE_V: shaking(4.0, 90.0, seed=2)}
    assert faults(judge(both)) == [("DE-H", "outer_race")]
    elsewhere = {DE_H: impacts(1.0) + shaking(1.0), NDE_V: shaking(5.0, seed=3)}
    assert faults(judge(elsewhere)) == [("DE-H", "outer_race"), ("NDE-V", "unbalance")]


def test_a_window_too_short_for_the_orders_says_so_at_the_channel_that_shakes() -> None:
    samples = np.stack([shaking(1.0), shaking(6.0)])[:, : int(0.12 * RATE_HZ)].astype(np.float32)
    block = FeatureEngine(samples.shape[0], samples.shape[1], RATE_HZ, [None, None]).compute(
        samples, 60 * SHAFT_HZ, choose_bands(samples, RATE_HZ)
    )
    found = machine(DE_H, DE_V).judge(samples, block, 60 * SHAFT_HZ)
    assert found.diagnoses == ()
    assert found.not_decided[0] == ()
    needed_s = {question.name: question.needed_s for question in found.not_decided[1]}
    assert needed_s["unbalance"] == pytest.approx(4.0 / SHAFT_HZ)


def test_without_a_speed_and_at_standstill_nothing_turns() -> None:
    samples = np.stack([shaking(6.0)]).astype(np.float32)
    engine = FeatureEngine(samples.shape[0], samples.shape[1], RATE_HZ, [None])
    for speed_rpm in (None, 0.0):
        block = engine.compute(samples, speed_rpm, choose_bands(samples, RATE_HZ))
        assert machine(DE_H).judge(samples, block, speed_rpm).diagnoses == ()


def test_the_verdict_has_the_same_bits_whatever_lies_beside_it() -> None:
    alone = judge({DE_H: shaking(4.0)}).facts
    beside = judge({DE_H: shaking(4.0), NDE_V: impacts(0.1, seed=3)}).facts
    assert alone.values == beside.values
