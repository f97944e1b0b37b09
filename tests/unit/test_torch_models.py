"""A PyTorch model of the user's own: trained, exported, compared, registered, scored; skipped without PyTorch."""

import dataclasses
import importlib.util
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError, ExportMismatch
from contracts.features import FEATURE_NAMES
from pipelines.training.harness import train
from pipelines.training.table_files import save_table
from processors.own_features import ENGINE_ALONE
from processors.scoring import AssetScoring, reconstruction
from runtime.commands.train import train as train_command
from runtime.feature_code import code_hash
from runtime.model_gate import examine
from tests.training_samples import CODE, SECOND_NS, table, wish

torch: Any = pytest.importorskip("torch", reason="PyTorch isn't installed: ./faultline bootstrap torch")
Module: Any = torch.nn.Module

# the exporter of Torch Script speaks of its end with every call
pytestmark = pytest.mark.filterwarnings("ignore")
LACKING = [name for name in ("optuna", "mlflow") if importlib.util.find_spec(name) is None]
N_FEATURES = len(FEATURE_NAMES)


def narrow(n_features: int, window_count: int) -> Any:
    """Return a module that rebuilds one window from eight numbers."""
    del window_count
    return torch.nn.Sequential(torch.nn.Linear(n_features, 8), torch.nn.Tanh(), torch.nn.Linear(8, n_features))


class Recurrent(Module):  # type: ignore[misc]
    """Rebuilds the newest of some windows from what a recurrent layer remembers of all of them."""

    def __init__(self, n_features: int, window_count: int) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv1d(n_features, 16, min(3, window_count))
        self.memory = torch.nn.GRU(16, 16, batch_first=True)
        self.out = torch.nn.Linear(16, n_features)

    def forward(self, x: Any) -> Any:
        seen = torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2)
        return self.out(self.memory(seen)[0][:, -1])


class Answering(Module):  # type: ignore[misc]
    """Answers as it is told."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(N_FEATURES, N_FEATURES)
        self.answer = answer

    def forward(self, x: Any) -> Any:
        return self.answer(self.layer(x))


def kind(build: Any, window_count: int = 1, steps: int = 60) -> Any:
    from pipelines.training.torch_models import torch_kind

    one = torch_kind(build, window_count)
    return dataclasses.replace(one, defaults={**one.defaults, "steps": steps})


@pytest.mark.parametrize(("build", "window_count"), [(narrow, 1), (Recurrent, 16)])
def test_a_module_is_trained_exported_compared_and_scores_in_the_stream(build: Any, window_count: int) -> None:
    first, again = (train(table(3, 150), CODE, wish(kind(build, window_count), seed=3)) for _ in range(2))
    assert again.content == first.content
    assert first.card.export.largest_difference < 1e-4
    assert (first.card.window_count, first.card.kind) == (window_count, "torch")
    known = first.card.metrics["auc_known_faults"]
    assert known is not None
    assert known > 0.75
    model = ModelReference(name="own", version="1")
    pump = AssetConfiguration(asset_id="P", site_id="s", name="P", asset_type="pump", models=(model,))
    scoring = AssetScoring.build(pump, ("DE",), {"own@1": first.content}, None)
    rng, may = np.random.default_rng(4), np.ones(1, dtype=np.bool_)
    for number in range(10 + window_count + 99):
        x = (10.0 + rng.standard_normal((1, N_FEATURES))).astype(np.float32)
        ((_, healthy),) = scoring.score(x, "r", may, number * SECOND_NS)
    assert healthy.value is not None
    ((_, worse),) = scoring.score(4.0 * x, "r", ~may, (number + 1) * SECOND_NS)
    assert worse.value is not None
    assert worse.threshold is not None
    assert worse.value > worse.threshold > 0.0
    assert worse.explanation


@pytest.mark.parametrize(
    ("build", "refusal"),
    [
        (lambda _n, _t: 3, r"built a int, a torch\.nn\.Module is needed"),
        (lambda n, _t: torch.nn.Linear(n + 1, n), "your module can't be asked: RuntimeError"),
        (lambda n, _t: torch.nn.Linear(n, 4), r"gives shape \(2, 4\) for \(2, 30\); .* is needed, \(2, 30\)"),
        (lambda _n, _t: torch.nn.Identity(), "can't be trained: ValueError: optimizer got an empty parameter list"),
        (lambda _n, _t: 1 // 0, "can't be built: ZeroDivisionError"),
        (lambda _n, _t: Answering(torch.special.bessel_j0), "can't be exported: UnsupportedOperatorError"),
    ],
    ids=["no module", "other input", "other output", "nothing to train", "fails", "no ONNX form"],
)
def test_a_wrong_module_is_refused_with_one_line(build: Any, refusal: str) -> None:
    with pytest.raises(ConfigurationError, match=refusal):
        train(table(), CODE, wish(kind(build, steps=2)))


@pytest.mark.parametrize(
    "answer",
    [
        lambda y: y + torch.rand_like(y),
        lambda y: y + (1.0 if len(y) > 10 else 0.0),  # the number of rows is frozen into the export
        lambda y: torch.log(y - 1e3),
    ],
    ids=["random", "by the batch", "NaN"],
)
def test_a_module_whose_export_is_another_is_refused(answer: Any) -> None:
    with pytest.raises(ExportMismatch, match="the exported model differs by"):
        train(table(), CODE, wish(kind(lambda _n, _t: Answering(answer), steps=2)))


@pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}; ./faultline bootstrap train")
def test_the_command_trains_registers_and_writes_what_the_stream_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_table(dataclasses.replace(table(3, 90, 20), code_hash=code_hash()), tmp_path / "made.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAULTLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'own.db'}")
    wanted = ["torch", "--factory", "tests.unit.test_torch_models:narrow", "--data", "made.npz", "--out", "models"]
    done = CliRunner().invoke(train_command, [*wanted, "--name", "brought", "--trials", "1", "--json"])
    assert done.exception is None, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["model"], said["kind"], said["registered_version"]) == ("brought", "torch", "1")
    content = (tmp_path / said["path"]).read_bytes()
    assert examine("brought@1", content, None, ENGINE_ALONE) == code_hash()
    assert reconstruction.load("brought@1", content).window_count == 1
    database = sqlite3.connect(tmp_path / "own.db")
    assert database.execute("SELECT name, version FROM model_versions").fetchall() == [("brought", 1)]
    database.close()
