"""A machine's diagnosis through the whole core: simulated plants in, conditions out, the same after a restart."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapters.models import ModelFolder
from contracts import assets as a
from contracts import ports
from contracts import records as r
from contracts.activations import activation_of
from contracts.codec import BundledSchemas, Codec
from contracts.topics import MEASUREMENTS
from processors.pipeline import PartitionPipeline
from processors.simulator import Accelerometer, GearMesh, Machine, Scenario, ShaftFault, Simulator
from processors.simulator.course import Course, constant
from runtime.sources import simulated

CODEC = Codec(BundledSchemas())
START_NS = 1_700_000_000_000_000_000
SPEED_RPM = 1770.0
PLACES = (
    ("DE-H", "drive end", "radial_horizontal", 1.0, 0.0),
    ("DE-V", "drive end", "radial_vertical", 0.9, 90.0),
    ("NDE-H", "non-drive end", "radial_horizontal", 0.5, 0.0),
)
GEARS = (a.Gear(name="pinion", teeth=23), a.Gear(name="wheel", teeth=46, shaft_ratio=0.5))


def records(machine: Machine, seconds: float, rules: a.RuleSettings | None = None) -> list[r.Measurement]:
    scenario = Scenario(machines=(machine,), sampling_rate_hz=10_240.0, block_samples=2048)
    points = tuple(
        a.MeasurementPoint(
            point_id=point_id,
            location=location,
            direction=direction,  # type: ignore[arg-type]
            channels=(a.Channel(channel_id=f"{point_id}.acc", quantity="acceleration", unit="g"),),
        )
        for point_id, location, direction, _, _ in PLACES
    )
    config = a.AssetConfiguration(
        asset_id="P",
        site_id="s",
        name="P",
        asset_type="pump",
        machine_group="2",
        support="rigid",
        points=points,
        rules=rules or a.RuleSettings(),
        drive_train=a.DriveTrain(nominal_speed_rpm=SPEED_RPM, gears=GEARS),
    )
    made: list[r.Measurement] = [activation_of(config, START_NS, "test")]
    source = simulated(Simulator(scenario, 7), device_id="d", boot_id="b", start_ns=START_NS, duration_s=seconds)
    return made + [due.record for due in source]


def machine(**changes: Any) -> Machine:
    sensors = tuple(
        Accelerometer(channel_id=f"{point_id}.acc", shaft_gain=gain, angle_deg=angle, noise_g=0.01)
        for point_id, _, _, gain, angle in PLACES
    )
    return Machine(
        asset_id="P",
        speed_rpm=constant(SPEED_RPM),
        nominal_speed_rpm=SPEED_RPM,
        accelerometers=sensors,
        **changes,
    )


def run(stream: Sequence[r.Measurement], restart_after: int | None = None) -> ports.HistoryRows:
    pipeline = PartitionPipeline(ModelFolder(), ports.Checkpoint(-1, 0, {}))
    rows = ports.HistoryRows()
    for offset, record in enumerate(stream):
        assert not isinstance(record, r.Tick)
        refusal = pipeline.feed(CODEC, offset, record.asset_id.encode(), CODEC.encode(MEASUREMENTS, record))
        assert refusal is None, refusal
        if offset == restart_after:
            rows.conditions += pipeline.take().conditions
            checkpoint = pipeline.checkpoint()
            pipeline = PartitionPipeline(ModelFolder(), checkpoint)
            for again in range(checkpoint.resume_offset, offset + 1):
                old = stream[again]
                assert not isinstance(old, r.Tick)
                pipeline.feed(CODEC, again, old.asset_id.encode(), CODEC.encode(MEASUREMENTS, old))
    taken = pipeline.take()
    rows.conditions += taken.conditions
    rows.assessments += taken.assessments
    return rows


def raised(rows: ports.HistoryRows) -> list[tuple[str, str | None]]:
    return [(c.point_id, c.fault) for c in rows.conditions if c.rule == "machine_fault"]


UNBALANCED = machine(unbalance=ShaftFault(residual_mm_s=0.5, severity=Course((2.0, 0.0), (4.0, 1.0)), full_mm_s=6.0))


def test_unbalance_is_one_condition_at_one_point_with_its_phase_and_what_would_confirm_it() -> None:
    rows = run(records(UNBALANCED, 12.0))
    assert raised(rows) == [("DE-H", "unbalance")]
    found = rows.assessments[-1].diagnoses
    assert [(one.fault, one.point_id) for one in found] == [("unbalance", "DE-H")]
    assert found[0].confirm
    assert "misalignment" in found[0].excludes
    assert {item.name for item in found[0].evidence} >= {"share_1x", "phase_h_v_deg"}
    assert not rows.assessments[0].diagnoses


def test_two_directions_that_are_as_loud_do_not_pass_the_fault_to_and_fro() -> None:
    alike = tuple(
        Accelerometer(channel_id=sensor.channel_id, shaft_gain=1.0, angle_deg=sensor.angle_deg, noise_g=0.05)
        for sensor in UNBALANCED.accelerometers[:2]
    )
    turning = machine(unbalance=ShaftFault(residual_mm_s=6.0))
    rows = run(records(dataclasses.replace(turning, accelerometers=alike), 15.0))
    assert [fault for _, fault in raised(rows)] == ["unbalance"]
    points = {one.point_id for assessment in rows.assessments[3:] for one in assessment.diagnoses}
    assert len(points) == 1


def test_a_gear_at_fault_is_found_by_its_sidebands_and_a_sound_one_under_load_is_not() -> None:
    worn = GearMesh(teeth=23, mesh_g=0.4, severity=constant(1.0), full_sideband_ratio=0.9)
    assert raised(run(records(machine(gears=(worn,)), 6.0))) == [("DE-H", "gear_mesh")]
    assert raised(run(records(machine(gears=(GearMesh(teeth=23, mesh_g=3.0),)), 6.0))) == []


def test_what_no_rule_explains_is_reported_as_a_significant_change_once_the_baseline_is_learnt() -> None:
    shakes = ShaftFault(residual_mm_s=0.5, severity=Course((6.0, 0.0), (8.0, 1.0)), full_mm_s=2.0)
    rows = run(records(machine(unbalance=shakes), 16.0, rules=a.RuleSettings(baseline_windows=4)))
    assert raised(rows) == [("DE-H", "significant_change")]
    (standing,) = [c for c in rows.conditions if c.rule == "machine_fault"]
    assert standing.zone is r.Zone.B
    assert standing.priority is r.Priority.LOW
    assert "since the baseline" in standing.reason
    assert raised(run(records(machine(unbalance=shakes), 16.0, rules=a.RuleSettings(baseline_windows=100)))) == []


@pytest.mark.parametrize("restart_after", [12, 31])
def test_a_restart_changes_no_condition(restart_after: int) -> None:
    stream = records(UNBALANCED, 12.0)
    assert run(stream, restart_after).conditions == run(stream).conditions


def test_every_assessment_survives_the_wire() -> None:
    for assessment in itertools.islice(run(records(UNBALANCED, 6.0)).assessments, 6):
        assert CODEC.decode(CODEC.encode("assessments", assessment)) == assessment
        assert all(np.isfinite(one.confidence) for one in assessment.diagnoses)
