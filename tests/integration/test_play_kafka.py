"""``faultline play`` against a real broker: what it says it sent is what lies on the log."""

import json
import uuid
from pathlib import Path

import numpy as np
import pytest

from adapters.kafka import read_log
from adapters.recordings import Waveform, read_recordings
from contracts import records as r
from contracts.activations import configuration_of
from contracts.codec import BundledSchemas, Codec
from contracts.topics import MEASUREMENTS
from runtime.commands.play import play


def played(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bootstrap: str, path: Path, file_format: str
) -> tuple[dict[str, object], list[r.Record]]:
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", bootstrap)
    monkeypatch.delenv("FAULTLINE_DATABASE_URL", raising=False)
    asset_id = f"T-{uuid.uuid4().hex[:8]}"
    play(path, file_format=file_format, speed="max", asset=asset_id, limit=1, as_json=True)  # type: ignore[arg-type]
    result = json.loads(capsys.readouterr().out)
    codec = Codec(BundledSchemas())
    log = [codec.decode(entry.value) for entry in read_log(bootstrap, MEASUREMENTS) if entry.key == asset_id.encode()]
    return result, log


def test_a_bearing_record_lies_on_the_log_sample_for_sample(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kafka_bootstrap: str, data_folder: Path
) -> None:
    path = data_folder / "cwru" / "131_de12k_outer_007_at6_load1.npz"
    result, log = played(monkeypatch, capsys, kafka_bootstrap, path, "cwru")
    activation, *blocks = log
    assert isinstance(activation, r.Activation)
    assert [point.bearing for point in configuration_of(activation).points] == ["6205", "6203"]
    found = [np.frombuffer(b.samples, "<f4").reshape(2, -1) for b in blocks if isinstance(b, r.AcquisitionBlock)]
    signal = next(read_recordings(path, "cwru")).signal
    assert isinstance(signal, Waveform)
    assert np.array_equal(np.concatenate(found, axis=1), signal.samples)
    assert result["samples"] == signal.samples.size
    assert result["records"] == len(blocks)


def test_pump_readings_lie_on_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kafka_bootstrap: str, data_folder: Path
) -> None:
    result, log = played(monkeypatch, capsys, kafka_bootstrap, data_folder / "skab" / "valve2" / "1.csv", "skab")
    batches = [record for record in log if isinstance(record, r.ReadingBatch)]
    assert result["readings"] == sum(len(batch.readings) for batch in batches) > 8 * 500
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
