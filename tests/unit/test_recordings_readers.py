"""Every reader against small files made here: what they hold, and what is refused with which words."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from adapters.recordings import Known, Recording, Series, Waveform, read_recording, read_recordings
from adapters.recordings.index import state_of
from contracts.errors import ConfigurationError, FaultlineError, SignalError

G_25600 = Known(sampling_rate_hz=25_600.0, unit="g")


def waveform(recording: Recording) -> Waveform:
    assert isinstance(recording.signal, Waveform)
    return recording.signal


def only(path: Path, file_format: str, known: Known | None = None) -> Recording:
    (recording,) = read_recordings(path, file_format, known)
    return recording


def refused(path: Path, file_format: str, known: Known | None, error: type[FaultlineError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        list(read_recordings(path, file_format, known))
    assert str(path) in str(caught.value)


# --- npz --------------------------------------------------------------------------------------------------------------


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_a_plain_archive_with_floats_and_counts(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.npz",
        a=np.array([1.0, 2.0, 3.0]),
        b=np.array([10, -20, 30], dtype=np.int16),
        b_scale=0.01,
        fs=8000.0,
        rpm=1500.0,
        unit="m/s2",
    )
    recording = only(path, "npz", Known(bearing="6203"))
    assert [(c.name, c.quantity, c.unit, c.bearing) for c in recording.channels] == [
        ("a", "acceleration", "m/s2", "6203"),
        ("b", "acceleration", "m/s2", "6203"),
    ]
    signal = waveform(recording)
    assert signal.samples.dtype == np.float32
    assert signal.samples.tolist() == pytest.approx(np.array([[1, 2, 3], [0.1, -0.2, 0.3]]))
    assert (signal.sampling_rate_hz, recording.speed_rpm, signal.duration_s) == (8000.0, 1500.0, 3 / 8000.0)


def test_one_recording_by_its_ending(tmp_path: Path) -> None:
    path = save(tmp_path / "m.npz", a=np.ones(3), fs=8000.0, unit="g")
    assert read_recording(path).name == "m"
    with pytest.raises(ConfigurationError, match="folder"):
        read_recording(tmp_path)
    with pytest.raises(ConfigurationError, match="'txt'"):
        read_recording(tmp_path / "m.txt")


@pytest.mark.parametrize(
    ("arrays", "known", "error", "says"),
    [
        ({"a": np.ones(3)}, Known(unit="g"), ConfigurationError, "no sampling rate"),
        ({"a": np.ones(3), "fs": 0.0}, Known(unit="g"), ConfigurationError, "0.0 Hz, above 0"),
        ({"a": np.ones(3), "fs": 8e3}, G_25600, ConfigurationError, "says 8000.0 Hz, sampling rate 25600.0"),
        ({"a": np.ones(3)}, Known(sampling_rate_hz=float("nan"), unit="g"), ConfigurationError, "nan Hz"),
        ({"a": np.ones(3), "fs": 8e3}, None, ConfigurationError, "no unit; state one of g, m/s2"),
        ({"a": np.ones(3), "fs": 8e3}, Known(unit="mV"), ConfigurationError, "'mV'; known units"),
        ({"a": np.ones(3), "fs": 8e3, "unit": "g"}, Known(unit="m/s2"), ConfigurationError, "says unit 'g'"),
        ({"a": np.ones(3, dtype=np.int16)}, G_25600, ConfigurationError, "counts .int16. and no a_scale"),
        (
            {"a": np.ones(3)},
            Known(sampling_rate_hz=1.0, unit="g", speed_rpm=-1.0),
            ConfigurationError,
            "speed -1.0 rpm",
        ),
        ({"a": np.ones(0)}, G_25600, SignalError, "0 samples"),
        ({"fs": 25_600.0}, G_25600, SignalError, "0 channels"),
        ({"a": np.ones(3), "b": np.ones(4)}, G_25600, SignalError, "different lengths"),
        ({"a": np.array([1.0, np.nan])}, G_25600, SignalError, "channel a has nan at sample 1"),
        ({"a": np.array([1.0, -np.inf])}, G_25600, SignalError, "channel a has -inf at sample 1"),
    ],
)
def test_an_archive_without_a_fact_or_with_a_wrong_one_is_refused(
    tmp_path: Path, arrays: dict[str, Any], known: Known | None, error: type[FaultlineError], says: str
) -> None:
    refused(save(tmp_path / "m.npz", **arrays), "npz", known, error, says)


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.npz", a=np.random.default_rng(1).normal(size=5000)).read_bytes()
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:],
        "empty": b"",
        "text": b"no archive",
    }.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        refused(path, "npz", G_25600, SignalError, "perhaps truncated")
    objects = save(tmp_path / "objects.npz", a=np.array([{}, None], dtype=object))
    refused(objects, "npz", G_25600, SignalError, "perhaps truncated")


# --- cwru -------------------------------------------------------------------------------------------------------------


def write_index(folder: Path, **row: str) -> None:
    with (folder / "index.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, list(row))
        writer.writeheader()
        writer.writerow(row)


def test_cwru_names_bearings_speed_and_truth(tmp_path: Path) -> None:
    counts = np.array([100, -100, 50], dtype=np.int16)
    save(tmp_path / "130.npz", DE=counts, DE_scale=1e-3, FE=counts, FE_scale=2e-3, fs=12_000.0, rpm=1797.0)
    save(tmp_path / "999.npz", DE=counts, DE_scale=1e-3, fs=12_000.0)
    write_index(tmp_path, file="130.npz", set="de12k", fault="outer", rpm_nominal="1750")
    first, second = read_recordings(tmp_path, "cwru")
    assert [(c.name, c.unit, c.bearing) for c in first.channels] == [("DE", "g", "6205"), ("FE", "g", "6203")]
    assert (first.name, first.label, first.label_channel, first.speed_rpm) == ("130", "outer_race", "DE", 1797.0)
    assert waveform(first).samples[1].tolist() == pytest.approx([0.2, -0.2, 0.1])
    assert (second.label, second.label_channel, second.speed_rpm) == (None, None, None)


def test_cwru_without_a_channel_is_refused(tmp_path: Path) -> None:
    refused(
        save(tmp_path / "m.npz", BA=np.ones(3), fs=1.0), "cwru", None, SignalError, "no channel DE or FE among BA, fs"
    )


def test_cwru_hears_the_damaged_end_through_the_other(tmp_path: Path) -> None:
    save(tmp_path / "130.npz", FE=np.ones((4, 1)), BA=np.ones(7), RPM=1.0, fs=np.array([[12_000.0]]), rpm=np.nan)
    write_index(tmp_path, file="130", set="de12k", fault="Ball", rpm_nominal="1750")
    recording = only(tmp_path, "cwru")
    assert [(c.name, c.bearing) for c in recording.channels] == [("FE", "6205")]
    assert (recording.label, recording.label_channel, recording.speed_rpm) == ("rolling_element", "DE", 1750.0)
    assert waveform(recording).samples.shape == (1, 4)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("InnerRaceFault_vload_1", "inner_race"),
        ("OR007@6", "outer_race"),
        ("B014", "rolling_element"),
        ("baseline", "normal"),
        ("Healthy", "normal"),
        ("no fault", "normal"),
        ("abnormal", None),
        ("unhealthy", None),
        ("", None),
    ],
)
def test_states_in_an_index_s_own_words(text: str, state: str | None) -> None:
    assert state_of({"fault": text}) == state
    assert state_of({"fault": ""}, otherwise=text) == state


# --- femto ------------------------------------------------------------------------------------------------------------


def femto(**changes: Any) -> dict[str, Any]:
    counts = np.arange(12, dtype=np.int16).reshape(3, 4)
    return {"acc_h": counts, "acc_v": -counts, "scale_g": 1e-3, "fs": 25_600.0, "t_s": [10.0, 20.0, 40.0]} | changes


def test_femto_is_bursts(tmp_path: Path) -> None:
    save(tmp_path / "B.npz", **femto())
    write_index(tmp_path, file="B.npz", rpm="1650")
    recording = only(tmp_path, "femto")
    signal = waveform(recording)
    assert [c.name for c in recording.channels] == ["H", "V"]
    assert signal.samples.shape == (2, 12)
    assert signal.burst_samples == 4
    assert signal.burst_starts_s is not None
    assert signal.burst_starts_s.tolist() == [0.0, 10.0, 30.0]
    assert signal.samples[1, 5] == pytest.approx(-0.005)
    assert signal.duration_s == 30.0 + 4 / 25_600.0
    assert recording.speed_rpm == 1650.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"t_s": [0.0, 10.0]}, "2 times"),
        ({"t_s": [0.0, 10.0, 10.0]}, "don't increase"),
        ({"acc_v": np.ones((3, 5))}, "shapes"),
        ({"acc_v": np.full((3, 4), np.nan)}, "acc_v has nan"),
    ],
)
def test_femto_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    refused(save(tmp_path / "B.npz", **femto(**changes)), "femto", None, SignalError, says)


def test_femto_with_missing_parts_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "B.npz", acc_h=np.ones((1, 2)), fs=1.0)
    refused(path, "femto", None, SignalError, "acc_v, scale_g, t_s missing")


# --- text -------------------------------------------------------------------------------------------------------------


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("time_s,DE,FE\n0.0,1,2\n0.1,3,4.5\n", ["DE", "FE"]),
        ("DE;FE\n1;2\n3;4.5\n", ["DE", "FE"]),
        ("1\t2\n3\t4.5\n", ["1", "2"]),
        ("\ufeffDE,FE\r\n1,2\r\n\r\n3,4.5\r\n", ["DE", "FE"]),
    ],
)
def test_csv_columns_are_channels(tmp_path: Path, content: str, names: list[str]) -> None:
    recording = only(text(tmp_path / "m.csv", content), "csv", G_25600)
    assert [c.name for c in recording.channels] == names
    assert waveform(recording).samples.tolist() == [[1.0, 3.0], [2.0, 4.5]]


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("", SignalError, "file is empty"),
        ("DE,FE\n", SignalError, "0 samples"),
        ("time\n1\n", SignalError, "0 channels"),
        ("DE,FE\n1,2\n3\n", SignalError, "line 3: 1 columns, 2 expected"),
        ("DE,FE\n1,2\n3,x\n", SignalError, "line 3: FE is 'x'"),
        ("DE,FE\n1,NaN\n", SignalError, "line 2: FE is NaN"),
    ],
)
def test_csv_that_is_none_is_refused(tmp_path: Path, content: str, error: type[FaultlineError], says: str) -> None:
    refused(text(tmp_path / "m.csv", content), "csv", G_25600, error, says)


def test_csv_needs_rate_and_unit(tmp_path: Path) -> None:
    path = text(tmp_path / "m.csv", "DE\n1\n")
    refused(path, "csv", Known(unit="g"), ConfigurationError, "no sampling rate")
    refused(path, "csv", Known(sampling_rate_hz=10.0), ConfigurationError, "no unit")
    path.write_bytes(b"\xff\xfe\x00")
    refused(path, "csv", G_25600, SignalError, "no UTF-8 text")


SKAB = (
    "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage;Volume Flow RateRMS"
)


def test_skab_is_readings_with_units(tmp_path: Path) -> None:
    (tmp_path / "valve1").mkdir()
    text(
        tmp_path / "valve1" / "0.csv",
        f"{SKAB};anomaly;changepoint\n"
        "2020-03-01 15:44:06;0.08;0.13;1.2;0.05;92.2;22.2;209.6;76.0;0.0;0.0\n"
        "2020-03-01 15:44:08;0.09;0.14;1.3;0.06;92.3;22.3;210.6;77.0;1.0;1.0\n",
    )
    text(tmp_path / "free.csv", f"{SKAB}\n2020-03-01 15:44:06;0.08;0.13;1.2;0.05;92.2;22.2;209.6;76.0\n")
    free, marked = read_recordings(tmp_path, "skab")
    assert isinstance(marked.signal, Series)
    assert (marked.name, marked.label, free.label) == ("valve1-0", "anomaly", "normal")
    assert [c.unit for c in marked.channels] == ["g", "g", "A", "bar", "degC", "degC", "V", "l/min"]
    assert marked.signal.times_ns.tolist() == [1_583_077_446_000_000_000, 1_583_077_448_000_000_000]
    assert marked.signal.values[7].tolist() == [76.0, 77.0]
    assert marked.signal.duration_s == 2.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("datetime;Current\n2020-03-01 15:44:06;1\n", "Accelerometer1RMS, .* missing; there are datetime, Current"),
        (f"{SKAB}\n", "0 readings"),
        (f"{SKAB}\nyesterday;1;1;1;1;1;1;1;1\n", "line 2: time 'yesterday'"),
        (f"{SKAB}\n" + "2020-03-01 15:44:06;1;1;1;1;1;1;1;1\n" * 2, "line 3: the time doesn't increase"),
        (f"{SKAB}\n2020-03-01 15:44:06;1;1;1;1;1;1;1;inf\n", "line 2: Volume Flow RateRMS is inf"),
    ],
)
def test_skab_that_is_none_is_refused(tmp_path: Path, content: str, says: str) -> None:
    refused(text(tmp_path / "m.csv", content), "skab", None, SignalError, says)


# --- wav --------------------------------------------------------------------------------------------------------------


def test_wav_floats_are_values_and_integers_need_full_scale(tmp_path: Path) -> None:
    path = tmp_path / "m.wav"
    wavfile.write(path, 25_600, np.array([[0.5, 1.5], [-0.5, -1.5], [0.25, 2.0]], dtype=np.float32))
    recording = only(path, "wav", Known(unit="g"))
    assert waveform(recording).samples.tolist() == [[0.5, -0.5, 0.25], [1.5, -1.5, 2.0]]
    wavfile.write(path, 25_600, np.array([16384, -32768], dtype=np.int16))
    refused(path, "wav", Known(unit="g"), ConfigurationError, "full scale is None")
    scaled = only(path, "wav", Known(unit="g", full_scale=50.0))
    assert waveform(scaled).samples.tolist() == [[25.0, -50.0]]
    wavfile.write(path, 25_600, np.array([128, 192, 0], dtype=np.uint8))
    assert waveform(only(path, "wav", Known(unit="g", full_scale=50.0))).samples.tolist() == [[0.0, 25.0, -50.0]]


def test_broken_wav_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.wav"
    wavfile.write(path, 25_600, np.zeros(1000, dtype=np.float32))
    whole = path.read_bytes()
    for content in (whole[:-500], whole[:30], b"", b"RIFFxxxx"):
        path.write_bytes(content)
        refused(path, "wav", Known(unit="g"), SignalError, "perhaps truncated")


# --- paths ------------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none", "npz", None, ConfigurationError, "doesn't exist")
    refused(tmp_path, "npz", None, ConfigurationError, r"no file \*.npz")
    with pytest.raises(ConfigurationError, match="'mat'; known formats are cwru, skab"):
        list(read_recordings(tmp_path, "mat"))
