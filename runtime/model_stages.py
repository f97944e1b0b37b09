"""The stages of models, told to MLflow: the database is the truth, and MLflow follows it as far as it can.

Invariants: nothing that MLflow does or lacks makes a step fail; what it missed is told with the next step.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from adapters.mlflow import RegisteredModels
from contracts.models import ModelVersion
from runtime.settings import Settings, restrain_mlflow

_LOCAL: Final = "sqlite:///"


def tracking_uri(settings: Settings) -> str:
    """Return where trainings are recorded: ``MLFLOW_TRACKING_URI``, or a file below the data folder."""
    return settings.mlflow_tracking_uri or f"{_LOCAL}{settings.data_dir.absolute() / 'mlflow' / 'mlflow.db'}"


def tell_mlflow(settings: Settings, versions: Iterable[ModelVersion]) -> str:
    """Bring MLflow's registry in step with the stages of versions; return a line that says what has become of it.

    Parameters
    ----------
    settings : Settings
        Say where MLflow is.
    versions : iterable of ModelVersion
        All that the database knows.

    Returns
    -------
    note : str
        ``pumps@2 staged``, that nothing is registered, or why MLflow wasn't told.
    """
    uri = tracking_uri(settings)
    if uri.startswith(_LOCAL) and not Path(uri.removeprefix(_LOCAL)).is_file():
        return "no training is recorded in MLflow"
    restrain_mlflow()
    try:
        changes = RegisteredModels(uri).follow(versions)
    except Exception as error:  # noqa: BLE001 -- the step is taken: whatever MLflow trips over is a note
        return f"not told: {error}; the next step tells it"
    return ", ".join(changes) or "nothing to tell"
