"""Real bearings: Case Western Reserve University's seeded faults (README of the data set names its source).

The bounds are what the engine reached when the test was written; no threshold knows a file.
"""

import collections
import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.assets import MeasurementPoint, RuleSettings
from processors.bearings import bearing, designations
from processors.diagnosis import diagnose
from processors.features import FeatureEngine, choose_bands
from processors.whole_recording import judge_recording

FOLDER = Path(os.environ.get("FAULTLINE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "cwru"
FAULTS = {"inner": "inner_race", "outer": "outer_race", "ball": "rolling_element"}
POINT = MeasurementPoint(point_id="bearing", location="bearing", direction="radial")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (FOLDER / "index.csv").exists(), reason=f"CWRU recordings absent: {FOLDER}"),
]


def records() -> list[dict[str, str]]:
    with (FOLDER / "index.csv").open(encoding="utf-8") as lines:
        return [row for row in csv.DictReader(lines) if (FOLDER / row["file"]).exists()]


def load(row: dict[str, str], channel: str | None = None) -> tuple[NDArray[Any], float, float, str]:
    end = channel or ("FE" if row["set"].startswith("fe") else "DE")
    with np.load(FOLDER / row["file"]) as arrays:
        samples = (arrays[end] * arrays[f"{end}_scale"]).astype(np.float32)
        return samples, float(arrays["fs"]), float(arrays["rpm"]), "6203" if end == "FE" else "6205"


def verdict(row: dict[str, str]) -> str | None:
    samples, rate_hz, rpm, designation = load(row)
    judged = judge_recording(samples, rate_hz, rpm, bearing(designation), POINT, RuleSettings())
    return judged.diagnosis.fault if judged.diagnosis else None


def test_small_race_faults_at_the_drive_end_all_come_out_right() -> None:
    rows = [
        row
        for row in records()
        if row["set"].startswith("de") and row["fault"] in ("inner", "outer") and row["diameter_mil"] == "7"
    ]
    assert len(rows) >= 10
    assert {row["file"]: verdict(row) for row in rows} == {row["file"]: FAULTS[row["fault"]] for row in rows}


def test_most_fault_records_come_out_right_and_few_wrong_at_every_load() -> None:
    rows = [row for row in records() if row["fault"] in FAULTS]
    verdicts = {row["file"]: verdict(row) for row in rows}
    right = [row for row in rows if verdicts[row["file"]] == FAULTS[row["fault"]]]
    nothing = [row for row in rows if verdicts[row["file"]] is None]
    assert len(right) >= 0.89 * len(rows), collections.Counter(verdicts.values())
    assert len(rows) - len(right) - len(nothing) <= 0.07 * len(rows)
    for load_hp in ("0", "1", "2", "3"):
        here = [row for row in rows if row["load_hp"] == load_hp]
        assert sum(row in right for row in here) >= 0.75 * len(here), load_hp


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_no_bearing_of_the_catalogue_is_called_faulty_on_the_healthy_machine(seconds: float) -> None:
    (row,) = [row for row in records() if row["fault"] == "normal"]
    for channel in ("DE", "FE"):
        samples, rate_hz, rpm, _ = load(row, channel)
        n = int(seconds * rate_hz)
        for designation in designations()[:: 1 if seconds > 2 else 4]:
            for start in range(0, samples.size - n + 1, n // 2):
                judged = judge_recording(
                    samples[start : start + n], rate_hz, rpm, bearing(designation), POINT, RuleSettings()
                )
                assert judged.diagnosis is None, (channel, designation, start, judged.diagnosis)


@pytest.mark.parametrize("channel", ["DE", "FE"])
def test_no_second_of_the_healthy_machine_is_called_faulty(channel: str) -> None:
    (row,) = [row for row in records() if row["fault"] == "normal"]
    samples, rate_hz, rpm, designation = load(row, channel)
    n = int(rate_hz)
    engine = FeatureEngine(1, n, rate_hz, [bearing(designation)])
    for start in range(0, samples.size - n + 1, n // 8):
        window = np.ascontiguousarray(samples[np.newaxis, start : start + n])
        block = engine.compute(window, rpm, choose_bands(window, rate_hz))
        found = diagnose(POINT, "x", block.values[0], block.families[0], block.health[0], rpm, RuleSettings())
        assert found is None, (start, found)
