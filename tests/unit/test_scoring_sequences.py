"""Models of several windows in a row: the stream makes the rows that training made, and keeps them through anything."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError
from contracts.features import FEATURE_INDEX, FEATURE_NAMES
from contracts.records import Score
from pipelines.training.normal import baseline_z, examples_of, prepared
from pipelines.training.table import SUSPECTED, FeatureTable
from processors.few_bytes import digest
from processors.scoring import AssetScoring, reconstruction
from processors.scoring.succession import Rows, Succession
from tests.model_files import in_a_row
from tests.training_samples import SECOND_NS, table

DEPTH = 4
MODELS = {"in-a-row@1": in_a_row(DEPTH), "in-a-row@2": in_a_row(DEPTH + 3, 0.25)}
FIRST, SECOND = (ModelReference(name="in-a-row", version=version) for version in "12")


def config(*models: ModelReference) -> AssetConfiguration:
    return AssetConfiguration(asset_id="M1", site_id="s", name="M1", asset_type="pump", models=models)


def course() -> FeatureTable:
    """Return a machine with a pause, another regime and back, undefined windows, and ones not to be learnt from."""
    made = table(1, 160, 0)
    second = made.times_ns // SECOND_NS
    values = made.values.copy()
    values[(second == 70) | (second == 71)] = np.nan
    return dataclasses.replace(
        made,
        values=values,
        times_ns=made.times_ns + np.where(second >= 40, 60 * SECOND_NS, 0) + np.where(second >= 100, SECOND_NS, 0),
        regime=np.where((second >= 50) & (second < 58), "fast", made.regime),
        excluded=np.where((second >= 85) & (second < 90), SUSPECTED, made.excluded),
    )


def play(
    made: FeatureTable, rows: NDArray[np.int64], models: tuple[ModelReference, ...] = (FIRST,), restart_every: int = 0
) -> list[tuple[Score, ...]]:
    scoring = AssetScoring.build(config(*models), ["DE"], MODELS, None)
    found = []
    for number, row in enumerate(rows.tolist()):
        if restart_every and number % restart_every == 0:
            scoring = AssetScoring.build(config(*models), ["DE"], MODELS, scoring.snapshot())
        at = slice(row, row + 1)
        found += scoring.score(made.values[at], str(made.regime[row]), made.learnable[at], int(made.times_ns[row]))
    return found


def test_the_stream_sees_the_rows_that_training_made_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    made = course()
    rows = made.series()[0]
    seen: list[NDArray[np.float32]] = []
    original = reconstruction.Autoencoder.rebuild

    def spy(self: reconstruction.Autoencoder, z: NDArray[np.float32]) -> NDArray[np.float64]:
        seen.extend(z.copy())
        return original(self, z)

    reconstruction.load("in-a-row@1", MODELS["in-a-row@1"])  # the windows that it is tried with aren't the stream's
    monkeypatch.setattr(reconstruction.Autoencoder, "rebuild", spy)
    play(made, rows)
    alone = made.rows(rows, made.values[rows])
    examples = examples_of(alone, baseline_z(alone, np.arange(len(alone)), 10), DEPTH)
    newest = set((examples.rows).tolist())
    assert newest == set(range(13, 160)) - {40, 41, 42, *range(50, 61), *range(70, 75)}
    assert len(seen) == len(examples)
    assert np.stack(seen).tobytes() == examples.x.tobytes()
    assert (~examples.learnable).sum() == 5 + DEPTH - 1


def test_after_maintenance_training_begins_anew_where_the_stream_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made = table(1, 80, 0)
    worked_on = 45
    later = made.times_ns // SECOND_NS >= worked_on
    values = np.where(later[:, np.newaxis], 3.0 * made.values, made.values)  # another bearing: another normal
    made = dataclasses.replace(made, values=values, span=later.astype(np.int32))
    seen: list[NDArray[np.float32]] = []
    original = reconstruction.Autoencoder.rebuild

    def spy(self: reconstruction.Autoencoder, z: NDArray[np.float32]) -> NDArray[np.float64]:
        seen.extend(z.copy())
        return original(self, z)

    reconstruction.load("in-a-row@1", MODELS["in-a-row@1"])
    before, after = made.series()[:2]
    assert (len(before), len(after)) == (worked_on, 80 - worked_on)
    monkeypatch.setattr(reconstruction.Autoencoder, "rebuild", spy)
    play(made, before)
    play(made, after)  # the stream forgets all that it has learnt
    examples = prepared(made, 10, DEPTH).of(made.channel == "DE")
    assert examples.rows.tolist() == [*range(13, worked_on), *range(worked_on + 13, 80)]
    assert np.stack(seen).tobytes() == examples.x.tobytes()
    assert float(np.abs(examples.x).mean()) < 1.5  # by the first normal, all after it would lie at the bound


@pytest.mark.parametrize("restart_every", [1, 3, 50])
def test_rows_go_on_bit_for_bit_after_any_restart(restart_every: int) -> None:
    made = course()
    rows = made.series()[0]
    assert play(made, rows, (FIRST, SECOND), restart_every) == play(made, rows, (FIRST, SECOND))


def test_a_deeper_model_waits_for_its_own_row_and_leaves_the_other_as_it_is() -> None:
    made = course()
    rows = made.series()[0]
    before = AssetScoring.build(config(FIRST), ["DE"], MODELS, None)
    values, learn = made.values, np.ones(1, dtype=np.bool_)
    for row in rows[:30].tolist():
        before.score(values[row : row + 1], "r", learn, row * SECOND_NS)
    both = AssetScoring.build(config(FIRST, SECOND), ["DE"], MODELS, before.snapshot())
    assert both._rows is not None
    whole = []
    for row in rows[30:40].tolist():
        (alone,) = before.score(values[row : row + 1], "r", learn, row * SECOND_NS)
        (together,) = both.score(values[row : row + 1], "r", learn, row * SECOND_NS)
        assert together[:2] == alone
        whole.append(both._rows.newest(DEPTH + 3)[1][0])
    kept, needed = DEPTH - 1, DEPTH + 3
    assert whole == [number + 1 + kept >= needed for number in range(10)]
    after = AssetScoring.build(config(), ["DE"], {}, both.snapshot())
    assert "windows in a row" not in str(after.snapshot())


def test_a_row_with_a_suspect_window_is_scored_but_not_calibrated_by() -> None:
    made = course()
    rows = made.series()[0][:39]
    wild = made.values.copy()
    wild[rows[30]] *= 50.0
    suspect = np.where(np.arange(len(made)) == rows[30], SUSPECTED, made.excluded)
    scoring = AssetScoring.build(config(FIRST), ["DE"], MODELS, None)
    one = dataclasses.replace(made, values=wild, excluded=suspect)
    for row in rows.tolist():
        at = slice(row, row + 1)
        scoring.score(one.values[at], "r", one.learnable[at], int(one.times_ns[row]))
    calibration = scoring._channels[0].baseline.regimes[digest("r")].calibrations["in-a-row@1"]
    assert calibration.count == len(rows) - 10 - (DEPTH - 1) - DEPTH
    assert max(calibration.largest) < 5.0


def test_channels_whose_rows_are_whole_are_asked_together_and_alone_the_same() -> None:
    rng = np.random.default_rng(3)
    ids, runs = ("a", "b", "c"), rng.normal(5.0, 0.5, size=(60, 3, len(FEATURE_NAMES))).astype(np.float32)
    runs[30, 1] = np.nan
    together = AssetScoring.build(config(FIRST), ids, MODELS, None)
    alone = [AssetScoring.build(config(FIRST), [one], MODELS, None) for one in ids]
    for number, x in enumerate(runs):
        may, at_ns = np.ones(3, dtype=np.bool_), number * SECOND_NS
        apart = [one.score(x[row : row + 1], "r", may[:1], at_ns)[0] for row, one in enumerate(alone)]
        assert together.score(x, "r", may, at_ns) == apart
    assert together._rows is not None
    assert together._rows.newest(DEPTH)[1] == [True, True, True]


def test_maintenance_and_an_unknown_window_end_a_row() -> None:
    row = Succession(longest=16)
    for second in range(5):
        row.take(second * SECOND_NS, "r", known=True, learnable=True)
    row.take(5 * SECOND_NS, "r", known=False, learnable=True)
    assert (row.length, row.learnable) == (0, 0)
    row.take(6 * SECOND_NS, "r", known=True, learnable=False)
    assert (row.length, row.learnable) == (1, 0)
    row.take(6 * SECOND_NS, "r", known=True, learnable=True)  # not after the one before: a clock that was set back
    assert (row.length, row.learnable) == (1, 1)


def test_slow_and_fast_measurements_have_pauses_of_their_own() -> None:
    for step_s in (1, 3600):
        row = Succession(longest=16)
        for number in range(10):
            row.take(number * step_s * SECOND_NS, "r", known=True, learnable=True)
        row.take((9 + 5) * step_s * SECOND_NS, "r", known=True, learnable=True)
        assert row.length == 11
        row.take((14 + 6) * step_s * SECOND_NS, "r", known=True, learnable=True)
        assert row.length == 1


def test_what_is_no_row_is_refused() -> None:
    for state in (b"", b"\x01\x02\x03", Rows(4, [None]).snapshot(0)[:-1]):
        with pytest.raises(ConfigurationError, match="windows in a row can't go on"):
            Rows(4, [state])


def test_the_explanation_is_of_the_newest_window() -> None:
    scoring = AssetScoring.build(config(FIRST), ["DE"], MODELS, None)
    rng = np.random.default_rng(8)
    for number in range(140):
        x = (10.0 + 0.1 * rng.normal(size=(1, len(FEATURE_NAMES)))).astype(np.float32)
        if number == 139:
            x[0, FEATURE_INDEX["kurtosis"]] = 30.0
        ((_, score),) = scoring.score(x, "r", np.ones(1, dtype=np.bool_), number * SECOND_NS)
    assert score.threshold is not None
    assert (score.value or 0.0) > score.threshold
    assert score.explanation[0].text == "kurtosis 10 → 30"
