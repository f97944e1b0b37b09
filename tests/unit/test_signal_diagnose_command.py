"""``faultline diagnose`` on small files that the test makes."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from contracts.errors import ConfigurationError
from processors.bearings import bearing
from runtime.commands.diagnose import diagnose

RATE_HZ = 12800.0


def application() -> typer.Typer:
    single = typer.Typer()
    single.command("diagnose")(diagnose)
    return single


def faulty(order: float, seconds: float, seed: int = 1) -> NDArray[np.float32]:
    """Return a bearing with one fault: impacts that ring 3 kHz, 1x at 30 Hz, noise."""
    n = int(seconds * RATE_HZ)
    ring_s = np.arange(200) / RATE_HZ
    ring = np.exp(-900 * ring_s) * np.sin(2 * np.pi * 3000 * ring_s)
    train = np.zeros(n)
    train[np.arange(0, n, RATE_HZ / (order * 30.0 * 0.99)).astype(int)] = 2.0
    noise = 0.2 * np.random.default_rng(seed).standard_normal(n)
    shaft = 0.05 * np.sin(2 * np.pi * 30 * np.arange(n) / RATE_HZ)
    signal: NDArray[np.float32] = (np.convolve(train, ring)[:n] + noise + shaft).astype(np.float32)
    return signal


def write(folder: Path, name: str = "pump", **channels: NDArray[Any]) -> Path:
    path = folder / f"{name}.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for channel, samples in channels.items():
            with archive.open(f"{channel}.npy", "w") as member:
                np.save(member, samples)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(application(), [str(argument) for argument in arguments])


GIVEN = ("--sampling-rate-hz", RATE_HZ, "--unit", "g", "--rpm", 1800, "--bearing", "6205")


@pytest.mark.parametrize(("element", "fault"), [("bpfo", "outer_race"), ("bpfi", "inner_race")])
def test_json_is_one_object_with_zone_lines_and_verdict(tmp_path: Path, element: str, fault: str) -> None:
    order = getattr(bearing("6205").orders, element)
    path = write(tmp_path, DE=faulty(order, 4.0))
    result = run(path, *GIVEN, "--group", 2, "--support", "rigid", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert {"zone", "not_graded_because", "lines", "verdict"} <= found.keys()
    assert found["zone"] == "B"
    assert found["not_graded_because"] is None
    assert [line["name"] for line in found["lines"]] == ["BPFO", "BPFI", "BSF", "FTF"]
    assert found["verdict"]["fault"] == fault
    assert 0.5 < found["verdict"]["confidence"] < 1
    assert found["verdict"]["evidence"][0]["frequency_hz"] == pytest.approx(order * 29.7, rel=2e-3)


def test_text_names_zone_lines_and_verdict(tmp_path: Path) -> None:
    result = run(write(tmp_path, DE=faulty(bearing("6205").orders.bpfo, 2.0)), *GIVEN)
    assert result.exit_code == 0, result.output
    assert "not graded: the machine group" in result.output
    assert "BPFO" in result.output
    assert "not decided" not in result.output.split("FTF")[0]
    assert "Verdict: outer-race fault" in result.output


def test_a_healthy_signal_has_no_verdict(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).standard_normal(40000).astype(np.float32)
    found = json.loads(run(write(tmp_path, DE=noise), *GIVEN, "--json").output)
    assert found["verdict"] == {"fault": None, "confidence": None, "evidence": [], "confirm": None, "excludes": []}
    assert found["diagnoses"] == []


def test_strokes_that_are_not_the_bearings_are_named(tmp_path: Path) -> None:
    # 6 x 1.992 Hz is where the cage of a 6205 is expected at 1800 rpm
    path = write(tmp_path, DE=faulty(bearing("6205").orders.ftf / 6 / 0.99, 10.0))
    found = json.loads(run(path, *GIVEN, "--json").output)
    assert found["verdict"]["fault"] is None
    (cage,) = [line for line in found["lines"] if line["name"] == "FTF"]
    assert cage["foreign_hz"] == pytest.approx(bearing("6205").orders.ftf * 30.0 / 6, rel=1e-3)
    output = run(path, *GIVEN).output
    assert "Not the bearing's: lines every 1.99 Hz (something strikes every 0.502 s) reach" in output
    assert "Verdict: nothing found" in output


def test_the_loudest_channel_is_taken_unless_one_is_named(tmp_path: Path) -> None:
    quiet = np.random.default_rng(3).standard_normal(51200).astype(np.float32)
    path = write(tmp_path, NDE=quiet, DE=faulty(bearing("6205").orders.bpfo, 4.0))
    assert json.loads(run(path, *GIVEN, "--json").output)["channel"] == "DE"
    named = json.loads(run(path, *GIVEN, "--channel", "NDE", "--json").output)
    assert (named["channel"], named["verdict"]["fault"]) == ("NDE", None)


def test_the_unit_scales_the_signal(tmp_path: Path) -> None:
    x = faulty(bearing("6205").orders.bpfo, 2.0)
    zones = []
    for unit, scale in (("g", 1.0), ("m/s2", 9.80665)):
        path = write(tmp_path, DE=(x * scale).astype(np.float32))
        given = ("--sampling-rate-hz", RATE_HZ, "--unit", unit, "--rpm", 1800, "--bearing", "6205")
        zones.append(json.loads(run(path, *given, "--group", 2, "--support", "rigid", "--json").output)["zone"])
    assert zones == ["B", "B"]


def test_a_short_recording_is_not_decided(tmp_path: Path) -> None:
    path = write(tmp_path, DE=faulty(bearing("6205").orders.bpfo, 0.16))
    found = json.loads(run(path, *GIVEN, "--json").output)
    assert [line["decided"] for line in found["lines"]] == [False] * 4
    assert found["lines"][0]["needed_s"] == pytest.approx(1 / (0.03 * 3.58478 * 30), rel=1e-4)
    assert found["verdict"]["fault"] is None


def test_a_long_recording_is_judged_over_all_its_windows(tmp_path: Path) -> None:
    x = faulty(bearing("6205").orders.bpfo, 32.0)
    x[: int(5 * RATE_HZ)] = 0.0  # the sensor wakes up late
    found = json.loads(run(write(tmp_path, DE=x), *GIVEN, "--json").output)
    assert found["verdict"]["fault"] == "outer_race"
    assert all(math.isfinite(line["score_db"]) for line in found["lines"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sampling-rate-hz", 0, "--unit", "g"), "sampling rate"),
        (("--sampling-rate-hz", RATE_HZ), "unit"),
        (("--sampling-rate-hz", RATE_HZ, "--unit", "g", "--bearing", "6255"), "6205"),
        (("--sampling-rate-hz", RATE_HZ, "--unit", "g", "--channel", "XX"), "XX"),
        (("--sampling-rate-hz", RATE_HZ, "--unit", "g", "--group", 3), "group"),
        (("--sampling-rate-hz", RATE_HZ, "--unit", "g", "--support", "soft"), "support"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    result = run(write(tmp_path, DE=faulty(3.58, 1.0)), *options)
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


@pytest.mark.parametrize("ending", ["html", "png"])
def test_a_report_is_one_page_with_pictures(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="reports need the dependency group report")
    path = write(tmp_path, DE=faulty(bearing("6205").orders.bpfi, 2.0))
    target = tmp_path / f"report.{ending}"
    result = run(path, *GIVEN, "--report", target)
    assert result.exit_code == 0, result.output
    content = target.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG")
        assert len(content) > 50_000
    else:
        text = content.decode()
        assert "inner-race fault" in text
        assert "data:image/png;base64," in text
        assert text.count("<tr>") == 5
        assert "<script" not in text


def test_a_report_escapes_what_it_is_given(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="reports need the dependency group report")
    path = write(tmp_path, name="a<b>", DE=faulty(3.0, 1.0))
    target = tmp_path / "report.html"
    assert run(path, *GIVEN, "--report", target).exit_code == 0
    assert "a&lt;b&gt;" in target.read_text(encoding="utf-8")


def test_a_report_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, DE=faulty(3.0, 1.0))
    result = run(path, *GIVEN, "--report", tmp_path / "report.pdf")
    assert isinstance(result.exception, ConfigurationError)
    assert not (tmp_path / "report.pdf").exists()
