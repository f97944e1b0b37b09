"""Frequencies from the drive train, facts from several channels, the rule table, pump zones."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.assets import DriveTrain, Gear
from contracts.errors import SignalError
from contracts.records import Zone
from processors.bearings import bearing
from processors.drive_train import belt_hz, fault_frequencies, rotor_bars, slip_ratio
from processors.machine_facts import Place, measure
from processors.machine_rules import RULES, judge
from processors.severity import Boundaries
from processors.velocity import MM_S2_PER_G
from processors.zone_tables import ISO_20816_1, grade_pump, is_significant_change, limits

RATE_HZ = 12800.0
SHAFT_HZ = 30.0
T_S = np.arange(int(2 * RATE_HZ)) / RATE_HZ
H, V = Place("drive end", "radial_horizontal"), Place("drive end", "radial_vertical")
A1, A2 = Place("drive end", "axial"), Place("coupling", "axial")


def line(order: float, rms_mm_s: float, phase_deg: float = 0.0) -> NDArray[Any]:
    """Return acceleration (g) of a line with this velocity."""
    omega = 2 * np.pi * order * SHAFT_HZ
    wave: NDArray[Any] = np.sin(omega * T_S + math.radians(phase_deg))
    return rms_mm_s * math.sqrt(2) * omega / MM_S2_PER_G * wave


def hum(seed: int, g: float = 0.002) -> NDArray[Any]:
    return g * np.random.default_rng(seed).standard_normal(T_S.size)


def names(channels: dict[Place, NDArray[Any]], train: DriveTrain | None = None) -> list[str]:
    samples = np.stack([signal + hum(seed) for seed, signal in enumerate(channels.values())])
    return [finding.fault for finding in judge(measure(samples, RATE_HZ, list(channels), 60 * SHAFT_HZ, train))]


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


def test_unbalance_turns_by_90_degrees() -> None:
    channels = {H: line(1, 5.0), V: line(1, 4.5, 90.0)}
    assert names(channels) == ["unbalance"]
    samples = np.stack(list(channels.values()))
    (round_,) = judge(measure(samples, RATE_HZ, [H, V], 1800.0))
    samples[1] = line(1, 4.5, 0.0)
    (directed,) = judge(measure(samples, RATE_HZ, [H, V], 1800.0))
    assert round_.confidence > directed.confidence
    assert any(evidence.name == "phase_h_v_deg" for evidence in round_.evidence)


def test_misalignment_silences_unbalance() -> None:
    assert names({H: line(1, 4.0) + line(2, 3.0, 40.0)}) == ["misalignment"]


def test_angular_misalignment_needs_both_sides_of_the_coupling() -> None:
    both = {H: line(1, 3.5), A1: line(1, 4.0), A2: line(1, 4.0, 175.0)}
    assert names(both) == ["angular_misalignment"]
    assert "angular_misalignment" not in names({H: line(1, 3.5), A1: line(1, 4.0)})
    assert "angular_misalignment" not in names({**both, A2: line(1, 4.0, 10.0)})


def test_many_harmonics_are_looseness_and_subharmonics_a_rub() -> None:
    loose = sum(line(order, 3.0 / order, 35.0 * order) for order in range(1, 8))
    assert names({H: np.asarray(loose)}) == ["looseness"]
    assert names({H: np.asarray(loose) + line(0.5, 1.5) + line(1 / 3, 1.0)}) == ["rub"]


def test_oil_whirl_lies_below_half_order() -> None:
    assert names({H: line(1, 2.0) + line(0.43, 3.5)}) == ["oil_whirl"]


def test_blades_and_line_frequency_need_a_description() -> None:
    blades, electric = {H: line(5, 4.0) + line(1, 1.0)}, {H: line(100.0 / SHAFT_HZ, 4.0) + line(1, 1.0)}
    assert names(blades) == []
    assert names(blades, DriveTrain(blades=5)) == ["blade_pass"]
    assert names(electric, DriveTrain(line_frequency_hz=50.0)) == ["electrical"]
    # 2 x 60 Hz is the fourth order here: it can't be told apart, so it isn't named
    assert names({H: line(4, 4.0) + line(1, 1.0)}, DriveTrain(line_frequency_hz=60.0)) == []


def test_cavitation_is_a_rise_of_the_floor_over_the_healthy_machine() -> None:
    healthy = measure(hum(1, 0.1)[np.newaxis], RATE_HZ, [H], 1800.0)
    noisy = hum(2, 0.5)[np.newaxis]
    assert judge(measure(noisy, RATE_HZ, [H], 1800.0)) == ()
    found = judge(measure(noisy, RATE_HZ, [H], 1800.0, baseline_high_g=healthy["high_g"]))
    assert [finding.fault for finding in found] == ["cavitation"]


def test_a_quiet_machine_has_nothing() -> None:
    assert names({H: line(1, 1.0), V: line(1, 1.0, 90.0)}) == []
    assert judge(measure(np.zeros((1, 4096)), RATE_HZ, [H], 1800.0)) == ()


def test_every_rule_says_what_would_confirm_it_and_excludes_known_faults() -> None:
    known = {rule.fault for rule in RULES}
    for rule in RULES:
        assert rule.confirm
        assert set(rule.excludes) <= known - {rule.fault}


def test_too_short_a_window_names_the_length_it_needs() -> None:
    with pytest.raises(SignalError, match=r"0\.13 s needed"):
        measure(np.ones((1, 1024)), RATE_HZ, [H], 1800.0)
    with pytest.raises(SignalError):
        measure(np.ones((2, 4096)), RATE_HZ, [H], 1800.0)


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


def test_general_ranges_and_changes() -> None:
    assert ISO_20816_1.zones(0.5) == ("A", "A")
    assert ISO_20816_1.zones(20.0) == ("D", "D")
    zones = Boundaries(2.3, 4.5, 7.1)
    assert is_significant_change(3.0, 1.8, zones)
    assert not is_significant_change(3.0, 4.1, zones)
    assert list(limits(10.0, zones)) == pytest.approx([5.625, 8.875])
