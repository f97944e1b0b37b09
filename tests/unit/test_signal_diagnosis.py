"""From lines and orders to a named fault."""

import numpy as np
import pytest

from contracts.assets import MeasurementPoint, RuleSettings
from contracts.features import FEATURE_INDEX, FEATURES
from contracts.records import Diagnosis
from processors.diagnosis import diagnose
from processors.families import LineFamily
from processors.health import SensorHealth

POINT = MeasurementPoint(point_id="P-101-DE-H", location="drive end", direction="radial_horizontal")
AXIAL = MeasurementPoint(point_id="P-101-DE-A", location="drive end", direction="axial")
HEALTHY = SensorHealth(25600, 0, 0, 0, 1, 0.5, 0.0, None)


def family(name: str, *levels: float, ambiguous: str | None = None, decided: bool = True) -> LineFamily:
    harmonics = tuple((100.0 * (h + 1), level) for h, level in enumerate(levels))
    score = float(np.median(levels)) if levels else None
    return LineFamily(name, 100.5, 100.0, score, harmonics, ambiguous, decided, None)


def run(*families: LineFamily, health: SensorHealth = HEALTHY) -> Diagnosis | None:
    return judge({}, *families, health=health)


def judge(
    features: dict[str, float],
    *families: LineFamily,
    health: SensorHealth = HEALTHY,
    point: MeasurementPoint = POINT,
) -> Diagnosis | None:
    values = np.full(len(FEATURES), np.nan, np.float32)
    for name, value in features.items():
        values[FEATURE_INDEX[name]] = value
    return diagnose(point, "P-101-DE-H.acc", values, families, health, 1800.0, RuleSettings())


def orders(overall: float, first: float, second: float) -> dict[str, float]:
    return {"velocity_rms_mm_s": overall, "order_1x_mm_s": first, "order_2x_mm_s": second}


@pytest.mark.parametrize(
    ("name", "fault"),
    [("BPFO", "outer_race"), ("BPFI", "inner_race"), ("BSF", "rolling_element"), ("FTF", "cage")],
)
def test_each_family_names_its_fault(name: str, fault: str) -> None:
    found = run(family(name, 20.0, 18.3, 15.0))
    assert found is not None
    assert (found.fault, found.point_id, found.channel_id) == (fault, "P-101-DE-H", "P-101-DE-H.acc")
    assert found.evidence[0].text.endswith("100.0 Hz: 3 harmonics, 18.3 dB over the floor")
    assert (found.evidence[0].limit, found.evidence[0].unit) == (10.0, "dB")


def test_two_harmonics_at_the_bound_are_a_fault_and_one_is_none() -> None:
    assert run(family("BPFO", 10.0, 10.0, 3.0)) is not None
    assert run(family("BPFO", 30.0, 9.9, 9.9)) is None
    assert run(family("BPFO", 30.0, 30.0, 30.0, decided=False)) is None
    assert run() is None


def test_the_highest_family_wins_and_rivals_lower_the_confidence() -> None:
    alone = run(family("BPFO", 22.0, 20.0, 18.0))
    rivalled = run(family("BPFO", 22.0, 20.0, 18.0), family("BPFI", 19.0, 19.0, 19.0))
    assert alone is not None
    assert rivalled is not None
    assert rivalled.fault == "outer_race"
    assert [evidence.name for evidence in rivalled.evidence] == ["BPFO", "BPFI"]
    assert 0.5 <= rivalled.confidence < alone.confidence <= 0.95


def test_what_may_be_the_shaft_is_no_fault() -> None:
    assert run(family("BPFO", 40.0, 40.0, 40.0, ambiguous="3x")) is None
    found = run(family("BPFO", 40.0, 40.0, 40.0, ambiguous="3x"), family("BPFI", 15.0, 15.0, 15.0))
    assert found is not None
    assert found.fault == "inner_race"
    assert "3x" in found.evidence[1].text


def test_a_sideband_of_the_inner_race_is_no_rolling_element_fault() -> None:
    inner = LineFamily("BPFI", 148.4, 147.9, 34.0, ((147.9, 40.0), (295.8, 34.0), (443.7, 33.0)), None, True, None)
    sideband = LineFamily("BSF", 119.6, 117.9, 36.0, ((117.9, 37.0), (235.8, 36.0), (353.7, 29.0)), None, True, None)
    found = run(sideband, inner)
    assert found is not None
    assert found.fault == "inner_race"
    alone = run(sideband)
    assert alone is not None
    assert alone.fault == "rolling_element"


@pytest.mark.parametrize("verdict", ["invalid", "dead", "clipped", "dropout", "biased"])
def test_a_sensor_fault_comes_first_and_alone(verdict: str) -> None:
    broken = SensorHealth(25600, 3, 120, 30, 20000, 1.0, 4.0, verdict)
    found = judge(orders(9.0, 9.0, 0.0), family("BPFO", 40.0, 40.0, 40.0), health=broken)
    assert found is not None
    assert found.fault == f"sensor_{verdict}"
    assert len(found.evidence) == 1


def test_unbalance_needs_the_first_order_and_real_vibration() -> None:
    found = judge(orders(5.0, 4.8, 0.3))
    assert found is not None
    assert found.fault == "unbalance"
    assert found.evidence[0].frequency_hz == pytest.approx(30.0)
    assert judge(orders(1.0, 0.96, 0.06)) is None
    assert judge(orders(5.0, 3.0, 0.3)) is None
    assert judge(orders(5.0, 4.8, 0.3), point=AXIAL) is None


def test_misalignment_shows_at_twice_the_speed() -> None:
    found = judge(orders(5.0, 3.5, 3.2))
    assert found is not None
    assert found.fault == "misalignment"
    assert judge(orders(5.0, 1.0, 0.9)) is None


def test_a_bearing_fault_is_more_specific_than_unbalance() -> None:
    found = judge(orders(5.0, 4.8, 0.3), family("BPFO", 20.0, 20.0, 20.0))
    assert found is not None
    assert found.fault == "outer_race"
