"""A training put together: data from where it is asked for, the model written, the run recorded."""

import asyncio
import datetime as dt
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from adapters.mlflow import TrainingRuns
from adapters.models import ModelFolder
from adapters.timescale.database import Database
from contracts.errors import ConfigurationError
from contracts.model_card import file_stem, next_version, with_run
from pipelines.training.harness import Progress, TrainedModel, Wish, train
from pipelines.training.history import read_history
from pipelines.training.kinds import KINDS, Kind
from pipelines.training.recorded import FORMATS, read_recorded
from pipelines.training.table import FeatureTable
from pipelines.training.table_files import read_table, with_faults
from processors.own_features import FeatureCode
from runtime.connect import running_urls
from runtime.model_stages import tracking_uri
from runtime.settings import Settings, restrain_mlflow

#: Windows from which each series' normal is learnt: an asset's default, and what the public series' protocols grant.
BASELINE_WINDOWS: Final = 10
_BASELINE_BY_FORMAT: Final = {"skab": 400, "tep": 160, "nab": 400}
_PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")

Reading = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is trained on: a file or folder, or assets of the history between two times (UTC ns)."""

    path: Path | None = None
    file_format: str | None = None
    assets: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None
    faults: Path | None = None

    @property
    def baseline_windows(self) -> int:
        """Return the windows from which each series' normal is learnt, where nothing else is asked for."""
        return _BASELINE_BY_FORMAT.get(self.file_format or "", BASELINE_WINDOWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a training left: the model, its file, and where its run was recorded (null where it wasn't)."""

    trained: TrainedModel
    path: Path
    registered_version: str | None

    def as_object(self) -> dict[str, Any]:
        """Return it for JSON."""
        card = self.trained.card
        return {
            "model": card.name,
            "version": card.version,
            "kind": card.kind,
            "sha256": card.sha256,
            "path": str(self.path),
            "card": str(self.path.with_suffix(".json")),
            "card_markdown": str(self.path.with_suffix(".md")),
            "code_hash": card.code_hash,
            "held_out": card.held_out,
            "metrics": card.metrics,
            "folds": list(card.folds),
            "settings": card.settings,
            "seed": card.seed,
            "trials": [{"value": trial.value, "settings": dict(trial.settings)} for trial in self.trained.trials],
            "largest_difference": card.export.largest_difference,
            "tolerance": card.export.tolerance,
            "run_id": card.run_id,
            "registered_version": self.registered_version,
        }


def read_data(data: Data, settings: Settings, code: FeatureCode, reading: Reading) -> FeatureTable:
    """Return the table that is asked for.

    Raises
    ------
    ConfigurationError
        If it isn't said whole what to train on, or it can't be read; and as the readers.
    """
    if (data.path is None) == (not data.assets):
        raise ConfigurationError("either --data with files, or --asset with --from and --to, says what to train on")
    if data.path is None:
        table = _history(data, settings, code)
    elif data.path.is_dir() or data.file_format is not None:
        if data.file_format is None or not data.path.is_dir():
            raise ConfigurationError(f"{data.path}: a folder of recordings needs --format {'|'.join(FORMATS)}")
        table = read_recorded(data.path, data.file_format, code, reading)
    else:
        table = read_table(data.path)
    return table if data.faults is None else with_faults(table, data.faults)


def train_and_record(
    table: FeatureTable, code: FeatureCode, wish: Wish, folder: Path, runs: TrainingRuns | None, progress: Progress
) -> Recorded:
    """Train, write the model with its card into `folder`, and record the run.

    Raises
    ------
    Unavailable
        If MLflow doesn't answer; a model that was trained by then is written all the same.
    """
    run_id = None if runs is None else runs.begin(f"{wish.name} {wish.version}", {"code_hash": code.code_hash})
    try:
        trained = train(table, code.code_hash, wish, progress)
    except BaseException:
        if runs is not None and run_id is not None:
            runs.fail(run_id)
        raise
    if run_id is not None:
        trained = replace(trained, card=with_run(trained.card, run_id))
    path = ModelFolder(folder).add(trained.card, trained.content)
    registered = None
    if runs is not None and run_id is not None:
        files = [path.with_suffix(ending) for ending in (".onnx", ".sha256", ".json", ".md")]
        registered = runs.finish(run_id, trained.card, files, [trial.value for trial in trained.trials])
    return Recorded(
        trained=trained, path=path, registered_version=None if registered is None else registered.registered_version
    )


def training_runs(settings: Settings) -> TrainingRuns:
    """Return where trainings are recorded: the server of the environment, or a file below the data folder."""
    restrain_mlflow()
    uri, folder = tracking_uri(settings), settings.data_dir.absolute() / "mlflow"
    if not uri.startswith("sqlite:"):
        return TrainingRuns(uri)
    folder.mkdir(parents=True, exist_ok=True)  # a local file has no place for files of its own
    return TrainingRuns(uri, folder / "artifacts")


def kind_of(name: str, factory: str | None, window_count: int) -> Kind:
    """Return a kind by name; ``torch`` is made of the function that `factory` names, ``module:name``.

    Raises
    ------
    ConfigurationError
        If the function can't be loaded, or PyTorch isn't installed.
    """
    if name != "torch":
        return KINDS[name]
    from pipelines.training.torch_models import torch_kind  # noqa: PLC0415 -- only where it is asked for

    if factory is None or not _PATH.fullmatch(factory):
        raise ConfigurationError(f"--factory {factory!r}: module:name is needed, e.g. my_plant.models:build")
    module_name, _, attribute = factory.partition(":")
    try:
        build = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # the module is the user's: it may raise anything
        raise ConfigurationError(f"--factory {factory!r} can't be loaded: {type(error).__name__}: {error}") from error
    return torch_kind(build, window_count)


def version_for(folder: Path, name: str, version: str | None) -> str:
    """Return the version asked for, or the next whole number.

    Raises
    ------
    ConfigurationError
        If name or version can't name a model, or that version is there already.
    """
    chosen = next_version(folder, name) if version is None else version
    path = folder / f"{file_stem(name, chosen)}.onnx"
    if path.exists():
        raise ConfigurationError(f"model {path} is there already: versions aren't written over")
    return chosen


def now_text() -> str:
    """Return the time of now, as cards have it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _history(data: Data, settings: Settings, code: FeatureCode) -> FeatureTable:
    running = running_urls(settings.data_dir)
    url = settings.database_url or (None if running is None else running.database)
    if url is None:
        raise ConfigurationError("no database: set FAULTLINE_DATABASE_URL, or start ./faultline up")
    if data.from_ns is None or data.to_ns is None:
        raise ConfigurationError("--asset needs a span of its history: --from and --to, e.g. 2026-01-31T08:00:00Z")
    if data.from_ns >= data.to_ns:
        raise ConfigurationError("--asset needs --from before --to")
    from_ns, to_ns = data.from_ns, data.to_ns

    async def read() -> FeatureTable:
        async with Database(url) as database:
            return await read_history(database, data.assets, data.points or None, from_ns, to_ns, code.code_hash)

    return asyncio.run(read())
