"""The harness: what it writes, what it refuses, and that its figures are those of machines it hasn't seen."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import scipy.stats

from adapters.models import ModelFolder
from contracts import model_card as mc
from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError, ExportMismatch
from contracts.features import FEATURE_NAMES
from pipelines.training import export, measures
from pipelines.training.harness import TrainedModel, _no_better, train
from pipelines.training.kinds import KINDS, Choice, Kind
from pipelines.training.normal import Examples
from pipelines.training.search import search
from processors.configured import misfits
from processors.own_features import FeatureCode
from processors.scoring import reconstruction
from tests.training_samples import CODE, Linear, linear_kind, table, wish


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return train(table(), CODE, wish(linear_kind(), seed=3))


def test_the_card_says_what_was_done_and_measured(trained: TrainedModel) -> None:
    card = trained.card
    assert (card.name, card.version, card.kind, card.seed, card.created_by) == ("made", "1", "linear", 3, "a test")
    assert card.sha256 == hashlib.sha256(trained.content).hexdigest()
    assert (card.features, card.code_hash, card.window_count) == (FEATURE_NAMES, CODE, 1)
    assert card.excluded == {"known fault": 200}
    assert card.held_out == "machine M4"
    assert [(span.machine, span.windows, span.learnt) for span in card.data] == [
        ("M1", 180, 110),
        ("M2", 180, 110),
        ("M3", 180, 110),
        ("M4", 180, 0),
    ]
    assert [fold["judged"] for fold in card.folds] == ["M1", "M2", "M3"]
    assert card.metrics["windows"] == 160
    assert card.metrics["auc_known_faults"] is not None
    assert card.metrics["auc_known_faults"] > 0.8
    assert card.export.windows == 160
    assert card.export.largest_difference <= card.export.tolerance


def test_the_card_says_in_words_where_a_model_is_no_better_than_none(trained: TrainedModel) -> None:
    own, plain = (trained.card.metrics[name] for name in ("auc_known_faults", "auc_known_faults_without_model"))
    assert own is not None
    assert plain is not None
    assert any("no better than" in line for line in trained.card.limits) is (own <= plain)
    assert list(_no_better({"auc_known_faults": 0.91, "auc_known_faults_without_model": 0.92})) == [
        "Known faults of the held-out part are told no better than by the root mean of the z's, without any model"
        " (0.910 and 0.920)."
    ]
    assert list(_no_better({"auc_known_faults": 0.93, "auc_known_faults_without_model": 0.92})) == []
    assert list(_no_better({"auc_known_faults": None, "auc_known_faults_without_model": None})) == []


def test_the_same_seed_gives_the_same_file(trained: TrainedModel) -> None:
    again = train(table(), CODE, wish(linear_kind(), seed=3))
    assert again.content == trained.content
    assert again.card == trained.card


def test_the_model_itself_says_what_it_takes(trained: TrainedModel) -> None:
    said = {entry.key: entry.value for entry in onnx.load_from_string(trained.content).metadata_props}
    assert said["faultline.features"].split(",") == list(FEATURE_NAMES)
    assert (said["faultline.code_hash"], said["faultline.window_count"]) == (CODE, "1")


def test_a_written_model_is_loaded_and_scored_where_the_features_are_the_same(
    trained: TrainedModel, tmp_path: Path
) -> None:
    folder = ModelFolder(tmp_path)
    path = folder.add(trained.card, trained.content)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"made.v1.{e}" for e in ("json", "md", "onnx", "sha256")
    ]
    assert folder.load("made", "1", trained.card.sha256) == trained.content
    assert mc.read_card(path) == trained.card
    assert reconstruction.load("made", trained.content).rebuild(np.ones((3, len(FEATURE_NAMES)))).shape == (3, 30)
    with pytest.raises(ConfigurationError, match="versions aren't written over"):
        folder.add(trained.card, trained.content)
    named = AssetConfiguration(
        asset_id="P", site_id="s", name="P", asset_type="pump", models=(ModelReference(name="made", version="1"),)
    )
    assert misfits(named, folder, FeatureCode(CODE)) == {}
    refused = misfits(named, folder, FeatureCode("ffffffffffff"))
    assert refused["made@1"].startswith(f"model made@1 was trained for feature code {CODE}, ffffffffffff is in use")
    assert mc.next_version(tmp_path, "made") == "2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": FEATURE_NAMES[::-1]}, "other features than the catalogue's: the order"),
        ({"features": ("flow",)}, "other features than the catalogue's: flow"),
        ({"catalogue_version": 99}, "catalogue version 99"),
        ({"sha256": "0" * 64}, "expected"),
    ],
)
def test_a_model_of_other_features_is_refused(
    trained: TrainedModel, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    ModelFolder(tmp_path).add(trained.card, trained.content)
    (tmp_path / "made.v1.json").write_bytes(mc.as_json(dataclasses.replace(trained.card, **changes)))
    with pytest.raises(ConfigurationError, match=message):
        ModelFolder(tmp_path).load("made", "1")


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "can't be read"), (b"[]", "can't be read"), (b" " * 1_100_000, "more than 1048576")]
)
def test_a_card_that_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.v1.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        mc.read_card(tmp_path / "m.v1.onnx")


def test_a_card_of_another_form_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "m.v1.json").write_bytes(mc.as_json(dataclasses.replace(trained.card, card_version=2)))
    with pytest.raises(ConfigurationError, match="has version 2, 1 expected"):
        mc.read_card(tmp_path / "m.v1.onnx")


def test_the_card_for_people_has_the_figures(trained: TrainedModel) -> None:
    text = mc.as_markdown(mc.with_run(trained.card, "run-7"))
    for part in (trained.card.sha256, "MLflow run `run-7`", "| M4 | 1970-01-01T00:00:00.000Z |", "held-out", CODE):
        assert part in text


def test_an_export_that_differs_gives_no_model() -> None:
    with pytest.raises(ExportMismatch, match=r"differs by 0\.05 on 160 held-out windows, at most 0\.001 allowed"):
        train(table(), CODE, wish(linear_kind(bias=0.05)))
    with pytest.raises(ExportMismatch, match="differs by nan"):
        train(table(), CODE, wish(linear_kind(bias=float("nan"))))


def test_an_export_of_another_shape_gives_no_model() -> None:
    model = Linear(np.eye(30, 2, dtype=np.float32))
    content = export.as_bytes(model.export(), {}, "m", "1")
    narrow = Linear(np.eye(30, 2, dtype=np.float32)[:, :1])
    x = np.ones((5, 30), dtype=np.float32)
    examples = Examples(x, np.arange(5), np.ones(5, dtype=np.bool_))
    assert export.compared("m", content, model, examples, 1e-6).largest_difference == 0.0
    with pytest.raises(ExportMismatch, match="differs by 1"):
        export.compared("m", content, narrow, examples, 1e-6)
    with pytest.raises(ExportMismatch, match="no held-out window"):
        export.compared("m", content, model, Examples(x[:0], np.arange(0), np.ones(0, dtype=np.bool_)), 1e-6)


def test_classifiers_need_faults() -> None:
    kind = dataclasses.replace(linear_kind(), learns_faults=True)
    with pytest.raises(ConfigurationError, match="and some faulty"):
        train(table(faulty=0), CODE, wish(kind))


def test_without_known_faults_made_ones_are_looked_for() -> None:
    card = train(table(faulty=0), CODE, wish(linear_kind())).card
    assert card.objective == "area under the ROC curve, made faults"
    assert card.metrics["auc_known_faults"] is None
    assert card.metrics["detected_share"] is None
    assert card.metrics["auc_made_faults"] is not None
    assert 0.5 < card.metrics["auc_made_faults"] < 1.0


# --- measures and search ----------------------------------------------------------------------------------------------


def test_the_area_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(1)
    abnormal, normal = np.round(rng.normal(1, 1, 40), 1), np.round(rng.normal(0, 1, 60), 1)
    expected = scipy.stats.mannwhitneyu(abnormal, normal).statistic / 2400
    assert measures.area_under_roc(abnormal, normal) == pytest.approx(expected)
    assert measures.area_under_roc(abnormal[:0], normal) is None


def test_thresholds_are_those_of_the_windows_before() -> None:
    made = table(1, 150, 20)
    examples = Examples(made.values, np.arange(len(made)), made.learnable)
    scores = np.tile(np.arange(150.0), 2)  # each higher than all before
    found = measures.stream_measures(made, examples, scores)
    # the first 99 windows of each channel give no threshold; the 31 healthy ones after them exceed it
    assert found == {"judged_healthy": 62, "false_alarm_share": 1.0, "judged_faulty": 40, "detected_share": 1.0}
    assert measures.stream_measures(made, examples, scores[::-1])["false_alarm_share"] == 0.0


def test_made_faults_raise_some_features_of_the_newest_window() -> None:
    x = np.zeros((50, 4, 30), dtype=np.float32)
    changed = measures.with_made_faults(x, 1)
    assert (changed[:, :-1] == 0).all()
    assert ((changed[:, -1] == measures.RAISED_Z).sum(axis=1) == measures.RAISED_FEATURES).all()
    assert (x == 0).all()


def test_one_trial_takes_the_defaults() -> None:
    told: list[tuple[int, float]] = []
    kind = linear_kind()
    trials = search(
        kind, lambda _s: 0.7, trials=1, seed=1, longest_s=1.0, progress=lambda n, best: told.append((n, best))
    )
    assert [(trial.settings, trial.value) for trial in trials] == [(kind.defaults, 0.7)]
    assert told == [(1, 0.7)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_defaults_lie_within_what_is_searched(kind: Kind) -> None:
    for name, bound in kind.space.items():
        if isinstance(bound, Choice):
            assert kind.defaults[name] in bound.values
        else:
            assert bound.low <= kind.defaults[name] <= bound.high
