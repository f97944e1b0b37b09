"""``faultline diagnose`` on several channels of one machine: places from an asset file, speed channels, reports."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from scipy.io import wavfile
from typer.testing import CliRunner, Result

from contracts.errors import ConfigurationError, SignalError
from runtime.commands.diagnose import diagnose

RATE_HZ = 5120.0
SECONDS = 6.0
SHAFT_HZ = 29.5
T_S = np.arange(int(RATE_HZ * SECONDS)) / RATE_HZ

PLANT = """
sites: [{site_id: s, name: Plant}]
assets:
  - asset_id: P-1
    site_id: s
    name: Pump
    asset_type: pump
    machine_group: 2
    support: rigid
    drive_train:
      line_frequency_hz: 50
      poles: 2
      blades: 6
      gears: [{name: pinion, teeth: 23}, {name: wheel, teeth: 69, shaft_ratio: 0.3333333}]
    points:
      - point_id: P-1-DE-H
        location: drive end
        direction: radial_horizontal
        bearing: 6205
        channels: [{channel_id: P-1-DE-H.acc, quantity: acceleration, unit: m/s2}]
      - point_id: P-1-DE-V
        location: drive end
        direction: radial_vertical
        channels:
          - {channel_id: P-1-DE-V.acc, quantity: acceleration, unit: m/s2}
          - {channel_id: P-1-DE-V.temp, quantity: temperature, unit: degC}
      - point_id: P-1-M
        location: motor
        direction: radial
        channels:
          - {channel_id: P-1-M.speed, quantity: speed, unit: rpm}
          - {channel_id: P-1-M.i1, quantity: current, unit: A}
  - {asset_id: P-2, site_id: s, name: Fan, asset_type: fan}
"""


def run(*arguments: object) -> Result:
    single = typer.Typer()
    single.command("diagnose")(diagnose)
    return CliRunner().invoke(single, [str(argument) for argument in arguments])


def found(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.output)


def shaking(order: float, mm_s: float, phase_deg: float = 0.0, seed: int = 1) -> NDArray[np.float32]:
    """Return a line with this velocity, m/s², in a little noise."""
    omega = 2 * np.pi * order * SHAFT_HZ
    wave = mm_s * 1e-3 * math.sqrt(2) * omega * np.sin(omega * T_S + math.radians(phase_deg))
    signal: NDArray[np.float32] = (wave + 0.05 * np.random.default_rng(seed).standard_normal(T_S.size)).astype("f4")
    return signal


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.yaml"
    path.write_text(PLANT, encoding="utf-8")
    return path


def archive(folder: Path, **channels: NDArray[Any]) -> Path:
    path = folder / "run.npz"
    # the stubs take names for options
    np.savez(path, **channels)  # type: ignore[arg-type]
    return path


UNBALANCED = {"P-1-DE-H.acc": shaking(1, 5.0), "P-1-DE-V.acc": shaking(1, 4.0, 90.0, seed=2)}
GIVEN = ("--sampling-rate-hz", RATE_HZ, "--rpm", 60 * SHAFT_HZ)


def test_an_asset_file_gives_places_units_and_zones(tmp_path: Path, plant: Path) -> None:
    path = archive(tmp_path, **UNBALANCED)
    verdict = found(path, *GIVEN, "--asset", plant, "--asset-id", "P-1")
    assert verdict["zone"] == "D"
    assert verdict["channels"] == ["P-1-DE-H.acc", "P-1-DE-V.acc"]
    assert verdict["channel"] == "P-1-DE-H.acc"
    (diagnosis,) = verdict["diagnoses"]
    assert (diagnosis["fault"], diagnosis["point_id"]) == ("unbalance", "P-1-DE-H")
    phase = next(item for item in diagnosis["evidence"] if item["name"] == "phase_h_v_deg")
    assert phase["value"] == pytest.approx(90.0, abs=1.0)
    assert verdict["verdict"]["confirm"]
    assert "misalignment" in verdict["verdict"]["excludes"]
    assert 0.0 < verdict["verdict"]["confidence"] < 1.0


def test_columns_of_a_wav_file_are_told_which_channel_they_are(tmp_path: Path, plant: Path) -> None:
    path = tmp_path / "run.wav"
    wavfile.write(path, int(RATE_HZ), np.stack([*UNBALANCED.values()], axis=1))
    which = ("--channel", "2=P-1-DE-H", "--channel", "1=P-1-DE-V.acc")
    verdict = found(path, "--rpm", 60 * SHAFT_HZ, "--asset", plant, "--asset-id", "P-1", *which)
    assert verdict["channels"] == ["1", "2"]
    assert verdict["diagnoses"][0]["point_id"] == "P-1-DE-V"
    text = run(path, "--rpm", 60 * SHAFT_HZ, "--asset", plant, "--asset-id", "P-1", *which).output
    assert "Judged together: 1, 2" in text
    assert "Verdict: unbalance at P-1-DE-V" in text
    assert "To confirm: " in text
    assert "Excludes: " in text


def test_a_short_recording_says_which_faults_need_a_longer_one(tmp_path: Path, plant: Path) -> None:
    path = archive(tmp_path, **{name: signal[: int(0.12 * RATE_HZ)] for name, signal in UNBALANCED.items()})
    verdict = found(path, *GIVEN, "--asset", plant, "--asset-id", "P-1")
    assert verdict["verdict"]["fault"] is None
    needed_s = {question["name"]: question["needed_s"] for question in verdict["not_decided"]}
    assert needed_s["unbalance"] == pytest.approx(4 / SHAFT_HZ)
    output = run(path, *GIVEN, "--asset", plant, "--asset-id", "P-1").output
    assert "Not decided: unbalance" in output


def run_up(slow_hz: float = 20.0, fast_hz: float = 30.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return revolutions and speed (Hz) of a run-up."""
    rise = (fast_hz - slow_hz) / SECONDS
    return slow_hz * T_S + 0.5 * rise * T_S**2, slow_hz + rise * T_S


def test_a_speed_that_changes_is_tracked_by_its_channel(tmp_path: Path, plant: Path) -> None:
    turns, speed_hz = run_up()
    wave = 1.5 * np.sin(2 * np.pi * turns) + 0.05 * np.random.default_rng(1).standard_normal(T_S.size)
    path = archive(tmp_path, **{"P-1-DE-H.acc": wave.astype("f4"), "P-1-M.speed": (60 * speed_hz).astype("f4")})
    verdict = found(path, "--sampling-rate-hz", RATE_HZ, "--asset", plant, "--asset-id", "P-1")
    assert verdict["speed_rpm"] == pytest.approx(1500.0, rel=1e-3)
    assert "speed varies" in verdict["not_graded_because"]
    assert verdict["verdict"]["fault"] == "unbalance"
    plain = found(path, *GIVEN[:2], "--rpm", 1500, "--asset", plant, "--asset-id", "P-1", "--channel", "P-1-DE-H.acc")
    assert plain["verdict"]["fault"] is None


def test_a_tacho_gives_the_speed(tmp_path: Path) -> None:
    turns, _ = run_up(25.0, 25.0)
    pulses = (np.mod(2.0 * turns, 1.0) < 0.2).astype("f4")
    path = archive(tmp_path, acc=shaking(1, 5.0), tacho=pulses)
    verdict = found(path, *GIVEN[:2], "--unit", "m/s2", "--tacho", "tacho", "--pulses", 2)
    assert verdict["speed_rpm"] == pytest.approx(1500.0, rel=1e-3)
    assert verdict["channels"] == ["acc"]


def test_the_current_shows_a_broken_rotor_bar_or_says_why_it_cannot(tmp_path: Path, plant: Path) -> None:
    n = 25 * 1000
    t_s = np.arange(n) / 1000.0
    side_hz = 2 * 0.03 * 50.0
    current = sum(a * np.cos(2 * np.pi * f * t_s) for f, a in ((50.0, 9.0), (50 - side_hz, 0.12), (50 + side_hz, 0.12)))
    vibration = 0.05 * np.random.default_rng(1).standard_normal(n)
    path = archive(tmp_path, **{"P-1-DE-H.acc": vibration.astype("f4"), "P-1-M.i1": np.asarray(current).astype("f4")})
    asked = (path, "--sampling-rate-hz", 1000, "--rpm", 3000 * 0.97, "--asset", plant, "--asset-id", "P-1")
    (broken,) = found(*asked, "--load", 0.9)["diagnoses"]
    assert (broken["fault"], broken["channel_id"]) == ("rotor_bar", "P-1-M.i1")
    assert broken["evidence"][0]["value"] == pytest.approx(20 * math.log10(0.12 / 9.0), abs=0.5)
    idle = run(*asked, "--load", 0.1)
    assert "rotor bar: load 0.1 of full load" in idle.output
    assert found(*asked, "--load", 0.1)["diagnoses"] == []


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        (("--asset", "PLANT"), ConfigurationError, "P-1, P-2: give --asset-id"),
        (("--asset", "PLANT", "--asset-id", "P-3"), ConfigurationError, "'P-3'"),
        (("--asset-id", "P-1"), ConfigurationError, "give --asset"),
        (("--asset", "PLANT", "--asset-id", "P-2", "--unit", "g"), ConfigurationError, "is none of P-2"),
        (("--asset", "PLANT", "--asset-id", "P-1", "--unit", "g"), ConfigurationError, "is in g, P-1-DE-H.acc in m/s2"),
        (("--channel", "P-1-DE-H.acc=X", "--unit", "g"), ConfigurationError, "which asset"),
        (("--tacho", "none", "--unit", "g"), ConfigurationError, "no channel 'none'"),
        (
            ("--asset", "PLANT", "--asset-id", "P-1", "--channel", "P-1-DE-H.acc=P-1-DE-V.temp"),
            SignalError,
            "holds temperature; acceleration needed",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, plant: Path, options: tuple[str, ...], kind: type[Exception], says: str
) -> None:
    path = archive(tmp_path, **UNBALANCED)
    result = run(path, *GIVEN, *(str(plant) if option == "PLANT" else option for option in options))
    assert isinstance(result.exception, kind)
    assert says in str(result.exception)


def test_a_bearing_of_ones_own_table_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "bearings.csv"
    table.write_text("designation,n_elements,element_diameter_mm,pitch_diameter_mm\nX-12,12,10,60\n", encoding="utf-8")
    path = archive(tmp_path, acc=shaking(1, 1.0))
    asked = (path, *GIVEN, "--unit", "m/s2", "--bearing", "X-12")
    assert isinstance(run(*asked).exception, ConfigurationError)
    monkeypatch.setenv("FAULTLINE_BEARINGS", str(table))
    lines = {line["name"]: line["frequency_hz"] for line in found(*asked)["lines"]}
    assert lines["BPFO"] == pytest.approx(5.0 * SHAFT_HZ)


def test_a_report_shows_the_machine_and_what_would_confirm_the_verdict(tmp_path: Path, plant: Path) -> None:
    pytest.importorskip("matplotlib", reason="reports need the dependency group report")
    path, target = archive(tmp_path, **UNBALANCED), tmp_path / "report.html"
    result = run(path, *GIVEN, "--asset", plant, "--asset-id", "P-1", "--report", target)
    assert result.exit_code == 0, result.output
    text = target.read_text(encoding="utf-8")
    assert "P-1, run, channel P-1-DE-H.acc" in text
    assert "unbalance at P-1-DE-H" in text
    assert "phase between horizontal and vertical 90 deg" in text
    assert "<dt>To confirm</dt><dd>a run-down" in text
    assert "<dt>Excludes</dt><dd>misalignment" in text


def test_a_report_of_a_run_up_has_its_waterfall(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="reports need the dependency group report")
    turns, speed_hz = run_up()
    wave = 1.5 * np.sin(2 * np.pi * turns) + 0.05 * np.random.default_rng(1).standard_normal(T_S.size)
    path = archive(tmp_path, acc=wave.astype("f4"), rpm_of_shaft=(60 * speed_hz).astype("f4"))
    heights = []
    for name, options in (("plain", ("--rpm", 1500, "--channel", "acc")), ("tracked", ())):
        target = tmp_path / f"{name}.png"
        speed = options or ("--speed-channel", "rpm_of_shaft")
        assert run(path, *GIVEN[:2], "--unit", "m/s2", *speed, "--report", target).exit_code == 0
        header = target.read_bytes()[:24]
        heights.append(int.from_bytes(header[20:24], "big"))
    assert heights[1] > heights[0] + 300
