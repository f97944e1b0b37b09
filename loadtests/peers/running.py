"""One program of the side-by-side run as a process on a core of its own."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from contracts.errors import Unavailable
from loadtests.machine import pinned
from loadtests.peers.job import Orders

_STOP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """What is measured: its name, and the command, which is given the orders and then `options`."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    options: Sequence[str] = ()


class Running:
    """A program that runs; it is stopped at the end, whatever happened.

    Parameters
    ----------
    program : Program
        What runs.
    kafka_url, source, sink : str
        The broker, and the topics that it reads and writes.
    folder : Path
        For its state and log; removed at the end.
    core : frozenset of int
        Where it runs.
    """

    def __init__(
        self, program: Program, kafka_url: str, source: str, sink: str, folder: Path, core: frozenset[int]
    ) -> None:
        self._program = program
        self._folder = folder
        folder.mkdir(parents=True)
        orders = Orders(kafka_url, source, sink, sink, str(folder / "state"))
        command = [*program.command, json.dumps(asdict(orders)), *program.options]
        with pinned(core), (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, env=dict(program.environment), stdout=log, stderr=log)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder)

    def check(self, deadline_s: float) -> None:
        """Raise ``Unavailable`` once the program has ended or the deadline has passed."""
        if self._process.poll() is not None or time.time() > deadline_s:
            log = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
            state = "took too long" if self._process.returncode is None else f"ended with {self._process.returncode}"
            raise Unavailable(self._program.name, f"{state}: {log[-1500:]}")

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads, those that have ended included, s."""
        return time.clock_gettime((~self._process.pid << 3) | 2)  # clock_getcpuclockid(3)

    def rss_mb(self) -> float:
        """Return its largest resident memory so far, MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
