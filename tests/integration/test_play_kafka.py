"""``faultline play`` against a real broker: what it says it sent is what lies on the log."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from adapters.kafka import read_log
from adapters.recordings import Waveform, read_recordings
from adapters.timescale import AssetRegistry, Database, migrate
from contracts import records as r
from contracts.activations import configuration_of
from contracts.codec import BundledSchemas, Codec
from contracts.errors import Unavailable
from contracts.topics import MEASUREMENTS
from runtime.commands.play import play
from runtime.settings import PROJECT


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


def test_with_a_database_the_asset_is_registered_and_activated(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kafka_bootstrap: str,
    database_url: str,
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "a.npz", DE=np.ones(3000), fs=25_600.0, unit="g")
    monkeypatch.setenv("FAULTLINE_KAFKA_URL", kafka_bootstrap)
    monkeypatch.setenv("FAULTLINE_DATABASE_URL", database_url)
    asyncio.run(migrate(database_url))
    asset_id = f"T-{uuid.uuid4().hex[:8]}"
    play(tmp_path, file_format="npz", speed="max", asset=asset_id, as_json=True)
    assert json.loads(capsys.readouterr().out)["samples"] == 3000

    async def registered() -> tuple[list[str], int]:
        async with Database(database_url) as database:
            registry = AssetRegistry(database)
            return [asset.asset_id for asset in await registry.assets()], len(await registry.unactivated())

    assert asyncio.run(registered()) == ([asset_id], 0)


def test_an_interruption_ends_cleanly_and_says_what_was_sent(kafka_bootstrap: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "long.npz", DE=np.ones(25_600 * 60), fs=25_600.0, unit="g")
    asset_id = f"T-{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-m", "runtime", "play", str(tmp_path), "--format", "npz", "--asset", asset_id, "--json"]
    environment = {**os.environ, "FAULTLINE_KAFKA_URL": kafka_bootstrap, "FAULTLINE_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline_s = time.monotonic() + 30.0
            while _n_records(kafka_bootstrap, asset_id) < 4:
                assert process.poll() is None
                assert time.monotonic() < deadline_s
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=15.0)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    result = json.loads(out)
    assert result["interrupted"] is True
    assert result["records"] + 1 == _n_records(kafka_bootstrap, asset_id)


def _n_records(bootstrap: str, asset_id: str) -> int:
    try:
        return sum(entry.key == asset_id.encode() for entry in read_log(bootstrap, MEASUREMENTS))
    except Unavailable:
        return 0  # the topic isn't there yet
