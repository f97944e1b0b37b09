"""A gearbox with a broken tooth: more vibration isn't worse (README of the data set names its source)."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.assets import MeasurementPoint, RuleSettings
from processors.whole_recording import judge_recording

DATA = Path(os.environ.get("FAULTLINE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
FOLDER = DATA / "gearbox_spectraquest"
POINT = MeasurementPoint(point_id="gearbox", location="gearbox", direction="radial")
LOADS = ("0", "40", "70", "90")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (FOLDER / "index.csv").exists(), reason=f"gearbox recordings absent: {FOLDER}"),
]


def accelerations(state: str, load: str) -> NDArray[np.float32]:
    with np.load(FOLDER / f"{state}30hz{load}.npz") as arrays:
        return np.ascontiguousarray(arrays["acc"].T, dtype=np.float32)


@pytest.mark.parametrize("load", LOADS)
def test_the_healthy_gearbox_vibrates_more_than_the_broken_one(load: str) -> None:
    healthy, broken = accelerations("h", load)[0].std(), accelerations("b", load)[0].std()
    assert 1.5 <= healthy / broken <= 1.75


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("state", ["h", "b"])
def test_level_alone_is_called_no_fault(state: str, load: str) -> None:
    # the sampling rate isn't stated and neither are speed nor bearing: a level of 8 g has nothing to be held against
    for channel in accelerations(state, load):
        judged = judge_recording(channel, 10_000.0, None, None, POINT, RuleSettings())
        assert judged.diagnosis is None
