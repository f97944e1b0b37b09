"""Both races or one, lines of tones, and sidebands of a race that lie where an element's line would."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from contracts.assets import MeasurementPoint, RuleSettings
from contracts.features import FEATURES
from processors.bearings import bearing
from processors.diagnosis import diagnose
from processors.families import LineFamily
from processors.races import find_pair, log_envelope, middle_pair
from processors.whole_recording import RecordingJudgement, judge_recording

RATE_HZ = 12000.0
SECONDS = 10.0
N = int(RATE_HZ * SECONDS)
T_S = np.arange(N) / RATE_HZ
SHAFT_HZ = 29.5
GEOMETRY = bearing("6205")
ORDERS = GEOMETRY.orders
POINT = MeasurementPoint(point_id="bearing", location="bearing", direction="axial")


def judge(signal: NDArray[Any]) -> RecordingJudgement:
    return judge_recording(signal.astype(np.float32), RATE_HZ, 60.0 * SHAFT_HZ, GEOMETRY, POINT, RuleSettings())


def impacts(line_hz: float, height: float, seed: int) -> NDArray[Any]:
    """Return impacts that slip a little from one to the next and ring at 3 kHz."""
    rng = np.random.default_rng(seed)
    hits = np.cumsum(rng.normal(1.0, 0.003, int(1.1 * SECONDS * line_hz))) / line_hz * RATE_HZ
    train = np.zeros(N)
    train[hits[hits < N].astype(int)] = height
    ring_s = np.arange(300) / RATE_HZ
    ring = np.exp(-700 * ring_s) * np.sin(2 * np.pi * 3000 * ring_s)
    waves: NDArray[Any] = scipy.signal.oaconvolve(train, ring)[:N]
    return waves


def noise(seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(N)


def family(name: str, expected_hz: float, found_hz: float, level_db: float, shaft: str | None = None) -> LineFamily:
    harmonics = tuple((found_hz * h, level_db) for h in (1, 2, 3))
    return LineFamily(name, expected_hz, found_hz, level_db, harmonics, shaft, decided=True, needed_s=None)


def races(outer: float, inner: float, levels_db: tuple[float, float], shaft: str | None = None) -> list[LineFamily]:
    return [
        family("BPFO", ORDERS.bpfo * SHAFT_HZ, (1 + outer) * ORDERS.bpfo * SHAFT_HZ, levels_db[0], shaft),
        family("BPFI", ORDERS.bpfi * SHAFT_HZ, (1 + inner) * ORDERS.bpfi * SHAFT_HZ, levels_db[1]),
    ]


def test_impacts_on_both_races_come_from_a_rolling_element() -> None:
    signal = impacts(1.004 * ORDERS.bpfo * SHAFT_HZ, 1.5, 1) + impacts((9 - 1.004 * ORDERS.bpfo) * SHAFT_HZ, 1.5, 2)
    found = judge(signal + noise(3)).diagnosis
    assert found is not None
    assert found.fault == "rolling_element"
    assert {evidence.name for evidence in found.evidence[:2]} == {"BPFO", "BPFI"}


@pytest.mark.parametrize(("order", "fault"), [(ORDERS.bpfo, "outer_race"), (ORDERS.bpfi, "inner_race")])
def test_impacts_on_one_race_are_that_race_s(order: float, fault: str) -> None:
    found = judge(impacts(order * SHAFT_HZ, 2.0, 4) + noise(5)).diagnosis
    assert found is not None
    assert found.fault == fault


@pytest.mark.parametrize(
    ("outer", "inner", "levels_db", "shaft", "stands"),
    [
        (0.004, -0.003, (14.0, 20.0), None, True),
        (-0.02, 0.013, (14.0, 20.0), None, True),
        (0.004, 0.02, (14.0, 20.0), None, False),  # no one cage speed gives both
        (0.025, -0.0165, (14.0, 20.0), None, False),  # no cage runs that fast
        (0.004, -0.003, (11.0, 20.0), None, False),
        (0.004, -0.003, (14.0, 25.0), None, False),  # one race leads
        (0.004, -0.003, (14.0, 20.0), "4x", False),  # perhaps the shaft's
    ],
)
def test_a_pair_has_one_cage_speed_and_no_leader(
    outer: float, inner: float, levels_db: tuple[float, float], shaft: str | None, stands: bool
) -> None:
    assert (find_pair(races(outer, inner, levels_db, shaft), 0.1, GEOMETRY, 60 * SHAFT_HZ) is not None) == stands


def test_the_clearest_band_confirms_a_race_only_at_the_same_frequency() -> None:
    pair = find_pair(races(0.004, -0.003, (14.0, 20.0)), 0.1, GEOMETRY, 60 * SHAFT_HZ)
    assert pair is not None
    assert pair.confirms("BPFO", races(0.004, -0.003, (24.0, 17.0)))
    assert not pair.confirms("BPFO", races(0.004, -0.003, (24.0, 19.0)))
    assert not pair.confirms("BPFO", races(0.009, -0.003, (24.0, 17.0)))
    assert middle_pair([pair, None]) is None
    assert middle_pair([pair, pair, None]) is pair


def test_a_silent_channel_has_a_log_envelope() -> None:
    found = log_envelope(np.array([[0.0, math.e], [0.0, 0.0]]))
    assert np.isfinite(found).all()
    assert found[0, 1] == pytest.approx(1.0)
    assert (found[1] == 0.0).all()


def test_beats_of_two_tones_are_no_bearing_fault() -> None:
    beat_hz = 1.01 * ORDERS.bpfi * SHAFT_HZ
    tones = sum(np.cos(2 * np.pi * (2000.0 + k * beat_hz) * T_S + k) for k in (0, 1, 2))
    judged = judge(0.5 * tones + noise(6))
    (inner,) = [each for each in judged.families if each.name == "BPFI"]
    assert inner.standing(judged.limit_db) == 2
    assert judged.diagnosis is None


@pytest.mark.parametrize(("off", "fault"), [(0.0, "outer_race"), (0.02, "rolling_element")])
def test_a_sideband_of_the_outer_race_is_no_rolling_element(off: float, fault: str) -> None:
    # 6205: BPFO plus the shaft speed lies 2.7 % below twice the spin frequency
    line_hz, twice_hz = ORDERS.bpfo * SHAFT_HZ, 2 * ORDERS.bsf * SHAFT_HZ
    families = [
        *races(0.0, 0.0, (30.0, 5.0)),
        family("BSF", twice_hz, line_hz + SHAFT_HZ + off * twice_hz, 35.0),
    ]
    values = np.full(len(FEATURES), np.nan, np.float32)
    health = judge(noise(7)).health
    found = diagnose(POINT, "bearing", values, families, health, 60 * SHAFT_HZ, RuleSettings())
    assert found is not None
    assert found.fault == fault
