"""Frequencies from the drive train, and the zones of pumps."""

import dataclasses
import math
from typing import Any

import pytest

from contracts.assets import AssetConfiguration, DriveTrain, Gear
from contracts.errors import SignalError
from contracts.records import Zone
from processors.bearings import bearing
from processors.drive_train import belt_hz, fault_frequencies, rotor_bars, slip_ratio
from processors.severity import Boundaries
from processors.zone_tables import (
    ISO_20816_1,
    grade_asset,
    grade_pump,
    limits,
    velocity_boundaries,
)


def test_gears_mesh_where_teeth_times_speed_agree() -> None:
    train = DriveTrain(gears=(Gear(name="pinion", teeth=23), Gear(name="wheel", teeth=69, shaft_ratio=1 / 3)))
    rows = {row.name: row for row in fault_frequencies(train, 1800.0)}
    assert rows["mesh pinion/wheel"].frequency_hz == pytest.approx(690.0)
    assert rows["hunting tooth"].frequency_hz == pytest.approx(10.0)
    assert rows["mesh pinion/wheel -1x wheel"].frequency_hz == pytest.approx(680.0)
    assert rows["mesh pinion/wheel +2x pinion"].frequency_hz == pytest.approx(750.0)
    strangers = DriveTrain(gears=(Gear(name="a", teeth=20), Gear(name="b", teeth=50)))
    assert not [row for row in fault_frequencies(strangers, 1800.0) if row.component == "gear"]


def test_bearings_blades_and_motor_have_rows_and_nothing_unknown_has() -> None:
    train = DriveTrain(blades=5, line_frequency_hz=60.0, poles=4)
    rows = {row.name: row for row in fault_frequencies(train, 1746.0, [bearing("6205")])}
    assert rows["blade pass"].order == 5
    assert rows["2x line"].frequency_hz == 120.0
    assert rows["2x line"].order is None
    assert rows["pole pass"].frequency_hz == pytest.approx(3.6)
    assert rows["BPFO 6205"].order == pytest.approx(3.58478, abs=1e-5)
    assert {row.component for row in fault_frequencies(DriveTrain(), 1746.0)} == {"shaft"}
    assert slip_ratio(DriveTrain(line_frequency_hz=60.0), 1746.0) is None
    with pytest.raises(SignalError):
        fault_frequencies(train, 0.0)
    with pytest.raises(SignalError):
        belt_hz(200.0, 100.0, 1500.0)


@pytest.mark.parametrize(
    ("record_s", "load", "speed_rpm", "says"),
    [
        (30.0, None, 1455.0, "load"),
        (30.0, 0.3, 1455.0, "load"),
        (10.0, 0.9, 1455.0, "20"),
        (30.0, 0.9, 1499.0, "resolve"),
    ],
)
def test_rotor_bars_are_refused_where_they_cannot_be_seen(
    record_s: float, load: float | None, speed_rpm: float, says: str
) -> None:
    found = rotor_bars(DriveTrain(line_frequency_hz=50.0, poles=4), speed_rpm, record_s, load)
    assert found.lower_hz is None
    assert says in str(found.refused_because)


@pytest.mark.parametrize(
    ("velocity", "category", "power_kw", "zone"),
    [
        (2.5, "I", 200.0, Zone.A),
        (2.51, "I", 200.0, Zone.B),
        (2.51, "I", 201.0, Zone.A),
        (8.5, "II", 10.0, Zone.C),
        (8.6, "II", 10.0, Zone.D),
        (9.5, "II", 500.0, Zone.C),
    ],
)
def test_pump_zones(velocity: float, category: Any, power_kw: float, zone: Zone) -> None:
    assert grade_pump(velocity, category, power_kw).zone is zone


@pytest.mark.parametrize(
    ("velocity", "category", "power_kw"), [(3.0, None, 10.0), (3.0, "I", None), (math.nan, "I", 1.0)]
)
def test_a_pump_with_a_missing_fact_is_not_graded(velocity: float, category: Any, power_kw: float | None) -> None:
    found = grade_pump(velocity, category, power_kw)
    assert found.zone is None
    assert found.not_graded_because


def test_an_asset_is_graded_by_the_standard_that_holds_for_it() -> None:
    plain = AssetConfiguration(asset_id="A", site_id="S", name="", asset_type="machine")
    assert grade_asset(3.0, None, plain).zone is None
    assert velocity_boundaries(plain) is None
    machine = dataclasses.replace(plain, machine_group="2", support="rigid")
    assert grade_asset(3.0, None, machine).zone is Zone.C
    assert velocity_boundaries(machine) == Boundaries(1.4, 2.8, 4.5)
    pump = dataclasses.replace(machine, pump_category="I")
    assert grade_asset(3.0, None, pump).not_graded_because == "the power of the pump is not configured"
    assert velocity_boundaries(pump) is None
    known = dataclasses.replace(pump, drive_train=DriveTrain(power_kw=75.0))
    assert grade_asset(3.0, 1000.0, known).zone is Zone.B
    assert velocity_boundaries(known) == Boundaries(2.5, 4.0, 6.6)


def test_general_ranges_and_limits() -> None:
    assert ISO_20816_1.zones(0.5) == ("A", "A")
    assert ISO_20816_1.zones(20.0) == ("D", "D")
    zones = Boundaries(2.3, 4.5, 7.1)
    assert list(limits(10.0, zones)) == pytest.approx([5.625, 8.875])
