"""``faultline evaluate bearings`` on small folders that the test makes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from adapters.recordings import Waveform, read_recordings
from contracts.errors import ConfigurationError, SignalError
from processors.bearings import bearing
from runtime.bearing_evaluation import segments
from runtime.commands.evaluate import evaluate

RATE_HZ = 24000.0
SHAFT_HZ = 25.0


def record(order: float | None, seconds: float, seed: int) -> NDArray[np.float32]:
    n = int(seconds * RATE_HZ)
    train = np.zeros(n)
    if order is not None:
        train[np.arange(0, n, RATE_HZ / (order * SHAFT_HZ)).astype(int)] = 2.0
    ring_s = np.arange(300) / RATE_HZ
    ring = np.exp(-900 * ring_s) * np.sin(2 * np.pi * 4000 * ring_s)
    noise = 0.2 * np.random.default_rng(seed).standard_normal(n)
    signal: NDArray[np.float32] = (np.convolve(train, ring)[:n] + noise).astype(np.float32)
    return signal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    orders = bearing("NICE").orders
    rows = [
        ("base.npz", "baseline", None),
        ("outer.npz", "OuterRaceFault", orders.bpfo),
        ("in.npz", "inner", orders.bpfi),
    ]
    with (tmp_path / "index.csv").open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["file", "fs", "rpm", "fault"])
        for name, fault, _ in rows:
            table.writerow([name, RATE_HZ, 60 * SHAFT_HZ, fault])
    for seed, (name, _, order) in enumerate(rows):
        np.savez(tmp_path / name, gs=record(order, 3.0, seed)[:, np.newaxis])
    return tmp_path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(evaluate, [str(argument) for argument in arguments])


def test_mfpt_records_have_rate_speed_bearing_and_truth(folder: Path) -> None:
    found = {recording.name: recording for recording in read_recordings(folder, "mfpt")}
    assert {name: recording.label for name, recording in found.items()} == {
        "base": "normal",
        "outer": "outer_race",
        "in": "inner_race",
    }
    for recording in found.values():
        assert isinstance(recording.signal, Waveform)
        assert recording.signal.sampling_rate_hz == RATE_HZ
        assert recording.signal.samples.shape == (1, 72000)
        assert recording.speed_rpm == 1500.0
        assert recording.channels[0].bearing == "NICE"


def test_the_last_line_of_json_counts_faults_and_healthy_segments(folder: Path) -> None:
    result = run("bearings", "--data", folder, "--format", "mfpt", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.strip().splitlines()[-1])
    assert list(found) == ["records", "correct", "healthy", "healthy_called_faulty", "not_decided", "per_record"]
    assert (found["records"], found["correct"]) == (2, 2)
    assert found["healthy"] >= 10
    assert (found["healthy_called_faulty"], found["not_decided"]) == (0, 0)
    assert [entry["fault"] for entry in found["per_record"]] == [entry["truth"] for entry in found["per_record"]]
    assert all(entry["evidence"] for entry in found["per_record"])


def test_without_json_the_confusion_is_shown(folder: Path) -> None:
    result = run("bearings", "--data", folder, "--format", "mfpt")
    assert result.exit_code == 0, result.output
    assert "2 of 2 fault records right" in result.stdout


def test_a_wrong_format_and_a_folder_without_labels_are_named(folder: Path) -> None:
    assert isinstance(run("bearings", "--data", folder, "--format", "wav").exception, ConfigurationError)
    (folder / "index.csv").write_text(f"file,fs,rpm,fault\nbase.npz,{RATE_HZ},1500,unknown\n", encoding="utf-8")
    for name in ("outer.npz", "in.npz"):
        (folder / name).unlink()
    result = run("bearings", "--data", folder, "--format", "mfpt")
    assert isinstance(result.exception, ConfigurationError)
    assert "label" in str(result.exception)


@pytest.mark.parametrize(("n", "rate_hz"), [(146362, 48000.0), (300, 1000.0), (100_000, 1000.0)])
def test_segments_cover_the_record(n: int, rate_hz: float) -> None:
    found = segments(n, rate_hz)
    assert len(found) == 10
    assert (found[0][0], found[-1][1]) == (0, n)
    assert {stop - start for start, stop in found} == {min(n, max(n // 10, int(rate_hz)))}


def test_the_first_third_of_a_run_to_failure_is_healthy_burst_by_burst(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lives = tmp_path_factory.mktemp("lives")
    bursts = (200 * np.random.default_rng(5).standard_normal((2, 90, 2560))).astype(np.int16)
    np.savez(lives / "run.npz", acc_h=bursts[0], acc_v=bursts[1], scale_g=1e-3, fs=25600.0, t_s=10.0 * np.arange(90))
    (lives / "index.csv").write_text("file,rpm\nrun.npz,1800\n", encoding="utf-8")
    result = run("bearings", "--data", folder, "--format", "mfpt", "--healthy", lives, "--json")
    assert result.exit_code == 0, result.output
    alone = json.loads(run("bearings", "--data", folder, "--format", "mfpt", "--json").stdout.splitlines()[-1])
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["healthy"] - alone["healthy"] == 30
    # 0.1 s can't tell lines 3 % apart below 333 Hz, and says so
    assert (found["not_decided"], found["healthy_called_faulty"]) == (30, 0)
    wrong = run("bearings", "--data", folder, "--format", "mfpt", "--healthy", lives, "--healthy-format", "csv")
    assert isinstance(wrong.exception, ConfigurationError)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file,fs,rpm,fault", "{0},{1},,{2}"),
        ("File,sr,rate,Label", "data/{0},{1},25,{2}"),
        ("name,fs_hz,load,condition", "{0},{1},270,{2}"),
        ("file,fs,rpm,fault", "{0},,nan,{2}"),
    ],
)
def test_an_mfpt_index_may_use_other_words(folder: Path, header: str, row: str) -> None:
    words = {"base": "Normal", "outer": "OR", "in": "IR014"}
    lines = [header, *(row.format(f"{name}.npz", RATE_HZ, word) for name, word in words.items())]
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in words:
        gs = record(None, 0.1, 1)
        np.savez(folder / f"{name}.npz", gs=gs[np.newaxis], sr=np.array([[RATE_HZ]]), load=270)
    found = {recording.name: recording for recording in read_recordings(folder, "mfpt")}
    assert [found[name].label for name in words] == ["normal", "outer_race", "inner_race"]
    assert {recording.speed_rpm for recording in found.values()} == {1500.0}


def test_an_unreadable_cell_of_the_index_is_named(folder: Path) -> None:
    (folder / "index.csv").write_text("file,fs,rpm,fault\nbase.npz,24000,fast,normal\n", encoding="utf-8")
    result = run("bearings", "--data", folder, "--format", "mfpt")
    assert isinstance(result.exception, SignalError)
    assert "rpm 'fast' of base.npz" in str(result.exception)


def test_a_record_whose_state_is_unknown_is_left_out_by_name(folder: Path) -> None:
    (folder / "index.csv").write_text(
        f"file,fs,rpm,fault\nbase.npz,{RATE_HZ},1500,odd\nouter.npz,{RATE_HZ},1500,outer\n", encoding="utf-8"
    )
    (folder / "in.npz").unlink()
    result = run("bearings", "--data", folder, "--format", "mfpt", "--json")
    assert json.loads(result.stdout.splitlines()[-1])["healthy"] == 0
    assert "left out: base" in result.stderr
