"""What the picture of a report shows, by the numbers that are drawn."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.asset_files import read_asset_files
from adapters.recordings import Known, read_recording
from contracts.features import FEATURE_INDEX
from processors.bearings import bearing
from processors.features import FeatureEngine
from processors.kurtogram import kurtogram
from processors.own_features import ENGINE_ALONE
from runtime.recorded_machine import Wish, recorded_machine
from runtime.report import picture
from runtime.report.colours import LINES, PARTS, WARNING
from runtime.report.subject import Subject, judge

RATE_HZ = 12_800.0
SHAFT_HZ = 30.0
SECONDS = 4.0
T_S = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
#: Balls slip by one per cent.
BPFI_HZ = 0.99 * bearing("6205").orders.bpfi * SHAFT_HZ
RINGING_HZ = 3000.0

GEARED = """
sites: [{site_id: s, name: Plant}]
assets:
  - asset_id: P-1
    site_id: s
    name: Pump
    asset_type: pump
    drive_train: {gears: [{name: pinion, teeth: 17}, {name: wheel, teeth: 51, shaft_ratio: 0.3333333}]}
    points:
      - point_id: P-1-DE-H
        location: drive end
        direction: radial_horizontal
        channels: [{channel_id: P-1-DE-H.acc, quantity: acceleration, unit: g}]
"""


def inner_race() -> NDArray[np.float32]:
    """Return impacts that ring at 3 kHz and come more strongly once a turn, 1x of 0.05 g peak, noise."""
    ring_s = np.arange(200) / RATE_HZ
    ring = np.exp(-900 * ring_s) * np.sin(2 * np.pi * RINGING_HZ * ring_s)
    train = np.zeros(T_S.size)
    at_s = np.arange(0.0, SECONDS, 1.0 / BPFI_HZ)
    train[(at_s * RATE_HZ).astype(int)] = 2.0 + 1.5 * np.cos(2 * np.pi * SHAFT_HZ * at_s)
    noise = 0.1 * np.random.default_rng(1).standard_normal(T_S.size)
    wave = np.convolve(train, ring)[: T_S.size] + noise + 0.05 * np.sin(2 * np.pi * SHAFT_HZ * T_S)
    return np.asarray(wave, np.float32)


def judged(folder: Path, samples: NDArray[np.float32], wish: Wish) -> Subject:
    path = folder / "run.npz"
    np.savez(path, **{"P-1-DE-H.acc": samples})  # type: ignore[arg-type]  # the stubs take names for options
    known = Known(sampling_rate_hz=RATE_HZ, unit="g", speed_rpm=60.0 * SHAFT_HZ)
    return judge(recorded_machine(read_recording(path, None, known), wish), None, ENGINE_ALONE)


def drawn(subject: Subject) -> dict[str, Any]:
    """Return the axes of the picture by name; one that shares another's abscissa, by what its ordinate says."""
    pytest.importorskip("matplotlib", reason="reports need the dependency group report")
    return {axis.get_label() or axis.get_ylabel(): axis for axis in picture.figure_of(subject).axes}


@pytest.fixture(scope="module")
def bearing_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, dict[str, Any]]:
    subject = judged(tmp_path_factory.mktemp("bearing"), inner_race(), Wish(bearing="6205"))
    return subject, drawn(subject)


def curve(axis: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the longest line of an axis."""
    line = max(axis.lines, key=lambda one: len(one.get_xdata()))
    return np.asarray(line.get_xdata(), np.float64), np.asarray(line.get_ydata(), np.float64)


def markers_hz(axis: Any, colour: str, style: str) -> list[float]:
    lines = [one for one in axis.lines if one.get_color() == colour and one.get_linestyle() == style]
    return sorted(float(one.get_xdata()[0]) for one in lines if one.get_xdata()[0] == one.get_xdata()[-1])


def test_the_waveform_is_the_channel_as_measured(bearing_report: tuple[Subject, dict[str, Any]]) -> None:
    seconds, g = curve(bearing_report[1]["wave"])
    np.testing.assert_array_equal(g, inner_race()[: g.size])
    assert (seconds[0], seconds[-1]) == pytest.approx((0.0, 0.5 - 1 / RATE_HZ))


def test_the_spectrum_peaks_at_the_resonance_within_the_framed_band(
    bearing_report: tuple[Subject, dict[str, Any]],
) -> None:
    subject, axes = bearing_report
    hertz, g = curve(axes["spectrum"])
    assert hertz[np.argmax(g)] == pytest.approx(RINGING_HZ, abs=200.0)
    (span,) = axes["spectrum"].patches
    edges = (span.get_x(), span.get_x() + span.get_width())
    assert edges == pytest.approx(subject.band_hz)
    assert edges[0] < RINGING_HZ < edges[1]


def test_the_velocity_spectrum_has_the_line_of_the_shaft_at_its_marker(
    bearing_report: tuple[Subject, dict[str, Any]],
) -> None:
    axis = bearing_report[1]["orders"]
    hertz, mm_s = curve(axis)
    near = np.abs(hertz - SHAFT_HZ) < 5.0
    assert hertz[near][np.argmax(mm_s[near])] == pytest.approx(SHAFT_HZ, abs=0.5)
    assert mm_s[near].max() == pytest.approx(0.05 / np.sqrt(2) * 9806.65 / (2 * np.pi * SHAFT_HZ), rel=0.02)
    assert markers_hz(axis, PARTS["shaft"], "--")[:3] == pytest.approx([SHAFT_HZ, 2 * SHAFT_HZ, 3 * SHAFT_HZ])


def test_the_envelope_spectrum_has_its_lines_and_sidebands_at_the_markers(
    bearing_report: tuple[Subject, dict[str, Any]],
) -> None:
    subject, axes = bearing_report
    axis = axes["envelope"]
    lines_hz = markers_hz(axis, LINES["BPFI"], "-")
    assert lines_hz == pytest.approx([BPFI_HZ, 2 * BPFI_HZ, 3 * BPFI_HZ], rel=3e-3)
    sides_hz = markers_hz(axis, LINES["BPFI"], ":")
    assert sides_hz == pytest.approx([line + side for line in lines_hz for side in (-SHAFT_HZ, SHAFT_HZ)])
    hertz, db = curve(axis)
    for place_hz in (*lines_hz, *sides_hz[:2]):
        assert db[np.abs(hertz - place_hz) <= 1.0].max() > subject.channel.limit_db
    labels = [note.get_text() for note in axis.texts]
    assert f"BPFI {lines_hz[0]:.1f} Hz" in labels
    assert not [text for text in labels if text.startswith("BPFO")]


def test_a_line_that_the_verdict_speaks_of_is_marked_however_low_it_stands(
    bearing_report: tuple[Subject, dict[str, Any]],
) -> None:
    subject, _ = bearing_report
    (ball,) = [family for family in subject.channel.families if family.name == "BSF"]
    assert not markers_hz(bearing_report[1]["envelope"], LINES["BSF"], "-")
    first = subject.diagnoses[0]
    grounds = dataclasses.replace(first.evidence[0], frequency_hz=0.98 * ball.frequency_hz)
    said = dataclasses.replace(first, evidence=(*first.evidence, grounds))
    axis = drawn(dataclasses.replace(subject, diagnoses=(said,)))["envelope"]
    assert markers_hz(axis, LINES["BSF"], "-") == pytest.approx([frequency for frequency, _ in ball.harmonics])


def test_the_kurtogram_has_every_band_and_frames_the_chosen_one(
    bearing_report: tuple[Subject, dict[str, Any]],
) -> None:
    subject, axes = bearing_report
    bars = [(bar.get_x(), bar.get_x() + bar.get_width(), bar) for bar in axes["kurtogram"].patches]
    framed = [(low, high) for low, high, bar in bars if not bar.get_fill()]
    assert framed == [pytest.approx(subject.band_hz)]
    assert framed[0][0] < RINGING_HZ < framed[0][1]
    filled = [(low, high, bar.get_facecolor()) for low, high, bar in bars if bar.get_fill()]
    bands = kurtogram(subject.window_g, subject.rate_hz)
    assert [(low, high) for low, high, _ in filled] == [pytest.approx((band.low_hz, band.high_hz)) for band in bands]
    # the scale runs from violet to yellow: the most impulsive band has the most green
    greenest = max(range(len(filled)), key=lambda place: filled[place][2][1])
    assert bands[greenest].kurtosis == max(band.kurtosis for band in bands)
    assert any(bar.get_edgecolor()[0] == pytest.approx(int(WARNING[1:3], 16) / 255) for _, _, bar in bars)


def test_the_trend_has_the_features_of_its_windows(bearing_report: tuple[Subject, dict[str, Any]]) -> None:
    subject, axes = bearing_report
    seconds, mm_s = curve(axes["vibration"])
    assert seconds.tolist() == [0.5, 1.5, 2.5, 3.5]
    n = int(RATE_HZ)
    engine = FeatureEngine(1, n, RATE_HZ, [bearing("6205")])
    rows = [inner_race()[np.newaxis, start : start + n] for start in range(0, 4 * n, n)]
    bands_hz = np.array([subject.band_hz])
    values = np.stack([engine.compute(np.ascontiguousarray(row), 60 * SHAFT_HZ, bands_hz).values[0] for row in rows])
    np.testing.assert_allclose(mm_s, values[:, FEATURE_INDEX["velocity_rms_mm_s"]], rtol=1e-6)
    dashed = axes["g rms (dashed)"].lines[0]
    np.testing.assert_allclose(dashed.get_ydata(), values[:, FEATURE_INDEX["rms_g"]], rtol=1e-6)
    assert axes["vibration"].get_ylim()[1] > 1.2 * mm_s.max()  # the legend has its room
    (bpfi,) = [line for line in axes["lines"].lines if line.get_label() == "BPFI"]
    np.testing.assert_allclose(bpfi.get_ydata(), values[:, FEATURE_INDEX["bpfi_db"]], rtol=1e-6)


def test_a_gear_has_its_mesh_with_the_sidebands_of_both_shafts(tmp_path: Path) -> None:
    mesh_hz = 17 * SHAFT_HZ
    plant = tmp_path / "plant.yaml"
    plant.write_text(GEARED, encoding="utf-8")
    tooth = 1.0 + 0.8 * np.cos(2 * np.pi * SHAFT_HZ * T_S)
    wave = tooth * np.sin(2 * np.pi * mesh_hz * T_S) + 0.01 * np.random.default_rng(2).standard_normal(T_S.size)
    (asset,) = read_asset_files([plant], (), ()).assets
    axis = drawn(judged(tmp_path, wave.astype(np.float32), Wish(asset=asset)))["orders"]
    assert mesh_hz in [pytest.approx(place) for place in markers_hz(axis, PARTS["gear"], "-")]
    sides_hz = markers_hz(axis, PARTS["gear"], ":")
    for spacing_hz in (SHAFT_HZ, SHAFT_HZ / 3):
        for sign in (-1, 1):
            assert mesh_hz + sign * spacing_hz in [pytest.approx(place, rel=1e-5) for place in sides_hz]
    hertz, mm_s = curve(axis)
    at = {
        place: mm_s[np.abs(hertz - place) <= 0.5].max() for place in (mesh_hz, mesh_hz - SHAFT_HZ, mesh_hz + SHAFT_HZ)
    }
    # velocity of a line is its acceleration over its frequency
    assert at[mesh_hz - SHAFT_HZ] / at[mesh_hz] == pytest.approx(0.4 * mesh_hz / (mesh_hz - SHAFT_HZ), rel=0.02)
    assert at[mesh_hz + SHAFT_HZ] / at[mesh_hz] == pytest.approx(0.4 * mesh_hz / (mesh_hz + SHAFT_HZ), rel=0.02)
