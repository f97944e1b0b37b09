"""Training runs in MLflow: settings, metrics, files, a version in the registry, and the stages it goes through.

Invariants: importing this module imports no MLflow (seconds, and not installed by default); a run that wasn't recorded
whole is marked as failed; nothing but what is handed over leaves this process.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from contracts.errors import ConfigurationError, Unavailable
from contracts.model_card import ModelCard
from contracts.models import ModelVersion, Stage

EXPERIMENT: Final = "faultline"
#: The alias of the newest version that was registered, and the stage it begins with.
ALIAS: Final = "candidate"
STAGE: Final = "proposed"
#: Stages that are aliases too: each points at the version that has it.
STAGE_ALIASES: Final = (Stage.STAGED, Stage.CANARY, Stage.PRODUCTION)

_LOUD: Final = ("mlflow", "alembic")
_RETRYING: Final = "urllib3.connectionpool"
_CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """Where a training was recorded."""

    run_id: str
    registered_version: str


class TrainingRuns:
    """Runs and registry of an MLflow tracking server, or of a local SQLite file.

    Parameters
    ----------
    tracking_uri : str
        As ``MLFLOW_TRACKING_URI``: ``https://…`` or ``sqlite:///…``.
    artifacts : Path, optional
        Where a local store keeps files; a server decides by itself.

    Raises
    ------
    ConfigurationError
        If MLflow isn't installed.
    """

    def __init__(self, tracking_uri: str, artifacts: Path | None = None) -> None:
        self._client, self._refusal = _client_of(tracking_uri)
        self._artifacts = artifacts
        try:
            self._experiment = self._find_experiment()
        except self._refusal as error:
            raise _unavailable(error) from None

    def begin(self, name: str, tags: Mapping[str, str]) -> str:
        """Begin a run and return its id."""
        try:
            run_id: str = self._client.create_run(self._experiment, run_name=name, tags=dict(tags)).info.run_id
        except self._refusal as error:
            raise _unavailable(error) from None
        return run_id

    def finish(self, run_id: str, card: ModelCard, files: Sequence[Path], trials: Sequence[float]) -> RecordedRun:
        """Record what a training gave, register the model under its name, and end the run.

        Parameters
        ----------
        run_id : str
            Of `begin`.
        card : ModelCard
            Settings and metrics are taken from it.
        files : sequence of Path
            Model, checksum and card.
        trials : sequence of float
            Values of the search, in order.

        Returns
        -------
        recorded : RecordedRun

        Raises
        ------
        Unavailable
            If MLflow refuses or doesn't answer; the run is marked as failed where that is still possible.
        """
        try:
            for key, value in {
                **card.settings,
                "kind": card.kind,
                "seed": card.seed,
                "held_out": card.held_out,
            }.items():
                self._client.log_param(run_id, key, value)
            for key, number in card.metrics.items():
                if number is not None:
                    self._client.log_metric(run_id, key, number)
            for step, value in enumerate(trials):
                self._client.log_metric(run_id, "trial_value", value, step=step)
            for path in files:
                self._client.log_artifact(run_id, str(path), "model")
            registered = self._register(run_id, card)
            self._client.set_terminated(run_id, "FINISHED")
        except self._refusal as error:
            self.fail(run_id)
            raise _unavailable(error) from None
        return RecordedRun(run_id, registered)

    def fail(self, run_id: str) -> None:
        """Mark a run as failed, where MLflow still answers."""
        try:
            self._client.set_terminated(run_id, "FAILED")
        except self._refusal:
            _log.warning("run_not_ended", run_id=run_id)

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        where = None if self._artifacts is None else self._artifacts.resolve().as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=where))

    def _register(self, run_id: str, card: ModelCard) -> str:
        try:
            self._client.create_registered_model(card.name)
        except self._refusal as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(run_id).info.artifact_uri}/model"
        tags = {"version": card.version, "sha256": card.sha256, "code_hash": card.code_hash, "stage": STAGE}
        version = str(self._client.create_model_version(card.name, source, run_id, tags=tags).version)
        self._client.set_registered_model_alias(card.name, ALIAS, version)
        return version


class RegisteredModels:
    """Versions in MLflow's registry, brought in step with the stages that the database knows.

    Parameters
    ----------
    tracking_uri : str
        As for `TrainingRuns`.

    Raises
    ------
    ConfigurationError
        If MLflow isn't installed.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._client, self._refusal = _client_of(tracking_uri)

    def follow(self, versions: Iterable[ModelVersion]) -> list[str]:
        """Set tag and alias of each registered version to its stage; return what has changed.

        A registered version is known by name, number and SHA-256; others are left alone.

        Parameters
        ----------
        versions : iterable of ModelVersion
            What the database says.

        Returns
        -------
        changes : list of str
            ``name@version stage``.

        Raises
        ------
        Unavailable
            If MLflow refuses or doesn't answer.
        """
        wanted: dict[str, dict[tuple[str, str], ModelVersion]] = {}
        for one in versions:
            wanted.setdefault(one.name, {})[one.version, one.sha256] = one
        try:
            return [change for name, known in wanted.items() for change in self._follow(name, known)]
        except self._refusal as error:
            raise _unavailable(error) from None

    def _follow(self, name: str, known: Mapping[tuple[str, str], ModelVersion]) -> Iterator[str]:
        for entry in self._client.search_model_versions(f"name = '{name}'"):
            one = known.get((entry.tags.get("version", ""), entry.tags.get("sha256", "")))
            if one is None:
                continue
            aliases = self._client.get_registered_model(name).aliases
            has = {alias for alias in STAGE_ALIASES if str(aliases.get(alias)) == str(entry.version)}
            needs = {one.stage} & set(STAGE_ALIASES)
            for alias in sorted(has - needs):
                self._client.delete_registered_model_alias(name, alias.value)
            for alias in sorted(needs - has):
                self._client.set_registered_model_alias(name, alias.value, str(entry.version))
            if entry.tags.get("stage") != one.stage:
                self._client.set_model_version_tag(name, str(entry.version), "stage", one.stage.value)
            if has != needs or entry.tags.get("stage") != one.stage:
                yield f"{one.key} {one.stage}"


def _client_of(tracking_uri: str) -> tuple[Any, type[Exception]]:
    """Return a client and what it raises."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_RETRYING).setLevel(logging.ERROR)  # what it warns of ends in one clear line
    try:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 -- see above
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 -- see above
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} isn't installed: ./faultline bootstrap train") from None
    try:
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri), MlflowException
    except MlflowException as error:
        raise _unavailable(error) from None


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable("MLflow", _CREDENTIALS.sub("//***@", str(error).partition("\n")[0]))
