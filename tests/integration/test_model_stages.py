"""MLflow follows the stages of models: tag and alias of what is registered there, and a note where it can't."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.mlflow import ALIAS
from contracts.models import ModelVersion, Stage
from runtime.model_stages import tell_mlflow, tracking_uri
from runtime.settings import Settings

#: MLflow's own, about the libraries it stands on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MLFLOW = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="not installed: mlflow; ./faultline bootstrap train"
)
FIRST, SECOND = (
    ModelVersion(name="pumps", version=number, sha256=number * 64, feature_hash="f", slot="reference")
    for number in ("1", "2")
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Settings(data_dir=tmp_path)


@pytest.fixture
def client(settings: Settings, tmp_path: Path) -> Any:
    """Give a client of a local store where both versions are registered as training registers them."""
    from mlflow.tracking import MlflowClient

    (tmp_path / "mlflow").mkdir()
    made = MlflowClient(tracking_uri=tracking_uri(settings), registry_uri=tracking_uri(settings))
    made.create_registered_model("pumps")
    for one in (FIRST, SECOND):
        tags = {"version": one.version, "sha256": one.sha256, "stage": "proposed"}
        registered = made.create_model_version("pumps", (tmp_path / "model").as_uri(), tags=tags)
        made.set_registered_model_alias("pumps", ALIAS, registered.version)
    return made


def at(one: ModelVersion, stage: Stage) -> ModelVersion:
    return dataclasses.replace(one, stage=stage)


def told(client: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the stage of each version, and where the aliases point."""
    stages = {str(one.version): one.tags["stage"] for one in client.search_model_versions("name = 'pumps'")}
    aliases = {alias: str(v) for alias, v in client.get_registered_model("pumps").aliases.items()}
    return stages, aliases


@MLFLOW
def test_tags_and_aliases_follow_the_stages(settings: Settings, client: Any) -> None:
    assert tell_mlflow(settings, [FIRST, SECOND]) == "nothing to tell"
    assert tell_mlflow(settings, [at(FIRST, Stage.REVIEWED), SECOND]) == "pumps@1 reviewed"
    assert told(client) == ({"1": "reviewed", "2": "proposed"}, {ALIAS: "2"})
    assert tell_mlflow(settings, [at(FIRST, Stage.PRODUCTION), at(SECOND, Stage.CANARY)]).split(", ") == [
        "pumps@2 canary",
        "pumps@1 production",
    ]
    assert told(client)[1] == {ALIAS: "2", "canary": "2", "production": "1"}
    # the second takes over, the first goes on in shadow; what MLflow missed in between is told too
    tell_mlflow(settings, [at(FIRST, Stage.STAGED), at(SECOND, Stage.PRODUCTION)])
    assert told(client) == ({"1": "staged", "2": "production"}, {ALIAS: "2", "staged": "1", "production": "2"})
    tell_mlflow(settings, [at(FIRST, Stage.SUNSET), at(SECOND, Stage.PRODUCTION)])
    assert told(client) == ({"1": "sunset", "2": "production"}, {ALIAS: "2", "production": "2"})
    assert tell_mlflow(settings, [at(FIRST, Stage.SUNSET), at(SECOND, Stage.PRODUCTION)]) == "nothing to tell"


@MLFLOW
def test_what_is_not_registered_is_left_alone(settings: Settings, client: Any) -> None:
    other = dataclasses.replace(FIRST, stage=Stage.PRODUCTION, sha256="f" * 64)
    stranger = dataclasses.replace(FIRST, stage=Stage.PRODUCTION, name="fans")
    assert tell_mlflow(settings, [other, stranger]) == "nothing to tell"
    assert told(client) == ({"1": "proposed", "2": "proposed"}, {ALIAS: "2"})


@MLFLOW
def test_mlflow_that_does_not_answer_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    note = tell_mlflow(Settings(data_dir=tmp_path), [FIRST])
    assert note.startswith("not told: MLflow")
    assert "secret" not in note


def test_without_a_recorded_training_nothing_is_made(settings: Settings, tmp_path: Path) -> None:
    assert tell_mlflow(settings, [FIRST]) == "no training is recorded in MLflow"
    assert list(tmp_path.iterdir()) == []


def test_mlflow_that_is_not_installed_is_a_note(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").touch()
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for name in [name for name in sys.modules if name.startswith("mlflow.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "./faultline bootstrap train" in tell_mlflow(settings, [FIRST])
