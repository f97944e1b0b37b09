"""Real brokers and a real forwarder process for the edge's tests; everything is stopped on the way out."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.services.folder import ProjectFolder
from runtime.services.identity import wait_until
from runtime.services.local import LocalServices, Urls
from runtime.services.mosquitto import Mosquitto, find_mosquitto
from runtime.services.places import outside_of
from runtime.services.processes import ChildProcess, Supervisor
from runtime.settings import PROJECT, Settings


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that an unprivileged broker can enter."""
    folder = Path(tempfile.mkdtemp(prefix="faultline-edge-"))
    folder.chmod(0o755)  # ours alone
    try:
        yield folder
    finally:
        shutil.rmtree(outside_of(folder), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def mosquitto() -> Iterator[str]:
    """Give the URL of a broker of one's own; the test is skipped where the program isn't installed."""
    program = find_mosquitto()
    if program is None:
        pytest.skip("Mosquitto isn't installed (Debian: apt-get install mosquitto)")
    with temporary_folder() as path, ProjectFolder(path) as folder:
        supervisor = Supervisor(folder.run)
        service = Mosquitto(folder, program)
        try:
            supervisor.start(service.prepare(lambda _text: None)).await_ready()
            yield service.url
        finally:
            supervisor.stop()


class KafkaOfOnesOwn:
    """A broker that a test may kill and start again."""

    def __init__(self, services: LocalServices, urls: Urls) -> None:
        self._services = services
        self.bootstrap = urls.kafka

    @property
    def _child(self) -> ChildProcess:
        return next(child for child in self._services.supervisor.children if child.spec.name == "kafka")

    def kill(self) -> None:
        """End it without a warning."""
        child = self._child
        os.kill(child.pid, signal.SIGKILL)
        assert wait_until(lambda: child.returncode is not None, 10.0, 0.02)

    def start(self) -> None:
        """Start it again, with its data, on its port."""
        self._services.supervisor.start(self._child.spec).await_ready()


@contextlib.contextmanager
def kafka() -> Iterator[KafkaOfOnesOwn]:
    """Give a broker of one's own."""
    with temporary_folder() as folder:
        services = LocalServices(folder, Settings(database_url="unused:1", kafka_url=None), lambda _status: None)
        with services as urls:
            yield KafkaOfOnesOwn(services, urls)


class ForwarderProcess:
    """``faultline forwarder`` as a process of its own."""

    def __init__(self, folder: Path, site: str, kafka_url: str, mqtt_url: str) -> None:
        self.folder = folder
        self._site = site
        self._urls = {"FAULTLINE_KAFKA_URL": kafka_url, "FAULTLINE_MQTT_URL": mqtt_url}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it takes records."""
        (self.folder / "buffer" / "status.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "runtime", "forwarder", "--site", self._site]
        command += ["--folder", str(self.folder / "buffer"), "--segment-mib", "0.25"]
        with (self.folder / "forwarder.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**os.environ, **self._urls},
                stdout=log,
                stderr=log,
            )
        assert wait_until(lambda: bool(self.status().get("ready")), 60.0, 0.05), self.log()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30.0)

    def status(self) -> dict[str, Any]:
        """Return what it says of itself; nothing where it doesn't."""
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads((self.folder / "buffer" / "status.json").read_text(encoding="utf-8"))
            return told
        return {}

    def log(self) -> str:
        """Return its log."""
        return (self.folder / "forwarder.log").read_text(encoding="utf-8")


@contextlib.contextmanager
def forwarder(site: str, kafka_url: str, mqtt_url: str) -> Iterator[ForwarderProcess]:
    """Give a forwarder that runs; killed on the way out if it still does."""
    with temporary_folder() as folder:
        process = ForwarderProcess(folder, site, kafka_url, mqtt_url)
        try:
            process.start()
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                process.stop(signal.SIGKILL)
