"""The readers on the real recordings, where these are present."""

import os
from pathlib import Path

import pytest

from adapters.recordings import Series, Waveform, read_recordings

DATA = Path(os.environ.get("FAULTLINE_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))

pytestmark = pytest.mark.data


def folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"no recordings at {DATA / name}: set FAULTLINE_TEST_DATA")
    return DATA / name


def test_every_cwru_record_is_read_with_bearing_speed_and_truth() -> None:
    labels = set()
    count = 0
    for recording in read_recordings(folder("cwru"), "cwru"):
        assert isinstance(recording.signal, Waveform)
        assert recording.signal.sampling_rate_hz in {12_000.0, 48_000.0}
        assert recording.speed_rpm is not None
        assert 1700.0 < recording.speed_rpm < 1810.0
        assert {c.name: c.bearing for c in recording.channels}.items() <= {"DE": "6205", "FE": "6203"}.items()
        assert 0.01 < float(recording.signal.samples.std()) < 10.0
        labels.add(recording.label)
        count += 1
    assert count >= 60
    assert labels == {"normal", "inner_race", "outer_race", "rolling_element"}


def test_every_skab_file_is_readings() -> None:
    recordings = list(read_recordings(folder("skab"), "skab"))
    assert len({recording.name for recording in recordings}) == len(recordings) >= 10
    assert {recording.label for recording in recordings} == {"normal", "anomaly"}
    for recording in recordings:
        assert isinstance(recording.signal, Series)
        assert recording.signal.values.shape == (8, recording.signal.times_ns.size)


def test_a_femto_run_to_failure_is_bursts_that_grow() -> None:
    recording = next(read_recordings(folder("femto_pronostia") / "Bearing1_1.npz", "femto"))
    assert isinstance(recording.signal, Waveform)
    assert recording.signal.burst_samples == 2560
    assert recording.speed_rpm == 1800.0
    bursts = recording.signal.samples[0].reshape(-1, 2560)
    assert bursts[-10:].std() > 3.0 * bursts[:10].std()
