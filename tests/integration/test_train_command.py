"""``faultline train`` as a person runs it: help, refusals, and a model with card and run."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import ConfigurationError
from contracts.model_card import read_card
from pipelines.training.table_files import read_table, save_table
from runtime.commands.train import train
from runtime.feature_code import code_hash
from runtime.settings import PROJECT
from tests.training_samples import table

LACKING = [name for name in ("sklearn", "optuna", "mlflow") if importlib.util.find_spec(name) is None]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a table of features, in which commands run."""
    save_table(dataclasses.replace(table(3, 60, 20), code_hash=code_hash()), tmp_path / "made.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAULTLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("FAULTLINE_DATABASE_URL", raising=False)
    return tmp_path


def test_the_help_teaches() -> None:
    shown = " ".join(CliRunner().invoke(train, ["--help"]).stdout.split())
    for part in ("./faultline train autoencoder --data femto.npz", "gradient-boosting", "bootstrap train", "replay"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["autoencoder"], "either --data with files, or --asset"),
        (["autoencoder", "--data", "."], "needs --format femto|skab|tep|nab"),
        (["autoencoder", "--data", ".", "--format", "cwru"], "format 'cwru'"),
        (["autoencoder", "--asset", "P-1"], "set FAULTLINE_DATABASE_URL"),
        (["autoencoder", "--data", "none.csv"], "none.csv doesn't exist"),
        (["autoencoder", "--data", "made.npz", "--hold-out", "M9", "--no-mlflow"], "there are M1, M2, M3"),
        (["autoencoder", "--data", "made.npz", "--name", "No!"], "can't name a model"),
        (["features", "--data", "made.npz", "--out", "made.csv"], "written as .npz"),
    ],
)
def test_what_is_wrong_is_said(made: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(train, arguments)
    assert isinstance(done.exception, ConfigurationError)
    assert message in str(done.exception)
    assert not (made / "data").exists()


def test_a_table_is_fetched_and_written(made: Path) -> None:
    done = CliRunner().invoke(train, ["features", "--data", "made.npz", "--out", "again.npz", "--json"])
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["windows"], said["machines"], said["learnable"]) == (360, ["M1", "M2", "M3"], 240)
    assert read_table(made / "again.npz").values.tobytes() == read_table(made / "made.npz").values.tobytes()


@pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}; ./faultline bootstrap train")
def test_a_model_is_trained_written_and_recorded(made: Path) -> None:
    wanted = ("isolation-forest", "--data", "made.npz", "--out", "models", "--name", "pumps", "--trials", "3", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "runtime", "train", *wanted, "--seed", "4"],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "MLFLOW_TRACKING_URI": f"sqlite:///{made / 'own.db'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["model"], said["version"], said["seed"], len(said["trials"])) == ("pumps", "1", 4, 3)
    card = read_card(made / "models" / "pumps.v1.onnx")
    assert card is not None
    assert (card.sha256, card.run_id, card.metrics) == (said["sha256"], said["run_id"], said["metrics"])
    with contextlib.closing(sqlite3.connect(made / "own.db")) as database:
        rows = database.execute("SELECT status FROM runs WHERE run_uuid = ?", [said["run_id"]]).fetchall()
        names = database.execute("SELECT name, version FROM model_versions").fetchall()
    assert rows == [("FINISHED",)]
    assert names == [("pumps", 1)]
    artifacts = made / "data" / "mlflow" / "artifacts" / said["run_id"] / "artifacts" / "model"
    assert sorted(file.suffix for file in artifacts.iterdir()) == [".json", ".md", ".onnx", ".sha256"]
    assert not (made / "mlruns").exists()
