"""The services that a command works on: those of the environment, those of a running ``up``, or its own for a while."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from runtime.services.local import LocalServices, ServiceStatus, Urls
from runtime.settings import Settings

#: Where a running ``up`` tells other commands its URLs; holds the database's password, so only its owner reads it.
_URLS_FILE: Final = "urls.json"


@contextmanager
def connected(settings: Settings, report: Callable[[ServiceStatus], None]) -> Iterator[Urls]:
    """Give the URLs of Kafka and the database; what isn't there is started, and stopped at the end.

    Parameters
    ----------
    settings : Settings
        URLs set in the environment come first.
    report : callable
        Told what is started and stopped.
    """
    if settings.kafka_url is not None and settings.database_url is not None:
        yield Urls(settings.kafka_url, settings.database_url)
        return
    running = running_urls(settings.data_dir)
    if running is not None:
        yield running
        return
    with LocalServices(settings.data_dir, settings, report) as urls:
        yield urls


@contextmanager
def announced(data_dir: Path, urls: Urls) -> Iterator[None]:
    """Tell other commands the URLs while this process runs."""
    path = data_dir / "run" / _URLS_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), **asdict(urls)}, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_urls(data_dir: Path) -> Urls | None:
    """Return the URLs of a running ``up`` in `data_dir`, if there is one."""
    try:
        told = json.loads((data_dir / "run" / _URLS_FILE).read_text(encoding="utf-8"))
        os.kill(told["pid"], 0)
    except (FileNotFoundError, ProcessLookupError, PermissionError, json.JSONDecodeError, KeyError):
        return None
    return Urls(told["kafka"], told["database"], told.get("search"))
