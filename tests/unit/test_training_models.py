"""The kinds of models, each trained, exported and compared; skipped where the group ``train`` isn't installed."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import ConfigurationError, Unavailable
from pipelines.training.harness import train
from pipelines.training.kinds import KINDS, Kind
from pipelines.training.search import search
from processors.scoring import reconstruction
from runtime.training import kind_of, version_for
from tests.training_samples import CODE, linear_kind, table, wish

GROUP = ("jax", "optax", "sklearn", "skl2onnx", "optuna", "mlflow")
LACKING = [name for name in GROUP if importlib.util.find_spec(name) is None]
needs_group = pytest.mark.skipif(
    bool(LACKING), reason=f"not installed: {', '.join(LACKING)}; ./faultline bootstrap train"
)


def quick(kind: Kind) -> Kind:
    import dataclasses

    smaller = {"steps": 100, "trees": 20, "hidden": 16, "blocks": 2}
    return dataclasses.replace(
        kind, defaults={**kind.defaults, **{name: v for name, v in smaller.items() if name in kind.defaults}}
    )


@needs_group
@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_kind_is_trained_exported_and_equal(kind: Kind) -> None:
    first, again = (train(table(3, 110), CODE, wish(quick(kind), seed=5)) for _ in range(2))
    assert again.content == first.content
    assert first.card.export.largest_difference < 1e-4
    assert first.card.window_count == kind.window_count
    known = first.card.metrics["auc_known_faults"]
    assert known is not None
    assert known > 0.75
    scorer = reconstruction.load("m", first.content)
    assert scorer.window_count == kind.window_count
    z = np.random.default_rng(1).normal(scale=3.0, size=(40, kind.window_count, 30))
    z = z[:, 0] if kind.window_count == 1 else z
    alone = np.concatenate([scorer.rebuild(row[np.newaxis]) for row in z])
    assert scorer.rebuild(z).tobytes() == alone.tobytes()


@needs_group
def test_the_forest_scores_in_the_stream_as_where_it_was_fitted() -> None:
    from pipelines.training import trees

    x = np.random.default_rng(2).normal(size=(300, 30)).astype(np.float32)
    forest = trees.isolation_forest(x, KINDS["isolation-forest"].defaults, 1)
    scorer = reconstruction.load("forest", forest.export().SerializeToString(deterministic=True))
    probe = reconstruction.as_seen(np.concatenate([x[:20], 3 * x[20:40]]))
    np.testing.assert_allclose(
        reconstruction.root_mean(scorer.rebuild(probe.astype(np.float64))), forest.score(probe), atol=1e-5
    )


@needs_group
def test_the_search_is_bounded_and_repeatable() -> None:
    kind = KINDS["autoencoder"]

    def judge(settings: Any) -> float:
        return -abs(float(settings["noise"]) - 0.8)

    def run(seed: int, trials: int = 12) -> list[Any]:
        return search(kind, judge, trials=trials, seed=seed, longest_s=60.0, progress=lambda _n, _best: None)

    first, again, other = run(1), run(1), run(2)
    assert first == again != other
    assert len(first) == 12
    assert first[0].settings == kind.defaults
    assert max(trial.value for trial in first) > first[0].value
    assert len(search(kind, judge, trials=10_000, seed=1, longest_s=0.05, progress=lambda _n, _b: None)) < 10_000


@needs_group
@pytest.mark.filterwarnings("ignore")
def test_runs_are_recorded_with_files_metrics_and_a_registered_version(tmp_path: Path) -> None:
    from adapters.mlflow import ALIAS, TrainingRuns
    from adapters.models import ModelFolder
    from contracts.model_card import with_run
    from runtime.settings import restrain_mlflow

    restrain_mlflow()
    runs = TrainingRuns(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    client: Any = runs._client
    for version in ("1", "2"):
        run_id = runs.begin(f"made {version}", {"code_hash": CODE})
        trained = train(table(), CODE, wish(linear_kind(), version=version))
        card = with_run(trained.card, run_id)
        path = ModelFolder(tmp_path / "models").add(card, trained.content)
        files = [path.with_suffix(ending) for ending in (".onnx", ".json", ".md", ".sha256")]
        recorded = runs.finish(run_id, card, files, [0.5, 0.7])
        assert recorded.registered_version == version
        run = client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.data.metrics["auc_known_faults"] == pytest.approx(card.metrics["auc_known_faults"])
        assert run.data.params["inner"] == "6"
        assert len(client.get_metric_history(run_id, "trial_value")) == 2
        assert len(client.list_artifacts(run_id, "model")) == 4
        registered = client.get_model_version_by_alias("made", ALIAS)
        assert (str(registered.version), registered.tags["sha256"], registered.tags["stage"]) == (
            version,
            card.sha256,
            "proposed",
        )
    failing = runs.begin("ends early", {})
    runs.fail(failing)
    assert client.get_run(failing).info.status == "FAILED"
    with pytest.raises(Unavailable, match="MLflow"):
        runs.finish("0" * 32, card, [], [])


def test_torch_is_asked_for_where_it_is_missing() -> None:
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("PyTorch is installed here")
    with pytest.raises(ConfigurationError, match="torch isn't installed; it is yours to bring"):
        kind_of("torch", "tests.training_samples:linear_kind", 1)
    with pytest.raises(ConfigurationError, match="module:name is needed"):
        kind_of("torch", "linear", 1)
    with pytest.raises(ConfigurationError, match="can't be loaded: ModuleNotFoundError"):
        kind_of("torch", "no_such_module:build", 1)


def test_versions_go_on_and_are_never_written_over(tmp_path: Path) -> None:
    assert version_for(tmp_path, "pumps", None) == "1"
    (tmp_path / "pumps.v2.onnx").write_bytes(b"")
    assert version_for(tmp_path, "pumps", None) == "3"
    with pytest.raises(ConfigurationError, match="is there already"):
        version_for(tmp_path, "pumps", "2")
    with pytest.raises(ConfigurationError, match="can't name a model"):
        version_for(tmp_path, "../pumps", None)
