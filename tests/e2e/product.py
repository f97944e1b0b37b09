"""The product under test: started by its own command, in a folder of its own, and stopped again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from adapters.kafka import LogRecord, read_log
from contracts import records as r
from contracts import topics
from contracts.codec import BundledSchemas, Codec
from runtime.services.places import outside_of
from runtime.settings import PROJECT

CODEC = Codec(BundledSchemas())
FAULTLINE = str(PROJECT / "faultline")
#: Waiting ends here, whatever the machine is busy with.
DEADLINE_S = 180.0


@dataclass
class Product:
    """A running ``faultline up``."""

    folder: Path
    process: subprocess.Popen[str]
    log: Path

    @property
    def urls(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / "run" / "urls.json").read_text(encoding="utf-8"))
        return told

    @property
    def api(self) -> str:
        line = next(line for line in self.output().splitlines() if "API at " in line)
        return line.split("API at ")[1].strip()

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def alarms(self) -> list[tuple[LogRecord, r.AlarmTransition]]:
        found = []
        for record in read_log(self.urls["kafka"], topics.ALARMS):
            transition = CODEC.decode(record.value)
            assert isinstance(transition, r.AlarmTransition)
            found.append((record, transition))
        return found

    def query(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls["database"]) as connection:
            return connection.execute(query, parameters).fetchall()

    def pid(self, name: str) -> int:
        return int(json.loads((self.folder / "run" / f"{name}.pid").read_text(encoding="utf-8"))["pid"])


def wait_for(what: str, condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Return the first true answer of `condition`; fail naming `what` when the deadline passes."""
    ends_s = time.monotonic() + deadline_s
    while time.monotonic() < ends_s:
        with contextlib.suppress(httpx.HTTPError, psycopg.OperationalError, FileNotFoundError, StopIteration):
            answer = condition()
            if answer:
                return answer
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {deadline_s:g} s")


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "FAULTLINE_DATA_DIR": str(folder)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end."""
    return subprocess.run(
        [FAULTLINE, *arguments],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S + 60.0,
        check=False,
    )


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that work in `folder` (by argument or environment)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            if int(entry.name) != os.getpid() and str(folder).encode() in words:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="faultline-e2e-"))
    made.chmod(0o755)  # ours alone; PostgreSQL's user has to enter it
    try:
        yield made
    finally:
        shutil.rmtree(outside_of(made), ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Product]:
    log = folder / "up.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [FAULTLINE, "up"],
            env=environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    product = Product(folder, process, log)
    try:
        wait_for("up", lambda: process.poll() is not None or "everything is up" in product.output())
        assert process.poll() is None, product.output()
        yield product
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60.0)
