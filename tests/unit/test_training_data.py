"""What is trained on: tables and their files, what mustn't be learnt from, and leaks that are caught."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapters.models import ModelFolder
from adapters.recordings import RecordedChannel, Recording, Waveform
from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError, Leak, LookAhead, SignalError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from pipelines.training import splits
from pipelines.training.harness import train
from pipelines.training.normal import baseline_z, examples_of, prepared
from pipelines.training.recorded import run_to_failure
from pipelines.training.table import BAD_QUALITY, FAULTY, HEALTHY, SUSPECTED, FeatureTable, check_code, table_of
from pipelines.training.table_files import read_table, save_table, with_faults
from processors.own_features import FeatureCode
from processors.scoring import AssetScoring, reconstruction
from tests.training_samples import CODE, SECOND_NS, linear_kind, table, wish


def changed(made: FeatureTable, column: str, values: NDArray[np.float64]) -> FeatureTable:
    copy = made.values.copy()
    copy[:, FEATURE_INDEX[column]] = values
    return dataclasses.replace(made, values=copy)


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_table_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    made = table(2, 20, 5)
    made = dataclasses.replace(made, span=(made.times_ns >= 12 * SECOND_NS).astype(np.int32))
    save_table(made, tmp_path / "t.npz")
    again = read_table(tmp_path / "t.npz")
    assert again.values.tobytes() == made.values.tobytes()
    for name in ("times_ns", "machine", "channel", "regime", "excluded", "state", "span"):
        assert getattr(again, name).tolist() == getattr(made, name).tolist()
    assert (again.features, again.code_hash) == (FEATURE_NAMES, CODE)


def test_a_csv_file_has_features_by_name_and_lacks_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "machine,channel,time,code_hash,kurtosis,rms_g,state,excluded,span\n"
        "P-1,DE,2026-01-01T00:00:01Z,abc,3.5,,healthy,,1\n"
        "P-1,DE,2026-01-01T00:00:00Z,abc,3.0,0.25,unknown,partial,\n"
    )
    made = read_table(path)
    assert made.values[:, FEATURE_INDEX["kurtosis"]].tolist() == [3.0, 3.5]  # in the order of time
    assert np.isnan(made.values[1, FEATURE_INDEX["rms_g"]])
    assert made.learnable.tolist() == [False, True]
    assert made.span.tolist() == [0, 1]
    assert (made.code_hash, made.times_ns[0]) == ("abc", 1_767_225_600 * SECOND_NS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("machine,channel,time\n", "code_hash"),
        ("machine,channel,time,code_hash,rsm_g\nP,D,1,a,1\n", "rsm_g"),
        ("machine,channel,time,code_hash,rms_g\nP,D,1,a,loud\n", "line 2: rms_g is 'loud'"),
        ("machine,channel,time,code_hash\nP,D,soon,a\n", "line 2: time 'soon'"),
        ("machine,channel,time,code_hash,state\nP,D,1,a,ill\n", "line 2: state 'ill'"),
        ("machine,channel,time,code_hash\nP,D,1,a\nP,D,2,b\n", "several codes: a, b"),
        ("machine,channel,time,code_hash\nP,D,1,a\nP,D,1,a\n", "two windows at 1 ns"),
        ("machine,channel,time,code_hash\n", "at least one row"),
    ],
)
def test_a_wrong_csv_file_is_refused_by_line_and_cell(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(SignalError, match=message):
        read_table(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="doesn't exist"):
        read_table(tmp_path / "none.npz")
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"\.npz or \.csv"):
        read_table(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", values=np.zeros(3))
    with pytest.raises(SignalError, match="features, times_ns"):
        read_table(tmp_path / "t.npz")


def test_confirmed_faults_are_marked_and_bad_data_stay_bad(tmp_path: Path) -> None:
    made = table(2, 30, 0)
    made = dataclasses.replace(made, excluded=np.where(made.times_ns == 12 * SECOND_NS, BAD_QUALITY, made.excluded))
    path = tmp_path / "faults.csv"
    path.write_text(f"machine,from,to\nM2,{10 * SECOND_NS},{20 * SECOND_NS}\n")
    marked = with_faults(made, path)
    assert (marked.state == FAULTY).sum() == 2 * 9  # two channels, ten windows, one of bad quality
    assert set(marked.machine[marked.state == FAULTY].tolist()) == {"M2"}
    assert (marked.excluded == BAD_QUALITY).sum() == 4
    path.write_text("machine,from,to\nM9,1,2\n")
    with pytest.raises(SignalError, match="no machine 'M9'"):
        with_faults(made, path)


def test_features_of_other_code_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=f"{CODE}, this is ba9876543210"):
        check_code(table(), "ba9876543210")
    with pytest.raises(ConfigurationError, match="this is ba9876543210"):
        train(table(), "ba9876543210", wish(linear_kind()))


# --- what is learnt from ----------------------------------------------------------------------------------------------


def test_z_s_are_those_that_the_streams_scorer_computes() -> None:
    made = table(1, 60, 20)
    content = ModelFolder().load("reference-autoencoder", "1")
    config = AssetConfiguration(
        asset_id="M1",
        site_id="s",
        name="M1",
        asset_type="pump",
        models=(ModelReference(name="reference-autoencoder", version="1"),),
    )
    scoring = AssetScoring.build(config, ["DE"], {"reference-autoencoder@1": content}, None)
    rows = made.series()[0]
    seen: list[bytes] = []
    model = reconstruction.load("reference-autoencoder@1", content)
    original, model_class = model.rebuild, type(model)

    def spy(self: object, z: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append(z.tobytes())
        return original(z)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_class, "rebuild", spy)
        for row in rows:
            scoring.score(made.values[row : row + 1], str(made.regime[row]), made.learnable[row : row + 1])
    z = baseline_z(made, rows, config.rules.baseline_windows)
    known = ~np.isnan(z).all(axis=1)
    assert known.sum() == len(rows) - config.rules.baseline_windows
    assert seen == [row.tobytes() for row in z[known]]


@settings(max_examples=25)
@given(places=st.sets(st.integers(0, 59), max_size=20), scale=st.floats(-1e3, 1e3), depth=st.sampled_from([1, 4]))
def test_what_is_excluded_changes_nothing_that_is_learnt(places: set[int], scale: float, depth: int) -> None:
    made = table(1, 60, 0)
    out = np.isin(made.times_ns // SECOND_NS, sorted(places))
    made = dataclasses.replace(made, excluded=np.where(out, SUSPECTED, made.excluded))
    wild = dataclasses.replace(made, values=np.where(out[:, np.newaxis], np.float32(scale), made.values))
    learnt = []
    for one in (made, wild):
        z = np.full(one.values.shape, np.nan)
        for rows in one.series():
            z[rows] = baseline_z(one, rows, 10)
        examples = examples_of(one, z, depth)
        assert not out[examples.rows[examples.learnable][:, np.newaxis] - np.arange(depth)].any()
        learnt.append((examples.x[examples.learnable].tobytes(), examples.rows[examples.learnable].tolist()))
    assert learnt[0] == learnt[1]


def test_spans_out_of_the_order_of_time_are_refused() -> None:
    made = table(1, 20, 0)
    facts = {"machine": "M1", "channel": made.channel, "regime": "r", "excluded": "", "state": HEALTHY}
    facts["span"] = (made.times_ns == 7 * SECOND_NS).astype(int)
    with pytest.raises(SignalError, match="M1, DE has a window of span 1 too early, at 7000000000 ns"):
        table_of(FEATURE_NAMES, made.values, made.times_ns, facts, code_hash=CODE, source="made")


def test_sequences_end_at_a_pause_and_at_another_regime() -> None:
    made = table(1, 40, 0)
    times_ns = made.times_ns + np.where(made.times_ns >= 20 * SECOND_NS, 60 * SECOND_NS, 0)
    regime = np.where(made.times_ns >= 30 * SECOND_NS, "fast", made.regime)
    z = np.zeros(made.values.shape)
    examples = examples_of(dataclasses.replace(made, times_ns=times_ns, regime=regime), z, 4)
    assert examples.x.shape == (2 * (17 + 7 + 7), 4, len(FEATURE_NAMES))
    newest = made.times_ns[examples.rows] // SECOND_NS
    assert set(newest.tolist()) == set(range(40)) - {0, 1, 2, 20, 21, 22, 30, 31, 32}


def test_a_row_that_must_not_be_learnt_from_ends_the_training() -> None:
    made = table()
    row = int(np.flatnonzero(made.state == FAULTY)[0])
    splits.check_learning(made, np.array([row]), faults_too=True)
    with pytest.raises(Leak, match="known fault"):
        splits.check_learning(made, np.array([0, row]), faults_too=False)
    made = dataclasses.replace(made, excluded=np.where(np.arange(len(made)) == 5, BAD_QUALITY, made.excluded))
    with pytest.raises(Leak, match="row 5 is excluded: bad or uncertain quality"):
        splits.check_learning(made, np.array([5]), faults_too=True)


def test_a_run_to_failure_is_learnt_from_in_its_healthy_third() -> None:
    rng = np.random.default_rng(3)
    n, length = 30, 2560
    recording = Recording(
        name="run",
        channels=(RecordedChannel(name="H", quantity="acceleration", unit="m/s2"),),
        signal=Waveform(
            sampling_rate_hz=25_600.0,
            samples=rng.normal(size=(1, n * length)).astype(np.float32),
            burst_samples=length,
            burst_starts_s=np.arange(n, dtype=np.float64) * 10.0,
        ),
        speed_rpm=1800.0,
    )
    made = run_to_failure(recording, FeatureCode(CODE))
    assert (len(made), made.code_hash, made.is_catalogue) == (n, CODE, True)
    assert made.learnable.tolist() == [number < 10 for number in range(n)]
    assert (made.state == HEALTHY).sum() == 10
    assert (made.state == FAULTY).sum() == 3
    rms_g = made.values[:, FEATURE_INDEX["rms_g"]]
    np.testing.assert_allclose(rms_g, 1 / 9.80665, rtol=0.1)
    with pytest.raises(SignalError, match="in bursts"):
        run_to_failure(
            dataclasses.replace(recording, signal=Waveform(sampling_rate_hz=1e3, samples=np.zeros((1, 9), np.float32))),
            FeatureCode(CODE),
        )


# --- leaks ------------------------------------------------------------------------------------------------------------


def normalised_over_all_rows(made: FeatureTable, rows: NDArray[np.int64], _windows: int) -> NDArray[np.float64]:
    values = made.values[rows].astype(np.float64)
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0))


def smoothed_from_both_sides(made: FeatureTable, rows: NDArray[np.int64], windows: int) -> NDArray[np.float64]:
    z = baseline_z(made, rows, windows)
    z[1:-1] = (z[:-2] + z[1:-1] + z[2:]) / 3
    return z


@pytest.mark.parametrize("peeking", [normalised_over_all_rows, smoothed_from_both_sides])
@pytest.mark.parametrize("depth", [1, 4])
def test_a_planted_look_ahead_is_caught(peeking: object, depth: int) -> None:
    with pytest.raises(LookAhead, match=r"M\d, N?DE: the result of row \d+ changes"):
        prepared(table(), 10, depth, peeking)  # type: ignore[arg-type]
    with pytest.raises(LookAhead):
        train(table(), CODE, wish(linear_kind()), prepare=peeking)  # type: ignore[arg-type]


def test_a_feature_that_is_the_label_is_caught() -> None:
    made = table()
    leaking = changed(made, "skewness", np.where(made.state == FAULTY, 2.0, 1.0))
    with pytest.raises(Leak, match="skewness is the label: 1 wherever healthy, 2 wherever faulty"):
        train(leaking, CODE, wish(linear_kind()))


def test_a_feature_that_counts_the_time_is_caught() -> None:
    made = table()
    with pytest.raises(Leak, match="bias_g counts the time: it goes one way in all 8 series"):
        train(changed(made, "bias_g", made.times_ns / 1e9), CODE, wish(linear_kind()))


def test_splits_that_share_what_they_judge_are_caught() -> None:
    made = table()
    first, later = made.machine == "M1", made.times_ns >= 40 * SECOND_NS
    splits.check_split(made, splits.Split("by time", first & ~later, first & later))
    with pytest.raises(Leak, match="learnt from and judged, the first is row 0"):
        splits.check_split(made, splits.Split("both", first, first))
    odd = np.arange(len(made)) % 2 == 1
    with pytest.raises(Leak, match="M1 is learnt from until"):
        splits.check_split(made, splits.Split("shuffled", first & odd, first & ~odd))
    twins = made.values.copy()
    twins[made.machine == "M2"] = twins[first]
    copied = dataclasses.replace(made, values=twins)
    with pytest.raises(Leak, match="180 of 180 judged windows are learnt from, bit for bit"):
        splits.check_split(copied, splits.Split("copied", first, made.machine == "M2"))


def test_one_recording_in_two_files_counts_as_one_machine() -> None:
    made = table()
    twins = made.values.copy()
    twins[made.machine == "M2"] = twins[made.machine == "M1"]
    copied = dataclasses.replace(made, values=twins)
    assert splits.same_machines(copied) == [["M1", "M2"], ["M3"], ["M4"]]
    planned = splits.plan(copied, "M1")
    assert planned.held_out == "machine M1 + M2"
    assert [fold.name for fold in planned.folds] == ["M3", "M4"]


def test_the_search_never_sees_the_held_out_machine() -> None:
    made = table()
    planned = splits.plan(made, "M2")
    aside = made.machine == "M2"
    assert [fold.name for fold in planned.folds] == ["M1", "M3", "M4"]
    for fold in planned.folds:
        assert not (aside & (fold.learn | fold.judge)).any()
        assert set(made.machine[fold.learn]) & set(made.machine[fold.judge]) == set()
    assert (planned.last.judge == aside).all()
    with pytest.raises(ConfigurationError, match="'M9' can't be held out; there are M1, M2, M3, M4"):
        splits.plan(made, "M9")


@pytest.mark.parametrize("machines", [1, 2])
def test_a_single_machine_is_split_by_time(machines: int) -> None:
    made = table(machines)
    planned = splits.plan(made)
    for split in planned.folds if machines == 2 else (*planned.folds, planned.last):
        assert made.times_ns[split.learn].max() < made.times_ns[split.judge].min()
        assert split.learn.any()
    last = planned.last
    assert not any((last.judge & (fold.learn | fold.judge)).any() for fold in planned.folds)


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(SignalError, match="no channel has more than 10"):
        prepared(table(2, 8, 0), 10, 1)
    with pytest.raises(ConfigurationError, match="at least 50 healthy ones needed"):
        train(table(3, 14, 0), CODE, wish(linear_kind()))


def test_series_that_are_no_vibration_features_get_z_s_of_their_first_rows() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(loc=7.0, scale=2.0, size=(400, 2))
    facts = {"machine": "r", "channel": "all", "regime": "", "excluded": "", "state": HEALTHY}
    made = table_of(("flow", "level"), values, np.arange(400), facts, code_hash="", source="made")
    examples = prepared(made, 100, 1)
    assert examples.rows.tolist() == list(range(100, 400))
    assert abs(float(examples.x.std()) - 1.0) < 0.2
