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
    speed_rpm: float | None = 1800.0,
) -> Diagnosis | None:
    values = np.full(len(FEATURES), np.nan, np.float32)
    for name, value in features.items():
        values[FEATURE_INDEX[name]] = value
    return diagnose(POINT, "P-101-DE-H.acc", values, families, health, speed_rpm, RuleSettings())


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
    found = run(family("BPFO", 40.0, 40.0, 40.0), health=broken)
    assert found is not None
    assert found.fault == f"sensor_{verdict}"
    assert len(found.evidence) == 1
    assert found.confirm
    assert found.excludes == ()


def test_a_bearing_fault_says_what_would_confirm_it_and_which_lines_do_not_stand() -> None:
    found = run(family("BPFO", 20.0, 18.3, 15.0), family("BPFI", 3.0, 2.0, 1.0), family("FTF", decided=False))
    assert found is not None
    assert "follow" in str(found.confirm)
    assert found.excludes == ("inner_race",)


#: A sensor that rattles: 0.3 g of 0.33 g lie below 10 Hz.
SLOPE = {"rms_g": 0.33, "band_low_g": 0.1, "band_mid_g": 0.08, "band_high_g": 0.05, "dominant_frequency_hz": 2.4}


def test_a_slope_below_10_hz_is_a_loose_mount_and_nothing_else() -> None:
    found = judge(SLOPE, family("BPFO", 40.0, 40.0, 40.0))
    assert found is not None
    assert found.fault == "sensor_loose"
    assert found.evidence[0].value == pytest.approx(0.8264, abs=1e-4)
    assert "tighten" in str(found.confirm)


@pytest.mark.parametrize(
    ("changed", "speed_rpm"),
    [
        ({"dominant_frequency_hz": 8.0}, 1800.0),  # a line: the machine really moves
        ({"rms_g": 0.17}, 1800.0),  # most of the power is where it belongs
        ({name: value / 10.0 for name, value in SLOPE.items() if name.endswith("_g")}, 1800.0),  # next to nothing
        ({}, 300.0),  # the shaft turns at 5 Hz
        ({}, None),
    ],
)
def test_what_may_be_the_machine_is_no_loose_mount(changed: dict[str, float], speed_rpm: float | None) -> None:
    assert judge({**SLOPE, **changed}, speed_rpm=speed_rpm) is None
