"""Settings: the only place that reads the environment.

Every setting has a name, a type and a default that works on a fresh machine; a person sets ``FAULTLINE_<NAME>`` to
change one. A part whose URL is set is used where it is; a part whose URL is absent is started as a local process.
"""

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.errors import ConfigurationError

PROJECT: Final = Path(__file__).resolve().parents[1]
PREFIX: Final = "FAULTLINE_"
#: Folders of kernels, and how long those of other source code are kept.
_VERSION: Final = re.compile(r"[0-9a-f]{16}(\.\d+)?")
_KEPT_S: Final = 30 * 86_400.0

Port = Annotated[int, Field(ge=0, le=65_535)]


class Settings(BaseSettings):
    """What a person may set, as ``FAULTLINE_<NAME>``.

    Parameters
    ----------
    kafka_url : str, optional
        Bootstrap servers, ``host:port[,host:port]``; without it a local broker is started.
    database_url : str, optional
        ``postgresql://…``; without it a local PostgreSQL is started. Holds a password: never shown.
    registry_url : str, optional
        A Confluent-compatible schema registry; without it the bundled schemas serve.
    mqtt_url : str, optional
        ``mqtt[s]://[user:password@]host[:port]``; without it a local broker is started where Mosquitto is installed.
        May hold a password: never shown.
    opensearch_url : str, optional
        ``http(s)://host:port``; without it a local OpenSearch is started. May hold a password: never shown.
    llm_url, llm_key, llm_model : str, optional
        An OpenAI-compatible endpoint (``https://…/v1``), its key, and the model to ask; without a URL answers are
        extracts of the documents.
    llm_timeout_s : float
        How long a model may take for a whole answer; then the extract is given.
    data_dir : Path
        Where everything that Faultline writes lies.
    cache_dir : Path
        Where programs and compiled kernels are kept, for any number of data folders.
    api_host, api_port : str, int
        Where the API listens; port 0 picks a free one.
    log_level : str
        Also shows tracebacks when ``debug``.
    bearings : Path, optional
        A table of the user's own bearings (CSV), beside the bundled catalogue.
    partitions : int
        Partitions of each topic that is created; the bound of scale-out.
    webhook_url, webhook_secret : str, optional
        An endpoint that gets every alarm transition, and the key (``whsec_…``) it is signed with.
    own_features : tuple of str
        The user's own features, ``module:name``, separated by commas.
    development_login : bool
        Whether the loopback-only login without an identity provider is offered.
    mlflow_tracking_uri : str, optional
        ``MLFLOW_TRACKING_URI``, without our prefix: where trainings are recorded; a local file without it. May hold a
        password: never shown.
    java_home : Path, optional
        ``JAVA_HOME``, without our prefix: where Java lies when it isn't on the path.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    kafka_url: str | None = None
    database_url: str | None = Field(default=None, repr=False)
    registry_url: str | None = None
    mqtt_url: str | None = Field(default=None, repr=False)
    opensearch_url: str | None = Field(default=None, repr=False)
    llm_url: str | None = None
    llm_key: SecretStr | None = None
    llm_model: str = "default"
    llm_timeout_s: Annotated[float, Field(gt=0.0, le=120.0)] = 20.0
    data_dir: Path = PROJECT / ".faultline"
    cache_dir: Path = PROJECT / ".faultline" / "cache"
    api_host: str = "127.0.0.1"
    api_port: Port = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    bearings: Path | None = None
    partitions: Annotated[int, Field(ge=1, le=1024)] = 4
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    own_features: Annotated[tuple[str, ...], NoDecode] = ()
    development_login: bool = True
    mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI", repr=False)
    java_home: Path | None = Field(default=None, validation_alias="JAVA_HOME")

    @field_validator("own_features", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    ConfigurationError
        A variable has a value that its setting doesn't take; the message names it, without the value (it may be
        a secret).
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"{_variable(str(e['loc'][0]))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(f"the environment has a wrong setting: {problems}") from None


def restrain_mlflow() -> None:
    """Set what MLflow reads at its import, where the environment doesn't: no telemetry, no retries for minutes."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def child_environment(additions: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the environment for a child process of ours: this process's, `additions`, and a folder for Numba's cache.

    Parameters
    ----------
    additions : Mapping[str, str]
        Variables to set, e.g. the URLs of services that were started.
    settings : Settings
        The settings of this process.

    Returns
    -------
    environment : dict[str, str]
    """
    ours = {
        f"{PREFIX}DATA_DIR": str(settings.data_dir.absolute()),
        f"{PREFIX}CACHE_DIR": str(settings.cache_dir.absolute()),
        "NUMBA_CACHE_DIR": str(settings.cache_dir.absolute() / "numba"),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([str(PROJECT), *_own_paths()])),
        "PYTHONSAFEPATH": "1",
    }
    return {**os.environ, **ours, **additions}


def keep_kernels_apart() -> None:
    """Let Numba keep its compiled code below a folder named after the source code of the core.

    A kernel holds the code of all that it calls, but Numba compares the time of its own file alone: after an update it
    would load kernels of which a part is the old one's. To be called before a kernel is imported. Those of other
    versions that haven't been used for a month are removed.
    """
    base = Path(os.environ.get("NUMBA_CACHE_DIR", str(PROJECT / ".faultline" / "cache" / "numba")))
    digest = hashlib.sha256()
    for source in sorted((PROJECT / "processors").rglob("*.py")):
        digest.update(source.relative_to(PROJECT).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    name = digest.hexdigest()[:16]
    folder = base if base.name == name else base / name
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    with contextlib.suppress(OSError):  # where nothing can be written Numba says so itself
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # in use
        _forget_unused(folder.parent, time.time() - _KEPT_S)


def _forget_unused(base: Path, before_s: float) -> None:
    """Remove the kernels of other source code that no process has begun to use since a time.

    Taken out of the way first: who begins to use them at this moment compiles them anew.
    """
    for folder in base.iterdir():
        if _VERSION.fullmatch(folder.name) and folder.stat().st_mtime < before_s:
            gone = folder.with_name(f"{folder.name[:16]}.{os.getpid()}")
            with contextlib.suppress(FileNotFoundError):  # another process was first
                folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)


def _own_paths() -> list[str]:
    """Return where the user's modules lie, so that a child finds the user's own features too."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _variable(name: str) -> str:
    return name if name.isupper() else f"{PREFIX}{name.upper()}"
